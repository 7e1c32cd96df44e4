"""Live readings survive in plain files until they are sealed."""

import os
from datetime import UTC, datetime

import polars as pl

from console.model.attempt import Beat, Gap, HostReading, Reading
from console.store import beats
from console.store.beats import BeatFile
from console.store.paths import StateFolder
from console.store.series import seal, sealed_readings

S = 1_000_000_000


def beat(at_s: int) -> Beat:
    gpu = Reading(at_ns=at_s * S, bdf="0000:05:00.0", power_w=700.0 + at_s, throttle=())
    return Beat(HostReading(at_ns=at_s * S, load_1m=1.5), (gpu,), looked=at_s % 5 == 0)


def test_what_one_writer_left_the_next_one_continues(folder: StateFolder) -> None:
    first = BeatFile(folder, "a1", "n1")
    told: list[Beat | Gap] = [beat(1), Gap(S, "the link broke", 2.0), beat(5)]
    for item in told:
        first.append(item)
    first.close()
    second = BeatFile(folder, "a1", "n1")
    second.append(beat(9))
    assert beats.read(folder, "a1") == {"n1": (*told, beat(9))}
    assert second.path.stat().st_mode & 0o777 == 0o600
    second.close()


def test_half_a_line_costs_itself_alone(folder: StateFolder) -> None:
    file = BeatFile(folder, "a1", "n1")
    file.append(beat(1))
    file.append(beat(2))
    file.close()
    os.truncate(file.path, file.path.stat().st_size - 20)
    after = BeatFile(folder, "a1", "n1")
    after.append(beat(3))
    after.close()
    assert beats.read(folder, "a1")["n1"] == (beat(1), beat(3))


def test_each_host_has_its_file_and_discarding_removes_them_all(folder: StateFolder) -> None:
    for host in ("n2", "n1.lab"):
        file = BeatFile(folder, "a1", host)
        file.append(beat(1))
        file.close()
    assert list(beats.files(folder, "a1")) == ["n1.lab", "n2"]
    beats.discard(folder, "a1")
    assert beats.read(folder, "a1") == {}
    assert beats.read(folder, "never") == {}


def test_clocks_and_throttling_are_sealed_too(folder: StateFolder) -> None:
    rows = [
        Reading(at_ns=S, bdf="g", mclk_mhz=1300.0),
        Reading(at_ns=2 * S, bdf="g", throttle=()),
        Reading(at_ns=3 * S, bdf="g", throttle=("ppt", "vr_thermal"), throttle_shares=(0.25, 0.5)),
    ]
    assert sealed_readings(folder, "a1") is None
    sealed = seal(folder, "a1", {"n1": rows}).readings
    assert sealed is not None
    assert sealed_readings(folder, "a1") == sealed
    frame = pl.read_parquet(sealed)
    assert frame["at"][0] == datetime(1970, 1, 1, 0, 0, 1, tzinfo=UTC)
    assert frame.select("mclk_mhz", "throttle", "throttle_share").rows() == [
        (1300.0, None, None),
        (None, [], 0.0),
        (None, ["ppt", "vr_thermal"], 0.5),
    ]
