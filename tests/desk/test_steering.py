"""Steering is journaled before it is an act, and runs are conducted by processes of their own."""

import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, cast

import msgspec
import pytest

from console.desk import history, launching, settings, steering
from console.desk.board import Board
from console.desk.errors import DeskError
from console.desk.settings import Options, Settings
from console.desk.surveying import Surveyed
from console.model import events as ev
from console.model.attempt import Failure, FailureClass, Outcome, Reason, Stage, Validity
from console.runs.plan import Plan
from console.runs.request import Request
from console.store.journal import Journal
from console.store.locks import RunLock
from console.store.paths import StateFolder
from console.store.tail import Tail

ME = "me@here"


class Desk:
    """A store with a run of two cells, and conductors that only sign in."""

    def __init__(self, root: Path) -> None:
        env = {"INSTINCT_STORE": str(root / "store"), "INSTINCT_OPERATOR": ME, "HOME": str(root)}
        self.settings: Settings = settings.load(Options(config=root), env)
        self.folder = StateFolder.open(root / "store")
        self.tail = Tail(self.folder)
        self.detached: list[str] = []
        self.tell(
            (_opened(), None), (_planned("c1", 0), "a1"), (_planned("c2", 1), "a2"), (ev.ConductorStarted(1, "m"), None)
        )

    def tell(self, *events: tuple[ev.Event, str | None], run: str = "r1") -> None:
        with Journal(self.folder) as journal:
            journal.append_now(
                [ev.Envelope(at_ns=1, event=event, run=run, attempt=attempt) for event, attempt in events]
            )

    def end(self, attempt: str, outcome: Outcome, *reasons: Reason) -> None:
        failure = None if outcome is Outcome.OK else Failure(failure=FailureClass.NO_RESULT, line="nothing")
        ended = ev.AttemptEnded(outcome=outcome, failure=failure, reasons=reasons)
        self.tell((ended, attempt), (ev.StageEntered(Stage.DONE), attempt))

    def detach(self, settings: Settings, run: str) -> "subprocess.Popen[bytes]":
        process = subprocess.Popen([sys.executable, "-c", ""])
        self.detached.append(run)
        self.tell((ev.ConductorStarted(process.pid, "m"), None), run=run)
        return process

    def board(self) -> Board:
        board = Board()
        board.apply(self.tail.since(0))
        return board


def _opened() -> ev.RunOpened:
    return ev.RunOpened(label="", matrices=("m",), hosts=("h",), operator=ME, version="0", attempts=2, simulated=False)


def _planned(cell: str, position: int) -> ev.AttemptPlanned:
    return ev.AttemptPlanned(
        matrix="m",
        cell_id=cell,
        workload="w",
        cell=msgspec.Raw(b"{}"),
        wish=("h",),
        repeat=1,
        attempt_try=1,
        expected_s=60.0,
        startup_s=5.0,
        position=position,
    )


@pytest.fixture
def desk(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Desk]:
    made = Desk(tmp_path)
    monkeypatch.setattr(launching, "detach", made.detach)
    monkeypatch.setattr(steering, "PICKED_UP_S", 0.0)
    yield made
    made.tail.close()


@pytest.fixture
def conducted(desk: Desk) -> Iterator[RunLock]:
    """Somebody conducts the run."""
    with desk.folder.run_lock("r1") as lock:
        assert lock.acquire()
        yield lock


async def test_a_launched_run_is_opened_and_conducted_by_a_process_of_its_own(desk: Desk) -> None:
    planned = launching.Planned(
        plan=Plan(Request(matrices=("m",), label="mine"), ()),
        surveyed=Surveyed({}, {}),
        simulated=True,
    )
    run = await steering.launch(desk.settings, planned)

    row = desk.tail.find_run(run)
    assert (row.label, row.simulated, desk.detached) == ("mine", True, [run])
    assert row.conductor_pid is not None


async def test_a_pause_is_seen_on_board_and_list_and_holds_until_it_is_lifted(desk: Desk, conducted: RunLock) -> None:
    assert await steering.pause(desk.settings, "r1") == steering.Asked(done=True, conducted=True)
    view = desk.board().run("r1")
    assert view is not None
    assert view.paused
    assert [item.state for item in history.summaries(desk.settings)] == ["paused"]

    assert (await steering.unpause(desk.settings, "r1")).done
    assert not (await steering.unpause(desk.settings, "r1")).done
    view = desk.board().run("r1")
    assert view is not None
    assert not view.paused
    assert [item.state for item in history.summaries(desk.settings)] == ["running"]


async def test_an_ended_or_stopping_run_cannot_be_paused_and_opens_again_without_its_pause(desk: Desk) -> None:
    await steering.pause(desk.settings, "r1")
    desk.tell((ev.RunClosed("finished"), None))
    assert not (await steering.pause(desk.settings, "r1")).done
    desk.tell((ev.ConductorStarted(2, "m"), None))
    assert desk.tail.find_run("r1").pause_asked is None
    view = desk.board().run("r1")
    assert view is not None
    assert not view.paused
    desk.tell((ev.StopAsked(ME, "enough"), None))
    assert not (await steering.pause(desk.settings, "r1")).done


async def test_stopping_a_run_that_nobody_conducts_brings_a_conductor(desk: Desk) -> None:
    assert await steering.stop(desk.settings, "r1") == steering.Asked(done=True, conducted=True)
    assert desk.detached == ["r1"]
    assert desk.tail.find_run("r1").stop_asked == ev.StopAsked(ME, "stopped in the console")


async def test_stopping_a_conducted_run_is_left_to_its_conductor(desk: Desk, conducted: RunLock) -> None:
    await steering.stop(desk.settings, "r1")
    assert desk.detached == []


async def test_one_attempt_is_asked_to_stop_once_and_only_while_it_is_open(desk: Desk, conducted: RunLock) -> None:
    for _ in range(2):
        assert await steering.stop_attempt(desk.settings, "r1", "a1", "slow") == steering.Asked(
            done=True, conducted=True
        )
    assert len(desk.tail.of_attempt("a1", ev.StopAsked)) == 1
    assert desk.tail.unfinished("r1") == {"a1": True, "a2": False}
    desk.end("a1", Outcome.STOPPED)
    assert not (await steering.stop_attempt(desk.settings, "r1", "a1")).done
    with pytest.raises(DeskError, match="no attempt a9"):
        await steering.stop_attempt(desk.settings, "r1", "a9")


async def test_resuming_is_refused_while_somebody_conducts_or_nothing_is_left(desk: Desk, conducted: RunLock) -> None:
    with pytest.raises(DeskError, match="is conducted by"):
        await steering.resume(desk.settings, "r1")
    conducted.release()
    await steering.resume(desk.settings, "r1")
    assert desk.detached == ["r1"]
    for attempt in ("a1", "a2"):
        desk.end(attempt, Outcome.OK)
    desk.tell((ev.RunClosed("finished"), None))
    with pytest.raises(DeskError, match="nothing of it is left"):
        await steering.resume(desk.settings, "r1")


async def test_a_further_try_is_planned_in_the_same_run_and_opens_it_again(desk: Desk) -> None:
    desk.end("a1", Outcome.FAILED)
    desk.end("a2", Outcome.OK)
    desk.tell((ev.RunClosed("finished"), None))

    (new,) = await steering.retry(desk.settings, "r1", ["a1", "a1"])

    row = desk.tail.attempt(new)
    assert row is not None
    assert (row.cell_id, row.attempt_try, row.position, row.wish) == ("c1", 2, 0, ("h",))
    assert desk.detached == ["r1"]
    first, again, _ = desk.board().attempts("r1")
    assert (first.superseded, again.superseded) == (True, False)
    (summary,) = history.summaries(desk.settings)
    assert (summary.ok, summary.failed, summary.open) == (1, 0, 1)


async def test_a_try_of_a_conducted_run_is_left_to_its_conductor(desk: Desk, conducted: RunLock) -> None:
    desk.end("a1", Outcome.FAILED)
    await steering.retry(desk.settings, "r1", ["a1"])
    assert desk.detached == []
    assert len(desk.tail.attempts("r1")) == 3


async def test_a_refused_try_plans_nothing(desk: Desk) -> None:
    desk.end("a1", Outcome.FAILED)
    with pytest.raises(DeskError, match="a2 has not ended"):
        await steering.retry(desk.settings, "r1", ["a1", "a2"])
    desk.end("a2", Outcome.OK)
    with pytest.raises(DeskError, match="has a figure that counts"):
        await steering.retry(desk.settings, "r1", ["a2"])
    with pytest.raises(DeskError, match="no attempt a9"):
        await steering.retry(desk.settings, "r1", ["a9"])
    assert len(desk.tail.attempts("r1")) == 2
    await steering.retry(desk.settings, "r1", ["a1"])
    with pytest.raises(DeskError, match="tried again already"):
        await steering.retry(desk.settings, "r1", ["a1"])
    desk.tell((ev.StopAsked(ME, "enough"), None))
    with pytest.raises(DeskError, match="is being stopped"):
        await steering.retry(desk.settings, "r1", ["a1"])


async def test_a_spoiled_figure_may_be_tried_again(desk: Desk) -> None:
    desk.end("a1", Outcome.OK, Reason(Validity.THROTTLED))
    assert len(await steering.retry(desk.settings, "r1", ["a1"])) == 1


def test_an_attempt_is_found_by_id_beginning_or_cell(desk: Desk) -> None:
    assert steering.find_attempt(desk.settings, "r1", "a1").attempt == "a1"
    assert steering.find_attempt(desk.settings, "r1", "c2").attempt == "a2"
    with pytest.raises(DeskError, match=r"more than one attempt of r1; candidates: a1 \(c1 on h\), a2"):
        steering.find_attempt(desk.settings, "r1", "a")
    with pytest.raises(DeskError, match="'x' is no attempt of r1"):
        steering.find_attempt(desk.settings, "r1", "x")


class Ending:
    """A conductor that ends at the first look at it, and does something before."""

    pid = 4711

    def __init__(self, before: Callable[[], None]) -> None:
        self._before = before

    def poll(self) -> int:
        self._before()
        return 0


async def test_a_conductor_that_was_there_and_ended_at_once_is_no_failure(desk: Desk) -> None:
    process = Ending(lambda: desk.tell((ev.ConductorStarted(Ending.pid, "m"), None)))
    await launching.wait_for_conductor(desk.settings, "r1", cast(Any, process))


async def test_a_conductor_that_another_was_quicker_than_is_no_failure(desk: Desk, conducted: RunLock) -> None:
    await launching.wait_for_conductor(desk.settings, "r1", cast(Any, Ending(lambda: None)))
    conducted.release()
    launching.conductor_log(desk.settings, "r1").touch()
    with pytest.raises(DeskError, match="ended at once: it said nothing"):
        await launching.wait_for_conductor(desk.settings, "r1", cast(Any, Ending(lambda: None)))
