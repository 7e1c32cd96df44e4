"""Opening what is kept of an attempt: its log, its facts, every file of it."""

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING

from console.desk.sheet_views import Tried
from console.tui.dialogs import Choose
from console.tui.link import Answer
from console.tui.screens.base import ConsoleScreen
from console.tui.screens.results import reading as asks
from console.tui.screens.results.reader import Reader
from console.tui.words import size

if TYPE_CHECKING:
    from console.desk.papers import Paper

_ORDER = ("log", "result", "facts", "vitals", "inspect", "file")


def which(screen: ConsoleScreen, tried: Sequence[Tried], then: Callable[[str], None]) -> None:
    """The attempt that is meant: asked where there are several."""
    if len(tried) == 1:
        then(tried[0].attempt)
        return
    options = [
        (
            item.attempt,
            f"repeat {item.repeat}, try {item.attempt_try}: {item.state} {item.text} {item.failure}".rstrip(),
        )
        for item in tried
    ]
    screen.app.push_screen(Choose("Of which attempt?", options), lambda got: then(got) if got else None)


def choose_file(screen: ConsoleScreen, attempt: str, kind: str = "") -> None:
    """Open a file of an attempt: the only one of its kind at once, else the one chosen from a list."""

    def ready(answer: Answer) -> None:
        if answer.error is not None:
            screen.app.say(answer.error, error=True)
            return
        paper: Paper = answer.value
        files = [item for item in paper.files if not kind or item.kind == kind]
        if not files:
            what = f"no {kind}" if kind else "no file"
            screen.app.say(f"{what} is kept of {attempt}: it ended before there was one", error=True)
        elif len(files) == 1:
            open_file(screen, paper, files[0].name)
        else:
            ordered = sorted(files, key=lambda item: _ORDER.index(item.kind))
            options = [(item.name, f"{item.kind:<8} {item.name}  {size(item.size)}") for item in ordered]
            screen.app.push_screen(
                Choose(f"Which file of {attempt}?", options),
                lambda name: open_file(screen, paper, name) if name else None,
            )

    screen.link.work(asks.paper(screen.link.settings, attempt), ready)


def open_file(screen: ConsoleScreen, paper: "Paper", name: str) -> None:
    """Show a file."""
    link, attempt = screen.link, paper.attempt

    def show(answer: Answer) -> None:
        if answer.error is not None:
            screen.app.say(answer.error, error=True)
        elif name.endswith(".log"):
            from console.tui.screens.results.log import LogReader

            screen.app.push_screen(LogReader(f"{attempt}  {name}", answer.value, link.work))
        else:
            window = Reader(f"{attempt}  {name}", answer.value, about=str(paper.folder / name))
            screen.app.push_screen(window, lambda taken: screen.app.copy(taken, name) if taken else None)

    if name.endswith(".log"):
        link.work(asks.log(link.settings, attempt, name.removesuffix(".log")), show)
    else:
        link.work(asks.text(link.settings, attempt, name), show)
