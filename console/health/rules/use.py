"""Who uses the GPUs: nobody where they are expected idle, and no memory that belongs to nobody."""

from collections.abc import Iterable

from console.health.rules.base import Say, no_gpus, pairs, rule
from console.model.facts import GpuProcess, Known, Unknown, first_unknown
from console.model.finding import Finding
from console.model.units import binary_size

IDLE_VRAM_BYTES = 1 << 30
"""Driver and firmware hold some memory of an idle GPU: 283 MiB were seen on an MI300X."""
_IDLE_PERCENT = 5.0
_DAEMONS = frozenset({"gpuagent", "rocm-smi-daemon", "rocm-smi-daemo", "amd-smi", "rdcd", "amdgpu-exporter"})
"""Look at GPUs and use none; process names are cut at 15 characters by the kernel."""


@rule(
    "gpu.processes",
    "use",
    "nobody uses the GPUs while they are expected to be idle",
    detail="Judged with --expect idle (prologues, before a benchmark); with --expect any, work on GPUs is normal and "
    "only shown. Monitoring daemons do not count.",
    source="AMD Primus node smoke test: no foreign processes",
)
def processes(say: Say) -> Iterable[Finding]:
    """Processes of KFD, and load."""
    fact = say.facts.driver.processes
    pids = say.facts.driver.kfd_process_ids
    if isinstance(fact, Known):
        users = [item for item in fact.value if item.name not in _DAEMONS]
        seen, source = ", ".join(_named(item) for item in users[:6]), fact.source
        number = len(users)
    elif isinstance(pids, Known):
        seen, source, number = ", ".join(str(pid) for pid in pids.value[:6]), pids.source, len(pids.value)
    else:
        return [_idle_unknown(say, pids)]
    if not number:
        return [_by_load(say, source)]
    text = f"{number} processes use the GPUs: {seen}"
    if not say.case.expect_idle:
        return [say.passed(text, evidence=source)]
    return [
        say.failed(
            text,
            expected="idle GPUs",
            evidence=source,
            remedy="ask their owner; docker ps; ps -fp PID",
        )
    ]


@rule(
    "gpu.orphaned_memory",
    "use",
    "no memory of a GPU is in use that belongs to nobody",
    detail="A process that died badly may leave its memory behind until the driver is reloaded.",
    source="AMD Primus node smoke test: below 1 GiB when idle",
    required=False,
)
def orphaned(say: Say) -> Iterable[Finding]:
    """VRAM in use though no process holds the GPUs."""
    if not say.gpus:
        return [no_gpus(say, "the memory in use")]
    pids = say.facts.driver.kfd_process_ids
    if isinstance(pids, Known) and pids.value:
        return [say.passed("processes use the GPUs")]
    used = {
        gpu.bdf: binary_size(gpu.vram_used_bytes.value)
        for gpu in say.gpus
        if isinstance(gpu.vram_used_bytes, Known) and gpu.vram_used_bytes.value > IDLE_VRAM_BYTES
    }
    if used:
        nobody = "though no process holds a GPU" if isinstance(pids, Known) else "by whom is not known"
        return [
            say.warned(
                f"memory in use {nobody}: {pairs(used)}",
                expected=f"below {binary_size(IDLE_VRAM_BYTES)}",
                evidence="mem_info_vram_used",
                remedy="sudo amd-smi process; sudo fuser -v /dev/kfd /dev/dri/renderD*; then reload amdgpu or reboot",
            )
        ]
    unknown = first_unknown(gpu.vram_used_bytes for gpu in say.gpus)
    return [say.unknown("the memory in use", unknown) if unknown else say.passed("no memory is left behind")]


def _by_load(say: Say, source: str) -> Finding:
    """No process is seen; an idle GPU has no load either."""
    busy = {
        gpu.bdf: f"{gpu.busy_percent.value:g} %"
        for gpu in say.devices
        if isinstance(gpu.busy_percent, Known) and gpu.busy_percent.value > _IDLE_PERCENT
    }
    if busy and say.case.expect_idle:
        remedy = "docker ps; sudo fuser -v /dev/kfd   # a guest or a container may hide its processes"
        return say.failed(f"no process is seen, but GPUs work: {pairs(busy)}", expected="idle GPUs", remedy=remedy)
    return say.passed("no process uses the GPUs", evidence=source)


def _idle_unknown(say: Say, pids: Unknown) -> Finding:
    waived = {} if say.case.expect_idle else {"waived": "whether GPUs are in use does not matter here"}
    return say.unknown("who uses the GPUs", pids, **waived)


def _named(item: GpuProcess) -> str:
    container = f" in container {item.container[:12]}" if item.container else ""
    return f"{item.name or 'process'} {item.pid}{f' of {item.user}' if item.user else ''}{container}"
