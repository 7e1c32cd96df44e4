"""`instinct results`: tables of runs."""

import click

from console.cli import complete, printing
from console.cli.framework import Front, command, json_option, pass_front


@command("results", example="instinct results\ninstinct results r01kan3 nightly --json")
@click.argument("runs", nargs=-1, metavar="[RUN...]", shell_complete=complete.runs)
@json_option
@pass_front
def main(front: Front, runs: tuple[str, ...], as_json: bool) -> None:
    """What runs measured, next to the published figures: ratio, verdict, validity. The newest run when none is named.

    A run is named by its id, the beginning of it, its label, or `last`.
    """
    from console.cli.result_text import print_pages
    from console.desk import tables

    settings = front.settings()
    table = tables.results(settings, tables.run_ids(settings, runs))
    if as_json:
        printing.data(tables.rendered(settings, table, ".json").decode().rstrip("\n"))
    else:
        print_pages(tables.pages(settings, table))
