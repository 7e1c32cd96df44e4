"""Power, clocks, throttling and temperature, as of now."""

from collections.abc import Iterable

from console.health.rules.base import Say, compared, expectation_of, no_gpus, pairs, rule
from console.model.facts import Gpu, Known, first_unknown, value_or
from console.model.finding import Finding
from console.model.profile import Expectation, GpuSpec

_TOLERANCE = 0.01
_IDLE_PERCENT = 5.0
_BUSY_PERCENT = 50.0
_STUCK_LOW_MHZ = 100
_STUCK_HIGH = 0.9
_JUNCTION_C, _MEMORY_C = 100.0, 105.0
_MARGIN_C = 5.0
_STATUS = "instinct status HOST --gpus"

_LIMITING = ("prochot", "ppt", "power", "thermal", "hbm", "vr")
_HARMLESS = ("low_utilization", "total_gfx_clk_below_host_limit", "total")


@rule(
    "gpu.power_cap",
    "power",
    "no GPU is capped below its board power",
    detail="A cap somebody set stays until the next boot and slows every run.",
    source="data sheet of the GPU, 1 % allowed",
    required=False,
)
def power_cap(say: Say) -> Iterable[Finding]:
    """Cap by profile, else by the data sheet."""
    if not say.devices:
        return [no_gpus(say, "the power caps")]
    expected = expectation_of(say, "gpu.power_cap_w")
    spec = say.case.gpu
    if expected is None and spec is not None:
        low = spec.power_w * (1 - _TOLERANCE)
        expected = Expectation(fact="gpu.power_cap_w", low=low, level="advised", source=spec.source)
    if expected is None:
        return [say.passed("the model of the GPUs is not in the catalog: no board power to hold caps against")]
    remedy = f"sudo amd-smi set --gpu all --power-cap {_watts(expected, spec)}"
    return [compared(say, expected, remedy=remedy, what="power cap")]


def _watts(expected: Expectation, spec: GpuSpec | None) -> str:
    """The cap to set: the one accepted, the middle of a range, or the board power of the data sheet."""
    if expected.accept:
        return f"{expected.accept[0]:g}" if isinstance(expected.accept[0], int | float) else str(expected.accept[0])
    if expected.low is not None and expected.high is not None:
        return f"{(expected.low + expected.high) / 2:g}"
    return "WATTS" if spec is None else str(spec.power_w)


@rule(
    "gpu.clocks",
    "power",
    "no GPU's clock is stuck",
    detail="About 130 MHz is normal for an idle GPU. A GPU that stays near its highest clock though nothing runs, or "
    "near 60 MHz under full load, was seen to need a reset.",
    source="ROCm/legacy-rocm-build#4414, #5231",
    required=False,
)
def clocks(say: Say) -> Iterable[Finding]:
    """Clock beside what the GPU does."""
    if not say.devices:
        return [no_gpus(say, "the clocks")]
    stuck: dict[str, str] = {}
    for gpu in say.devices:
        busy, clock = value_or(gpu.busy_percent, None), value_or(gpu.sclk_mhz, None)
        top = value_or(gpu.sclk_max_mhz, None)
        if busy is None or clock is None:
            continue
        if busy >= _BUSY_PERCENT and clock < _STUCK_LOW_MHZ:
            stuck[gpu.bdf] = f"{clock} MHz at {busy:g} % load"
        elif busy <= _IDLE_PERCENT and top is not None and clock >= top * _STUCK_HIGH and not _held_by_someone(say):
            stuck[gpu.bdf] = f"{clock} MHz while idle"
    if stuck:
        return [
            say.warned(
                f"clock may be stuck: {pairs(stuck)}",
                expected="low while idle, high under load",
                remedy=f"{_STATUS}   # the same a minute later? then sudo amd-smi reset --gpureset --gpu N",
            )
        ]
    unknown = first_unknown(fact for gpu in say.devices for fact in (gpu.busy_percent, gpu.sclk_mhz))
    return [say.unknown("clock and load", unknown) if unknown else say.passed("clocks fit the load")]


@rule(
    "gpu.throttle",
    "power",
    "no GPU is being throttled now",
    detail="Only what says 'now' counts (…_violation_status); accumulated counters are never 0 on a healthy GPU. "
    "Power and temperature limits and prochot are looked at; low_utilization and total_gfx_clk_below_host_limit are "
    "active on every idle GPU and mean nothing.",
    source="amd-smi changelog of ROCm 6.3 and 7.0",
    required=False,
)
def throttle(say: Say) -> Iterable[Finding]:
    """Active reasons by GPU."""
    if not say.devices:
        return [no_gpus(say, "whether the GPUs throttle")]
    seen: dict[str, str] = {}
    for gpu in say.devices:
        if isinstance(gpu.throttle, Known):
            reasons = [item.reason for item in gpu.throttle.value if item.active and limits(item.reason)]
            if reasons:
                seen[gpu.bdf] = "+".join(dict.fromkeys(reasons))
    if seen:
        return [
            say.warned(
                f"throttled now: {pairs(seen)}",
                expected="no limit reached",
                evidence="amd-smi metric --throttle",
                remedy=f"{_STATUS}   # power beside cap, temperatures; thermal: fans and inlet air",
            )
        ]
    unknown = first_unknown(gpu.throttle for gpu in say.devices)
    return [say.unknown("whether the GPUs throttle", unknown) if unknown else say.passed("no GPU is throttled")]


def limits(reason: str) -> bool:
    """Whether a throttle reason of the driver means that a limit holds the GPU back."""
    name = reason.lower()
    return not any(word in name for word in _HARMLESS) and any(word in name for word in _LIMITING)


@rule(
    "gpu.temperature",
    "power",
    "no GPU is near the temperature at which it slows down",
    detail="The limits of the GPU itself are taken where they can be read; 100 C junction and 105 C memory else.",
    source="amd-smi static of an MI300A: slowdown at 100 and 105 C",
)
def temperature(say: Say) -> Iterable[Finding]:
    """Junction and memory beside their slowdown limits."""
    if not say.devices:
        return [no_gpus(say, "the temperatures")]
    over: dict[str, str] = {}
    near: dict[str, str] = {}
    for gpu in say.devices:
        for what, now, limit in (
            ("junction", value_or(gpu.junction_c, None), value_or(gpu.junction_slowdown_c, None) or _JUNCTION_C),
            ("memory", value_or(gpu.memory_c, None), value_or(gpu.memory_slowdown_c, None) or _MEMORY_C),
        ):
            if now is None or now < limit - _MARGIN_C:
                continue
            (over if now >= limit else near)[gpu.bdf] = f"{what} {now:g} of {limit:g} C"
    remedy = "check fans, inlet temperature and the neighbours in the rack"
    if over:
        return [say.failed(f"at its slowdown temperature: {pairs(over)}", expected="below the limit", remedy=remedy)]
    unknown = first_unknown(gpu.junction_c for gpu in say.devices)
    if near:
        return [say.warned(f"near its slowdown temperature: {pairs(near)}", expected="5 C below", remedy=remedy)]
    if unknown is not None:
        return [say.unknown("the GPUs' temperature", unknown, **say.in_guest)]
    hottest = max(gpu.junction_c.value for gpu in say.devices if isinstance(gpu.junction_c, Known))
    return [say.passed(f"hottest junction {hottest:g} C")]


def _held_by_someone(say: Say) -> bool:
    """A process that holds a GPU may keep its clock up between two kernels."""
    pids = say.facts.driver.kfd_process_ids
    return isinstance(pids, Known) and bool(pids.value)


def hottest_of(gpus: Iterable[Gpu]) -> float | None:
    """The highest junction temperature that could be read, Celsius."""
    return max((gpu.junction_c.value for gpu in gpus if isinstance(gpu.junction_c, Known)), default=None)
