"""Live: what is said of attempts, the curves on one axis, which panes there are, and the keys."""

import math
from array import array
from collections.abc import Callable, Sequence
from typing import Any

import msgspec
import pytest
from textual.events import Key
from textual.pilot import Pilot
from textual.widgets import Input

from console.desk import desk
from console.desk.board import AttemptView, Board
from console.desk.fleet_history import GpuHistory, History
from console.desk.logs import LogPart
from console.desk.readings import AttemptReadings, GpuReadings
from console.desk.settings import Settings
from console.desk.steering import Asked
from console.desk.views import Fetch, LinkState, Notice, Progress, Refusal
from console.model.attempt import FailureClass, Outcome, Phase, Reason, Stage, Validity
from console.model.events import Envelope
from console.model.text import Clean
from console.tui.app import Console
from console.tui.dialogs import Choose, Confirm
from console.tui.screens.live import rows as live_rows
from console.tui.screens.live import series as live_series
from console.tui.screens.live.pane import default_part
from console.tui.screens.live.screen import LiveScreen
from console.tui.widgets.grid import Grid, text_of
from console.tui.widgets.plots import Plot
from tests.tui.pilots import drawn, painted

MakeScene = Callable[..., Any]
S = 1_000_000_000


@pytest.fixture
def board(halfway: Sequence[Envelope]) -> Board:
    made = Board()
    made.apply(halfway)
    return made


@pytest.fixture
def active(board: Board, runs: dict[str, str]) -> AttemptView:
    """An attempt that runs, with figures that are easy to read."""
    view = next(item for item in board.attempts(runs["now"]) if item.outcome is None and item.placed)
    return msgspec.structs.replace(
        view,
        stage=Stage.RUNNING,
        phase=Phase.MEASURING,
        started_at_ns=100 * S,
        phase_since_ns=160 * S,
        ended_at_ns=None,
    )


def said(view: AttemptView, now_ns: int = 200 * S) -> str:
    return "\n".join("".join(text for text, _ in para.spans) for para in live_rows.head(view, now_ns, {}))


# -- rows and heads


def test_a_row_has_a_cell_for_every_column(board: Board, runs: dict[str, str]) -> None:
    for run in runs.values():
        for view in board.attempts(run):
            row = live_rows.row(view, 10**18, ticked=False)
            assert len(row.cells) == len(live_rows.COLUMNS)


def test_a_row_tells_phase_progress_and_whether_it_is_ticked(active: AttemptView) -> None:
    view = msgspec.structs.replace(active, progress=Progress(30, 120, "prompts", 190 * S))
    cells = [text_of(cell) for cell in live_rows.row(view, 200 * S, ticked=True).cells]
    assert cells[0] == live_rows.TICKED
    assert "measuring" in cells[3]
    assert cells[5] == "25%"
    assert text_of(live_rows.row(view, 200 * S, ticked=False).cells[0]) == " "


def test_the_head_counts_what_is_done_and_what_is_left(active: AttemptView) -> None:
    view = msgspec.structs.replace(active, progress=Progress(30, 120, "prompts", 200 * S))
    assert "25%" in said(view)
    assert "30/120 prompts" in said(view)
    assert "1:40, 2:00 left" in said(view)


def test_the_mean_is_held_against_a_reference_of_the_same_metric_only(board: Board, runs: dict[str, str]) -> None:
    view = next(item for run in runs.values() for item in board.attempts(run) if item.rate is not None)
    assert view.rate is not None
    rate = msgspec.structs.replace(view.rate, metric="output_tokens_per_s", value=90.0, mean=95.0)
    alike = msgspec.structs.replace(view, outcome=None, metric="output_tokens_per_s", reference=100.0, rate=rate)
    assert live_rows.live_ratio(alike) == pytest.approx(0.95)
    assert live_rows.reference_lines(alike) == {"reference 100.0": 100.0, "mean 95.00": 95.0}
    other = msgspec.structs.replace(alike, metric="latency_s", reference=12.0)
    assert live_rows.live_ratio(other) is None
    assert list(live_rows.reference_lines(other)) == ["mean 95.00"]


def test_everything_wrong_is_said_in_words(active: AttemptView) -> None:
    fetched = Fetch(
        host="node7", what="model", name=Clean("m"), done_bytes=1 << 30, total_bytes=2 << 30, status=Clean(""), at_ns=0
    )
    view = msgspec.structs.replace(
        active,
        links=(LinkState("node7", "lost", Clean("timed out"), 140 * S),),
        refused=Refusal("node8", Clean("bob"), Clean("noon")),
        stop_asked=True,
        notice=Notice(Clean("low on disk"), "warning", 0),
        fetching=(fetched,),
    )
    text = said(view)
    for part in ("node7 cannot be heard for 1 min 00 s: timed out", "held by bob", "asked to stop", "low on disk"):
        assert part in text
    assert "model m on node7" in text
    assert "1.0 GiB of 2.0 GiB" in text


def test_an_ended_attempt_tells_failure_root_cause_and_what_spoils_it(active: AttemptView) -> None:
    failed = msgspec.structs.replace(
        active,
        outcome=Outcome.FAILED,
        ended_at_ns=190 * S,
        failure=FailureClass.OUT_OF_MEMORY_GPU,
        failure_line=Clean("HIP out of memory"),
    )
    assert "out_of_memory_gpu: HIP out of memory" in said(failed)
    assert "after 1:30" in said(failed)
    spoiled = msgspec.structs.replace(
        active, outcome=Outcome.OK, ended_at_ns=190 * S, reasons=(Reason(Validity.THROTTLED, "12 % of the time"),)
    )
    assert "ok, spoiled" in said(spoiled)
    assert "12 % of the time" in said(spoiled)
    assert "spoiled: " in said(spoiled)


def test_what_is_at_work_comes_first_and_what_was_kept_stays(board: Board, runs: dict[str, str]) -> None:
    views = [view for run in runs.values() for view in board.attempts(run)]
    now_ns = 10**19
    shown = live_rows.worth_showing(views, (), now_ns, everything=False)
    assert shown
    assert all(view.outcome is None and view.stage is not Stage.PLANNED for view in shown)
    ended = next(view for view in views if view.outcome is not None)
    kept = live_rows.worth_showing(views, {ended.attempt}, now_ns, everything=False)
    assert kept[-1].attempt == ended.attempt
    assert len(live_rows.worth_showing(views, (), now_ns, everything=True)) == len(views)


@pytest.mark.parametrize(
    ("wanted", "width", "height", "panes"),
    [(0, 80, 18, (1, 1)), (3, 80, 18, (1, 1)), (2, 120, 30, (2, 1)), (4, 120, 32, (2, 2)), (4, 200, 50, (2, 2)),
     (3, 200, 50, (3, 1)), (4, 240, 50, (4, 1)), (9, 300, 60, (4, 1)), (2, 80, 60, (1, 2))],
)  # fmt: skip
def test_as_many_panes_as_there_is_room_for(wanted: int, width: int, height: int, panes: tuple[int, int]) -> None:
    assert live_rows.layout(wanted, width, height) == panes


# -- curves


def test_the_axis_reaches_beyond_now_and_ends_with_the_attempt(active: AttemptView) -> None:
    running = live_series.span_of(active, 165 * S, lately=False)
    assert (running.start_s, running.stop_s) == (0.0, 70.0)
    assert live_series.span_of(active, 169 * S, lately=False) == running
    ended = msgspec.structs.replace(active, ended_at_ns=143 * S, outcome=Outcome.OK)
    assert live_series.span_of(ended, 999 * S, lately=False).window == (0.0, 43.0)
    late = live_series.span_of(active, 2105 * S, lately=True)
    assert late.stop_s - late.start_s == live_series.LAST_S
    assert late.stop_s >= 2005


def span() -> live_series.Span:
    return live_series.Span(1000 * S, 0.0, 100.0)


POWER = live_series.METRICS[0]


def recorded(*gpus: tuple[str, str, dict[int, float | None]]) -> AttemptReadings:
    return AttemptReadings(
        attempt="a1",
        live=True,
        measured=(None, None),
        gpus=tuple(
            GpuReadings(
                host=host,
                bdf=bdf,
                at_ns=tuple((1000 + second) * S for second in values),
                series={"power_w": tuple(values.values())},
            )
            for host, bdf, values in gpus
        ),
    )


def test_highest_mean_and_lowest_gpu_are_named() -> None:
    given = recorded(("n1", "03", {1: 100.0, 2: 300.0}), ("n1", "43", {1: 200.0, 2: 500.0}))
    seen, gap_s = live_series.telemetry(POWER, span(), 1050 * S, given, {}, {})
    assert seen is not None
    assert (seen.times_s, seen.highest, seen.mean, seen.lowest) == ([1, 2], [200, 500], [150, 400], [100, 300])
    assert (seen.top, seen.bottom) == ("GPU 1", "GPU 0")
    assert list(live_series.curves(seen)) == ["highest (GPU 1)", "mean", "lowest (GPU 0)"]
    assert live_series.marks(live_series.curves(seen))["lowest (GPU 0)"] == "■"
    assert gap_s >= live_series.GAP_S


def test_gpus_of_several_hosts_carry_their_host_and_host_clocks_are_set_right() -> None:
    given = recorded(("n1", "03", {5: 100.0}), ("n2", "03", {8: 300.0}))
    seen, _ = live_series.telemetry(POWER, span(), 1050 * S, given, {}, {"n2": 3 * S})
    assert seen is not None
    assert seen.times_s == [5]
    assert (seen.top, seen.bottom) == ("n2 GPU 0", "n1 GPU 0")


def test_nothing_after_the_end_or_of_the_future_of_a_replay_is_drawn() -> None:
    given = recorded(("n1", "03", {5: 100.0, 30: None, 60: 300.0}))
    seen, _ = live_series.telemetry(POWER, span(), 1040 * S, given, {}, {})
    assert seen is not None
    assert seen.times_s == [5]
    assert live_series.telemetry(POWER, span(), 1001 * S, given, {}, {})[0] is None


def lately(values: dict[int, float], length: int = 30, newest: int = 1040) -> History:
    times = range(newest - length + 1, newest + 1)
    power = array("f", [values.get(second, math.nan) for second in times])
    nothing = array("f", [math.nan] * length)
    gpu = GpuHistory(0, "03", nothing, nothing, power, nothing, nothing, nothing)
    return History(array("q", [second * S for second in times]), nothing, nothing, (gpu,))


def test_what_was_heard_lately_goes_on_where_the_record_ends() -> None:
    given = recorded(("n1", "03", {5: 100.0, 20: 110.0}))
    heard = {1015: 900.0, 1020: 900.0, 1021: 120.0, 1030: 130.0}
    seen, _ = live_series.telemetry(POWER, span(), 1050 * S, given, {"n1": lately(heard)}, {})
    assert seen is not None
    assert seen.times_s == [5, 20, 21, 30]
    assert seen.mean == [100, 110, 120, 130]
    alone, _ = live_series.telemetry(POWER, span(), 1050 * S, None, {"n1": lately({990: 5.0, 1030: 130.0}, 60)}, {})
    assert alone is not None
    assert alone.times_s == [30]


def test_the_pause_that_breaks_a_rate_fits_its_own_pace() -> None:
    assert live_series.rate_gap_s([]) == 15
    assert live_series.rate_gap_s([0.0, 1.0, 2.0]) == 15
    assert live_series.rate_gap_s([0.0, 40.0, 80.0, 500.0]) == 240


def test_a_scale_from_nothing_only_where_the_curve_comes_near_it() -> None:
    assert live_series.floor_of([1000.0, 1020.0]) is None
    assert live_series.floor_of([100.0, 1020.0, math.nan]) == 0.0
    assert live_series.floor_of([]) == 0.0
    assert live_series.floor_of([0.0, 0.0]) == 0.0


def test_the_log_that_most_want_is_shown_first() -> None:
    assert default_part(()) is None
    assert default_part((LogPart("server", "", 900), LogPart("client", "", 1))) == "client"
    assert default_part((LogPart("rank0", "", 10), LogPart("rank1", "", 90))) == "rank1"


# -- the screen


async def settled(pilot: Pilot[None]) -> None:
    await drawn(pilot, again=True)


def live(app: Console) -> LiveScreen:
    screen = app.console_screen()
    assert isinstance(screen, LiveScreen)
    return screen


async def test_it_shows_what_runs_with_plots_and_log(scene: MakeScene, halfway: Sequence[Envelope]) -> None:
    app = scene(halfway, start="live").app
    async with app.run_test(size=(120, 40)) as pilot:
        await settled(pilot)
        screen = live(app)
        await pilot.press("end", "home")
        await settled(pilot)
        pane = screen.pane()
        assert pane.attempt == screen.query_one(Grid).current
        assert pane.view is not None
        text = painted(app)
        assert pane.view.name[:20] in text
        assert "log" in text


async def test_ticked_attempts_stand_side_by_side_and_stay_when_they_end(
    scene: MakeScene, events: Sequence[Envelope], halfway: Sequence[Envelope]
) -> None:
    made = scene(halfway, start="live")
    app = made.app
    async with app.run_test(size=(120, 40)) as pilot:
        await settled(pilot)
        screen = live(app)
        await pilot.press("space", "down", "space")
        await settled(pilot)
        ticked = [pane.attempt for pane in screen.panes if pane.display]
        assert len(ticked) == 2
        assert screen.pane().size.width < 61

        made.link.feed(events[len(halfway) :])
        await settled(pilot)
        assert [pane.attempt for pane in screen.panes if pane.display] == ticked
        assert all(app.world.board.attempt(name).outcome is not None for name in ticked)
        await pilot.press("space")
        await settled(pilot)
        assert sum(pane.display for pane in screen.panes) == 1


async def test_on_a_small_screen_one_pane_shows_and_the_rest_is_said(
    scene: MakeScene, halfway: Sequence[Envelope]
) -> None:
    app = scene(halfway, start="live").app
    async with app.run_test(size=(80, 24)) as pilot:
        await settled(pilot)
        await pilot.press("space", "down", "space")
        await settled(pilot)
        assert sum(pane.display for pane in live(app).panes) == 1
        assert "1 of 2 ticked fit" in painted(app)
        assert live(app).pane().attempt == live(app).query_one(Grid).current
        await pilot.resize_terminal(200, 60)
        await settled(pilot)
        assert sum(pane.display for pane in live(app).panes) == 2
        assert "ticked fit" not in painted(app)


async def test_an_attempt_of_long_ago_is_brought_and_shown(scene: MakeScene, runs: dict[str, str]) -> None:
    made = scene((), start="fleet")
    app = made.app
    async with app.run_test(size=(120, 40)) as pilot:
        await settled(pilot)
        with desk.tail(app.link.settings) as tail:
            row = next(row for row in tail.attempts(runs["now"]) if row.outcome is Outcome.FAILED)
        app.open_attempt(row.attempt)
        await settled(pilot)
        await settled(pilot)
        assert made.link.loaded == [runs["now"]]
        assert live(app).pane().attempt == row.attempt
        text = painted(app)
        assert "failed" in text
        assert row.failure is not None
        assert row.failure.failure.value in text


async def test_the_log_is_searched_from_the_screen(
    scene: MakeScene, events: Sequence[Envelope], runs: dict[str, str]
) -> None:
    app = scene(events, start="live").app
    async with app.run_test(size=(120, 40)) as pilot:
        await settled(pilot)
        await pilot.press("enter")
        await settled(pilot)
        pane = live(app).pane()
        assert pane.logs.has_focus
        assert pane.logs.window.lines
        await pilot.press("slash", *[{".": "full_stop", "@": "at"}.get(char, char) for char in "started"], "enter")
        await settled(pilot)
        assert "/started" in painted(app)
        await pilot.press("escape")
        await settled(pilot)
        assert "/started" not in painted(app)
        await pilot.press("escape")
        await settled(pilot)
        assert live(app).query_one(Grid).has_focus


async def test_stopping_an_attempt_asks_first(scene: MakeScene, halfway: Sequence[Envelope]) -> None:
    made = scene(halfway, start="live")
    app = made.app
    made.link.answers["stop_attempt"] = Asked(done=True, conducted=True)
    async with app.run_test(size=(120, 40)) as pilot:
        await settled(pilot)
        await pilot.press("s")
        await pilot.pause()
        assert isinstance(app.screen, Confirm)
        await pilot.press("enter")
        await pilot.pause()
        assert "stop_attempt" not in made.link.asked
        await pilot.press("s")
        await pilot.pause()
        await pilot.press("y")
        await settled(pilot)
        assert "stop_attempt" in made.link.asked


async def test_a_read_only_console_stops_and_retries_nothing(scene: MakeScene, halfway: Sequence[Envelope]) -> None:
    made = scene(halfway, start="live", read_only=True)
    app = made.app
    async with app.run_test(size=(120, 40)) as pilot:
        await settled(pilot)
        await pilot.press("s", "S", "R", "p")
        await settled(pilot)
        assert not isinstance(app.screen, Confirm)
        assert not {"stop_attempt", "stop_run", "retry_attempt", "pause_run"} & set(made.link.asked)


async def test_zoom_goes_from_all_to_the_attempt_to_its_log_and_back(
    scene: MakeScene, events: Sequence[Envelope]
) -> None:
    app = scene(events, start="live").app
    async with app.run_test(size=(120, 40)) as pilot:
        await settled(pilot)
        screen = live(app)
        await pilot.press("z")
        await settled(pilot)
        assert not screen.query_one("#attempts").display
        assert screen.pane().query(Plot).first().display
        await pilot.press("z")
        await settled(pilot)
        assert not screen.pane().query(Plot).first().display
        assert screen.pane().logs.size.height > 25
        await pilot.press("escape")
        await settled(pilot)
        assert screen.query_one("#attempts").display
        assert screen.pane().query(Plot).first().display


async def test_readings_and_views_go_round(scene: MakeScene, events: Sequence[Envelope]) -> None:
    app = scene(events, start="live").app
    async with app.run_test(size=(120, 40)) as pilot:
        await settled(pilot)
        pane = live(app).pane()
        titles = []
        for _ in live_series.METRICS:
            titles.append(pane.metric.key if pane.metric else "")
            await pilot.press("t")
        assert titles == [metric.key for metric in live_series.METRICS]
        await settled(pilot)
        assert not pane.query_one(".gpus").display
        await pilot.press("t", "v")
        await settled(pilot)
        parts = [pane.logs.display, pane.query(Plot).first().display]
        await pilot.press("v")
        await settled(pilot)
        parts += [pane.logs.display, pane.query(Plot).first().display]
        assert parts == [False, True, True, False]


async def test_the_log_of_a_rank_is_chosen(scene: MakeScene, events: Sequence[Envelope], settings: Settings) -> None:
    app = scene(events, start="live").app
    async with app.run_test(size=(120, 40)) as pilot:
        await settled(pilot)
        both = next(view for run in app.world.board.runs() for view in app.world.board.attempts(run.run)
                    if view.nodes == 2 and view.placed)  # fmt: skip
        app.chosen_attempt = both.attempt
        live(app).on_screen_resume()
        await settled(pilot)
        await settled(pilot)
        assert live(app).pane().attempt == both.attempt
        assert [item.part for item in live(app).pane().parts] == ["rank0", "rank1"]
        await pilot.press("L")
        await pilot.pause()
        assert isinstance(app.screen, Choose)
        before = live(app).pane().part
        await pilot.press("down" if before == "rank0" else "up", "enter")
        await settled(pilot)
        assert live(app).pane().part not in (before, None)
        assert live(app).pane().logs.window.lines


async def test_an_empty_screen_says_why_and_what_to_press(scene: MakeScene) -> None:
    app = scene((), start="live").app
    async with app.run_test(size=(80, 24)) as pilot:
        await settled(pilot)
        assert "No run goes on" in painted(app)
        assert "3 starts a matrix" in painted(app)


async def test_months_of_attempts_leave_nothing_behind(scene: MakeScene, events: Sequence[Envelope]) -> None:
    app = scene(events, start="live").app
    async with app.run_test(size=(120, 40)) as pilot:
        await settled(pilot)
        await pilot.press("a")
        await settled(pilot)
        widgets = len(list(live(app).walk_children()))
        rows = len(live(app).query_one(Grid).rows)
        for _ in range(rows):
            await pilot.press("space", "down", "space")
        for _ in range(3 * rows):
            await pilot.press("down" if rows % 2 else "up")
        await settled(pilot)
        assert len(list(live(app).walk_children())) == widgets
        assert len([pane for pane in live(app).panes if pane.attempt]) <= live_rows.MOST_PANES


async def test_the_cursor_goes_on_to_what_is_at_work_until_a_person_moves_it(
    scene: MakeScene, events: Sequence[Envelope], halfway: Sequence[Envelope]
) -> None:
    def ended(name: str | None) -> bool:
        view = app.world.board.attempt(name or "")
        return view is not None and view.outcome is not None

    made = scene(halfway, start="live")
    app = made.app
    async with app.run_test(size=(120, 40)) as pilot:
        await settled(pilot)
        grid = live(app).query_one(Grid)
        first = grid.current
        rest = list(events[len(halfway) :])
        while rest and not ended(first):
            made.link.feed([rest.pop(0)])
            app.draw_news()
        await settled(pilot)
        assert grid.current != first
        assert not ended(grid.current)

        await pilot.press("end")
        await settled(pilot)
        chosen = grid.current
        made.link.feed(rest)
        await settled(pilot)
        assert grid.current == chosen
        lines = [row.key for row in grid.rows]
        assert 0 <= lines.index(str(chosen)) - grid.scroll_offset.y < grid.size.height - 1


async def test_letters_right_behind_the_search_key_start_nothing_else(
    scene: MakeScene, events: Sequence[Envelope]
) -> None:
    app = scene(events, start="live").app
    async with app.run_test(size=(120, 40)) as pilot:
        await settled(pilot)
        for key, character in (("slash", "/"), ("o", "o"), ("h", "h"), ("o", "o")):
            app.post_message(Key(key, character))
        await settled(pilot)
        assert app.current_mode == "live"
        assert isinstance(app.focused, Input)
