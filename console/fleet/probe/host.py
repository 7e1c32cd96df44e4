"""Operating system, board, memory, limits, account. All of it is readable without root."""

import re
from collections.abc import Mapping

import msgspec

from console.fleet.probe import cpu
from console.fleet.probe.reading import Table, lines, unread
from console.fleet.script import Area, Section
from console.model.facts import UNLIMITED, Known, System, Unknown
from console.model.text import clean_line

_DMI = "/sys/class/dmi/id"
_KFD = "/sys/class/kfd/kfd/topology/system_properties"
_THP = "/sys/kernel/mm/transparent_hugepage/enabled"
_DMESG = "/proc/sys/kernel/dmesg_restrict"

_HEAD = f"""
begin host 'files under /proc and /sys'
for name in hostname random/boot_id osrelease version numa_balancing dmesg_restrict; do
  value "/proc/sys/kernel/$name"
done
for name in cmdline uptime loadavg sys/vm/swappiness; do value "/proc/$name"; done
for name in online present smt/active smt/control cpu0/cpufreq/scaling_driver cpufreq/boost; do
  value "{cpu.CPU}/$name"
done
for name in bios_vendor bios_version bios_date sys_vendor product_name board_name; do value "{_DMI}/$name"; done
value {_THP}
names "$ROOT"/sys/class/iommu/*
if [ ! -d "$ROOT/sys/class" ]; then printf '!/sys/class absent\\n'; fi
end host 0
whole host.os /etc/os-release
whole host.meminfo /proc/meminfo
whole host.kfd {_KFD}
begin host.limits /proc/self/limits
if [ -r "$ROOT/proc/self/limits" ]; then
  while IFS= read -r line; do
    case $line in 'Max locked memory'*|'Max open files'*|'Max stack size'*) printf '%s\\n' "$line" ;; esac
  done < "$ROOT/proc/self/limits"
  end host.limits 0
else end host.limits absent; fi
begin host.iommu '/sys/kernel/iommu_groups/*/type'
tally "$ROOT"/sys/kernel/iommu_groups/*/type
end host.iommu 0
output host.id id
"""
SCRIPT = _HEAD + cpu.SCRIPT


def parse(found: Mapping[str, Section]) -> System:
    """What the sections say of the system."""
    table = Table(found.get("host"))
    memory, available = _memory(found)
    user, groups = _account(found)
    os, os_id, os_version = _os(found)
    return msgspec.structs.replace(
        cpu.parse(found, table),
        hostname=table.text("/proc/sys/kernel/hostname"),
        boot_id=table.text("/proc/sys/kernel/random/boot_id"),
        kernel=table.text("/proc/sys/kernel/osrelease"),
        kernel_build=table.text("/proc/sys/kernel/version"),
        cmdline=table.text("/proc/cmdline"),
        uptime_s=table.read("/proc/uptime", _first_number),
        load_1m=table.read("/proc/loadavg", _first_number),
        numa_balancing=table.integer("/proc/sys/kernel/numa_balancing"),
        swappiness=table.integer("/proc/sys/vm/swappiness"),
        dmesg_restricted=table.read(_DMESG, cpu.flag),
        bios_version=table.text(f"{_DMI}/bios_version"),
        bios_date=table.text(f"{_DMI}/bios_date"),
        bios_vendor=table.text(f"{_DMI}/bios_vendor"),
        vendor=_vendor(table, found),
        product=_product(table),
        board=_board(table, found),
        iommu=_iommu(table, found),
        thp=table.read(_THP, _bracketed),
        memory_bytes=memory,
        memory_available_bytes=available,
        groups=groups,
        user=user,
        os=os,
        os_id=os_id,
        os_version=os_version,
        memlock_bytes=_limit(found, "Max locked memory"),
        open_files=_limit(found, "Max open files"),
        stack_bytes=_limit(found, "Max stack size"),
    )


def _first_number(text: str) -> float:
    word = text.split()[0]
    if not re.fullmatch(r"\d{1,12}(\.\d{1,6})?", word, re.ASCII):
        raise ValueError(text)
    return float(word)


def _bracketed(text: str) -> str:
    match = re.search(r"\[(\w+)\]", text)
    if match is None:
        raise ValueError(text)
    return match.group(1)


def _iommu(table: Table, found: Mapping[str, Section]) -> Known[str] | Unknown:
    """The type of the groups' domains tells the mode, also where the kernel was built to pass through."""
    show = ("sh", "-c", "cat /sys/kernel/iommu_groups/*/type | sort | uniq -c")
    section = found.get("host.iommu")
    if table.cut or section is None or not section.ok:
        return unread(section, show)
    types = set(re.findall(rb"^ *\d+ ([A-Za-z-]{1,20})$", section.data, re.MULTILINE))
    if not types:
        if "/sys/class" in table.missing:
            return Unknown("not there", "/sys/class/iommu", show)
        if not any(name.startswith("/sys/class/iommu/") for name in table.names):
            return Known("off", "/sys/class/iommu is empty")
        return Unknown("the groups tell no type", section.source, show)
    passing = types & {b"identity"}
    if passing and types - passing:
        return Known("mixed", section.source)
    return Known("passthrough" if passing else "translating", section.source)


def _limit(found: Mapping[str, Section], name: str) -> Known[int] | Unknown:
    """A soft limit of the session the probe ran in."""
    section, show = found.get("host.limits"), ("cat", "/proc/self/limits")
    if section is None or not section.ok:
        return unread(section, show)
    match = re.search(rb"^" + name.encode() + rb" +(\d{1,19}|unlimited) ", section.data, re.MULTILINE)
    if match is None:
        return Unknown("no such line in it", f"{section.source}: {name}", show)
    value = UNLIMITED if match.group(1) == b"unlimited" else min(UNLIMITED, int(match.group(1)))
    return Known(value, f"{section.source}: {name}")


def _firmware_vendor(found: Mapping[str, Section]) -> dict[str, str]:
    """The ACPI OEM ids that KFD keeps as little-endian numbers: who made the board, also where DMI is not readable."""
    names = {}
    for line in lines(found, "host.kfd"):
        match = re.fullmatch(r"(platform_oem|platform_id) (\d{1,20})", line, re.ASCII)
        if match:
            data = int(match.group(2)).to_bytes(9, "little")
            names[match.group(1)] = clean_line(data).strip("\0 ")
    return names


def _vendor(table: Table, found: Mapping[str, Section]) -> Known[str] | Unknown:
    vendor = table.text(f"{_DMI}/sys_vendor")
    other = _firmware_vendor(found).get("platform_id")
    return Known(other, f"{_KFD} platform_id") if isinstance(vendor, Unknown) and other else vendor


def _board(table: Table, found: Mapping[str, Section]) -> Known[str] | Unknown:
    board = table.text(f"{_DMI}/board_name")
    other = _firmware_vendor(found).get("platform_oem")
    return Known(other, f"{_KFD} platform_oem") if isinstance(board, Unknown) and other else board


def _os(found: Mapping[str, Section]) -> tuple[Known[str] | Unknown, Known[str] | Unknown, Known[str] | Unknown]:
    section = found.get("host.os")
    if section is None or not section.ok:
        missing = unread(section, ("cat", "/etc/os-release"))
        return missing, missing, missing
    source = section.source
    values: dict[str, str] = {}
    for line in lines(found, "host.os"):
        key, _, value = line.partition("=")
        values.setdefault(key.strip(), value.strip().strip("\"'"))

    def fact(name: str, what: str) -> Known[str] | Unknown:
        return Known(name, source) if name else Unknown(f"no {what} in it", source, ("cat", source))

    name = values.get("PRETTY_NAME") or f"{values.get('NAME', '')} {values.get('VERSION_ID', '')}".strip()
    return fact(name, "name"), fact(values.get("ID", ""), "ID"), fact(values.get("VERSION_ID", ""), "VERSION_ID")


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
