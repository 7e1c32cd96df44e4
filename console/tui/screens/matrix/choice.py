"""What was chosen of a matrix: which cells, under which image, where and how often. Pure.

One record holds it, so that a plan can tell whether it is still about what is chosen.
"""

import shlex
from collections.abc import Collection, Mapping, Sequence
from pathlib import Path
from typing import Literal

import msgspec

from console.catalog.errors import CatalogError
from console.desk.matrices import Entry, selected
from console.desk.settings import Settings
from console.fleet.host import Host
from console.runs.request import Request

BUSY: tuple[tuple[str, str], ...] = (
    ("skip", "leave it out: the row says who holds it"),
    ("wait=600", "wait up to 10 minutes"),
    ("wait=3600", "wait up to an hour"),
    ("wait=14400", "wait up to 4 hours"),
    ("wait", "wait until it is free"),
)
"""What to do about a host that somebody else holds, in the words of `--if-busy`."""


class Choice(msgspec.Struct, frozen=True, kw_only=True):
    """Cells and conditions of a run to be. `hosts` None: every host of the fleet file. `filter` is what is shown."""

    matrix: str
    ticked: frozenset[str] = frozenset()
    filter: str = ""
    image: str | None = None
    hosts: str | None = None
    place: Literal["each", "spread"] = "each"
    repeat: int = 1
    if_busy: str = "skip"
    accept: tuple[str, ...] = ()
    fetch: bool = False
    all_or_none: bool = False
    label: str = ""
    changes: tuple[tuple[str, str], ...] = ()

    def with_ticks(self, cells: Collection[str], *, on: bool) -> "Choice":
        """The cells ticked, or not ticked any more."""
        ticked = self.ticked | set(cells) if on else self.ticked - set(cells)
        return msgspec.structs.replace(self, ticked=frozenset(ticked))

    def plans_alike(self, other: "Choice") -> bool:
        """True when a plan for one is a plan for the other: what is shown, and the run's name, do not matter."""
        return _planned(self) == _planned(other)


def _planned(choice: Choice) -> Choice:
    return msgspec.structs.replace(choice, filter="", label="")


def first(entry: Entry, fleet: Sequence[Host]) -> Choice:
    """How one begins: nothing ticked, on the hosts whose GPUs the figures are of."""
    return Choice(matrix=entry.matrix.name, hosts=expression_of(entry.hosts, fleet) if entry.hosts else None)


def expression_of(names: Collection[str], fleet: Sequence[Host]) -> str | None:
    """Hosts as a person would name them: None for all, a group that is just them, else their names."""
    wanted = set(names)
    if wanted >= {host.name for host in fleet}:
        return None
    groups: dict[str, set[str]] = {}
    for host in fleet:
        for group in host.groups:
            groups.setdefault(group, set()).add(host.name)
    same = sorted(group for group, members in groups.items() if members == wanted)
    return f"@{same[0]}" if same else ",".join(host.name for host in fleet if host.name in wanted)


def only(choice: Choice, entry: Entry) -> str | None:
    """The ticked cells as an expression of `--only`: the filter where it says the same, else their ids."""
    cells = [cell.id for cell in entry.matrix.cells]
    ticked = [cell for cell in cells if cell in choice.ticked]
    if len(ticked) == len(cells):
        return None
    if choice.filter and _same(entry, choice.filter, choice.ticked):
        return choice.filter
    if len(ticked) == 1:
        return f"id == {ticked[0]}"
    left = [cell for cell in cells if cell not in choice.ticked]
    if len(left) == 1:
        return f"id != {left[0]}"
    return f"id not in ({', '.join(left)})" if len(left) < len(ticked) else f"id in ({', '.join(ticked)})"


def _same(entry: Entry, expression: str, ticked: Collection[str]) -> bool:
    try:
        return selected(entry.matrix, expression) == ticked
    except CatalogError:  # half typed
        return False


def request(choice: Choice, entry: Entry) -> Request:
    """What is asked of the planner."""
    return Request(
        matrices=(choice.matrix,),
        hosts=choice.hosts,
        only=only(choice, entry),
        image=choice.image,
        changes=dict(choice.changes),
        place=choice.place,
        repeat=choice.repeat,
        if_busy=choice.if_busy,
        accept=choice.accept,
        all_or_none=choice.all_or_none,
        label=choice.label,
        fetch=choice.fetch,
    )


def command(asked: Request, settings: Settings | None = None, verb: str = "run") -> str:
    """The command that does the same from a shell."""
    words = ["instinct", verb, *asked.matrices]
    said: Mapping[str, str | None] = {
        "--hosts": asked.hosts,
        "--only": asked.only,
        "--image": asked.image,
        "--place": asked.place if asked.place != "each" else None,
        "--repeat": str(asked.repeat) if asked.repeat != 1 else None,
        "--if-busy": asked.if_busy if asked.if_busy != "skip" else None,
        "--label": asked.label or None,
    }
    for option, value in said.items():
        words += [option, value] if value is not None else []
    for name, value in asked.changes.items():
        words += ["--set", f"{name}={value}"]
    for check in asked.accept:
        words += ["--accept", check]
    words += ["--all-or-none"] if asked.all_or_none else []
    words += ["--fetch"] if asked.fetch and verb == "run" else []
    for option, file in _places(settings):
        words += [option, str(file)]
    return shlex.join(words)


def _places(settings: Settings | None) -> Sequence[tuple[str, Path]]:
    """Files this console was opened with; a shell knows those of environment and configuration by itself."""
    if settings is None:
        return ()
    named = (("--fleet", settings.fleet), ("--store", settings.store))
    return [(option, setting.value) for option, setting in named if setting.origin == "option"]


def changes_of(text: str) -> tuple[tuple[str, str], ...]:
    """`max_num_seqs=512 dtype=auto` as pairs. Raises ValueError on a word that is no KEY=VALUE, or a key twice."""
    pairs: dict[str, str] = {}
    for word in shlex.split(text):
        key, equals, value = word.partition("=")
        if not equals or not key:
            raise ValueError(f"{word!r} is not KEY=VALUE")
        if key in pairs:
            raise ValueError(f"{key!r} is set twice")
        pairs[key] = value
    return tuple(pairs.items())


def changes_text(changes: Sequence[tuple[str, str]]) -> str:
    """The pairs as one would type them."""
    return shlex.join(f"{key}={value}" for key, value in changes)


def count(choice: Choice, hosts: int) -> int:
    """Attempts this comes to, as far as it can be said before planning; cells on several nodes count as one."""
    return len(choice.ticked) * choice.repeat * (hosts if choice.place == "each" else 1)
