"""GPUs: all there, all driven, of the right model, all alike."""

from collections import Counter
from collections.abc import Callable, Iterable, Mapping

from console.health.rules.base import Say, addresses, compared, expectation_of, no_gpus, pairs, rule
from console.model.facts import Gpu, Known, Unknown, first_unknown, value_or
from console.model.finding import Finding
from console.model.names import gpu_name
from console.model.profile import Expectation
from console.model.units import binary_size

_VRAM_TOLERANCE = 0.01

_DIES = {"MI250X": 2}
"""Modules whose dies show as GPUs of their own."""
_SHARED_WITH_CPU = "MI300A"

_ALIKE: Mapping[str, Callable[[Gpu], object]] = {
    "device id": lambda gpu: gpu.device_id,
    "VRAM": lambda gpu: value_or(gpu.vram_total_bytes, None),
    "compute units": lambda gpu: value_or(gpu.compute_units, None),
    "VBIOS": lambda gpu: value_or(gpu.vbios_version, None),
    "firmware": lambda gpu: value_or(gpu.firmware, None),
    "board": lambda gpu: value_or(gpu.subsystem_id, None),
    "performance level": lambda gpu: value_or(gpu.performance_level, None),
    "compute partition": lambda gpu: value_or(gpu.compute_partition, None),
}


@rule(
    "gpu.count",
    "gpus",
    "every GPU of the server is there and driven by amdgpu",
    detail="Devices are counted, however they are partitioned.",
    source="the server's profile",
)
def count(say: Say) -> Iterable[Finding]:
    """Number of devices."""
    fact = say.facts.gpus
    server = say.case.profile
    expected = expectation_of(say, "gpu.count")
    if expected is None and server is not None:
        expected = Expectation(fact="gpu.count", accept=(server.gpus,), source=server.source)
    if expected is None:
        expected = Expectation(fact="gpu.count", low=1, source="a GPU server has a GPU")
    remedy = "lspci -nnd 1002: | grep -iE 'accel|display'; sudo dmesg | grep -i amdgpu   # off the bus, or not started?"
    if isinstance(fact, Unknown):
        return [say.unknown("the number of GPUs", fact)]
    return [compared(say, expected, remedy=remedy, what="number of GPUs")]


@rule("gpu.unbound", "gpus", "no Instinct GPU is left without its driver", source="ROCm/legacy-rocm-build#3856, #6281")
def unbound(say: Say) -> Iterable[Finding]:
    """On the bus, and not driven."""
    fact = say.facts.other_gpus
    if isinstance(fact, Unknown):
        return [say.unknown("which other devices there are", fact)]
    idle = [device for device in fact.value if device.name]
    if not idle:
        return [say.passed("every Instinct GPU on the bus is driven", evidence=fact.source)]
    seen = {device.bdf: f"{device.name} ({device.driver or 'no driver'})" for device in idle}
    return [
        say.failed(
            f"{len(idle)} GPUs on the bus are not driven by amdgpu: {pairs(seen)}",
            expected="amdgpu",
            evidence=fact.source,
            remedy="sudo dmesg | grep -iE 'amdgpu.*(fatal|failed)'; sudo modprobe amdgpu   # vfio-pci: for a guest",
        )
    ]


@rule("gpu.model", "gpus", "the GPUs are of the model the server's profile names", source="the server's profile")
def model(say: Say) -> Iterable[Finding]:
    """Model by profile."""
    expected = expectation_of(say, "gpu.model")
    if expected is None and say.case.profile is not None:
        expected = Expectation(fact="gpu.model", accept=(say.case.profile.gpu,), source=say.case.profile.source)
    if not say.gpus:
        return [no_gpus(say, "the GPU model")]
    if expected is None:
        names = Counter(gpu_name(str(value_or(gpu.model, None) or f"device {gpu.device_id}")) for gpu in say.devices)
        return [say.passed(", ".join(f"{number} x {name}" for name, number in names.items()))]
    return [compared(say, expected, remedy="name the right server profile in the fleet file", what="GPU model")]


@rule(
    "gpu.memory",
    "gpus",
    "every GPU has all of its memory",
    detail="The driver shows a few MiB less than the data sheet: 196592 MiB on an MI300X. 1 % is allowed.",
    source="data sheet of the GPU, 1 % allowed",
)
def memory(say: Say) -> Iterable[Finding]:
    """VRAM by profile, else by the data sheet; partitions of a GPU share it."""
    expected = expectation_of(say, "gpu.vram_total_bytes")
    if not say.gpus:
        return [no_gpus(say, "the GPUs' memory")]
    whole = all((gpu.device_bdf or gpu.bdf) == gpu.bdf for gpu in say.gpus) and len(say.devices) == len(say.gpus)
    if expected is not None and whole:
        return [compared(say, expected, remedy=_MEMORY_REMEDY, what="VRAM")]
    if say.case.gpu is None:
        return [say.passed("the model of the GPUs is not in the catalog: no memory size to hold them against")]
    if say.case.gpu.name == _SHARED_WITH_CPU:
        return [say.passed(f"the memory of an {_SHARED_WITH_CPU} is shared with its processor cores")]
    return [_memory_of_devices(say, say.case.gpu.vram_bytes // _DIES.get(say.case.gpu.name, 1))]


_MEMORY_REMEDY = "sudo dmesg | grep -iE 'vram|bad page'   # retired memory, or a BAR that is too small"


def _memory_of_devices(say: Say, size: int) -> Finding:
    """Partitions in NPS1 show the memory they share, those of other modes their part: both add up to the device."""
    unknown = first_unknown(gpu.vram_total_bytes for gpu in say.gpus)
    if unknown is not None:
        return say.unknown("the GPUs' memory", unknown)
    short: dict[str, str] = {}
    for device in say.devices:
        key = device.device_bdf or device.bdf
        parts = [value_or(gpu.vram_total_bytes, 0) for gpu in say.gpus if (gpu.device_bdf or gpu.bdf) == key]
        total = max(sum(parts), max(parts, default=0))
        if total < size * (1 - _VRAM_TOLERANCE):
            short[key] = binary_size(total)
    expected = f"{binary_size(size)}, 1 % allowed"
    if short:
        return say.failed(f"VRAM is too small: {pairs(short)}", expected=expected, remedy=_MEMORY_REMEDY)
    return say.passed(f"VRAM {binary_size(size)} on every GPU, 1 % allowed")


@rule(
    "gpu.alike",
    "gpus",
    "all GPUs of a host are alike",
    detail="The slowest GPU sets the pace of all; firmware that differs is the usual leftover of a replaced module.",
    source="AMD's node scraper: static fields consistent over the GPUs",
)
def alike(say: Say) -> Iterable[Finding]:
    """One finding for each thing that differs."""
    if len(say.gpus) < 2:
        yield say.passed("fewer than two GPUs") if say.gpus else no_gpus(say, "whether the GPUs are alike")
        return
    differs = False
    for what, value in _ALIKE.items():
        values = {gpu.bdf: value(gpu) for gpu in say.gpus}
        counts = Counter(item for item in values.values() if item is not None)
        if len(counts) < 2:
            continue
        differs = True
        usual = counts.most_common(1)[0][0]
        odd = {bdf: _short(what, item, usual) for bdf, item in values.items() if item not in (usual, None)}
        yield say.warned(
            f"{what} differs: {pairs(odd)}",
            about=what.replace(" ", "_").lower(),
            expected=f"as on the other {counts[usual]}" if what == "firmware" else f"{usual}, as on the others",
            remedy="instinct status HOST --gpus   # then update the firmware, or reset what was set by hand",
        )
    if not differs:
        yield say.passed(f"{len(say.gpus)} GPUs agree in {', '.join(_ALIKE)}")


def _short(what: str, value: object, usual: object) -> str:
    """Of firmware only the parts that differ."""
    if what != "firmware" or not isinstance(value, tuple) or not isinstance(usual, tuple):
        return str(value)
    return ", ".join(f"{item.name} {item.version}" for item in value if item not in usual) or "parts missing"


@rule(
    "gpu.bar",
    "gpus",
    "the host can address all of a GPU's memory",
    detail="Needs 'Above 4G decoding' in the BIOS; without it transfers go through a small window.",
    source="AMD MI300X system optimization",
    required=False,
)
def bar(say: Say) -> Iterable[Finding]:
    """Visible VRAM is all VRAM."""
    if not say.gpus:
        return [no_gpus(say, "the GPUs' address windows")]
    unknown = first_unknown(gpu.visible_vram_bytes for gpu in say.gpus)
    small = {
        gpu.bdf: binary_size(gpu.visible_vram_bytes.value)
        for gpu in say.gpus
        if isinstance(gpu.visible_vram_bytes, Known)
        and isinstance(gpu.vram_total_bytes, Known)
        and gpu.visible_vram_bytes.value < gpu.vram_total_bytes.value * (1 - _VRAM_TOLERANCE)
    }
    if small:
        return [
            say.warned(
                f"only part of the memory is visible to the host: {pairs(small)}",
                expected="all of it",
                remedy="BIOS: Above 4G decoding, resizable BAR",
            )
        ]
    if unknown is not None:
        return [say.unknown("how much memory the host can address", unknown)]
    return [say.passed("all memory is visible to the host")]


@rule(
    "gpu.compute_units",
    "gpus",
    "every GPU has all of its compute units",
    source="data sheet of the GPU",
    required=False,
)
def compute_units(say: Say) -> Iterable[Finding]:
    """Compute units of a device, over its partitions."""
    if not say.gpus:
        return [no_gpus(say, "the compute units")]
    if say.case.gpu is None:
        return [say.passed("no number of compute units is expected of this model")]
    unknown = first_unknown(gpu.compute_units for gpu in say.gpus)
    if unknown is not None:
        return [say.unknown("the number of compute units", unknown)]
    totals: Counter[str] = Counter()
    for gpu in say.gpus:
        totals[gpu.device_bdf or gpu.bdf] += value_or(gpu.compute_units, 0)
    wanted = say.case.gpu.compute_units // _DIES.get(say.case.gpu.name, 1)
    few = {bdf: total for bdf, total in totals.items() if total < wanted}
    if few:
        return [
            say.failed(
                f"compute units are missing: {pairs(few)}",
                expected=str(wanted),
                evidence=addresses(few),
                remedy="sudo dmesg | grep -i amdgpu   # was a part of the GPU switched off?",
            )
        ]
    return [say.passed(f"{wanted} compute units on every GPU")]
