"""`instinct status`: what the hosts are."""

import asyncio
from typing import TYPE_CHECKING

import click

from console.cli import asking, complete, printing
from console.cli.exits import Exit
from console.cli.framework import Front, command, json_option, pass_front
from console.cli.printing import Column

if TYPE_CHECKING:
    from console.model.facts import Gpu, HostFacts, Known, Unknown


@command("status", example="instinct status\ninstinct status @rack2 --json")
@click.argument("hosts", required=False, metavar="[HOSTS]", shell_complete=complete.hosts)
@json_option
@pass_front
def main(front: Front, hosts: str | None, as_json: bool) -> Exit:
    """GPUs, processor, firmware, driver and Docker of the hosts, read now. What cannot be read is unknown."""
    from console.desk import desk, surveying

    fleet = desk.fleet(front.settings())
    chosen = desk.hosts(fleet, hosts)
    seen = asyncio.run(surveying.survey_fleet(fleet, chosen, asking.asker()))
    if as_json:
        printing.json_object({"hosts": list(seen.facts.values()), "problems": dict(seen.problems)})
    else:
        printing.table(COLUMNS, [_row(name, seen.facts.get(name)) for name in (host.name for host in chosen)])
    for name, problem in seen.problems.items():
        printing.error(f"{name}: {problem}")
    return Exit.CONNECT if seen.problems else Exit.DONE


COLUMNS = (
    Column("host"),
    Column("state"),
    Column("GPUs"),
    Column("CPU", shrink=True),
    Column("NPS"),
    Column("BIOS"),
    Column("OS", shrink=True),
    Column("kernel", shrink=True),
    Column("amdgpu", shrink=True),
    Column("ROCm"),
    Column("partition"),
    Column("docker"),
)


def _row(name: str, facts: "HostFacts | None") -> tuple[object, ...]:
    if facts is None:
        return (name, "no answer", *("-" for _ in COLUMNS[2:]))
    system, driver = facts.system, facts.driver
    return (
        name,
        "simulated" if facts.simulated else "up",
        _gpus(facts),
        _text(system.cpu),
        _text(system.nodes_per_socket),
        _text(system.bios_version),
        _text(system.os),
        _text(system.kernel),
        _text(driver.amdgpu_version),
        _text(driver.rocm_version),
        _partition(facts),
        _docker(facts),
    )


def _text(fact: "Known[str] | Known[int] | Unknown") -> str:
    from console.model.facts import Known

    return str(fact.value) if isinstance(fact, Known) else "unknown"


def _known_gpus(facts: "HostFacts") -> "tuple[Gpu, ...] | None":
    from console.model.facts import Known

    return facts.gpus.value if isinstance(facts.gpus, Known) else None


def _gpus(facts: "HostFacts") -> str:
    gpus = _known_gpus(facts)
    if gpus is None:
        return "unknown"
    counts: dict[str, int] = {}
    for gpu in gpus:
        model = _text(gpu.model)
        model = f"device {gpu.device_id}" if model == "unknown" else model
        counts[model] = counts.get(model, 0) + 1
    return ", ".join(f"{model} x {count}" for model, count in counts.items()) or "none"


def _partition(facts: "HostFacts") -> str:
    gpus = _known_gpus(facts)
    if gpus is None:
        return "unknown"
    seen = {f"{_text(gpu.compute_partition)}/{_text(gpu.memory_partition)}" for gpu in gpus}
    return ", ".join(sorted(seen)) or "none"


def _docker(facts: "HostFacts") -> str:
    from console.model.facts import Known

    if isinstance(facts.engine, Known):
        return facts.engine.value.version
    return "unknown"
