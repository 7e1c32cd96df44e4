"""Plots: what they draw, at which sizes, and what they repaint."""

import math
from typing import Any

import pytest
from textual.app import App, ComposeResult
from textual.geometry import Region

from console.tui.widgets.plot_raster import GUTTER, draw
from console.tui.widgets.plot_scale import Curve, Data, nice_step, short, time_label, time_step
from console.tui.widgets.plots import Plot


def text(data: Data, width: int = 60, height: int = 10) -> list[str]:
    return ["".join(part for part, _ in line) for line in draw(data, width, height)]


def curve(values: list[float], name: str = "power", mark: str = "●") -> Curve:
    return Curve(name, values, mark)


@pytest.mark.parametrize(("width", "height"), [(30, 6), (60, 10), (120, 20), (11, 3), (5, 2), (20, 1), (0, 0)])
def test_never_wider_or_higher_than_asked_for(width: int, height: int) -> None:
    data = Data(
        [float(n) for n in range(100)],
        (curve([n * 3.5 for n in range(100)]), curve([5.0] * 100, "low", "▲")),
        "W",
        "node01",
        lines=(("reference 300", 300.0),),
        moments=(("measuring", 20.0),),
    )
    lines = text(data, width, height)
    assert len(lines) == height
    assert all(len(line) <= width for line in lines)


def test_a_rising_curve_rises() -> None:
    lines = text(Data([0.0, 10.0], (curve([0.0, 100.0]),), "W"), 40, 8)
    body = [line[GUTTER:] for line in lines[1:-1]]
    assert body[0].strip()
    assert body[-1].strip()
    assert body[0].index(body[0].strip()[0]) > body[-1].index(body[-1].strip()[0])


def test_unknown_values_are_a_gap_and_not_a_line_across() -> None:
    known = [50.0] * 40
    whole = Data([float(n) for n in range(120)], (curve([*known, *known, *known]),), "W")
    broken = whole._replace(curves=(curve([*known, *[math.nan] * 40, *known]),))
    row = next(line for line in text(broken, 67, 6) if "⠤" in line or "⠒" in line or "⣀" in line or "⠉" in line)
    middle = row[GUTTER + 22 : GUTTER + 38]
    assert middle == " " * 16
    assert row[GUTTER + 2 : GUTTER + 18].strip()
    assert row[GUTTER + 42 : GUTTER + 58].strip()
    assert not any(
        " " * 16 in line[GUTTER:] for line in text(whole, 67, 6) if line[GUTTER + 2] == row[GUTTER + 2] != " "
    )


def test_a_long_pause_breaks_the_curve_only_where_asked_for() -> None:
    data = Data([0.0, 1.0, 60.0, 61.0], (curve([5.0, 5.0, 5.0, 5.0]),), "W")
    dots = [sum("\u2800" < char <= "\u28ff" for char in "".join(text(item))) for item in (data, data._replace(gap_s=5))]
    assert dots[0] > 40
    assert 0 < dots[1] < 8


def test_a_spike_between_two_columns_is_not_lost() -> None:
    values = [10.0] * 2000
    values[1001] = 100.0
    lines = text(Data([float(n) for n in range(2000)], (curve(values),), "W"), 50, 8)
    assert any("\u2800" < char <= "\u28ff" for char in lines[1][GUTTER:])


def test_a_reference_is_seen_with_its_label_and_changes_the_scale_when_near() -> None:
    data = Data([0.0, 10.0], (curve([90.0, 95.0]),), "tokens/s", lines=(("reference 120", 120.0),), floor=0.0)
    lines = draw(data, 60, 10)
    assert any((style == "line" and "reference 120" in part) for line in lines for part, style in line)
    far = text(data._replace(lines=(("reference 9000", 9000.0),)))
    assert any("↑ reference 9000" in line for line in far)
    assert "100" in "".join(line[:GUTTER] for line in far)  # the scale is that of the curve


def test_two_curves_differ_without_colour() -> None:
    times = [float(n) for n in range(50)]
    data = Data(times, (curve([1.0] * 50, "low", "●"), curve([9.0] * 50, "high", "▲")), "W")
    lines = text(data)
    assert "● low 1" in lines[0]
    assert "▲ high 9" in lines[0]
    assert any("●" in line for line in lines[1:-1])
    assert any("▲" in line for line in lines[1:-1])


def test_an_empty_plot_says_why() -> None:
    lines = text(Data(empty="no readings yet\nthe host does not answer"))
    assert any("no readings yet" in line for line in lines)
    assert any("does not answer" in line for line in lines)
    nothing = text(Data([1.0, 2.0], (curve([math.nan, math.nan]),), empty="no readings yet"))
    assert any("no readings yet" in line for line in nothing)


def test_time_is_since_the_start_or_before_now() -> None:
    since = text(Data([0.0, 120.0], (curve([1.0, 2.0]),), "W"), 80, 6)[-1]
    assert "0:00" in since
    assert "1:00" in since
    before = text(Data([-120.0, 0.0], (curve([1.0, 2.0]),), "W", window=(-120.0, 0.0)), 80, 6)[-1]
    assert "-1:00" in before
    assert before.rstrip().endswith("now")


@pytest.mark.parametrize(
    ("value", "said"),
    [(0, "0"), (0.25, "0.25"), (950, "950"), (1234.5, "1234"), (12345, "12.3k"), (123456, "123k"), (2.5e9, "2.5G"),
     (-40, "-40"), (1e-5, "1e-05")],
)  # fmt: skip
def test_figures_of_the_axis(value: float, said: str) -> None:
    assert short(value) == said
    assert len(said) < GUTTER


def test_steps_and_times() -> None:
    assert nice_step(100, 4) == 25
    assert nice_step(0, 4) == 1
    assert time_step(600, 4) == 300
    assert time_step(90, 4) == 30
    assert [time_label(value) for value in (0, 5, -65, 3725)] == ["0:00", "0:05", "-1:05", "1:02:05"]


class PlotApp(App[None]):
    def compose(self) -> ComposeResult:
        yield Plot(empty="nothing yet")


async def test_the_widget_shows_resizes_and_repaints_only_what_changed(monkeypatch: pytest.MonkeyPatch) -> None:
    app = PlotApp()
    async with app.run_test(size=(60, 10)) as pilot:
        plot = app.query_one(Plot)
        assert "nothing yet" in plot.text
        times = [float(n) for n in range(60)]
        plot.set_series(times[:30], {"rate": times[:30]}, unit="tokens/s", window=(0.0, 60.0), floor=0, ceiling=60)
        await pilot.pause()
        assert "tokens/s" in plot.text
        painted: list[Region] = []
        refresh = plot.refresh

        def seen(*regions: Region, **given: Any) -> Any:
            painted.extend(regions)
            return refresh(*regions, **given)

        monkeypatch.setattr(plot, "refresh", seen)
        plot.set_series(times[:30], {"rate": times[:30]}, unit="tokens/s", window=(0.0, 60.0), floor=0, ceiling=60)
        assert painted == []
        plot.set_series(times[:32], {"rate": times[:32]}, unit="tokens/s", window=(0.0, 60.0), floor=0, ceiling=60)
        assert painted
        assert all(region.x > GUTTER + 20 for region in painted if region.y > 0)
        await pilot.resize_terminal(30, 6)
        await pilot.pause()
        assert max(len(line) for line in plot.text.splitlines()) <= 30
        assert len(plot.text.splitlines()) <= 6


def test_labels_of_moments_do_not_run_into_each_other() -> None:
    data = Data(
        [0.0, 100.0], (curve([1.0, 2.0]),), "W", moments=(("measuring", 80.0), ("measured", 90.0)), window=(0.0, 100.0)
    )
    top = text(data)[1]
    assert "measuring" in top
    assert "measured" not in top
    apart = text(data._replace(moments=(("measuring", 10.0), ("measured", 90.0))))[1]
    assert "measuring" in apart
    assert "measured" in apart


def test_marks_keep_the_colour_of_their_curve() -> None:
    times = [float(n) for n in range(60)]
    data = Data(times, (curve([5.0] * 60, "a", "●"), curve([5.0] * 60, "b", "▲")), "W")
    parts = [part for line in draw(data, 60, 8)[1:-1] for part in line]
    styles = {mark: style for part, style in parts for mark in "●▲" if mark in part}
    assert styles == {"●": "s0", "▲": "s1"}
