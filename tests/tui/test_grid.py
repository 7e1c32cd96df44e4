"""The table that repaints single cells: widths, cursor, what is painted again, what never gets through."""

from collections.abc import Sequence

import pytest
from textual.app import App, ComposeResult
from textual.geometry import Region

from console.tui.widgets.grid import Column, Grid, Row, fit, text_of

COLUMNS = (
    Column("name", "name", 6),
    Column("figure", "figure", 8, right=True),
    Column("why", "why", 10, grow=1, rank=1),
)


class Bench(App[None]):
    def __init__(self, rows: Sequence[Row] = (), empty: str = "") -> None:
        super().__init__()
        self.rows, self.empty = rows, empty
        self.moved: list[str | None] = []
        self.chosen: list[str] = []
        self.headings: list[str] = []

    def compose(self) -> ComposeResult:
        yield Grid(COLUMNS, empty=self.empty)

    def on_mount(self) -> None:
        self.grid.set_rows(self.rows)
        self.grid.focus()

    @property
    def grid(self) -> Grid:
        return self.query_one(Grid)

    def on_grid_moved(self, event: Grid.Moved) -> None:
        self.moved.append(event.key)

    def on_grid_chosen(self, event: Grid.Chosen) -> None:
        self.chosen.append(event.key)

    def on_grid_heading(self, event: Grid.Heading) -> None:
        self.headings.append(event.column)

    def lines(self) -> list[str]:
        return [self.grid.render_line(y).text.rstrip() for y in range(self.grid.size.height)]


def rows(*names: str, figure: str = "1") -> list[Row]:
    return [Row(name, (name, (figure, "accent"), "because")) for name in names]


@pytest.mark.parametrize(
    ("room", "widths"),
    [(60, (6, 8, 40)), (30, (6, 8, 10)), (29, (6, 8, 0)), (10, (6, 8, 0))],
)
def test_columns_share_what_is_left_over_and_the_least_important_go_first(room: int, widths: tuple[int, ...]) -> None:
    assert fit(COLUMNS, room) == widths


async def test_a_row_is_drawn_in_its_columns() -> None:
    app = Bench([Row("a", ("alpha-beta", "12.5", ("because", "fail")))])
    async with app.run_test(size=(40, 6)):
        assert app.lines()[:2] == [" name      figure  why", " alpha…      12.5  because"]


async def test_only_cells_that_differ_are_painted_again(monkeypatch: pytest.MonkeyPatch) -> None:
    app = Bench(rows("a", "b", "c"))
    async with app.run_test(size=(40, 6)) as pilot:
        await pilot.pause()
        painted: list[Region] = []
        monkeypatch.setattr(app.grid, "refresh", lambda *regions, **_: painted.extend(regions))
        app.grid.set_rows([*rows("a"), *rows("b", figure="2"), *rows("c")])

        assert painted == [Region(9, 2, 8, 1)]
        painted.clear()
        app.grid.set_rows([*rows("a"), *rows("b", figure="2"), *rows("c")])
        assert painted == []
        app.grid.set_rows([*rows("a"), Row("b", ("B", ("2", "accent"), "no more")), *rows("c")])
        assert painted == [Region(1, 2, 6 + 2 + 8 + 2 + app.grid._widths[2], 1)]


async def test_an_empty_table_is_painted_again_only_for_another_reason(monkeypatch: pytest.MonkeyPatch) -> None:
    bench = Bench(empty="nothing here")
    async with bench.run_test(size=(40, 10)) as pilot:
        await pilot.pause()
        painted: list[str] = []
        monkeypatch.setattr(bench.grid, "refresh", lambda *regions: painted.append(bench.grid._empty))
        bench.grid.set_rows((), empty="nothing here")
        assert painted == []
        bench.grid.set_rows((), empty="a filter hides all")
        assert painted == ["a filter hides all"]


async def test_the_cursor_stays_on_its_row_when_rows_move() -> None:
    app = Bench(rows("a", "b", "c"))
    async with app.run_test(size=(40, 6)) as pilot:
        await pilot.press("down")
        app.grid.set_rows(rows("z", "c", "b", "a"))
        assert app.grid.current == "b"
        app.grid.set_rows(rows("z", "c"))
        assert app.grid.current == "c"
        app.grid.set_rows([])
        assert app.grid.current is None


async def test_the_cursor_stays_in_sight_when_its_row_moves_far_away() -> None:
    names = [f"row{number:03d}" for number in range(60)]
    app = Bench(rows(*names))
    async with app.run_test(size=(40, 10)) as pilot:
        app.grid.set_rows(rows(*reversed(names)))
        await pilot.pause()

        assert app.grid.current == "row000"
        assert any(line.startswith(" row000") for line in app.lines())


async def test_keys_move_and_choose_and_long_tables_scroll() -> None:
    app = Bench(rows(*(f"row{number:03d}" for number in range(100))))
    async with app.run_test(size=(40, 10)) as pilot:
        await pilot.press("end")
        await pilot.pause()
        assert app.grid.current == "row099"
        assert app.lines()[-1].startswith(" row099")
        assert app.lines()[0].startswith(" name")
        await pilot.press("k", "enter", "g")
        await pilot.pause()
        assert app.chosen == ["row098"]
        assert app.grid.current == "row000"
        assert app.moved[-1] == "row000"


async def test_a_click_moves_two_open_and_one_on_a_heading_sorts() -> None:
    app = Bench(rows("a", "b", "c"))
    async with app.run_test(size=(40, 8)) as pilot:
        await pilot.click(Grid, offset=(3, 3))
        await pilot.pause()
        assert app.grid.current == "c"
        await pilot.click(Grid, offset=(3, 2), times=2)
        await pilot.pause()
        assert app.chosen == ["b"]
        await pilot.click(Grid, offset=(10, 0))
        await pilot.pause()
        assert app.headings == ["figure"]


async def test_an_empty_table_says_why_and_wraps_it() -> None:
    app = Bench(empty="There are no hosts here because nobody wrote a fleet file yet.")
    async with app.run_test(size=(30, 8)):
        said = " ".join(line.strip() for line in app.lines()[1:] if line)

    assert said == "There are no hosts here because nobody wrote a fleet file yet."


async def test_no_control_character_reaches_the_terminal() -> None:
    app = Bench([Row("a", ("a\x1b[2J", "1\r\n2", "\u202eevil\x07"))])
    async with app.run_test(size=(60, 4)):
        painted = "".join(app.lines())

    assert painted.isprintable()
    assert "[2J" in painted


async def test_wide_characters_keep_the_columns_in_line() -> None:
    app = Bench([Row("a", ("漢字漢字漢字", "1", "x")), Row("b", ("ab", "1", "x"))])
    async with app.run_test(size=(40, 5)):
        strips = [app.grid.render_line(y) for y in (1, 2)]

    assert [strip.cell_length for strip in strips] == [40, 40]


def test_the_text_of_a_cell_is_that_of_its_spans() -> None:
    assert text_of((("a ", "ok"), ("b", ""))) == "a b"
    assert text_of(("a", "ok")) == "a"
    assert text_of("a") == "a"
