"""Samples and readings of an ended attempt, sealed to Parquet for the tables.

`samples/date=YYYY-MM-DD/<attempt>.parquet` and `readings/date=YYYY-MM-DD/<attempt>.parquet`, the date being that of
the first row (UTC). A time without readings (a lost connection) has no rows. A second sealing gives the same names,
so rows never come twice. Temporary names do not end in `.parquet`: a glob never meets a half file.
"""

import io
from collections.abc import Mapping, Sequence
from pathlib import Path

import msgspec
import polars as pl

from console.model.attempt import Reading, Sample
from console.model.events import Envelope
from console.store.artifacts import replace
from console.store.paths import StateFolder, check_id
from console.store.tail import Tail

SCHEMA_VERSION = "1"

_PAGE = 50_000
_TIME = pl.Datetime("us", "UTC")

SAMPLES = pl.Schema(
    {
        "run": pl.String(),
        "attempt": pl.String(),
        "part": pl.String(),
        "seq": pl.Int64(),
        "journaled_at": _TIME,
        "at": _TIME,
        "source": pl.String(),
        "metric": pl.String(),
        "rate": pl.Float64(),
        "done": pl.Float64(),
        "total": pl.Float64(),
        "counts": pl.String(),
        "running": pl.Int64(),
        "waiting": pl.Int64(),
        "kv_cache_used": pl.Float64(),
        "prompt_tokens_per_s": pl.Float64(),
        "extra": pl.String(),
    }
)
"""`at` is the host's clock, `journaled_at` ours; `rate` is in the unit of `metric`; `extra` is a JSON object."""

READINGS = pl.Schema(
    {
        "attempt": pl.String(),
        "host": pl.String(),
        "bdf": pl.String(),
        "at": _TIME,
        "power_w": pl.Float64(),
        "hotspot_c": pl.Float64(),
        "memory_c": pl.Float64(),
        "vram_used_bytes": pl.Int64(),
        "busy_percent": pl.Float64(),
        "sclk_mhz": pl.Float64(),
        "mclk_mhz": pl.Float64(),
        "throttle": pl.List(pl.String()),
        "throttle_share": pl.Float64(),
    }
)
"""One row per reading of one GPU; `at` is the host's clock.

`throttle` are the reasons it throttled for since the look before (every few seconds), null where it cannot be told;
`throttle_share` is the largest share of that time that one of them took.
"""


class Sealed(msgspec.Struct, frozen=True):
    """The files made; None where there were no rows."""

    samples: Path | None
    readings: Path | None


def seal(folder: StateFolder, attempt: str, readings: Mapping[str, Sequence[Reading]] | None = None) -> Sealed:
    """Write the attempt's journaled samples, and the given readings by host, as Parquet. Raises StoreError."""
    check_id(attempt, "attempt")
    with Tail(folder) as tail:
        envelopes = list(_samples(tail, attempt))
    samples = pl.DataFrame([_sample_row(envelope) for envelope in envelopes], SAMPLES, orient="row")
    rows = [
        (attempt, host, item.bdf, item.at_ns // 1000, item.power_w, item.hotspot_c, item.memory_c,
         item.vram_used_bytes, item.busy_percent, item.sclk_mhz, item.mclk_mhz, item.throttle,
         None if item.throttle is None else max(item.throttle_shares, default=0.0))
        for host, items in sorted((readings or {}).items())
        for item in items
    ]  # fmt: skip
    return Sealed(
        _write(folder.samples, attempt, samples),
        _write(folder.readings, attempt, pl.DataFrame(rows, READINGS, orient="row").sort("host", "bdf", "at")),
    )


def sealed_readings(folder: StateFolder, attempt: str) -> Path | None:
    """The sealed readings of an attempt, or None when there are none (yet)."""
    check_id(attempt, "attempt")
    return next(iter(sorted(folder.readings.glob(f"date=*/{attempt}.parquet"))), None)


def _samples(tail: Tail, attempt: str) -> Sequence[Envelope]:
    found: list[Envelope] = []
    while page := tail.of_attempt(attempt, Sample, found[-1].seq or 0 if found else 0, _PAGE):
        found.extend(page)
    return found


def _sample_row(envelope: Envelope) -> tuple[object, ...]:
    sample = envelope.event
    if not isinstance(sample, Sample):
        raise TypeError(f"not a sample: {sample!r}")
    return (
        envelope.run,
        envelope.attempt,
        envelope.part,
        envelope.seq,
        envelope.at_ns // 1000,
        sample.at_ns // 1000,
        sample.source,
        sample.metric,
        sample.rate,
        sample.done,
        sample.total,
        sample.counts,
        sample.running,
        sample.waiting,
        sample.kv_cache_used,
        sample.prompt_tokens_per_s,
        msgspec.json.encode(sample.extra, order="sorted").decode(),
    )


def _write(folder: Path, attempt: str, frame: pl.DataFrame) -> Path | None:
    if frame.is_empty():
        return None
    date = frame.select(pl.col("at").min().dt.strftime("%Y-%m-%d")).item()
    path = folder / f"date={date}" / f"{attempt}.parquet"
    buffer = io.BytesIO()
    frame.write_parquet(buffer, compression="zstd", metadata={"schema_version": SCHEMA_VERSION})
    replace(path, buffer.getvalue())
    return path
