"""An attempt as `step` wants it: the journal's rows, and what a reader has told since."""

from collections.abc import Iterable

from console.model.attempt import Stage
from console.runs.stallwatch import WATCHER
from console.runs.step import PartRecord, Record
from console.store.records import AttemptRow, PartRow, RunRow

_CLAIMED = frozenset({Stage.STARTING, Stage.RUNNING, Stage.COLLECTING, Stage.RELEASING, Stage.DONE})


def record_of(row: AttemptRow, parts: Iterable[PartRow], run: RunRow, ready: Iterable[str]) -> Record:
    """The record of an attempt. A stop asked of the whole run counts for each of its attempts."""
    asked = row.stop_asked or run.stop_asked
    return Record(
        attempt=row.attempt,
        launch=row.launch,
        claimed=row.placement is not None and row.stage in _CLAIMED,
        parts={part.part: _part(part) for part in parts},
        ready=frozenset(ready),
        stop=why_stopped(row, run),
        stalled=asked is not None and asked.by == WATCHER,
        outcome=row.outcome,
    )


def why_stopped(row: AttemptRow, run: RunRow) -> str | None:
    """Who wants the attempt or its whole run to end, and why; None when nobody does."""
    asked = row.stop_asked or run.stop_asked
    return f"{asked.why} (asked by {asked.by})" if asked else None


def _part(row: PartRow) -> PartRecord:
    return PartRecord(
        started=bool(row.started_at),
        exited=row.exit_code is not None,
        collected=row.collected,
        removed=row.removed,
        exit_code=row.exit_code,
    )
