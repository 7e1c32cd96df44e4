"""Readings of a run of the past: as of which moment they come, and that nothing is known where nobody looked."""

from pathlib import Path

import msgspec
import pytest

from console.desk.replay_readings import PastReadings
from console.desk.settings import Options, Settings, load
from console.model import events as ev
from console.model.attempt import Beat, Hardware, HostReading, Outcome, Reading, Stage
from console.store import beats
from console.store.journal import Journal
from console.store.paths import StateFolder

S = 1_000_000_000
BEGIN, END = 1_000, 1_020
GPUS = ("0000:05:00.0", "0000:26:00.0")


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    """A run of one attempt from BEGIN to END seconds; its host's clock is five seconds ahead of ours."""
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
                ev.Envelope(at_ns=BEGIN * S, run="r1", event=opened),
                ev.Envelope(at_ns=BEGIN * S, run="r1", attempt="a1", event=planned),
                ev.Envelope(at_ns=BEGIN * S, run="r1", attempt="a1", event=ev.StageEntered(stage=Stage.STARTING)),
                ev.Envelope(at_ns=END * S, run="r1", attempt="a1", event=ev.AttemptEnded(outcome=Outcome.OK)),
            ]
        )
    file = beats.BeatFile(folder, "a1", "n1")
    for second in range(BEGIN + 1, END):
        at_ns = (second + 5) * S
        told = GPUS if second != BEGIN + 3 else GPUS[:1]
        gpus = tuple(Reading(at_ns=at_ns, bdf=bdf, power_w=float(second), busy_percent=90.0) for bdf in told)
        file.append(Beat(HostReading(at_ns=at_ns), gpus))
    file.close()
    return load(Options(config=tmp_path, store=tmp_path / "store"), {})


@pytest.fixture
def past(settings: Settings) -> PastReadings:
    return PastReadings(settings, "r1", {"n1": 5 * S})


def test_readings_come_when_they_are_due_and_once(past: PastReadings) -> None:
    assert past.due(BEGIN * S) == []
    first = past.due((BEGIN + 4) * S)

    assert [pulse.at_ns // S for pulse in first] == [BEGIN + 1, BEGIN + 2, BEGIN + 3, BEGIN + 4]
    assert [pulse.beat.gpus[0].power_w for pulse in first] == [BEGIN + 1, BEGIN + 2, BEGIN + 3, BEGIN + 4]
    assert past.due((BEGIN + 4) * S) == []
    assert [pulse.at_ns // S for pulse in past.due((BEGIN + 5) * S)] == [BEGIN + 5]


def test_every_beat_names_every_gpu(past: PastReadings) -> None:
    for pulse in past.due(END * S):
        assert tuple(reading.bdf for reading in pulse.beat.gpus) == GPUS


def test_after_its_attempt_nothing_is_known_of_a_host(past: PastReadings) -> None:
    last = past.due((END + 5) * S)[-1]

    assert last.at_ns == END * S
    assert {reading.power_w for reading in last.beat.gpus} == {None}
    assert past.due((END + 50) * S) == []


def test_set_back_they_come_again(past: PastReadings) -> None:
    past.due(END * S)
    past.rewind()

    assert [pulse.at_ns // S for pulse in past.due((BEGIN + 2) * S)] == [BEGIN + 1, BEGIN + 2]


def test_a_clock_that_readings_were_already_corrected_by_is_not_taken_off_twice(settings: Settings) -> None:
    hardware = Hardware(from_ns=BEGIN * S, to_ns=END * S, gpus=2, clocks_ahead_ns={"n1": 3 * S})
    ended = ev.AttemptEnded(outcome=Outcome.OK, hardware=hardware)
    with Journal(StateFolder.open(settings.store.value)) as journal:
        journal.append_now([ev.Envelope(at_ns=END * S, run="r1", attempt="a1", event=ended)])

    first = PastReadings(settings, "r1", {"n1": 5 * S}).due((BEGIN + 2) * S)

    assert [pulse.at_ns // S for pulse in first] == [BEGIN + 1, BEGIN + 2]
