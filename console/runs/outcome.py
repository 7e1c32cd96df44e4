"""From how the parts of an attempt ended to its outcome, failure and conditions. Pure."""

import sys
from collections.abc import Mapping, Sequence
from datetime import datetime

import msgspec

from console.model.attempt import Failure, FailureClass, Outcome, Result
from console.model.cell import Conditions
from console.model.launch import Launch
from console.model.profile import Image

_GENERIC = frozenset(
    {
        FailureClass.UNKNOWN,
        FailureClass.NO_RESULT,
        FailureClass.BAD_RESULT,
        FailureClass.ENGINE_DIED,
        FailureClass.PYTHON_ERROR,
        FailureClass.KILLED,
        FailureClass.RCCL,
        FailureClass.COLLECTIVE_TIMEOUT,
        FailureClass.RANK_DIED,
        FailureClass.STOPPED,
    }
)
"""Classes that say less than any other, or only echo what another part did: its failure is shown instead."""

_ENDED = frozenset({FailureClass.KILLED, FailureClass.STOPPED})

_STALLED = "no rank said why: look at the fabric between the hosts, at their kernel logs and their GPUs"

_SIGNALS = {134: "aborted", 135: "bus error", 137: "killed", 139: "segmentation fault", 143: "terminated"}


class PartEnd(msgspec.Struct, frozen=True, kw_only=True):
    """How one part ended: what inspect said, what its own deadline did, what its reader made of its output."""

    exit_code: int
    out_of_memory: bool
    error: str
    finished_at: str
    deadline_reached: bool
    result: Result


class Decision(msgspec.Struct, frozen=True, kw_only=True):
    """The outcome of an attempt; `result` keeps whatever was measured, also when it failed, by the part `speaker`."""

    outcome: Outcome
    result: Result | None
    failure: Failure | None
    speaker: str = ""


def decide(launch: Launch, ends: Mapping[str, PartEnd], ahead: Mapping[str, int] | None = None) -> Decision:
    """Outcome of an attempt whose parts ended by themselves; parts that never started are absent from `ends`.

    Of several parts that decide, the first with a figure speaks: ranks end together, and only one prints it. `ahead`
    says by host how many nanoseconds its clock is ahead: what came first is told by one clock. Hosts not named count
    as in time.
    """
    deciding = [part.name for part in launch.parts if part.decides and part.name in ends]
    speaker = next(
        (name for name in deciding if ends[name].result.value() is not None), deciding[0] if deciding else ""
    )
    result = _merged(ends[speaker].result, [end.result for end in ends.values()]) if speaker else None
    places = _places(launch)
    fast = {part.name: (ahead or {}).get(part.host, 0) for part in launch.parts}
    finished = {name: _finished(end) - fast.get(name, 0) for name, end in ends.items()}
    failures = [
        (_rank(name, failure, finished, fast.get(name, 0)), _placed(failure, places.get(name, "")))
        for name, end in ends.items()
        if (failure := part_failure(end)) is not None
    ]
    # a helper that was told to end when the work was done did not fail
    done = result is not None and result.failure is None and all(ends[name].exit_code == 0 for name in deciding)
    if done and result is not None and result.value() is not None:
        return Decision(outcome=Outcome.OK, result=result, failure=None, speaker=speaker)
    if not failures:
        missing = Failure(failure=FailureClass.NO_RESULT, line="the program ended without a figure")
        return Decision(outcome=Outcome.FAILED, result=result, failure=missing, speaker=speaker)
    failures.sort(key=lambda item: item[0])
    first = failures[0][1]
    others = tuple(f"{item.failure}: {item.line}" for _, item in failures[1:])
    return Decision(
        outcome=Outcome.FAILED,
        result=result,
        failure=msgspec.structs.replace(first, others=(*first.others, *others)),
        speaker=speaker,
    )


def overruled(failure: FailureClass, line: str, said: Failure | None) -> Failure:
    """The failure of an attempt that we ended. Of one that stalled, what its ranks said stands behind it: how they were
    ended by us says nothing."""
    if failure is not FailureClass.STALLED:
        return Failure(failure=failure, line=line)
    heard = () if said is None or said.failure in _ENDED else (f"{said.failure}: {said.line}",)
    others = tuple(
        other
        for other in (*heard, *(said.others if said else ()))
        if not other.startswith(tuple(f"{kind}: " for kind in _ENDED))
    )
    return Failure(failure=failure, line=line, remedy=said.remedy if heard and said else _STALLED, others=others)


def _merged(decider: Result, others: Sequence[Result]) -> Result:
    """The deciding part's figures with what only a helper could see: its engine, and reasons from its log."""
    reasons = list(decider.reasons)
    engine, version = decider.engine, decider.engine_version
    for other in others:
        engine, version = engine or other.engine, version or other.engine_version
        reasons += [reason for reason in other.reasons if reason not in reasons]
    return msgspec.structs.replace(decider, engine=engine, engine_version=version, reasons=tuple(reasons))


def _places(launch: Launch) -> Mapping[str, str]:
    """Where each part was, for people; nothing to say where all of them were on one host."""
    if len({part.host for part in launch.parts}) < 2:
        return {}
    return {part.name: f"{part.name} on {part.host}: " for part in launch.parts}


def _placed(failure: Failure, place: str) -> Failure:
    return msgspec.structs.replace(failure, line=place + failure.line) if place else failure


def _rank(name: str, failure: Failure, finished: Mapping[str, int], fast: int) -> tuple[int, int]:
    """How near to the cause a failure is, smallest first, then when it was. `fast`: its host's clock, see `decide`.

    What says why; what only says that it ended; what says that another ended; and what was killed after another had
    ended: that may have been our own doing.
    """
    when = failure.at_ns - fast if failure.at_ns is not None else finished[name]
    if failure.failure in _ENDED and finished[name] > min(finished.values()):
        return 3, when
    if failure.failure not in _GENERIC:
        return 0, when
    return (2 if failure.echo else 1), when


def _finished(end: PartEnd) -> int:
    """Nanoseconds when the container ended, on its host's clock."""
    try:
        ended = datetime.fromisoformat(end.finished_at)
    except ValueError:
        return sys.maxsize
    return int(ended.timestamp() * 1e9)


def part_failure(end: PartEnd) -> Failure | None:
    """Why one part failed; None when it ended well."""
    told = end.result.failure
    if end.out_of_memory:
        remedy = "give the container more memory, or free memory on the host"
        return Failure(failure=FailureClass.OUT_OF_MEMORY_HOST, line="the kernel killed it for memory", remedy=remedy)
    if end.deadline_reached:
        remedy = "look at the log for a hang; --set or the matrix may allow more time"
        return Failure(failure=FailureClass.DEADLINE, line="it did not end within its deadline", remedy=remedy)
    if told is not None and (told.failure not in _GENERIC or end.exit_code in (0, 1, 2)):
        return told
    if end.exit_code == 0:
        return told
    what = _SIGNALS.get(end.exit_code, f"exit code {end.exit_code}")
    line = f"{what}: {end.error}" if end.error else f"the program ended with {what}"
    kind = FailureClass.KILLED if end.exit_code in (137, 143) else FailureClass.UNKNOWN
    if told is not None:
        return msgspec.structs.replace(told, line=told.line or line)
    return Failure(failure=kind, line=line)


def conditions(
    hosts: Mapping[str, Conditions], launch: Launch, image: Image, result: Result | None, *, nodes: int, simulated: bool
) -> Conditions:
    """What the figure came to be under: the hosts where they agree, the image, and what the engine said of itself."""
    merged = _agreed(list(hosts.values()))
    return msgspec.structs.replace(
        merged,
        nodes=nodes,
        image=image.ref,
        image_digest=launch.image_digest,
        engine=(result.engine if result else None) or (image.vllm.engine if image.vllm else None),
        engine_version=(result.engine_version if result else None) or image.engine_version,
        rocm=image.rocm,
        pytorch=image.pytorch,
        simulated=simulated,
    )


def _agreed(items: Sequence[Conditions]) -> Conditions:
    """Values that all hosts share; one that differs is not known for the attempt as a whole."""
    if not items:
        return Conditions()
    first, *rest = items
    differing = {
        name: None
        for name in Conditions.__struct_fields__
        if name != "simulated" and any(getattr(item, name) != getattr(first, name) for item in rest)
    }
    return msgspec.structs.replace(first, **differing)
