"""What to do next for an attempt: a pure function of what is recorded and what is seen.

The same decision serves a healthy run, one taken up again after kill -9, one whose link was lost, and a second
console that looks at the first one's work.
"""

from collections.abc import Mapping
from typing import Literal

import msgspec

from console.model.attempt import FailureClass, Outcome
from console.model.launch import Launch, Part
from console.runs.site import Observation, PartSeen


class PartRecord(msgspec.Struct, frozen=True, kw_only=True):
    """What the journal says of one part."""

    started: bool = False
    exited: bool = False
    collected: bool = False
    removed: bool = False
    exit_code: int | None = None


class Record(msgspec.Struct, frozen=True, kw_only=True):
    """What the journal says of an attempt. `ready` are the parts whose program said it is ready.

    `stop` is why it should end; `stalled` when nobody but the stall watch asked.
    """

    attempt: str
    launch: Launch | None = None
    claimed: bool = False
    parts: Mapping[str, PartRecord] = {}
    ready: frozenset[str] = frozenset()
    stop: str | None = None
    stalled: bool = False
    outcome: Outcome | None = None

    def part(self, name: str) -> PartRecord:
        """The record of a part; an empty one when nothing happened to it yet."""
        return self.parts.get(name, PartRecord())


class Policy(msgspec.Struct, frozen=True, kw_only=True):
    """How patient the conductor is. Seconds."""

    grace_s: float = 30.0
    poll_s: float = 2.0
    unreachable_poll_s: float = 5.0
    busy_poll_s: float = 15.0


class Prepare(msgspec.Struct, frozen=True, tag="prepare"):
    """Survey the hosts, judge them, bring the image, resolve the launch."""


class Claim(msgspec.Struct, frozen=True, tag="claim"):
    """Create every part."""


class Adopt(msgspec.Struct, frozen=True, tag="adopt"):
    """The parts exist already (a crash came between the act and its record): record them as claimed."""


class Start(msgspec.Struct, frozen=True, tag="start"):
    """Start a created part, or record that it was started."""

    part: str


class GiveSecrets(msgspec.Struct, frozen=True, tag="give_secrets"):
    """A part waits on its stdin."""

    part: str


class RecordExit(msgspec.Struct, frozen=True, tag="record_exit"):
    """A part ended; write down how."""

    part: str


class StopPart(msgspec.Struct, frozen=True, tag="stop"):
    """Ask a running part to end."""

    part: str
    why: str


class Collect(msgspec.Struct, frozen=True, tag="collect"):
    """Bring in log, files and inspect of an ended part."""

    part: str


class Finish(msgspec.Struct, frozen=True, tag="finish"):
    """Decide the outcome and record it. `failure` is set when the reason is ours, not the program's."""

    outcome: Outcome | None = None
    failure: FailureClass | None = None
    why: str = ""


class Release(msgspec.Struct, frozen=True, tag="release"):
    """Remove the containers."""


class Wait(msgspec.Struct, frozen=True, tag="wait"):
    """Nothing to do but look again later; followers go on meanwhile."""

    seconds: float
    why: Literal["running", "unreachable"]


class Over(msgspec.Struct, frozen=True, tag="over"):
    """Nothing is left to do."""


Act = Prepare | Claim | Adopt | Start | GiveSecrets | RecordExit | StopPart | Collect | Finish | Release | Wait | Over

GONE = "the container is gone: somebody removed it"


def step(record: Record, seen: Observation, policy: Policy) -> Act:
    """The next act. Unreachable hosts never end an attempt: nothing is concluded from silence."""
    launch = record.launch
    if record.outcome is not None:
        return _after_outcome(record, seen, policy)
    if launch is None:
        return Finish(Outcome.STOPPED, FailureClass.STOPPED, record.stop) if record.stop else Prepare()
    if seen.unreachable:
        return Wait(policy.unreachable_poll_s, "unreachable")
    if not record.claimed:
        return _claim(record, launch, seen)
    return _drive(record, launch, seen, policy)


def _claim(record: Record, launch: Launch, seen: Observation) -> Act:
    looks = [seen.parts.get(part.name) for part in launch.parts]
    if looks and all(look is not None and look.launch_hash == launch.hash for look in looks):
        return Adopt()
    if record.stop:
        return Finish(Outcome.STOPPED, FailureClass.STOPPED, record.stop)
    return Claim()


def _drive(record: Record, launch: Launch, seen: Observation, policy: Policy) -> Act:
    for part in launch.parts:
        look, known = seen.parts.get(part.name), record.part(part.name)
        if look is not None and look.state == "exited" and not known.exited:
            return RecordExit(part.name)
    if _ended(record, launch, seen):
        return _wind_down(record, launch, seen)
    if record.stop:
        return _wind_down(record, launch, seen)
    for part in launch.parts:
        look, known = seen.parts.get(part.name), record.part(part.name)
        if look is None:
            continue
        if look.state == "blocked":
            return GiveSecrets(part.name)
        due = part.after is None or part.after in record.ready
        if (look.state == "created" and due) or (look.state == "running" and not known.started):
            return Start(part.name)
    return Wait(policy.poll_s, "running")


def _ended(record: Record, launch: Launch, seen: Observation) -> bool:
    """True when nothing more is to be expected: a part failed or vanished, a helper ended, or all deciders ended."""
    for part in launch.parts:
        known, look = record.part(part.name), seen.parts.get(part.name)
        if known.exited and (known.exit_code != 0 or not part.decides):
            return True
        if not known.exited and (look is None or look.state == "absent"):
            return True
    return all(record.part(part.name).exited for part in launch.parts if part.decides)


def _wind_down(record: Record, launch: Launch, seen: Observation) -> Act:
    for part in launch.parts:
        look = seen.parts.get(part.name)
        if look is not None and look.state in ("running", "blocked"):
            return StopPart(part.name, record.stop or "the attempt is over")
    for part in launch.parts:
        look, known = seen.parts.get(part.name), record.part(part.name)
        if known.exited and not known.collected and look is not None and look.state == "exited":
            return Collect(part.name)
    if record.stop and record.stalled:
        return Finish(Outcome.FAILED, FailureClass.STALLED, record.stop)
    if record.stop:
        return Finish(Outcome.STOPPED, FailureClass.STOPPED, record.stop)
    if any(_lost(record.part(part.name), seen.parts.get(part.name)) for part in launch.parts):
        return Finish(Outcome.FAILED, FailureClass.LOST, GONE)
    return Finish()


def _lost(known: PartRecord, look: PartSeen | None) -> bool:
    """True when a part is absent that should still be there."""
    return not known.collected and (look is None or look.state == "absent")


def _after_outcome(record: Record, seen: Observation, policy: Policy) -> Act:
    if record.launch is None:
        return Over()
    if seen.unreachable:
        return Wait(policy.unreachable_poll_s, "unreachable")
    left = any(_is_ours(part, record.launch, seen) for part in record.launch.parts)
    return Release() if left else Over()


def _is_ours(part: Part, launch: Launch, seen: Observation) -> bool:
    look = seen.parts.get(part.name)
    return look is not None and look.state != "absent" and look.launch_hash == launch.hash
