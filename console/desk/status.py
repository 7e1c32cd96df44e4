"""What every host is, in a row: hardware, firmware, driver, what it does now, its health."""

from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Any, Literal

import msgspec

from console.health.report import HostHealth
from console.health.rules.power import hottest_of, limits
from console.model.facts import Gpu, HostFacts, Known, Unknown, value_or
from console.model.finding import State
from console.model.names import cpu_name, gpu_name

UNKNOWN = "unknown"
Fact = Known[Any] | Unknown


class StatusRow(msgspec.Struct, frozen=True, kw_only=True):
    """One host. Texts are for people, `unknown` where it could not be read; numbers are None then.

    `gpus` counts devices, whatever their partitions. VRAM is over all GPUs, power their sum, the temperature the
    hottest junction.
    """

    host: str
    state: Literal["up", "simulated", "no answer", "asking"] = "up"
    """`asking` only while a host is watched."""
    health: str = ""
    gpus: str = UNKNOWN
    cpu: str = UNKNOWN
    nps: str = UNKNOWN
    bios: str = UNKNOWN
    os: str = UNKNOWN
    kernel: str = UNKNOWN
    amdgpu: str = UNKNOWN
    rocm: str = UNKNOWN
    partition: str = UNKNOWN
    vram_used_bytes: int | None = None
    vram_total_bytes: int | None = None
    hottest_c: float | None = None
    power_w: float | None = None
    busy_percent: float | None = None
    """The mean over the GPUs."""
    docker: str = UNKNOWN
    running: str = ""
    why: str = ""
    """Why there is no answer, or no news."""


class GpuRow(msgspec.Struct, frozen=True, kw_only=True):
    """One GPU or partition of a host; None where it could not be read."""

    host: str
    bdf: str
    model: str
    oam: int | None = None
    hip: int | None = None
    render: str = ""
    numa_node: int | None = None
    partition: str = UNKNOWN
    busy_percent: float | None = None
    vram_used_bytes: int | None = None
    vram_total_bytes: int | None = None
    power_w: float | None = None
    power_cap_w: float | None = None
    junction_c: float | None = None
    memory_c: float | None = None
    sclk_mhz: int | None = None
    link: str = UNKNOWN
    xgmi: int | None = None
    errors: str = UNKNOWN
    throttle: str = UNKNOWN
    vbios: str = UNKNOWN
    simulated: bool = False


RANK = {State.FAIL: 0, State.UNKNOWN: 1, State.WARN: 2, State.PASS: 3}
"""The worst first."""


def rows(
    names: Sequence[str],
    facts: Mapping[str, HostFacts],
    problems: Mapping[str, str],
    health: Mapping[str, HostHealth],
) -> tuple[StatusRow, ...]:
    """A row for every host: those without an answer first, then by health, worst first, in the order asked for."""
    made = [row(name, facts.get(name), problems.get(name, ""), health.get(name)) for name in names]
    order = {name: index for index, name in enumerate(names)}

    def rank(item: StatusRow) -> tuple[int, int, int]:
        found = health.get(item.host)
        return (item.state != "no answer", RANK[found.state] if found else 2, order[item.host])

    return tuple(sorted(made, key=rank))


def row(name: str, facts: HostFacts | None, problem: str, health: HostHealth | None) -> StatusRow:
    """One host."""
    if facts is None:
        return StatusRow(host=name, state="no answer", health="-", why=problem)
    system, driver = facts.system, facts.driver
    gpus = _gpus(facts)
    return StatusRow(
        host=name,
        state="simulated" if facts.simulated else "up",
        health=_verdict(health),
        gpus=models(facts),
        cpu=cpu(facts),
        nps=_text(system.nodes_per_socket),
        bios=_text(system.bios_version),
        os=_text(system.os),
        kernel=_text(system.kernel),
        amdgpu=_driver(facts),
        rocm=_rocm(driver.rocm_version),
        partition=_partition(gpus),
        vram_used_bytes=_sum(gpus, "vram_used_bytes"),
        vram_total_bytes=_sum(gpus, "vram_total_bytes"),
        hottest_c=hottest_of(gpus or ()),
        power_w=_sum(_devices(gpus), "power_w"),
        busy_percent=mean([value_or(gpu.busy_percent, None) for gpu in gpus or ()]),
        docker=_docker(facts),
        running=_running(facts),
    )


def gpu_rows(facts: HostFacts) -> tuple[GpuRow, ...]:
    """Every GPU of a host, by PCI address."""
    return tuple(_gpu_row(facts, gpu) for gpu in _gpus(facts) or ())


def without_gpus(facts: HostFacts) -> str:
    """Why a host has no row among the GPUs; empty when it has some."""
    if isinstance(facts.gpus, Unknown):
        return f"its GPUs are not known ({facts.gpus.why}: {facts.gpus.detail})"
    return "" if facts.gpus.value else "no GPU is driven by amdgpu"


def _gpus(facts: HostFacts) -> tuple[Gpu, ...] | None:
    return value_or(facts.gpus, None)


def _devices(gpus: tuple[Gpu, ...] | None) -> tuple[Gpu, ...] | None:
    if gpus is None:
        return None
    first: dict[str, Gpu] = {}
    for gpu in gpus:
        first.setdefault(gpu.device_bdf or gpu.bdf, gpu)
    return tuple(first.values())


def models(facts: HostFacts) -> str:
    """The GPUs of a host by model, as `8x MI300X`."""
    devices = _devices(_gpus(facts))
    if devices is None:
        return UNKNOWN
    names = Counter(_model(gpu) for gpu in devices)
    return ", ".join(f"{count}x {name}" for name, count in names.items()) or "none"


def _model(gpu: Gpu) -> str:
    return gpu_name(gpu.model.value) if isinstance(gpu.model, Known) else f"device {gpu.device_id}"


def cpu(facts: HostFacts) -> str:
    """The processors of a host, as `2x EPYC 9654`."""
    if isinstance(facts.system.cpu, Unknown):
        return UNKNOWN
    name = cpu_name(facts.system.cpu.value)
    sockets = facts.system.sockets
    return f"{sockets.value}x {name}" if isinstance(sockets, Known) and sockets.value > 1 else name


def _driver(facts: HostFacts) -> str:
    version, flavour = facts.driver.amdgpu_version, facts.driver.amdgpu_flavour
    if isinstance(version, Known):
        return str(version.value)
    if isinstance(facts.driver.amdgpu_loaded, Known) and not facts.driver.amdgpu_loaded.value:
        return "not loaded"
    return "of the kernel" if isinstance(flavour, Known) and flavour.value == "kernel" else UNKNOWN


def _rocm(fact: Fact) -> str:
    if isinstance(fact, Unknown) and fact.why.startswith("no ROCm"):
        return "none"
    return _text(fact)


def _partition(gpus: tuple[Gpu, ...] | None) -> str:
    if gpus is None:
        return UNKNOWN
    seen = {_mode(gpu) for gpu in gpus}
    return ", ".join(sorted(seen)) or "-"


def _mode(gpu: Gpu) -> str:
    compute, memory = _text(gpu.compute_partition), _text(gpu.memory_partition)
    if compute == memory == UNKNOWN:
        return "-" if isinstance(gpu.gfx, Known) and gpu.gfx.value in ("gfx90a", "gfx908") else UNKNOWN
    return f"{compute}/{memory}"


def _sum(gpus: tuple[Gpu, ...] | None, name: str) -> Any:
    """Over all GPUs; None unless every one of them is known."""
    return total([value_or(getattr(gpu, name), None) for gpu in gpus or ()])


def total(figures: Sequence[Any]) -> Any:
    """Their sum; None unless there are any and every one of them is known."""
    return None if not figures or None in figures else sum(figures)


def mean(figures: Sequence[float | None]) -> float | None:
    """The mean of those that are known."""
    known = [figure for figure in figures if figure is not None]
    return sum(known) / len(known) if known else None


def _docker(facts: HostFacts) -> str:
    if isinstance(facts.engine, Known):
        return facts.engine.value.version
    return "reachable" if isinstance(facts.docker, Known) else UNKNOWN


def _running(facts: HostFacts) -> str:
    """Ours by run and attempt, others by container or process; whoever holds a GPU."""
    parts: list[str] = []
    if isinstance(facts.engine, Known):
        for item in facts.engine.value.gpu_containers:
            if item.state in ("running", "paused", "restarting"):
                parts.append(f"{item.owner or 'we'}: {item.attempt or item.run}" if item.ours else f"{item.image}")
    processes = facts.driver.processes
    if isinstance(processes, Known):
        outside = [item for item in processes.value if not item.container or not parts]
        names = Counter(f"{item.name or 'process'}{f' ({item.user})' if item.user else ''}" for item in outside)
        parts += [name if count == 1 else f"{count}x {name}" for name, count in names.items()]
    elif isinstance(facts.driver.kfd_process_ids, Known) and facts.driver.kfd_process_ids.value and not parts:
        parts.append(f"{len(facts.driver.kfd_process_ids.value)} processes")
    return ", ".join(parts)


def _verdict(health: HostHealth | None) -> str:
    if health is None:
        return ""
    if health.state is State.PASS:
        return "pass"
    return f"{health.state.value} {len(health.of(health.state))}"


def _gpu_row(facts: HostFacts, gpu: Gpu) -> GpuRow:
    return GpuRow(
        host=facts.host,
        simulated=facts.simulated,
        bdf=gpu.bdf,
        model=_model(gpu),
        oam=value_or(gpu.oam_id, None),
        hip=value_or(gpu.hip_id, None),
        render=str(value_or(gpu.render_node, None) or "").rsplit("/", 1)[-1],
        numa_node=value_or(gpu.numa_node, None),
        partition=_mode(gpu),
        busy_percent=value_or(gpu.busy_percent, None),
        vram_used_bytes=value_or(gpu.vram_used_bytes, None),
        vram_total_bytes=value_or(gpu.vram_total_bytes, None),
        power_w=value_or(gpu.power_w, None),
        power_cap_w=value_or(gpu.power_cap_w, None),
        junction_c=value_or(gpu.junction_c, None),
        memory_c=value_or(gpu.memory_c, None),
        sclk_mhz=value_or(gpu.sclk_mhz, None),
        link=_link(gpu),
        xgmi=value_or(gpu.xgmi_peers, None),
        errors=_errors(gpu),
        throttle=_throttle(gpu),
        vbios=_text(gpu.vbios_version),
    )


def _link(gpu: Gpu) -> str:
    if isinstance(gpu.pcie_width, Unknown):
        return UNKNOWN
    speed = f" {gpu.pcie_speed_gts.value:g} GT/s" if isinstance(gpu.pcie_speed_gts, Known) else ""
    return f"x{gpu.pcie_width.value}{speed}"


def _errors(gpu: Gpu) -> str:
    """Uncorrectable and corrected, over all blocks."""
    if isinstance(gpu.ras, Unknown):
        return UNKNOWN
    return f"{sum(b.uncorrectable for b in gpu.ras.value)}/{sum(b.correctable for b in gpu.ras.value)}"


def _throttle(gpu: Gpu) -> str:
    if isinstance(gpu.throttle, Unknown):
        return UNKNOWN
    return "+".join(item.reason for item in gpu.throttle.value if item.active and limits(item.reason)) or "no"


def _text(fact: Fact) -> str:
    return str(fact.value) if isinstance(fact, Known) else UNKNOWN
