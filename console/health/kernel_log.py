"""What the lines of a kernel log mean, and faults grouped by class and device."""

import hashlib
import re
from collections.abc import Iterable, Sequence
from datetime import UTC, datetime
from functools import lru_cache

import msgspec

from console.health.kernel_noise import BENIGN, DETAIL
from console.health.kernel_rules import BY_ID, RULES, UNCLASSIFIED, KernelRule
from console.model.facts import KernelLine

__all__ = ["BY_ID", "RULES", "Fault", "KernelRule", "classify", "device_of", "faults", "span"]

MARK_LENGTH = 10
_GRAVE = frozenset({"emerg", "alert", "crit"})

_BDF = re.compile(
    r"(?<![0-9a-f:.])(?:([0-9a-f]{4,8}):)?([0-9a-f]{2}):([0-9a-f]{2})\.([0-7])(?![0-9a-f.])", re.IGNORECASE
)
_SAID = (
    "error|fail|fatal|fault|critical|invalid|timeout|timed|stall|lockup|throttl|panic|oops|crash|reset"
    "|poison|oversubscribed|sdma queue|xgmi|wafl|unrecover|preemption|temperature|(aka ctf)|errevent"
    "|not done|response:0x|pci_channel|lost|fallen|expired|exceed|threshold|accelerator check|bug:"
    "|warning|ubsan|unable|blocked|out of memory|oom|dpc|edr|aer|slot(|inconsistent|_status[|edac"
    "|machine check|remount|corrupt|metadata|shutdown|shut down|shutting down|not respon|hung|has not"
    "|watchdog|compromised|health|module|syndrome|device not ready|controller is down"
)
_WORDS = tuple(_SAID.split("|"))
"""Some word of every class, in lower case; a line without one is not looked at further, as most lines of a boot are."""
_FAILED = re.compile(r"^amdgpu\b.*\bfailed\b", re.IGNORECASE)
_DRIVER = re.compile(r"\bamdgpu\b|\bkfd\b|\[drm", re.IGNORECASE)


class Fault(msgspec.Struct, frozen=True, kw_only=True):
    """One fault class on one device: how often, first and last, and the line itself as evidence.

    `newest_ns` is the time of the newest line that has one. `undated` is the last line that has none, and `repeats`
    how often its very text is there.
    """

    rule: KernelRule
    bdf: str
    count: int
    first: KernelLine
    last: KernelLine
    newest_ns: int | None = None
    undated: KernelLine | None = None
    repeats: int = 0

    def mark(self, boot: str) -> str:
        """Stands for the undated lines as they are in this boot: another line, or the same once more, changes it.

        Empty when every line has a time.
        """
        if self.undated is None:
            return ""
        known = "\n".join((boot, self.key, self.undated.text, str(self.repeats)))
        return hashlib.sha256(known.encode("utf-8", "replace")).hexdigest()[:MARK_LENGTH]

    @property
    def key(self) -> str:
        """What an acknowledgement names: `class` or `class@bdf`."""
        return f"{self.rule.id}@{self.bdf}" if self.bdf else self.rule.id


def classify(line: KernelLine) -> KernelRule | None:
    """The fault class of a line, or None for one that says nothing is wrong or only details another line."""
    if line.level != "err" and line.level not in _GRAVE and not _noteworthy(line.text):
        return None
    return _class_of(_BDF.sub("-", line.text), line.level)


def _noteworthy(text: str) -> bool:
    lower = text.lower()
    # no pattern: one with as many beginnings takes ten times as long, and any() twice
    for word in _WORDS:  # noqa: SIM110
        if word in lower:
            return True
    return False


@lru_cache(maxsize=1 << 14)
def _class_of(text: str, level: str) -> KernelRule | None:
    """Kept by text without device: the GPUs of a fleet say the same things."""
    if BENIGN.search(text) or DETAIL.search(text):
        return None
    for rule in RULES:
        if rule.pattern.search(text):
            return rule
    errs = level == "err" or (not level and ("*ERROR*" in text or _FAILED.search(text)))
    return UNCLASSIFIED if level in _GRAVE or (errs and _DRIVER.search(text)) else None


def device_of(text: str) -> str:
    """The first PCI address in a line, with its domain, lower case; empty when there is none."""
    found = _BDF.search(text)
    if found is None:
        return ""
    return f"{(found[1] or '0000').lower()}:{found[2].lower()}:{found[3].lower()}.{found[4]}"


def faults(lines: Iterable[KernelLine], *, since_ns: int | None = None) -> tuple[Fault, ...]:
    """Faults by class and device, gravest classes in the order of the rules; `since_ns` leaves out what is older.

    Lines without a time are kept: what cannot be dated is not ruled out.
    """
    found: dict[tuple[str, str], list[KernelLine]] = {}
    for line in lines:
        if since_ns is not None and line.at_ns is not None and line.at_ns < since_ns:
            continue
        rule = classify(line)
        if rule is not None:
            found.setdefault((rule.id, device_of(line.text)), []).append(line)
    order = {rule_id: index for index, rule_id in enumerate(BY_ID)}
    return tuple(
        _fault(BY_ID[rule_id], bdf, seen)
        for (rule_id, bdf), seen in sorted(found.items(), key=lambda item: (order[item[0][0]], item[0][1]))
    )


def _fault(rule: KernelRule, bdf: str, seen: Sequence[KernelLine]) -> Fault:
    undated = next((line for line in reversed(seen) if line.at_ns is None), None)
    return Fault(
        rule=rule,
        bdf=bdf,
        count=len(seen),
        first=seen[0],
        last=seen[-1],
        newest_ns=max((line.at_ns for line in seen if line.at_ns is not None), default=None),
        undated=undated,
        repeats=0 if undated is None else sum(line.at_ns is None and line.text == undated.text for line in seen),
    )


def span(lines: Sequence[KernelLine]) -> str:
    """From when to when a log reaches, for people."""
    timed = [line.at_ns for line in lines if line.at_ns is not None]
    if timed:
        ends = [datetime.fromtimestamp(at / 1e9, UTC).strftime("%Y-%m-%d %H:%M") for at in (min(timed), max(timed))]
        return f"{ends[0]} to {ends[1]} UTC"
    return f"{len(lines)} lines without times"
