"""A picture of a server in text: sockets, NUMA nodes, their GPUs and adapters, the links between GPUs. Pure."""

from collections.abc import Iterable, Mapping, Sequence
from typing import NamedTuple

from rich.cells import cell_len

from console.desk.fleet_board import GpuLive
from console.model.facts import Gpu, HostFacts, Known, Nic, NumaNode, RdmaDevice, Unknown, value_or
from console.model.finding import State
from console.model.text import clean_line
from console.tui import marks
from console.tui.marks import Span
from console.tui.widgets.lines import BLANK, Line, Para, para
from console.tui.words import size

BOX = 46
"""The narrowest a socket is drawn."""
_LINKS: Mapping[str | None, Span] = {
    "xgmi": ("●", "ok"),
    "pcie": ("○", "warn"),
    "other": ("○", "warn"),
    None: ("✗", "fail"),
}
_SELF: Span = ("·", "dim")
_NOWHERE = -1


class Device(NamedTuple):
    """One GPU as a piece of hardware, with its partitions in order."""

    number: int
    bdf: str
    parts: tuple[Gpu, ...]


def devices(facts: HostFacts) -> tuple[Device, ...]:
    """The GPUs of a host by PCI address, numbered as the live readings are."""
    found: dict[str, list[Gpu]] = {}
    for gpu in value_or(facts.gpus, ()):
        found.setdefault(gpu.device_bdf or gpu.bdf, []).append(gpu)
    return tuple(Device(index, bdf, tuple(parts)) for index, (bdf, parts) in enumerate(sorted(found.items())))


def picture(facts: HostFacts, live: Sequence[GpuLive], width: int) -> list[Para]:
    """The server in `width` cells: sockets side by side where there is room, then the links of its GPUs."""
    if isinstance(facts.gpus, Unknown):
        return [
            para(f"The GPUs could not be read: {clean_line(facts.gpus.why)} {clean_line(facts.gpus.detail)}", "dim")
        ]
    found = devices(facts)
    beside = max(1, min(2, (width + 2) // (BOX + 2)))
    box = min(72, (width - 2 * (beside - 1)) // beside)
    blocks = [_framed(title, lines, box) for title, lines in _sockets(facts, found, live)]
    made: list[Para] = []
    for start in range(0, len(blocks), beside):
        made += [Para(line, keep=True) for line in _abreast(blocks[start : start + beside], box)]
    return [*made, *_links(found, width)]


def _sockets(facts: HostFacts, found: Sequence[Device], live: Sequence[GpuLive]) -> list[tuple[str, list[Line]]]:
    """Heading and lines of each socket, and of what belongs to none."""
    nodes = value_or(facts.system.numa, ())
    places = _places(nodes, value_or(facts.system.sockets, 1))
    readings = {gpu.bdf: gpu for gpu in live}
    cores = facts.system.cores_per_socket
    made = []
    for socket in sorted(set(places.values())):
        lines: list[Line] = []
        for node in (node for node in nodes if places[node.number] == socket):
            lines.append(_node(node))
            lines += _things(facts, found, readings, node.number)
        made.append((f"socket {socket}{f', {cores.value} cores' if isinstance(cores, Known) else ''}", lines))
    known = {node.number for node in nodes}
    lost = {_node_of(device) for device in found} | {nic.numa_node for nic in value_or(facts.nics, ()) if nic.physical}
    for number in sorted(_NOWHERE if node is None else node for node in lost - known):
        lines = _things(facts, found, readings, number)
        if lines:
            made.append(("NUMA node not known" if number < 0 else f"NUMA {number}", lines))
    return made


def _places(nodes: Sequence[NumaNode], sockets: int) -> dict[int, int]:
    """The socket of each node: those with processors in equal shares, memory alone with its nearest."""
    own = [node for node in nodes if node.cpus]
    each = max(1, len(own) // max(1, sockets))
    places = {node.number: min(index // each, max(0, sockets - 1)) for index, node in enumerate(own)}
    numbers = [node.number for node in nodes]
    for node in nodes:
        if node.number not in places:
            near = sorted(zip(node.distances, numbers, strict=False))
            places[node.number] = next((places[number] for _, number in near if number in places), 0)
    return places


def _node_of(device: Device) -> int | None:
    """The node of a device; None where it is not known, or the firmware tells none (-1)."""
    node = device.parts[0].numa_node
    return node.value if isinstance(node, Known) and node.value >= 0 else None


def _node(node: NumaNode) -> Line:
    cpus = f"CPUs {clean_line(node.cpu_list, 40) or node.cpus}" if node.cpus else "no CPUs"
    return (f"NUMA {node.number}", "bold"), (f"  {cpus}  {size(node.memory_bytes)}", "dim")


def _things(facts: HostFacts, found: Sequence[Device], readings: Mapping[str, GpuLive], number: int) -> list[Line]:
    """GPUs and adapters of a node, on its branch."""
    node = None if number == _NOWHERE else number
    own: list[Line] = [_gpu(device, readings.get(device.bdf)) for device in found if _node_of(device) == node]
    nics, rdma = facts.nics, facts.rdma
    own += _adapters(value_or(nics, ()), value_or(rdma, ()), node)
    return [((f"{'└' if place == len(own) - 1 else '├'} ", "dim"), *line) for place, line in enumerate(own)]


def _gpu(device: Device, reading: GpuLive | None) -> Line:
    first = device.parts[0]
    line: list[Span] = [(f"GPU {device.number}", "accent"), (f"  {short(device.bdf)}", "")]
    if isinstance(first.oam_id, Known):
        line.append((f"  OAM {first.oam_id.value}", "dim"))
    if len(device.parts) > 1:
        mode = first.compute_partition
        line.append(
            (f"  {len(device.parts)} parts{f' {clean_line(mode.value)}' if isinstance(mode, Known) else ''}", "warn")
        )
    if reading is not None:
        share = reading.busy_percent / 100 if reading.busy_percent is not None else None
        line.append((f"  {marks.column(share)}", "busy" if share else "dim"))
        if reading.power_w is not None:
            line.append((f" {reading.power_w:.0f} W", ""))
        if reading.junction_c is not None:
            line.append((f" {reading.junction_c:.0f} °C", "fail" if reading.junction_c >= 100 else ""))
    return tuple(line)


def _adapters(nics: Sequence[Nic], rdma: Sequence[RdmaDevice], node: int | None) -> Iterable[Line]:
    """Network interfaces of a node with their RDMA devices, then RDMA devices without one."""
    by_nic = {name: device for device in rdma for name in device.netdevs}
    shown = set()
    for nic in nics:
        if nic.physical and nic.numa_node == node:
            device = by_nic.get(nic.name)
            if device is not None:
                shown.add(device.name)
            yield _adapter(nic, device)
    for device in rdma:
        if device.numa_node == node and device.name not in shown:
            yield (clean_line(device.name), "busy"), *_port(device)


def _adapter(nic: Nic, device: RdmaDevice | None) -> Line:
    up = nic.operstate in ("up", "unknown")
    speed = f"{nic.speed_mbps / 1000:g} Gb/s" if nic.speed_mbps else "no speed"
    line: list[Span] = [(clean_line(nic.name), "busy"), (f"  {speed}", "" if up else "warn")]
    if not up:
        line.append((f" {clean_line(nic.operstate)}", "warn"))
    if device is not None:
        line.append((f"  {clean_line(device.name)}", "dim"))
        line += _port(device)
    return tuple(line)


def _port(device: RdmaDevice) -> Line:
    states = [port.state for port in device.ports]
    good = bool(states) and all(state == "ACTIVE" for state in states)
    mark = marks.HOST["up"] if good else marks.HOST["no answer"]
    text = "" if good else f" {clean_line(', '.join(dict.fromkeys(states)) or 'no port')}"
    return ((f" {mark.glyph}{text}", mark.role),)


def _framed(title: str, lines: Sequence[Line], width: int) -> list[Line]:
    inner = width - 4
    head = f"╭─ {title} "
    made: list[Line] = [((f"{head}{'─' * (width - cell_len(head) - 1)}╮", "dim"),)]
    for line in lines:
        fitted, used = _cut(line, inner)
        made.append((("│ ", "dim"), *fitted, (f"{' ' * (inner - used)} │", "dim")))
    return [*made, ((f"╰{'─' * (width - 2)}╯", "dim"),)]


def _cut(line: Line, width: int) -> tuple[Line, int]:
    kept: list[Span] = []
    used = 0
    for text, role in line:
        room = width - used
        piece = text if cell_len(text) <= room else text[: max(0, room - 1)] + "…" if room else ""
        if piece:
            kept.append((piece, role))
            used += cell_len(piece)
    return tuple(kept), used


def _abreast(blocks: Sequence[list[Line]], width: int) -> Iterable[Line]:
    """Boxes beside each other, the shorter ones filled up with room."""
    height = max(len(block) for block in blocks)
    filler: Line = ((f"│{' ' * (width - 2)}│", "dim"),)
    even = [[*block[:-1], *[filler] * (height - len(block)), block[-1]] for block in blocks]
    for parts in zip(*even, strict=True):
        row: list[Span] = []
        for place, part in enumerate(parts):
            row += [("  ", ""), *part] if place else part
        yield tuple(row)


# -- links between GPUs


def _links(found: Sequence[Device], width: int) -> list[Para]:
    if len(found) < 2:
        return []
    unread = next((part.links for device in found for part in device.parts if isinstance(part.links, Unknown)), None)
    table = reach(found)
    if unread is not None and not any(table.values()):
        return [BLANK, para(f"Links between the GPUs are not known: {clean_line(unread.why)}", "unknown")]
    made = [BLANK, _verdict(found, table)]
    if width >= 4 + 3 * len(found) + 4:
        made += _matrix(found, table)
    return [*made, *_states(found)]


def reach(found: Sequence[Device]) -> dict[tuple[int, int], str]:
    """The kind of link from one device to another (`xgmi` before `pcie`), partitions taken together."""
    home = {part.bdf: device.number for device in found for part in device.parts}
    home.update({device.bdf: device.number for device in found})
    table: dict[tuple[int, int], str] = {}
    for device in found:
        for part in device.parts:
            for link in value_or(part.links, ()):
                other = home.get(link.to_bdf)
                if other is not None and other != device.number and table.get((device.number, other)) != "xgmi":
                    table[device.number, other] = link.kind
    return table


def _verdict(found: Sequence[Device], table: Mapping[tuple[int, int], str]) -> Para:
    pairs = [(one.number, other.number) for one in found for other in found if one is not other]
    lost = [pair for pair in pairs if table.get(pair) != "xgmi"]
    hives = {part.hive_id.value for device in found for part in device.parts if isinstance(part.hive_id, Known)}
    hive = (
        f", one hive {clean_line(next(iter(hives)))}" if len(hives) == 1 else f", {len(hives)} hives" if hives else ""
    )
    if not lost:
        text = f" xGMI: all to all, each of {len(found)} GPUs reaches {len(found) - 1} others{hive}"
        return Para(((marks.HEALTH[State.PASS].glyph, "ok"), (text, "")), 2)
    if len(lost) == len(pairs):
        return Para((("xGMI: no links between the GPUs", "warn"), (hive, "dim")), 2)
    text = f" xGMI: {len(lost)} of {len(pairs)} ways between GPUs are missing{hive}"
    return Para(((marks.HEALTH[State.FAIL].glyph, "fail"), (text, "fail")), 2)


def _matrix(found: Sequence[Device], table: Mapping[tuple[int, int], str]) -> Iterable[Para]:
    head = "".join(f"{device.number:>3}" for device in found)
    yield Para(((f"    {head}", "dim"),), keep=True)
    for one in found:
        line: list[Span] = [(f"{one.number:>4}", "dim")]
        for other in found:
            glyph, role = _SELF if one is other else _LINKS[table.get((one.number, other.number))]
            line.append((f"  {glyph}", role))
        line.append((f"   {short(one.bdf)}", "dim"))
        yield Para(tuple(line), keep=True)
    yield para("    ● xGMI   ○ PCIe only   ✗ no link", "dim")


def _states(found: Sequence[Device]) -> Iterable[Para]:
    """Links that amd-smi calls down; those it calls disabled are spare."""
    for device in found:
        states = device.parts[0].xgmi_link_states
        known = value_or(states, ())
        down = [str(place) for place, state in enumerate(known) if state.lower() == "down"]
        if down:
            yield para(f"GPU {device.number} {short(device.bdf)}: xGMI link {', '.join(down)} down", "fail")


def short(bdf: str) -> str:
    """A PCI address without the domain that every host has."""
    return clean_line(bdf.removeprefix("0000:"))
