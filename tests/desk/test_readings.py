"""Series of an attempt's GPUs: the same while it runs and after, bounded, with their breaks."""

from itertools import pairwise
from pathlib import Path

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from console.desk import settings
from console.desk.errors import DeskError
from console.desk.readings import BREAK_NS, METRICS, _groups, readings
from console.desk.settings import Options, Settings
from console.model import events as ev
from console.model.attempt import Beat, Hardware, HostReading, Outcome, Reading, Result
from console.store import beats
from console.store.journal import Journal
from console.store.paths import StateFolder
from console.store.series import seal

S = 1_000_000_000


@pytest.fixture
def setup(tmp_path: Path) -> tuple[Settings, StateFolder]:
    folder = StateFolder.open(tmp_path / "store")
    opened = ev.RunOpened(
        label="", matrices=("m",), hosts=("n1",), operator="o", version="0", attempts=1, simulated=False
    )
    planned = ev.AttemptPlanned(
        matrix="m", cell_id="c", workload="w", cell=msgspec.Raw(b"{}"), wish=("n1",), repeat=1, attempt_try=1,
        expected_s=None, startup_s=0.0, position=0,
    )  # fmt: skip
    with Journal(folder) as journal:
        journal.append_now(
            [
                ev.Envelope(at_ns=1, run="r1", event=opened),
                ev.Envelope(at_ns=1, run="r1", attempt="a1", event=planned),
            ]
        )
    return settings.load(Options(config=tmp_path), {"INSTINCT_STORE": str(tmp_path / "store")}), folder


def gpu(second: float, **figures: float) -> Reading:
    return Reading(at_ns=round(second * S), bdf="0000:05:00.0", **figures)  # type: ignore[arg-type]


def write(folder: StateFolder, *turns: Reading, host: str = "n1") -> None:
    file = beats.BeatFile(folder, "a1", host)
    for reading in turns:
        file.append(Beat(HostReading(at_ns=reading.at_ns), (reading,)))
    file.close()


def test_a_running_attempt_and_an_ended_one_look_alike(setup: tuple[Settings, StateFolder]) -> None:
    asked, folder = setup
    rows = [gpu(n, power_w=700.0 + n, hotspot_c=80.0, mclk_mhz=1300.0) for n in range(1, 5)]
    rows[2] = msgspec.structs.replace(rows[2], throttle=("ppt", "prochot"), throttle_shares=(0.25, 0.5))
    write(folder, *rows)
    write(folder, gpu(1, power_w=1.0), host="n0")
    live = readings(asked, "a1")
    assert (live.live, live.measured) == (True, (None, None))
    assert [(item.host, item.bdf) for item in live.gpus] == [("n0", "0000:05:00.0"), ("n1", "0000:05:00.0")]
    one = live.gpus[1]
    assert one.at_ns == (S, 2 * S, 3 * S, 4 * S)
    assert one.series["power_w"] == (701.0, 702.0, 703.0, 704.0)
    assert one.series["throttle_share"] == (None, None, 0.5, None)
    assert set(one.series) == {"power_w", "hotspot_c", "mclk_mhz", "throttle_share"}

    ended = ev.AttemptEnded(outcome=Outcome.OK, result=Result(headline="x", measured_from_ns=2, measured_to_ns=3))
    with Journal(folder) as journal:
        journal.append_now([ev.Envelope(at_ns=9, run="r1", attempt="a1", event=ended)])
    kept = {host: [row for item in items if isinstance(item, Beat) for row in item.gpus]
            for host, items in beats.read(folder, "a1").items()}  # fmt: skip
    seal(folder, "a1", kept)
    beats.discard(folder, "a1")
    after = readings(asked, "a1")
    assert (after.live, after.measured) == (False, (2, 3))
    assert after.gpus == live.gpus


def test_hosts_of_an_ended_attempt_share_the_clock_of_the_one_that_measured(
    setup: tuple[Settings, StateFolder],
) -> None:
    asked, folder = setup
    write(folder, *(gpu(n, power_w=1.0) for n in range(1, 4)))
    write(folder, *(gpu(90 + n, power_w=1.0) for n in range(1, 4)), host="n0")
    assert [item.at_ns[0] for item in readings(asked, "a1").gpus] == [91 * S, S]

    hardware = Hardware(from_ns=S, to_ns=3 * S, gpus=2, clocks_ahead_ns={"n1": 0, "n0": 90 * S})
    ended = ev.AttemptEnded(outcome=Outcome.OK, result=Result(headline="x"), hardware=hardware)
    with Journal(folder) as journal:
        journal.append_now([ev.Envelope(at_ns=9, run="r1", attempt="a1", event=ended)])
    assert [item.at_ns for item in readings(asked, "a1").gpus] == [(S, 2 * S, 3 * S)] * 2


def test_what_is_older_is_left_out_when_asked(setup: tuple[Settings, StateFolder]) -> None:
    asked, folder = setup
    rows = [gpu(n, power_w=1.0) for n in range(10)]
    write(folder, *rows)
    assert readings(asked, "a1", since_ns=7 * S).gpus[0].at_ns == (7 * S, 8 * S, 9 * S)
    seal(folder, "a1", {"n1": rows})
    beats.discard(folder, "a1")
    assert readings(asked, "a1", since_ns=7 * S).gpus[0].at_ns == (7 * S, 8 * S, 9 * S)


def test_long_series_are_thinned_to_means_and_highest_and_breaks_stay(setup: tuple[Settings, StateFolder]) -> None:
    asked, folder = setup
    figures = [gpu(n, power_w=float(n), hotspot_c=float(n)) for n in (*range(40), *range(100, 140))]
    write(folder, *figures)
    one = readings(asked, "a1", points=20).gpus[0]
    assert len(one.at_ns) <= 20
    hole = one.series["power_w"].index(None)
    assert one.at_ns[hole - 1] < one.at_ns[hole] < one.at_ns[hole + 1]
    assert one.series["hotspot_c"][hole] is None
    assert (one.series["power_w"][0], one.series["hotspot_c"][0]) == (2.0, 4.0), "five readings a point"
    assert one.series["hotspot_c"][-1] == 139.0


def test_nobody_read_it(setup: tuple[Settings, StateFolder]) -> None:
    asked, _ = setup
    assert readings(asked, "a1").gpus == ()
    with pytest.raises(DeskError, match="no attempt 'a2'"):
        readings(asked, "a2")


@given(steps=st.lists(st.sampled_from([S, 2 * S, BREAK_NS + S, 90 * S]), max_size=300), points=st.integers(2, 60))
def test_every_reading_makes_one_point_and_points_are_bounded(steps: list[int], points: int) -> None:
    at = [0]
    for step in steps:
        at.append(at[-1] + step)
    groups = list(_groups(at, points))
    assert len(groups) <= points
    assert [place for group in groups for place in group] == list(range(len(at)))
    breaks = sum(new - old > BREAK_NS for old, new in pairwise(at))
    assert sum(not group for group in groups) in (0, breaks)
    assert list(_groups([], points)) == []


def test_every_metric_is_a_column_of_the_sealed_table() -> None:
    from console.store.series import READINGS

    assert set(METRICS) <= set(READINGS.names())
