"""Rows of the Fleet screen, their order, and what is said of the host under the cursor."""

from typing import Any

import pytest

from console.desk.fleet_board import FleetTotals, GpuLive, HealthCounts, HostView
from console.desk.rates import Rate
from console.desk.status import StatusRow
from console.desk.views import AttemptView, Progress
from console.health.report import HostHealth
from console.model.attempt import Phase, Stage
from console.model.finding import Finding, State
from console.model.text import Clean
from console.tui.screens.fleet import detail as fleet_detail
from console.tui.screens.fleet import rows as fleet_rows
from console.tui.screens.fleet.table import FleetTable, host_of, matches
from console.tui.widgets.grid import Row, fit, text_of

S = 1_000_000_000
NOW = 1_000 * S


def gpu(index: int = 0, **given: Any) -> GpuLive:
    fields: dict[str, Any] = {"busy_percent": 50.0, "power_w": 300.0, "junction_c": 60.0, "power_cap_w": 750.0}
    fields |= {"vram_used_bytes": 48 << 30, "vram_total_bytes": 192 << 30}
    return GpuLive(index=index, bdf=f"0000:{index + 5:02x}:00.0", **{**fields, **given})


def host(name: str = "node01", **given: Any) -> HostView:
    gpus = given.pop("gpus", (gpu(0), gpu(1)))
    row = StatusRow(host=name, gpus="2x MI300X", amdgpu="6.10.5", bios="5.27", rocm="6.3.1-48", os="Ubuntu 22.04.5 LTS",
                    power_w=600.0, hottest_c=60.0, running=given.pop("running", ""))  # fmt: skip
    fields: dict[str, Any] = {"state": "up", "row": row, "gpus": gpus, "health": State.PASS, "surveyed_at_ns": NOW}
    return HostView(name=name, **{**fields, **given})


def away(name: str = "node09", **given: Any) -> HostView:
    fields: dict[str, Any] = {
        "state": "no answer",
        "since_ns": NOW - 95 * S,
        "why": Clean("connection refused"),
        "remedy": Clean("is sshd running there?"),
        "tries": 3,
        "retry_at_ns": NOW + 25 * S,
        "health": None,
    }
    return HostView(name=name, **{**fields, **given})


def attempt(name: str = "a1", **given: Any) -> AttemptView:
    fields: dict[str, Any] = dict.fromkeys(AttemptView.__struct_fields__)
    fields |= {
        "attempt": name,
        "run": "r1",
        "matrix": "vllm",
        "cell_id": "llama-70b",
        "hosts": ("node01",),
        "placed": True,
    }
    fields |= {"stage": Stage.RUNNING, "phase": Phase.MEASURING, "fetching": (), "links": (), "reasons": ()}
    rate = Rate(metric="output_tokens_per_s", unit="tok/s", source="stat line", value=5432.1, at_ns=NOW, mean=None)
    fields |= {"rate": rate, "progress": Progress(45.0, 100.0, "prompts", NOW), "title": Clean("Llama")}
    return AttemptView(**{**fields, **given})


def cell(row: Row, column: str) -> str:
    place = [column.key for column in fleet_rows.COLUMNS].index(column)
    return text_of(row.cells[place])


def names(rows: list[Row]) -> list[str | None]:
    return [host_of(row.key) for row in rows]


# -- cells


def test_a_row_shows_every_gpu_as_one_level_and_the_versions() -> None:
    row = fleet_rows.row(
        host(gpus=(gpu(0, busy_percent=0.0), gpu(1, busy_percent=100.0), gpu(2, busy_percent=None))), (), NOW
    )

    assert cell(row, "busy") == "▁█?"
    assert cell(row, "power") == "0.60 kW"
    assert (cell(row, "amdgpu"), cell(row, "bios"), cell(row, "rocm")) == ("6.10.5", "5.27", "6.3.1")


def test_what_runs_begins_with_its_speed_so_that_a_narrow_column_keeps_it() -> None:
    row = fleet_rows.row(host(), (attempt(),), NOW)

    assert cell(row, "now") == "▶ 5,432 tok/s 45% llama-70b measuring"


def test_a_speed_of_nothing_gives_way_to_what_is_done() -> None:
    rate = Rate(metric="output_tokens_per_s", unit="tok/s", source="stat line", value=0.0, at_ns=NOW, mean=None)
    row = fleet_rows.row(host(), (attempt(rate=rate, phase=Phase.WARMING_UP),), NOW)

    assert cell(row, "now") == "▶ warming up 45% llama-70b"


def test_several_attempts_on_a_host_are_counted() -> None:
    assert cell(fleet_rows.row(host(), (attempt(), attempt("a2")), NOW), "now").endswith("+1")


def test_an_idle_host_with_findings_shows_the_gravest_without_the_name_of_its_check() -> None:
    bad = host(
        health=State.FAIL, counts=HealthCounts(failed=2), findings=(Clean("host.numa_balancing: NUMA balancing is 1"),)
    )
    row = fleet_rows.row(bad, (), NOW)

    assert cell(row, "health") == "✗ fail 2"
    assert cell(row, "now") == "NUMA balancing is 1"


@pytest.mark.parametrize(
    ("given", "said"),
    [
        ({}, "1 min 35 s, try 4 in 25 s: connection refused"),
        ({"trying": True}, "1 min 35 s, trying now: connection refused"),
        ({"retry_at_ns": None}, "1 min 35 s, waits for you: connection refused"),
    ],
)
def test_a_host_that_is_away_says_how_long_and_what_is_tried(given: dict[str, Any], said: str) -> None:
    assert cell(fleet_rows.row(away(**given), (), NOW), "now") == said


def test_a_host_whose_readings_broke_off_says_why() -> None:
    assert cell(fleet_rows.row(host(state="stale", why=Clean("link lost")), (), NOW), "now") == "no readings: link lost"


def test_temperatures_are_marked_from_where_the_gpu_slows_down() -> None:
    assert fleet_rows.celsius(103.0) == ("103 °C", "fail")
    assert fleet_rows.celsius(91.0) == ("91 °C", "warn")
    assert fleet_rows.celsius(60.0) == ("60 °C", "")


@pytest.mark.parametrize(
    ("width", "kept"),
    [(80, {"host", "state", "health", "busy", "hottest", "now"}), (120, {"vram", "power", "amdgpu", "bios"})],
)
def test_narrow_tables_keep_what_matters_most(width: int, kept: set[str]) -> None:
    columns = fleet_rows.columns(width)
    widths = fit(columns, width - 1)

    assert kept <= {column.key for column, wide in zip(columns, widths, strict=True) if wide}


def test_markdown_says_when_its_figures_are_simulated() -> None:
    text = fleet_rows.markdown([fleet_rows.row(host(), (), NOW)], simulated=True)

    assert text.startswith("Simulated")
    assert "| node01 |" in text


def test_totals_name_only_what_there_is() -> None:
    fleet = FleetTotals(hosts=8, up=7, missing=1, failing=2, gpus=56, busy_gpus=14, power_w=21_200.0)
    text = "".join(part for part, _ in fleet_rows.totals(fleet, 3))

    for part in ("8 hosts", "● 7 up", "✗ 1 away", "✗ 2 failing", "14/56 busy", "21.2 kW", "3 attempts"):
        assert part in text
    assert "stale" not in text


# -- order


def test_bad_hosts_come_first_on_request_and_the_fleet_files_order_again() -> None:
    hosts = (
        host("fine"),
        host("warned", health=State.WARN, counts=HealthCounts(warned=1)),
        host("one", health=State.FAIL, counts=HealthCounts(failed=1)),
        host("four", health=State.FAIL, counts=HealthCounts(failed=4)),
        away("gone"),
        host("dark", health=State.UNKNOWN, counts=HealthCounts(unknown=1)),
    )
    table = FleetTable()
    before = names(table.rows(hosts, {}, NOW))

    assert table.bad_first()
    assert names(table.rows(hosts, {}, NOW)) == ["gone", "four", "one", "dark", "warned", "fine"]
    assert not table.bad_first()
    assert names(table.rows(hosts, {}, NOW)) == before


def test_whoever_has_nothing_to_be_sorted_by_comes_last_either_way() -> None:
    hosts = (away("gone"), host("cool", gpus=(gpu(busy_percent=10.0),)), host("hot", gpus=(gpu(busy_percent=90.0),)))
    table = FleetTable()
    table.sort_by("busy")

    assert names(table.rows(hosts, {}, NOW)) == ["hot", "cool", "gone"]
    table.sort_by("busy")
    assert names(table.rows(hosts, {}, NOW)) == ["cool", "hot", "gone"]


def test_a_host_of_two_groups_stands_in_both_under_headings_with_figures() -> None:
    hosts = (host("a", groups=("rack1", "new")), host("b", groups=("rack1",)), host("c"))
    table = FleetTable()
    table.grouped = True
    rows = table.rows(hosts, {}, NOW)

    assert names(rows) == [None, "a", None, "a", "b", None, "c"]
    assert len({row.key for row in rows}) == len(rows)
    assert (cell(rows[2], "host"), cell(rows[2], "state"), cell(rows[2], "power")) == ("@rack1", "2/2 up", "1.2 kW")


def test_a_row_is_made_again_only_when_its_host_has_changed() -> None:
    table, first, second = FleetTable(), host("a"), host("b")
    before = table.rows((first, second), {}, NOW)
    after = table.rows((first, host("b", health=State.FAIL)), {}, NOW + 5 * S)

    assert after[0] is before[0]
    assert after[1] is not before[1]


def test_the_countdown_of_a_host_that_is_away_moves_on_by_itself() -> None:
    table, gone = FleetTable(), away()
    before = table.rows((gone,), {}, NOW)

    assert table.rows((gone,), {}, NOW) == before
    assert table.rows((gone,), {}, NOW + S) != before


def test_a_row_is_made_again_when_its_attempt_has_news() -> None:
    table, only = FleetTable(), host("node01")
    table.rows((only,), {"node01": [attempt()]}, NOW)
    later = table.rows((only,), {"node01": [attempt(cell_id="other")]}, NOW)

    assert "other" in cell(later[0], "now")


# -- filter


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("", True),
        ("node", True),
        ("node mi300x", True),
        ("node !mi300x", False),
        ("@rack1", True),
        ("@rack2", False),
        ("state:up", True),
        ("state:fail", True),
        ("state:pass", False),
        ("numa", True),
        ("UBUNTU", True),
        ("!", True),
    ],
)
def test_every_word_of_a_filter_must_be_found(text: str, found: bool) -> None:
    one = host(groups=("rack1",), health=State.FAIL, findings=(Clean("host.numa_balancing: on"),))

    assert matches(one, text) is found


def test_a_filter_finds_what_runs_on_a_host() -> None:
    table = FleetTable()
    table.filter = "405B"
    view = attempt(cell_id="llama-3.1-405b-in128-out128")

    rows = table.rows((host("a"), host("b")), {"b": (view,)}, NOW)

    assert [row.key for row in rows] == ["b"]


def test_the_note_tells_filter_and_order() -> None:
    table = FleetTable()
    table.filter = "mi300x"
    table.sort_by("power")
    table.rows((host("a"), away("b")), {}, NOW)

    assert table.note(2) == "1 of 2 match mi300x, by power"


# -- the host under the cursor


def texts(paras: list[Any]) -> str:
    return "\n".join("".join(text for text, _ in item.spans) for item in paras)


def test_the_pane_shows_findings_that_count_with_their_remedies_the_gravest_first() -> None:
    findings = tuple(
        Finding(
            check=check,
            host="node01",
            state=state,
            seen=f"{check} seen",
            expected="less",
            remedy="mend it",
            waived=waived,
        )
        for check, state, waived in (
            ("a.warned", State.WARN, ""),
            ("b.failed", State.FAIL, ""),
            ("c.passed", State.PASS, ""),
            ("d.waived", State.FAIL, "on purpose"),
        )
    )
    health = HostHealth(host="node01", findings=findings, state=State.FAIL)
    text = texts(fleet_detail.detail(host(health=State.FAIL), health, (attempt(),), NOW))

    assert text.index("b.failed seen") < text.index("a.warned seen")
    assert "mend it" in text
    assert "5,432 tok/s" in text
    assert "c.passed" not in text
    assert "d.waived" not in text


def test_the_pane_of_a_host_that_is_away_says_why_what_is_tried_and_what_to_do() -> None:
    text = texts(fleet_detail.detail(away(), None, (), NOW, "r"))

    for part in ("connection refused", "is sshd running there?", "asked 3 times, again in 25 s; r asks now"):
        assert part in text


def test_a_clock_is_called_wrong_only_beyond_what_the_way_there_and_back_explains() -> None:
    off: dict[str, Any] = {"clock_offset_ns": 2 * S, "round_trip_ns": 4 * S}

    assert "clock" not in texts(fleet_detail.hardware(host(**off)))
    assert "its clock is 2 s ahead" in texts(fleet_detail.hardware(host(**{**off, "round_trip_ns": S})))
