"""Every command's help starts with an example of that command."""

from collections.abc import Iterator

import click
import pytest

from console.cli.main import COMMANDS, cli


def walk(command: click.Command, path: tuple[str, ...]) -> Iterator[tuple[tuple[str, ...], click.Command]]:
    yield path, command
    if isinstance(command, click.Group):
        ctx = click.Context(command)
        for name in command.list_commands(ctx):
            inner = command.get_command(ctx, name)
            assert inner is not None
            yield from walk(inner, (*path, name))


EVERY = [(path, command) for path, command in walk(cli, ("instinct",)) if not command.hidden]


@pytest.mark.parametrize(("path", "command"), EVERY, ids=[" ".join(path) for path, _ in EVERY])
def test_help_starts_with_an_example_of_the_command(path: tuple[str, ...], command: click.Command) -> None:
    with click.Context(command, info_name=" ".join(path)) as ctx:
        lines = command.get_help(ctx).splitlines()

    assert lines[0] == "Example:"
    assert " ".join(path) in lines[1]
    assert any(line.startswith("Usage: ") for line in lines)


@pytest.mark.parametrize(("path", "command"), EVERY, ids=[" ".join(path) for path, _ in EVERY])
def test_every_parameter_says_what_it_is(path: tuple[str, ...], command: click.Command) -> None:
    with click.Context(command) as ctx:
        options = [param for param in command.get_params(ctx) if isinstance(param, click.Option) and not param.hidden]

    assert [option.opts for option in options if not option.help] == []


def test_the_overview_names_the_commands_of_the_design() -> None:
    design = (
        "demo lab hosts status health capture profiles plan fetch run watch runs stop clean results compare export"
        " read-log config info"
    )

    assert set(design.split()) == set(COMMANDS)


@pytest.mark.parametrize("name", COMMANDS)
def test_a_command_has_the_name_it_is_listed_by(name: str) -> None:
    command = cli.get_command(click.Context(cli), name)

    assert command is not None
    assert command.name == name
    assert command.help


@pytest.mark.parametrize("name", ["plan", "fetch", "run"])
def test_plan_fetch_and_run_share_their_options(name: str) -> None:
    command = cli.get_command(click.Context(cli), name)
    assert command is not None
    names = {opt for param in command.params for opt in param.opts}

    shared = "--hosts --only --image --set --place --repeat --if-busy --accept --all-or-none --until"
    assert set(shared.split()) <= names
