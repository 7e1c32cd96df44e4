"""One execution of one cell: its stages, what its program reports, and how it ended."""

from collections.abc import Mapping
from enum import StrEnum
from typing import Literal

import msgspec


class Stage(StrEnum):
    """Ours; the phases are the program's. In order; `done` comes with an outcome."""

    PLANNED = "planned"
    FETCHING = "fetching"
    CLAIMING = "claiming"
    STARTING = "starting"
    RUNNING = "running"
    COLLECTING = "collecting"
    RELEASING = "releasing"
    DONE = "done"


class Outcome(StrEnum):
    """How an attempt ended. A `not run` attempt never started; `stopped` was ended on request."""

    OK = "ok"
    FAILED = "failed"
    STOPPED = "stopped"
    NOT_RUN = "not run"


class FailureClass(StrEnum):
    """Why an attempt failed or was not run. One closed list for every workload, so that tables can be grouped."""

    NO_KFD = "no_kfd"
    DEVICE_PERMISSION = "device_permission"
    GROUP_MISSING = "group_missing"
    IMAGE_PULL = "image_pull"
    IMAGE_MISSING = "image_missing"
    DISK_FULL = "disk_full"
    GATED_MODEL = "gated_model"
    MODEL_NOT_FOUND = "model_not_found"
    MODEL_INCOMPLETE = "model_incomplete"
    HUB_UNREACHABLE = "hub_unreachable"
    OUT_OF_MEMORY_GPU = "out_of_memory_gpu"
    OUT_OF_MEMORY_HOST = "out_of_memory_host"
    KV_CACHE_TOO_SMALL = "kv_cache_too_small"
    GPU_IN_USE = "gpu_in_use"
    SHARED_MEMORY = "shared_memory"
    RCCL = "rccl"
    GPU_FAULT = "gpu_fault"
    GPU_HANG = "gpu_hang"
    WRONG_ARCH = "wrong_arch"
    WRONG_FLAG = "wrong_flag"
    DEPRECATED_ENTRY = "deprecated_entry"
    WRONG_PARAMETERS = "wrong_parameters"
    PORT_IN_USE = "port_in_use"
    ENGINE_DIED = "engine_died"
    PYTHON_ERROR = "python_error"
    KILLED = "killed"
    DEADLINE = "deadline"
    NO_RESULT = "no_result"
    BAD_RESULT = "bad_result"
    RESULT_MISMATCH = "result_mismatch"
    PREFLIGHT = "preflight"
    HOST_BUSY = "host_busy"
    UNREACHABLE = "unreachable"
    DOCKER = "docker"
    NOT_SUPPORTED = "not_supported"
    SETUP = "setup"
    TOKENIZER = "tokenizer"
    NAN_LOSS = "nan_loss"
    COLLECTIVE_TIMEOUT = "collective_timeout"
    WRONG_INTERFACE = "wrong_interface"
    RANK_DIED = "rank_died"
    STALLED = "stalled"
    STOPPED = "stopped"
    LOST = "lost"
    UNKNOWN = "unknown"


class Phase(StrEnum):
    """The program's phases, in the order they come."""

    STARTING = "starting"
    LOADING = "loading"
    COMPILING = "compiling"
    WARMING_UP = "warming up"
    READY = "ready"
    MEASURING = "measuring"
    FINISHED = "finished"


class LogFrame(msgspec.Struct, frozen=True):
    """Bytes of a container's output. `at_ns` is the daemon's clock; stream 1 is stdout, 2 stderr."""

    at_ns: int
    stream: int
    data: bytes


class PhaseSeen(msgspec.Struct, frozen=True, tag="phase"):
    """The program entered a phase; `detail` is the clean line that shows it."""

    at_ns: int
    phase: Phase
    detail: str = ""


SampleSource = Literal["stat line", "progress bar", "metrics endpoint", "iteration line"]


class Sample(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True, tag="sample"):
    """A live figure. `rate` is in the unit of `metric`; `done` of `total` is progress in `counts` (prompts, steps).

    `pause`: something else than a step comes next, as the loading of another run.
    """

    at_ns: int
    source: SampleSource
    metric: str | None = None
    rate: float | None = None
    done: float | None = None
    total: float | None = None
    counts: str = ""
    running: int | None = None
    waiting: int | None = None
    kv_cache_used: float | None = None
    prompt_tokens_per_s: float | None = None
    extra: Mapping[str, float] = {}
    pause: bool = False


class Symptom(msgspec.Struct, frozen=True, kw_only=True, tag="symptom"):
    """A failure signature met in the log. `secondary` ones only echo another; `warning` ones spoil or note."""

    at_ns: int
    signature: str
    failure: FailureClass
    line: str
    remedy: str = ""
    secondary: bool = False
    warning: bool = False


Signal = PhaseSeen | Sample | Symptom


class Reading(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """A live figure of one GPU: watts, Celsius, bytes, MHz, per cent."""

    at_ns: int
    bdf: str
    power_w: float | None = None
    hotspot_c: float | None = None
    memory_c: float | None = None
    vram_used_bytes: int | None = None
    busy_percent: float | None = None
    sclk_mhz: float | None = None
    mclk_mhz: float | None = None
    throttle: tuple[str, ...] | None = None
    """What it was throttled by since the look before (`ppt`, `socket_thermal`, …); None where it cannot be told."""
    throttle_shares: tuple[float, ...] = ()
    """For each of `throttle` the share of the time since the look before; 1 where the firmware does not count time."""


class HostReading(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """Live figures of a host itself."""

    at_ns: int
    load_1m: float | None = None
    memory_available_bytes: int | None = None


class Beat(msgspec.Struct, frozen=True, omit_defaults=True, tag="beat"):
    """One turn of the live readings: the host, and every GPU as of now. Times are UTC on the host's clock.

    `looked`: what the GPUs are throttled by was looked at in this turn; otherwise it is that of the last look.
    """

    host: HostReading
    gpus: tuple[Reading, ...]
    looked: bool = False


class Gap(msgspec.Struct, frozen=True, tag="gap"):
    """The live readings broke off: nothing is known since the last beat, why, and how long until the next try."""

    last_ns: int | None
    why: str
    retry_s: float


class Hardware(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """What the GPUs of an attempt did while its program measured (where it does not say when: all the time).

    `from_ns` and `to_ns` are the first and last reading it rests on. Power is the sum of all `gpus`; where there are
    several hosts, its peak is the sum of theirs, and `clocks_ahead_ns` says by host how far its clock was ahead of the
    one `from_ns` is on: its readings were laid over the measured time by that. Temperatures are those of the hottest
    GPU, memory that of the fullest one, `throttled_share` the share of the time of the one most throttled, whatever
    the reason.
    """

    from_ns: int
    to_ns: int
    gpus: int
    power_w_mean: float | None = None
    power_w_max: float | None = None
    hotspot_c_max: float | None = None
    memory_c_max: float | None = None
    vram_used_bytes_mean: float | None = None
    throttled_share: float | None = None
    clocks_ahead_ns: Mapping[str, int] = {}


class MetricValue(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """A measured figure. `iteration` is set for figures inside one program run; `origin` says how it came about."""

    metric: str
    value: float
    stat: str = "value"
    iteration: int | None = None
    origin: str = ""


class Failure(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """Why it failed: class, the first root-cause line (clean, redacted), the others, and what to do.

    `at_ns` is when a log said so, on that host's clock; it tells the first cause among several parts. An `echo` only
    says that another part ended first.
    """

    failure: FailureClass
    line: str
    remedy: str = ""
    others: tuple[str, ...] = ()
    at_ns: int | None = None
    echo: bool = False


class Validity(StrEnum):
    """Reasons that spoil a figure or are noted beside it."""

    NUMA_BALANCING_ON = "numa_balancing_on"
    WRONG_PARTITION = "wrong_partition"
    GPU_IN_USE = "gpu_in_use"
    POWER_CAP = "power_cap"
    PERF_DETERMINISM = "perf_determinism"
    THROTTLED = "throttled"
    RAS_ERROR = "ras_error"
    KERNEL_FAULT = "kernel_fault"
    FABRIC_ERRORS = "fabric_errors"
    REBOOTED = "rebooted"
    FAILED_REQUESTS = "failed_requests"
    OUTPUT_SHORT = "output_short"
    PREEMPTED = "preempted"
    PREFIX_CACHE_HITS = "prefix_cache_hits"
    RESULT_MISMATCH = "result_mismatch"
    SOCKET_FALLBACK = "socket_fallback"
    NO_GPU_DIRECT = "no_gpu_direct"
    NETWORK_UNKNOWN = "network_unknown"
    IMAGE_UNPINNED = "image_unpinned"
    LOG_GAP = "log_gap"
    POWER_LIMITED = "power_limited"
    RAS_CORRECTED = "ras_corrected"
    KERNEL_WARNING = "kernel_warning"
    FABRIC_LOSSES = "fabric_losses"
    CLOCK_STEPPED = "clock_stepped"
    UNWATCHED = "unwatched"
    ACCEPTED_FINDING = "accepted_finding"
    RECIPE_RECONSTRUCTED = "recipe_reconstructed"
    RECIPE_CHANGED = "recipe_changed"
    SIMULATED = "simulated"


SPOILING = frozenset(
    {
        Validity.NUMA_BALANCING_ON,
        Validity.WRONG_PARTITION,
        Validity.GPU_IN_USE,
        Validity.THROTTLED,
        Validity.RAS_ERROR,
        Validity.KERNEL_FAULT,
        Validity.FABRIC_ERRORS,
        Validity.REBOOTED,
        Validity.FAILED_REQUESTS,
        Validity.OUTPUT_SHORT,
        Validity.PREFIX_CACHE_HITS,
        Validity.RESULT_MISMATCH,
        Validity.SOCKET_FALLBACK,
        Validity.ACCEPTED_FINDING,
    }
)
"""Reasons that make a figure not count; the others are printed beside it."""


class Reason(msgspec.Struct, frozen=True):
    """One validity reason with what was seen."""

    reason: Validity
    detail: str = ""

    @property
    def spoils(self) -> bool:
        """True when the figure does not count."""
        return self.reason in SPOILING


class Result(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """What a finished program measured, or why it did not. `headline` is the metric compared with references."""

    headline: str
    values: tuple[MetricValue, ...] = ()
    failure: Failure | None = None
    reasons: tuple[Reason, ...] = ()
    engine: str | None = None
    engine_version: str | None = None
    measured_from_ns: int | None = None
    measured_to_ns: int | None = None

    def value(self) -> float | None:
        """The headline figure, or None when there is none."""
        for item in self.values:
            if item.metric == self.headline and item.iteration is None and item.stat in ("value", "mean"):
                return item.value
        return None
