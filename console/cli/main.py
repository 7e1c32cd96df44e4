"""The `instinct` command: its groups, and the one place where errors become messages and exit codes."""

import contextlib
import os
import sys
from collections.abc import Sequence

import click

from console import __version__
from console.cli import exits, printing, screens
from console.cli.exits import Exit
from console.cli.framework import Front, LazyGroup, OpenConsole, remember

_AT = "console.cli.commands."

COMMANDS = {
    "demo": (_AT + "demo", "Run every shipped matrix on the embedded lab."),
    "lab": (_AT + "lab", "The embedded lab alone: simulated hosts on loopback."),
    "hosts": (_AT + "hosts", "The fleet: list, add, trust, test, sign in."),
    "status": (_AT + "status", "Hardware, driver, load and health of the hosts."),
    "health": (_AT + "health", "Hosts held against their profiles: a gate for monitors."),
    "capture": (_AT + "capture", "Everything a probe reads of a host, as one file."),
    "profiles": (_AT + "profiles", "The catalog: matrices, servers, GPUs, images, models."),
    "plan": (_AT + "plan", "Dry run: what would run where, exactly."),
    "fetch": (_AT + "fetch", "Bring images and models onto the hosts."),
    "run": (_AT + "run", "Run matrices; live tokens/s, then the result table."),
    "watch": (_AT + "watch", "Follow a run from any terminal."),
    "runs": (_AT + "runs", "List runs."),
    "stop": (_AT + "stop", "Stop a run."),
    "clean": (_AT + "clean", "Remove containers that runs of yours left behind."),
    "results": (_AT + "results", "Result tables with reference, ratio and verdict."),
    "compare": (_AT + "compare", "Two runs side by side."),
    "export": (_AT + "export", "Write results; the file ending chooses the format."),
    "read-log": (_AT + "read_log", "Phases, samples and result of a log made by hand."),
    "config": (_AT + "config", "Configuration, and where each value came from."),
    "info": (_AT + "info", "What a bug report needs."),
}


@click.command(
    "instinct",
    cls=LazyGroup,
    lazy=COMMANDS,
    example="instinct demo\ninstinct run vllm-0.8.5-throughput --hosts node01",
    invoke_without_command=True,
    context_settings={"help_option_names": ["-h", "--help"]},
)
@click.option("--theme", metavar="NAME", expose_value=False, callback=remember, help="Theme of the console.")
@click.option("--ascii", is_flag=True, expose_value=False, callback=remember, help="Draw with ASCII alone.")
@click.option(
    "--read-only", is_flag=True, expose_value=False, callback=remember, help="Start, stop and remove nothing."
)
@click.version_option(__version__, "--version", "-V", message="instinct %(version)s")
@click.pass_context
def cli(ctx: click.Context) -> Exit | None:
    """A console for AMD Instinct GPU servers: benchmark matrices on a fleet over SSH, live tokens/s, result tables.

    Without a command it opens the console's screens, when stdin and stdout are a terminal.
    Nothing is installed on a host: sshd and a Docker engine are enough. Data is printed on stdout, everything else
    on stderr. Exit codes: 0 done, 1 a cell failed or was not run, 2 usage or configuration, 3 could not connect,
    130 interrupted.
    """
    front = ctx.ensure_object(Front)
    if os.environ.get("NO_COLOR"):
        ctx.color = False
    if ctx.invoked_subcommand is not None:
        return None
    if not front.opens_console:
        printing.data(ctx.get_help())
        return None
    screens.stay(front, front.settings())
    return Exit.DONE


def run(argv: Sequence[str], open_console: OpenConsole | None = None) -> int:
    """Run the command line; returns the exit code. Expected errors become one message on stderr.

    `open_console` opens the screens; this front does not know them.
    """
    printing.give_streams()
    for stream in (sys.stdout, sys.stderr):
        with contextlib.suppress(AttributeError, ValueError):  # a stream that tests or embedders put there
            stream.reconfigure(errors="replace")  # type: ignore[union-attr]  # an odd locale must not cost the output
    try:
        code = cli.main(args=list(argv), prog_name="instinct", standalone_mode=False, obj=Front(open_console))
        sys.stdout.flush()
    except click.exceptions.Abort:
        printing.error("interrupted")
        return Exit.INTERRUPTED
    except click.UsageError as error:
        error.show()
        return error.exit_code  # 2, unless the command has a code of its own for it
    except click.ClickException as error:
        printing.error(error.format_message())
        return Exit.USAGE
    except (Exception, KeyboardInterrupt) as error:
        known = exits.code_of(error)
        if printing.is_unheard(error):  # the reader of our output left
            printing.silence(sys.stdout)
            return Exit.CELL
        if printing.is_no_room(error):
            printing.silence(sys.stdout)
            printing.error(f"{getattr(error, 'filename', None) or 'stdout'}: {getattr(error, 'strerror', error)}")
            return Exit.CELL
        if known is None:
            printing.note("instinct: an error nobody planned for; `instinct info` has what a report needs")
            raise
        printing.error("interrupted" if known is Exit.INTERRUPTED else exits.message_of(error))
        return known
    return int(code) if isinstance(code, int) else Exit.DONE
