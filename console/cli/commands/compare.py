"""`instinct compare`: two runs side by side."""

import click

from console.cli import complete, printing
from console.cli.framework import Front, command, json_option, pass_front
from console.cli.printing import Column, figure


@command("compare", example="instinct compare before-update last")
@click.argument("a", metavar="RUN_A", shell_complete=complete.runs)
@click.argument("b", metavar="RUN_B", shell_complete=complete.runs)
@json_option
@pass_front
def main(front: Front, a: str, b: str, as_json: bool) -> None:
    """The same cells of two runs: B against A, above 1 is better. Where conditions differ that must agree, no ratio."""
    from console.desk import tables

    rows = tables.compare(front.settings(), a, b).to_dicts()
    if as_json:
        printing.json_rows("comparison", rows)
        return
    columns = [
        Column("matrix", shrink=True),
        Column("cell", shrink=True, keep_end=True),
        Column("hosts A", shrink=True, keep_end=True),
        Column("hosts B", shrink=True, keep_end=True),
        Column("A", align="right"),
        Column("B", align="right"),
        Column("unit"),
        Column("B/A", align="right"),
        Column("note", shrink=True),
    ]
    printing.table(
        columns,
        [
            (
                row["matrix"],
                row["cell"],
                row["hosts_a"],
                row["hosts_b"],
                _marked(row["a"], row["simulated"]),
                _marked(row["b"], row["simulated"]),
                row["unit"],
                figure(row["ratio"], 3),
                _note(row["comparable"], row["differences"]),
            )
            for row in rows
        ],
    )


def _marked(value: float | None, simulated: bool) -> str:
    text = figure(value)
    return f"{text} (simulated)" if simulated and value is not None else text


def _note(comparable: bool | None, differences: list[str]) -> str:
    if comparable is None:
        return "only in one of them"
    return ("" if comparable else "not comparable: ") + "; ".join(differences)
