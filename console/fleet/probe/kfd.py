"""The KFD topology (`/sys/class/kfd/kfd/topology/nodes`): GPU nodes with their links, as grep and awk print them."""

import re
from collections.abc import Mapping, Sequence

import msgspec

from console.fleet.script import Section
from console.model.facts import GpuLink
from console.model.names import pci_device

NODES = "/sys/class/kfd/kfd/topology/nodes"

SCRIPT = f"""
begin gpu.kfd {NODES}
if cd "$ROOT{NODES}" 2>/dev/null; then
  $LIMIT grep -aHE -e '^[0-9]+$' -e '^(simd_count|simd_per_cu|location_id|domain|drm_render_minor|unique_id) ' \\
    -e '^(heap_type|size_in_bytes|gfx_target_version|hive_id|num_xcc|max_engine_clk_fcompute) ' \\
    */properties */gpu_id */mem_banks/*/properties */mem_banks/*/used_memory 2>/dev/null </dev/null
  status=$?
  if [ "$status" -le 2 ]; then status=0; fi
  cd /; end gpu.kfd "$status"
else end gpu.kfd absent; fi
begin gpu.links '{NODES}/*/io_links/*/properties'
if cd "$ROOT{NODES}" 2>/dev/null; then
  set -- */io_links/*/properties
  if [ -r "$1" ]; then
    $LIMIT awk '
      function out() {{ if (from != "") print from, kind, to, weight, most }}
      FNR == 1 {{ out(); split(FILENAME, part, "/"); from = part[1]; kind = to = weight = most = 0 }}
      $1 == "type" {{ kind = $2 }} $1 == "node_to" {{ to = $2 }}
      $1 == "weight" {{ weight = $2 }} $1 == "max_bandwidth" {{ most = $2 }}
      END {{ out() }}' "$@" 2>/dev/null </dev/null
    end gpu.links $?
  else end gpu.links absent; fi
  cd /
else end gpu.links absent; fi
"""
"""A server in CPX mode has thousands of links, so each is one short line: from, type, to, weight, MB/s."""

_LINE = re.compile(r"(\d{1,5})/(?:(mem_banks)/(\d{1,4})/)?(properties|gpu_id|used_memory):(?:(\w+) )?(\d{1,20})")
_LINK = re.compile(rb"^(\d{1,5}) (\d{1,4}) (\d{1,5}) (\d{1,9}) (\d{1,12})$", re.MULTILINE)
_VRAM_HEAPS = (1, 2)
"""Heap types of local memory: public (visible over PCIe) and private."""
_PCIE, _XGMI = 2, 11


class KfdNode(msgspec.Struct, frozen=True, kw_only=True):
    """One GPU node: a whole GPU or one partition of it. `used_bytes` is None where the driver does not tell."""

    number: int
    gpu_id: int
    bdf: str
    unique_id: int
    compute_units: int
    render_minor: int
    local_bytes: int
    used_bytes: int | None
    gfx: str
    hive_id: int
    xccs: int
    max_clock_mhz: int
    source: str


def kfd_nodes(section: Section | None) -> list[KfdNode]:
    """GPU nodes in KFD's order; processor nodes are left out. None of an answer that is not whole."""
    nodes: dict[str, dict[str, int]] = {}
    banks: dict[str, dict[str, dict[str, int]]] = {}
    for line in (section.data if section is not None and section.ok else b"").decode("ascii", "replace").split("\n"):
        match = _LINE.fullmatch(line.strip())
        if match is None:
            continue
        node, bank, number, file, key, value = match.groups()
        place = banks.setdefault(node, {}).setdefault(number, {}) if bank else nodes.setdefault(node, {})
        place[key if file == "properties" else file] = int(value)
    return [
        _node(name, nodes[name], banks.get(name, {}))
        for name in sorted(nodes, key=int)
        if nodes[name].get("simd_count") and "location_id" in nodes[name]
    ]


def _node(name: str, values: Mapping[str, int], banks: Mapping[str, Mapping[str, int]]) -> KfdNode:
    local = [bank for bank in banks.values() if bank.get("heap_type") in _VRAM_HEAPS]
    used = [bank["used_memory"] for bank in local if "used_memory" in bank]
    return KfdNode(
        number=int(name),
        gpu_id=values.get("gpu_id", 0),
        bdf=bdf_of(values["location_id"], values.get("domain", 0)),
        unique_id=values.get("unique_id", 0),
        compute_units=values["simd_count"] // max(1, values.get("simd_per_cu", 4)),
        render_minor=values.get("drm_render_minor", 0),
        local_bytes=sum(bank.get("size_in_bytes", 0) for bank in local),
        used_bytes=sum(used) if used else None,
        gfx=gfx_of(values.get("gfx_target_version", 0)),
        hive_id=values.get("hive_id", 0),
        xccs=values.get("num_xcc", 0),
        max_clock_mhz=values.get("max_engine_clk_fcompute", 0),
        source=f"{NODES}/{name}",
    )


def kfd_links(section: Section | None, nodes: Sequence[KfdNode]) -> dict[int, tuple[GpuLink, ...]] | None:
    """Links by the number of the GPU node they start at; None when the links could not be read as a whole."""
    if section is None or not section.ok:
        return None
    places = {node.number: node for node in nodes}
    found: dict[int, list[GpuLink]] = {node.number: [] for node in nodes}
    for match in _LINK.finditer(section.data):
        start, kind, to, weight, most = (int(word) for word in match.groups())
        if start not in places:
            continue
        other = places.get(to)
        found[start].append(
            GpuLink(
                kind="xgmi" if kind == _XGMI else "pcie" if kind == _PCIE else "other",
                to_node=to,
                to_bdf=other.bdf if other is not None else "",
                weight=weight,
                max_mb_per_s=most,
                same_device=other is not None and pci_device(other.bdf) == pci_device(places[start].bdf),
            )
        )
    return {number: tuple(links) for number, links in found.items()}


def xgmi_peers(links: tuple[GpuLink, ...]) -> int:
    """Other devices (not partitions) that are reached over xGMI."""
    return len(
        {pci_device(link.to_bdf) for link in links if link.kind == "xgmi" and link.to_bdf and not link.same_device}
    )


def bdf_of(location_id: int, domain: int) -> str:
    """KFD's location_id is bus, device and function packed: 2561 of domain 0 is 0000:0a:00.1."""
    return f"{domain:04x}:{location_id >> 8 & 0xFF:02x}:{location_id >> 3 & 0x1F:02x}.{location_id & 7}"


def gfx_of(version: int) -> str:
    """The architecture's name of a gfx_target_version: 90402 is gfx942, 90010 is gfx90a; nothing for 0."""
    if version <= 0:
        return ""
    return f"gfx{version // 10000}{version // 100 % 100:x}{version % 100:x}"
