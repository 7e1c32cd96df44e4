"""Values of facts for people, by the name of their field. Pure."""

from typing import Any

import msgspec

from console.model.facts import UNLIMITED
from console.model.text import Clean, clean_line
from console.model.units import binary_size, duration

UNITS = {
    "busy_percent": "%",
    "memory_busy_percent": "%",
    "speed_mbps": "Mb/s",
    "rate_gbps": "Gb/s",
    "max_mb_per_s": "MB/s",
}
_SUFFIXES = {"_w": "W", "_c": "°C", "_mhz": "MHz", "_gts": "GT/s", "_us": "µs"}
_WORDS = {
    **{
        word: word.upper() for word in ("cpu", "bios", "os", "smt", "numa", "gpu", "kfd", "iommu", "acs", "thp", "vram")
    },
    **{word: word.upper() for word in ("rdma", "dkms", "hip", "oam", "pci", "aer", "ras", "mtu", "id", "gid", "mac")},
    "rocm": "ROCm",
    "pcie": "PCIe",
    "xgmi": "xGMI",
    "nics": "NICs",
    "cpus": "CPUs",
    "gpus": "GPUs",
    "smi": "SMI",
    "xccs": "XCCs",
    "vbios": "VBIOS",
    "cmdline": "command line",
    "sclk": "engine clock",
    "mclk": "memory clock",
}
_PLAIN = ("load_1m",)
_SHOWN_ITEMS = 6


def label(name: str) -> str:
    """The name of a field for people: without its unit, which stands with the value."""
    text = name
    for suffix in ("_mb_per_s", "_bytes", "_percent", "_mbps", "_gbps", "_ns", "_s", *_SUFFIXES):
        if name.endswith(suffix):
            text = name.removesuffix(suffix) + (" temperature" if suffix == "_c" else "")
            break
    return " ".join(_WORDS.get(word, word) for word in text.replace(".", "_").split("_"))


def shown(name: str, value: Any, limit: int = 300) -> Clean:
    """A value with its unit."""
    return clean_line(_text(name, value), limit)


def _text(name: str, value: Any) -> str:
    if value is None:
        return "unknown"
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, int | float):
        return _number(name, value)
    if isinstance(value, msgspec.Struct):
        return _record(value)
    if isinstance(value, tuple):
        return _items(name, value)
    return str(value) if value != "" else "empty"


def _number(name: str, value: float) -> str:
    if name.endswith("_bytes"):
        return "unlimited" if value == UNLIMITED else binary_size(value)
    if name in UNITS:
        return f"{value:g} {UNITS[name]}"
    if name.endswith("_ns"):
        return f"{value / 1e6:.3g} ms"
    if name.endswith("_s"):
        return duration(value)
    if name not in _PLAIN:
        for suffix, unit in _SUFFIXES.items():
            if name.endswith(suffix):
                return f"{value:g} {unit}"
    return f"{value:g}" if isinstance(value, float) else str(value)


def _items(name: str, value: tuple[Any, ...]) -> str:
    if not value:
        return "none"
    if isinstance(value[0], msgspec.Struct):
        names = [str(getattr(item, "name", "") or getattr(item, "model", "") or "") for item in value]
        if all(names):
            return f"{len(value)}: {_some(names)}"
        return f"{len(value)}: {_record(value[0])}{' …' if len(value) > 1 else ''}"
    return _some([_text(name, item) for item in value])


def _some(texts: list[str]) -> str:
    rest = len(texts) - _SHOWN_ITEMS
    return ", ".join(texts[:_SHOWN_ITEMS]) + (f" and {rest} more" if rest > 0 else "")


def _record(value: msgspec.Struct) -> str:
    """Fields that say something, without those that are empty."""
    parts = []
    for name in value.__struct_fields__:
        item = getattr(value, name)
        if item in ("", (), None):
            continue
        parts.append(f"{label(name)} {_text(name, item)}")
    return ", ".join(parts)
