"""What the GPUs of an attempt did, second by second: for plots, while it goes on and after it has ended.

A running attempt is read from the files its conductor writes, an ended one from its sealed table; a caller sees no
difference. Answers are bounded: long series are thinned, breaks in them stay breaks.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from statistics import fmean

import msgspec

from console.desk import desk
from console.desk.errors import DeskError
from console.desk.settings import Settings
from console.model.attempt import Beat, Reading
from console.store import beats
from console.store.paths import StateFolder

POINTS = 600
"""As many as a wide terminal can show."""
BREAK_NS = 5_000_000_000
"""Longer between two readings, and nothing is known of what was in between."""

METRICS: Mapping[str, Callable[[Sequence[float]], float]] = {
    "power_w": fmean,
    "hotspot_c": max,
    "memory_c": max,
    "vram_used_bytes": fmean,
    "busy_percent": fmean,
    "sclk_mhz": fmean,
    "mclk_mhz": fmean,
    "throttle_share": max,
}
"""What there is of each GPU, and what stands for several readings where they are thinned: mean or highest.

Watts, Celsius, bytes, per cent, MHz; `throttle_share` is the part of the last seconds, 0 to 1, that the GPU throttled.
"""


class GpuReadings(msgspec.Struct, frozen=True, kw_only=True):
    """Series of one GPU: times (UTC nanoseconds) and, by metric, a value for each time.

    Times are on the host's clock. Of an ended attempt of several hosts they are on that of the host that measured, as
    far as it is known how their clocks stood.
    None is a value that is not known; at a break all are None once. Metrics that the GPU never tells are left out.
    """

    host: str
    bdf: str
    at_ns: tuple[int, ...]
    series: Mapping[str, tuple[float | None, ...]]


class AttemptReadings(msgspec.Struct, frozen=True, kw_only=True):
    """Every GPU of an attempt's hosts, by host and address. `live`: more may come. `measured`: when the program was
    measuring, as far as it said so."""

    attempt: str
    live: bool
    measured: tuple[int | None, int | None]
    gpus: tuple[GpuReadings, ...]


_Columns = dict[str, list[float | None]]
_Key = tuple[str, str]


def readings(settings: Settings, attempt: str, points: int = POINTS, *, since_ns: int | None = None) -> AttemptReadings:
    """Readings of an attempt, at most `points` a series; `since_ns` leaves out what is older.

    Without any GPU when nobody read its hosts. Raises DeskError on an attempt that is not there, StoreError.
    """
    folder = desk.folder(settings)
    with desk.tail(settings) as tail:
        row = tail.attempt(attempt)
    if row is None:
        raise DeskError(f"there is no attempt {attempt!r}")
    live = bool(beats.files(folder, attempt))
    found = (_live(folder, attempt, since_ns) if live else {}) or _sealed(folder, attempt, since_ns)
    result = row.result
    ahead = row.hardware.clocks_ahead_ns if row.hardware else {}
    return AttemptReadings(
        attempt=attempt,
        live=live and row.outcome is None,
        measured=(result.measured_from_ns, result.measured_to_ns) if result else (None, None),
        gpus=tuple(
            _thinned(key, [time - ahead.get(key[0], 0) for time in at], columns, max(2, points))
            for key, (at, columns) in sorted(found.items())
        ),
    )


def _live(folder: StateFolder, attempt: str, since_ns: int | None) -> Mapping[_Key, tuple[list[int], _Columns]]:
    found: dict[_Key, tuple[list[int], _Columns]] = {}
    for host in beats.files(folder, attempt):
        for item in beats.BeatFile(folder, attempt, host).read():
            if not isinstance(item, Beat) or (since_ns is not None and item.host.at_ns < since_ns):
                continue
            for reading in item.gpus:
                at, columns = found.setdefault((host, reading.bdf), ([], {name: [] for name in METRICS}))
                at.append(reading.at_ns)
                for name, values in columns.items():
                    values.append(_value(reading, name))
    return found


def _value(reading: Reading, name: str) -> float | None:
    if name != "throttle_share":
        value: float | None = getattr(reading, name)
        return value
    return None if reading.throttle is None else max(reading.throttle_shares, default=0.0)


def _sealed(folder: StateFolder, attempt: str, since_ns: int | None) -> Mapping[_Key, tuple[list[int], _Columns]]:
    # polars takes a while to load, and a running attempt does without
    from console.store.series import sealed_readings

    path = sealed_readings(folder, attempt)
    return {} if path is None else _table(path, since_ns)


def _table(path: Path, since_ns: int | None) -> Mapping[_Key, tuple[list[int], _Columns]]:
    import polars as pl

    frame = pl.read_parquet(path).with_columns(pl.col("at").dt.timestamp("us") * 1000)
    if since_ns is not None:
        frame = frame.filter(pl.col("at") >= since_ns)
    parts = frame.partition_by("host", "bdf", as_dict=True, maintain_order=True)
    return {
        (str(host), str(bdf)): (part["at"].to_list(), {name: part[name].to_list() for name in METRICS})
        for (host, bdf), part in parts.items()
    }


def _thinned(key: _Key, at: Sequence[int], columns: _Columns, points: int) -> GpuReadings:
    told = {name: values for name, values in columns.items() if any(value is not None for value in values)}
    groups = list(_groups(at, points))
    times = tuple(at[group.start] if len(group) else at[group.start - 1] + 1 for group in groups)
    series = {
        name: tuple(_one(values[group.start : group.stop], METRICS[name]) for group in groups)
        for name, values in told.items()
    }
    return GpuReadings(host=key[0], bdf=key[1], at_ns=times, series=series)


def _one(values: Sequence[float | None], of: Callable[[Sequence[float]], float]) -> float | None:
    known = [value for value in values if value is not None]
    return of(known) if known else None


def _groups(at: Sequence[int], points: int) -> Iterator[range]:
    """Which readings make one point, none twice; an empty group is a break. At most `points` of them."""
    if not at:
        return
    starts = [0, *(place for place in range(1, len(at)) if at[place] - at[place - 1] > BREAK_NS)]
    if len(starts) > points // 4:
        starts = starts[:1]  # more holes than line: a point each would leave no room for readings
    each = -(-len(at) // (points - 2 * len(starts) + 1))
    for start, stop in zip(starts, [*starts[1:], len(at)], strict=True):
        if start:
            yield range(start, start)
        for begin in range(start, stop, each):
            yield range(begin, min(stop, begin + each))
