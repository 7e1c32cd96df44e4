"""A plan as people read it: the count first, then every attempt with what exactly would run."""

from collections.abc import Callable, Iterator, Sequence
from itertools import groupby
from typing import TYPE_CHECKING

from console.model.finding import Effect, Finding, State
from console.model.launch import Launch, Part, Seat
from console.model.text import clean_line, pasteable
from console.model.units import binary_size, duration

if TYPE_CHECKING:
    from console.runs.by_hand import ByHand
    from console.runs.plan import Plan, PlannedAttempt

ShellLine = Callable[[Part], str]
Hands = Callable[[Launch], Sequence["ByHand"]]
MARKS = {Effect.BLOCK: "block", Effect.SPOIL: "spoil", Effect.NOTE: "note "}


def plan_lines(plan: "Plan", shell_line: ShellLine, hands: Hands) -> Iterator[str]:
    """Lines of text; `shell_line` turns a part into a command that a person can paste on its host.

    The command is the program's own, without the entry that a run puts before it to hand over secrets and to keep
    its deadline. Where a set-up of ours comes before the program, what a person would type instead is shown.
    """
    accepted = plan.request.accept
    yield _count(plan.attempts, accepted)
    yield _times(plan.attempts)
    for index, (_, repeats) in enumerate(groupby(_by_place(plan.attempts), key=_place), 1):
        same = list(repeats)
        yield ""
        yield from _attempt(index, same[0], len(same), accepted, shell_line, hands)


def by_hand_lines(plan: "Plan", hands: Hands) -> Iterator[str]:
    """A script to read and to paste piece by piece: for each attempt and node its commands; all else is a comment."""
    for index, (_, repeats) in enumerate(groupby(_by_place(plan.attempts), key=_place), 1):
        attempt = next(repeats)
        cell = attempt.cell
        yield from ([""] if index > 1 else [])
        yield _comment(f"{index}. {cell.matrix} {cell.id}, image {attempt.image.ref}")
        if cell.recipe != "exact":
            yield _comment(f"recipe {cell.recipe}: {cell.recipe_source}".rstrip(": "))
        yield from (_comment(deviation) for deviation in cell.deviations)
        for finding in attempt.findings:
            stands = finding.state is not State.PASS and finding.effect is not Effect.NOTE
            if attempt.launch is None or stands:
                what = MARKS[finding.effect] if attempt.launch else "cannot be said"
                yield _comment(f"{what}: {finding.sentence()}")
        for hand in hands(attempt.launch) if attempt.launch else ():
            yield _comment(
                f"rank {hand.rank}, on {hand.host}" + (f", when {hand.after} is ready" if hand.after else "")
            )
            yield pasteable(hand.start)
            yield from ([_comment("in its shell:")] if hand.lines else [])
            yield from map(pasteable, hand.lines)


def _comment(text: str) -> str:
    return clean_line(f"# {text}", 1000)


def _by_place(attempts: Sequence["PlannedAttempt"]) -> Sequence["PlannedAttempt"]:
    """Repeats are interleaved when they run; on paper they stand together, in the order of their first."""
    first: dict[object, int] = {}
    for position, attempt in enumerate(attempts):
        first.setdefault(_place(attempt), position)
    return sorted(attempts, key=lambda attempt: (first[_place(attempt)], attempt.repeat))


def _place(attempt: "PlannedAttempt") -> object:
    return (attempt.cell.matrix, attempt.cell.id, attempt.hosts)


def _count(attempts: Sequence["PlannedAttempt"], accepted: Sequence[str]) -> str:
    cells = len({(attempt.cell.matrix, attempt.cell.id) for attempt in attempts})
    hosts = len({host for attempt in attempts for host in attempt.hosts})
    blocked = sum(1 for attempt in attempts if attempt.effects(Effect.BLOCK))
    spoiled = sum(
        1 for attempt in attempts if not attempt.effects(Effect.BLOCK) and attempt.effects(Effect.SPOIL, accepted)
    )
    text = f"{len(attempts)} attempt{_s(len(attempts))}: {cells} cell{_s(cells)}"
    text += f" on {hosts} host{_s(hosts)}" if hosts else ", on paper"
    repeats = max((attempt.repeat for attempt in attempts), default=1)
    text += f", {repeats} repeats each" if repeats > 1 else ""
    if blocked or spoiled:
        text += f"; {blocked} blocked, {spoiled} spoiled, {len(attempts) - blocked - spoiled} ready"
    return text


def _times(attempts: Sequence["PlannedAttempt"]) -> str:
    startup = sum(attempt.startup_s for attempt in attempts)
    known = [attempt.expected_s for attempt in attempts if attempt.expected_s is not None]
    text = f"machine time: start-up {duration(startup)}, measuring {duration(sum(known))}"
    missing = len(attempts) - len(known)
    return text + (f" and {missing} attempt{_s(missing)} of unknown length" if missing else "")


def _attempt(
    index: int,
    attempt: "PlannedAttempt",
    repeats: int,
    accepted: Sequence[str],
    shell_line: ShellLine,
    hands: Hands,
) -> Iterator[str]:
    cell = attempt.cell
    times = f"  x{repeats}" if repeats > 1 else ""
    yield clean_line(f"{index}. {cell.matrix}  {cell.id}  on {', '.join(attempt.hosts) or 'paper'}{times}")
    yield _field("image", f"{attempt.image.ref}" + (f" ({attempt.image.digest})" if attempt.image.digest else ""))
    yield _field("model", f"{attempt.model.id}  {attempt.model.precision}")
    measuring = "unknown" if attempt.expected_s is None else duration(attempt.expected_s)
    fetch = duration(attempt.fetch_s) if attempt.fetch_bytes else "" if attempt.fetches_unsized else "none"
    if attempt.fetches_unsized:
        fetch += " and a download of unknown size" if fetch else "of unknown size"
    yield _field("time", f"fetch {fetch}, start-up {duration(attempt.startup_s)}, measuring {measuring}")
    to_fetch = f", {binary_size(attempt.fetch_bytes)} of it to fetch" if attempt.fetch_bytes else ""
    yield _field("disk", _disk(attempt) + to_fetch)
    if cell.recipe != "exact":
        yield _field("recipe", f"{cell.recipe}: {cell.recipe_source}".rstrip(": "))
    for deviation in cell.deviations:
        yield _field("differs", deviation)
    if attempt.launch is not None:
        yield from _fabric(attempt.launch.placement.seats)
        for part, hand in zip(attempt.launch.parts, hands(attempt.launch), strict=True):
            yield from _part(part, shell_line, hand)
    for finding in attempt.findings:
        if finding.state is not State.PASS:
            yield _finding(finding, accepted)


def _disk(attempt: "PlannedAttempt") -> str:
    unsized = " and ".join(attempt.unsized)
    if not unsized:
        return f"{binary_size(attempt.disk_bytes)} for image and model"
    known = f"{binary_size(attempt.disk_bytes)} and " if attempt.disk_bytes else ""
    return f"{known}an unknown size for the {unsized}, which no source states"


def _fabric(seats: Sequence[Seat]) -> Iterator[str]:
    """Several hosts: how each reaches the others, as its facts have it; a run moves bytes over every rail first."""
    for seat in seats if len(seats) > 1 else ():
        words = [f"{seat.host}: sockets {seat.interface or '?'} {seat.ip or ''}".rstrip()]
        if seat.rank == 0 and seat.port is not None:
            words.append(f"the ranks meet at its port {seat.port}")
        rails = [f"{rail.device or 'no RDMA'} {rail.interface} {rail.address}" for rail in seat.rails]
        words.append(f"rails {', '.join(rails)}" if rails else "no rails with an address")
        if seat.gid_index is not None:
            words.append(f"GID index {seat.gid_index}")
        libraries = [mount.host_path for mount in seat.provider_mounts]
        words.append(f"libraries from the host {', '.join(libraries)}" if libraries else "libraries of the image")
        words.append(f"shared folder {seat.shared}" if seat.shared else "no shared folder")
        yield _field("fabric", "; ".join(words))


def _part(part: Part, shell_line: ShellLine, hand: "ByHand") -> Iterator[str]:
    where = f"rank {part.rank} on {part.host}, {part.name}"
    yield _field("part", where + (f", after {part.after}" if part.after else ""))
    yield _field("devices", " ".join(part.devices) or "none")
    yield _field("groups", " ".join(map(str, part.groups)) or "none")
    if part.secrets:
        yield _field("secrets", f"{', '.join(part.secrets)} over stdin, not in the command")
    if not hand.lines:
        yield f"   {'run':<8} {pasteable(shell_line(part))}"
        return
    yield f"   {'by hand':<8} {pasteable(hand.start)}"
    yield from (f"   {'':<8} {pasteable(line)}" for line in hand.lines)


def _finding(finding: Finding, accepted: Sequence[str]) -> str:
    text = f"{MARKS[finding.effect]} {finding.check}: {finding.sentence()}"
    if finding.effect is Effect.SPOIL and finding.check in accepted:
        text += "; accepted, the figure stays spoiled"
    return "   " + clean_line(text, 1000)


def _field(name: str, text: str, limit: int = 1000) -> str:
    return f"   {name:<8} {clean_line(text, limit)}"


def _s(count: int) -> str:
    return "" if count == 1 else "s"
