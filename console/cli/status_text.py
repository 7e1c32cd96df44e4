"""Hosts, GPUs and differences as tables: as many columns as the terminal has room for, the important ones first."""

from collections import Counter
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any

import msgspec

from console.cli import printing
from console.cli.printing import Column

if TYPE_CHECKING:
    from console.desk.status import GpuRow, StatusRow
    from console.desk.status_diff import Difference


_GIB = 1 << 30


class Shown(msgspec.Struct, frozen=True):
    """A column, what it shows of a row, and how soon it gives way to others (lower stays longer)."""

    column: Column
    cell: Callable[[Any], object]
    rank: int = 0


def _vram(row: "StatusRow | GpuRow") -> str:
    if row.vram_used_bytes is None or row.vram_total_bytes is None:
        return "unknown"
    return f"{row.vram_used_bytes / _GIB:.0f}/{row.vram_total_bytes / _GIB:.0f} GiB"


def _number(value: float | None, unit: str) -> str:
    return "unknown" if value is None else f"{value:.0f} {unit}"


def _power(row: "GpuRow") -> str:
    cap = "" if row.power_cap_w is None else f"/{row.power_cap_w:.0f}"
    return "unknown" if row.power_w is None else f"{row.power_w:.0f}{cap} W"


HOST_COLUMNS: tuple[Shown, ...] = (
    Shown(Column("host"), lambda row: row.host),
    Shown(Column("state"), lambda row: row.state),
    Shown(Column("health"), lambda row: row.health, 0),
    Shown(Column("GPUs"), lambda row: row.gpus, 0),
    Shown(Column("CPU"), lambda row: row.cpu, 6),
    Shown(Column("NPS"), lambda row: row.nps, 6),
    Shown(Column("BIOS"), lambda row: row.bios, 7),
    Shown(Column("OS", shrink=True), lambda row: row.os, 9),
    Shown(Column("kernel", shrink=True), lambda row: row.kernel, 8),
    Shown(Column("amdgpu"), lambda row: row.amdgpu, 3),
    Shown(Column("ROCm"), lambda row: row.rocm, 5),
    Shown(Column("partition"), lambda row: row.partition, 4),
    Shown(Column("VRAM"), _vram, 2),
    Shown(Column("hottest"), lambda row: _number(row.hottest_c, "C"), 1),
    Shown(Column("power"), lambda row: _number(row.power_w, "W"), 1),
    Shown(Column("docker"), lambda row: row.docker, 10),
    Shown(Column("running", shrink=True), lambda row: row.why or row.running or "-", 0),
)

WATCHED_COLUMNS: tuple[Shown, ...] = (
    *HOST_COLUMNS[:4],
    Shown(Column("busy", align="right"), lambda row: _number(row.busy_percent, "%"), 1),
    *HOST_COLUMNS[4:],
)
"""As HOST_COLUMNS, with what moves from second to second."""

GPU_COLUMNS: tuple[Shown, ...] = (
    Shown(Column("host"), lambda row: row.host, 3),
    Shown(Column("state"), lambda row: "simulated" if row.simulated else "up"),
    Shown(Column("address"), lambda row: row.bdf),
    Shown(Column("model"), lambda row: row.model, 2),
    Shown(Column("OAM", align="right"), lambda row: row.oam, 8),
    Shown(Column("HIP", align="right"), lambda row: row.hip, 8),
    Shown(Column("render"), lambda row: row.render or "-", 9),
    Shown(Column("NUMA", align="right"), lambda row: row.numa_node, 9),
    Shown(Column("partition"), lambda row: row.partition, 4),
    Shown(Column("busy", align="right"), lambda row: _number(row.busy_percent, "%"), 1),
    Shown(Column("VRAM"), _vram, 1),
    Shown(Column("power"), _power, 1),
    Shown(Column("junction"), lambda row: _number(row.junction_c, "C"), 1),
    Shown(Column("memory"), lambda row: _number(row.memory_c, "C"), 5),
    Shown(Column("clock"), lambda row: _number(row.sclk_mhz, "MHz"), 5),
    Shown(Column("PCIe"), lambda row: row.link, 6),
    Shown(Column("xGMI", align="right"), lambda row: row.xgmi, 7),
    Shown(Column("ue/ce"), lambda row: row.errors, 3),
    Shown(Column("throttled"), lambda row: row.throttle, 6),
    Shown(Column("VBIOS"), lambda row: row.vbios, 10),
)


def print_hosts(rows: "Sequence[StatusRow]", *, wide: bool) -> None:
    """A row per host; columns that do not fit are left out and named on stderr."""
    plain = all(row.state == "up" for row in rows)
    _print(_without_state(HOST_COLUMNS) if plain and not wide else HOST_COLUMNS, rows, wide=wide)
    if len(rows) > 1:
        printing.note(summary(rows))


def summary(rows: "Sequence[StatusRow]") -> str:
    """How many hosts there are of each health: of a long table the worst rows have left the terminal."""
    said = Counter(row.state if row.state == "no answer" else row.health.partition(" ")[0] or "up" for row in rows)
    return f"{len(rows)} hosts: " + ", ".join(f"{number} {word}" for word, number in said.items())


def print_gpus(rows: "Sequence[GpuRow]", *, wide: bool) -> None:
    """A row per GPU."""
    shown = GPU_COLUMNS
    if not wide and not any(row.simulated for row in rows):
        shown = _without_state(shown)
    if len({row.host for row in rows}) > 1:  # whose GPU it is must be told however narrow the terminal
        shown = (msgspec.structs.replace(shown[0], rank=0), *shown[1:])
    _print(shown, rows, wide=wide)


def print_differences(found: "Sequence[Difference]", left: str, right: str) -> None:
    """Only what differs, side by side."""
    columns = [Column("what"), Column(left, shrink=True), Column(right, shrink=True)]
    printing.table(columns, [(item.what, item.left, item.right) for item in found])


def watched(rows: "Sequence[StatusRow]") -> tuple[Shown, ...]:
    """The columns of hosts that are watched: the state as long as there is one that is not the usual."""
    return _without_state(WATCHED_COLUMNS) if all(row.state == "up" for row in rows) else WATCHED_COLUMNS


def fits(shown: Sequence[Shown], rows: Sequence[object], width: int | None) -> bool:
    """Whether these columns have room."""
    return width is None or _least_width(shown, rows) <= width


def fitting(shown: Sequence[Shown], rows: Sequence[object], width: int | None) -> tuple[Shown, ...]:
    """The columns for a terminal of this width, all of them where there is none; those of rank 0 always stay."""
    kept = list(shown)
    while not fits(kept, rows, width):
        gives_way = max(kept, key=lambda item: item.rank)
        if gives_way.rank == 0:
            break
        kept.remove(gives_way)
    return tuple(kept)


def _without_state(shown: Sequence[Shown]) -> tuple[Shown, ...]:
    """The state is a word only where it is not the usual one: no answer, or simulated, which is never left out."""
    return tuple(item for item in shown if item.column.heading != "state")


def _print(shown: Sequence[Shown], rows: Sequence[Any], *, wide: bool) -> None:
    kept = shown if wide else fitting(shown, rows, printing.terminal_width())
    printing.table([item.column for item in kept], [[item.cell(row) for item in kept] for row in rows], cut=not wide)
    left_out = [item.column.heading for item in shown if item not in kept]
    if left_out:
        printing.note(f"not shown: {', '.join(left_out)}; --wide shows all")


def _least_width(shown: Sequence[Shown], rows: Sequence[Any]) -> int:
    """What the table takes when columns that may shrink are as narrow as they stay readable."""
    total = 2 * (len(shown) - 1)
    for item in shown:
        widest = max([len(item.column.heading), *(len(str(item.cell(row) or "-")) for row in rows)])
        total += min(widest, 16) if item.column.shrink else widest
    return total
