"""Which hosts the Fleet screen shows and in which order. A row is made again only when its host has changed."""

from collections.abc import Iterable, Mapping, Sequence
from typing import Any, NamedTuple

from console.desk.fleet_board import HostView
from console.desk.views import AttemptView
from console.model.finding import State
from console.tui.screens.fleet import rows as fleet_rows
from console.tui.screens.fleet.rows import COLUMNS
from console.tui.widgets.grid import Row

Work = Mapping[str, Sequence[AttemptView]]

_SORTS = ("", *(column.key for column in COLUMNS))
_GRAVITY = {State.FAIL: 0, State.UNKNOWN: 1, State.WARN: 2, State.PASS: 3}
_LARGEST_FIRST = ("busy", "vram", "power", "hottest", "draw")
_STATES = ("no answer", "stale", "asking", "up", "simulated")
_SECOND_NS = 1_000_000_000
_HEADING = "\n"


class _Kept(NamedTuple):
    """A row, and what it was made from."""

    host: HostView
    work: tuple[AttemptView, ...]
    second: int
    row: Row


class FleetTable:
    """How the hosts are ordered, grouped and filtered. The default order is the fleet file's."""

    def __init__(self) -> None:
        self.sort = ""
        self.down = False
        self.grouped = False
        self.filter = ""
        self.shown = 0
        self._kept: dict[str, _Kept] = {}

    def sort_next(self, by: int) -> None:
        """The next column, or the fleet file's order again."""
        self.sort = _SORTS[(_SORTS.index(self.sort) + by) % len(_SORTS)]
        self.down = self.sort in _LARGEST_FIRST

    def sort_by(self, column: str, *, down: bool | None = None) -> None:
        """By a column; asked for again, the other way around."""
        if down is None:
            down = not self.down if column == self.sort else column in _LARGEST_FIRST
        self.sort, self.down = column, down

    def bad_first(self) -> bool:
        """The worst hosts first, or asked for again the fleet file's order; whether it is on now."""
        self.sort, self.down = ("", False) if self.sort == "health" and not self.down else ("health", False)
        return self.sort == "health"

    def rows(self, hosts: Sequence[HostView], work: Work, now_ns: int) -> list[Row]:
        """The rows to show."""
        kept = (
            [host for host in hosts if matches(host, self.filter, work.get(host.name, ()))]
            if self.filter
            else list(hosts)
        )
        self.shown = len(kept)
        if self.sort:
            kept = self._sorted(kept, work)
        if not self.grouped:
            return [self._row(host, host.name, work, now_ns) for host in kept]
        groups: dict[str, list[HostView]] = {}
        for host in kept:
            for group in host.groups or ("",):
                groups.setdefault(group, []).append(host)
        made = []
        for group, members in sorted(groups.items(), key=lambda item: (not item[0], item[0])):
            made.append(fleet_rows.heading(group, members, f"{group}{_HEADING}"))
            made += [self._row(host, f"{group}{_HEADING}{host.name}", work, now_ns) for host in members]
        return made

    def note(self, hosts: int) -> str:
        """The filter and the order in words; empty when every host is shown in the fleet file's order."""
        parts = []
        if self.filter:
            parts.append(f"{self.shown} of {hosts} match {self.filter}")
        if self.sort:
            title = next(column.title for column in COLUMNS if column.key == self.sort)
            parts.append("bad first" if self.sort == "health" and not self.down else f"by {title}")
        return ", ".join(parts)

    def _sorted(self, hosts: Sequence[HostView], work: Work) -> list[HostView]:
        """Whoever has nothing to be sorted by comes last either way."""
        keyed = [(_value(host, self.sort, work), host) for host in hosts]
        known = [item for item in keyed if item[0] not in (None, "")]
        known.sort(key=lambda item: item[0], reverse=self.down)
        return [*(host for _, host in known), *(host for value, host in keyed if value in (None, ""))]

    def _row(self, host: HostView, key: str, work: Work, now_ns: int) -> Row:
        doing = tuple(work.get(host.name, ()))
        second = now_ns // _SECOND_NS if host.state == "no answer" else 0  # its countdown moves on by itself
        before = self._kept.get(key)
        if before is not None and before.host is host and before.second == second and _same(before.work, doing):
            return before.row
        made = fleet_rows.row(host, doing, now_ns, key)
        self._kept[key] = _Kept(host, doing, second, made)
        return made


def host_of(key: str | None) -> str | None:
    """The host of a row's key; None for a group's heading."""
    return key.rpartition(_HEADING)[2] or None if key else None


def matches(host: HostView, text: str, work: Iterable[AttemptView] = ()) -> bool:
    """Every word must be found in name, state, versions, findings or what runs there; `!word` must not.

    `@group` and `state:word` ask for just these.
    """
    doing = [text for view in work for text in (view.matrix, view.cell_id, view.run)]
    return all(_matches(host, word, doing) for word in text.lower().split())


def _matches(host: HostView, word: str, doing: Sequence[str]) -> bool:
    if word.startswith("!"):
        return len(word) == 1 or not _matches(host, word[1:], doing)
    if word.startswith("@"):
        return any(group.lower().startswith(word[1:]) for group in host.groups)
    state, health = host.state, host.health.value if host.health else ""
    if word.startswith("state:"):
        return state.startswith(word[6:]) or health.startswith(word[6:])
    row = host.row
    texts = [host.name, host.address, state, health, host.why, *host.findings, *doing]
    if row is not None:
        texts += [row.gpus, row.cpu, row.bios, row.os, row.kernel, row.amdgpu, row.rocm, row.partition, row.running]
    return any(word in text.lower() for text in texts)


def _same(one: tuple[AttemptView, ...], other: tuple[AttemptView, ...]) -> bool:
    return len(one) == len(other) and all(left is right for left, right in zip(one, other, strict=True))


def _value(host: HostView, column: str, work: Work) -> Any:
    facts = host.row
    if column == "host":
        return host.name
    if column == "state":
        return _STATES.index(host.state)
    if column == "health":
        away = host.state == "no answer"
        return (not away, _GRAVITY[host.health] if host.health else 2, -host.counts.failed, -host.counts.warned)
    if column in ("busy", "draw"):
        figures = [gpu.busy_percent if column == "busy" else gpu.power_w for gpu in host.gpus]
        known = [figure for figure in figures if figure is not None]
        return sum(known) / len(known) if known else None
    if column == "now":
        return not work.get(host.name), facts.running if facts else ""
    if facts is None or host.surveyed_at_ns is None:
        return None
    names = {"vram": "vram_used_bytes", "power": "power_w", "hottest": "hottest_c"}
    return getattr(facts, names.get(column, column))
