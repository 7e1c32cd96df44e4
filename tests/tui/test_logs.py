"""The log pane: what stays in memory, what is on the screen, following, wrapping, searching."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from textual.app import App, ComposeResult
from textual.pilot import Pilot

from console.desk.logs import Line, LogFile, Page
from console.model.attempt import LogFrame
from console.model.text import Clean
from console.store.logfile import PartLog
from console.store.paths import StateFolder
from console.tui.link import Answer
from console.tui.widgets.log_window import MARGIN, MOST_LINES, LogWindow, crop, pieces
from console.tui.widgets.logs import LogView

EACH = 10


def page(first: int, count: int, size: int | None = None, *, whole: bool = True) -> Page:
    """Lines `first` and following, ten bytes each."""
    lines = tuple(
        Line(n * EACH, (n + 1) * EACH, Clean(f"line {n}"), None, whole or n < first + count - 1)
        for n in range(first, first + count)
    )
    end = (first + count) * EACH
    return Page(lines, first * EACH, end, end if size is None else size)


def window(height: int = 10, *, wrap: bool = False, width: int = 80) -> LogWindow:
    made = LogWindow()
    made.fit(width, height, wrap=wrap)
    return made


def following(made: LogWindow) -> bool:
    return made.follow


def seen(made: LogWindow) -> list[str]:
    return [row.text for row in made.rows()]


def test_the_end_is_followed_until_one_scrolls_up() -> None:
    log = window()
    log.show(page(0, 100))
    assert seen(log)[-1] == "line 99"
    log.behind(page(100, 5))
    assert seen(log)[-1] == "line 104"
    log.scroll(-3)
    assert not following(log)
    assert seen(log)[-1] == "line 101"
    log.behind(page(105, 50))
    assert seen(log)[-1] == "line 101"
    log.scroll(200)
    assert following(log)
    assert seen(log)[-1] == "line 154"


def test_lines_that_come_before_do_not_move_what_is_read() -> None:
    log = window()
    log.show(page(500, 100, 6000))
    log.scroll(-95)
    before = seen(log)
    assert log.wants_before
    log.before(page(400, 100, 6000))
    assert seen(log) == before
    log.scroll(-20)
    assert seen(log)[0] == "line 480"


def test_an_unfinished_line_is_replaced() -> None:
    log = window()
    log.show(page(0, 3, whole=False))
    assert log.next == 20
    log.behind(page(2, 2))
    assert seen(log) == ["line 0", "line 1", "line 2", "line 3"]


def test_a_page_that_does_not_join_is_left_out() -> None:
    log = window()
    log.show(page(0, 10))
    log.behind(page(20, 5))
    log.before(page(50, 5))
    assert len(log.lines) == 10


def test_memory_is_bounded_both_ways() -> None:
    log = window()
    log.show(page(20_000, 100, 10**9))
    for first in range(20_100, 40_000, 100):
        log.behind(page(first, 100, 10**9))
    assert len(log.lines) == MOST_LINES
    assert seen(log)[-1] == "line 39999"
    log.scroll(-MOST_LINES)
    while log.start > 0:
        first = log.start // EACH
        log.before(page(max(0, first - 100), min(100, first), 10**9))
        log.scroll(-100)
    assert seen(log)[0] == "line 0"
    assert len(log.lines) <= MOST_LINES + 100
    assert not following(log)
    log.scroll(len(log.lines))
    assert log.wants_behind
    assert not following(log)


def test_following_needs_the_end_in_memory() -> None:
    log = window()
    log.show(page(0, 100, 10**6), at=0)
    log.scroll(1000)
    assert not following(log)
    assert not log.to_end()
    log.show(page(900, 100))
    assert following(log)
    assert seen(log)[-1] == "line 999"


def test_a_line_is_sought_by_its_place_and_stands_a_third_down() -> None:
    log = window(9)
    log.show(page(0, 100))
    assert log.seek(50 * EACH)
    assert seen(log)[3] == "line 50"
    assert not log.seek(50 * EACH + 1)
    assert log.seek(0)
    assert seen(log)[0] == "line 0"
    assert log.seek(99 * EACH)
    assert seen(log)[-1] == "line 99"


def test_wrapped_lines_scroll_by_rows() -> None:
    lines = tuple(Line(n * 100, n * 100 + 100, Clean(f"{n}" * 25)) for n in range(10))
    log = window(4, wrap=True, width=10)
    log.show(Page(lines, 0, 1000, 1000))
    assert seen(log) == ["8" * 5, "9" * 10, "9" * 10, "9" * 5]
    log.scroll(-1)
    assert seen(log)[0] == "8" * 10
    log.scroll(-1000)
    assert seen(log) == ["0" * 10, "0" * 10, "0" * 5, "1" * 10]
    log.fit(30, 4, wrap=True)
    assert seen(log)[0] == "0" * 25
    log.fit(30, 4, wrap=False)
    log.scroll(1000)
    assert following(log)
    assert seen(log)[-1] == "9" * 25


def test_fewer_lines_than_rows_stand_at_the_top() -> None:
    log = window(10)
    assert seen(log) == []
    log.scroll(-5)
    log.scroll(5)
    log.show(page(0, 3))
    assert seen(log) == ["line 0", "line 1", "line 2"]


@pytest.mark.parametrize(
    ("text", "width", "rows"),
    [
        ("", 10, [""]),
        ("short", 10, ["short"]),
        ("a" * 25, 10, ["a" * 10, "a" * 10, "a" * 5]),
        ("漢字" * 4, 6, ["漢字漢", "字漢字", "漢字"]),
        ("a\tb", 20, ["a       b"]),
    ],
)
def test_wrapping_counts_cells(text: str, width: int, rows: list[str]) -> None:
    assert list(pieces(text, width)) == rows


def test_a_row_cut_off_shows_that_it_goes_on() -> None:
    assert crop("abcdef", 0, 6) == "abcdef"
    assert crop("abcdef", 0, 5) == "abcd…"
    assert crop("abcdef", 2, 4) == "cdef"
    assert crop("abcdef", 9, 4) == ""
    assert crop("漢字漢字", 2, 4) == "字…"


def test_margin_is_smaller_than_memory() -> None:
    assert MARGIN * 4 < MOST_LINES


class LogApp(App[None]):
    """A log pane whose requests run at once, after the next turn of the loop."""

    def __init__(self) -> None:
        super().__init__()
        self.asked = 0

    def work(self, function: Callable[[], Any], then: Callable[[Answer], None]) -> Callable[[], None]:
        dropped: list[bool] = []
        self.asked += 1

        def run() -> None:
            if not dropped:
                then(Answer(function()))

        self.call_later(run)
        return lambda: dropped.append(True)

    def compose(self) -> ComposeResult:
        yield LogView(self.work)


def store_log(tmp_path: Path, lines: list[bytes]) -> PartLog:
    log = PartLog(StateFolder.open(tmp_path), "a1", "main")
    log.append([LogFrame(10**9 * (3600 + n), 1, line) for n, line in enumerate(lines)])
    return log


def painted(view: LogView) -> list[str]:
    return [view.render_line(y).text.rstrip() for y in range(view.size.height)]


async def news(pilot: Pilot[None], view: LogView) -> None:
    view.reading.wake()
    for _ in range(4):
        await pilot.pause()


async def test_the_pane_follows_scrolls_back_and_goes_on(tmp_path: Path) -> None:
    log = store_log(tmp_path, [b"line %d\n" % n for n in range(20_000)])
    app = LogApp()
    async with app.run_test(size=(60, 10)) as pilot:
        view = app.query_one(LogView)
        view.set_log(LogFile(log.path, log.index))
        await news(pilot, view)
        assert painted(view)[-1] == "line 19999"
        assert view.status == "following"

        log.append([LogFrame(1, 1, b"more\n")])
        await news(pilot, view)
        assert painted(view)[-1] == "more"

        view.focus()
        await pilot.press("up", "up")
        log.append([LogFrame(1, 1, b"a\nb\nc\n")])
        await news(pilot, view)
        assert painted(view)[-1] == "line 19998"
        assert "3 new" in view.status

        await pilot.press("g")
        await news(pilot, view)
        assert painted(view)[0] == "line 0"
        assert len(view.window.lines) <= MOST_LINES + 300
        for _ in range(3):
            await pilot.press("pagedown")
            await pilot.pause()
        assert painted(view)[0] == "line 27"

        await pilot.press("G")
        await news(pilot, view)
        assert painted(view)[-1] == "c"
        assert view.status == "following"


async def test_the_pane_searches_anywhere_in_the_log(tmp_path: Path) -> None:
    lines = [b"needle %d here\n" % n if n % 5000 == 300 else b"hay %d\n" % n for n in range(20_000)]
    log = store_log(tmp_path, lines)
    app = LogApp()
    async with app.run_test(size=(60, 9)) as pilot:
        view = app.query_one(LogView)
        view.set_log(LogFile(log.path, log.index))
        await news(pilot, view)
        assert view.reading.search("Needle") is None
        await news(pilot, view)
        assert "no line matches" in view.status
        assert view.reading.search("needle \\d+") is None
        await news(pilot, view)
        assert painted(view)[3] == "needle 15300 here"
        for number, place in ((10300, 3), (5300, 3), (300, 3)):
            view.reading.search_next(backwards=True)
            await news(pilot, view)
            assert painted(view)[place] == f"needle {number} here"
        view.reading.search_next(backwards=True)
        await news(pilot, view)
        assert painted(view)[3] == "needle 15300 here"
        assert "from the end again" in view.status
        view.reading.search_next(backwards=False)
        await news(pilot, view)
        assert painted(view)[3] == "needle 300 here"
        assert "no regular expression" in (view.reading.search("(") or "")
        assert view.reading.end_search()
        assert not view.reading.end_search()


async def test_the_pane_shows_times_wraps_and_marks_bad_lines(tmp_path: Path) -> None:
    log = store_log(tmp_path, [b"ERROR 11-23 it broke " + b"x" * 60 + b"\n", b"fine\n"])
    app = LogApp()
    async with app.run_test(size=(40, 6)) as pilot:
        view = app.query_one(LogView)
        view.set_log(LogFile(log.path, log.index))
        await news(pilot, view)
        assert painted(view)[0].endswith("…")
        styles = [segment.style for segment in view.render_line(0) if "ERROR" in segment.text]
        assert styles
        assert all(style is not None and style.bold for style in styles)
        view.set_wrap(True)
        assert painted(view)[1].startswith("x" * 20)
        view.set_stamps(True)
        assert painted(view)[0].startswith("01:00:00.0   ERROR")
        assert painted(view)[1].startswith(" " * 13 + "x")
        assert view.visible_text.splitlines()[1] == "01:00:01.0   fine"


async def test_the_pane_says_why_it_is_empty_and_forgets_the_log_before(tmp_path: Path) -> None:
    log = store_log(tmp_path, [b"one\n"])
    app = LogApp()
    async with app.run_test(size=(40, 6)) as pilot:
        view = app.query_one(LogView)
        view.set_log(LogFile(log.path, log.index))
        view.set_log(None, empty="no container was started yet")
        await news(pilot, view)
        assert "no container was started yet" in "\n".join(painted(view))
        view.set_log(LogFile(tmp_path / "no.log", tmp_path / "no.idx"))
        await news(pilot, view)
        assert "Nothing was written" in "\n".join(painted(view))


async def test_a_log_that_shrinks_is_shown_anew(tmp_path: Path) -> None:
    log = store_log(tmp_path, [b"line %d\n" % n for n in range(100)])
    app = LogApp()
    async with app.run_test(size=(40, 6)) as pilot:
        view = app.query_one(LogView)
        view.set_log(LogFile(log.path, log.index))
        await news(pilot, view)
        log.truncate(None)
        log.append([LogFrame(1, 1, b"afresh\n")])
        await news(pilot, view)
        assert painted(view)[0] == "afresh"


async def test_nothing_later_than_a_replay_has_come_to_is_shown(tmp_path: Path) -> None:
    log = store_log(tmp_path, [b"line %d\n" % n for n in range(100)])
    now = [10**9 * 3610]
    app = LogApp()
    async with app.run_test(size=(40, 6)) as pilot:
        view = app.query_one(LogView)
        view.set_log(LogFile(log.path, log.index), until=lambda: now[0])
        await news(pilot, view)
        assert painted(view)[-1] == "line 10"
        now[0] = 10**9 * 3630
        await news(pilot, view)
        assert painted(view)[-1] == "line 30"
        now[0] = 10**9 * 3602
        await news(pilot, view)
        assert [line for line in painted(view) if line] == ["line 0", "line 1", "line 2"]


async def test_what_the_mouse_selects_can_be_copied_and_does_not_run_away(tmp_path: Path) -> None:
    log = store_log(tmp_path, [b"line %d\n" % n for n in range(100)])
    app = LogApp()
    async with app.run_test(size=(40, 6)) as pilot:
        view = app.query_one(LogView)
        view.set_log(LogFile(log.path, log.index))
        await news(pilot, view)
        await pilot.mouse_down(view, offset=(0, 1))
        await pilot.hover(view, offset=(7, 2))
        await pilot.mouse_up(view, offset=(7, 2))
        await pilot.pause()
        assert app.screen.get_selected_text() == "line 95\nline 96"
        log.append([LogFrame(1, 1, b"more\n")])
        await news(pilot, view)
        assert painted(view)[1] == "line 95"
        assert "1 new" in view.status
