"""The live readings of a replay: what the GPUs of a run's hosts did, from what was recorded of its attempts."""

from bisect import bisect_right
from collections.abc import Mapping, Sequence

from console.desk import desk
from console.desk.fleet_board import HISTORY_S, Pulse
from console.desk.readings import GpuReadings, readings
from console.desk.settings import Settings
from console.model.attempt import Beat, HostReading, Reading
from console.store.records import AttemptRow

POINTS = 1800
"""Readings of a GPU that are held of one attempt at a time: those of half an hour, or more of them further apart."""
_S = 1_000_000_000
_HELD_NS = HISTORY_S * _S


class PastReadings:
    """Gives the readings of a run's hosts as they become due. Blocking; for one thread at a time.

    Only attempts at work at that moment are held. `offsets_ns` are clocks of hosts minus ours, where they are known.
    """

    def __init__(self, settings: Settings, run: str, offsets_ns: Mapping[str, int]) -> None:
        self._settings = settings
        self._offsets_ns = offsets_ns
        with desk.tail(settings) as tail:
            self._rows = tuple(row for row in tail.attempts(run) if row.started_at_ns is not None)
        self._held: dict[str, Sequence[Pulse]] = {}
        self._given_ns = 0

    def rewind(self) -> None:
        """From the first reading again."""
        self._given_ns = 0

    def due(self, at_ns: int) -> Sequence[Pulse]:
        """What was read since the last call, oldest first, as far back as a board keeps it."""
        begin_ns, self._given_ns = max(self._given_ns, at_ns - _HELD_NS), at_ns
        found: list[Pulse] = []
        for row in self._rows:
            if (row.started_at_ns or 0) > at_ns or (row.ended_at_ns or at_ns) <= begin_ns:
                self._held.pop(row.attempt, None)
                continue
            if row.attempt not in self._held:
                self._held[row.attempt] = self._read(row)
            pulses = self._held[row.attempt]
            found += pulses[bisect_right(pulses, begin_ns, key=_at_ns) : bisect_right(pulses, at_ns, key=_at_ns)]
        return sorted(found, key=_at_ns)

    def _read(self, row: AttemptRow) -> Sequence[Pulse]:
        hosts: dict[str, list[GpuReadings]] = {}
        for gpu in readings(self._settings, row.attempt, POINTS).gpus:
            hosts.setdefault(gpu.host, []).append(gpu)
        pulses: list[Pulse] = []
        # of several hosts they come on the clock of the one that measured: what was taken off for that is not ours too
        ahead_ns = row.hardware.clocks_ahead_ns if row.hardware else {}
        for host, gpus in hosts.items():
            offset_ns = self._offsets_ns.get(host, 0) - ahead_ns.get(host, 0)
            pulses += [Pulse(host, beat.host.at_ns - offset_ns, beat) for beat in _beats(gpus)]
            if row.ended_at_ns is not None:
                # nobody looked any more: nothing is known from then on
                bare = tuple(Reading(at_ns=row.ended_at_ns, bdf=gpu.bdf) for gpu in gpus)
                pulses.append(Pulse(host, row.ended_at_ns, Beat(HostReading(at_ns=row.ended_at_ns), bare)))
        return sorted(pulses, key=_at_ns)


def _at_ns(pulse: Pulse) -> int:
    return pulse.at_ns


def _beats(gpus: Sequence[GpuReadings]) -> list[Beat]:
    """Every GPU in every beat and in one order, as a board begins its curves afresh with other GPUs."""
    by_second: dict[int, dict[str, Reading]] = {}
    for gpu in gpus:
        for place, at_ns in enumerate(gpu.at_ns):
            by_second.setdefault(at_ns // _S, {})[gpu.bdf] = _reading(gpu, place)
    return [
        Beat(
            HostReading(at_ns=second * _S),
            tuple(told.get(gpu.bdf) or Reading(at_ns=second * _S, bdf=gpu.bdf) for gpu in gpus),
        )
        for second, told in sorted(by_second.items())
    ]


def _reading(gpu: GpuReadings, place: int) -> Reading:
    told = {name: values[place] for name, values in gpu.series.items()}
    vram, share = told.get("vram_used_bytes"), told.get("throttle_share")
    return Reading(
        at_ns=gpu.at_ns[place],
        bdf=gpu.bdf,
        power_w=told.get("power_w"),
        hotspot_c=told.get("hotspot_c"),
        memory_c=told.get("memory_c"),
        vram_used_bytes=None if vram is None else round(vram),
        busy_percent=told.get("busy_percent"),
        sclk_mhz=told.get("sclk_mhz"),
        mclk_mhz=told.get("mclk_mhz"),
        throttle=None if share is None else ("throttled",) if share else (),
    )
