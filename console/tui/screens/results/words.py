"""Verdicts and reasons for validity as people read them. Pure."""

from collections.abc import Mapping

from console.model.attempt import Validity
from console.tui.marks import Mark, Role

VERDICT: Mapping[str, Mark] = {
    "matched": Mark("✓", "matched", "ok"),
    "reproduced": Mark("✓", "reproduced", "ok"),
    "above": Mark("↑", "above", "accent"),
    "marginal": Mark("≈", "marginal", "warn"),
    "below": Mark("↓", "below", "fail"),
    "unconfirmed": Mark("?", "unconfirmed", "unknown"),
    "invalid": Mark("▲", "invalid", "warn"),
    "incomparable": Mark("×", "incomparable", "unknown"),
    "no reference": Mark("–", "no reference", "dim"),
    "failed": Mark("✗", "failed", "fail"),
    "not run": Mark("○", "not run", "unknown"),
}
GOES_ON = Mark("▶", "goes on", "busy")
WAITS = Mark("·", "planned", "dim")
NOT_ASKED = Mark("·", "not in the run", "dim")

MEANING: Mapping[str, str] = {
    "matched": "within 2 % of the reference",
    "reproduced": "at least 95 % of the reference, at most 110 %",
    "above": "more than 110 % of the reference: see what is counted before you believe it",
    "marginal": "between 90 and 95 % of the reference, or too uncertain to call",
    "below": "less than 90 % of the reference",
    "unconfirmed": "comparable, but too little is known to call it",
    "invalid": "a reason spoils the figure; it does not count",
    "incomparable": "a condition that must agree differs",
    "no reference": "nothing it could be compared with",
    "failed": "ended without a figure",
    "not run": "was not started, or was stopped",
}

REASON: Mapping[Validity, str] = {
    Validity.NUMA_BALANCING_ON: "automatic NUMA balancing was on",
    Validity.WRONG_PARTITION: "the GPUs were partitioned otherwise than the row asks for",
    Validity.GPU_IN_USE: "something else used the GPUs",
    Validity.POWER_CAP: "the power cap was lowered",
    Validity.PERF_DETERMINISM: "the GPUs were held at a fixed performance level",
    Validity.THROTTLED: "GPUs throttled while it measured",
    Validity.RAS_ERROR: "a GPU counted uncorrectable errors",
    Validity.KERNEL_FAULT: "the kernel log tells of a GPU fault",
    Validity.FABRIC_ERRORS: "links between hosts or GPUs had errors",
    Validity.REBOOTED: "a host was restarted meanwhile",
    Validity.FAILED_REQUESTS: "requests failed",
    Validity.OUTPUT_SHORT: "fewer tokens came out than were asked for",
    Validity.PREEMPTED: "requests were preempted: the key-value cache was too small",
    Validity.PREFIX_CACHE_HITS: "cached prefixes made it look faster",
    Validity.RESULT_MISMATCH: "log and result file disagree",
    Validity.SOCKET_FALLBACK: "ranks talked over sockets instead of RDMA",
    Validity.NO_GPU_DIRECT: "data between hosts went through the hosts' memory",
    Validity.NETWORK_UNKNOWN: "which network carried the data between hosts is not known",
    Validity.IMAGE_UNPINNED: "no digest says which image ran",
    Validity.LOG_GAP: "a piece of the log is missing",
    Validity.POWER_LIMITED: "the GPUs ran at their power limit",
    Validity.RAS_CORRECTED: "errors were corrected in a GPU's memory",
    Validity.KERNEL_WARNING: "the kernel log has warnings of the GPUs",
    Validity.FABRIC_LOSSES: "links lost packets",
    Validity.CLOCK_STEPPED: "a host's clock was set while it measured",
    Validity.UNWATCHED: "the hosts were not watched all the time",
    Validity.ACCEPTED_FINDING: "started although a check said that it would not count",
    Validity.RECIPE_RECONSTRUCTED: "the published command is known only in part",
    Validity.RECIPE_CHANGED: "not run exactly as published",
    Validity.SIMULATED: "simulated by the embedded lab",
}


def reason_words(reason: Validity) -> str:
    """A reason in words; one that is new here by its own name."""
    return REASON.get(reason, reason.value.replace("_", " "))


def band_role(band: str) -> Role:
    """The colour of a ratio, by the band it falls in."""
    mark = VERDICT.get(band)
    return mark.role if mark is not None else ""
