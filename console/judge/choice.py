"""Which of several references a figure is held against."""

from collections.abc import Mapping, Sequence

import msgspec

from console.judge.comparability import NO_NAMES, comparable, differences, same_world
from console.model.cell import Conditions, KeyDifference, Reference, ReferenceSet

PRECEDENCE: tuple[ReferenceSet, ...] = ("published", "release notes", "own", "fleet median", "lab")
"""Between references that are equally close, the earlier set wins, then the later date."""


class Candidate(msgspec.Struct, frozen=True):
    """A reference with what differs from the measured conditions."""

    reference: Reference
    differences: tuple[KeyDifference, ...]

    @property
    def comparable(self) -> bool:
        """True when every must-agree condition agrees."""
        return comparable(self.differences)

    def count(self, strength: str) -> int:
        """How many conditions of one strength differ."""
        return sum(item.strength == strength for item in self.differences)


def choose(
    metric: str, measured: Conditions, references: Sequence[Reference], images: Mapping[str, str] = NO_NAMES
) -> Candidate | None:
    """The reference to hold a figure against, or None when no reference speaks of this metric in this world.

    1. A comparable published figure, before anything else.
    2. Of the other comparable ones the closest: fewest `should`, then fewest `noted` differences.
    3. A published figure that nothing contradicts: what is not known keeps it apart, as for a row that was not run.
    4. Of the rest the one with the fewest `must` differences, to name what keeps them apart.
    Ties go to the set that comes first in PRECEDENCE, then to the latest date, then to the order given.
    """
    candidates = [
        Candidate(reference, differences(measured, reference, images))
        for reference in references
        if reference.metric == metric and reference.value > 0 and same_world(measured, reference)
    ]
    newest_first = sorted(candidates, key=lambda item: item.reference.dated, reverse=True)
    return min(newest_first, key=_rank, default=None)


def _rank(item: Candidate) -> tuple[bool, bool, int, int, int, int]:
    contradicted = any(each.strength == "must" and each.measured is not None for each in item.differences)
    return (
        not item.comparable,
        contradicted or item.reference.set != "published",
        item.count("must"),
        item.count("should"),
        item.count("noted"),
        PRECEDENCE.index(item.reference.set),
    )
