"""A rule held against the facts of a host, and what came out of it."""

from collections.abc import Callable, Iterable, Mapping
from enum import StrEnum

import msgspec

from console.model.facts import HostFacts
from console.model.profile import GpuSpec, ServerProfile


class State(StrEnum):
    """Outcome of a check. What could not be read is unknown, never a pass."""

    PASS = "pass"  # noqa: S105 - a state, not a password
    WARN = "warn"
    FAIL = "fail"
    UNKNOWN = "unknown"


class Effect(StrEnum):
    """What a finding means for a run: it cannot start, its figure would not count, or it is only noted."""

    BLOCK = "block"
    SPOIL = "spoil"
    NOTE = "note"


class Finding(msgspec.Struct, frozen=True, kw_only=True):
    """One outcome of one check on one host. `source` says why it is expected; `remedy` is a command or a step.

    `waived` says why it does not count, though it is shown: suppressed, acknowledged, for information, not checkable.
    """

    check: str
    host: str
    state: State
    seen: str
    expected: str = ""
    source: str = ""
    evidence: str = ""
    remedy: str = ""
    effect: Effect = Effect.NOTE
    waived: str = ""

    def sentence(self) -> str:
        """The finding in one line for people."""
        text = f"{self.host}: {self.seen}"
        if self.expected:
            text += f" (expected {self.expected})"
        return f"{text}; {self.remedy}" if self.remedy else text


class Ack(msgspec.Struct, frozen=True, kw_only=True):
    """A kernel-log fault that somebody has dealt with: what happened up to `until_ns` rests, what comes later does not.

    `bdf` empty: of every device. Times are UTC nanoseconds on the clock of the host. `mark`: lines without a time rest
    too, as long as they are those that the mark stands for (see `kernel_log.Fault.mark`).
    """

    host: str
    rule: str
    bdf: str = ""
    until_ns: int
    reason: str
    mark: str = ""


class Case(msgspec.Struct, frozen=True, kw_only=True):
    """What a check may look at: one host, what it is held against, and the other hosts of the fleet.

    `expect_idle`: nobody should be using the GPUs now (prologues, preflight); else work on them is normal.
    """

    facts: HostFacts
    profile: ServerProfile | None = None
    gpu: GpuSpec | None = None
    peers: Mapping[str, HostFacts] = {}
    acks: tuple[Ack, ...] = ()
    expect_idle: bool = False


class Check(msgspec.Struct, frozen=True):
    """A named rule. `run` yields findings, also for a pass, so that silence is never a verdict.

    `required`: what it cannot read counts as unknown; of the others it is only shown. `detail` and `source` are for
    people who ask what it means. `classes`: everything a finding of it may be about, where that is known before.
    """

    id: str
    area: str
    explain: str
    run: Callable[[Case], Iterable[Finding]]
    required: bool = True
    detail: str = ""
    source: str = ""
    classes: tuple[str, ...] = ()
