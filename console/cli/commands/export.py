"""`instinct export`: results into files."""

from pathlib import Path

import click

from console.cli import complete, printing
from console.cli.framework import Front, command, pass_front


@command("export", example="instinct export last -o results.parquet -o results.md")
@click.argument("runs", nargs=-1, required=True, metavar="RUN...", shell_complete=complete.runs)
@click.option(
    "-o",
    "--output",
    "outputs",
    required=True,
    multiple=True,
    type=click.Path(path_type=Path, dir_okay=False),
    help="File to write; its ending chooses the format: .parquet .csv .xlsx .json .ndjson .md",
)
@pass_front
def main(front: Front, runs: tuple[str, ...], outputs: tuple[Path, ...]) -> None:
    """Write the results of runs, one row per attempt; Markdown has the published page's columns and order."""
    from console.desk import tables

    settings = front.settings()
    for output in outputs:
        tables.check_ending(output)
    table = tables.results(settings, tables.run_ids(settings, runs))
    for output in outputs:
        tables.save(settings, table, output)
        printing.note(f"{output}: {table.height} rows")
