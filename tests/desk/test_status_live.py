"""Rows of a watched fleet: live figures over what a look read, and words for hosts that are away."""

from typing import Any

import pytest

from console.desk import status_live
from console.desk.fleet_board import Asking, FleetBoard, Missing, Pulse, Seen, Silent
from console.fleet.host import Host
from console.health.report import HostHealth
from console.model.attempt import Beat, HostReading, Reading
from console.model.facts import Gpu, HostFacts, Known
from console.model.finding import State

S = 1_000_000_000
NAMES = ("node01", "node02", "node03", "node04")


def known(value: Any) -> Known[Any]:
    return Known(value, "a file")


def seen(name: str, state: State = State.PASS, partitions: int = 1) -> Seen:
    gpus = tuple(
        Gpu(
            bdf=f"0000:{device:02x}:00.{part}",
            device_bdf=f"0000:{device:02x}:00.0",
            device_id="74a1",
            vram_used_bytes=known(7),
            power_w=known(100.0),
            busy_percent=known(1.0),
        )
        for device in (1, 2)
        for part in range(partitions)
    )
    return Seen(
        name, S, HostFacts(host=name, read_at_ns=S, gpus=known(gpus)), HostHealth(host=name, findings=(), state=state)
    )


def pulse(name: str) -> Pulse:
    readings = tuple(
        Reading(
            at_ns=S,
            bdf=f"0000:{device:02x}:00.0",
            power_w=300.0 + device,
            busy_percent=40.0 * device,
            vram_used_bytes=9,
            sclk_mhz=2100.0,
            throttle=("ppt",),
        )
        for device in (1, 2)
    )
    return Pulse(name, 2 * S, Beat(HostReading(at_ns=S), readings))


@pytest.fixture
def board() -> FleetBoard:
    return FleetBoard([Host(name=name, address="x") for name in NAMES])


def test_hosts_without_an_answer_come_first_then_the_worst(board: FleetBoard) -> None:
    board.apply([seen("node01"), seen("node02", State.FAIL), Missing("node04", S, "gone", "", None, S)])

    assert [row.host for row in status_live.rows(board, 5 * S)] == ["node04", "node02", "node03", "node01"]


def test_a_row_has_the_newest_readings(board: FleetBoard) -> None:
    board.apply([seen("node01"), pulse("node01")])

    row = next(row for row in status_live.rows(board, 5 * S) if row.host == "node01")
    assert (row.power_w, row.busy_percent, row.vram_used_bytes, row.why) == (603.0, 60.0, 18, "")


def test_words_say_since_when_a_host_is_away_and_what_is_tried(board: FleetBoard) -> None:
    board.apply(
        [
            Asking("node01", S),
            Missing("node02", 2 * S, "nothing listens", "is it on?", 9 * S, 2 * S),
            Missing("node03", 2 * S, "another key", "instinct hosts trust node03", None, 2 * S),
            seen("node04"),
            Silent("node04", 3 * S, "connection lost", 8 * S),
        ]
    )
    words = {row.host: (row.state, row.why) for row in status_live.rows(board, 5 * S)}
    board.apply([Asking("node02", 200 * S, 4)])
    later = {row.host: row.why for row in status_live.rows(board, 302 * S)}

    assert words == {
        "node01": ("asking", "no answer yet for 4 s"),
        "node02": ("no answer", "nothing listens for 3 s; again in 4 s"),
        "node03": ("no answer", "another key for 3 s; instinct hosts trust node03"),
        "node04": ("up", "no readings for 2 s: connection lost; again in 3 s"),
    }
    assert later["node02"] == "nothing listens for 5 min; try 4 under way"


def test_gpu_rows_have_readings_and_partitions_only_those_of_their_device(board: FleetBoard) -> None:
    board.apply([seen("node01"), pulse("node01"), seen("node02", partitions=2), pulse("node02")])

    whole = [row for row in status_live.gpus(board) if row.host == "node01"]
    parts = [row for row in status_live.gpus(board) if row.host == "node02"]
    assert [(row.power_w, row.busy_percent, row.vram_used_bytes) for row in whole] == [
        (301.0, 40.0, 9),
        (302.0, 80.0, 9),
    ]
    assert [(row.sclk_mhz, row.throttle) for row in whole] == [(2100, "ppt")] * 2
    assert [(row.power_w, row.busy_percent, row.vram_used_bytes) for row in parts] == [
        (301.0, 1.0, 7),
        (301.0, 1.0, 7),
        (302.0, 1.0, 7),
        (302.0, 1.0, 7),
    ]


def test_gpus_of_a_host_that_is_gone_are_not_shown(board: FleetBoard) -> None:
    board.apply([seen("node01"), Missing("node01", S, "gone", "", None, S)])

    assert status_live.gpus(board) == ()


def test_a_fleet_is_settled_when_every_host_is_judged_or_missing(board: FleetBoard) -> None:
    board.apply([seen(name) for name in NAMES[:3]])
    waiting = status_live.settled(board)
    board.apply([Missing("node04", S, "gone", "", 2 * S, S)])

    assert (waiting, status_live.settled(board)) == (False, True)
