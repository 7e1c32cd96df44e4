"""The fleet board: what events make of hosts, and that everything kept is bounded."""

import math
import sys
from array import array
from subprocess import run
from typing import Any

import pytest

from console.desk.fleet_board import (
    Asking,
    FleetBoard,
    Missing,
    Pulse,
    Seen,
    Silent,
)
from console.fleet.host import Host
from console.health.report import HostHealth
from console.model.attempt import Beat, HostReading, Reading
from console.model.facts import Clock, Gpu, HostFacts, Known, System
from console.model.finding import Finding, State

S = 1_000_000_000
HOSTS = (Host(name="node01", address="10.0.0.1", groups=("rack1",)), Host(name="node02", address="10.0.0.2"))


def known(value: Any) -> Known[Any]:
    return Known(value, "a file")


def bdf(index: int) -> str:
    return f"0000:{index + 1:02x}:00.0"


def gpu(index: int, **changes: Any) -> Gpu:
    fields: dict[str, Any] = {
        "bdf": bdf(index),
        "device_bdf": bdf(index),
        "device_id": "74a1",
        "vram_total_bytes": known(192 << 30),
        "vram_used_bytes": known(1 << 30),
        "power_w": known(140.0),
        "power_cap_w": known(750.0),
        "junction_c": known(40.0),
    }
    return Gpu(**{**fields, **changes})


def facts(host: str = "node01", devices: tuple[Gpu, ...] = (gpu(0), gpu(1)), **changes: Any) -> HostFacts:
    fields: dict[str, Any] = {
        "read_at_ns": S,
        "gpus": known(devices),
        "system": System(memory_bytes=known(2 << 40), load_1m=known(0.5), memory_available_bytes=known(1 << 40)),
        "clock": known(Clock(offset_ns=5, uncertainty_ns=100)),
    }
    return HostFacts(host=host, **{**fields, **changes})


def finding(check: str, state: State, seen: str = "seen", waived: str = "") -> Finding:
    return Finding(check=check, host="node01", state=state, seen=seen, waived=waived)


def health(*findings: Finding, state: State = State.FAIL) -> HostHealth:
    return HostHealth(host="node01", findings=findings, state=state)


def pulse(second: int, *powers: float | None, host: str = "node01", **figures: Any) -> Pulse:
    at = second * S
    readings = tuple(
        Reading(at_ns=at, bdf=bdf(index), power_w=power, hotspot_c=50.0 + index, **figures)
        for index, power in enumerate(powers)
    )
    return Pulse(host, at, Beat(HostReading(at_ns=at + 7, load_1m=3.0, memory_available_bytes=4096), readings))


@pytest.fixture
def board() -> FleetBoard:
    return FleetBoard(HOSTS)


def test_a_host_nobody_has_heard_of_yet_is_being_asked(board: FleetBoard) -> None:
    first = board.hosts()[0]

    assert (first.name, first.groups, first.state, first.row) == ("node01", ("rack1",), "asking", None)
    assert board.apply([Asking("node01", 3 * S)]) == {"node01"}
    asked = board.host("node01")
    assert asked is not None
    assert (asked.since_ns, asked.trying, asked.tries) == (3 * S, True, 1)


def test_an_answer_shows_what_was_read_and_how_well_it_is(board: FleetBoard) -> None:
    found = health(
        finding("gpu.ecc", State.WARN),
        finding("gpu.count", State.FAIL, "7 of 8"),
        finding("host.numa", State.UNKNOWN),
        finding("kernel.log", State.FAIL, waived="acknowledged"),
        finding("host.os", State.PASS),
        finding("host.bios", State.WARN),
    )
    board.apply([Asking("node01", S), Seen("node01", 2 * S, facts(), found)])

    view = board.host("node01")
    assert view is not None
    assert (view.state, view.since_ns, view.trying, view.surveyed_at_ns) == ("up", 2 * S, False, 2 * S)
    assert view.row is not None
    assert view.row.health == "fail 1"
    assert view.findings == ("gpu.count: 7 of 8", "host.numa: seen", "gpu.ecc: seen")
    assert (view.counts.failed, view.counts.warned, view.counts.unknown, view.counts.passed) == (1, 2, 1, 1)
    assert [(one.index, one.bdf, one.power_w, one.power_cap_w) for one in view.gpus] == [
        (0, bdf(0), 140.0, 750.0),
        (1, bdf(1), 140.0, 750.0),
    ]
    assert (view.load_1m, view.memory_total_bytes, view.round_trip_ns) == (0.5, 2 << 40, 200)
    assert board.facts("node01") == facts()
    assert board.health("node01") is found


def test_a_new_look_keeps_the_old_verdict_until_it_is_judged(board: FleetBoard) -> None:
    verdict = health(finding("gpu.count", State.FAIL))
    board.apply([Seen("node01", S, facts(), verdict), Seen("node01", 2 * S, facts(read_at_ns=2 * S))])

    assert board.health("node01") is verdict
    assert board.facts("node01") == facts(read_at_ns=2 * S)


def test_readings_stand_in_front_of_what_the_look_saw(board: FleetBoard) -> None:
    board.apply([Seen("node01", S, facts()), pulse(2, 300.0, 310.0, vram_used_bytes=5 << 30, busy_percent=97.0)])

    view = board.host("node01")
    assert view is not None
    assert view.row is not None
    assert (view.row.power_w, view.row.vram_used_bytes, view.row.hottest_c) == (610.0, 10 << 30, 51.0)
    assert view.row.vram_total_bytes == 384 << 30
    assert [one.power_w for one in view.gpus] == [300.0, 310.0]
    assert [one.vram_total_bytes for one in view.gpus] == [192 << 30] * 2
    assert (view.load_1m, view.memory_available_bytes, view.heard_at_ns) == (3.0, 4096, 2 * S)


def test_a_sum_with_an_unknown_part_is_unknown(board: FleetBoard) -> None:
    board.apply([Seen("node01", S, facts()), pulse(2, 300.0, None)])

    view = board.host("node01")
    assert view is not None
    assert view.row is not None
    assert view.row.power_w is None


def test_partitions_of_a_device_are_one_gpu_with_the_memory_of_all(board: FleetBoard) -> None:
    parts = tuple(gpu(0, bdf=f"0000:01:00.{number}", vram_total_bytes=known(24 << 30)) for number in range(8))
    board.apply([Seen("node01", S, facts(devices=parts)), pulse(2, 300.0)])

    view = board.host("node01")
    assert view is not None
    assert [(one.bdf, one.vram_total_bytes, one.power_w) for one in view.gpus] == [(bdf(0), 192 << 30, 300.0)]


def test_a_host_without_an_answer_says_why_since_when_and_what_is_tried(board: FleetBoard) -> None:
    board.apply([Asking("node01", S), Missing("node01", 2 * S, "connection refused", "is it on?", 5 * S, 2 * S)])
    first = board.host("node01")
    board.apply([Asking("node01", 5 * S, 2)])
    again = board.host("node01")
    board.apply([Missing("node01", 6 * S, "no route", "", None, 2 * S)])
    last = board.host("node01")

    assert first is not None
    assert again is not None
    assert last is not None
    assert (first.state, first.since_ns, first.why, first.remedy, first.retry_at_ns) == (
        "no answer",
        2 * S,
        "connection refused",
        "is it on?",
        5 * S,
    )
    assert first.row is not None
    assert (first.row.state, first.row.why) == ("no answer", "connection refused")
    assert (again.state, again.trying, again.tries, again.retry_at_ns) == ("no answer", True, 2, None)
    assert (last.since_ns, last.why, last.retry_at_ns, last.trying) == (2 * S, "no route", None, False)


def test_a_host_that_went_away_keeps_what_was_known_and_comes_back(board: FleetBoard) -> None:
    board.apply([Seen("node01", S, facts()), pulse(2, 300.0, 300.0), Silent("node01", 9 * S, "link lost", 10 * S)])
    stale = board.host("node01")
    board.apply([Missing("node01", 10 * S, "no route", "", 12 * S, 10 * S)])
    gone = board.host("node01")
    board.apply([Asking("node01", 12 * S, 2), Seen("node01", 13 * S, facts())])
    back = board.host("node01")

    assert stale is not None
    assert (stale.state, stale.since_ns, stale.why, stale.retry_at_ns) == ("stale", 9 * S, "link lost", 10 * S)
    assert [one.power_w for one in stale.gpus] == [300.0, 300.0]
    assert gone is not None
    assert (gone.state, gone.since_ns) == ("no answer", 10 * S)
    assert gone.row is not None
    assert gone.row.vram_total_bytes == 384 << 30
    assert back is not None
    assert (back.state, back.since_ns, back.why, back.tries) == ("up", 13 * S, "", 0)


def test_a_reading_ends_a_silence(board: FleetBoard) -> None:
    board.apply([Seen("node01", S, facts()), Silent("node01", 3 * S, "link lost", 4 * S), pulse(5, 1.0, 1.0)])

    view = board.host("node01")
    assert view is not None
    assert (view.state, view.since_ns, view.why) == ("up", 5 * S, "")


def test_a_silence_does_not_turn_a_missing_host_into_a_stale_one(board: FleetBoard) -> None:
    board.apply([Missing("node01", S, "gone", "", None, S), Silent("node01", 2 * S, "link lost", 3 * S)])

    view = board.host("node01")
    assert view is not None
    assert (view.state, view.why) == ("no answer", "gone")


def test_hosts_of_the_lab_are_simulated_whatever_state_they_are_in(board: FleetBoard) -> None:
    board.apply([Seen("node01", S, facts(simulated=True))])
    up = board.host("node01")
    board.apply([Silent("node01", 2 * S, "link lost", 3 * S)])
    stale = board.host("node01")

    assert up is not None
    assert (up.state, up.simulated) == ("simulated", True)
    assert stale is not None
    assert stale.row is not None
    assert (stale.state, stale.simulated, stale.row.state) == ("stale", True, "simulated")
    assert board.totals().simulated


def test_a_view_is_drawn_anew_only_after_a_change(board: FleetBoard) -> None:
    board.apply([Seen("node01", S, facts()), Seen("node02", S, facts("node02"))])
    first, second = board.hosts()
    changed = board.apply([pulse(2, 1.0, 1.0)])

    assert changed == {"node01"}
    assert board.hosts()[0] is not first
    assert board.hosts()[1] is second
    assert board.hosts() is board.hosts()


def test_hosts_that_are_not_on_the_board_are_ignored(board: FleetBoard) -> None:
    assert board.apply([Asking("elsewhere", S)]) == frozenset()
    assert board.host("elsewhere") is None
    assert board.facts("elsewhere") is None


def test_what_a_host_says_of_itself_is_shown_clean(board: FleetBoard) -> None:
    evil = "bad \x1b]52;c;aGk=\x07\x1b[2Jnews\u202e\nnext"
    board.apply(
        [
            Seen("node01", S, facts(), health(finding("gpu.count", State.FAIL, evil))),
            Missing("node02", S, evil, evil, None, S),
        ]
    )
    up, gone = board.hosts()

    assert up.findings == ("gpu.count: bad news next",)
    assert (gone.why, gone.remedy) == ("bad news next", "bad news next")
    assert gone.row is not None
    assert gone.row.why == "bad news next"


def test_totals_count_hosts_by_state_and_gpus_that_work(board: FleetBoard) -> None:
    board.apply(
        [
            Seen("node01", S, facts(), health(finding("gpu.count", State.FAIL))),
            pulse(2, 300.0, 200.0, busy_percent=80.0),
            Missing("node02", S, "gone", "", None, S),
        ]
    )

    totals = board.totals()
    assert (totals.hosts, totals.up, totals.missing, totals.failing) == (2, 1, 1, 1)
    assert (totals.gpus, totals.busy_gpus, totals.power_w, totals.simulated) == (2, 2, 500.0, False)


# -- history


def defined(values: "array[float]") -> list[float | None]:
    return [None if math.isnan(value) else value for value in values]


def history_of(*pulses: Pulse, length: int = 6) -> Any:
    board = FleetBoard(HOSTS, history_s=length)
    board.apply([Seen("node01", S, facts()), *pulses])
    return board.history("node01")


def test_history_is_a_point_a_second_up_to_the_newest_reading() -> None:
    found = history_of(*(pulse(100 + number, 10.0 * number, 1.0, busy_percent=5.0) for number in range(3)))

    assert list(found.at_ns) == [second * S for second in range(97, 103)]
    assert defined(found.gpus[0].power_w) == [None, None, None, 0.0, 10.0, 20.0]
    assert defined(found.gpus[1].busy_percent) == [None, None, None, 5.0, 5.0, 5.0]
    assert defined(found.load_1m) == [None, None, None, 3.0, 3.0, 3.0]
    assert defined(found.gpus[0].sclk_mhz) == [None] * 6


def test_history_forgets_what_is_older_than_its_length() -> None:
    found = history_of(*(pulse(100 + number, float(number), 1.0) for number in range(20)))

    assert defined(found.gpus[0].power_w) == [14.0, 15.0, 16.0, 17.0, 18.0, 19.0]


def test_a_second_that_was_skipped_keeps_its_value_and_a_gap_is_empty() -> None:
    found = history_of(pulse(100, 1.0, 0.0), pulse(102, 2.0, 0.0), pulse(106, 3.0, 0.0), length=8)

    assert defined(found.gpus[0].power_w) == [None, 1.0, 1.0, 2.0, None, None, None, 3.0]


def test_a_gap_longer_than_the_history_leaves_nothing_old_in_it() -> None:
    found = history_of(pulse(100, 1.0, 0.0), pulse(101, 1.0, 0.0), pulse(5000, 3.0, 0.0))

    assert defined(found.gpus[0].power_w) == [None] * 5 + [3.0]


def test_a_reading_that_comes_late_finds_its_place_and_one_too_old_is_left_out() -> None:
    found = history_of(pulse(100, 1.0, 0.0), pulse(105, 2.0, 0.0), pulse(103, 9.0, 0.0), pulse(20, 7.0, 0.0))

    assert list(found.at_ns)[-1] == 105 * S
    assert defined(found.gpus[0].power_w) == [1.0, None, None, 9.0, None, 2.0]


def test_throttling_is_one_nothing_is_zero_and_not_told_is_empty() -> None:
    found = history_of(
        pulse(100, 1.0, 1.0, throttle=("ppt",)), pulse(101, 1.0, 1.0, throttle=()), pulse(102, 1.0, 1.0), length=3
    )

    assert defined(found.gpus[0].throttle) == [1.0, 0.0, None]


def test_a_gpu_that_left_begins_a_new_history_for_the_others() -> None:
    found = history_of(pulse(100, 1.0, 2.0), pulse(101, 5.0))

    assert [one.bdf for one in found.gpus] == [bdf(0)]
    assert defined(found.gpus[0].power_w)[-2:] == [None, 5.0]
    assert defined(found.load_1m)[-2:] == [3.0, 3.0]


def test_gpus_are_numbered_as_in_the_views() -> None:
    board = FleetBoard(HOSTS)
    board.apply([Seen("node01", S, facts())])
    only_second = Beat(HostReading(at_ns=S), (Reading(at_ns=S, bdf=bdf(1), power_w=4.0),))
    board.apply([Pulse("node01", 2 * S, only_second)])

    assert [one.index for one in board.history("node01").gpus] == [1]


def test_history_before_any_reading_is_empty_and_as_long_as_ever(board: FleetBoard) -> None:
    found = board.history("node01")

    assert len(found.at_ns) == len(found.load_1m) == 600
    assert found.gpus == ()
    with pytest.raises(KeyError):
        board.history("elsewhere")


def test_history_never_grows() -> None:
    board = FleetBoard(HOSTS, history_s=60)
    sizes = set()
    for second in range(1000, 1300):
        board.apply([pulse(second, 1.0, 2.0)])
        found = board.history("node01")
        sizes.add(sum(values.itemsize * len(values) for values in (found.load_1m, found.gpus[0].power_w)))

    assert sizes == {2 * 4 * 60}


def test_the_board_loads_no_ssh_and_no_screen() -> None:
    code = "import sys, console.desk.fleet_board as b; print(*sorted(sys.modules))"
    names = run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout.split()

    assert not {"asyncssh", "textual", "rich", "polars", "docker", "asyncio"} & set(names)
