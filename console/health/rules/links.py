"""Links: PCIe at full width and speed and without errors, and the GPUs' own mesh."""

from collections import Counter
from collections.abc import Iterable

from console.health.rules.base import Say, no_gpus, pairs, rule
from console.model.facts import Gpu, Known, RasBlock, Unknown, first_unknown, value_or
from console.model.finding import Finding

_FULL_WIDTH = 16
_GEN5 = ("gfx942", "gfx950")
_GEN5_GTS = 32.0
_SMI = "sudo amd-smi metric --pcie"
_LSPCI = "sudo lspci -vvv -s BDF | grep -E 'LnkCap|LnkSta'   # reseat the module or riser; then cold-boot"


@rule(
    "pcie.width",
    "links",
    "every GPU's PCIe link has its full width",
    detail="A link that trained at fewer lanes moves data at half or a quarter of the speed for good.",
    source="AMD's node scraper and CVS: x16",
)
def width(say: Say) -> Iterable[Finding]:
    """Width now against 16 and against what the link can."""
    if not say.devices:
        return [no_gpus(say, "the PCIe links")]
    physical, virtual = _physical(say)
    if not physical:
        return [_in_guest(say, "link width", virtual)]
    unknown = first_unknown(gpu.pcie_width for gpu in physical)
    narrow = {
        gpu.bdf: f"x{gpu.pcie_width.value}"
        for gpu in physical
        if isinstance(gpu.pcie_width, Known) and gpu.pcie_width.value < _FULL_WIDTH
    }
    if narrow:
        return [
            say.failed(
                f"PCIe link too narrow: {pairs(narrow)}",
                expected=f"x{_FULL_WIDTH}",
                evidence="current_link_width",
                remedy=_LSPCI,
            )
        ]
    if unknown is not None:
        return [say.unknown("the PCIe link width", unknown)]
    return [say.passed(f"x{_FULL_WIDTH} on every GPU")]


@rule(
    "pcie.speed",
    "links",
    "every GPU's PCIe link runs at its full speed",
    detail="MI300 and newer stay at 32 GT/s also when idle. Older GPUs lower the speed of an idle link: there it is a "
    "warning only while the GPU works.",
    source="AMD's node scraper and CVS: 32 GT/s, not downgraded",
)
def speed(say: Say) -> Iterable[Finding]:
    """Speed now against 32 GT/s (gfx942, gfx950) or what the link can."""
    if not say.devices:
        return [no_gpus(say, "the PCIe links")]
    physical, virtual = _physical(say)
    if not physical:
        return [_in_guest(say, "link speed", virtual)]
    slow: dict[str, str] = {}
    resting: dict[str, str] = {}
    for gpu in physical:
        if not isinstance(gpu.pcie_speed_gts, Known):
            continue
        now, full = gpu.pcie_speed_gts.value, _full_speed(gpu)
        if full is not None and now < full:
            down_trains = not _stays_up(gpu) and isinstance(gpu.busy_percent, Known) and gpu.busy_percent.value < 1
            (resting if down_trains else slow)[gpu.bdf] = f"{now:g} of {full:g} GT/s"
    if slow:
        state = say.failed if any(_stays_up(gpu) for gpu in physical if gpu.bdf in slow) else say.warned
        return [
            state(
                f"PCIe link too slow: {pairs(slow)}",
                expected="full speed",
                evidence="current_link_speed, max_link_speed",
                remedy=_LSPCI,
            )
        ]
    unknown = first_unknown(gpu.pcie_speed_gts for gpu in physical)
    if unknown is not None:
        return [say.unknown("the PCIe link speed", unknown)]
    rest = f"; lowered while idle, which is normal for this model: {pairs(resting)}" if resting else ""
    return [say.passed(f"full speed on {len(physical) - len(resting)} of {len(physical)} GPUs{rest}")]


@rule(
    "pcie.errors",
    "links",
    "no GPU's PCIe link had errors",
    detail="Replays and NAKs are repeated transfers, corrected AER errors were repaired: both cost speed and announce "
    "a bad link. Counters run since the driver was loaded.",
    source="AMD's node scraper: above 0 is a warning; fatal AER errors are an error",
    required=False,
)
def errors(say: Say) -> Iterable[Finding]:
    """One finding for each kind of counter that is not 0."""
    if not say.devices:
        yield no_gpus(say, "the PCIe error counters")
        return
    kinds = {
        "fatal": "aer_fatal",
        "nonfatal": "aer_nonfatal",
        "corrected": "aer_correctable",
        "replay": "pcie_replay_count",
        "nak_sent": "pcie_nak_sent",
        "nak_received": "pcie_nak_received",
    }
    clean = True
    for about, field in kinds.items():
        facts: dict[str, Known[int] | Unknown] = {gpu.bdf: getattr(gpu, field) for gpu in say.devices}
        counts = {bdf: fact.value for bdf, fact in facts.items() if isinstance(fact, Known) and fact.value > 0}
        if counts:
            clean = False
            yield (say.failed if about == "fatal" else say.warned)(
                f"PCIe {about.replace('_', ' ')} count above 0: {pairs(counts)}",
                about=about,
                expected="0",
                evidence=next(fact.source for fact in facts.values() if isinstance(fact, Known)),
                remedy=f"{_SMI}; does it grow? {_LSPCI}",
            )
    read = [getattr(gpu, field) for gpu in say.devices for field in kinds.values()]
    if clean and not any(isinstance(fact, Known) for fact in read):
        unknown = first_unknown(read)
        if unknown is not None:
            yield say.unknown("the PCIe error counters", unknown)
            return
    if clean:
        yield say.passed("no PCIe errors counted")


@rule(
    "xgmi.errors",
    "links",
    "the links between the GPUs had no errors",
    detail="Read from the RAS counters of the block xgmi_wafl. The driver's node xgmi_error answers with an error on "
    "MI300 and newer and says nothing.",
    source="ROCm/rocm-systems#11468; AMD device metrics exporter: uncorrectable above 0 is unhealthy",
)
def xgmi_errors(say: Say) -> Iterable[Finding]:
    """Counters of xgmi_wafl."""
    if not say.devices:
        return [no_gpus(say, "the xGMI error counters")]
    if len(say.devices) < 2:
        return [say.passed("one GPU has no link to another")]
    bad: dict[str, str] = {}
    repaired: dict[str, str] = {}
    blind: list[Known[object] | Unknown] = []
    for gpu in say.devices:
        block = _link_block(gpu)
        if block is None:
            missing = Unknown("the driver shows no counters of xgmi_wafl", gpu.bdf)
            blind.append(gpu.ras if isinstance(gpu.ras, Unknown) else missing)
        elif block.uncorrectable:
            bad[gpu.bdf] = str(block.uncorrectable)
        elif block.correctable:
            repaired[gpu.bdf] = str(block.correctable)
    evidence = "ras/xgmi_wafl_err_count"
    if bad:
        return [
            say.failed(
                f"uncorrectable xGMI errors: {pairs(bad)}",
                expected="0",
                evidence=evidence,
                remedy="take the host out of service; sudo amd-smi metric --ecc-blocks   # then reseat the module",
            )
        ]
    if repaired:
        return [
            say.warned(
                f"corrected xGMI errors: {pairs(repaired)}",
                expected="0",
                evidence=evidence,
                remedy="sudo amd-smi metric --ecc-blocks   # does the count grow?",
            )
        ]
    unknown = first_unknown(blind)
    if unknown is None:
        return [say.passed("no xGMI errors counted", evidence=evidence)]
    if not any(_in_mesh(gpu) for gpu in say.devices):
        return [say.passed("the GPUs are not linked by xGMI")]
    return [say.unknown("the xGMI error counters", unknown, **say.in_guest)]


@rule(
    "xgmi.mesh",
    "links",
    "every GPU reaches all others over xGMI",
    detail="Eight MI300X and newer form a full mesh: each has seven links and all are of one hive.",
    source="data sheet of the GPU; KFD topology",
)
def mesh(say: Say) -> Iterable[Finding]:
    """Peers by the KFD topology, hive, and link states where a tool tells them."""
    if not say.devices:
        yield no_gpus(say, "the links between the GPUs")
        return
    yield from _link_states(say)
    links = say.case.gpu.xgmi_links if say.case.gpu is not None else 0
    total = len(say.devices)
    if links < total - 1 or total < 2:
        yield say.passed("these GPUs form no full mesh that could be checked")
        return
    unknown = first_unknown(gpu.xgmi_peers for gpu in say.devices)
    few = {
        gpu.bdf: f"{gpu.xgmi_peers.value} of {total - 1}"
        for gpu in say.devices
        if isinstance(gpu.xgmi_peers, Known) and gpu.xgmi_peers.value < total - 1
    }
    hives = Counter(gpu.hive_id.value for gpu in say.devices if isinstance(gpu.hive_id, Known))
    if few and say.in_guest and not any(_in_mesh(gpu) for gpu in say.devices):
        hidden = Unknown("no xGMI link is shown to the guest", "io_links of the KFD topology")
        yield say.unknown("which GPUs are linked", hidden, **say.in_guest)
    elif few:
        yield say.failed(
            f"GPUs that do not reach all others over xGMI: {pairs(few)}",
            expected=f"{total - 1} peers each",
            evidence="io_links of the KFD topology",
            remedy="sudo amd-smi xgmi --link-status; sudo dmesg | grep -i xgmi; then power-cycle the host",
        )
    elif len(hives) > 1:
        yield say.failed(
            f"the GPUs are in {len(hives)} hives",
            expected="one hive",
            evidence="hive_id of the KFD topology",
            remedy="sudo dmesg | grep -i xgmi; then power-cycle the host",
        )
    elif unknown is not None:
        yield say.unknown("which GPUs are linked", unknown)
    else:
        yield say.passed(f"each of {total} GPUs reaches all others over xGMI")


def _link_states(say: Say) -> Iterable[Finding]:
    """Down on one link is a fault; down on all of them means that the tool cannot tell (virtual functions)."""
    states = {gpu.bdf: gpu.xgmi_link_states.value for gpu in say.devices if isinstance(gpu.xgmi_link_states, Known)}
    up = any("up" in each for each in states.values())
    down = {bdf: f"{each.count('down')} down" for bdf, each in states.items() if "down" in each}
    if up and down:
        yield say.failed(
            f"xGMI links are down: {pairs(down)}",
            about="link_status",
            expected="up",
            evidence="amd-smi xgmi --link-status",
            remedy="sudo amd-smi xgmi --link-status; then power-cycle the host",
        )


def _physical(say: Say) -> tuple[list[Gpu], list[Gpu]]:
    virtual = [gpu for gpu in say.devices if isinstance(gpu.virtual_function, Known) and gpu.virtual_function.value]
    return [gpu for gpu in say.devices if gpu not in virtual], virtual


def _in_guest(say: Say, what: str, virtual: list[Gpu]) -> Finding:
    return say.passed(f"{what} of {len(virtual)} virtual functions is the virtualisation host's matter")


def _full_speed(gpu: Gpu) -> float | None:
    best = value_or(gpu.pcie_max_speed_gts, None)
    return max(best or 0.0, _GEN5_GTS) if _stays_up(gpu) else best


def _stays_up(gpu: Gpu) -> bool:
    return isinstance(gpu.gfx, Known) and gpu.gfx.value in _GEN5


def _in_mesh(gpu: Gpu) -> bool:
    return isinstance(gpu.xgmi_peers, Known) and gpu.xgmi_peers.value > 0


def _link_block(gpu: Gpu) -> RasBlock | None:
    blocks = value_or(gpu.ras, ())
    return next((block for block in blocks if block.block == "xgmi_wafl"), None)
