"""The GPUs by PCI address, from sysfs: no tool of ROCm is needed, and no root.

Card numbers mean nothing (a BMC's display takes card0), so devices are found on the PCI bus. Nothing wakes a GPU: its
runtime status is looked at first (the kernel keeps it in memory), and of one that is suspended only what the driver
holds in memory is read. Partition modes, whose reading may wake one, are thus read once a probe, and of GPUs that run.
"""

import re
from collections.abc import Mapping, Sequence

import msgspec

from console.fleet.probe import gpu_state
from console.fleet.probe.devices import DEVICE_NAMES, VIRTUAL_FUNCTIONS
from console.fleet.probe.driver import groups_of
from console.fleet.probe.kfd import NODES, KfdNode, kfd_links, xgmi_peers
from console.fleet.probe.reading import Files, Table, unread
from console.fleet.script import Section
from console.model.facts import Gpu, GpuLink, Known, PciDevice, Unknown, value_or
from console.model.names import pci_device
from console.model.text import clean_line

_PCI = "/sys/bus/pci/devices"

SCRIPT = f"""
# gpu PATH: a section `gpu.ADDRESS` with the files of one GPU
gpu() {{
  name=${{1%/device}}
  begin "gpu.${{name##*/}}" "${{1#"$ROOT"}}"
  if cd -P "$1" 2>/dev/null; then
    state=
    {{ IFS= read -r state < power/runtime_status; }} 2>/dev/null
    set -- power/runtime_status {gpu_state.KEPT} fw_version/*
    case $state in
      suspend*) asleep=yes; printf 'asleep:%s\\n' "$state" ;;
      *) set -- "$@" {gpu_state.READ} ;;
    esac
    if [ -e physfn ]; then printf 'physfn:yes\\n'; fi
    for each in ras/*_err_count; do if [ -e "$each" ]; then printf 'ras:%s\\n' "$each"; fi; done
    for each in drm/renderD*; do if [ -e "$each" ]; then printf 'drm:%s\\n' "${{each#drm/}}"; fi; done
    up=..
    hop=
    while {{ IFS= read -r vendor < "$up/vendor"; }} 2>/dev/null && [ "$vendor" = 0x1002 ]; do hop=$up; up=$up/..; done
    if [ -n "$hop" ]; then
      printf 'uplink:%s\\n' "$hop"
      for each in current_link_speed current_link_width max_link_speed max_link_width; do set -- "$@" "$hop/$each"; done
    fi
    sweep "$@"; status=$?
    cd /; end "gpu.${{name##*/}}" "$status"
  else end "gpu.${{name##*/}}" denied; fi
}}
# device PATH: what kind of device it is, from what the kernel keeps in memory
device() {{
  at=${{1#"$ROOT"}}
  printf '+%s\\n' "$at"
  for name in vendor device class; do value "$at/$name"; done
  if [ -r "$1/uevent" ]; then
    while IFS= read -r line; do
      case $line in DRIVER=*|PCI_SLOT_NAME=*) printf '=%s %s\\n' "$at/uevent#${{line%%=*}}" "${{line#*=}}" ;; esac
      case $line in DRIVER=amdgpu) bound=yes ;; DRIVER=*) bound=no ;; esac
    done < "$1/uevent"
  fi
}}
asleep=
gpus=
begin pci 'display and accelerator devices under /sys'
for path in "$ROOT"{_PCI}/*; do
  class= vendor= bound=
  {{ IFS= read -r class < "$path/class"; }} 2>/dev/null
  case $class in 0x03*|0x12*|'') ;; *) continue ;; esac
  {{ IFS= read -r vendor < "$path/vendor"; }} 2>/dev/null
  if [ -z "$class" ] && [ "$vendor" != 0x1002 ]; then continue; fi
  device "$path"
  if [ "$vendor" = 0x1002 ] && [ "$bound" != no ]; then gpus="$gpus ${{path#"$ROOT"}}"; fi
done
if [ -z "$gpus" ]; then
  for path in "$ROOT"/sys/class/drm/card[0-9]*/device; do
    vendor= bound=
    {{ IFS= read -r vendor < "$path/vendor"; }} 2>/dev/null
    if [ "$vendor" = 0x1002 ]; then
      device "$path"
      if [ "$bound" != no ]; then gpus="$gpus ${{path#"$ROOT"}}"; fi
    fi
  done
fi
if [ ! -d "$ROOT{_PCI}" ]; then printf '!{_PCI} absent\\n'; fi
end pci 0
for path in $gpus; do gpu "$ROOT$path"; done
"""


class Graphics(msgspec.Struct, frozen=True):
    """The GPUs of a host, and the devices that could be taken for one."""

    gpus: Known[tuple[Gpu, ...]] | Unknown
    others: Known[tuple[PciDevice, ...]] | Unknown


def parse(found: Mapping[str, Section], loaded: Known[bool] | Unknown, nodes: Sequence[KfdNode]) -> Graphics:
    """What the sections say of GPUs; `loaded`: whether amdgpu is; `nodes`: KFD's GPU nodes."""
    section = found.get("pci")
    if section is None or not section.ok:
        missing = unread(section, ("lspci", "-d", "1002:"))
        return Graphics(missing, missing)
    table = Table(section)
    bound = {path: Files(found.get(_section(path)), path) for path in table.names if _computes(table, path, found)}
    if not bound and _PCI in table.missing:
        missing = Unknown("not there", _PCI, ("lspci", "-d", "1002:"))
        return Graphics(missing, missing)
    others = tuple(_other(table, path) for path in table.names if path not in bound and "/drm/" not in path)
    rest: Known[tuple[PciDevice, ...]] | Unknown = Known(others, _PCI)
    if not bound and isinstance(loaded, Known) and not loaded.value:
        accelerators = sum(
            other.vendor_id == "1002" and other.class_id.startswith(("1200", "0380")) for other in others
        )
        detail = f"{accelerators} AMD accelerators on the PCI bus"
        return Graphics(Unknown("amdgpu is not loaded", detail, ("sudo", "modprobe", "amdgpu")), rest)
    links = kfd_links(found.get("gpu.links"), nodes)
    taken = {_bdf(table, path) for path in bound}
    gpus: list[Gpu] = []
    for path, files in bound.items():
        bdf = _bdf(table, path)
        mine = [node for node in nodes if node.bdf == bdf]
        mine += [node for node in nodes if node.bdf not in taken and pci_device(node.bdf) == pci_device(bdf)]
        gpus.extend(_device(files, bdf, _device_id(table, path), mine, groups_of(found)))
    seen = tuple(sorted((_linked(gpu, found, links) for gpu in gpus), key=lambda gpu: gpu.bdf))
    return Graphics(Known(seen, _PCI), rest)


def _section(path: str) -> str:
    return f"gpu.{path.removesuffix('/device').rsplit('/', 1)[-1]}"


def _computes(table: Table, path: str, found: Mapping[str, Section]) -> bool:
    """Whether amdgpu drives a device; a BMC or a card under vfio does not count."""
    if table.raw(f"{path}/vendor") != "0x1002" or not _device_id(table, path) or not _bdf(table, path):
        return False
    driver = table.raw(f"{path}/uevent#DRIVER")
    if driver is None:  # a capture may have left uevent out
        files = Files(found.get(_section(path)))
        return files.cut or "mem_info_vram_total" in files.rows
    return driver == "amdgpu"


def _other(table: Table, path: str) -> PciDevice:
    def plain(name: str) -> str:
        return (table.raw(f"{path}/{name}") or "").removeprefix("0x").lower()[:8]

    return PciDevice(
        bdf=_bdf(table, path) or clean_line(path.rsplit("/", 1)[-1]),
        vendor_id=plain("vendor"),
        device_id=plain("device"),
        class_id=plain("class"),
        driver=table.raw(f"{path}/uevent#DRIVER") or "",
        name=DEVICE_NAMES.get(plain("device"), "") if plain("vendor") == "1002" else "",
    )


def _device_id(table: Table, path: str) -> str:
    match = re.fullmatch(r"0x([0-9a-fA-F]{4})", table.raw(f"{path}/device") or "")
    return match.group(1).lower() if match else ""


def _bdf(table: Table, path: str) -> str:
    """PCI address of a device, or nothing when it has none (a platform device)."""
    bdf = (table.raw(f"{path}/uevent#PCI_SLOT_NAME") or path.rsplit("/", 1)[-1]).lower()
    return bdf if re.fullmatch(r"[0-9a-f]{4,8}:[0-9a-f]{2}:[0-9a-f]{2}\.[0-7]", bdf) else ""


def _device(files: Files, bdf: str, device_id: str, nodes: Sequence[KfdNode], groups: Mapping[str, int]) -> list[Gpu]:
    """The GPU of a PCI device, or one per partition when KFD shows several nodes of it."""
    render = sorted(clean_line(name) for name in files.rows.get("drm", ()))
    file = f"/dev/dri/{render[0]}" if render else None
    node = nodes[0] if nodes else None
    whole = Gpu(
        bdf=bdf,
        device_bdf=bdf,
        device_id=device_id,
        model=_model(files, device_id),
        virtual_function=_virtual(files, device_id),
        compute_units=_units(node),
        render_node=_render(file, files),
        render_gid=_render_gid(file, groups),
        gfx=Known(node.gfx, node.source) if node and node.gfx else _no_node(),
        xccs=Known(node.xccs, node.source) if node and node.xccs else _no_node(),
        kfd_node=Known(node.number, node.source) if node else _no_node(),
    )
    whole = gpu_state.fill(whole, files, node)
    if len(nodes) < 2:
        return [whole]
    return [_partition(whole, number, part, files, groups) for number, part in enumerate(nodes)]


def _partition(whole: Gpu, number: int, node: KfdNode, files: Files, groups: Mapping[str, int]) -> Gpu:
    """One partition: what is the device's own stays, sizes come from KFD."""
    file = f"/dev/dri/renderD{node.render_minor}" if node.render_minor else None
    show = ("amd-smi", "metric", "-m")
    total: Known[int] | Unknown = Unknown("KFD tells no memory of this partition", node.source, show)
    used: Known[int] | Unknown = Unknown(
        "sysfs tells it for the whole device only", files.path("mem_info_vram_used"), show
    )
    if node.local_bytes:
        total = Known(node.local_bytes, node.source)
    if node.used_bytes is not None:
        used = Known(node.used_bytes, f"{node.source}/mem_banks")
    return msgspec.structs.replace(
        whole,
        bdf=node.bdf,
        partition=number,
        compute_units=_units(node),
        render_node=_render(file, files),
        render_gid=_render_gid(file, groups),
        vram_total_bytes=total,
        vram_used_bytes=used,
        xccs=Known(node.xccs, node.source) if node.xccs else _no_node(),
        kfd_node=Known(node.number, node.source),
    )


def _linked(gpu: Gpu, found: Mapping[str, Section], links: Mapping[int, tuple[GpuLink, ...]] | None) -> Gpu:
    source = f"{NODES}/{value_or(gpu.kfd_node, 'N')}/io_links"
    if isinstance(gpu.kfd_node, Unknown):
        return msgspec.structs.replace(gpu, links=gpu.kfd_node, xgmi_peers=gpu.kfd_node)
    if links is None:
        missing = unread(found.get("gpu.links"), ("cat", source))
        return msgspec.structs.replace(gpu, links=missing, xgmi_peers=missing)
    mine = links.get(gpu.kfd_node.value, ())
    return msgspec.structs.replace(gpu, links=Known(mine, source), xgmi_peers=Known(xgmi_peers(mine), source))


def _model(files: Files, device_id: str) -> Known[str] | Unknown:
    if device_id in DEVICE_NAMES:
        return Known(DEVICE_NAMES[device_id], files.path("device"))
    return files.text("product_name")


def _virtual(files: Files, device_id: str) -> Known[bool] | Unknown:
    if "physfn" in files.rows:
        return Known(True, files.path("physfn"))
    if files.cut and device_id not in VIRTUAL_FUNCTIONS:
        return files.missing("physfn")
    if device_id in DEVICE_NAMES:
        return Known(device_id in VIRTUAL_FUNCTIONS, files.path("device"))
    return Unknown("a device id that is not known here", files.path("device"), ("lspci", "-nn", "-d", "1002:"))


def _no_node() -> Unknown:
    return Unknown("KFD shows no node for it", NODES, ("rocminfo",))


def _units(node: KfdNode | None) -> Known[int] | Unknown:
    return Known(node.compute_units, node.source) if node is not None and node.compute_units else _no_node()


def _render(file: str | None, files: Files) -> Known[str] | Unknown:
    path = files.path("drm")
    return Known(file, path) if file else Unknown("no render node", path, ("ls", path))


def _render_gid(file: str | None, groups: Mapping[str, int]) -> Known[int] | Unknown:
    if file is not None and file in groups:
        return Known(groups[file], f"stat {file}")
    return Unknown("its group could not be read", file or "/dev/dri", ("stat", "-c", "%g", file or "/dev/dri"))
