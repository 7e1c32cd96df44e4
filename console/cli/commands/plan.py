"""`instinct plan`: a dry run."""

import asyncio
import json
from typing import Any

import click

from console.cli import asking, printing
from console.cli.exits import Exit
from console.cli.framework import Front, command, json_option, pass_front
from console.cli.options import cell_options, matrices_argument, request


@command(
    "plan",
    example="instinct plan vllm-0.8.5-throughput --hosts node01\n"
    "instinct plan vllm-0.8.5-latency --server mi300x-2x9654 --only 'model~70B and batch_size==1'\n"
    "instinct plan megatron-25.5-llama --hosts 'node[01-08]' --by-hand",
)
@matrices_argument
@cell_options
@click.option("--server", metavar="PROFILE", help="Plan on paper for a server profile, without a fleet.")
@click.option("--by-hand", is_flag=True, help="Print what a person would type on each node, ready to paste.")
@json_option
@pass_front
def main(
    front: Front, /, matrices: tuple[str, ...], server: str | None, by_hand: bool, as_json: bool, **said: Any
) -> Exit:
    """What would run where, exactly; nothing is started, fetched or claimed.

    The attempts are counted first. Then, for each: image, command and environment to copy and paste, devices,
    expected time (fetch, start-up and measuring apart), disk need, what differs from the published command, and what
    preflight found: block (cannot run), spoil (the figure would not count) or note. Training programs need a set-up
    inside their image: shown is what a person would type for it; the words that a run itself uses are in --json.
    """
    from console.cli.plan_text import by_hand_lines, plan_lines
    from console.desk import launching
    from console.fleet.engine.body import shell_line
    from console.runs.by_hand import by_hand as hands

    asked = request(matrices, said, server=server)
    planned = asyncio.run(launching.make_plan(front.settings(), asked, ask=asking.asker()))
    if as_json:
        printing.data(json.dumps(launching.plan_json(planned.plan), indent=2, ensure_ascii=False))
    elif by_hand:
        for line in by_hand_lines(planned.plan, hands):
            printing.data(line)
    else:
        for line in plan_lines(planned.plan, lambda part: shell_line(part, entry=False), hands):
            printing.data(line)
    for host, problem in planned.surveyed.problems.items():
        printing.error(f"{host}: {problem}")
    return Exit.CONNECT if planned.surveyed.problems else Exit.DONE
