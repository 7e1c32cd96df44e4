"""What others ask of a run while it is conducted, and after: pause, stop one attempt, try again."""

import asyncio
import time
from collections.abc import Callable
from typing import Any

import pytest

from console.model.attempt import FailureClass, Outcome, Stage
from console.model.events import AttemptEnded, Envelope, Event, PauseAsked, PauseLifted, StopAsked
from console.runs import conductor, retry
from console.runs.conductor import conduct
from console.store.locks import RunLock
from console.store.records import AttemptRow

PATIENCE_S = 200.0
LONG = 10**6


@pytest.fixture(autouse=True)
def brisk(monkeypatch: pytest.MonkeyPatch) -> None:
    """A conductor that looks around without waiting."""
    monkeypatch.setattr(conductor, "LOOK_S", 0.01)


async def tell(bench: Any, run: str, event: Event, attempt: str | None = None) -> None:
    """Journal a wish, as another process does."""
    await bench.journal.append([Envelope(at_ns=time.time_ns(), run=run, event=event, attempt=attempt)])


async def until(holds: Callable[[], bool]) -> None:
    """Come back when something is so."""
    async with asyncio.timeout(PATIENCE_S):
        while not holds():  # noqa: ASYNC110 - the journal tells nobody, it is asked
            await asyncio.sleep(0.005)


async def one_running(bench: Any, run: str) -> tuple["asyncio.Task[None]", str]:
    """Conduct until the first container runs, and keep it running; the conductor and its attempt."""
    task = asyncio.create_task(conduct(bench.office(run)))
    await asyncio.wait_for(bench.world.started.wait(), PATIENCE_S)
    bench.world.history[0].looks_left = LONG
    attempt = next(row.attempt for row in bench.tail.attempts(run) if row.stage is not Stage.PLANNED)
    return task, attempt


async def test_a_paused_run_starts_nothing_new_and_lets_what_runs_go_on(bench: Any, make_cell: Any) -> None:
    run = await bench.open(make_cell("one"), make_cell("two"))
    task, first = await one_running(bench, run)
    await tell(bench, run, PauseAsked("me"))
    bench.world.history[0].looks_left = 1
    await until(lambda: bench.tail.attempt(first).stage is Stage.DONE)
    await asyncio.sleep(0.1)  # many turns of the conductor

    waiting = [row for row in bench.tail.attempts(run) if row.attempt != first]
    assert bench.tail.attempt(first).outcome is Outcome.OK
    assert [row.stage for row in waiting] == [Stage.PLANNED]
    assert not task.done()

    await tell(bench, run, PauseLifted("me"))
    await asyncio.wait_for(task, PATIENCE_S)
    assert [row.outcome for row in bench.tail.attempts(run)] == [Outcome.OK, Outcome.OK]


async def test_a_pause_outlives_the_conductor_and_what_had_begun_is_taken_up(bench: Any, make_cell: Any) -> None:
    run = await bench.open(make_cell("one"), make_cell("two"))
    task, first = await one_running(bench, run)
    await tell(bench, run, PauseAsked("me"))
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)

    second = asyncio.create_task(conduct(bench.office(run)))
    bench.world.history[0].looks_left = 1
    await until(lambda: bench.tail.attempt(first).stage is Stage.DONE)
    await asyncio.sleep(0.1)
    assert bench.tail.find_run(run).pause_asked == PauseAsked("me")
    assert [row.stage for row in bench.tail.attempts(run) if row.attempt != first] == [Stage.PLANNED]

    await tell(bench, run, PauseLifted("me"))
    await asyncio.wait_for(second, PATIENCE_S)
    assert [container.starts for container in bench.world.history] == [1, 1]


async def test_a_paused_run_can_be_stopped(bench: Any, make_cell: Any) -> None:
    run = await bench.open(make_cell("one"), make_cell("two"))
    await tell(bench, run, PauseAsked("me"))
    await tell(bench, run, StopAsked("me", "enough"))
    await asyncio.wait_for(conduct(bench.office(run)), PATIENCE_S)
    assert [row.outcome for row in bench.tail.attempts(run)] == [Outcome.STOPPED, Outcome.STOPPED]
    assert bench.world.history == []


async def test_one_attempt_is_stopped_and_the_others_go_on(bench: Any, make_cell: Any) -> None:
    run = await bench.open(make_cell("one"), make_cell("two"))
    task, first = await one_running(bench, run)
    await tell(bench, run, StopAsked("me", "too slow"), first)
    await asyncio.wait_for(task, PATIENCE_S)
    rows = {row.cell_id: row for row in bench.tail.attempts(run)}
    assert (rows["one"].outcome, rows["two"].outcome) == (Outcome.STOPPED, Outcome.OK)
    assert rows["one"].failure is not None
    assert rows["one"].failure.line == "too slow (asked by me)"
    assert bench.tail.find_run(run).why == "finished"
    assert bench.world.containers == {}


async def test_a_waiting_attempt_is_stopped_at_once_not_at_its_turn(bench: Any, make_cell: Any) -> None:
    run = await bench.open(make_cell("one"), make_cell("two"))
    task, first = await one_running(bench, run)
    waiting = next(row.attempt for row in bench.tail.attempts(run) if row.attempt != first)
    await tell(bench, run, StopAsked("me", "not needed"), waiting)
    await until(lambda: bench.tail.attempt(waiting).outcome is Outcome.STOPPED)
    assert bench.tail.attempt(first).outcome is None
    bench.world.history[0].looks_left = 1
    await asyncio.wait_for(task, PATIENCE_S)
    assert len(bench.world.history) == 1


async def failed_run(bench: Any, make_cell: Any, **asked: Any) -> tuple[str, AttemptRow]:
    """A run that ended with one failed row, in a world that would let the next one pass."""
    good = bench.world.result, bench.world.lines
    bench.world.result, bench.world.lines = None, [b"hello\n"]
    run = await bench.open(make_cell("one"), **asked)
    await asyncio.wait_for(conduct(bench.office(run)), PATIENCE_S)
    bench.world.result, bench.world.lines = good
    (row,) = bench.tail.attempts(run)
    assert row.outcome is not Outcome.OK
    return run, row


async def test_a_further_try_opens_an_ended_run_again_and_stands_beside_the_first(bench: Any, make_cell: Any) -> None:
    run, row = await failed_run(bench, make_cell)
    await tell(bench, run, retry.next_try(row), "a2")
    await asyncio.wait_for(conduct(bench.office(run)), PATIENCE_S)
    rows = bench.tail.attempts(run)
    assert [(item.attempt_try, item.outcome) for item in rows] == [(1, Outcome.FAILED), (2, Outcome.OK)]
    assert [item.attempt for item in retry.last_tries(rows)] == ["a2"]
    assert bench.tail.find_run(run).why == "finished"
    labels = [container.labels["instinct.try"] for container in bench.world.history]
    assert labels == ["1", "2"]


async def test_a_try_asked_for_while_others_run_is_taken_up(bench: Any, make_cell: Any) -> None:
    run = await bench.open(make_cell("one"), make_cell("two"))
    task, first = await one_running(bench, run)
    waiting = next(row.attempt for row in bench.tail.attempts(run) if row.attempt != first)
    await tell(bench, run, StopAsked("me", "later"), waiting)
    await until(lambda: bench.tail.attempt(waiting).stage is Stage.DONE)
    await tell(bench, run, retry.next_try(bench.tail.attempt(waiting)), "a9")
    bench.world.history[0].looks_left = 1
    await asyncio.wait_for(task, PATIENCE_S)
    assert bench.tail.attempt("a9").outcome is Outcome.OK


async def test_a_try_asked_for_while_the_conductor_lets_go_is_taken_up(
    bench: Any, make_cell: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Whoever asks while the run is held trusts its holder: to the last moment of that, nobody else comes."""
    run, row = await failed_run(bench, make_cell)
    release, asked = RunLock.release, [Envelope(at_ns=1, run=run, attempt="a2", event=retry.next_try(row))]

    def ask_then_release(lock: RunLock) -> None:
        if asked:
            assert bench.folder.run_lock(run).holder() is not None
            bench.journal.append_now([asked.pop()])
        release(lock)

    await tell(bench, run, retry.next_try(row), "a1")
    monkeypatch.setattr(RunLock, "release", ask_then_release)
    await asyncio.wait_for(conduct(bench.office(run)), PATIENCE_S)
    assert bench.tail.attempt("a2").outcome is Outcome.OK
    assert bench.folder.run_lock(run).holder() is None


async def test_a_try_asked_for_after_the_time_limit_runs(bench: Any, make_cell: Any) -> None:
    run = await bench.open(make_cell("one"), until_ns=1)
    await asyncio.wait_for(conduct(bench.office(run)), PATIENCE_S)
    (row,) = bench.tail.attempts(run)
    assert row.outcome is Outcome.NOT_RUN
    await tell(bench, run, retry.next_try(row), "a2")
    await asyncio.wait_for(conduct(bench.office(run)), PATIENCE_S)
    assert bench.tail.attempt("a2").outcome is Outcome.OK


async def test_what_has_begun_keeps_its_end_when_the_run_is_stopped_after_a_crash(bench: Any, make_cell: Any) -> None:
    run = await bench.open(make_cell("one"))
    (row,) = bench.tail.attempts(run)
    await tell(bench, run, AttemptEnded(outcome=Outcome.NOT_RUN), row.attempt)  # and killed before it was done
    await tell(bench, run, StopAsked("me", "enough"))
    await asyncio.wait_for(conduct(bench.office(run)), PATIENCE_S)
    assert bench.tail.attempt(row.attempt).outcome is Outcome.NOT_RUN


async def test_only_what_came_to_no_figure_that_counts_is_tried_again(bench: Any, make_cell: Any) -> None:
    run = await bench.open(make_cell("one"))
    (row,) = bench.tail.attempts(run)
    assert "has not ended" in str(retry.refusal(row, [row]))
    await asyncio.wait_for(conduct(bench.office(run)), PATIENCE_S)
    (row,) = bench.tail.attempts(run)
    assert "has a figure that counts" in str(retry.refusal(row, [row]))
    _, failed = await failed_run(bench, make_cell)
    assert failed.failure is not None
    assert failed.failure.failure is FailureClass.NO_RESULT
    assert retry.refusal(failed, [failed]) is None
