"""`instinct read-log`: what a log made by hand says."""

from pathlib import Path

import click

from console.cli import complete, printing, times
from console.cli.exits import Exit
from console.cli.framework import Front, command, json_option, pass_front
from console.cli.printing import Column
from console.model.units import METRICS


@command(
    "read-log",
    example="instinct read-log vllm-throughput bench.log\nvllm bench latency … 2>&1 | instinct read-log vllm-latency -",
)
@click.argument("workload", shell_complete=complete.workloads)
@click.argument("file", type=click.Path(path_type=Path, allow_dash=True))
@click.option(
    "--result",
    "result_file",
    type=click.Path(path_type=Path, exists=True, dir_okay=False),
    help="The result file the program wrote; its figures are checked against the log's.",
)
@click.option(
    "--cell",
    metavar="MATRIX/CELL",
    help="Read it as a log of this row: what runs there is known then. A program of your own needs it.",
)
@json_option
@pass_front
def main(front: Front, /, workload: str, file: Path, result_file: Path | None, cell: str | None, as_json: bool) -> Exit:
    """Phases, samples and result, or the failure class, of a benchmark log. `-` reads stdin.

    Ends with 1 when the log shows a failure or no result.
    """
    from console.desk import reading

    row = reading.row(front.settings(), cell) if cell is not None else None
    seen = reading.read_log(workload, None if str(file) == "-" else file, result_file, row)
    failed = seen.failure is not None
    if as_json:
        printing.json_object(seen)
        return Exit.CELL if failed else Exit.DONE
    rows: list[tuple[object, ...]] = [("phase", times.iso(p.at_ns or None), p.phase, p.detail) for p in seen.phases]
    shown = [s for s in seen.samples if s.rate is not None]
    if shown:
        rates = [s.rate for s in shown if s.rate is not None]
        span = f"{printing.figure(min(rates))} to {printing.figure(max(rates))} {shown[-1].metric or ''}"
        rows.append(("samples", None, f"{len(seen.samples)}", span))
    if seen.result is not None:
        for value in seen.result.values:
            if value.iteration is None:
                unit = METRICS[value.metric].unit if value.metric in METRICS else ""
                name = value.metric if value.stat == "value" else f"{value.metric} ({value.stat})"
                rows.append(("result", None, name, f"{printing.figure(value.value)} {unit}"))
        rows += [("reason", None, reason.reason, reason.detail) for reason in seen.result.reasons]
    if seen.failure is not None:
        rows.append(("failure", None, seen.failure.failure, seen.failure.line))
        if seen.failure.remedy:
            rows.append(("remedy", None, "", seen.failure.remedy))
    printing.table([Column("what"), Column("when"), Column("name"), Column("detail", shrink=True)], rows)
    return Exit.CELL if failed else Exit.DONE
