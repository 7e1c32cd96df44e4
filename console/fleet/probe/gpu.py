"""amdgpu, KFD and the GPUs by PCI address, from sysfs: no tool of ROCm is needed, and no root.

Card numbers mean nothing (a BMC's display takes card0), so devices are found on the PCI bus. Partition modes are read
once per probe only: reading them may wake a GPU.
"""

import re
from collections.abc import Mapping, Sequence

import msgspec

from console.fleet.probe.kfd import KfdNode, kfd_nodes
from console.fleet.probe.reading import Table, lines, unread
from console.fleet.script import Area, Section
from console.model.facts import Driver, Gpu, Known, Unknown

DEVICE_NAMES = {
    "738c": "MI100",
    "740f": "MI210",
    "7408": "MI250X",
    "740c": "MI250X",
    "74a0": "MI300A",
    "74a1": "MI300X",
    "74a9": "MI300X",
    "74b5": "MI300X",
    "74bd": "MI300X",
    "74a2": "MI308X",
    "74a8": "MI308X",
    "74b6": "MI308X",
    "74bc": "MI308X",
    "74a5": "MI325X",
    "74b9": "MI325X",
    "75a0": "MI350X",
    "75b0": "MI350X",
    "75a3": "MI355X",
    "75b3": "MI355X",
}
"""PCI device ids of Instinct GPUs and their virtual functions (AMD's own tables; the driver names none of them)."""

_KFD = "/sys/class/kfd/kfd"
_MODULE = "/sys/module/amdgpu"

SCRIPT = f"""
device() {{
  at=${{1#"$ROOT"}}
  printf '+%s\\n' "$at"
  if [ -r "$1/uevent" ]; then
    while IFS= read -r line; do printf '=%s %s\\n' "$at/uevent#${{line%%=*}}" "${{line#*=}}"; done < "$1/uevent"
  fi
  for name in vendor device class unique_id product_name numa_node mem_info_vram_total mem_info_vram_used \\
    current_compute_partition current_memory_partition power_dpm_force_performance_level; do value "$at/$name"; done
  for file in "$1"/hwmon/hwmon*/power1_cap; do if [ -e "$file" ]; then value "${{file#"$ROOT"}}"; fi; done
  names "$1"/drm/renderD*
}}
begin driver 'files under {_MODULE}'
there {_MODULE}
value {_MODULE}/version
value /opt/rocm/.info/version
there {_KFD}
there /dev/kfd
names "$ROOT{_KFD}"/proc/[0-9]*
end driver 0
begin gpu 'PCI devices of AMD under /sys'
found=
for path in "$ROOT"/sys/bus/pci/devices/*; do
  vendor=
  {{ IFS= read -r vendor < "$path/vendor"; }} 2>/dev/null
  case $vendor in 0x1002) found=yes; device "$path" ;; esac
done
if [ -z "$found" ]; then
  for path in "$ROOT"/sys/class/drm/card[0-9]*/device; do
    vendor=
    {{ IFS= read -r vendor < "$path/vendor"; }} 2>/dev/null
    case $vendor in 0x1002) device "$path" ;; esac
  done
fi
end gpu 0
begin gpu.kfd {_KFD}/topology/nodes
if cd "$ROOT{_KFD}/topology/nodes" 2>/dev/null; then
  grep -HE '^(simd_count|simd_per_cu|location_id|domain|drm_render_minor|unique_id|heap_type|size_in_bytes) ' \\
    */properties */mem_banks/*/properties 2>/dev/null
  cd /; end gpu.kfd 0
else end gpu.kfd absent; fi
output dev.stat stat -c '%g %n' /dev/kfd /dev/dri/renderD*
begin infiniband /sys/class/infiniband
names "$ROOT"/sys/class/infiniband/*
end infiniband 0
"""


class Graphics(msgspec.Struct, frozen=True):
    """What this area fills of the facts of a host."""

    driver: Driver
    gpus: Known[tuple[Gpu, ...]] | Unknown
    infiniband: Known[tuple[str, ...]] | Unknown


def parse(found: Mapping[str, Section]) -> Graphics:
    """What the sections say of driver, GPUs and RDMA devices."""
    table = Table(found.get("driver"))
    groups = _groups(found)
    driver = _driver(table, groups)
    section = found.get("infiniband")
    fabric = Table(section)
    infiniband: Known[tuple[str, ...]] | Unknown = unread(section, ("ls", "/sys/class/infiniband"))
    if section is not None and section.ok:
        infiniband = Known(tuple(name.rsplit("/", 1)[-1] for name in fabric.names), "/sys/class/infiniband")
    return Graphics(driver, _gpus(found, driver, groups), infiniband)


def _driver(table: Table, groups: Mapping[str, int]) -> Driver:
    loaded: Known[bool] | Unknown = Unknown("the answer was cut off", _MODULE, ("ls", _MODULE))
    present = loaded
    if not table.cut:
        loaded = Known(_MODULE in table.names, _MODULE)
        present = Known(_KFD in table.names or "/dev/kfd" in table.names, "/dev/kfd")
    pids = [name.rsplit("/", 1)[-1] for name in table.names if name.startswith(f"{_KFD}/proc/")]
    processes: Known[tuple[int, ...]] | Unknown = Unknown("no KFD on this host", f"{_KFD}/proc", ("ls", f"{_KFD}/proc"))
    if isinstance(present, Known) and present.value:
        processes = Known(tuple(sorted(int(pid) for pid in pids if pid.isdigit() and len(pid) < 10)), f"{_KFD}/proc")
    gid: Known[int] | Unknown = Unknown("its group could not be read", "/dev/kfd", ("stat", "-c", "%g", "/dev/kfd"))
    if "/dev/kfd" in groups:
        gid = Known(groups["/dev/kfd"], "stat /dev/kfd")
    return Driver(
        amdgpu_loaded=loaded,
        amdgpu_version=_version(table, loaded),
        rocm_version=_rocm(table),
        kfd_present=present,
        kfd_gid=gid,
        kfd_process_ids=processes,
    )


def _version(table: Table, loaded: Known[bool] | Unknown) -> Known[str] | Unknown:
    """Only the driver of AMD's packages has a version of its own; the kernel's is versioned by the kernel release."""
    path = f"{_MODULE}/version"
    if path in table.values:
        return table.text(path)
    if isinstance(loaded, Unknown):
        return loaded
    if not loaded.value:
        return Unknown("amdgpu is not loaded", path, ("sudo", "modprobe", "amdgpu"))
    if table.missing.get(path) == "absent":
        why = "the kernel's own amdgpu has no version file; the kernel release stands for it"
        return Unknown(why, path, ("modinfo", "-F", "version", "amdgpu"))
    return table.text(path)


def _rocm(table: Table) -> Known[str] | Unknown:
    path = "/opt/rocm/.info/version"
    if table.missing.get(path) == "absent":
        return Unknown("no ROCm on the host; benchmarks bring theirs in the container", path, ("ls", "/opt"))
    return table.text(path)


def _groups(found: Mapping[str, Section]) -> dict[str, int]:
    groups: dict[str, int] = {}
    for line in lines(found, "dev.stat"):
        match = re.fullmatch(r"(\d{1,10}) (/dev/\S+)", line)
        if match:
            groups[match.group(2)] = int(match.group(1))
    return groups


def _gpus(found: Mapping[str, Section], driver: Driver, groups: Mapping[str, int]) -> Known[tuple[Gpu, ...]] | Unknown:
    section = found.get("gpu")
    if section is None or not section.ok:
        return unread(section, ("lspci", "-d", "1002:"))
    table = Table(section)
    devices = [path for path in table.names if "/renderD" not in path]
    bound = [path for path in devices if _bound(table, path)]
    if not bound and isinstance(driver.amdgpu_loaded, Known) and not driver.amdgpu_loaded.value:
        accelerators = sum(_is_accelerator(table, path) for path in devices)
        detail = f"{accelerators} AMD accelerators on the PCI bus"
        return Unknown("amdgpu is not loaded", detail, ("sudo", "modprobe", "amdgpu"))
    nodes = kfd_nodes(found.get("gpu.kfd"))
    taken = {_bdf(table, path) for path in bound}
    gpus: list[Gpu] = []
    for path in bound:
        bdf = _bdf(table, path)
        mine = [node for node in nodes if node.bdf == bdf]
        mine += [node for node in nodes if node.bdf not in taken and _slot(node.bdf) == _slot(bdf)]
        if bdf:
            gpus.extend(_device(table, path, bdf, mine, groups))
    return Known(tuple(sorted(gpus, key=lambda gpu: gpu.bdf)), "/sys/bus/pci/devices")


def _bound(table: Table, path: str) -> bool:
    """Whether amdgpu drives a device and it computes; a BMC or a card under vfio does not count."""
    if table.raw(f"{path}/vendor") != "0x1002" or not _device_id(table, path):
        return False
    driver = table.raw(f"{path}/uevent#DRIVER")
    if driver is None:
        return f"{path}/mem_info_vram_total" in table.values
    return driver == "amdgpu"


def _is_accelerator(table: Table, path: str) -> bool:
    return (table.raw(f"{path}/class") or "").startswith(("0x1200", "0x0380"))


def _device_id(table: Table, path: str) -> str:
    match = re.fullmatch(r"0x([0-9a-fA-F]{4})", table.raw(f"{path}/device") or "")
    return match.group(1).lower() if match else ""


def _bdf(table: Table, path: str) -> str:
    """PCI address of a device, or nothing when it has none (a platform device)."""
    bdf = (table.raw(f"{path}/uevent#PCI_SLOT_NAME") or path.rsplit("/", 1)[-1]).lower()
    return bdf if re.fullmatch(r"[0-9a-f]{4,8}:[0-9a-f]{2}:[0-9a-f]{2}\.[0-7]", bdf) else ""


def _slot(bdf: str) -> str:
    return bdf.rpartition(".")[0]


def _device(table: Table, path: str, bdf: str, nodes: Sequence[KfdNode], groups: Mapping[str, int]) -> list[Gpu]:
    """The GPU of a PCI device, or one per partition when KFD shows several nodes of it."""
    device_id = _device_id(table, path)
    render = sorted(name.rsplit("/", 1)[-1] for name in table.names if name.startswith(f"{path}/drm/renderD"))
    whole = Gpu(
        bdf=bdf,
        device_id=device_id,
        model=_model(table, path, device_id),
        unique_id=table.text(f"{path}/unique_id"),
        compute_units=_units(nodes),
        render_node=_render(f"/dev/dri/{render[0]}" if render else None, path),
        render_gid=_render_gid(f"/dev/dri/{render[0]}" if render else None, groups),
        numa_node=table.integer(f"{path}/numa_node"),
        vram_total_bytes=table.integer(f"{path}/mem_info_vram_total"),
        vram_used_bytes=table.integer(f"{path}/mem_info_vram_used"),
        compute_partition=table.text(f"{path}/current_compute_partition"),
        memory_partition=table.text(f"{path}/current_memory_partition"),
        power_cap_w=_cap(table, path),
        performance_level=table.text(f"{path}/power_dpm_force_performance_level"),
    )
    if len(nodes) < 2:
        return [whole]
    return [_partition(whole, node, path, groups) for node in nodes]


def _partition(whole: Gpu, node: KfdNode, path: str, groups: Mapping[str, int]) -> Gpu:
    """One partition: what is the device's own stays, sizes come from KFD, use of memory per partition is not told."""
    file = f"/dev/dri/renderD{node.render_minor}" if node.render_minor else None
    show = ("amd-smi", "metric", "-m")
    total: Known[int] | Unknown = Unknown("KFD tells no memory of this partition", path, show)
    if node.local_bytes:
        total = Known(node.local_bytes, node.source)
    return msgspec.structs.replace(
        whole,
        bdf=node.bdf,
        compute_units=_units([node]),
        render_node=_render(file, path),
        render_gid=_render_gid(file, groups),
        vram_total_bytes=total,
        vram_used_bytes=Unknown("sysfs tells it for the whole device only", f"{path}/mem_info_vram_used", show),
    )


def _model(table: Table, path: str, device_id: str) -> Known[str] | Unknown:
    if device_id in DEVICE_NAMES:
        return Known(DEVICE_NAMES[device_id], f"{path}/device")
    return table.text(f"{path}/product_name")


def _units(nodes: Sequence[KfdNode]) -> Known[int] | Unknown:
    if nodes and nodes[0].compute_units:
        return Known(nodes[0].compute_units, nodes[0].source)
    return Unknown("KFD shows no node for it", f"{_KFD}/topology/nodes", ("rocminfo",))


def _render(file: str | None, path: str) -> Known[str] | Unknown:
    return Known(file, f"{path}/drm") if file else Unknown("no render node", f"{path}/drm", ("ls", f"{path}/drm"))


def _render_gid(file: str | None, groups: Mapping[str, int]) -> Known[int] | Unknown:
    if file is not None and file in groups:
        return Known(groups[file], f"stat {file}")
    return Unknown("its group could not be read", file or "/dev/dri", ("stat", "-c", "%g", file or "/dev/dri"))


def _cap(table: Table, path: str) -> Known[float] | Unknown:
    """hwmon gives microwatts."""
    files = [name for name in (*table.values, *table.missing) if name.startswith(f"{path}/hwmon/")]
    if not files:
        return Unknown("no hwmon of the device", f"{path}/hwmon", ("amd-smi", "metric", "-p"))
    return table.read(files[0], lambda text: int(text) / 1e6)


AREA = Area("gpu", SCRIPT, parse)
