"""`instinct clean`: remove what runs left behind."""

import asyncio

import click

from console.cli import complete, printing
from console.cli.exits import Exit
from console.cli.framework import Front, command, json_option, pass_front
from console.cli.printing import Column


@command("clean", example="instinct clean --dry-run\ninstinct clean node01")
@click.argument("hosts", required=False, metavar="[HOSTS]", shell_complete=complete.hosts)
@click.option("--dry-run", is_flag=True, help="Only say what would be removed.")
@json_option
@pass_front
def main(front: Front, hosts: str | None, dry_run: bool, as_json: bool) -> Exit:
    """Remove containers that ended attempts of this store left on the hosts.

    A container whose run is open, that another store started, or that is anyone else's is named and left alone.
    """
    from console.desk import cleaning

    done = asyncio.run(cleaning.clean(front.settings(), hosts, remove=not dry_run))
    if as_json:
        printing.json_object({"containers": list(done.found), "problems": dict(done.problems)})
    elif done.found:
        columns = [Column("host"), Column("container"), Column("run"), Column("state"), Column("what"), Column("why")]
        rows = [
            (item.host, item.container, item.run, item.container_state, _what(item.standing, item.removed), item.why)
            for item in done.found
        ]
        printing.table(columns, rows)
    elif not done.problems:
        printing.note("nothing was left behind")
    for host, problem in done.problems.items():
        printing.error(f"{host}: {problem}")
    return Exit.CONNECT if done.problems else Exit.DONE


def _what(standing: str, removed: bool) -> str:
    return "removed" if removed else "would be removed" if standing == "left" else standing
