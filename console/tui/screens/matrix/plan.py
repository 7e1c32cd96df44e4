"""A plan as the Matrix screen shows it: how much, how long, what stands in the way, what exactly would run. Pure."""

from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from itertools import groupby
from typing import TYPE_CHECKING

import msgspec

from console.health.check_ids import CheckId
from console.model.finding import Effect, Finding, State
from console.model.text import clean_line, pasteable, some
from console.model.units import duration
from console.tui.marks import Role, Span
from console.tui.widgets.lines import BLANK, Para, labelled, para
from console.tui.words import size

if TYPE_CHECKING:
    from console.desk.launching import Planned
    from console.runs.by_hand import ByHand
    from console.runs.plan import PlannedAttempt

    Hands = Callable[[PlannedAttempt], Iterable[ByHand]]

LABEL = 10
SHOWN = 6
"""Most hosts named where many say the same."""

_EFFECTS: Mapping[Effect, tuple[str, str, Role]] = {
    Effect.BLOCK: ("✗", "block", "fail"),
    Effect.SPOIL: ("▲", "spoil", "warn"),
    Effect.NOTE: ("·", "note", "dim"),
}


class Totals(msgspec.Struct, frozen=True, kw_only=True):
    """A plan in figures. Seconds are the machines', before a lab's speed; `wall_s` is that of the busiest host."""

    attempts: int
    cells: int
    hosts: int
    repeats: int
    blocked: int
    spoiled: int
    held: int
    """Attempts for which somebody holds a host just now."""
    startup_s: float
    measure_s: float
    fetch_s: float
    fetch_bytes: int
    disk_bytes: int
    wall_s: float
    unknown: int
    """Attempts whose length nobody knows."""

    @property
    def ready(self) -> int:
        """Attempts nothing stands in the way of."""
        return self.attempts - self.blocked - self.spoiled


def totals(planned: "Planned") -> Totals:
    """The plan in figures; what cannot start costs no time."""
    attempts, accepted = planned.plan.attempts, planned.plan.request.accept
    standing = [state_of(attempt, accepted) for attempt in attempts]
    starting = [item for item, how in zip(attempts, standing, strict=True) if how == "ready"]
    load: dict[str, float] = {}
    for item in starting:
        share = min(1.0, item.cell.nodes / max(1, len(item.hosts)))
        for host in item.hosts or ("",):
            load[host] = load.get(host, 0.0) + share * (item.startup_s + (item.expected_s or 0.0))
    # What is to be fetched comes once to a host, whichever of its rows asks for it first.
    fetched: dict[str, dict[tuple[str, str], PlannedAttempt]] = {}
    for item in starting:
        for host in item.hosts:
            fetched.setdefault(host, {}).setdefault((item.image.name, item.model.id), item)
    fetches = {host: sum(item.fetch_s for item in items.values()) for host, items in fetched.items()}
    disks = {(item.image.name, item.model.id): item.disk_bytes for item in attempts}
    return Totals(
        attempts=len(attempts),
        cells=len({(item.cell.matrix, item.cell.id) for item in attempts}),
        hosts=len({host for item in attempts for host in item.hosts}),
        repeats=max((item.repeat for item in attempts), default=1),
        blocked=standing.count("blocked"),
        spoiled=standing.count("spoiled"),
        held=sum(any(_is_held(found) for found in item.findings) for item in starting),
        startup_s=sum(item.startup_s for item in starting),
        measure_s=sum(item.expected_s or 0.0 for item in starting),
        fetch_s=max(fetches.values(), default=0.0),
        fetch_bytes=sum(item.fetch_bytes for items in fetched.values() for item in items.values()),
        disk_bytes=sum(disks.values()),
        wall_s=max((seconds + fetches.get(host, 0.0) for host, seconds in load.items()), default=0.0),
        unknown=sum(item.expected_s is None for item in starting),
    )


def state_of(attempt: "PlannedAttempt", accepted: Sequence[str]) -> str:
    """Whether an attempt can start: ready, blocked, or spoiled (its figure would not count, so it is not run)."""
    if attempt.effects(Effect.BLOCK):
        return "blocked"
    return "spoiled" if attempt.effects(Effect.SPOIL, accepted) else "ready"


def _is_held(found: Finding) -> bool:
    return found.check == CheckId.GPU_CONTAINERS and found.state is not State.PASS and found.effect is Effect.NOTE


def sentence(found: Totals, speed: float = 1.0) -> str:
    """How much it is, and how long it takes, in one line."""
    text = f"{found.attempts} attempt{_s(found.attempts)}: {found.cells} cell{_s(found.cells)}"
    text += f" on {found.hosts} host{_s(found.hosts)}" if found.hosts else ", on paper"
    text += f", {found.repeats} repeats each" if found.repeats > 1 else ""
    return f"{text}; about {duration(found.wall_s / speed)}"


def standing(found: Totals) -> tuple[Span, ...]:
    """What of it can start."""
    spans: list[Span] = [(f"{found.ready} ready", "ok" if found.ready else "dim")]
    if found.blocked:
        spans.append((f"  ✗ {found.blocked} blocked", "fail"))
    if found.spoiled:
        spans.append((f"  ▲ {found.spoiled} would not count", "warn"))
    if found.held:
        spans.append((f"  ◐ {found.held} held now", "warn"))
    return tuple(spans)


class Digest(msgspec.Struct, frozen=True):
    """A plan worked out once, for every drawing: its figures, its mark for each cell, and its text."""

    totals: Totals
    marks: Mapping[str, Span]
    paras: Sequence[Para]


def digest(planned: "Planned") -> Digest:
    """All that the screen shows of a plan as a whole."""
    found = totals(planned)
    return Digest(found, marks_of(planned), plan_paras(planned, found))


STALE = para("✗ of another choice than what is ticked now; p plans again", "warn")


def plan_paras(planned: "Planned", found: Totals) -> list[Para]:
    """The plan as a whole: the count first, then time, disk and what preflight found, host by host."""
    made = [Para(((sentence(found, planned.speed), "bold"),), 2)]
    made.append(Para((*_label("start"), *standing(found)), LABEL))
    made += _times(found, planned.speed)
    fetch = f", {size(found.fetch_bytes)} to fetch" if found.fetch_bytes else ", nothing to fetch"
    made.append(labelled("disk", f"{size(found.disk_bytes)} on a host for images and models{fetch}", width=LABEL))
    groups = findings(planned)
    if groups:
        made.append(BLANK)
    for item in groups:
        made += item
    if not groups:
        made += [BLANK, para("✓ preflight found nothing in the way", "ok")]
    return made


def _times(found: Totals, speed: float) -> list[Para]:
    text = f"start-up {duration(found.startup_s)}, measuring {duration(found.measure_s)} of machine time"
    if found.fetch_s:
        text += f", fetching {duration(found.fetch_s)} at 1 Gbit/s"
    if found.unknown:
        text += f"; {found.unknown} of unknown length"
    if speed != 1.0:
        text += f"; the lab plays it {speed:g} times as fast"
    return [labelled("time", text, width=LABEL)]


def findings(planned: "Planned") -> list[list[Para]]:
    """What preflight says, the gravest first; what several hosts or attempts share is said once, with the hosts."""
    accepted = planned.plan.request.accept
    said: dict[tuple[Effect, str, str, str], dict[str, dict[str, None]]] = {}
    for attempt in planned.plan.attempts:
        for item in attempt.findings:
            if item.state is not State.PASS:
                seen = said.setdefault((item.effect, item.check, item.expected, item.remedy), {})
                seen.setdefault(item.seen, {})[item.host] = None
    order = list(_EFFECTS)
    ranked = sorted(said.items(), key=lambda pair: order.index(pair[0][0]))
    return [_finding(*key, seen, accepted) for key, seen in ranked]


def _finding(
    effect: Effect,
    check: str,
    expected: str,
    remedy: str,
    seen: Mapping[str, Collection[str]],
    accepted: Sequence[str],
) -> list[Para]:
    glyph, word, role = _EFFECTS[effect]
    made: list[Para] = []
    for text, hosts in seen.items():
        where = some(hosts, SHOWN)
        head: Span = (" " * LABEL, "") if made else (f"{f'{glyph} {word}':<{LABEL}}", role)
        what: Span = ("" if made else f"  {check}", "dim")
        made.append(Para((head, (f"{where}: ", "bold"), (clean_line(text, 600), ""), what), LABEL))
    if expected:
        made.append(labelled("  should", clean_line(expected, 600), width=LABEL))
    if remedy:
        made.append(labelled("  do", clean_line(remedy, 600), "accent", width=LABEL))
    if effect is Effect.SPOIL:
        text = "accepted: it runs, and its figure stays spoiled" if check in accepted else f"or accept {check} (o)"
        made.append(labelled("", text, "dim", width=LABEL))
    return made


def marks_of(planned: "Planned") -> dict[str, Span]:
    """For the table: how the plan of each cell stands, by the id the cell has in its matrix."""
    accepted = planned.plan.request.accept
    by_cell: dict[str, list[str]] = {}
    for attempt in planned.plan.attempts:
        by_cell.setdefault(base_id(attempt.cell.id), []).append(state_of(attempt, accepted))
    return {cell: _mark(states) for cell, states in by_cell.items()}


def base_id(cell: str) -> str:
    """The id of a cell before parameters were changed."""
    return cell.partition("+")[0]


def _mark(states: Sequence[str]) -> Span:
    for word, glyph, role in (("blocked", "✗", "fail"), ("spoiled", "▲", "warn")):
        count = states.count(word)
        if count:
            share = "" if count == len(states) else f" {count}/{len(states)}"
            return f"{glyph} {word[:5] if share else word}{share}", role  # type: ignore[return-value]
    return f"✓ {len(states)} ready", "ok"


# -- one cell of it


def attempts_of(planned: "Planned", cell: str) -> Sequence[Sequence["PlannedAttempt"]]:
    """The attempts of a cell, repeats on the same hosts together."""
    own = [item for item in planned.plan.attempts if base_id(item.cell.id) == cell]
    place = {hosts: index for index, hosts in enumerate(dict.fromkeys(item.hosts for item in own))}
    own.sort(key=lambda item: (place[item.hosts], item.repeat))
    return [list(items) for _, items in groupby(own, key=lambda item: item.hosts)]


def cell_paras(groups: Sequence[Sequence["PlannedAttempt"]], hands: "Hands", speed: float = 1.0) -> list[Para]:
    """Where a cell runs, how long, and the commands; places whose command is the same but for the host say it once."""
    made: list[Para] = []
    shown: set[str] = set()
    for repeats in groups:
        first = repeats[0]
        where = ", ".join(first.hosts) or "on paper"
        times = f"  x{len(repeats)}" if len(repeats) > 1 else ""
        known = "unknown" if first.expected_s is None else duration(first.expected_s / speed)
        time = f"start-up {duration(first.startup_s / speed)}, measuring {known}"
        fetch = f", to fetch {size(first.fetch_bytes)}" if first.fetch_bytes else ""
        made.append(Para(((f"{'on':<{LABEL}}", "dim"), (f"{where}{times}  ", "bold"), (time + fetch, "dim")), LABEL))
        for hand in hands(first):
            text = f"{hand.start}\n" + "\n".join(hand.lines)
            if text not in shown:
                shown.add(text)
                made += command_paras(hand)
    return made


def command_paras(hand: "ByHand") -> list[Para]:
    """What a person would type on a node: the line that starts the container, and those for the shell in it."""
    label = "run" if not hand.rank else f"rank {hand.rank}"
    made = [labelled(label, pasteable(hand.start), width=LABEL)]
    for line in hand.lines:
        made.append(labelled("", pasteable(line), "dim" if line.startswith("#") else "", width=LABEL))
    return made


def command_text(hands: Iterable["ByHand"]) -> str:
    """The same to paste."""
    blocks = []
    for hand in hands:
        head = f"# on {hand.host}" + (f", rank {hand.rank}" if hand.rank else "")
        blocks.append("\n".join([head, pasteable(hand.start), *map(pasteable, hand.lines)]))
    return "\n\n".join(blocks) + "\n"


def _label(text: str) -> tuple[Span, ...]:
    return ((f"{text:<{LABEL}}", "dim"),)


def _s(count: int) -> str:
    return "" if count == 1 else "s"
