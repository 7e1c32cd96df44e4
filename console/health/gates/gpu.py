"""The GPUs: there, of the right model, enough of them, all alike, free."""

from collections import Counter
from collections.abc import Iterable

from console.health.check_ids import CheckId
from console.health.gates.base import Ask, Gate, grouped
from console.model.facts import Gpu, GpuContainer, Known, Unknown, first_unknown, value_or
from console.model.finding import Effect, Finding
from console.model.names import gpu_name
from console.model.units import binary_size

IDLE_VRAM_BYTES = 1 << 30
"""Driver and firmware hold some memory of an idle GPU: 283 MiB were seen on an MI300X."""

_ACTIVE = ("running", "paused", "restarting")
_SOURCE_IDLE = "a GPU that somebody else uses gives wrong figures, and ours would disturb their work"


def present(ask: Ask) -> Iterable[Finding]:
    """Instinct GPUs bound to amdgpu, and the KFD device that compute needs."""
    if ask.need.gpus == 0:
        return
    fact = ask.facts.gpus
    expected = f"{ask.need.gpus} GPUs bound to amdgpu"
    if isinstance(fact, Unknown):
        why = "the cell runs on GPUs"
        yield ask.unknown(CheckId.GPU_PRESENT, Effect.BLOCK, "what GPUs there are", fact, expected=expected, source=why)
    elif not fact.value:
        yield ask.failed(
            CheckId.GPU_PRESENT,
            Effect.BLOCK,
            "no GPU is bound to amdgpu",
            expected=expected,
            source="AMD's MI300X guide allows amdgpu to be loaded by hand after boot",
            remedy="sudo modprobe amdgpu",
            evidence=fact.source,
        )
    else:
        yield ask.passed(CheckId.GPU_PRESENT, f"{len(fact.value)} GPUs", fact.source)
    yield from _kfd(ask)


def model(ask: Ask) -> Iterable[Finding]:
    """Enough GPUs of a model the cell is written for."""
    if not ask.gpus or ask.need.gpus == 0:
        return
    wanted = [gpu_name(name) for name in ask.need.gpu_models]
    names = {gpu.bdf: _model(ask, gpu) for gpu in ask.gpus}
    unknown = first_unknown(gpu.model for gpu in ask.gpus if names[gpu.bdf] is None)
    fitting = [gpu for gpu in ask.gpus if not wanted or names[gpu.bdf] in wanted]
    expected = f"{ask.need.gpus} x {' or '.join(wanted) or 'any GPU'}"
    seen = ", ".join(f"{count} x {name or 'unknown model'}" for name, count in Counter(names.values()).items())
    if len(fitting) >= ask.need.gpus:
        yield ask.passed(CheckId.GPU_MODEL, seen)
    elif unknown is not None and wanted:
        yield ask.unknown(
            CheckId.GPU_MODEL, Effect.BLOCK, "the GPU model", unknown, expected=expected, source="the cell's matrix"
        )
    elif not fitting:
        yield ask.failed(
            CheckId.GPU_MODEL,
            Effect.BLOCK,
            seen,
            expected=expected,
            source="the cell's matrix",
            remedy="instinct profiles list   # choose a matrix for these GPUs, or other hosts with --hosts",
        )
    else:
        yield ask.failed(
            CheckId.GPU_COUNT,
            Effect.BLOCK,
            seen,
            expected=expected,
            source="the cell's matrix",
            remedy="lspci -d 1002: | grep -i accelerators   # is a GPU missing from the bus?",
        )


def alike(ask: Ask) -> Iterable[Finding]:
    """Every GPU of a host has the same memory and compute units."""
    if len(ask.gpus) < 2 or ask.need.gpus == 0:
        return
    for what, facts in (
        ("device id", {gpu.bdf: gpu.device_id for gpu in ask.gpus}),
        ("VRAM", {gpu.bdf: value_or(gpu.vram_total_bytes, None) for gpu in ask.gpus}),
        ("compute units", {gpu.bdf: value_or(gpu.compute_units, None) for gpu in ask.gpus}),
    ):
        counts = Counter(value for value in facts.values() if value is not None)
        if len(counts) <= 1:
            continue
        usual = counts.most_common(1)[0][0]
        odd = [f"{bdf} {value}" for bdf, value in facts.items() if value not in (usual, None)]
        yield ask.failed(
            CheckId.GPU_ALIKE,
            Effect.NOTE,
            f"{what} differs: {', '.join(odd)}",
            expected=f"{what} {usual} on every GPU",
            source="the slowest GPU sets the pace of all",
            remedy=f"instinct status {ask.host} --wide",
        )
        return
    yield ask.passed(CheckId.GPU_ALIKE, "all GPUs are alike")


def memory(ask: Ask) -> Iterable[Finding]:
    """What the model and its cache need fits each GPU."""
    need = ask.need.vram_bytes_per_gpu
    if need is None or not ask.gpus or ask.need.gpus == 0:
        return
    expected = f"{binary_size(need)} per GPU"
    source = "weights and key-value cache of the cell"
    unknown = first_unknown(gpu.vram_total_bytes for gpu in ask.gpus)
    small = [gpu for gpu in ask.gpus if isinstance(gpu.vram_total_bytes, Known) and gpu.vram_total_bytes.value < need]
    if small:
        sizes = ", ".join(sorted({binary_size(value_or(gpu.vram_total_bytes, 0)) for gpu in small}))
        yield ask.failed(
            CheckId.GPU_MEMORY,
            Effect.BLOCK,
            f"{sizes} on {grouped(small)}",
            expected=expected,
            source=source,
            remedy="choose a larger tensor_parallel with --set, or GPUs with more memory",
        )
    elif unknown is not None:
        yield ask.unknown(
            CheckId.GPU_MEMORY, Effect.NOTE, "the GPUs' memory", unknown, expected=expected, source=source
        )
    else:
        yield ask.passed(CheckId.GPU_MEMORY, f"at least {expected}")


def containers(ask: Ask) -> Iterable[Finding]:
    """Containers that have GPUs: others' are respected, ours are left to the claim."""
    if isinstance(ask.facts.engine, Unknown) or ask.need.gpus == 0:
        return
    active = [item for item in ask.facts.engine.value.gpu_containers if item.state in _ACTIVE]
    for item in active:
        yield _ours(ask, item) if item.ours else _foreign(ask, item)
    if not active:
        yield ask.passed(CheckId.GPU_CONTAINERS, "no container has GPUs", ask.facts.engine.source)


def free(ask: Ask) -> Iterable[Finding]:
    """Nobody computes on the GPUs."""
    if not ask.gpus or ask.need.gpus == 0 or _held_by_us(ask):
        return
    expected = f"less than {binary_size(IDLE_VRAM_BYTES)} of VRAM in use and no KFD process"
    pids = ask.facts.driver.kfd_process_ids
    busy = [gpu for gpu in ask.gpus if value_or(gpu.vram_used_bytes, 0) >= IDLE_VRAM_BYTES]
    unread = first_unknown(gpu.vram_used_bytes for gpu in ask.gpus)
    if busy:
        used = max(value_or(gpu.vram_used_bytes, 0) for gpu in busy)
        yield ask.failed(
            CheckId.GPU_FREE,
            Effect.BLOCK,
            f"up to {binary_size(used)} of VRAM in use on {grouped(busy)}{_pids(pids)}",
            expected=expected,
            source=_SOURCE_IDLE,
            remedy=_show_processes(pids),
        )
    elif unread is not None and not (isinstance(pids, Known) and not pids.value):
        # Neither memory nor processes say that the GPUs are idle.
        yield ask.unknown(
            CheckId.GPU_FREE, Effect.BLOCK, "whether the GPUs are free", unread, expected=expected, source=_SOURCE_IDLE
        )
    elif isinstance(pids, Known) and pids.value:
        yield ask.failed(
            CheckId.GPU_FREE,
            Effect.NOTE,
            f"KFD is open without VRAM in use{_pids(pids)}",
            expected=expected,
            source="monitoring agents open KFD too; a process that starts to compute would spoil the figure",
            remedy=_show_processes(pids),
        )
    elif isinstance(pids, Unknown):
        yield ask.unknown(
            CheckId.GPU_FREE, Effect.NOTE, "who has KFD open", pids, expected=expected, source=_SOURCE_IDLE
        )
    else:
        yield ask.passed(CheckId.GPU_FREE, "no GPU is in use", pids.source)


def groups(ask: Ask) -> Iterable[Finding]:
    """Numeric group ids of the device files, which containers are given."""
    if not ask.gpus or ask.need.gpus == 0:
        return
    unknown = first_unknown([ask.facts.driver.kfd_gid, *(gpu.render_gid for gpu in ask.gpus)])
    if unknown is None:
        yield ask.passed(CheckId.GROUPS, "groups of /dev/kfd and the render nodes are known")
    else:
        yield ask.unknown(
            CheckId.GROUPS,
            Effect.NOTE,
            "the group of a device file",
            unknown,
            expected="numeric groups of /dev/kfd and every render node",
            source="an image whose program is not root needs them to open the GPUs",
        )


def _kfd(ask: Ask) -> Iterable[Finding]:
    fact = ask.facts.driver.kfd_present
    expected, source = "/dev/kfd", "ROCm computes through it"
    if isinstance(fact, Unknown):
        yield ask.unknown(CheckId.KFD, Effect.BLOCK, "whether /dev/kfd exists", fact, expected=expected, source=source)
    elif not fact.value:
        yield ask.failed(
            CheckId.KFD,
            Effect.BLOCK,
            "/dev/kfd is missing",
            expected=expected,
            source=source,
            remedy="sudo modprobe amdgpu",
            evidence=fact.source,
        )
    else:
        yield ask.passed(CheckId.KFD, "/dev/kfd is there", fact.source)


def _model(ask: Ask, gpu: Gpu) -> str | None:
    if isinstance(gpu.model, Known):
        return gpu_name(gpu.model.value)
    device = gpu.device_id.lower().removeprefix("0x")
    if ask.gpu is not None and device in (*ask.gpu.device_ids, *ask.gpu.vf_device_ids):
        return gpu_name(ask.gpu.name)
    return None


def _ours(ask: Ask, item: GpuContainer) -> Finding:
    return ask.failed(
        CheckId.GPU_CONTAINERS,
        Effect.NOTE,
        f"held by run {item.run or '?'} of {item.owner or 'somebody'} since {item.since}",
        expected="a free host",
        source="one run at a time has a host; the claim waits or refuses",
        remedy=f"instinct watch {item.run}   # or wait with --if-busy wait",
        evidence=f"container {item.name}, attempt {item.attempt}",
    )


def _foreign(ask: Ask, item: GpuContainer) -> Finding:
    """Privileged containers could use the GPUs but often do not: whether they do is for `free` to see."""
    privileged = item.access == "privileged"
    return ask.failed(
        CheckId.GPU_CONTAINERS,
        Effect.NOTE if privileged else Effect.BLOCK,
        f"container {item.name} of {item.image} {'is privileged' if privileged else 'has GPUs'} since {item.since}",
        expected="no container of others with GPUs",
        source=_SOURCE_IDLE,
        remedy=f"docker inspect {item.name}   # ask its owner, or wait with --if-busy wait",
        evidence=item.id,
    )


def _held_by_us(ask: Ask) -> bool:
    """Our own container explains the load; the claim decides then."""
    engine = ask.facts.engine
    return isinstance(engine, Known) and any(c.ours and c.state in _ACTIVE for c in engine.value.gpu_containers)


def _pids(pids: Known[tuple[int, ...]] | Unknown) -> str:
    if isinstance(pids, Unknown) or not pids.value:
        return ""
    return f", processes {', '.join(str(pid) for pid in pids.value[:8])}"


def _show_processes(pids: Known[tuple[int, ...]] | Unknown) -> str:
    if isinstance(pids, Known) and pids.value:
        return f"ps -fp {','.join(str(pid) for pid in pids.value[:8])}   # ask their owner, or wait with --if-busy wait"
    return "amd-smi process   # ask the owner, or wait with --if-busy wait"


GATES: tuple[Gate, ...] = (present, model, alike, memory, containers, free, groups)
