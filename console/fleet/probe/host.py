"""Operating system, board, processor, memory, account. All of it is readable without root."""

import re
from collections.abc import Mapping

from console.fleet.probe.reading import Table, lines, unread
from console.fleet.script import Area, Section
from console.model.facts import Known, System, Unknown

_DMI = "/sys/class/dmi/id"
_NODE = re.compile(r"/sys/devices/system/node/node\d+/cpulist")

SCRIPT = f"""
begin host 'files under /proc and /sys'
value /proc/sys/kernel/hostname
value /proc/sys/kernel/random/boot_id
value /proc/sys/kernel/osrelease
value /proc/cmdline
value /proc/sys/kernel/numa_balancing
value /sys/devices/system/cpu/online
value /sys/devices/system/cpu/smt/active
for name in bios_version bios_date sys_vendor product_name; do value "{_DMI}/$name"; done
for file in "$ROOT"/sys/devices/system/node/node[0-9]*/cpulist; do
  if [ -e "$file" ]; then value "${{file#"$ROOT"}}"; fi
done
end host 0
whole host.os /etc/os-release
whole host.meminfo /proc/meminfo
begin host.cpuinfo /proc/cpuinfo
if [ -r "$ROOT/proc/cpuinfo" ]; then
  sed -n -e '/^model name/p' -e '/^physical id/p' "$ROOT/proc/cpuinfo" | sort -u; end host.cpuinfo $?
else end host.cpuinfo absent; fi
output host.id id
"""


def parse(found: Mapping[str, Section]) -> System:
    """What the sections say of the system."""
    table = Table(found.get("host"))
    cpu, sockets = _processor(found.get("host.cpuinfo"))
    nodes = _nodes(table)
    memory, available = _memory(found)
    user, groups = _account(found)
    return System(
        hostname=table.text("/proc/sys/kernel/hostname"),
        boot_id=table.text("/proc/sys/kernel/random/boot_id"),
        os=_os(found),
        kernel=table.text("/proc/sys/kernel/osrelease"),
        cmdline=table.text("/proc/cmdline"),
        cpu=cpu,
        sockets=sockets,
        cpus_online=table.read("/sys/devices/system/cpu/online", count_list),
        smt_active=table.read("/sys/devices/system/cpu/smt/active", _flag),
        numa_nodes=nodes,
        nodes_per_socket=_per_socket(nodes, sockets),
        numa_balancing=table.integer("/proc/sys/kernel/numa_balancing"),
        bios_version=table.text(f"{_DMI}/bios_version"),
        bios_date=table.text(f"{_DMI}/bios_date"),
        product=_product(table),
        memory_bytes=memory,
        memory_available_bytes=available,
        groups=groups,
        user=user,
    )


def count_list(text: str) -> int:
    """Members of a kernel list such as `0-95,192-287`."""
    total = 0
    for piece in text.split(","):
        first, _, last = piece.partition("-")
        total += int(last or first) - int(first) + 1
    return total


def _flag(text: str) -> bool:
    if text not in ("0", "1"):
        raise ValueError(text)
    return text == "1"


def _processor(section: Section | None) -> tuple[Known[str] | Unknown, Known[int] | Unknown]:
    if section is None or not section.ok:
        missing = unread(section, ("cat", "/proc/cpuinfo"))
        return missing, missing
    found = lines({"x": section}, "x")
    models = [line.partition(":")[2].strip() for line in found if line.startswith("model name")]
    packages = {line.partition(":")[2].strip() for line in found if line.startswith("physical id")}
    model: Known[str] | Unknown = Unknown("no model name in it", section.source, ("lscpu",))
    if models:
        model = Known(" + ".join(dict.fromkeys(models)), section.source)
    count: Known[int] | Unknown = Unknown("no physical ids in it", section.source, ("lscpu",))
    if packages:
        count = Known(len(packages), section.source)
    return model, count


def _nodes(table: Table) -> Known[int] | Unknown:
    """NUMA nodes that have processors; memory-only ones (HBM, CXL) do not count."""
    files = [path for path in table.values if _NODE.fullmatch(path)]
    with_cpus = [path for path in files if table.values[path].strip()]
    if not with_cpus:
        return Unknown("no NUMA nodes with processors", "/sys/devices/system/node", ("lscpu",))
    return Known(len(with_cpus), "/sys/devices/system/node/node*/cpulist")


def _per_socket(nodes: Known[int] | Unknown, sockets: Known[int] | Unknown) -> Known[int] | Unknown:
    """NPS. Twelve nodes a socket mean that every L3 is its own node (a BIOS option), so the number is kept as it is."""
    if isinstance(nodes, Unknown):
        return nodes
    if isinstance(sockets, Unknown):
        return sockets
    if nodes.value % sockets.value:
        why = f"{nodes.value} nodes on {sockets.value} sockets do not divide"
        return Unknown(why, nodes.source, ("lscpu",))
    return Known(nodes.value // sockets.value, f"{nodes.source} / {sockets.source}")


def _os(found: Mapping[str, Section]) -> Known[str] | Unknown:
    section = found.get("host.os")
    if section is None or not section.ok:
        return unread(section, ("cat", "/etc/os-release"))
    values: dict[str, str] = {}
    for line in lines(found, "host.os"):
        key, _, value = line.partition("=")
        values.setdefault(key.strip(), value.strip().strip("\"'"))
    name = values.get("PRETTY_NAME") or f"{values.get('NAME', '')} {values.get('VERSION_ID', '')}".strip()
    return Known(name, section.source) if name else Unknown("no name in it", section.source, ("cat", section.source))


def _memory(found: Mapping[str, Section]) -> tuple[Known[int] | Unknown, Known[int] | Unknown]:
    section = found.get("host.meminfo")
    missing = unread(section, ("cat", "/proc/meminfo"))
    values: dict[str, int] = {}
    for line in lines(found, "host.meminfo"):
        match = re.fullmatch(r"(MemTotal|MemAvailable):\s+(\d{1,15}) kB", line)
        if match:
            values[match.group(1)] = int(match.group(2)) * 1024  # "kB" is KiB there

    def read(key: str) -> Known[int] | Unknown:
        return Known(values[key], f"/proc/meminfo {key}") if key in values else missing

    return read("MemTotal"), read("MemAvailable")


def _account(found: Mapping[str, Section]) -> tuple[Known[str] | Unknown, Known[tuple[str, ...]] | Unknown]:
    section = found.get("host.id")
    text = lines(found, "host.id")[0] if section is not None and section.ok else ""
    user = re.search(r"\buid=\d+\(([^)]*)\)", text)
    groups = re.search(r"\bgroups=(\S.*)", text)
    if section is None or user is None or groups is None:
        missing = unread(section, ("id",))
        return missing, missing
    members = tuple(re.findall(r"\d+\(([^)]*)\)", groups.group(1)))
    return Known(user.group(1), "id"), Known(members, "id")


def _product(table: Table) -> Known[str] | Unknown:
    product = table.text(f"{_DMI}/product_name")
    vendor = table.raw(f"{_DMI}/sys_vendor")
    if isinstance(product, Unknown) or not vendor or product.value.startswith(vendor):
        return product
    return Known(f"{vendor} {product.value}", f"{_DMI}/sys_vendor, product_name")


AREA = Area("host", SCRIPT, parse)
