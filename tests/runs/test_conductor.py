"""A run goes from planned to done, whatever happens to the process that conducts it."""

import asyncio
import gc
import time
from typing import Any

import msgspec
import pytest

from console.model.attempt import FailureClass, Outcome, Sample, Stage, Validity
from console.model.cell import AnyCell
from console.model.events import ClaimRefused, Envelope, StopAsked
from console.runs.conductor import RunHeld, conduct
from console.runs.site import SiteError
from console.store.errors import NotWritten
from console.store.journal import Journal
from console.store.logfile import PartLog

PATIENCE_S = 200.0


async def finish(bench: Any, run: str) -> None:
    """Conduct to the end."""
    await asyncio.wait_for(conduct(bench.office(run)), PATIENCE_S)


async def test_a_cell_ends_with_the_figure_its_program_printed(bench: Any, make_cell: Any) -> None:
    run = await bench.open(make_cell())
    await finish(bench, run)
    (row,) = bench.tail.attempts(run)
    assert (row.stage, row.outcome) == (Stage.DONE, Outcome.OK)
    assert row.result is not None
    assert row.result.value() == pytest.approx(400.0)
    assert row.conditions is not None
    assert row.conditions.gpu == "MI300X"
    assert row.conditions.image_digest == "sha256:" + "a" * 64
    assert bench.tail.find_run(run).why == "finished"
    assert bench.world.containers == {}
    assert bench.world.receipts == [row.attempt]


async def test_live_figures_are_in_the_journal(bench: Any, make_cell: Any) -> None:
    run = await bench.open(make_cell())
    await finish(bench, run)
    (row,) = bench.tail.attempts(run)
    rates = [item.event.rate for item in bench.tail.of_attempt(row.attempt, Sample)]
    assert 390.1 in rates


async def crash_and_resume(bench: Any, run: str, act: int, after: bool) -> bool:
    """Kill the conductor at an act, then let another one carry on; False when the run had ended before it."""
    world = bench.world
    world.freeze_at, world.freeze_after = act, after
    world.acts = 0
    world.frozen = asyncio.Event()
    first = asyncio.create_task(conduct(bench.office(run)))
    died = asyncio.create_task(world.frozen.wait())
    await asyncio.wait({first, died}, timeout=PATIENCE_S, return_when=asyncio.FIRST_COMPLETED)
    killed = died.done()
    first.cancel()
    died.cancel()
    await asyncio.gather(first, died, return_exceptions=True)
    world.freeze_at = None
    await finish(bench, run)
    return killed


@pytest.mark.parametrize("after", [False, True], ids=["before the act", "after the act"])
@pytest.mark.parametrize("chunk", range(4))
async def test_a_kill_at_any_act_loses_nothing_and_starts_nothing_twice(
    bench: Any, make_cell: Any, after: bool, chunk: int
) -> None:
    reached = 0
    for act in range(1 + chunk, 60, 4):
        bench.world.history.clear()
        bench.world.receipts.clear()
        run = await bench.open(make_cell())
        killed = await crash_and_resume(bench, run, act, after)
        (row,) = bench.tail.attempts(run)
        assert row.outcome is Outcome.OK, f"killed at act {act}: {row.failure}"
        assert row.result is not None
        assert row.result.value() == pytest.approx(400.0)
        assert [container.starts for container in bench.world.history] == [1], f"killed at act {act}"
        assert bench.world.containers == {}
        assert Validity.LOG_GAP not in {reason.reason for reason in row.reasons}
        if not killed:
            break
        reached = act
    assert reached > 5, "the test killed nothing"


async def test_a_failing_program_is_a_row_with_its_root_cause(bench: Any, make_cell: Any) -> None:
    bench.world.exit_codes["n1"] = 1
    bench.world.result = None
    bench.world.lines = [
        b"ERROR 05-21 10:15:30 [x.py:1] torch.OutOfMemoryError: HIP out of memory. Tried to allocate 2.00 GiB. GPU 0 "
        b"has a total capacity of 191.98 GiB of which 1.00 GiB is free.\n"
    ]
    run = await bench.open(make_cell())
    await finish(bench, run)
    (row,) = bench.tail.attempts(run)
    assert row.outcome is Outcome.FAILED
    assert row.failure is not None
    assert row.failure.failure is FailureClass.OUT_OF_MEMORY_GPU
    assert "HIP out of memory" in row.failure.line
    assert bench.world.containers == {}


async def test_a_missing_result_file_is_not_an_end_without_a_row(bench: Any, make_cell: Any) -> None:
    bench.world.result = None
    bench.world.lines = [b"hello\n"]
    run = await bench.open(make_cell())
    await finish(bench, run)
    (row,) = bench.tail.attempts(run)
    assert row.outcome is Outcome.FAILED
    assert row.failure is not None
    assert row.failure.failure is FailureClass.NO_RESULT


async def test_a_container_that_cannot_start_is_removed_and_told(bench: Any, make_cell: Any) -> None:
    bench.world.start_error = SiteError("n1", "no such device /dev/kfd", failure=FailureClass.NO_KFD)
    run = await bench.open(make_cell())
    await finish(bench, run)
    (row,) = bench.tail.attempts(run)
    assert row.failure is not None
    assert (row.outcome, row.failure.failure) == (Outcome.FAILED, FailureClass.NO_KFD)
    assert bench.world.containers == {}


async def test_two_consoles_racing_for_one_host_run_one_attempt_at_a_time(bench: Any, make_cell: Any) -> None:
    mine = await bench.open(make_cell(), operator="me")
    theirs = await bench.open(make_cell(), operator="they")
    await asyncio.wait_for(
        asyncio.gather(conduct(bench.office(mine, "me")), conduct(bench.office(theirs, "they"))), PATIENCE_S
    )
    rows = [*bench.tail.attempts(mine), *bench.tail.attempts(theirs)]
    outcomes = sorted(str(row.outcome) for row in rows)
    assert outcomes in (["not run", "ok"], ["ok", "ok"])
    refused = [row for row in rows if row.outcome is Outcome.NOT_RUN]
    for row in refused:
        assert row.failure is not None
        assert row.failure.failure is FailureClass.HOST_BUSY
        assert bench.tail.of_attempt(row.attempt, ClaimRefused)
    assert all(container.starts <= 1 for container in bench.world.history)
    assert bench.world.containers == {}


async def test_waiting_for_a_busy_host_ends_with_both_done(bench: Any, make_cell: Any) -> None:
    mine = await bench.open(make_cell(), operator="me", if_busy="wait")
    theirs = await bench.open(make_cell(), operator="they", if_busy="wait")
    await asyncio.wait_for(
        asyncio.gather(conduct(bench.office(mine, "me")), conduct(bench.office(theirs, "they"))), PATIENCE_S
    )
    rows = [*bench.tail.attempts(mine), *bench.tail.attempts(theirs)]
    assert [(row.outcome, row.failure) for row in rows] == [(Outcome.OK, None), (Outcome.OK, None)]


async def test_a_stop_is_heard_while_a_host_is_waited_for(bench: Any, make_cell: Any) -> None:
    bench.policy = msgspec.structs.replace(bench.policy, busy_poll_s=3600)
    holder = await bench.open(make_cell(), operator="me")
    holding = asyncio.create_task(conduct(bench.office(holder, "me")))
    await asyncio.wait_for(bench.world.started.wait(), PATIENCE_S)
    bench.world.history[0].looks_left = 10**9
    waiter = await bench.open(make_cell(), operator="they", if_busy="wait")
    waiting = asyncio.create_task(conduct(bench.office(waiter, "they")))
    async with asyncio.timeout(PATIENCE_S):
        while not any(bench.tail.of_attempt(row.attempt, ClaimRefused) for row in bench.tail.attempts(waiter)):  # noqa: ASYNC110 - the journal is told by polling
            await asyncio.sleep(0.01)
    await bench.journal.append([Envelope(at_ns=time.time_ns(), run=waiter, event=StopAsked("they", "enough"))])
    await asyncio.wait_for(waiting, PATIENCE_S)
    (row,) = bench.tail.attempts(waiter)
    assert row.outcome is not None
    assert row.outcome is not Outcome.OK
    bench.world.history[0].looks_left = 1
    await asyncio.wait_for(holding, PATIENCE_S)


async def test_a_lost_host_ends_nothing_and_the_run_goes_on_when_it_is_back(bench: Any, make_cell: Any) -> None:
    run = await bench.open(make_cell())
    office = bench.office(run)
    task = asyncio.create_task(conduct(office))
    await asyncio.wait_for(bench.world.started.wait(), PATIENCE_S)
    bench.world.unreachable.add("n1")
    await asyncio.sleep(0.05)
    (row,) = bench.tail.attempts(run)
    assert row.outcome is None
    bench.world.unreachable.clear()
    await asyncio.wait_for(task, PATIENCE_S)
    (row,) = bench.tail.attempts(run)
    assert row.outcome is Outcome.OK


@pytest.mark.parametrize("of", [PartLog, Journal], ids=["logs", "journal"])
async def test_a_full_disk_ends_nothing_and_the_run_goes_on_when_there_is_room(
    bench: Any, make_cell: Any, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture, of: type[Any]
) -> None:
    run = await bench.open(make_cell("one"), make_cell("two"))
    append = of.append

    def full(self: Any, *args: Any, **options: Any) -> Any:
        if any(container.starts for container in bench.world.history):
            raise NotWritten("no room", remedy="free space, then --resume")
        return append(self, *args, **options)

    with monkeypatch.context() as patch:
        patch.setattr(of, "append", full)
        with pytest.raises(NotWritten):
            await finish(bench, run)
        gc.collect()
    left = [container.state for container in bench.world.containers.values()]
    before = [row.outcome for row in bench.tail.attempts(run)]
    await finish(bench, run)

    assert left, "its container is neither removed nor forgotten"
    assert before == [None, None]
    assert "never retrieved" not in caplog.text
    assert [row.outcome for row in bench.tail.attempts(run)] == [Outcome.OK, Outcome.OK]
    assert [container.starts for container in bench.world.history] == [1, 1]
    assert bench.world.containers == {}


async def test_a_stop_is_an_intent_first_and_every_row_ends(bench: Any, make_cell: Any) -> None:
    run = await bench.open(make_cell("one"), make_cell("two"))
    bench.world.lines = [b"hello\n"]
    task = asyncio.create_task(conduct(bench.office(run)))
    await asyncio.wait_for(bench.world.started.wait(), PATIENCE_S)
    bench.world.history[0].looks_left = 10**6
    await bench.journal.append([Envelope(at_ns=time.time_ns(), run=run, event=StopAsked("me", "enough"))])
    await asyncio.wait_for(task, PATIENCE_S)
    rows = bench.tail.attempts(run)
    assert [row.outcome for row in rows] == [Outcome.STOPPED, Outcome.STOPPED]
    assert bench.tail.find_run(run).why == "stopped"
    assert bench.world.containers == {}


async def test_busy_gpus_are_respected_and_told(bench: Any, make_cell: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("console.runs.prepare.SETTLE_S", 0.0)
    bench.world.busy_gpus.add("n1")
    run = await bench.open(make_cell())
    await finish(bench, run)
    (row,) = bench.tail.attempts(run)
    assert row.failure is not None
    assert (row.outcome, row.failure.failure) == (Outcome.NOT_RUN, FailureClass.GPU_IN_USE)
    assert bench.world.history == []


async def test_one_process_conducts_a_run(bench: Any, make_cell: Any) -> None:
    run = await bench.open(make_cell())
    lock = bench.folder.run_lock(run)
    assert lock.acquire()
    with pytest.raises(RunHeld, match="instinct watch"):
        await finish(bench, run)
    lock.release()


async def test_spread_runs_each_cell_once_on_the_next_free_host(bench: Any, make_cell: Any) -> None:
    bench.world.hosts = ("n1", "n2")
    cells: list[AnyCell] = [make_cell(f"row{index}") for index in range(4)]
    run = await bench.open(*cells, place="spread")
    await finish(bench, run)
    rows = bench.tail.attempts(run)
    assert [row.outcome for row in rows] == [Outcome.OK] * 4
    used = {row.launch.placement.seats[0].host for row in rows if row.launch}
    assert used == {"n1", "n2"}


async def test_the_rest_is_a_row_when_time_is_up(bench: Any, make_cell: Any) -> None:
    run = await bench.open(make_cell("one"), make_cell("two"), until_ns=1)
    await finish(bench, run)
    rows = bench.tail.attempts(run)
    assert [row.outcome for row in rows] == [Outcome.NOT_RUN, Outcome.NOT_RUN]
    assert all(row.failure and "--until" in row.failure.line for row in rows)
