"""amd-smi, or rocm-smi where there is no amd-smi, to fill what sysfs leaves open. Never required, never believed more.

amd-smi opens the devices, which would wake them: it is not asked while a GPU sleeps. Its JSON changes with every
release, so each value is looked for under all the names it has had.
"""

import re
from collections.abc import Mapping, Sequence
from typing import Any

import msgspec

from console.fleet.probe.smi_values import Tree, at, first_object, gpu_entries, leaves, number, text, whole
from console.fleet.script import Area, Section
from console.model.facts import BadPages, Driver, Firmware, Gpu, Known, RasBlock, Throttle, Unknown

COMMANDS = {
    "smi.version": ("amd-smi", "version", "--json"),
    "smi.metric": ("amd-smi", "metric", "--json"),
    "smi.static": ("amd-smi", "static", "--json"),
    "smi.list": ("amd-smi", "list", "-e", "--json"),
    "smi.pages": ("amd-smi", "bad-pages", "--json"),
    "smi.firmware": ("amd-smi", "firmware", "--json"),
    "smi.xgmi": ("amd-smi", "xgmi", "-l", "--json"),
}
ROCM_SMI = (
    "rocm-smi -i --showbus --showproductname --showuniqueid --showvbios --showtemp --showpower --showmaxpower "
    "--showuse --showperflevel --showmeminfo vram --json"
)
BUDGET_S = 20
"""Each command starts a Python with a library behind it; after this long no further one is started."""

SCRIPT = f"""
if [ "$TOOLS" = yes ]; then
  if [ -n "$ROOT" ]; then
    {"".join(f"output {name} {' '.join(argv)}; " for name, argv in COMMANDS.items())}
    output smi.rocm {ROCM_SMI}
  elif [ -n "$asleep" ]; then begin smi.version amd-smi; end smi.version asleep
  elif command -v amd-smi >/dev/null 2>&1; then
    until=$(($(date +%s) + {BUDGET_S}))
    more() {{ [ "$(date +%s)" -lt "$until" ]; }}
    {"".join(f"if more; then output {name} {' '.join(argv)}; fi{chr(10)}    " for name, argv in COMMANDS.items())}:
  elif command -v rocm-smi >/dev/null 2>&1; then output smi.rocm {ROCM_SMI}
  else begin smi.version amd-smi; end smi.version absent
  fi
fi
"""

_VIOLATIONS = re.compile(r"(\w+)_violation_status")
_NOT_NOW = ("low_utilization", "total_gfx_clk_below_host_limit", "gfx_clk_below_host_limit_total")
"""Shown as active by an idle MI300X too: no throttling."""


def enrich(gpus: tuple[Gpu, ...], found: Mapping[str, Section]) -> tuple[Gpu, ...]:
    """The same GPUs with gaps filled from the tools, matched by PCI address."""
    serials = {gpu.unique_id.value.lower(): gpu.device_bdf for gpu in gpus if isinstance(gpu.unique_id, Known)}
    trees = _trees(found, serials)
    cards = {} if trees else _cards(found.get("smi.rocm"))
    gaps = {field: _only(found, command) for field, command in _ONLY_HERE.items()}
    gpus = tuple(msgspec.structs.replace(gpu, **gaps) for gpu in gpus)
    return tuple(_rocm(_amd(gpu, trees.get(gpu.bdf)), cards.get(gpu.bdf)) for gpu in gpus)


_ONLY_HERE = {
    "smi_index": "smi.list",
    "hip_id": "smi.list",
    "bad_page_threshold": "smi.static",
    "pcie_nak_sent": "smi.metric",
    "pcie_nak_received": "smi.metric",
    "throttle": "smi.metric",
    "xgmi_link_states": "smi.xgmi",
}
"""Facts that no file tells, and the command that does."""


def _only(found: Mapping[str, Section], command: str) -> Unknown:
    section, show = found.get(command), COMMANDS[command]
    if section is not None and not (section.why == "absent" and "smi.version" in found):
        return _gap(section, show)
    if "smi.version" in found:
        return _gap(found["smi.version"], show)
    if "smi.rocm" in found:
        return Unknown("rocm-smi does not tell", "", show)
    return Unknown("amd-smi was not asked", "", show)


def versions(driver: Driver, found: Mapping[str, Section]) -> Driver:
    """The driver's facts with the versions amd-smi tells. That of the driver itself only where sysfs has none."""
    section = found.get("smi.version")
    show = COMMANDS["smi.version"]
    if section is None:
        missing = _only(found, "smi.version")
        return msgspec.structs.replace(driver, amd_smi_version=missing, amd_smi_rocm=missing)
    tree = first_object(section.data) if section.exit is not None else {}
    missing = _gap(section, show)
    version, rocm = text(at(tree, "version")), text(at(tree, "rocm_version"))
    return msgspec.structs.replace(
        driver,
        amd_smi_version=Known(version, " ".join(show)) if version else missing,
        amd_smi_rocm=Known(rocm, " ".join(show)) if rocm else missing,
    )


def _gap(section: Section, show: tuple[str, ...]) -> Unknown:
    if section.why == "absent":
        return Unknown("no amd-smi on the host; containers bring their own", "", show)
    if section.why == "asleep":
        return Unknown("a GPU sleeps, and amd-smi would wake it", "", show)
    said = section.data.decode("utf-8", "replace")
    if "required groups" in said or "Permission denied" in said or "Permission needed" in said:
        return Unknown("permission denied", "the account is not in the groups render and video", ("id", "-nG"))
    return Unknown("amd-smi does not tell", " ".join(section.source.split()), show)


def _trees(found: Mapping[str, Section], serials: Mapping[str, str]) -> dict[str, dict[str, Tree]]:
    """What each command said of each GPU, by PCI address. Some releases tell it to root only: then the serial helps."""
    places: dict[int, str] = {}
    entries = {name: gpu_entries(found[name].data) for name in COMMANDS if name in found and name != "smi.version"}
    for name, path in (("smi.list", "bdf"), ("smi.static", "bus.bdf"), ("smi.xgmi", "bdf")):
        for entry in entries.get(name, ()):
            bdf, index = text(at(entry, path)), whole(entry.get("gpu"))
            if (
                bdf
                and index is not None
                and re.fullmatch(r"[0-9a-fA-F]{4,8}:[0-9a-fA-F]{2}:[0-9a-fA-F]{2}\.[0-7]", bdf)
            ):
                places.setdefault(index, bdf.lower())
    for entry in entries.get("smi.static", ()):
        serial, index = text(at(entry, "asic.asic_serial")), whole(entry.get("gpu"))
        bdf = serials.get((serial or "").lower().removeprefix("0x"))
        if index is not None and bdf and bdf not in places.values():
            places.setdefault(index, bdf)
    trees: dict[str, dict[str, Tree]] = {}
    for name, found_entries in entries.items():
        for entry in found_entries:
            index = whole(entry.get("gpu"))
            if index is not None and index in places:
                trees.setdefault(places[index], {})[name] = entry
    return trees


def _amd(gpu: Gpu, trees: Mapping[str, Tree] | None) -> Gpu:
    """Fill what is unknown. Throttling and link states are known to amd-smi alone."""
    if trees is None:
        return gpu
    static, metric = trees.get("smi.static", {}), trees.get("smi.metric", {})
    listed = trees.get("smi.list", {})
    filled: dict[str, Any] = {}

    def fill(field: str, command: str, value: Any) -> None:
        if value is not None and isinstance(getattr(gpu, field), Unknown):
            filled[field] = Known(value, " ".join(COMMANDS[command]))

    fill("smi_index", "smi.list", whole(next(iter(trees.values())).get("gpu")))
    fill("hip_id", "smi.list", whole(at(listed, "hip_id")))
    fill("oam_id", "smi.static", whole(at(static, "asic.oam_id")))
    fill("serial_number", "smi.static", text(at(static, "board.product_serial")))
    fill("product_name", "smi.static", text(at(static, "asic.market_name", "board.product_name")))
    fill("vbios_version", "smi.static", text(at(static, "ifwi.part_number", "vbios.part_number")))
    fill("gfx", "smi.static", text(at(static, "asic.target_graphics_version")))
    fill("compute_units", "smi.static", whole(at(static, "asic.num_compute_units")))
    fill("bad_page_threshold", "smi.static", whole(at(static, "ras.bad_page_threshold")))
    fill("power_cap_w", "smi.static", _cap(static, "socket_power"))
    fill("power_cap_max_w", "smi.static", _cap(static, "max_power"))
    for field, name in (("junction", "hotspot"), ("memory", "vram")):
        for what in ("slowdown", "shutdown"):
            fill(f"{field}_{what}_c", "smi.static", number(at(static, f"limit.{what}_{name}_temperature"), "C"))
    fill("pcie_max_width", "smi.static", whole(at(static, "bus.max_pcie_width")))
    fill("pcie_max_speed_gts", "smi.static", number(at(static, "bus.max_pcie_speed"), "GT/s"))
    fill("pcie_width", "smi.metric", whole(at(metric, "pcie.width")))
    fill("pcie_speed_gts", "smi.metric", number(at(metric, "pcie.speed"), "GT/s"))
    fill("power_w", "smi.metric", number(at(metric, "power.socket_power", "power.current_socket_power"), "W"))
    fill("junction_c", "smi.metric", number(at(metric, "temperature.hotspot"), "C"))
    fill("memory_c", "smi.metric", number(at(metric, "temperature.mem"), "C"))
    fill("busy_percent", "smi.metric", number(at(metric, "usage.gfx_activity"), "%"))
    fill("memory_busy_percent", "smi.metric", number(at(metric, "usage.umc_activity"), "%"))
    fill("vram_total_bytes", "smi.metric", _mib(at(metric, "mem_usage.total_vram")))
    fill("vram_used_bytes", "smi.metric", _mib(at(metric, "mem_usage.used_vram")))
    fill("sclk_mhz", "smi.metric", whole(at(metric, "clock.gfx_0.clk")))
    fill("mclk_mhz", "smi.metric", whole(at(metric, "clock.mem_0.clk")))
    fill("performance_level", "smi.metric", _level(text(at(metric, "perf_level"))))
    fill("pcie_replay_count", "smi.metric", whole(at(metric, "pcie.replay_count")))
    fill("pcie_nak_sent", "smi.metric", whole(at(metric, "pcie.nak_sent_count")))
    fill("pcie_nak_received", "smi.metric", whole(at(metric, "pcie.nak_received_count")))
    fill("throttle", "smi.metric", _throttle(at(metric, "throttle")))
    fill("ras", "smi.metric", _blocks(at(metric, "ecc_blocks")))
    fill("bad_pages", "smi.pages", _pages(trees.get("smi.pages", {})))
    fill("firmware", "smi.firmware", _firmware(trees.get("smi.firmware", {})))
    fill("xgmi_link_states", "smi.xgmi", _states(trees.get("smi.xgmi", {})))
    if gpu.partition:  # these belong to a whole device; amd-smi gives "N/A" or the device's figure for a partition
        for field in ("vram_total_bytes", "vram_used_bytes", "compute_units"):
            filled.pop(field, None)
    return msgspec.structs.replace(gpu, **filled)


def _cap(static: Tree, name: str) -> float | None:
    """A power limit: flat up to ROCm 7.1, in `ppt0` from 7.2 on."""
    return number(at(static, f"limit.ppt0.{name}_limit", f"limit.{name}_limit", f"limit.{name}"), "W")


def _mib(value: Any) -> int | None:
    """ "MB" there is MiB."""
    found = number(value)
    return int(found * 1024 * 1024) if found is not None and found >= 0 else None


def _level(name: str | None) -> str | None:
    return name.removeprefix("AMDSMI_DEV_PERF_LEVEL_").lower() if name else None


def _throttle(tree: Any) -> tuple[Throttle, ...] | None:
    """What `*_violation_status` says of now. Accumulated counters are totals of a lifetime and say nothing of now."""
    if not isinstance(tree, Mapping):
        return None
    found = []
    for key, value in tree.items():
        match = _VIOLATIONS.fullmatch(key)
        if match is None or match.group(1) in _NOT_NOW:
            continue
        states = {str(leaf).strip().upper() for leaf in leaves(value)}
        active = True if states & {"ACTIVE", "TRUE"} else False if states & {"NOT ACTIVE", "FALSE"} else None
        percents = [number(leaf) for leaf in leaves(_values(tree.get(f"{match.group(1)}_violation_activity")))]
        told = [percent for percent in percents if percent is not None]
        found.append(Throttle(reason=match.group(1), active=active, percent=max(told) if told else None))
    return tuple(found) or None


def _values(value: Any) -> Any:
    """The numbers of {"value", "unit"} objects, so that units are not taken for values."""
    if isinstance(value, Mapping):
        return value.get("value") if "value" in value else [_values(item) for item in value.values()]
    return [_values(item) for item in value] if isinstance(value, list) else value


def _blocks(tree: Any) -> tuple[RasBlock, ...] | None:
    if not isinstance(tree, Mapping):
        return None
    found = []
    for block, counts in tree.items():
        ue, ce = whole(at(counts, "uncorrectable_count")), whole(at(counts, "correctable_count"))
        if ue is not None and ce is not None:
            deferred = whole(at(counts, "deferred_count"))
            found.append(RasBlock(block=block, uncorrectable=ue, correctable=ce, deferred=deferred))
    return tuple(found) or None


def _pages(tree: Tree) -> BadPages | None:
    """Each kind is a list, or the sentence that there are none. "N/A" is no answer."""
    counts = []
    for name in ("retired", "pending", "un_res"):
        value = at(tree, name, f"{name}_pages")
        if isinstance(value, list):
            counts.append(sum(isinstance(item, Mapping) for item in value))
        elif isinstance(value, str) and "no bad pages" in value.lower():
            counts.append(0)
        else:
            return None
    return BadPages(retired=counts[0], pending=counts[1], unreservable=counts[2])


def _firmware(tree: Tree) -> tuple[Firmware, ...] | None:
    entries = at(tree, "fw_list", "firmware")
    found = []
    for entry in entries if isinstance(entries, list) else ():
        name, version = text(at(entry, "fw_id", "fw_name")), text(at(entry, "fw_version"))
        if name and version:
            found.append(Firmware(name.lower(), version))
    return tuple(found) or None


def _states(tree: Tree) -> tuple[str, ...] | None:
    """Up, down or disabled for each link; a virtual function shows nothing but "down" or "N/A", which says nothing."""
    names = {"U": "up", "UP": "up", "D": "down", "DOWN": "down", "X": "disabled", "DISABLED": "disabled"}
    words = [str(leaf).strip().upper() for leaf in leaves(at(tree, "link_status"))]
    found = tuple(names[word] for word in words if word in names)
    return found if "up" in found else None


def _cards(section: Section | None) -> dict[str, Tree]:
    """rocm-smi's `card0`, `card1`, … by PCI address."""
    cards: dict[str, Tree] = {}
    for card in first_object(section.data).values() if section is not None else ():
        bdf = text(at(card, "pci_bus"))
        if bdf:
            cards.setdefault(bdf.lower(), card)
    return cards


def _rocm(gpu: Gpu, card: Tree | None) -> Gpu:
    if card is None:
        return gpu
    filled: dict[str, Any] = {}

    def fill(field: str, value: Any) -> None:
        if value is not None and isinstance(getattr(gpu, field), Unknown):
            filled[field] = Known(value, ROCM_SMI)

    fill("power_w", number(at(card, *(f"{kind}_power_(w)" for kind in _POWERS))))
    fill("power_cap_w", number(at(card, "max_graphics_package_power_(w)")))
    fill("junction_c", number(at(card, "temperature_(sensor_junction)_(c)")))
    fill("memory_c", number(at(card, "temperature_(sensor_memory)_(c)", "temperature_(sensor_hbm_0)_(c)")))
    fill("busy_percent", number(at(card, "gpu_use_(%)")))
    fill("performance_level", text(at(card, "performance_level")))
    fill("vbios_version", text(at(card, "vbios_version")))
    fill("product_name", text(at(card, "card_series", "card_model")))
    if not gpu.partition:
        fill("vram_total_bytes", whole(at(card, "vram_total_memory_(b)")))
        fill("vram_used_bytes", whole(at(card, "vram_total_used_memory_(b)")))
    return msgspec.structs.replace(gpu, **filled)


_POWERS = ("current_socket_graphics_package", "average_graphics_package")


def parse(found: Mapping[str, Section]) -> Sequence[str]:
    """Names of the tools that answered."""
    return tuple(name for name in (*COMMANDS, "smi.rocm") if name in found and found[name].ok)


AREA = Area("smi", SCRIPT, parse)
