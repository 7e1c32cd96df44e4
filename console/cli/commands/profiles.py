"""`instinct profiles`: the catalog."""

import json
from pathlib import Path
from typing import Any

import click

from console.cli import complete, printing
from console.cli.ending import print_problems
from console.cli.exits import Exit
from console.cli.framework import Front, command, group, json_option, pass_front
from console.cli.printing import Column
from console.model.units import binary_size


@group("profiles", example="instinct profiles list\ninstinct profiles show vllm-0.8.5-throughput")
def main() -> None:
    """The catalog: matrices, servers, GPUs, images and models, shipped and your own."""


@command("list", example="instinct profiles list\ninstinct profiles list --json")
@json_option
@pass_front
def list_(front: Front, as_json: bool) -> None:
    """Every entry of the catalog with its kind."""
    from console.desk import desk

    catalog = desk.catalog(front.settings())
    rows = [("matrix", m.name, m.title, f"{len(m.cells)} cells") for m in catalog.matrices.values()]
    rows += [("server", s.name, s.title, f"{s.gpus} x {s.gpu}") for s in catalog.servers.values()]
    rows += [("gpu", g.name, g.arch, binary_size(g.vram_bytes)) for g in catalog.gpus.values()]
    rows += [("image", i.name, i.ref, i.released or "") for i in catalog.images.values()]
    rows += [
        ("model", m.id, m.title, binary_size(m.disk_bytes) if m.disk_bytes else "") for m in catalog.models.values()
    ]
    if as_json:
        printing.json_rows("profiles", [{"kind": k, "name": n, "title": t, "detail": d} for k, n, t, d in rows])
        return
    printing.table([Column("kind"), Column("name"), Column("title", shrink=True), Column("detail")], rows)


@command("show", example="instinct profiles show vllm-0.8.5-throughput\ninstinct profiles show mi300x-2x9654 --json")
@click.argument("name", shell_complete=complete.profiles)
@json_option
@pass_front
def show(front: Front, name: str, as_json: bool) -> None:
    """One entry: a matrix with its cells and published figures, or a server, GPU, image or model."""
    from console.desk import desk

    catalog = desk.catalog(front.settings())
    entry = desk.profile(catalog, name)
    if as_json:
        printing.json_object(entry)
    elif "cells" in entry:
        _show_matrix(entry)
    else:
        printing.table(
            [Column("key"), Column("value", shrink=True)], [(key, _flat(value)) for key, value in entry.items()]
        )


@command("check", example="instinct profiles check\ninstinct profiles check --profiles ./mine")
@json_option
@pass_front
def check(front: Front, as_json: bool) -> Exit:
    """Check the shipped and the own profiles; one line for each problem, with file and key."""
    from console.desk import desk

    problems = desk.profile_problems(front.settings())
    return print_problems(problems, as_json=as_json)


@command("schema", example="instinct profiles schema > profiles.schema.json")
@click.argument("kind", required=False)
def schema(kind: str | None) -> None:
    """JSON Schemas of the profile files, for editors: all of them by kind, or one."""
    from console.desk import desk

    schemas = desk.profile_schemas()
    if kind is not None and kind not in schemas:
        raise click.BadParameter(f"no schema for {kind!r}; there are {', '.join(schemas)}")
    printing.data(json.dumps(schemas[kind] if kind else {"schema_version": 1, **schemas}, indent=2))


@command(
    "learn",
    example="instinct profiles learn @rack2 --name rack2 -o ~/.config/instinct/profiles/servers/rack2.toml\n"
    "instinct profiles learn --bundle node01.tar.gz --bundle node02.tar.gz",
)
@click.argument("hosts", required=False, metavar="[HOSTS]", shell_complete=complete.hosts)
@click.option("--name", help="Name of the profile.")
@click.option("--output", "-o", type=click.Path(path_type=Path), metavar="FILE", help="Write it there, not on stdout.")
@click.option(
    "--bundle",
    "bundles",
    type=click.Path(path_type=Path, exists=True),
    multiple=True,
    help="A bundle of `instinct capture`, or a folder laid out as a host's root, instead of live hosts.",
)
@pass_front
def learn(front: Front, hosts: str | None, name: str | None, output: Path | None, bundles: tuple[Path, ...]) -> Exit:
    """Write a server profile from what most of the hosts have, and say who differs.

    It says what is, not what should be. Put the file into your profile folder and name it with server = in the fleet
    file: the first health report is then about the hosts that are not like the others.
    """
    from datetime import UTC, datetime

    from console.desk import desk, learning, status_look

    settings = front.settings()
    if bundles:
        look = status_look.of_bundles(settings, bundles)
    else:
        from console.cli import asking
        from console.desk import surveying_status
        from console.desk.loop import finished

        look = finished(surveying_status.of_hosts(settings, hosts, asking.asker()))
    dated = datetime.now(UTC).date().isoformat()
    learned = learning.learn(desk.catalog(settings, look.fleet), look.facts, name, dated=dated)
    if output is None:
        printing.data(learned.toml, nl=False)
    elif output.exists():
        raise click.UsageError(f"{output} is there already; remove it first, or write elsewhere")
    else:
        output.write_text(learned.toml, encoding="utf-8")
        printing.note(f"{output}: {learned.profile.name}, learned of {len(learned.hosts)} hosts")
    for item in learned.deviations:
        printing.note(f"{item.host} differs: {item.fact} is {item.seen}, most have {item.expected}")
    for fact in learned.unsettled:
        printing.note(f"no majority: {fact} is not in the profile")
    for host in learned.others:
        printing.note(f"{host} is of another kind: learn a profile of its own")
    for host, problem in look.problems.items():
        printing.error(f"{host}: {problem}")
    return Exit.CONNECT if look.problems else Exit.DONE


for each in (list_, show, check, schema, learn):
    main.add_command(each)


def _show_matrix(entry: dict[str, Any]) -> None:
    cells = entry["cells"]
    keys = list(dict.fromkeys(k for cell in cells for k in cell["parameters"]))
    varied = [key for key in keys if len({json.dumps(cell["parameters"].get(key)) for cell in cells}) > 1]
    constant = {key: cells[0]["parameters"].get(key) for key in keys if key not in varied} if cells else {}
    printing.note(f"{entry['name']}: {len(cells)} cells, image {entry['image']}")
    if constant:
        printing.note("in every cell: " + ", ".join(f"{key} {_flat(value)}" for key, value in constant.items()))
    columns = [Column("cell"), Column("model", shrink=True)]
    columns += [Column(key, align="right") for key in varied]
    columns += [Column("published", align="right"), Column("unit")]
    rows = []
    for cell in cells:
        reference = cell.get("reference") or {}
        values = [_flat(cell["parameters"].get(key)) for key in varied]
        rows.append(
            (
                cell["id"],
                cell["model"],
                *values,
                reference.get("printed", reference.get("value")),
                reference.get("unit"),
            )
        )
    printing.table(columns, rows)


def _flat(value: object) -> str:
    if isinstance(value, dict | list | tuple):
        return json.dumps(value, ensure_ascii=False)
    return "-" if value is None else str(value)
