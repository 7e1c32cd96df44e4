"""The Runs screen by its keys: what there was and is, watch, resume, stop, clean, export."""

import os
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import msgspec
import polars as pl
import pytest
from textual.pilot import Pilot
from textual.widgets import Input

from console.desk import desk, history
from console.desk.cleaning import Cleaned, Leftover
from console.desk.settings import Settings
from console.desk.steering import Asked
from console.model.events import ConductorStarted, Envelope, RunClosed
from console.store.journal import Journal
from console.tui.dialogs import AskText, Confirm
from console.tui.link import Answer
from console.tui.screens.results.reader import Reader
from console.tui.screens.runs.screen import RunsScreen
from console.tui.widgets.grid import Grid
from console.tui.widgets.lines import Lines
from tests.tui.pilots import cells, drawn, messages, painted, until

MakeScene = Callable[..., Any]


async def settled(pilot: Pilot[None]) -> RunsScreen:
    """Everything asked for is answered and drawn."""
    app = await drawn(pilot)
    screen = app.get_screen_stack("runs")[0] if app.current_mode != "runs" else app.console_screen()
    assert isinstance(screen, RunsScreen)
    return screen


def table(screen: RunsScreen) -> list[dict[str, str]]:
    return cells(screen.query_one("#runs", Grid))


@pytest.fixture
def left(own_settings: Settings) -> str:
    """A run of the store whose conductor was killed: open, with nobody who conducts it."""
    run = next(row.run for row in desk.runs(own_settings) if row.label == "now")
    journal = Journal(desk.folder(own_settings))
    journal.append_now([Envelope(at_ns=1, run=run, event=ConductorStarted(pid=99_999_999, machine="gone"))])
    journal.close()
    return run


async def test_every_run_is_a_row_the_newest_first(scene: MakeScene) -> None:
    app = scene(start="runs").app
    async with app.run_test(size=(200, 40)) as pilot:
        screen = await settled(pilot)
        rows = table(screen)
        text = painted(app)

    assert [row["label"] for row in rows] == ["now", "night"]
    assert all("finished" in row["state"] for row in rows)
    assert "2 runs" in text
    assert "instinct watch" in text
    assert "simulated" in text


async def test_enter_opens_the_results_of_the_run(scene: MakeScene, runs: dict[str, str]) -> None:
    app = scene(start="runs").app
    async with app.run_test(size=(120, 40)) as pilot:
        await settled(pilot)
        await pilot.press("down", "enter")
        await pilot.pause()

        assert app.current_mode == "results"
        assert app.chosen_run == runs["night"]


async def test_a_run_that_goes_on_is_told_as_the_board_has_it_and_watched(
    scene: MakeScene, own_settings: Settings, left: str, halfway: Sequence[Envelope], monkeypatch: pytest.MonkeyPatch
) -> None:
    app = scene(halfway, start="runs", given=own_settings).app
    lock = desk.folder(own_settings).run_lock(left)
    assert lock.acquire()
    try:
        async with app.run_test(size=(120, 40)) as pilot:
            screen = await settled(pilot)
            await until(pilot, lambda: len(table(screen)) == 2)
            row = table(screen)[0]
            seen = app.world.board.run(left)
            assert seen is not None
            counts = seen.counts
            assert "running" in row["state"]
            assert f" {counts.ended}/{counts.total}" in row["progress"]
            watched: list[str] = []
            monkeypatch.setattr(app, "open_attempt", watched.append)
            await pilot.press("w")
            await pilot.pause()
            attempts = {view.attempt: view for view in app.world.board.attempts(left)}
            assert [attempts[name].outcome for name in watched] == [None]
    finally:
        lock.release()


# -- resume


async def test_a_killed_run_is_resumed(scene: MakeScene, own_settings: Settings, left: str) -> None:
    made = scene((), start="runs", given=own_settings)
    made.link.answers["resume_run"] = None
    async with made.app.run_test(size=(120, 40)) as pilot:
        screen = await settled(pilot)
        assert "left" in table(screen)[0]["state"]
        assert "process 99999999 on gone was the last" in screen.query_one(Lines).text
        await pilot.press("u")
        await settled(pilot)

        assert "resume_run" in made.link.asked
        assert f"{left} goes on" in messages(made.app)


async def test_a_run_that_a_process_conducts_is_not_resumed_and_the_process_is_named(
    scene: MakeScene, own_settings: Settings, left: str
) -> None:
    made = scene((), start="runs", given=own_settings)
    lock = desk.folder(own_settings).run_lock(left)
    assert lock.acquire()
    try:
        async with made.app.run_test(size=(120, 40)) as pilot:
            screen = await settled(pilot)
            assert "running" in table(screen)[0]["state"]
            await pilot.press("u")
            await settled(pilot)

            assert "resume_run" not in made.link.asked
            assert "is conducted by process 99999999 on gone" in messages(made.app)
    finally:
        lock.release()


async def test_what_resuming_says_when_it_cannot_be_done_is_shown(
    scene: MakeScene, own_settings: Settings, left: str
) -> None:
    made = scene((), start="runs", given=own_settings)
    async with made.app.run_test(size=(120, 40)) as pilot:
        await settled(pilot)
        made.link.answers["resume_run"] = OSError("no room for a process")
        await pilot.press("u")
        await settled(pilot)

        assert "no room for a process" in messages(made.app)


async def test_resuming_starts_a_conductor_that_brings_the_run_to_its_end(
    scene: MakeScene, own_settings: Settings, left: str
) -> None:
    """For real: a process of its own, on a run of which nothing is open any more; it closes it and is gone."""
    made = scene((), start="runs", given=own_settings)
    async with made.app.run_test(size=(120, 40)) as pilot:
        await settled(pilot)
        await pilot.press("u")
        await until(pilot, lambda: history.summaries(own_settings, [left])[0].closed_at_ns is not None)
        row = history.summaries(own_settings, [left])[0]

    assert row.state == "finished"
    assert row.conductor_pid not in (99_999_999, os.getpid())


# -- stop and read-only


async def test_stopping_asks_first_and_no_leaves_it_alone(scene: MakeScene, own_settings: Settings, left: str) -> None:
    made = scene((), start="runs", given=own_settings)
    made.link.answers["stop_run"] = Asked(done=True, conducted=True)
    async with made.app.run_test(size=(120, 40)) as pilot:
        await settled(pilot)
        await pilot.press("x")
        await pilot.pause()
        assert isinstance(made.app.screen, Confirm)
        await pilot.press("enter")
        await settled(pilot)
        assert "stop_run" not in made.link.asked
        await pilot.press("x", "y")
        await settled(pilot)

        assert made.link.asked.count("stop_run") == 1
        assert "is being stopped" in messages(made.app)


async def test_read_only_offers_neither_resume_nor_stop_nor_clean(
    scene: MakeScene, own_settings: Settings, left: str
) -> None:
    made = scene((), start="runs", given=own_settings, read_only=True)
    async with made.app.run_test(size=(120, 40)) as pilot:
        screen = await settled(pilot)
        await pilot.press("u", "x", "c")
        await settled(pilot)

        assert not {"resume_run", "stop_run", "look_for_leftovers"} & set(made.link.asked)
        assert isinstance(made.app.screen, RunsScreen)
        assert "resume it" not in screen.query_one(Lines).text


# -- clean


LEFT_BEHIND = Leftover(
    host="lab-mi300x-02",
    container="instinct-claim",
    run="r1",
    attempt="a1",
    owner="ann@desk",
    container_state="exited",
    standing="left",
    why="its attempt has ended",
)
FOREIGN = msgspec.structs.replace(
    LEFT_BEHIND, host="lab-mi300x-03", standing="somebody else's", owner="bob", why="it is bob's"
)


async def test_cleaning_shows_what_would_be_removed_and_removes_it_only_after_a_yes(scene: MakeScene) -> None:
    made = scene(start="runs")
    made.link.answers["look_for_leftovers"] = Cleaned((LEFT_BEHIND, FOREIGN), {"lab-mi300x-05": "no answer"})
    removed = msgspec.structs.replace(LEFT_BEHIND, removed=True)
    made.link.answers["remove_leftovers"] = Cleaned((removed,), {})
    async with made.app.run_test(size=(120, 40)) as pilot:
        await settled(pilot)
        await pilot.press("c")
        await until(pilot, lambda: isinstance(made.app.screen, Confirm))
        text = painted(made.app)
        assert "Remove 1 container on 1 host?" in text
        assert "lab-mi300x-02  instinct-claim" in text
        assert "it is bob's" in text
        assert "lab-mi300x-05: no answer" in text
        await pilot.press("n")
        await settled(pilot)
        assert "remove_leftovers" not in made.link.asked
        await pilot.press("c")
        await until(pilot, lambda: isinstance(made.app.screen, Confirm))
        await pilot.press("y")
        await settled(pilot)

        assert "removed 1 of 1 containers" in messages(made.app)


async def test_what_is_anyone_elses_is_only_named(scene: MakeScene) -> None:
    made = scene(start="runs")
    made.link.answers["look_for_leftovers"] = Cleaned((FOREIGN,), {})
    async with made.app.run_test(size=(120, 40)) as pilot:
        await settled(pilot)
        await pilot.press("c")
        await until(pilot, lambda: isinstance(made.app.screen, Reader))

        assert "it is bob's" in painted(made.app)
    assert "remove_leftovers" not in made.link.asked


async def test_nothing_left_behind_is_said(scene: MakeScene) -> None:
    made = scene(start="runs")
    made.link.answers["look_for_leftovers"] = Cleaned((), {})
    async with made.app.run_test(size=(120, 40)) as pilot:
        await settled(pilot)
        await pilot.press("c")
        await settled(pilot)

        assert "nothing was left behind" in messages(made.app)


# -- the rest


async def test_a_run_is_exported_from_its_row(scene: MakeScene, runs: dict[str, str], tmp_path: Path) -> None:
    target = tmp_path / "night.csv"
    app = scene(start="runs").app
    async with app.run_test(size=(120, 40)) as pilot:
        await settled(pilot)
        await pilot.press("down", "e")
        await until(pilot, lambda: isinstance(app.screen, AskText))
        app.screen.query_one(Input).value = str(target)
        await pilot.press("enter")
        await until(pilot, target.is_file)

    assert pl.read_csv(target)["run"].unique().to_list() == [runs["night"]]


async def test_typing_filters_the_runs(scene: MakeScene) -> None:
    app = scene(start="runs").app
    async with app.run_test(size=(120, 40)) as pilot:
        await settled(pilot)
        await pilot.press("slash", *"night")
        screen = await settled(pilot)
        assert [row["label"] for row in table(screen)] == ["night"]
        assert "1 of 2 runs match night" in painted(app)
        await pilot.press("escape")
        screen = await settled(pilot)

        assert len(table(screen)) == 2


@pytest.mark.parametrize("size", [(80, 24), (200, 60)])
async def test_the_details_can_be_seen_in_every_size(size: tuple[int, int], scene: MakeScene) -> None:
    app = scene(start="runs").app
    async with app.run_test(size=size) as pilot:
        await settled(pilot)
        await pilot.press("d")
        await settled(pilot)

        assert "what to do next" in painted(app)
        await pilot.press("escape")
        screen = await settled(pilot)
        assert screen.query_one("#runs").has_focus


async def test_a_run_that_ends_meanwhile_is_read_again_alone(
    scene: MakeScene, own_settings: Settings, left: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("console.tui.screens.runs.screen.SOON_S", 0.01)
    made = scene((), start="runs", given=own_settings)
    async with made.app.run_test(size=(120, 40)) as pilot:
        screen = await settled(pilot)
        assert "left" in table(screen)[0]["state"]
        closed = Envelope(at_ns=2, run=left, event=RunClosed("stopped"))
        journal = Journal(desk.folder(own_settings))
        journal.append_now([closed])
        journal.close()
        made.link.feed([msgspec.structs.replace(closed, seq=10**6)])
        await settled(pilot)
        await until(pilot, lambda: "stopped" in table(screen)[0]["state"])


async def test_all_runs_are_read_again_though_a_reading_of_some_is_under_way(
    scene: MakeScene,
) -> None:
    made = scene((), start="runs")
    async with made.app.run_test(size=(120, 40)) as pilot:
        screen = await settled(pilot)
        asked = made.link.held = []
        screen._ask({"r1"})
        screen.redraw()
        assert len(asked) == 1
        made.app.call_later(asked[0], Answer(()))

        await until(pilot, lambda: len(asked) == 2)


async def test_a_store_without_runs_says_where_they_are_started(
    scene: MakeScene, settings: Settings, tmp_path: Path
) -> None:
    from console.desk.settings import Value

    made = scene((), start="runs", hosts=False)
    made.link.settings = msgspec.structs.replace(settings, store=Value(tmp_path / "new", "option"))
    async with made.app.run_test(size=(120, 40)) as pilot:
        await settled(pilot)

        assert "Nothing was run yet" in painted(made.app)
