"""Every key of the console in one list: what it does, on which screen, under which name it can be given another key.

Screens take their bindings from here, the footer, the help and the palette read them, `[keys]` of the configuration
changes them by name.
"""

from collections.abc import Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, NamedTuple

from textual.binding import Binding, BindingType

if TYPE_CHECKING:
    from console.desk.settings import Settings


class Key(NamedTuple):
    """One action. `id` is its lasting name; `hint` is the footer's word, empty for keys that only the help shows."""

    id: str
    keys: str
    action: str
    what: str
    hint: str = ""


EVERYWHERE = (
    Key("screen.fleet", "1", "go('fleet')", "The fleet: every host, what is wrong, what runs"),
    Key("screen.host", "2", "go('host')", "One host: facts, findings, GPUs, readings"),
    Key("screen.matrix", "3", "go('matrix')", "Matrices: choose cells and hosts, plan, start"),
    Key("screen.live", "4", "go('live')", "Live: what runs now, tokens/s, readings, logs"),
    Key("screen.results", "5", "go('results')", "Results beside the references"),
    Key("screen.runs", "6", "go('runs')", "Runs of now and before: resume, stop, clean"),
    Key("app.help", "question_mark,f1", "help", "Keys and what this screen shows", "help"),
    Key("app.palette", "ctrl+p,colon", "command_palette", "Everything that can be done now", "commands"),
    Key("app.theme", "f2", "next_theme", "Next theme"),
    Key("app.back", "escape", "back", "Back to where you came from"),
    Key("app.picture", "f12", "picture", "Save this screen as an SVG picture"),
    Key("app.reopen", "ctrl+r", "reopen", "Read the fleet file and the profiles again, and connect anew"),
    Key("app.quit", "q,ctrl+q", "quit", "Leave; runs go on without the console", "quit"),
)


def bindings(keys: Iterable[Key]) -> list[Binding]:
    """Textual's form of them; the footer is our own, so that none is shown twice."""
    return [Binding(key.keys, key.action, key.what, show=bool(key.hint), id=key.id) for key in keys]


def problems(settings: "Settings") -> tuple[str, ...]:
    """What is wrong with the keys of the configuration, a line each."""
    from console.desk.settings import key_problems

    return key_problems(settings)


def clashes(own: Iterable[Key], changed: Mapping[str, str]) -> Sequence[str]:
    """Keys that the configuration gives to two actions of a screen, those that work everywhere among them.

    What shares a key without the configuration does so on purpose: at most one of them is possible at a time.
    """
    taken: dict[str, list[Key]] = {}
    for key in (*own, *EVERYWHERE):
        for name in dict.fromkeys(part.strip() for part in changed.get(key.id, key.keys).split(",")):
            taken.setdefault(name, []).append(key)
    return [
        f"keys: {_NAMES.get(name, name)} is given to both {' and '.join(key.id for key in both)}"
        for name, both in taken.items()
        if len(both) > 1 and not all(name in key.keys.split(",") for key in both)
    ]


def of_widget(own: Iterable[BindingType]) -> list[Key]:
    """Keys of a table or a log, for the help."""
    return [
        Key(item.id, item.key, item.action, item.description.capitalize())
        for item in own
        if isinstance(item, Binding) and item.id is not None
    ]


def shown(key: Key, changed: Mapping[str, str]) -> str:
    """The key as a person reads it: the first of its keys, or what the configuration says instead."""
    return _named(changed.get(key.id, key.keys).split(",")[0])


def reopening(changed: Mapping[str, str]) -> str:
    """The key that reads the fleet file again, as a person reads it."""
    return shown(next(key for key in EVERYWHERE if key.action == "reopen"), changed)


def all_shown(key: Key, changed: Mapping[str, str]) -> str:
    """Every key of it."""
    return " ".join(map(_named, changed.get(key.id, key.keys).split(",")))


def _named(key: str) -> str:
    return _NAMES.get(key.strip(), key.strip())


_NAMES = {
    "question_mark": "?",
    "colon": ":",
    "slash": "/",
    "space": "space",
    "escape": "esc",
    "plus": "+",
    "minus": "-",
    "left_square_bracket": "[",
    "right_square_bracket": "]",
    "less_than_sign": "<",
    "greater_than_sign": ">",
    "full_stop": ".",
    "comma": ",",
    "equals_sign": "=",
    "pageup": "pgup",
    "pagedown": "pgdn",
}
