"""What the GPUs themselves count: uncorrectable and corrected errors by block, and memory pages out of use."""

from collections.abc import Callable, Iterable

from console.health.rules.base import Say, no_gpus, pairs, rule
from console.model.facts import Gpu, Known, RasBlock, first_unknown
from console.model.finding import Finding

_LINK_BLOCK = "xgmi_wafl"
_THRESHOLD = 128
"""Of MI300 and newer; the driver's own is taken where it tells."""
_MODEL_THRESHOLDS = {"MI210": 655}
_SHOW = "sudo amd-smi metric --ecc-blocks"
_PAGES = "sudo amd-smi bad-pages"


@rule(
    "ras.uncorrectable",
    "errors",
    "no GPU counted an uncorrectable error",
    detail="Counters run since the driver was loaded. One such error ended the work that touched it; a GPU that counts "
    "more than one should leave service. Errors of the links between GPUs are told by xgmi.errors.",
    source="AMD device metrics exporter: threshold 0; OCI health check",
)
def uncorrectable(say: Say) -> Iterable[Finding]:
    """`ue` of every block but the links'."""
    return [
        _counted(
            say,
            lambda block: block.uncorrectable,
            "uncorrectable errors",
            say.failed,
            "instinct capture HOST -o bundle.tar.gz; take the GPU out of service and hand the bundle to the vendor",
        )
    ]


@rule(
    "ras.correctable",
    "errors",
    "no GPU counted corrected errors",
    detail="ECC repaired them; a count that grows announces worse.",
    source="AMD's node scraper: above 0 is a warning",
    required=False,
)
def correctable(say: Say) -> Iterable[Finding]:
    """`ce` of every block but the links'."""
    return [
        _counted(say, lambda block: block.correctable, "corrected errors", say.warned, f"{_SHOW}   # does it grow?")
    ]


@rule(
    "ras.deferred",
    "errors",
    "no GPU counted deferred errors",
    detail="Damaged data that nobody has used yet.",
    source="AMD's node scraper: above 0 is a warning",
    required=False,
)
def deferred(say: Say) -> Iterable[Finding]:
    """`de` of every block, where the driver has it."""
    return [_counted(say, lambda block: block.deferred or 0, "deferred errors", say.warned, f"{_SHOW}; {_PAGES}")]


@rule(
    "ras.pages",
    "errors",
    "few memory pages are out of use, and none waits to be",
    detail="Pages with errors are retired for good. A pending page is retired at the next reset of the GPU; until then "
    "it is still in use. At the threshold the driver may refuse the GPU at the next boot.",
    source="amdgpu: bad-page threshold; AMD's node scraper",
    required=False,
)
def pages(say: Say) -> Iterable[Finding]:
    """Pending and threshold fail, some retired warn."""
    if not say.devices:
        return [no_gpus(say, "the bad pages")]
    pending: dict[str, str] = {}
    many: dict[str, str] = {}
    some: dict[str, str] = {}
    for gpu in say.devices:
        if not isinstance(gpu.bad_pages, Known):
            continue
        seen, limit = gpu.bad_pages.value, _threshold(say, gpu)
        if seen.pending:
            pending[gpu.bdf] = f"{seen.pending} pending"
        if seen.retired >= limit:
            many[gpu.bdf] = f"{seen.retired} of {limit}"
        elif seen.retired or seen.unreservable:
            some[gpu.bdf] = str(seen.retired + seen.unreservable)
    evidence = "ras/gpu_vram_bad_pages"
    if many:
        seen_text, remedy = f"bad pages reach the threshold: {pairs(many)}", "have the module replaced"
        return [say.failed(seen_text, expected="below the threshold", evidence=evidence, remedy=remedy)]
    if pending:
        seen_text, remedy = f"bad pages wait for a reset: {pairs(pending)}", f"{_PAGES}; drain the host and reboot it"
        return [say.failed(seen_text, expected="none pending", evidence=evidence, remedy=remedy)]
    if some:
        seen_text = f"bad pages were retired: {pairs(some)}"
        return [say.warned(seen_text, expected="none", evidence=evidence, remedy=f"{_PAGES}   # does it grow?")]
    unknown = first_unknown(gpu.bad_pages for gpu in say.devices)
    return [say.unknown("the bad pages", unknown) if unknown else say.passed("no bad pages", evidence=evidence)]


def _counted(
    say: Say, count: Callable[[RasBlock], int], what: str, state: Callable[..., Finding], remedy: str
) -> Finding:
    if not say.devices:
        return no_gpus(say, f"the GPUs' {what}")
    seen: dict[str, str] = {}
    for gpu in say.devices:
        if isinstance(gpu.ras, Known):
            blocks = [block for block in gpu.ras.value if block.block != _LINK_BLOCK and count(block)]
            if blocks:
                seen[gpu.bdf] = "+".join(f"{count(block)} in {block.block}" for block in blocks)
    if seen:
        return state(f"{what}: {pairs(seen)}", expected="0", evidence="ras/*_err_count", remedy=remedy)
    unknown = first_unknown(gpu.ras for gpu in say.devices)
    if unknown is not None:
        return say.unknown(f"the GPUs' {what}", unknown, **say.in_guest)
    return say.passed(f"no {what}", evidence="ras/*_err_count")


def _threshold(say: Say, gpu: Gpu) -> int:
    if isinstance(gpu.bad_page_threshold, Known):
        return gpu.bad_page_threshold.value
    return _MODEL_THRESHOLDS.get(say.case.gpu.name if say.case.gpu else "", _THRESHOLD)
