"""The rows of the status table out of the live fleet board: live figures, and what a look read behind them."""

import msgspec

from console.desk.fleet_board import FleetBoard, GpuLive, HostView
from console.desk.status import RANK, GpuRow, StatusRow, gpu_rows, mean
from console.model.names import pci_device

_SECOND_NS = 1_000_000_000


def rows(board: FleetBoard, now_ns: int) -> tuple[StatusRow, ...]:
    """A row for every host as `status.rows` orders them: without an answer first, then the worst, then as given."""
    views = sorted(board.hosts(), key=_grave)
    return tuple(_row(view, now_ns) for view in views)


def gpus(board: FleetBoard) -> tuple[GpuRow, ...]:
    """Every GPU of every host that answered, with the newest readings in it."""
    found = []
    for view in board.hosts():
        facts = board.facts(view.name)
        if facts is not None and view.state != "no answer":
            rows = gpu_rows(facts)
            found += [_gpu(row, view.gpus, rows) for row in rows]
    return tuple(found)


def settled(board: FleetBoard) -> bool:
    """True when every host has answered and was judged, or failed to answer."""
    return all(view.state == "no answer" or view.health is not None for view in board.hosts())


def _grave(view: HostView) -> tuple[bool, int]:
    return view.state != "no answer", 2 if view.health is None else RANK[view.health]


def _row(view: HostView, now_ns: int) -> StatusRow:
    return msgspec.structs.replace(
        view.row or StatusRow(host=view.name, state="asking", health="-"),
        why=_why(view, now_ns),
        busy_percent=mean([gpu.busy_percent for gpu in view.gpus]),
    )


def _why(view: HostView, now_ns: int) -> str:
    """What keeps a host from being shown as it is now, since when, and what is tried."""
    since = "" if view.since_ns is None else f" for {_seconds(now_ns - view.since_ns)}"
    if view.state == "asking":
        return f"no answer yet{since}"
    if view.state not in ("no answer", "stale"):
        return ""
    text = f"{view.why}{since}" if view.state == "no answer" else f"no readings{since}: {view.why}"
    if view.trying:
        return f"{text}; try {view.tries} under way"
    if view.retry_at_ns is None:
        return f"{text}; {view.remedy}" if view.remedy else text
    return f"{text}; again in {_seconds(view.retry_at_ns - now_ns)}"


def _seconds(ns: int) -> str:
    seconds = max(0, round(ns / _SECOND_NS))
    if seconds < 120:
        return f"{seconds} s"
    return f"{seconds // 60} min" if seconds < 7200 else f"{seconds // 3600} h"


def _gpu(row: GpuRow, live: tuple[GpuLive, ...], rows: tuple[GpuRow, ...]) -> GpuRow:
    """A row with live figures; of a partition only what belongs to the whole device."""
    device = pci_device(row.bdf)
    found = next((gpu for gpu in live if pci_device(gpu.bdf) == device), None)
    if found is None:
        return row
    row = msgspec.structs.replace(row, power_w=found.power_w, junction_c=found.junction_c, memory_c=found.memory_c)
    if sum(pci_device(other.bdf) == device for other in rows) > 1:
        return row
    return msgspec.structs.replace(
        row,
        busy_percent=found.busy_percent,
        vram_used_bytes=found.vram_used_bytes,
        sclk_mhz=None if found.sclk_mhz is None else round(found.sclk_mhz),
        throttle=row.throttle if found.throttle is None else "+".join(found.throttle) or "no",
    )
