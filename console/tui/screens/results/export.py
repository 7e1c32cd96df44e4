"""Asking for a file's name and writing results to it, for any screen that has results to give."""

import re
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path

from console.tui.dialogs import AskText, Confirm
from console.tui.link import Answer
from console.tui.screens.base import ConsoleScreen
from console.tui.screens.results import reading as asks

Save = Callable[[Path], Callable[[], int]]
"""From a path to the blocking function that writes it and says how many rows it has."""
DEFAULT_ENDING = ".parquet"


def file_name(name: str, ending: str = DEFAULT_ENDING) -> str:
    """A label or an id as a file name."""
    return (re.sub(r"[^A-Za-z0-9._-]+", "-", name).strip("-.") or "results") + ending


def export(screen: ConsoleScreen, what: str, name: str, save: Save) -> None:
    """Ask where `what` goes, ask again before a file is written over, write it, say how it went."""

    def ready(answer: Answer) -> None:
        if answer.error is not None:
            screen.app.say(answer.error, error=True)
            return
        ask(screen, what, file_name(name), answer.value, save)

    screen.link.work(asks.endings, ready)


def ask(screen: ConsoleScreen, what: str, proposed: str, endings: Sequence[str], save: Save) -> None:
    """The name of the file; its ending chooses the format."""
    question = f"Write {what} to which file?  {' '.join(endings)}"

    def named(value: str | None) -> None:
        if value is None or not value.strip():
            return
        path = Path(value.strip()).expanduser().absolute()

        def checked(answer: Answer) -> None:
            if answer.error is not None:
                screen.app.say(answer.error, error=True)
                ask(screen, what, value, endings, save)
            elif answer.value:
                over = Confirm(f"{path} is there already.", "It would be replaced.", yes="replace it")
                screen.app.push_screen(over, lambda yes: _write(screen, path, save) if yes else None)
            else:
                _write(screen, path, save)

        screen.link.work(asks.check(path), checked)

    screen.app.push_screen(AskText(question, proposed, "name.ending"), named)


def _write(screen: ConsoleScreen, path: Path, save: Save) -> None:
    screen.link.work(save(path), partial(_written, screen, path))


def _written(screen: ConsoleScreen, path: Path, answer: Answer) -> None:
    if answer.error is not None:
        screen.app.say(answer.error, error=True)
    else:
        screen.app.say(f"wrote {answer.value} rows to {path}")
