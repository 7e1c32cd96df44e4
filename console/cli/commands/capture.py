"""`instinct capture`: everything a probe reads of a host, as one file."""

from pathlib import Path

import click

from console.cli import asking, complete, printing
from console.cli.framework import Front, command, options, pass_front


@command("capture", example="instinct capture node07 -o node07.tar.gz --redact\ninstinct status --bundle node07.tar.gz")
@click.argument("host", shell_complete=complete.hosts)
@options(
    click.option(
        "--output", "-o", type=click.Path(path_type=Path), required=True, metavar="FILE.tar.gz", help="The bundle."
    ),
    click.option("--redact", is_flag=True, help="Replace serial numbers, addresses, host and account names, tokens."),
)
@pass_front
def main(front: Front, host: str, output: Path, redact: bool) -> None:
    """Keep what a probe reads of a host as one file, readable by you alone, to look at without the host.

    `status`, `health` and `status --diff` work from it with --bundle. It has the kernel's log and what its commands
    print; --redact replaces what names a machine, a network or a person.
    """
    from console.desk import capturing

    done = capturing.capture(front.settings(), host, output, redact=redact, ask=asking.asker())
    printing.note(f"{output}: {done.sections} sections of {done.host}, {done.size} bytes")
    for name in done.unread:
        printing.note(f"{output}: {name} could not be read")
