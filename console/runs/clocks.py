"""The clocks of an attempt's hosts beside each other, as two looks at each host found them beside ours. Pure."""

from collections.abc import Iterable, Mapping, Sequence

from console.fleet.vitals import Vitals
from console.model.attempt import Reason, Validity
from console.model.facts import Clock

STEP_NS = 500_000_000
"""A clock that moved so much against ours, beyond what the looks themselves cannot tell, was set."""

WORTH_A_WORD_NS = 1_000_000_000
"""Clocks this far apart are told of; what is less is kept in silence."""


def moved_ns(before: Clock | None, after: Clock | None) -> int | None:
    """How far a clock was set between two looks; None where it was not, or cannot be told."""
    if before is None or after is None:
        return None
    moved = after.offset_ns - before.offset_ns
    return moved if abs(moved) > STEP_NS + before.uncertainty_ns + after.uncertainty_ns else None


def ahead_of_ours(looks: Iterable[tuple[str, Vitals | None, Vitals | None]]) -> Mapping[str, int]:
    """By host, nanoseconds that its clock is ahead of ours, from the look that knows it best.

    Hosts whose clock was not seen, or was set between the looks, are left out.
    """
    found = {}
    for host, before, after in looks:
        clocks = [look.clock if look is not None else None for look in (before, after)]
        known = [clock for clock in clocks if clock is not None]
        if known and moved_ns(*clocks) is None:
            found[host] = min(known, key=lambda clock: clock.uncertainty_ns).offset_ns
    return found


def beside(ahead: Mapping[str, int], host: str) -> Mapping[str, int]:
    """The same measured against the clock of one of the hosts; nothing where that one is not known."""
    if host not in ahead:
        return {}
    return {other: offset - ahead[host] for other, offset in ahead.items()}


def unknown(hosts: Sequence[str], ahead: Mapping[str, int], host: str) -> tuple[Reason, ...]:
    """A note for each of several hosts that is not known beside the one whose clock times are told on."""
    return tuple(
        Reason(Validity.UNWATCHED, f"{other}: how far its clock is from that of {host}; readings are taken as they are")
        for other in hosts
        if other != host and other not in ahead
    )


def told(ahead: Mapping[str, int], host: str) -> str:
    """What is worth saying of the clocks; empty where they agree."""
    apart = [
        f"{other} by {offset / 1e9:+.1f} s" for other, offset in sorted(ahead.items()) if abs(offset) >= WORTH_A_WORD_NS
    ]
    return f"clocks are apart from that of {host}: {', '.join(apart)}; readings are moved by that" if apart else ""
