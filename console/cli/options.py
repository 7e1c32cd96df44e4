"""What `plan`, `fetch` and `run` share: which cells, on which hosts, how often, and what to do about obstacles."""

from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any, TypeVar

import click

from console.cli import complete, times
from console.cli.framework import options

if TYPE_CHECKING:
    from console.runs.request import Request

F = TypeVar("F", bound=Callable[..., Any])


def _changes(ctx: click.Context, param: click.Parameter, value: tuple[str, ...]) -> Mapping[str, str]:
    changes: dict[str, str] = {}
    for item in value:
        key, equals, text = item.partition("=")
        if not equals or not key.strip():
            raise click.BadParameter(f"{item!r} is not KEY=VALUE")
        if key.strip() in changes:
            raise click.BadParameter(f"{key.strip()!r} is set twice")
        changes[key.strip()] = text.strip()
    return changes


def _expression(ctx: click.Context, param: click.Parameter, value: str | None) -> str | None:
    if value is not None and not value.strip():
        raise click.BadParameter("it is empty; leave it out to take every cell")
    return value


def _if_busy(ctx: click.Context, param: click.Parameter, value: str) -> str:
    word, equals, text = value.partition("=")
    if word == "skip" and not equals:
        return "skip"
    if word == "wait":
        return f"wait={times.seconds(text):g}" if equals else "wait"
    raise click.BadParameter(f"{value!r} is not skip, wait or wait=TIME")


def _until(ctx: click.Context, param: click.Parameter, value: str | None) -> int | None:
    return None if value is None else times.moment_ns(value, datetime.now(UTC))


matrices_argument = click.argument(
    "matrices", nargs=-1, required=True, metavar="MATRIX...", shell_complete=complete.matrices
)


def cell_options(function: F) -> F:
    """The options of `plan`, `fetch` and `run`; `request` makes the request of what they say."""
    decorate: Callable[[F], F] = options(
        click.option(
            "--hosts",
            metavar="SEL",
            shell_complete=complete.hosts,
            help="Names, @groups, globs, ranges, comma between; !x excludes. Default: every host of the fleet.",
        ),
        click.option(
            "--only", metavar="EXPR", callback=_expression, help="Cells to take: 'model~70B and output_len==2048'."
        ),
        click.option("--image", metavar="TAG", help="Another image: a name of the catalog or a reference."),
        click.option(
            "--set", "changes", metavar="KEY=VALUE", multiple=True, callback=_changes, help="Change a parameter."
        ),
        click.option(
            "--place",
            type=click.Choice(["each", "spread"]),
            default="each",
            show_default=True,
            help="each: every cell on every host; spread: each cell once, on the next free host.",
        ),
        click.option(
            "--repeat", type=click.IntRange(1, 1000), default=1, show_default=True, metavar="N", help="Repeats."
        ),
        click.option(
            "--if-busy",
            default="skip",
            show_default=True,
            metavar="skip|wait[=TIME]",
            callback=_if_busy,
            help="When somebody else holds a host.",
        ),
        click.option(
            "--accept",
            metavar="CHECK",
            multiple=True,
            help="Run although this check spoils the figure; the figure stays spoiled.",
        ),
        click.option("--all-or-none", is_flag=True, help="Start nothing when any cell is blocked."),
        click.option(
            "--until",
            "until_ns",
            metavar="TIME",
            callback=_until,
            help="Start nothing after 18:30, an ISO time, or +2h.",
        ),
    )
    return decorate(function)


def request(matrices: tuple[str, ...], said: Mapping[str, Any], **more: Any) -> "Request":
    """The request of what the shared options said."""
    from console.runs.request import Request

    return Request(matrices=matrices, **{**said, "accept": tuple(said.get("accept", ())), **more})
