"""Samples and readings become Parquet files that any reader of tables can take."""

from collections.abc import Callable
from datetime import UTC, datetime

import polars as pl
import pytest

from console.model.attempt import Reading, Sample
from console.model.events import Envelope, Noticed
from console.store import series
from console.store.journal import Journal
from console.store.paths import StateFolder
from console.store.series import READINGS, SAMPLES, seal

Maker = Callable[..., Envelope]

NOON_NS = 1_748_520_000_000_000_000  # 2025-05-29 12:00 UTC


def rate(number: int, attempt: str = "a1") -> Envelope:
    event = Sample(
        at_ns=NOON_NS + number * 10**9,
        source="stat line",
        metric="output_tokens_per_s",
        rate=100.0 + number,
        running=number,
        extra={"b": 2.0, "a": 1.0},
    )
    return Envelope(at_ns=NOON_NS + number * 10**9 + 5_000, run="r1", attempt=attempt, part="server", event=event)


def test_the_samples_of_one_attempt_are_read_back_from_parquet(folder: StateFolder, journal: Journal) -> None:
    journal.append_now(
        [rate(0), rate(1, "a2"), Envelope(at_ns=1, run="r1", attempt="a1", event=Noticed("hi")), rate(2)]
    )
    sealed = seal(folder, "a1")
    assert sealed.readings is None
    assert sealed.samples == folder.samples / "date=2025-05-29" / "a1.parquet"
    frame = pl.read_parquet(sealed.samples)
    assert frame.schema == SAMPLES
    assert frame.select("run", "attempt", "part", "seq", "rate", "running", "extra").rows() == [
        ("r1", "a1", "server", 1, 100.0, 0, '{"a":1.0,"b":2.0}'),
        ("r1", "a1", "server", 4, 102.0, 2, '{"a":1.0,"b":2.0}'),
    ]
    assert frame["at"].to_list() == [datetime(2025, 5, 29, 12, 0, second, tzinfo=UTC) for second in (0, 2)]
    assert (frame["journaled_at"] - frame["at"]).dt.total_microseconds().to_list() == [5, 5]
    assert pl.read_parquet_metadata(sealed.samples)["schema_version"] == "1"
    assert sealed.samples.stat().st_mode & 0o777 == 0o600


def test_sealing_twice_gives_every_row_once(folder: StateFolder, journal: Journal) -> None:
    journal.append_now([rate(0), rate(1)])
    first = seal(folder, "a1")
    journal.append_now([rate(2)])
    assert seal(folder, "a1") == first
    journal.append_now([rate(0, "a2")])
    seal(folder, "a2")
    everything = pl.scan_parquet(folder.samples / "**" / "*.parquet").select("attempt", "rate").collect()
    assert sorted(everything.rows()) == [("a1", 100.0), ("a1", 101.0), ("a1", 102.0), ("a2", 100.0)]


def test_nothing_is_sealed_where_there_was_nothing(folder: StateFolder) -> None:
    sealed = seal(folder, "a1")
    assert (sealed.samples, sealed.readings) == (None, None)
    assert list(folder.samples.iterdir()) == []


def test_readings_are_sealed_by_host_and_gpu(folder: StateFolder) -> None:
    readings = {
        "n2": [Reading(at_ns=NOON_NS, bdf="0000:05:00.0", power_w=700.5)],
        "n1": [
            Reading(at_ns=NOON_NS + 10**9, bdf="0000:05:00.0", vram_used_bytes=2**37),
            Reading(at_ns=NOON_NS, bdf="0000:05:00.0", hotspot_c=81.0),
        ],
    }
    sealed = seal(folder, "a1", readings)
    assert sealed.samples is None
    assert sealed.readings == folder.readings / "date=2025-05-29" / "a1.parquet"
    frame = pl.read_parquet(sealed.readings)
    assert frame.schema == READINGS
    assert frame.select("host", "power_w", "hotspot_c", "vram_used_bytes").rows() == [
        ("n1", None, 81.0, None),
        ("n1", None, None, 2**37),
        ("n2", 700.5, None, None),
    ]


def test_more_samples_than_one_page_are_all_sealed(
    folder: StateFolder, journal: Journal, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(series, "_PAGE", 10)
    journal.append_now([rate(number) for number in range(95)])
    sealed = seal(folder, "a1")
    assert sealed.samples is not None
    assert pl.read_parquet(sealed.samples)["rate"].to_list() == [100.0 + number for number in range(95)]
