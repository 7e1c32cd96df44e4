"""`instinct health`: hosts held against their profiles, as a gate for monitors and job prologues."""

from collections.abc import Callable
from datetime import UTC, datetime
from functools import wraps
from pathlib import Path
from typing import TYPE_CHECKING, Any, NoReturn

import click
from click.shell_completion import CompletionItem

from console.cli import complete, exits, printing, times
from console.cli.framework import Front, Group, command, json_option, options, pass_front

if TYPE_CHECKING:
    from console.desk.health import Question
    from console.health.report import Report

USAGE = 3
"""Here 2 means that a host failed, so a wrong call ends like one that could not tell."""

FORMATS = ("table", "json", "junit", "prometheus", "nagios")
CHECK = "check"


class _Health(Group):
    """`instinct health HOSTS` and `instinct health ack …` in one: without a sub-command it is the check."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        """The check needs no word of its own."""
        return [name for name in super().list_commands(ctx) if name != CHECK]

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        """What does not begin with a sub-command is meant for the check."""
        if not args or args[0] not in self.commands:
            args = [CHECK, *args]
        return super().parse_args(ctx, args)

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        """The check keeps the name of the group in its help."""
        name, found, rest = super().resolve_command(ctx, args)
        return ("" if name == CHECK else name), found, rest

    def shell_complete(self, ctx: click.Context, incomplete: str) -> list[CompletionItem]:
        """Hosts come first; a sub-command is rarer."""
        hosts = complete.hosts(ctx, self.commands[CHECK].params[0], incomplete)
        return hosts + super().shell_complete(ctx, incomplete)

    def make_context(
        self, info_name: str | None, args: list[str], parent: click.Context | None = None, **extra: Any
    ) -> click.Context:
        """As click; a wrong call leaves with this command's own code."""
        try:
            return super().make_context(info_name, args, parent, **extra)
        except click.UsageError as error:
            _leave(error)

    def invoke(self, ctx: click.Context) -> Any:
        """As click; a wrong call leaves with this command's own code."""
        try:
            return super().invoke(ctx)
        except click.UsageError as error:
            _leave(error)


class _WrongCall(click.UsageError):
    exit_code = USAGE


def _leave(error: click.UsageError) -> NoReturn:
    raise _WrongCall(error.format_message(), error.ctx) from error


@click.group("health", cls=_Health, example="instinct health")
def main() -> None:
    """Hold hosts against their profiles, and let faults that were dealt with rest."""


def _own_code(function: Callable[..., int]) -> Callable[..., int]:
    """Expected errors end with the code that means 'could not tell'."""

    @wraps(function)
    def call(*args: Any, **kwargs: Any) -> int:
        try:
            return function(*args, **kwargs)
        except Exception as error:
            if isinstance(error, click.ClickException) or exits.code_of(error) is None:
                raise
            printing.error(exits.message_of(error))
            return USAGE

    return call


def _seconds(ctx: click.Context, param: click.Parameter, value: str | None) -> float | None:
    return None if value is None else times.seconds(value)


@command(
    CHECK,
    example="instinct health\n"
    "instinct health @rack2 --only kernel,links\n"
    "instinct health --local --expect idle --deadline 10s --fail-on fail    # job prologue\n"
    "instinct health --format prometheus -o /var/lib/node_exporter/instinct.prom",
)
@click.argument("hosts", required=False, metavar="[HOSTS]", shell_complete=complete.hosts)
@options(
    click.option("--local", is_flag=True, help="This machine, without SSH, agent, home folder or network."),
    click.option(
        "--bundle",
        "bundles",
        type=click.Path(path_type=Path, exists=True),
        multiple=True,
        help="A bundle of `instinct capture`, or a folder laid out as a host's root.",
    ),
    click.option("--only", metavar="CHECK,…", multiple=True, help="Checks or areas; beginnings and * match."),
    click.option("--skip", metavar="CHECK,…", multiple=True, help="Checks or areas to leave out."),
    click.option(
        "--expect",
        type=click.Choice(["any", "idle"]),
        default="any",
        show_default=True,
        help="idle: work on the GPUs is a failure (prologues); any: it is normal (monitors).",
    ),
    click.option("--server", metavar="NAME", help="Hold every host against this server profile."),
    click.option(
        "--format", "form", type=click.Choice(FORMATS), default="table", show_default=True, help="For whom it is."
    ),
    click.option("--output", "-o", type=click.Path(path_type=Path), metavar="FILE", help="Write there, in one step."),
    click.option(
        "--fail-on",
        type=click.Choice(["warn", "unknown", "fail"]),
        help="Leave with 1 when it is at least this bad, else with 0.",
    ),
    click.option("--deadline", metavar="TIME", callback=_seconds, help="What is not known by then is unknown: 10s."),
    click.option("--no-tools", is_flag=True, help="Leave amd-smi out: quicker, and no throttling or firmware."),
    click.option("--all", "everything", is_flag=True, help="Show what passes and what does not count, too."),
    click.option("--explain", metavar="CHECK", help="What a check, area or fault class means; all lists them."),
)
@json_option
@pass_front
@_own_code
def check(
    front: Front,
    hosts: str | None,
    local: bool,
    bundles: tuple[Path, ...],
    only: tuple[str, ...],
    skip: tuple[str, ...],
    expect: str,
    server: str | None,
    form: str,
    output: Path | None,
    fail_on: Any,
    deadline: float | None,
    no_tools: bool,
    everything: bool,
    explain: str | None,
    as_json: bool,
) -> int:
    """Check hosts against their server profiles, their own exceptions, and each other. Nothing is ever changed.

    Exit codes: 0 pass, 1 warn, 2 fail, 3 unknown or wrong call; fail before unknown before warn, and the worst host
    wins. Only required checks count as unknown. See also: instinct health ack --help.
    """
    from console.desk.health import Question
    from console.health.report import Selection

    if explain is not None:
        return _explain(explain, as_json=as_json)
    if sum((hosts is not None, local, bool(bundles))) > 1:
        raise click.UsageError("HOSTS, --local and --bundle exclude each other")
    question = Question(
        selection=Selection(_names(only), _names(skip)),
        expect_idle=expect == "idle",
        server=server,
        tools=not no_tools,
        deadline_s=deadline,
    )
    report = _report(front, hosts, local, bundles, question)
    _print(report, "json" if as_json else form, output, everything=everything)
    from console.health.report import exit_code, fails_on

    return int(fails_on(report, fail_on)) if fail_on else exit_code(report)


def _report(front: Front, hosts: str | None, local: bool, bundles: tuple[Path, ...], question: "Question") -> "Report":
    from console.desk import health

    settings = front.settings()
    if local:
        return health.check_local(settings, question)
    if bundles:
        return health.check_bundles(settings, bundles, question)
    from console.cli import asking
    from console.desk import desk, looking

    fleet = desk.fleet(settings)
    return looking.check_fleet(settings, fleet, desk.hosts(fleet, hosts), question, asking.asker())


def _print(report: "Report", form: str, output: Path | None, *, everything: bool) -> None:
    from console.cli import health_text
    from console.health.formats import RENDERERS, replace

    if output is not None:
        if form == "table":
            raise click.UsageError("-o needs --format json, junit, prometheus or nagios")
        try:
            replace(output, RENDERERS[form](report))
        except OSError as error:
            raise click.FileError(str(output), error.strerror or str(error)) from None
        printing.note(f"{output}: {health_text.summary(report)}")
    elif form == "table":
        health_text.print_report(report, everything=everything)
    else:
        printing.data(RENDERERS[form](report), nl=False)


def _explain(name: str, *, as_json: bool) -> int:
    from console.cli import health_text

    if health_text.explain(name, as_json=as_json):
        return 0
    raise click.UsageError(f"no check, area or fault class is called {name!r}; --explain all lists the checks")


def _names(said: tuple[str, ...]) -> tuple[str, ...]:
    return tuple(name.strip() for item in said for name in item.split(",") if name.strip())


@command(
    "ack",
    example="instinct health ack node07 gpu-reset@0000:0f:00.0 --reason 'module replaced, ticket 4711'\n"
    "instinct health ack --list",
)
@click.argument("host", required=False, shell_complete=complete.hosts)
@click.argument("fault", required=False, metavar="[CLASS[@ADDRESS][#MARK]]")
@click.option("--reason", help="Why it may rest.")
@click.option("--until", metavar="TIME", help="Faults up to this ISO time (UTC unless it says) rest; now unless given.")
@click.option("--remove", is_flag=True, help="Take the acknowledgement back.")
@click.option("--list", "listing", is_flag=True, help="List what is acknowledged.")
@json_option
@pass_front
@_own_code
def ack(
    front: Front,
    host: str | None,
    fault: str | None,
    reason: str | None,
    until: str | None,
    remove: bool,
    listing: bool,
    as_json: bool,
) -> int:
    """Let a kernel-log fault rest that somebody has dealt with. When it happens again it is found again.

    Lines without a time rest by the mark that the finding shows: those very lines, in this boot of the host.
    """
    from console.desk import acks

    settings = front.settings()
    if listing:
        found = acks.load(settings)
        if as_json:
            printing.json_rows("acknowledged", found)
        else:
            columns = [printing.Column(name) for name in ("host", "class", "address", "until")]
            named = [(item, f"{item.rule}#{item.mark}" if item.mark else item.rule) for item in found]
            rows = [(item.host, name, item.bdf or "any", times.iso(item.until_ns), item.reason) for item, name in named]
            printing.table([*columns, printing.Column("reason", shrink=True)], rows)
        return 0
    if host is None or fault is None:
        raise click.UsageError("name a host and a fault class, as `instinct health` shows them, or --list")
    if remove:
        if not acks.remove(settings, host, fault):
            raise click.UsageError(f"{fault} of {host} is not acknowledged")
        printing.note(f"{host}: {fault} counts again")
        return 0
    if not reason:
        raise click.UsageError("say why with --reason")
    done = acks.add(settings, host, fault, reason, _until_ns(until))
    printing.note(f"{host}: {done.rule}{f' on {done.bdf}' if done.bdf else ''} rests up to {times.iso(done.until_ns)}")
    return 0


def _until_ns(text: str | None) -> int | None:
    if text is None:
        return None
    try:
        at = datetime.fromisoformat(text)
    except ValueError:
        raise click.BadParameter(f"{text!r} is no ISO time; write 2026-03-01T06:00Z") from None
    return round((at if at.tzinfo else at.replace(tzinfo=UTC)).timestamp() * 1e9)


for _each in (check, ack):
    main.add_command(_each)
