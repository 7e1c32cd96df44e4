"""What the live readings of an attempt say of the time its program measured: throttling, power, heat, memory. Pure.

Thermal limits spoil a figure. Running at the power limit does not by itself, a large GPU under a heavy load often does;
it spoils when one GPU is held back much more than those beside it, and is a note otherwise.
"""

from collections.abc import Iterator, Mapping, Sequence
from itertools import pairwise
from statistics import fmean, median

import msgspec

from console.model.attempt import Beat, Gap, Hardware, Reading, Reason, Result, Validity
from console.model.launch import Seat
from console.runs.deltas import used

POWER = "ppt"
"""The throttle reason that is the power limit; every other one is heat or a signal of the board."""
LEAST_SHARE = 0.01
"""Less of the time than this moves no figure by as much as repeats differ."""
APART = 0.2
"""A GPU at its power limit for so much more of the time than the median of the loaded ones is held back alone."""
LOADED_PERCENT = 50.0
PEERS = 3
"""So many loaded GPUs at least make a median."""
COVERED, HALF_COVERED = 0.9, 0.5
"""Readings that cover so much of the measured time speak for it; those that cover half of it, where nothing else does.

Looks are some seconds apart, so that only what measures for a minute or two is covered.
"""
LONGEST_BEAT_NS = 5_000_000_000
"""Longer between two readings is a break."""
GRACE_NS = 10_000_000_000
"""Measured times shorter than this have few readings at best; that they lack some is not worth a word."""

Span = tuple[int, int]
Readings = Mapping[str, Sequence[Beat | Gap]]
Shares = Mapping[tuple[str, str], Mapping[str, float]]
"""By host and GPU: what it was throttled by, for which share of the time."""


class Sensed(msgspec.Struct, frozen=True):
    """The outcome: a summary for the result, and reasons."""

    hardware: Hardware | None
    reasons: tuple[Reason, ...]


def sense(
    seats: Sequence[Seat],
    readings: Readings,
    span: Span | None,
    between: Mapping[str, Mapping[str, Mapping[str, float]]],
    ahead: Mapping[str, int] | None = None,
) -> Sensed:
    """`span` is when the program measured, on its host's clock; None where that is not known.

    `between`: by host and GPU, throttling from the looks before and after; it speaks where readings are too few.
    `ahead`: by host, nanoseconds that its clock is ahead of the span's; those not named count as equal.
    """
    ahead = ahead or {}
    spans = {seat.host: _moved(span, ahead.get(seat.host, 0)) for seat in seats}
    by_host = {seat.host: _of_seat(seat, readings.get(seat.host, ()), spans[seat.host]) for seat in seats}
    shares: dict[tuple[str, str], Mapping[str, float]] = {}
    whole: dict[tuple[str, str], Mapping[str, float]] = {}
    for seat in seats:
        told, covered = throttled(readings.get(seat.host, ()), spans[seat.host])
        instead = between.get(seat.host, {}) if covered < COVERED else {}
        if instead:
            whole |= {(seat.host, bdf): kinds for bdf, kinds in instead.items() if used(seat, bdf)}
        elif covered >= HALF_COVERED:
            shares |= {(seat.host, bdf): kinds for bdf, kinds in told.items() if used(seat, bdf)}
    busy = {(host, bdf): _busy(rows) for host, gpus in by_host.items() for bdf, rows in gpus.items()}
    time = "the measured time" if span else "the attempt"
    reasons = [
        *_verdict(shares, busy, time),
        *_verdict(whole, {}, "the whole attempt"),
        *_missing(seats, readings, spans),
    ]
    return Sensed(_summary(by_host, shares or whole, ahead), tuple(reasons))


def _moved(span: Span | None, by_ns: int) -> Span | None:
    return None if span is None else (span[0] + by_ns, span[1] + by_ns)


def measured(result: Result | None, started_ns: int | None) -> Span | None:
    """When the program measured, on its host's clock; None when it does not say or never came to it.

    A program that only says how long it measured is not believed to have begun before its container (`started_ns`):
    the lab's clock runs faster than time.
    """
    if result is None or not result.measured_from_ns or not result.measured_to_ns:
        return None
    begin = max(result.measured_from_ns, started_ns or 0)
    return (begin, result.measured_to_ns) if begin < result.measured_to_ns else None


def throttled(items: Sequence[Beat | Gap], span: Span | None) -> tuple[Mapping[str, Mapping[str, float]], float]:
    """By GPU, what it was throttled by and for which share of the time; and how much of the span looks cover, 0 to 1.

    A look tells of the time since the look before on the same stream; each counts for as much of it as lies in the
    span. GPUs that do not tell are left out.
    """
    begin, end = span or _whole(items)
    last: int | None = None
    covered = 0
    sums: dict[str, dict[str, float]] = {}
    for item in items:
        if isinstance(item, Gap):
            last = None
            continue
        if not item.looked:
            continue
        now = item.host.at_ns
        part = 0 if last is None else max(0, min(now, end) - max(last, begin))
        last = now
        covered += part
        for reading in item.gpus if part else ():
            if reading.throttle is None:
                continue
            sums.setdefault(reading.bdf, {})
            for kind, share in zip(reading.throttle, reading.throttle_shares, strict=False):
                sums[reading.bdf][kind] = sums[reading.bdf].get(kind, 0.0) + share * part
    found = {bdf: {kind: total / covered for kind, total in kinds.items()} for bdf, kinds in sums.items()}
    return found, covered / (end - begin) if end > begin else 0.0


def _whole(items: Sequence[Beat | Gap]) -> Span:
    times = [item.host.at_ns for item in items if isinstance(item, Beat)]
    return (times[0], times[-1]) if times else (0, 0)


def _of_seat(seat: Seat, items: Sequence[Beat | Gap], span: Span | None) -> Mapping[str, Sequence[Reading]]:
    """Readings in the span by GPU, those of the attempt's GPUs alone."""
    begin, end = span or _whole(items)
    found: dict[str, list[Reading]] = {}
    for item in items:
        if isinstance(item, Beat) and begin <= item.host.at_ns <= end:
            for reading in item.gpus:
                if used(seat, reading.bdf):
                    found.setdefault(reading.bdf, []).append(reading)
    return found


def _busy(rows: Sequence[Reading]) -> float | None:
    told = [row.busy_percent for row in rows if row.busy_percent is not None]
    return fmean(told) if told else None


def _verdict(shares: Shares, busy: Mapping[tuple[str, str], float | None], time: str) -> Iterator[Reason]:
    power = {gpu: kinds[POWER] for gpu, kinds in shares.items() if kinds.get(POWER, 0.0) >= LEAST_SHARE}
    loaded = [gpu for gpu in shares if (busy.get(gpu) or 0.0) >= LOADED_PERCENT]
    usual = median(shares[gpu].get(POWER, 0.0) for gpu in loaded) if len(loaded) >= PEERS else None
    alone = {gpu for gpu, share in power.items() if usual is not None and share > usual + APART}
    for (host, bdf), kinds in sorted(shares.items()):
        for kind, share in sorted(kinds.items()):
            if share >= LEAST_SHARE and (kind != POWER or (host, bdf) in alone):
                beside = f", the others {usual:.0%}" if kind == POWER and usual is not None else ""
                yield Reason(Validity.THROTTLED, f"{host} {bdf}: {kind} for {_percent(share)} of {time}{beside}")
    for host in sorted({gpu[0] for gpu in power if gpu not in alone}):
        found = [share for gpu, share in power.items() if gpu[0] == host and gpu not in alone]
        gpus = "1 GPU" if len(found) == 1 else f"{len(found)} GPUs"
        low, high = _percent(min(found)), _percent(max(found))
        reach = high if low == high else f"{low} to {high}"
        yield Reason(Validity.POWER_LIMITED, f"{host}: {gpus} at the power limit for {reach} of {time}")


def _percent(share: float) -> str:
    return f"{share:.0%}" if share >= 0.1 else f"{share:.1%}"


def _missing(seats: Sequence[Seat], readings: Readings, spans: Mapping[str, Span | None]) -> Iterator[Reason]:
    """Times without readings while the program measured, where they are long enough to matter."""
    for seat in seats:
        span = spans[seat.host]
        if span is None or span[1] - span[0] < GRACE_NS:
            continue
        beats = [item.host.at_ns for item in readings.get(seat.host, ()) if isinstance(item, Beat)]
        inside = [span[0], *(at for at in beats if span[0] < at < span[1]), span[1]]
        lost = sum(new - old for old, new in pairwise(inside) if new - old > LONGEST_BEAT_NS)
        if lost:
            seconds = f"{lost / 1e9:.0f} of the {(span[1] - span[0]) / 1e9:.0f} measured seconds"
            yield Reason(Validity.UNWATCHED, f"{seat.host}: no readings for {seconds}")


def _summary(
    by_host: Mapping[str, Mapping[str, Sequence[Reading]]], shares: Shares, ahead: Mapping[str, int]
) -> Hardware | None:
    gpus = [rows for of_host in by_host.values() for rows in of_host.values()]
    times = [
        row.at_ns - ahead.get(host, 0) for host, of_host in by_host.items() for rows in of_host.values() for row in rows
    ]
    if not times:
        return None
    powers = [_mean(rows, "power_w") for rows in gpus]
    memory = [value for rows in gpus if (value := _mean(rows, "vram_used_bytes")) is not None]
    worst = [max(kinds.values(), default=0.0) for kinds in shares.values()]
    return Hardware(
        from_ns=min(times),
        to_ns=max(times),
        gpus=len(gpus),
        power_w_mean=_total(powers),
        power_w_max=_total([_peak(of_host) for of_host in by_host.values()]),
        hotspot_c_max=_max(gpus, "hotspot_c"),
        memory_c_max=_max(gpus, "memory_c"),
        vram_used_bytes_mean=max(memory, default=None),
        throttled_share=max(worst, default=None),
        clocks_ahead_ns=ahead,
    )


def _mean(rows: Sequence[Reading], name: str) -> float | None:
    told = [value for row in rows if (value := getattr(row, name)) is not None]
    return fmean(told) if told else None


def _max(gpus: Sequence[Sequence[Reading]], name: str) -> float | None:
    return max((value for rows in gpus for row in rows if (value := getattr(row, name)) is not None), default=None)


def _total(values: Sequence[float | None]) -> float | None:
    """The sum, unless some of it is not known."""
    known = [value for value in values if value is not None]
    return sum(known) if known and len(known) == len(values) else None


def _peak(of_host: Mapping[str, Sequence[Reading]]) -> float | None:
    """The most that the GPUs of a host drew at one time."""
    sums: dict[int, float] = {}
    for rows in of_host.values():
        for row in rows:
            if row.power_w is not None:
                sums[row.at_ns] = sums.get(row.at_ns, 0.0) + row.power_w
    return max(sums.values(), default=None)
