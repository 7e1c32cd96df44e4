"""One host of the live fleet board: its events folded in, and its view drawn after a change."""

import msgspec

from console.desk import status
from console.desk.fleet_events import Asking, FleetEvent, Missing, Pulse, Seen, Silent
from console.desk.fleet_history import History, Ring
from console.desk.fleet_views import GpuLive, HealthCounts, HostState, HostView
from console.fleet.host import Host
from console.health.report import HostHealth
from console.health.rules.power import limits
from console.model.attempt import Beat, Reading
from console.model.facts import Gpu, HostFacts, Throttle, value_or
from console.model.finding import State
from console.model.text import Clean, clean_line

SHOWN_FINDINGS = 3
FINDING_LENGTH = 120
_EMPTY = Clean("")


class HostFold:
    """What is known of a host. Not thread-safe: it belongs to whoever draws."""

    def __init__(self, host: Host, history_s: int) -> None:
        self.facts: HostFacts | None = None
        self.health: HostHealth | None = None
        self._host = host
        self._history_s = history_s
        self._ring: Ring | None = None
        self._beat: Beat | None = None
        self._state: HostState = "asking"
        self._since_ns: int | None = None
        self._trying = False
        self._tries = 0
        self._why = self._remedy = _EMPTY
        self._retry_at_ns: int | None = None
        self._heard_at_ns: int | None = None
        self._surveyed_at_ns: int | None = None
        self._behind: HostView | None = None
        self._devices: tuple[GpuLive, ...] = ()
        self._view: HostView | None = None

    def apply(self, event: FleetEvent) -> None:
        """Fold one event in."""
        self._view = None
        match event:
            case Pulse():
                self._pulse(event)
            case Asking():
                self._trying, self._tries, self._retry_at_ns = True, event.tries, None
                if self._since_ns is None:
                    self._since_ns = event.at_ns
            case Seen():
                self._seen(event)
            case Missing():
                self._tries = max(1, self._tries)
                self._off("no answer", event.since_ns, event.why, event.remedy, event.retry_at_ns)
            case Silent():
                if self._state not in ("asking", "no answer"):
                    self._off("stale", event.at_ns, event.why, "", event.retry_at_ns)

    def view(self) -> HostView:
        """The host as it is now."""
        if self._view is None:
            self._view = self._draw()
        return self._view

    def history(self) -> History:
        """A copy of its last minutes."""
        ring = self._ring or Ring(self._history_s)
        return ring.copy([gpu.bdf for gpu in self.view().gpus])

    # -- events

    def _pulse(self, event: Pulse) -> None:
        self._beat, self._heard_at_ns = event.beat, event.at_ns
        if self._ring is None:
            self._ring = Ring(self._history_s)
        self._ring.add(event.at_ns, event.beat)
        if self.facts is not None:
            self._on(event.at_ns)

    def _seen(self, event: Seen) -> None:
        self.facts, self._surveyed_at_ns = event.facts, event.at_ns
        self.health = event.health or self.health  # a look that is still to be judged keeps the verdict before it
        self._behind, self._devices = None, _devices(event.facts)
        self._on(event.at_ns)

    def _on(self, at_ns: int) -> None:
        state: HostState = "simulated" if self.facts is not None and self.facts.simulated else "up"
        if state != self._state:
            self._state, self._since_ns = state, at_ns
        self._trying, self._tries, self._retry_at_ns = False, 0, None
        self._why = self._remedy = _EMPTY

    def _off(self, state: HostState, since_ns: int, why: str, remedy: str, retry_at_ns: int | None) -> None:
        if state != self._state:
            self._state, self._since_ns = state, since_ns
        self._trying, self._retry_at_ns = False, retry_at_ns
        self._why, self._remedy = clean_line(why), clean_line(remedy)

    # -- drawing

    def _draw(self) -> HostView:
        if self._behind is None:
            self._behind = _background(self._host, self.facts, self.health, self._surveyed_at_ns)
        beat = self._beat
        gpus = _live(self._devices, beat.gpus) if beat else self._devices
        host = beat.host if beat else None
        return msgspec.structs.replace(
            self._behind,
            state=self._state,
            since_ns=self._since_ns,
            trying=self._trying,
            tries=self._tries,
            why=self._why,
            remedy=self._remedy,
            retry_at_ns=self._retry_at_ns,
            row=self._row(gpus),
            gpus=gpus,
            load_1m=host.load_1m if host else self._behind.load_1m,
            memory_available_bytes=host.memory_available_bytes if host else self._behind.memory_available_bytes,
            heard_at_ns=self._heard_at_ns,
        )

    def _row(self, gpus: tuple[GpuLive, ...]) -> status.StatusRow | None:
        behind = self._behind.row if self._behind else None
        if self._state == "no answer":
            missing = behind or status.row(self._host.name, None, "", None)
            return msgspec.structs.replace(missing, state="no answer", why=self._why)
        if behind is None or self._beat is None:
            return behind
        # one that is stale stays `up` or `simulated` here: that it is the lab's is never hidden
        hottest = [gpu.junction_c for gpu in gpus if gpu.junction_c is not None]
        return msgspec.structs.replace(
            behind,
            vram_used_bytes=status.total([gpu.vram_used_bytes for gpu in gpus]),
            power_w=status.total([gpu.power_w for gpu in gpus]),
            hottest_c=max(hottest, default=None),
            why=self._why,
        )


def _background(host: Host, facts: HostFacts | None, health: HostHealth | None, surveyed_at_ns: int | None) -> HostView:
    """What changes only with a look: everything but state and live figures."""
    bare = HostView(name=host.name, groups=host.groups, address=host.address)
    if facts is None:
        return bare
    clock = value_or(facts.clock, None)
    return msgspec.structs.replace(
        bare,
        simulated=facts.simulated,
        row=status.row(host.name, facts, "", health),
        load_1m=value_or(facts.system.load_1m, None),
        memory_available_bytes=value_or(facts.system.memory_available_bytes, None),
        memory_total_bytes=value_or(facts.system.memory_bytes, None),
        health=health.state if health else None,
        counts=_counts(health) if health else HealthCounts(),
        findings=_worst(health) if health else (),
        surveyed_at_ns=surveyed_at_ns,
        clock_offset_ns=clock.offset_ns if clock else None,
        round_trip_ns=2 * clock.uncertainty_ns if clock else None,
    )


def _counts(health: HostHealth) -> HealthCounts:
    return HealthCounts(
        failed=len(health.of(State.FAIL)),
        warned=len(health.of(State.WARN)),
        unknown=len(health.of(State.UNKNOWN)),
        passed=len(health.of(State.PASS)),
    )


def _worst(health: HostHealth) -> tuple[Clean, ...]:
    found = [item for state in (State.FAIL, State.UNKNOWN, State.WARN) for item in health.of(state)]
    return tuple(clean_line(f"{item.check}: {item.seen}", FINDING_LENGTH) for item in found[:SHOWN_FINDINGS])


def _devices(facts: HostFacts) -> tuple[GpuLive, ...]:
    """The devices as the look saw them; partitions of one count as one, with the memory of all."""
    by_device: dict[str, list[Gpu]] = {}
    for gpu in value_or(facts.gpus, ()):
        by_device.setdefault(gpu.device_bdf or gpu.bdf, []).append(gpu)
    return tuple(_device(index, bdf, parts) for index, (bdf, parts) in enumerate(sorted(by_device.items())))


def _device(index: int, bdf: str, parts: list[Gpu]) -> GpuLive:
    first = parts[0]
    throttle: tuple[Throttle, ...] | None = value_or(first.throttle, None)
    return GpuLive(
        index=index,
        bdf=bdf,
        busy_percent=value_or(first.busy_percent, None),
        vram_used_bytes=status.total([value_or(part.vram_used_bytes, None) for part in parts]),
        vram_total_bytes=status.total([value_or(part.vram_total_bytes, None) for part in parts]),
        power_w=value_or(first.power_w, None),
        power_cap_w=value_or(first.power_cap_w, None),
        junction_c=value_or(first.junction_c, None),
        memory_c=value_or(first.memory_c, None),
        sclk_mhz=value_or(first.sclk_mhz, None),
        throttle=None if throttle is None else tuple(x.reason for x in throttle if x.active and limits(x.reason)),
    )


def _live(devices: tuple[GpuLive, ...], readings: tuple[Reading, ...]) -> tuple[GpuLive, ...]:
    """Devices with their newest readings; without a look, what the readings tell alone."""
    known = {gpu.bdf: gpu for gpu in devices}
    order = [gpu.bdf for gpu in devices] or [reading.bdf for reading in readings]
    by_bdf = {reading.bdf: reading for reading in readings}
    live = []
    for index, bdf in enumerate(order):
        device, reading = known.get(bdf) or GpuLive(index, bdf), by_bdf.get(bdf)
        live.append(device if reading is None else _one(device, reading))
    return tuple(live)


def _one(device: GpuLive, reading: Reading) -> GpuLive:
    return GpuLive(
        device.index,
        device.bdf,
        reading.busy_percent,
        reading.vram_used_bytes,
        device.vram_total_bytes,
        reading.power_w,
        device.power_cap_w,
        reading.hotspot_c,
        reading.memory_c,
        reading.sclk_mhz,
        reading.throttle,
    )
