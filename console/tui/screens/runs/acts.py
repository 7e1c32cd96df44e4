"""What the Runs screen does: resume, stop, clean. Each is asked about first, and none waits for the network here."""

from collections.abc import Mapping
from functools import partial
from typing import TYPE_CHECKING, Any

from console.tui.dialogs import Confirm
from console.tui.link import Answer, Core
from console.tui.screens.base import ConsoleScreen
from console.tui.screens.results.reader import Reader
from console.tui.screens.runs.detail import leftovers
from console.tui.screens.runs.rows import Now

if TYPE_CHECKING:
    from console.desk.cleaning import Cleaned, Leftover
    from console.desk.history import RunSummary

SHOWN = 12
"""Most containers named in the question before they are removed; the rest is counted."""


def resume(screen: ConsoleScreen, run: "RunSummary", standing: Now) -> None:
    """A conductor for a run that nobody conducts; who conducts it when somebody does."""
    name = run.run

    async def resume_run(core: Core) -> None:
        from console.desk import steering

        await steering.resume(core.settings, name)

    def told(answer: Answer) -> None:
        if answer.error is not None:
            screen.app.say(answer.error, error=True)
        else:
            screen.app.say(f"{name} goes on; it does not need this console")

    if standing.state not in ("left", "ended", "stopped", "finished"):
        who = f"process {run.conductor_pid} on {run.conductor_machine}"
        screen.app.say(f"{name} is conducted by {who}; there is nothing to resume, but it can be watched", error=True)
        return
    screen.app.say(f"resuming {name} …")
    screen.link.ask(resume_run, told)


def stop(screen: ConsoleScreen, run: "RunSummary", standing: Now) -> None:
    """End everything of a run, when it was meant so."""
    name = run.run

    async def stop_run(core: Core) -> Any:
        from console.desk import steering

        return await steering.stop(core.settings, name)

    def told(answer: Answer) -> None:
        if answer.error is not None:
            screen.app.say(answer.error, error=True)
        elif answer.value.done:
            screen.app.say(f"{name} is being stopped: what runs is ended and collected")
        else:
            screen.app.say(f"{name} had ended already")

    def answered(yes: bool | None) -> None:
        if yes:
            screen.link.ask(stop_run, told)

    waiting = standing.open - standing.active
    detail = f"{standing.active} attempts at work are ended and collected, {waiting} are not started."
    if standing.state == "left":
        detail = f"Nobody conducts it: a conductor is started that ends what runs. {standing.open} attempts are open."
    if run.operator:
        detail += f"\nIt was started by {run.operator}."
    question = f"Stop the whole run {name} {run.label}".rstrip() + "?"
    screen.app.push_screen(Confirm(question, detail, yes="stop the run"), answered)


def clean(screen: ConsoleScreen) -> None:
    """Look at every host for what ended attempts left there, show it, remove it when that is agreed to."""

    async def look_for_leftovers(core: Core) -> Any:
        from console.desk import cleaning

        return await cleaning.clean(core.settings, None, remove=False, site=core.site)

    def told(answer: Answer) -> None:
        if answer.error is not None:
            screen.app.say(answer.error, error=True)
        else:
            _ask_to_remove(screen, answer.value)

    screen.app.say("looking at the hosts for what was left behind …")
    screen.link.ask(look_for_leftovers, told)


def _ask_to_remove(screen: ConsoleScreen, seen: "Cleaned") -> None:
    going, staying = leftovers(seen.found, seen.problems)
    if not going:
        _nothing(screen, staying, seen.problems)
        return
    agreed = tuple(item for item in seen.found if item.standing == "left")
    lines = [*going[:SHOWN], *([f"… and {len(going) - SHOWN} more"] if going[SHOWN:] else [])]
    if staying:
        lines += [
            "",
            "Left alone:",
            *staying[:SHOWN],
            *([f"… and {len(staying) - SHOWN} more"] if staying[SHOWN:] else []),
        ]
    hosts = len({item.host for item in agreed})
    question = f"Remove {len(going)} container{'s' if going[1:] else ''} on {hosts} host{'s' if hosts > 1 else ''}?"
    screen.app.push_screen(
        Confirm(question, "\n".join(lines), yes="remove them" if going[1:] else "remove it"),
        lambda yes: _remove(screen, agreed) if yes else None,
    )


def _nothing(screen: ConsoleScreen, staying: list[str], problems: Mapping[str, str]) -> None:
    if staying:
        title = "Nothing of this store's ended runs is left on the hosts that answered. Seen and left alone:"
        about = f"{len(problems)} hosts could not be asked" if problems else "in use, or somebody else's"
        screen.app.push_screen(Reader(title, staying, about=about), partial(_copied, screen))
    else:
        screen.app.say("nothing was left behind on any host")


def _copied(screen: ConsoleScreen, taken: str | None) -> None:
    if taken:
        screen.app.copy(taken, "what was seen")


def _remove(screen: ConsoleScreen, agreed: "tuple[Leftover, ...]") -> None:
    async def remove_leftovers(core: Core) -> Any:
        from console.desk import cleaning

        hosts = ",".join(dict.fromkeys(item.host for item in agreed))
        return await cleaning.clean(core.settings, hosts, remove=True, site=core.site, only=agreed)

    def told(answer: Answer) -> None:
        if answer.error is not None:
            screen.app.say(answer.error, error=True)
            return
        removed = sum(item.removed for item in answer.value.found)
        said = f"removed {removed} of {len(agreed)} containers"
        problems = [f"{host}: {problem}" for host, problem in answer.value.problems.items()]
        screen.app.say("; ".join([said, *problems]), error=bool(problems) or removed < len(agreed))

    screen.link.ask(remove_leftovers, told)
