"""GPU nodes of the KFD topology (`/sys/class/kfd/kfd/topology/nodes`), as grep printed them."""

import re

import msgspec

from console.fleet.script import Section

_LINE = re.compile(r"(\d{1,5})/(?:(mem_banks)/(\d{1,4})/)?properties:(\w+) (\d{1,20})")
_VRAM_HEAPS = (1, 2)
"""Heap types of local memory: public (visible over PCIe) and private."""


class KfdNode(msgspec.Struct, frozen=True, kw_only=True):
    """One GPU node: a whole GPU or one partition of it."""

    bdf: str
    unique_id: int
    compute_units: int
    render_minor: int
    local_bytes: int
    source: str


def kfd_nodes(section: Section | None) -> list[KfdNode]:
    """GPU nodes in KFD's order; processor nodes are left out."""
    nodes: dict[str, dict[str, int]] = {}
    banks: dict[str, dict[str, dict[str, int]]] = {}
    for line in (section.data if section is not None else b"").decode("ascii", "replace").split("\n"):
        match = _LINE.fullmatch(line.strip())
        if match is None:
            continue
        node, bank, number, key, value = match.groups()
        if bank:
            banks.setdefault(node, {}).setdefault(number, {})[key] = int(value)
        else:
            nodes.setdefault(node, {})[key] = int(value)
    found = []
    for name in sorted(nodes, key=int):
        values = nodes[name]
        if not values.get("simd_count") or "location_id" not in values:
            continue
        local = [bank for bank in banks.get(name, {}).values() if bank.get("heap_type") in _VRAM_HEAPS]
        found.append(
            KfdNode(
                bdf=bdf_of(values["location_id"], values.get("domain", 0)),
                unique_id=values.get("unique_id", 0),
                compute_units=values["simd_count"] // max(1, values.get("simd_per_cu", 4)),
                render_minor=values.get("drm_render_minor", 0),
                local_bytes=sum(bank.get("size_in_bytes", 0) for bank in local),
                source=f"/sys/class/kfd/kfd/topology/nodes/{name}",
            )
        )
    return found


def bdf_of(location_id: int, domain: int) -> str:
    """KFD's location_id is bus, device and function packed: 2561 of domain 0 is 0000:0a:00.1."""
    return f"{domain:04x}:{location_id >> 8 & 0xFF:02x}:{location_id >> 3 & 0x1F:02x}.{location_id & 7}"
