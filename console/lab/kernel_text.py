"""The kernel log of a played host, as `dmesg -x --time-format iso` prints it: a boot without faults, and faults."""

from collections.abc import Iterable, Iterator
from datetime import UTC, datetime, timedelta

from console.lab import gpu_files
from console.lab.specs import Kind

BOOTED_AGO = timedelta(days=10)

FAULTS: dict[str, tuple[str, ...]] = {
    "log-gpu-reset": (
        "warn  : amdgpu {bdf}: amdgpu: ring comp_1.1.0 timeout, signaled seq=813605, emitted seq=813607",
        "info  : amdgpu {bdf}: amdgpu: GPU reset begin!",
        "info  : amdgpu {bdf}: amdgpu: GPU reset succeeded, trying to resume",
        "info  : [drm] VRAM is lost due to GPU reset!",
    ),
    "log-ras": (
        "err   : amdgpu {bdf}: {{1}}uncorrectable hardware error(ERREVENT_ATHUB_INTERRUPT) detected!",
        "err   : amdgpu {bdf}: {{1}}[Hardware Error]: Accelerator Check Architecture events logged",
        "err   : amdgpu {bdf}: {{1}}[Hardware Error]: aca entry[00].STATUS=0x98000800003e0000",
    ),
    "log-correctable": (
        "warn  : amdgpu {bdf}: amdgpu: 3 correctable hardware errors detected in total in umc block, no user action is "
        "needed",
    ),
    "log-page-fault": (
        "err   : amdgpu {bdf}: amdgpu: [gfxhub0] no-retry page fault (src_id:0 ring:24 vmid:8 pasid:32771)",
    ),
    "log-pcie": (
        "err   : pcieport 0000:04:01.0: AER: Uncorrected (Fatal) error received: {bdf}",
        "err   : amdgpu {bdf}: PCIe Bus Error: severity=Uncorrected (Fatal), type=Transaction Layer",
    ),
    "log-throttled": ("warn  : amdgpu {bdf}: amdgpu: GPU is throttled: PROCHOT",),
    "log-oversubscribed": (
        "warn  : amdgpu: Runlist is getting oversubscribed. Expect reduced ROCm performance.",
    ),
    "log-gpu-lost": ("err   : amdgpu {bdf}: amdgpu: device lost from bus!",),
    "log-nic": (
        "err   : mlx5_core 0000:c1:00.0: health_care:139:(pid 512): device's health compromised - reached miss count",
    ),
}  # fmt: skip
"""Lines of each named failure: level and text, `{bdf}` the GPU's address."""


def booted(kind: Kind) -> str:
    """The log since boot of a host on which nothing is wrong."""
    start = datetime.now(UTC) - BOOTED_AGO
    return "".join(_lines(start, _boot(kind)))


def fault(name: str, gpu: int, ago: timedelta = timedelta(minutes=7)) -> str:
    """The lines of a named failure, so long ago. KeyError for an unknown name."""
    texts = (text.format(bdf=gpu_files.bdf(gpu)) for text in FAULTS[name])
    return "".join(_lines(datetime.now(UTC) - ago, texts))


def _lines(start: datetime, texts: Iterable[str]) -> Iterator[str]:
    for number, text in enumerate(texts):
        at = (start + timedelta(milliseconds=137 * number)).strftime("%Y-%m-%dT%H:%M:%S,%f+00:00")
        yield f"kern  :{text[:6]}: {at} {text[8:]}\n"


def _boot(kind: Kind) -> Iterator[str]:
    yield f"notice: Linux version {kind.kernel} (instinct-lab, simulated) #126-Ubuntu SMP"
    yield f"info  : Command line: BOOT_IMAGE=/boot/vmlinuz-{kind.kernel} ro iommu=pt"
    yield f"info  : smpboot: CPU0: {kind.cpu} (family: 0x{kind.family - 15:x}, model: 0x{kind.model:x}, stepping: 0x1)"
    yield "info  : iommu: Default domain type: Passthrough (set via kernel command line)"
    yield "warn  : amdkcl: loading out-of-tree module taints kernel."
    yield "info  : [drm] amdgpu kernel modesetting enabled."
    yield f"info  : [drm] amdgpu version: {kind.driver}"
    yield "info  : amdgpu: Virtual CRAT table created for CPU"
    yield "info  : amdgpu: Topology: Add CPU node"
    for gpu in range(kind.gpus):
        spec = kind.gpu.device_id.upper()
        yield (f"info  : [drm] initializing kernel modesetting (IP DISCOVERY 0x1002:0x{spec} 0x1002:0x{spec} 0x00).")
        yield f"info  : amdgpu {gpu_files.bdf(gpu)}: amdgpu: MEM ECC is active."
        yield f"info  : amdgpu {gpu_files.bdf(gpu)}: amdgpu: SRAM ECC is active."
