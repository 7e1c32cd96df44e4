"""`instinct runs`: what was run."""

from console.cli import printing, times
from console.cli.framework import Front, command, json_option, pass_front
from console.cli.printing import Column

NARROW = 100
"""On terminals of fewer columns the matrices stand aside: id, state and counts say which run it is and how it did."""


@command("runs", example="instinct runs\ninstinct runs --json")
@json_option
@pass_front
def main(front: Front, as_json: bool) -> None:
    """Every run in the store, newest first: how it stands and what became of its attempts."""
    from console.desk import history

    summaries = history.summaries(front.settings())
    if as_json:
        printing.json_rows("runs", summaries)
        return
    columns = [
        Column("run", keep=True),
        Column("label", shrink=True),
        Column("opened", keep_end=True),
        Column("state", keep=True),
        Column("ok", align="right"),
        Column("failed", align="right"),
        Column("not run", align="right"),
        Column("open", align="right"),
        Column("matrices", shrink=True),
    ]
    rows: list[tuple[object, ...]] = [
        (
            item.run,
            item.label,
            times.iso(item.opened_at_ns),
            item.state + (", simulated" if item.simulated else ""),
            item.ok,
            item.failed,
            item.not_run,
            item.open,
            item.matrices,
        )
        for item in summaries
    ]
    width = printing.terminal_width()
    if width is not None and width < NARROW:
        columns, rows = columns[:-1], [row[:-1] for row in rows]
    printing.table(columns, rows)
