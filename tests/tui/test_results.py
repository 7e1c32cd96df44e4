"""The Results screen by its keys: read, filter, look behind, compare, copy, export, read again."""

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import msgspec
import polars as pl
import pytest
from textual.pilot import Pilot
from textual.widgets import Input

from console.desk import comparing, sheets
from console.desk.settings import Settings, Value
from console.desk.sheet_views import Side
from console.model.events import AttemptEnded, Envelope
from console.tui.dialogs import AskText, Choose, Confirm
from console.tui.link import Answer
from console.tui.screens.results.log import LogReader
from console.tui.screens.results.pick import Pick
from console.tui.screens.results.reader import Reader
from console.tui.screens.results.screen import ResultsScreen
from console.tui.widgets.grid import Grid
from console.tui.widgets.lines import Lines
from console.tui.widgets.logs import LogView
from tests.tui.pilots import cells, drawn, painted, until

MakeScene = Callable[..., Any]


async def settled(pilot: Pilot[None]) -> ResultsScreen:
    """Everything asked for is answered and drawn."""
    screen = (await drawn(pilot)).console_screen()
    assert isinstance(screen, ResultsScreen)
    return screen


def table(screen: ResultsScreen) -> list[dict[str, str]]:
    return cells(screen.query_one("#figures", Grid))


async def type_text(pilot: Pilot[None], text: str) -> None:
    pilot.app.screen.query_one(Input).value = text
    await pilot.press("enter")
    await pilot.pause()


async def test_the_last_run_is_shown_matrix_by_matrix_and_marked_as_simulated(scene: MakeScene) -> None:
    app = scene(start="results").app
    async with app.run_test(size=(120, 40)) as pilot:
        screen = await settled(pilot)
        first = table(screen)
        text = painted(app)
        await pilot.press("right_square_bracket")
        screen = await settled(pilot)
        second = table(screen)

    assert "run now" in text
    assert " simulated " in text
    assert [row["measured"] for row in first] == ["12188.1", "-"]
    assert "out_of_memory_gpu" in first[1]["verdict"]
    assert len(second) == 3
    assert any(row["row"].startswith("mistral") for row in second)


async def test_the_run_that_another_screen_chose_is_shown(scene: MakeScene, runs: dict[str, str]) -> None:
    app = scene().app
    async with app.run_test(size=(120, 40)) as pilot:
        app.open_run(runs["night"])
        screen = await settled(pilot)

        assert screen._book is not None
        assert [sheet.matrix for sheet in screen._book.sheets] == ["vllm-0.8.5-throughput", "vllm-0.8.5-latency"]
        assert "run night" in painted(app)


async def test_the_pane_tells_what_the_figure_under_the_cursor_rests_on(scene: MakeScene) -> None:
    app = scene(start="results").app
    async with app.run_test(size=(200, 60)) as pilot:
        screen = await settled(pilot)
        first = screen.query_one(Lines).text
        await pilot.press("down")
        screen = await settled(pilot)
        second = screen.query_one(Lines).text

    for part in ("12250.0 tokens/s, lab", "sha256:", "docker run", "MI300X", "facts.lab-mi300x-01.json"):
        assert part in first
    assert "HIP out of memory" in second
    assert "lower gpu_memory_utilization" in second


@pytest.mark.parametrize("size", [(80, 24), (120, 40), (200, 60)])
async def test_enter_shows_the_whole_figure_and_escape_the_table_again(size: tuple[int, int], scene: MakeScene) -> None:
    app = scene(start="results").app
    async with app.run_test(size=size) as pilot:
        screen = await settled(pilot)
        await pilot.press("enter")
        screen = await settled(pilot)
        assert not screen.query_one("#figures").display
        assert "12250.0 tokens/s" in painted(app)
        await pilot.press("escape")
        screen = await settled(pilot)

        assert screen.query_one("#figures").display
        assert screen.query_one("#figures").has_focus


async def test_typing_filters_and_escape_shows_all_again(scene: MakeScene) -> None:
    app = scene(start="results").app
    async with app.run_test(size=(120, 40)) as pilot:
        await settled(pilot)
        await pilot.press("slash", *"failed")
        screen = await settled(pilot)
        assert [row["row"] for row in table(screen)] == ["llama-3.1-405b-in500-out2000-n2000"]
        await pilot.press("enter")
        await pilot.press("escape")
        screen = await settled(pilot)

        assert len(table(screen)) == 2


async def test_a_filter_that_nothing_matches_says_so(scene: MakeScene) -> None:
    app = scene(start="results").app
    async with app.run_test(size=(120, 40)) as pilot:
        await settled(pilot)
        await pilot.press("slash", *"zzz")
        await settled(pilot)

        assert "No row matches 'zzz'" in painted(app)


async def test_references_without_a_cell_are_told_and_shown_when_asked_for(scene: MakeScene) -> None:
    app = scene(start="results").app
    async with app.run_test(size=(120, 40)) as pilot:
        screen = await settled(pilot)
        assert "6 rows not in the run" in painted(app)
        await pilot.press("n")
        screen = await settled(pilot)

        assert len(table(screen)) == 8
        assert sum("not in the run" in row["verdict"] for row in table(screen)) == 6


async def test_an_empty_store_says_what_to_do(scene: MakeScene, settings: Settings, tmp_path: Path) -> None:
    own = msgspec.structs.replace(settings, store=Value(tmp_path / "new", "option"))
    made = scene((), start="results", hosts=False)
    made.link.settings = own
    async with made.app.run_test(size=(120, 40)) as pilot:
        await settled(pilot)

        assert "There are no runs in" in painted(made.app)
        assert "Matrix screen" in painted(made.app)
        assert made.link.asked.count("read_book") == 1, "asked again only when something was run"


async def test_a_run_that_begins_while_the_empty_store_is_read_is_read_too(
    scene: MakeScene, events: Sequence[Envelope], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("console.tui.screens.results.view.AGAIN_S", 0.01)
    made = scene((), start="results")
    asked = made.link.held = []
    async with made.app.run_test(size=(120, 40)) as pilot:
        await settled(pilot)
        assert len(asked) == 1
        made.link.feed(events[:1])
        await settled(pilot)
        made.app.call_later(asked[0], Answer(None))

        await until(pilot, lambda: len(asked) == 2)


async def test_a_table_that_cannot_be_read_says_why(scene: MakeScene) -> None:
    made = scene(start="results")
    made.link.answers["read_book"] = OSError("the disk is gone")
    async with made.app.run_test(size=(120, 40)) as pilot:
        await settled(pilot)

        assert "The results cannot be read: the disk is gone" in painted(made.app)


# -- comparing


async def test_two_hosts_stand_side_by_side_and_can_be_swapped(scene: MakeScene) -> None:
    app = scene(start="results").app
    async with app.run_test(size=(120, 40)) as pilot:
        await settled(pilot)
        await pilot.press("c")
        await until(pilot, lambda: isinstance(app.screen, Pick))
        await pilot.press("enter")
        screen = await settled(pilot)
        shown = screen._comparison
        assert shown is not None
        assert (shown.a.host, shown.b.host) == ("lab-mi300x-01", "lab-mi300x-02")
        assert "B against A" in painted(app)
        assert "simulated" in painted(app)
        await pilot.press("s")
        screen = await settled(pilot)
        assert screen._comparison is not None
        assert screen._comparison.a.host == "lab-mi300x-02"
        await pilot.press("escape")
        screen = await settled(pilot)

        assert screen._comparison is None
        assert len(table(screen)) == 2


async def test_two_runs_stand_side_by_side(scene: MakeScene, settings: Settings, runs: dict[str, str]) -> None:
    app = scene(start="results").app
    async with app.run_test(size=(120, 40)) as pilot:
        await settled(pilot)
        await pilot.press("c")
        await until(pilot, lambda: isinstance(app.screen, Pick))
        await pilot.press("end", "enter")
        screen = await settled(pilot)
        rows = table(screen)

    expected = comparing.read(settings, Side("now", (runs["now"],)), Side("night", (runs["night"],)))
    assert len(rows) == len(expected.pairs)
    assert all("only" in row["why"] for row in rows)


async def test_several_runs_can_be_shown_together(scene: MakeScene, runs: dict[str, str]) -> None:
    app = scene(start="results").app
    async with app.run_test(size=(160, 40)) as pilot:
        await settled(pilot)
        await pilot.press("r")
        await until(pilot, lambda: isinstance(app.screen, Pick))
        await pilot.press("home", "space", "space", "enter")
        screen = await settled(pilot)

        assert screen._runs == (runs["now"], runs["night"])
        assert {row["run"] for row in table(screen)} == {"now", "night"}


# -- behind a figure


async def test_the_log_behind_a_figure_opens_and_closes(scene: MakeScene) -> None:
    app = scene(start="results").app
    async with app.run_test(size=(120, 40)) as pilot:
        await settled(pilot)
        await pilot.press("l")
        await until(pilot, lambda: isinstance(app.screen, LogReader))
        view = app.screen.query_one(LogView)
        await until(pilot, lambda: "Throughput:" in view.visible_text)
        await pilot.press("slash")
        await type_text(pilot, "INFO")
        await pilot.press("escape", "escape")
        await pilot.pause()

        assert isinstance(app.screen, ResultsScreen)


async def test_facts_of_the_host_can_be_read_searched_and_copied(scene: MakeScene, own_settings: Settings) -> None:
    app = scene(start="results", given=own_settings).app
    async with app.run_test(size=(120, 40)) as pilot:
        await settled(pilot)
        await pilot.press("f")
        await until(pilot, lambda: isinstance(app.screen, Choose))
        names = [name for name, _ in app.screen._options]
        assert names[0] == "main.log"
        for _ in range(names.index("facts.lab-mi300x-01.json")):
            await pilot.press("down")
        await pilot.press("enter")
        await until(pilot, lambda: isinstance(app.screen, Reader))
        await pilot.press("slash")
        await type_text(pilot, "EPYC")
        assert all("EPYC" in line for line in app.screen.query_one(Lines).text.splitlines())
        await pilot.press("y")
        await until(pilot, lambda: (own_settings.store.value / "copied.txt").is_file())

    assert "EPYC" in (own_settings.store.value / "copied.txt").read_text()


# -- taking it along


async def test_rows_are_copied_as_markdown_and_as_csv_with_their_mark(scene: MakeScene, own_settings: Settings) -> None:
    app = scene(start="results", given=own_settings).app
    kept = own_settings.store.value / "copied.txt"
    async with app.run_test(size=(120, 40)) as pilot:
        await settled(pilot)
        await pilot.press("y")
        await until(pilot, lambda: kept.is_file() and "|" in kept.read_text())
        markdown = kept.read_text()
        await pilot.press("slash", *"failed", "enter", "Y")
        await until(pilot, lambda: kept.read_text().startswith("run,"))

    assert "Simulated by the embedded lab" in markdown
    assert "12188.1 (simulated)" in markdown
    table_of = pl.read_csv(kept)
    assert table_of["verdict"].to_list() == ["failed"]
    assert table_of["simulated"].to_list() == [True]


async def test_compare_with_the_reference_and_export(
    scene: MakeScene, own_settings: Settings, runs: dict[str, str], tmp_path: Path
) -> None:
    """The journey: look at the ratio, find what failed, write everything to a file, read it back."""
    target = tmp_path / "out.parquet"
    app = scene(start="results", given=own_settings).app
    async with app.run_test(size=(120, 40)) as pilot:
        screen = await settled(pilot)
        await pilot.press("b")
        screen = await settled(pilot)
        assert "failed" in table(screen)[0]["verdict"]
        assert table(screen)[1]["ratio"] == "0.995"
        await pilot.press("e")
        await until(pilot, lambda: isinstance(app.screen, AskText))
        assert app.screen.query_one(Input).value == "now.parquet"
        await type_text(pilot, str(target))
        await until(pilot, target.is_file)

        await pilot.press("e")
        await until(pilot, lambda: isinstance(app.screen, AskText))
        written = target.stat().st_mtime_ns
        await type_text(pilot, str(target))
        await until(pilot, lambda: isinstance(app.screen, Confirm))
        await pilot.press("n")
        await settled(pilot)
        assert target.stat().st_mtime_ns == written, "not written over without a yes"

    frame = pl.read_parquet(target)
    book = sheets.read(own_settings, [runs["now"]])
    assert frame.height == sum(len(item.attempts) for sheet in book.sheets for item in sheet.figures)
    assert frame["simulated"].all()
    failed = frame.filter(pl.col("state") == "failed")
    assert failed["failure"].to_list() == ["out_of_memory_gpu"]


@pytest.mark.parametrize("name", ["out.docx", "nowhere/out.csv"])
async def test_a_file_that_cannot_be_is_refused_and_asked_for_again(
    name: str, scene: MakeScene, tmp_path: Path
) -> None:
    app = scene(start="results").app
    async with app.run_test(size=(120, 40)) as pilot:
        await settled(pilot)
        await pilot.press("e")
        await until(pilot, lambda: isinstance(app.screen, AskText))
        await type_text(pilot, str(tmp_path / name))
        await until(pilot, lambda: isinstance(app.screen, AskText))

        assert app.screen.query_one(Input).value.endswith(name)
    written = sorted(tmp_path.iterdir())  # noqa: ASYNC240 - nothing else runs by now
    assert written == []


async def test_a_comparison_is_exported_as_markdown(scene: MakeScene, tmp_path: Path) -> None:
    target = tmp_path / "both.md"
    app = scene(start="results").app
    async with app.run_test(size=(120, 40)) as pilot:
        await settled(pilot)
        await pilot.press("c")
        await until(pilot, lambda: isinstance(app.screen, Pick))
        await pilot.press("enter")
        await settled(pilot)
        await pilot.press("e")
        await until(pilot, lambda: isinstance(app.screen, AskText))
        await type_text(pilot, str(target))
        await until(pilot, target.is_file)

    assert "| Matrix | Cell |" in target.read_text()
    assert "Simulated" in target.read_text()


# -- while attempts end


async def test_the_table_is_read_again_when_an_attempt_ends_and_the_cursor_stays(
    scene: MakeScene, events: Sequence[Envelope], halfway: Sequence[Envelope], runs: dict[str, str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:  # fmt: skip
    monkeypatch.setattr("console.tui.screens.results.view.AGAIN_S", 0.01)
    made = scene(halfway, start="results")
    async with made.app.run_test(size=(120, 40)) as pilot:
        await settled(pilot)
        await pilot.press("down")
        screen = await settled(pilot)
        under = screen.query_one("#figures", Grid).current
        read = made.link.asked.count("read_book")
        rest = events[len(halfway) :]
        upto = next(
            i for i, item in enumerate(rest) if item.run == runs["now"] and isinstance(item.event, AttemptEnded)
        )
        made.link.feed(rest[: upto + 1])
        await until(pilot, lambda: made.link.asked.count("read_book") > read)
        screen = await settled(pilot)

        assert screen.query_one("#figures", Grid).current == under


async def test_news_of_other_runs_reads_nothing_again(
    scene: MakeScene, events: Sequence[Envelope], runs: dict[str, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("console.tui.screens.results.view.AGAIN_S", 0.01)
    made = scene((), start="results")
    async with made.app.run_test(size=(120, 40)) as pilot:
        await settled(pilot)
        read = made.link.asked.count("read_book")
        made.link.feed([item for item in events if item.run == runs["night"]])
        await settled(pilot)
        await pilot.pause(0.1)

        assert made.link.asked.count("read_book") == read
