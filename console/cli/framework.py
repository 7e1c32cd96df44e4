"""How commands are declared: help that starts with an example, shared options everywhere, files imported when used."""

import importlib
import os
import sys
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import click

if TYPE_CHECKING:
    from console.desk.settings import Settings

F = TypeVar("F", bound=Callable[..., Any])

OpenConsole = Callable[..., tuple[str, ...]]
"""Opens the screens on settings, and on the screen named `start`; comes back with the runs that go on without it."""


class Front:
    """What was said on the command line before any room is asked. Filled while options are parsed, read afterwards."""

    def __init__(self, open_console: "OpenConsole | None" = None) -> None:
        self.open_console = open_console
        self.theme: str | None = None
        self.ascii = False
        self.read_only = False
        self.fleet: Path | None = None
        self.store: Path | None = None
        self.config: Path | None = None
        self.profiles: tuple[Path, ...] = ()
        self.no_color = False

    def settings(self) -> "Settings":
        """The configuration in force. Raises SettingsError."""
        from console.desk.settings import Options, load

        return load(
            Options(
                config=self.config,
                fleet=self.fleet,
                store=self.store,
                profiles=self.profiles,
                theme=self.theme,
                ascii=self.ascii,
                read_only=self.read_only,
            )
        )

    @property
    def opens_console(self) -> bool:
        """True when there are screens, and a terminal to show them on."""
        if self.open_console is None or os.environ.get("TERM") == "dumb":
            return False
        return all(stream is not None and stream.isatty() for stream in (sys.stdin, sys.stdout))


pass_front = click.make_pass_decorator(Front, ensure=True)


def remember(ctx: click.Context, param: click.Parameter, value: Any) -> None:
    """Keep an option that says how things are done, for whichever command follows."""
    if value in (None, False, ()):
        return
    setattr(ctx.ensure_object(Front), str(param.name), value)
    if param.name == "no_color":
        os.environ["NO_COLOR"] = "1"  # for this process and every library it asks
        ctx.find_root().color = False


def _shared() -> list[click.Parameter]:
    path = click.Path(path_type=Path)
    shared: dict[str, Any] = {"expose_value": False, "callback": remember}
    return [
        click.Option(["--fleet"], type=path, metavar="FILE", help="Fleet file to use.", **shared),
        click.Option(["--store"], type=path, metavar="DIR", help="Folder of journal, logs and result files.", **shared),
        click.Option(["--config"], type=path, metavar="PATH", help="Configuration file, or its folder.", **shared),
        click.Option(
            ["--profiles"],
            type=path,
            metavar="DIR",
            multiple=True,
            help="Folder of own profiles beside the shipped ones.",
            **shared,
        ),
        click.Option(["--no-color"], is_flag=True, help="No colours; NO_COLOR does the same.", **shared),
    ]


class _Helped(click.Command):
    """Help starts with an example; the options every command shares stand apart at the end."""

    def __init__(self, *args: Any, example: str = "", **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.example = example

    def get_params(self, ctx: click.Context) -> list[click.Parameter]:
        """The command's own parameters, then the shared ones it does not define itself."""
        own = super().get_params(ctx)
        taken = {param.name for param in own}
        return own + [param for param in _shared() if param.name not in taken]

    def format_help(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """Example, usage, what it does, options."""
        if self.example:
            with formatter.section("Example"):
                for line in self.example.splitlines():
                    formatter.write(f"  {line}\n")
            formatter.write_paragraph()
        super().format_help(ctx, formatter)

    def format_options(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """Own options first, shared ones in a section of their own."""
        shared_names = {param.name for param in _shared()} - {param.name for param in self.params}
        own: list[tuple[str, str]] = []
        shared: list[tuple[str, str]] = []
        for param in self.get_params(ctx):
            record = param.get_help_record(ctx)
            if record is not None:
                (shared if param.name in shared_names else own).append(record)
        if own:
            with formatter.section("Options"):
                formatter.write_dl(own)
        if isinstance(self, click.Group):
            self.format_commands(ctx, formatter)
        if shared:
            with formatter.section("Shared options"):
                formatter.write_dl(shared)


class Command(_Helped):
    """A leaf command."""


class Group(_Helped, click.Group):
    """A group of commands of this kind."""

    command_class = Command

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        """As click, with the nearest names when there is no such command."""
        if args and self.get_command(ctx, args[0]) is None and not args[0].startswith("-"):
            import difflib

            near = difflib.get_close_matches(args[0], self.list_commands(ctx), n=2)
            hint = f" Did you mean {' or '.join(map(repr, near))}?" if near else ""
            ctx.fail(f"No such command {args[0]!r}.{hint}")
        return super().resolve_command(ctx, args)


Group.group_class = Group


class LazyGroup(Group):
    """A group that imports a command's file when the command is used. Short helps stand here for the overview."""

    def __init__(self, *args: Any, lazy: Mapping[str, tuple[str, str]], **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.lazy = lazy

    def list_commands(self, ctx: click.Context) -> list[str]:
        """In the order of the table: the order of a day's work."""
        return list(self.lazy)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        """Import the one file and take its `main`."""
        if cmd_name not in self.lazy:
            return None
        command: click.Command = importlib.import_module(self.lazy[cmd_name][0]).main
        return command

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """The overview, without importing any command."""
        with formatter.section("Commands"):
            formatter.write_dl([(name, short) for name, (_, short) in self.lazy.items()])


def command(name: str, *, example: str) -> Callable[[Callable[..., Any]], Command]:
    """A command whose help starts with an example."""
    return click.command(name, cls=Command, example=example)


def group(name: str, *, example: str, **attrs: Any) -> Callable[[Callable[..., Any]], Group]:
    """A group whose help starts with an example."""
    return click.group(name, cls=Group, example=example, **attrs)


def options(*decorators: Callable[[F], F]) -> Callable[[F], F]:
    """Several options as one decorator, in reading order."""

    def decorate(function: F) -> F:
        for decorator in reversed(decorators):
            function = decorator(function)
        return function

    return decorate


json_option = click.option("--json", "as_json", is_flag=True, help="Print JSON.")
