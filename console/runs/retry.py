"""A further try of a cell that came to no figure that counts. Pure.

The tries of a cell stay side by side in the journal; the last one speaks for it.
"""

from collections.abc import Sequence

from console.model.attempt import Outcome
from console.model.events import AttemptPlanned
from console.store.records import AttemptRow

Key = tuple[str, str, int, tuple[str, ...]]


def key_of(row: AttemptRow) -> Key:
    """What several tries have in common: matrix, cell, repeat, and the hosts they may have."""
    return (row.matrix, row.cell_id, row.repeat, row.wish)


def last_tries(rows: Sequence[AttemptRow]) -> tuple[AttemptRow, ...]:
    """The last try of each cell, in the order of the first."""
    last: dict[Key, AttemptRow] = {}
    for row in rows:
        known = last.get(key_of(row))
        if known is None or row.attempt_try >= known.attempt_try:
            last[key_of(row)] = row
    return tuple(last.values())


def refusal(row: AttemptRow, rows: Sequence[AttemptRow]) -> str | None:
    """Why there is to be no further try of an attempt among those of its run; None when there may be one."""
    if row.outcome is None:
        return f"{row.attempt} has not ended"
    if row.outcome is Outcome.OK and not any(reason.spoils for reason in row.reasons):
        return f"{row.attempt} has a figure that counts; run the cell again for another repeat"
    if not any(other.attempt == row.attempt for other in last_tries(rows)):
        return f"{row.attempt} was tried again already"
    return None


def next_try(row: AttemptRow) -> AttemptPlanned:
    """The same cell once more, where it may go and in its place among the others."""
    return AttemptPlanned(
        matrix=row.matrix,
        cell_id=row.cell_id,
        workload=row.workload,
        cell=row.cell,
        wish=row.wish,
        repeat=row.repeat,
        attempt_try=row.attempt_try + 1,
        expected_s=row.expected_s,
        startup_s=row.startup_s,
        position=row.position,
    )
