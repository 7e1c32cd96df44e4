"""Paragraphs: what is kept in one line says so where it goes on beyond its room."""

from textual.app import App, ComposeResult

from console.tui.widgets.lines import Lines, Para, para


class Shown(App[None]):
    def compose(self) -> ComposeResult:
        yield Lines()


async def test_a_line_that_is_not_wrapped_ends_in_an_ellipsis_and_others_do_not() -> None:
    app = Shown()
    async with app.run_test(size=(30, 8)) as pilot:
        lines = app.query_one(Lines)
        lines.show((Para((("kept " + "x" * 60, ""),), keep=True), Para((("short", ""),), keep=True), para("a b " * 15)))
        await pilot.pause()
        painted = [lines.render_line(y).text.rstrip() for y in range(4)]

    assert painted[0].startswith("kept xxx")
    assert painted[0].endswith("x…")
    assert painted[1] == "short"
    assert "…" not in painted[2] + painted[3]
