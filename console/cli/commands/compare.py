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
    from console.cli.result_text import print_fitting
    from console.desk import tables

    rows = tables.compare(front.settings(), a, b).to_dicts()
    if as_json:
        printing.json_rows("comparison", rows)
        return
    names = [(_names(row["hosts_a"]), _names(row["hosts_b"])) for row in rows]
    apart = any(a and b and a != b for a, b in names)
    hosts = ("hosts A", "hosts B") if apart else ("hosts",)
    columns = [
        Column("matrix", shrink=True),
        Column("cell", shrink=True, keep_end=True),
        *(Column(heading, shrink=True, keep_end=True) for heading in hosts),
        Column("A", align="right", keep=True),
        Column("B", align="right", keep=True),
        Column("unit", keep=True),
        Column("B/A", align="right", keep=True),
        Column("note", shrink=True),
    ]
    print_fitting(
        columns,
        [
            (
                row["matrix"],
                row["cell"],
                *((a or "-", b or "-") if apart else (a or b or "-",)),
                _marked(row["a"], row["simulated"]),
                _marked(row["b"], row["simulated"]),
                row["unit"] or "-",
                figure(row["ratio"], 3),
                _note(row["comparable"], row["differences"]),
            )
            for row, (a, b) in zip(rows, names, strict=True)
        ],
    )


def _names(hosts: list[str] | None) -> str:
    return ",".join(hosts or ())


def _marked(value: float | None, simulated: bool) -> str:
    text = figure(value)
    return f"{text} (simulated)" if simulated and value is not None else text


def _note(comparable: bool | None, differences: list[str]) -> str:
    if comparable is None:
        return "only in one of them"
    return ("" if comparable else "not comparable: ") + "; ".join(differences)
