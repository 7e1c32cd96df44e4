"""Frozen views of hosts as the live fleet board has them. Texts are clean; None is unknown."""

from typing import Literal

import msgspec

from console.desk.status import StatusRow
from console.model.finding import State
from console.model.text import Clean

HostState = Literal["asking", "up", "simulated", "no answer", "stale"]


class GpuLive(msgspec.Struct, frozen=True, gc=False):
    """One GPU as of its newest reading. `throttle` names what held it back lately; None where it cannot be told.

    `index` counts the devices of the host by PCI address.
    """

    index: int
    bdf: str
    busy_percent: float | None = None
    vram_used_bytes: int | None = None
    vram_total_bytes: int | None = None
    power_w: float | None = None
    power_cap_w: float | None = None
    junction_c: float | None = None
    memory_c: float | None = None
    sclk_mhz: float | None = None
    throttle: tuple[str, ...] | None = None


class HealthCounts(msgspec.Struct, frozen=True, gc=False):
    """How many findings of a host are in each state; waived ones are not counted."""

    failed: int = 0
    warned: int = 0
    unknown: int = 0
    passed: int = 0


class HostView(msgspec.Struct, frozen=True, kw_only=True):
    """One host. `since_ns` is when it came into its state; times are UTC nanoseconds on our clock.

    `stale`: it answered, but its live readings broke off. `no answer` keeps what was known of it before.
    `trying` is true while it is being asked; `tries` counts the looks since it last answered.
    """

    name: str
    groups: tuple[str, ...] = ()
    address: str = ""
    state: HostState = "asking"
    simulated: bool = False
    since_ns: int | None = None
    trying: bool = False
    tries: int = 0
    why: Clean = Clean("")
    remedy: Clean = Clean("")
    retry_at_ns: int | None = None
    """When it is tried again; None while it is well, and where only a person can help (see `remedy`)."""
    row: StatusRow | None = None
    """The status table's row with the live figures in it; None until the host answered or failed to."""
    gpus: tuple[GpuLive, ...] = ()
    load_1m: float | None = None
    memory_available_bytes: int | None = None
    memory_total_bytes: int | None = None
    health: State | None = None
    counts: HealthCounts = HealthCounts()
    findings: tuple[Clean, ...] = ()
    """The gravest findings in a few words each, at most three."""
    heard_at_ns: int | None = None
    """When the newest live reading came."""
    surveyed_at_ns: int | None = None
    clock_offset_ns: int | None = None
    """Host clock minus ours."""
    round_trip_ns: int | None = None
