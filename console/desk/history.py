"""Runs of the past and the present, as the journal has them."""

from collections import Counter
from collections.abc import Collection, Mapping
from typing import Literal

import msgspec

from console.desk import desk
from console.desk.settings import Settings
from console.model.attempt import FailureClass, Outcome
from console.model.events import StopAsked
from console.runs.retry import last_tries
from console.store.errors import UnknownRun
from console.store.journal import Journal, dated
from console.store.paths import StateFolder
from console.store.records import RunRow
from console.store.tail import Tail

RunState = Literal["running", "paused", "stopping", "left", "finished", "stopped", "ended"]
"""`left`: nobody conducts it any more though attempts are open; `--resume` carries it on."""


class RunSummary(msgspec.Struct, frozen=True, kw_only=True):
    """One run in a line."""

    run: str
    label: str
    opened_at_ns: int
    closed_at_ns: int | None
    state: RunState
    why: str
    matrices: tuple[str, ...]
    hosts: tuple[str, ...]
    operator: str
    simulated: bool
    attempts: int
    ok: int
    failed: int
    not_run: int
    open: int
    conductor_pid: int | None = None
    conductor_machine: str = ""
    """The process that conducts it or did last, and where."""


def summaries(settings: Settings, only: Collection[str] | None = None) -> tuple[RunSummary, ...]:
    """Every run, newest first; with `only` those of them that are named."""
    folder = desk.folder(settings)
    with Tail(folder) as tail:
        if only is None:
            found, outcomes = tail.runs(), tail.outcomes()
        else:
            found = [row for row in map(tail.run, only) if row is not None]
            outcomes = {run: counts for row in found for run, counts in tail.outcomes(row.run).items()}
    rows = sorted(found, key=lambda row: row.opened_at_ns, reverse=True)
    return tuple(_summary(folder, row, outcomes.get(row.run, {})) for row in rows)


def last_run(settings: Settings) -> str | None:
    """The run that was opened last; None when there is none."""
    with desk.tail(settings) as tail:
        try:
            return tail.find_run("last").run
        except UnknownRun:
            return None


def _summary(folder: StateFolder, row: RunRow, outcomes: Mapping[Outcome | None, int]) -> RunSummary:
    """How a run stands, by the last try of each of its cells."""
    counts = Counter(outcomes)
    ended = sum(count for outcome, count in counts.items() if outcome is not None)
    return RunSummary(
        run=row.run,
        label=row.label,
        opened_at_ns=row.opened_at_ns,
        closed_at_ns=row.closed_at_ns,
        state=_state(folder, row),
        why=row.why,
        matrices=row.matrices,
        hosts=row.hosts,
        operator=row.operator,
        simulated=row.simulated,
        attempts=row.attempts,
        ok=counts[Outcome.OK],
        failed=counts[Outcome.FAILED],
        not_run=counts[Outcome.NOT_RUN] + counts[Outcome.STOPPED],
        open=max(row.attempts - ended, 0),
        conductor_pid=row.conductor_pid,
        conductor_machine=row.conductor_machine or "",
    )


def _state(folder: StateFolder, row: RunRow) -> RunState:
    if row.closed_at_ns is not None:
        return "finished" if row.why == "finished" else "stopped" if row.why == "stopped" else "ended"
    if conducted(folder, row.run):
        return "stopping" if row.stop_asked else "paused" if row.pause_asked else "running"
    return "left"


def conducted(folder: StateFolder, run: str) -> bool:
    """True while a process on this machine conducts the run."""
    return folder.run_lock(run).holder() is not None


def is_conducted(settings: Settings, run: str) -> bool:
    """As `conducted`, from the settings."""
    return conducted(desk.folder(settings), run)


def find_run(settings: Settings, text: str) -> RunRow:
    """The run meant by an id, a unique beginning of one, a label or `last`. Raises StoreError."""
    with desk.tail(settings) as tail:
        return tail.find_run(text)


async def ask_stop(settings: Settings, run: str, why: str) -> bool:
    """Journal that a run should stop; False when it is over already. The conductor acts on it."""
    folder = desk.folder(settings)
    with Tail(folder) as tail:
        row = tail.run(run)
    if row is None or row.closed_at_ns is not None:
        return False
    if row.stop_asked is None:
        journal = Journal(folder)
        try:
            await journal.append([dated(run, StopAsked(settings.operator.value, why))])
        finally:
            journal.close()
    return True


class Ending(msgspec.Struct, frozen=True, kw_only=True):
    """What became of a run's attempts, the last try of each. `unreachable` are those not run for want of a host."""

    total: int
    ok: int
    failed: int
    not_run: int
    unreachable: int


def ending(settings: Settings, run: str) -> Ending:
    """How the attempts of a run ended."""
    with desk.tail(settings) as tail:
        rows = last_tries(tail.attempts(run))
    outcomes = Counter(row.outcome for row in rows)
    away = [row for row in rows if row.failure is not None and row.failure.failure is FailureClass.UNREACHABLE]
    return Ending(
        total=len(rows),
        ok=outcomes[Outcome.OK],
        failed=outcomes[Outcome.FAILED],
        not_run=outcomes[Outcome.NOT_RUN] + outcomes[Outcome.STOPPED],
        unreachable=len([row for row in away if row.outcome is Outcome.NOT_RUN]),
    )
