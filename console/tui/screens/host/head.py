"""The header of the Host screen: state, health and what the server is, in a few lines. Pure."""

from console.desk.fleet_board import HostView
from console.model.facts import HostFacts, Known
from console.model.text import clean_line
from console.model.units import duration
from console.tui.screens.fleet.detail import absence, hardware, headline
from console.tui.widgets.lines import Line, Para, para
from console.tui.words import size


def header(
    host: HostView, facts: HostFacts | None, place: str, now_ns: int, again: str, *, brief: bool = False
) -> list[Para]:
    """`place` says which host of how many this is; `brief` leaves out what the facts say as well."""
    first: Line = headline(host, now_ns).spans
    extras = [place, *(f"@{group}" for group in host.groups)]
    if facts is not None and not brief:
        extras += _now(host, facts)
    made = [Para((*first, ("   " + " · ".join(extras), "dim")), 2)]
    made += absence(host, now_ns, again)
    if facts is None:
        return made
    if not brief:
        return [*made, *hardware(host)]
    row = host.row
    parts = (row.gpus, row.cpu, f"BIOS {row.bios}", f"amdgpu {row.amdgpu}", f"ROCm {row.rocm}") if row else ()
    return [*made, para(" · ".join(parts), "dim")]


def _now(host: HostView, facts: HostFacts) -> list[str]:
    parts: list[str] = []
    system = facts.system
    if isinstance(system.product, Known):
        parts.append(clean_line(system.product.value, 60))
    if isinstance(system.uptime_s, Known):
        parts.append(f"up {duration(system.uptime_s.value)}")
    if host.load_1m is not None:
        parts.append(f"load {host.load_1m:.1f}")
    if host.memory_available_bytes is not None and host.memory_total_bytes:
        parts.append(f"{size(host.memory_available_bytes)} of {size(host.memory_total_bytes)} free")
    return parts
