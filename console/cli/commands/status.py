"""`instinct status`: what the hosts are."""

import asyncio
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import click

from console.cli import asking, complete, printing
from console.cli.exits import Exit
from console.cli.framework import Front, command, json_option, options, pass_front

if TYPE_CHECKING:
    from console.desk.settings import Settings
    from console.desk.status_look import Look

READ_EVERY_S = 1.0
LOOK_EVERY_S = 5.0
LOG_LINES_TOLD = 50
"""Of a kernel log, in JSON without `--wide`: thousands of lines a host are what a capture is for."""


@command(
    "status",
    example="instinct status\ninstinct status @rack2 --gpus\ninstinct status --diff node01 fleet\n"
    "instinct status --bundle node01.tar.gz",
)
@click.argument("hosts", required=False, metavar="[HOSTS]", shell_complete=complete.hosts)
@options(
    click.option(
        "--wide", is_flag=True, help="Every column, also where the terminal is narrow; in JSON the whole kernel log."
    ),
    click.option("--gpus", "by_gpu", is_flag=True, help="A row per GPU."),
    click.option(
        "--diff",
        nargs=2,
        metavar="A B",
        help="Only what differs of two hosts; B may be 'profile' or 'fleet' (most hosts of its kind).",
    ),
    click.option("--watch", is_flag=True, help="Live readings of every host, until Ctrl-C; with --json, look on look."),
    click.option(
        "--every",
        type=click.FloatRange(0.5),
        metavar="S",
        help=f"Seconds between readings ({READ_EVERY_S:g}), or looks ({LOOK_EVERY_S:g}).",
    ),
    click.option("--rounds", type=int, hidden=True),
    click.option(
        "--bundle",
        "bundles",
        type=click.Path(path_type=Path, exists=True),
        multiple=True,
        help="A bundle of `instinct capture`, or a folder laid out as a host's root, instead of live hosts.",
    ),
)
@json_option
@pass_front
def main(
    front: Front,
    hosts: str | None,
    wide: bool,
    by_gpu: bool,
    diff: tuple[str, str] | None,
    watch: bool,
    every: float | None,
    rounds: int | None,
    bundles: tuple[Path, ...],
    as_json: bool,
) -> Exit:
    """GPUs, processor, firmware, driver, load and health of the hosts, read now. What cannot be read is unknown.

    Hosts without an answer come first, then those that are not well.
    """
    from console.desk import status_look

    settings = front.settings()
    if bundles:
        return _show(settings, status_look.of_bundles(settings, bundles), wide, by_gpu, diff, as_json)
    if watch:
        if as_json:
            return _looks(settings, hosts, every or LOOK_EVERY_S, rounds)
        from console.cli import status_watch

        return status_watch.watch(settings, hosts, every or READ_EVERY_S, rounds, wide=wide, by_gpu=by_gpu)
    from console.desk import surveying_status
    from console.desk.loop import finished

    look = finished(surveying_status.of_hosts(settings, _sides(diff) if hosts is None else hosts, asking.asker()))
    return _show(settings, look, wide, by_gpu, diff, as_json)


def _sides(diff: tuple[str, str] | None) -> str | None:
    """Of two hosts only those two are looked at; the fleet's majority needs all."""
    if diff is None or diff[1] == "fleet":
        return None
    return diff[0] if diff[1] == "profile" else f"{diff[0]},{diff[1]}"


def _show(
    settings: "Settings",
    look: "Look",
    wide: bool,
    by_gpu: bool,
    diff: Sequence[str] | None,
    as_json: bool,
    *,
    on_a_line: bool = False,
) -> Exit:
    from console.cli import status_text
    from console.desk import status, status_look
    from console.model.facts import with_newest_log

    if diff:
        found = status_look.diff(settings, look, diff[0], diff[1])
        if as_json:
            printing.json_object({"left": diff[0], "right": diff[1], "differences": list(found)})
        elif found:
            status_text.print_differences(found, *diff)
        else:
            printing.note(f"{diff[0]} and {diff[1]} do not differ in anything looked at")
        return _ended(look)
    rows = status_look.rows(settings, look)
    gpus = [row for facts in look.facts.values() for row in status.gpu_rows(facts)]
    if as_json:
        printing.json_object(
            {
                "hosts": [facts if wide else with_newest_log(facts, LOG_LINES_TOLD) for facts in look.facts.values()],
                "rows": rows,
                "gpus": gpus,
                "problems": dict(look.problems),
            },
            on_a_line=on_a_line,
        )
    elif by_gpu:
        status_text.print_gpus(gpus, wide=wide)
        for facts in look.facts.values():
            if why := status.without_gpus(facts):
                printing.note(f"{facts.host}: {why}")
    else:
        status_text.print_hosts(rows, wide=wide)
    return _ended(look)


def _ended(look: "Look") -> Exit:
    for name, problem in look.problems.items():
        printing.error(f"{name}: {problem}")
    return Exit.CONNECT if look.problems else Exit.DONE


def _looks(settings: "Settings", hosts: str | None, every: float, rounds: int | None) -> Exit:
    """One JSON object for every look; connections stay open in between."""
    from console.desk import surveying_status

    async def look_on() -> Exit:
        ended = Exit.DONE
        async for look in surveying_status.again_and_again(settings, hosts, every, rounds, asking.asker()):
            ended = _show(settings, look, wide=False, by_gpu=False, diff=None, as_json=True, on_a_line=True)
        return ended

    return asyncio.run(look_on())
