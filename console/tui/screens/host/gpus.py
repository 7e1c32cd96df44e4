"""The GPUs of a host in a table: live figures of each device, then what it is. Pure."""

from collections.abc import Mapping, Sequence

from console.desk.fleet_board import GpuLive
from console.desk.status import GpuRow
from console.model.finding import State
from console.model.text import clean_line
from console.tui import marks
from console.tui.marks import Role
from console.tui.screens.fleet.rows import celsius
from console.tui.widgets.grid import Cell, Column, Row
from console.tui.widgets.topology import short
from console.tui.words import size

COLUMNS = (
    Column("gpu", "GPU", 3),
    Column("bdf", "address", 8),
    Column("busy", "busy", 10),
    Column("vram", "VRAM", 17),
    Column("power", "power", 10, right=True),
    Column("junction", "hot", 6, right=True),
    Column("clock", "clock", 8, right=True, rank=2),
    Column("throttle", "held back", 9, rank=1),
    Column("mode", "mode", 9, rank=3),
    Column("memory", "HBM", 6, right=True, rank=6),
    Column("errors", "errors", 7, rank=4),
    Column("link", "PCIe", 11, rank=5),
    Column("xgmi", "xGMI", 4, right=True, rank=7),
    Column("numa", "NUMA", 4, right=True, rank=8),
    Column("hip", "HIP", 3, right=True, rank=9),
    Column("oam", "OAM", 3, right=True, rank=10),
    Column("render", "render", 10, rank=11),
    Column("model", "model", 8, rank=12),
    Column("vbios", "VBIOS", 18, rank=13),
)

_WRONG: Mapping[str, str] = {
    "": "",
    "warn": f"{marks.HEALTH[State.WARN].glyph} ",
    "fail": f"{marks.HEALTH[State.FAIL].glyph} ",
}


def rows(
    live: Sequence[GpuLive], parts: Sequence[GpuRow], devices: Mapping[str, str], *, old: bool = False
) -> list[Row]:
    """Each device with its first partition's facts, its further partitions under it.

    `devices` is the device of each address; `old` when the readings broke off.
    """
    made: list[Row] = []
    by_device: dict[str, list[GpuRow]] = {}
    for part in parts:
        by_device.setdefault(devices.get(part.bdf, part.bdf), []).append(part)
    for gpu in live:
        own = by_device.get(gpu.bdf, [])
        made.append(device(gpu, own[0] if own else None, old=old))
        made += [partition(part, number) for number, part in enumerate(own) if number]
    return made


def device(gpu: GpuLive, part: GpuRow | None, *, old: bool = False) -> Row:
    """One GPU as a whole."""
    role: Role = "dim" if old else ""
    busy = gpu.busy_percent / 100 if gpu.busy_percent is not None else None
    used, total = gpu.vram_used_bytes, gpu.vram_total_bytes
    full = used / total if used is not None and total else None
    cells: list[Cell] = [
        (str(gpu.index), "bold"),
        short(gpu.bdf),
        ((marks.bar(busy, 5), role or "busy"), (f"{gpu.busy_percent:>4.0f}%" if busy is not None else "    ?", role)),
        ((marks.bar(full, 6), role or "busy"), (f" {size(gpu.vram_used_bytes)}", role)),
        _power(gpu, role),
        celsius(gpu.junction_c, role),
        (f"{gpu.sclk_mhz:.0f} MHz" if gpu.sclk_mhz is not None else "?", role),
        _throttle(gpu.throttle),
    ]
    return Row(gpu.bdf, (*cells, *_facts(part, gpu.memory_c, role)))


def partition(part: GpuRow, number: int) -> Row:
    """A further partition: what it shares with its device is not repeated."""
    used, total = part.vram_used_bytes, part.vram_total_bytes
    vram: Cell = (f"{size(used)} of {size(total)}" if used is not None else f"of {size(total)}", "dim")
    cells: list[Cell] = ["", (short(part.bdf), "dim"), (f"part {number + 1}", "dim"), vram, "", "", "", ""]
    return Row(part.bdf, (*cells, *_facts(part, None, "dim")))


def _power(gpu: GpuLive, role: Role) -> Cell:
    if gpu.power_w is None:
        return "?", "unknown"
    return (f"{gpu.power_w:.0f}", role), (f"/{gpu.power_cap_w:.0f} W" if gpu.power_cap_w else " W", "dim")


def _throttle(reasons: tuple[str, ...] | None) -> Cell:
    if reasons is None:
        return "?", "unknown"
    return (clean_line(", ".join(reasons)), "warn") if reasons else ("no", "dim")


def _facts(part: GpuRow | None, memory_c: float | None, role: Role) -> list[Cell]:
    if part is None:
        return ["", celsius(memory_c, role), *[""] * 9]
    wrong: Role = "" if part.errors in ("0/0", "unknown") else "warn" if part.errors.startswith("0/") else "fail"
    return [
        (part.partition, role),
        celsius(memory_c, role),
        (
            f"{marks.HEALTH[State.FAIL].glyph} {part.errors}" if wrong else part.errors,
            "warn" if wrong else role or "dim",
        ),
        (part.link, role),
        ("" if part.xgmi is None else str(part.xgmi), role),
        ("" if part.numa_node is None else str(part.numa_node), role),
        ("" if part.hip is None else str(part.hip), role),
        ("" if part.oam is None else str(part.oam), role),
        (clean_line(part.render), role),
        (clean_line(part.model), role),
        (clean_line(part.vbios), role),
    ]
