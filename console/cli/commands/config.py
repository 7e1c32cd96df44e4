"""`instinct config`: the configuration, and where each value came from."""

import json
from pathlib import Path

import click

from console.cli import printing
from console.cli.ending import print_problems
from console.cli.exits import Exit
from console.cli.framework import Front, command, group, json_option, pass_front
from console.cli.printing import Column


@group("config", example="instinct config show\ninstinct config check")
def main() -> None:
    """The configuration: its file, its values with their origin, its schema."""


@command("path", example="instinct config path")
@json_option
@pass_front
def path(front: Front, as_json: bool) -> None:
    """Print where the configuration file is, whether it exists or not."""
    file = front.settings().config.value
    if as_json:
        printing.json_object({"config": file, "exists": file.is_file()})
    else:
        printing.data(str(file))


@command("show", example="instinct config show\ninstinct config show --json")
@json_option
@pass_front
def show(front: Front, as_json: bool) -> None:
    """Every value and where it came from: option, environment, file or default. A token's value is never shown."""
    from console.desk import token

    settings = front.settings()
    found = token.find(settings)
    rows = [(name, _shown(value.value), str(value.origin), value.where) for name, value in settings.items()]
    rows.append(("hf_token", "found" if found else "none", "", found.origin if found else ""))
    if as_json:
        named = [{"name": n, "value": v, "origin": o, "where": w} for n, v, o, w in rows]
        printing.json_rows("settings", named)
        return
    printing.table(
        [Column("setting"), Column("value", shrink=True), Column("origin"), Column("where", shrink=True)], rows
    )


@command("check", example="instinct config check\ninstinct config check ./config.toml")
@click.argument("file", type=click.Path(path_type=Path), required=False)
@json_option
@pass_front
def check(front: Front, file: Path | None, as_json: bool) -> Exit:
    """Check the configuration file, the fleet file and the own profiles; one line for each problem."""
    from console.desk import desk, settings

    problems = settings.check(file) if file is not None else desk.problems(front.settings())
    return print_problems(problems, as_json=as_json)


@command("schema", example="instinct config schema > config.schema.json")
def schema() -> None:
    """Print the JSON Schema of the configuration file, for editors."""
    from console.desk import settings

    printing.data(json.dumps(settings.schema(), indent=2))


for each in (path, show, check, schema):
    main.add_command(each)


def _shown(value: object) -> str:
    if isinstance(value, tuple):
        return ",".join(map(str, value))
    return "-" if value is None else str(value)
