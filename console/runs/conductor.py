"""A run: opened in the journal, then conducted attempt by attempt until all are done.

The conductor holds the run's lock. Whoever takes the lock later, after a crash or with `--resume`, finds everything
in the journal and on the hosts.
"""

import asyncio
import os
import socket
import time
from collections.abc import Sequence

import msgspec

from console.model.attempt import Failure, FailureClass, Outcome, Stage
from console.model.events import (
    AttemptEnded,
    AttemptPlanned,
    ConductorStarted,
    Event,
    Noticed,
    RunClosed,
    RunOpened,
    StageEntered,
)
from console.model.finding import Effect
from console.runs.driver import Driver
from console.runs.office import Office
from console.runs.plan import Plan, PlannedAttempt
from console.runs.record import why_stopped
from console.runs.schedule import Waiting, turns
from console.store.errors import NotWritten
from console.store.ids import new_id
from console.store.journal import Journal, dated
from console.store.records import AttemptRow
from console.workloads.base import decode_cell

LOOK_S = 1.0

_NOT_OF_HOSTS = frozenset({FailureClass.NOT_SUPPORTED, FailureClass.WRONG_PARAMETERS, FailureClass.STOPPED})
"""Why an attempt is not run whatever the host."""


class RunHeld(Exception):
    """Another process conducts this run; `holder` says which."""

    def __init__(self, run: str, holder: str) -> None:
        super().__init__(f"run {run} is conducted by {holder}; follow it with `instinct watch {run}`")
        self.holder = holder


async def open_run(
    plan: Plan, journal: Journal, *, operator: str, version: str, simulated: bool, speed: float = 1.0
) -> str:
    """Journal a run and its attempts, and return its id. With `all_or_none` one blocked attempt refuses them all.

    `speed`: how much faster than time the lab plays, for honest estimates of what is left.
    """
    run = new_id("r")
    request = plan.request
    hosts = tuple(dict.fromkeys(host for attempt in plan.attempts for host in attempt.hosts))
    opened = RunOpened(
        label=request.label,
        matrices=request.matrices,
        hosts=hosts,
        operator=operator,
        version=version,
        attempts=len(plan.attempts),
        simulated=simulated,
        plan=msgspec.Raw(msgspec.json.encode(request)),
    )
    envelopes = [dated(run, opened)]
    refused = _refusal(plan)
    for position, attempt in enumerate(plan.attempts):
        attempt_id = new_id("a")
        envelopes.append(dated(run, _planned(attempt, position, speed), attempt_id))
        if refused is not None:
            envelopes.append(dated(run, AttemptEnded(outcome=Outcome.NOT_RUN, failure=refused), attempt_id))
            envelopes.append(dated(run, StageEntered(Stage.DONE), attempt_id))
    await journal.append(envelopes)
    return run


def _refusal(plan: Plan) -> Failure | None:
    """Why nothing is started, when all was to be started or none."""
    if not plan.request.all_or_none:
        return None
    for attempt in plan.attempts:
        for item in (*attempt.effects(Effect.BLOCK), *attempt.effects(Effect.SPOIL, plan.request.accept)):
            line = f"--all-or-none: {attempt.cell.matrix}/{attempt.cell.id}: {item.sentence()}"
            return Failure(failure=FailureClass.PREFLIGHT, line=line, remedy=item.remedy)
    return None


def _planned(attempt: PlannedAttempt, position: int, speed: float) -> AttemptPlanned:
    return AttemptPlanned(
        matrix=attempt.cell.matrix,
        cell_id=attempt.cell.id,
        workload=attempt.cell.workload,
        cell=msgspec.Raw(msgspec.json.encode(attempt.cell)),
        wish=attempt.hosts,
        repeat=attempt.repeat,
        attempt_try=1,
        expected_s=None if attempt.expected_s is None else attempt.expected_s / speed,
        startup_s=attempt.startup_s / speed,
        position=position,
    )


async def conduct(office: Office) -> None:
    """Bring every attempt of a run to its end, then close the run. Raises RunHeld when another process does so.

    Cancelling leaves the containers running; a later `conduct` takes everything up where it stands. So does a store
    that cannot be written (NotWritten): a full disk here says nothing about what runs there.
    """
    lock = office.folder.run_lock(office.run)
    if not lock.acquire():
        raise RunHeld(office.run, str(lock.holder()))
    while lock.acquire():
        try:
            await office.journal.append([dated(office.run, ConductorStarted(os.getpid(), socket.gethostname()))])
            why = await _Conductor(office).run()
            await office.journal.append([dated(office.run, RunClosed(why))])
        finally:
            lock.release()
        # Looked at only now: a try asked for before the lock was free is ours, a later one finds nobody that has it.
        if not office.tail.unfinished(office.run):
            return


class _Conductor:
    """Knows of its drivers what runs; others only plan further tries, and ask for a stop or a pause."""

    def __init__(self, office: Office) -> None:
        self._office = office
        self._driving: dict[str, tuple[asyncio.Task[None], tuple[str, ...]]] = {}
        self._waiting: dict[str, Waiting] = {}
        self._begun: set[str] = set()
        self._late: set[str] = set()
        """Tries asked for after the time given with `--until`, which therefore does not hold for them."""
        self._shunned: set[str] = set()
        """Hosts whose last attempt was not run: they are free at once, and would take every row from the others."""

    async def run(self) -> str:
        try:
            self._hear()
            self._start_due()
            while self._waiting or self._driving:
                await self._rest()
                self._reap()
                self._hear()
                self._start_due()
            return "stopped" if self._office.run_row().stop_asked else "finished"
        finally:
            tasks = [task for task, _ in self._driving.values()]
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)

    def _hear(self) -> None:
        """Take up what was planned since, and end what is asked to stop before it has begun."""
        open_now = self._office.tail.unfinished(self._office.run)
        for attempt in open_now:
            row = None if attempt in self._waiting or attempt in self._driving else self._office.tail.attempt(attempt)
            if row is not None:
                self._take_up(row)
        run = self._office.run_row()
        idle = [attempt for attempt in self._waiting if attempt not in self._begun]
        stopped = [attempt for attempt in idle if run.stop_asked or open_now.get(attempt)]
        for row in filter(None, map(self._office.tail.attempt, stopped)):
            failure = Failure(failure=FailureClass.STOPPED, line=why_stopped(row, run) or "stopped")
            self._end_unstarted([row.attempt], Outcome.STOPPED, failure)

    def _take_up(self, row: AttemptRow) -> None:
        self._waiting[row.attempt] = _waiting(row)
        if row.stage is not Stage.PLANNED or row.outcome is not None:
            self._begun.add(row.attempt)
        until = self._office.request.until_ns
        if until is not None and row.attempt_try > 1 and row.planned_at_ns >= until:
            self._late.add(row.attempt)

    def _start_due(self) -> None:
        """Start everything that can start now; past `--until`, or while paused, only what had begun before."""
        if self._past_limit():
            self._give_up([attempt for attempt in self._waiting if attempt not in self._begun | self._late])
        paused = self._office.run_row().pause_asked is not None
        due = [item for item in self._waiting.values() if not paused or item.attempt in self._begun]
        free = set(self._office.hosts) - {host for _, hosts in self._driving.values() for host in hosts}
        for turn in turns(due, free, self._shunned):
            del self._waiting[turn.attempt]
            driver = Driver(self._office, turn.attempt, turn.hosts)
            self._driving[turn.attempt] = (asyncio.create_task(driver.drive()), turn.hosts)

    def _past_limit(self) -> bool:
        until = self._office.request.until_ns
        return until is not None and time.time_ns() >= until

    def _give_up(self, attempts: Sequence[str]) -> None:
        """Attempts that never got their turn before `--until` are rows all the same."""
        failure = Failure(
            failure=FailureClass.STOPPED,
            line="not started before the time given with --until",
            remedy="try it again without that limit, or with a later one",
        )
        self._end_unstarted(attempts, Outcome.NOT_RUN, failure)

    def _end_unstarted(self, attempts: Sequence[str], outcome: Outcome, failure: Failure) -> None:
        events: list[Event] = [AttemptEnded(outcome=outcome, failure=failure), StageEntered(Stage.DONE)]
        envelopes = [dated(self._office.run, event, attempt) for attempt in attempts for event in events]
        if envelopes:
            self._office.journal.append_now(envelopes)
        for attempt in attempts:
            del self._waiting[attempt]

    def _reap(self) -> None:
        """Forget drivers that ended; one that broke ends its attempt with what broke it, so that it is a row."""
        for attempt, (task, hosts) in list(self._driving.items()):
            if not task.done():
                continue
            del self._driving[attempt]
            self._note_hosts(attempt, hosts)
            error = task.exception()
            if error is None:
                continue
            if isinstance(error, NotWritten):
                raise error
            failure = Failure(failure=FailureClass.UNKNOWN, line=f"{type(error).__name__}: {error}")
            events: list[Event] = [Noticed(f"attempt {attempt}: {failure.line}", "error")]
            row = self._office.tail.attempt(attempt)
            if row is not None and row.outcome is None:
                events.append(AttemptEnded(outcome=Outcome.FAILED, failure=failure))
            events.append(StageEntered(Stage.DONE))
            self._office.journal.append_now([dated(self._office.run, event, attempt) for event in events])

    def _note_hosts(self, attempt: str, hosts: Sequence[str]) -> None:
        self._shunned.difference_update(hosts)
        row = self._office.tail.attempt(attempt)
        if row is None or row.outcome is not Outcome.NOT_RUN or row.failure is None:
            return
        if row.failure.failure not in _NOT_OF_HOSTS:
            named = [host for host in hosts if row.failure.line.startswith(f"{host}: ")]
            self._shunned.update(named or hosts)

    async def _rest(self) -> None:
        tasks = [task for task, _ in self._driving.values()]
        if tasks:
            await asyncio.wait(tasks, timeout=LOOK_S, return_when=asyncio.FIRST_COMPLETED)
        else:
            await asyncio.sleep(LOOK_S)


def _waiting(row: AttemptRow) -> Waiting:
    """Hosts an attempt may have: those it holds already, else those it was planned for."""
    if row.launch is not None:
        hosts = tuple(seat.host for seat in row.launch.placement.seats)
        return Waiting(row.attempt, len(hosts), hosts)
    return Waiting(row.attempt, decode_cell(row.cell).nodes, row.wish)
