"""`instinct run`: run matrices."""

import asyncio
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click
from click.core import ParameterSource

from console.cli import asking, complete, printing
from console.cli.exits import Exit
from console.cli.framework import Front, command, json_option, pass_front
from console.cli.options import cell_options, request

if TYPE_CHECKING:
    from console.desk.settings import Settings
    from console.desk.surveying import DockerSite
    from console.runs.request import Request


@command(
    "run",
    example="instinct run vllm-0.8.5-throughput --only 'model~70B and output_len==2048' -o results.parquet\n"
    "instinct run --resume last",
)
@click.argument("matrices", nargs=-1, metavar="[MATRIX...]", shell_complete=complete.matrices)
@cell_options
@click.option("--label", default="", metavar="TEXT", help="A name for the run, to find it by.")
@click.option("--fetch", is_flag=True, help="Fetch models that a host lacks, instead of refusing it.")
@click.option("--detach", is_flag=True, help="Go on without this terminal; prints the run's id.")
@click.option("--resume", metavar="RUN", shell_complete=complete.runs, help="Carry on a run that was left or killed.")
@click.option(
    "-o",
    "--output",
    "outputs",
    multiple=True,
    type=click.Path(path_type=Path, dir_okay=False),
    help="Also write the results; the ending chooses the format: .parquet .csv .xlsx .json .ndjson .md",
)
@click.option("--conductor", is_flag=True, hidden=True, help="Conduct without a terminal; what --detach starts.")
@json_option
@pass_front
def main(
    front: Front,
    /,
    matrices: tuple[str, ...],
    label: str,
    fetch: bool,
    detach: bool,
    resume: str | None,
    outputs: tuple[Path, ...],
    conductor: bool,
    as_json: bool,
    **said: Any,
) -> Exit:
    """Run matrices on the fleet: live phases, progress and tokens/s on stderr, the result table on stdout.

    Ctrl-C stops the run cleanly; a second one leaves it: its containers run on, and --resume carries on. A hang-up
    leaves it too; --detach makes a run that needs no terminal.
    """
    from console.cli import ending, follow
    from console.desk import history, tables

    _check_combination(matrices, resume, detach, outputs)
    if resume:
        _check_nothing_else_said()
    settings = front.settings()
    for output in outputs:
        tables.check_ending(output)
    run = history.find_run(settings, resume).run if resume else None
    if conductor and run is not None:
        return Exit.DONE if asyncio.run(follow.conduct_unseen(settings, run)) else Exit.INTERRUPTED
    asked = request(matrices, said, label=label, fetch=fetch)
    if detach:
        return _detach(settings, run or asyncio.run(open_new(settings, asked, None)), as_json=as_json)
    run, ended = asyncio.run(_foreground(settings, run, asked))
    if not ended:
        printing.note(follow.LEFT.format(run=run))
        return Exit.INTERRUPTED
    code = ending.report(settings, run, outputs, as_json=as_json)
    stopped = history.find_run(settings, run).why == "stopped"
    return Exit.INTERRUPTED if stopped else code


async def _foreground(settings: "Settings", run: str | None, asked: "Request") -> tuple[str, bool]:
    """Conduct a run on connections that are made once, for planning and running both."""
    from console.cli import follow, live
    from console.desk import desk, surveying

    async with surveying.open_site(desk.fleet(settings), asking.asker()) as site:
        if run is None:
            run = await open_new(settings, asked, site)
        display = live.display(run, desk.gpu_specs(settings))
        try:
            return run, await follow.conduct(settings, run, display, site)
        finally:
            display.close()


async def open_new(settings: "Settings", asked: "Request", site: "DockerSite | None") -> str:
    """Plan and journal a new run; says on stderr how big it is and what stands in its way."""
    from console.desk import launching
    from console.model.finding import Effect

    planned = await launching.make_plan(
        settings, asked, site=site, looking=lambda: printing.note("looking at the hosts …")
    )
    run = await launching.open_run(settings, planned)
    attempts = planned.plan.attempts
    blocked = [item for item in attempts if item.effects(Effect.BLOCK) or item.effects(Effect.SPOIL, asked.accept)]
    more = f", {len(blocked)} of them cannot start as things are" if blocked else ""
    counted = "1 attempt" if len(attempts) == 1 else f"{len(attempts)} attempts"
    printing.note(f"{run}: {counted}{more}")
    for host, problem in planned.surveyed.problems.items():
        printing.error(f"{host}: {problem}")
    return run


def _check_combination(matrices: tuple[str, ...], resume: str | None, detach: bool, outputs: tuple[Path, ...]) -> None:
    if not matrices and not resume:
        raise click.UsageError("name a matrix to run, or give --resume RUN")
    if matrices and resume:
        raise click.UsageError("--resume carries on a run as it was planned; it takes no matrices")
    if detach and outputs:
        raise click.UsageError("a detached run writes no file; use `instinct export RUN -o FILE` when it has ended")


def _check_nothing_else_said() -> None:
    """What a run is to do was said when it was planned; said again it would do nothing, and not be noticed."""
    context = click.get_current_context()
    free = {"resume", "detach", "outputs", "conductor", "as_json"}
    for param in context.command.params:
        if context.get_parameter_source(str(param.name)) is ParameterSource.COMMANDLINE and param.name not in free:
            raise click.UsageError(f"--resume carries on a run as it was planned; it takes no {param.opts[0]}")


def _detach(settings: "Settings", run: str, *, as_json: bool) -> Exit:
    from console.desk import launching

    process = launching.detach(settings, run)
    asyncio.run(launching.wait_for_conductor(settings, run, process))
    if as_json:
        printing.json_object({"run": run})
    else:
        printing.data(run)
    printing.note(f"{run} goes on without this terminal; follow it with `instinct watch {run}`")
    return Exit.DONE
