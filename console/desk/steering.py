"""What a front does to runs: start, resume, stop, pause, try again. Every wish is journaled before it is an act.

Runs are processes of their own: whoever starts one here may leave, and it goes on.
"""

import asyncio
import threading
import time
from collections.abc import Iterable, Sequence

import msgspec

from console.desk import desk, history, launching
from console.desk.errors import DeskError
from console.desk.launching import Planned
from console.desk.settings import Settings
from console.desk.surveying import Ask, DockerSite
from console.model.attempt import Stage
from console.model.events import Envelope, PauseAsked, PauseLifted, StopAsked
from console.runs import retry as retrying
from console.runs.request import Request
from console.store.ids import new_id
from console.store.journal import Journal, dated
from console.store.records import AttemptRow, RunRow

PICKED_UP_S = 2.0
"""A conductor looks for new tries at least this often; one that let go meanwhile will not."""


class Asked(msgspec.Struct, frozen=True):
    """What became of a wish. `done` False: it had ended already. Without a conductor it waits for `resume`."""

    done: bool
    conducted: bool


async def launch(
    settings: Settings, asked: Planned | Request, *, site: DockerSite | None = None, ask: Ask | None = None
) -> str:
    """Open a run and start its conductor as a process of its own; the run's id once that conducts it.

    Raises what planning raises, StoreError, and DeskError with the conductor's last words when it ended at once.
    """
    planned = asked if isinstance(asked, Planned) else await launching.make_plan(settings, asked, site=site, ask=ask)
    run = await launching.open_run(settings, planned)
    await _conduct(settings, run)
    return run


async def resume(settings: Settings, run: str) -> None:
    """Carry on a run that nobody conducts. Raises DeskError when somebody does, or nothing of it is left."""
    folder = desk.folder(settings)
    if history.conducted(folder, run):
        raise DeskError(f"{run} is conducted by {folder.run_lock(run).holder()}; there is nothing to resume")
    with desk.tail(settings) as tail:
        if _row(settings, run).closed_at_ns is not None and not tail.unfinished(run):
            raise DeskError(f"{run} has ended; nothing of it is left to run")
    await _conduct(settings, run)


async def stop(settings: Settings, run: str, why: str = "stopped in the console") -> Asked:
    """Ask a whole run to stop. One that nobody conducts gets a conductor for it: its containers may run on."""
    if not await history.ask_stop(settings, run, why):
        return Asked(done=False, conducted=False)
    if not history.is_conducted(settings, run):
        await _conduct(settings, run)
    return Asked(done=True, conducted=True)


async def stop_attempt(settings: Settings, run: str, attempt: str, why: str = "stopped in the console") -> Asked:
    """Ask one attempt to stop, the others go on. Raises DeskError when the run has no such attempt."""
    with desk.tail(settings) as tail:
        row = tail.attempt(attempt)
    if row is None or row.run != run:
        raise DeskError(f"run {run} has no attempt {attempt}")
    conducted = history.is_conducted(settings, run)
    if row.outcome is not None or row.stage is Stage.DONE:
        return Asked(done=False, conducted=conducted)
    if row.stop_asked is None:
        await _tell(settings, [dated(run, StopAsked(settings.operator.value, why), attempt)])
    return Asked(done=True, conducted=conducted)


async def pause(settings: Settings, run: str) -> Asked:
    """Start nothing new of a run; what has begun goes on. It holds through a crash, until `unpause`."""
    row = _row(settings, run)
    conducted = history.is_conducted(settings, run)
    if row.closed_at_ns is not None or row.stop_asked is not None:
        return Asked(done=False, conducted=conducted)
    if row.pause_asked is None:
        await _tell(settings, [dated(run, PauseAsked(settings.operator.value))])
    return Asked(done=True, conducted=conducted)


async def unpause(settings: Settings, run: str) -> Asked:
    """Go on with a paused run."""
    row = _row(settings, run)
    conducted = history.is_conducted(settings, run)
    if row.closed_at_ns is not None or row.pause_asked is None:
        return Asked(done=False, conducted=conducted)
    await _tell(settings, [dated(run, PauseLifted(settings.operator.value))])
    return Asked(done=True, conducted=conducted)


async def retry(settings: Settings, run: str, attempts: Sequence[str]) -> tuple[str, ...]:
    """Try cells once more that failed, were stopped, not run or spoiled: in the same run, beside the earlier tries.

    Returns the ids of the new attempts. A run that has ended is opened again. Raises DeskError, and plans nothing,
    when an attempt cannot be tried again or the run is being stopped.
    """
    with desk.tail(settings) as tail:
        rows = tail.attempts(run)
    row = _row(settings, run)
    if row.stop_asked is not None and row.closed_at_ns is None:
        raise DeskError(f"{run} is being stopped; try again when it has ended")
    chosen = [_retried(rows, attempt, run) for attempt in dict.fromkeys(attempts)]
    planned = [(new_id("a"), retrying.next_try(item)) for item in chosen]
    await _tell(settings, [dated(run, event, attempt) for attempt, event in planned])
    if planned and not await _picked_up(settings, run):
        await _conduct(settings, run)
    return tuple(attempt for attempt, _ in planned)


def find_attempt(settings: Settings, run: str, text: str) -> AttemptRow:
    """The attempt of a run meant by its id, a unique beginning of one, or a cell that only one open attempt is of.

    Raises DeskError, which names the candidates.
    """
    with desk.tail(settings) as tail:
        rows = tail.attempts(run)
    found = [row for row in rows if row.attempt == text]
    found = found or [row for row in rows if row.outcome is None and row.cell_id == text]
    found = found or [row for row in rows if text and row.attempt.startswith(text)]
    if len(found) == 1:
        return found[0]
    candidates = found or [row for row in rows if row.outcome is None] or list(rows)
    shown = ", ".join(f"{row.attempt} ({row.cell_id} on {_where(row)})" for row in candidates[:5])
    more = ", …" if len(candidates) > 5 else ""
    problem = "means more than one attempt" if found else "is no attempt"
    raise DeskError(f"{text!r} {problem} of {run}; candidates: {shown}{more}")


def _where(row: AttemptRow) -> str:
    seats = row.placement.seats if row.placement is not None else ()
    return ", ".join(seat.host for seat in seats) or ", ".join(row.wish)


def _retried(rows: Iterable[AttemptRow], attempt: str, run: str) -> AttemptRow:
    rows = tuple(rows)
    row = next((item for item in rows if item.attempt == attempt), None)
    if row is None:
        raise DeskError(f"run {run} has no attempt {attempt}")
    why_not = retrying.refusal(row, rows)
    if why_not is not None:
        raise DeskError(why_not)
    return row


async def _picked_up(settings: Settings, run: str) -> bool:
    """True when a conductor has what was just planned: it still conducts after it must have looked."""
    until = time.monotonic() + PICKED_UP_S
    while history.is_conducted(settings, run):
        if time.monotonic() >= until:
            return True
        await asyncio.sleep(launching.POLL_S)
    with desk.tail(settings) as tail:
        return not tail.unfinished(run)


async def _conduct(settings: Settings, run: str) -> None:
    process = launching.detach(settings, run)
    await launching.wait_for_conductor(settings, run, process)
    # Nobody else asks after it: without this its entry would stay in the process table as long as we live.
    threading.Thread(target=process.wait, name=f"conductor of {run}", daemon=True).start()


def _row(settings: Settings, run: str) -> RunRow:
    with desk.tail(settings) as tail:
        row = tail.run(run)
    if row is None:
        raise DeskError(f"there is no run {run} in {settings.store.value}")
    return row


async def _tell(settings: Settings, envelopes: Sequence[Envelope]) -> None:
    journal = Journal(desk.folder(settings))
    try:
        await journal.append(envelopes)
    finally:
        journal.close()
