"""Why an attempt does not start, as its row says it."""

from collections.abc import Mapping, Sequence

from console.health.check_ids import CheckId
from console.model.attempt import Failure, FailureClass
from console.model.finding import Effect, Finding

_CLASSES: Mapping[str, FailureClass] = {
    CheckId.DOCKER_ACCESS: FailureClass.DOCKER,
    CheckId.DOCKER_ENGINE: FailureClass.DOCKER,
    CheckId.KFD: FailureClass.NO_KFD,
    CheckId.GROUPS: FailureClass.DEVICE_PERMISSION,
    CheckId.GPU_FREE: FailureClass.GPU_IN_USE,
    CheckId.GPU_CONTAINERS: FailureClass.GPU_IN_USE,
    CheckId.MODEL_CACHED: FailureClass.MODEL_INCOMPLETE,
    CheckId.IMAGE_DISK: FailureClass.DISK_FULL,
    CheckId.SCRATCH: FailureClass.DISK_FULL,
}
"""The class of a row that a block keeps from running; every other check is `preflight`."""


class NotRun(Exception):
    """The attempt will not start; `failure` becomes its row."""

    def __init__(self, failure: Failure) -> None:
        super().__init__(failure.line)
        self.failure = failure


def blocking(findings: Sequence[Finding], accepted: Sequence[str]) -> list[Finding]:
    """What keeps the attempt from starting: blocks always, spoils unless they are accepted by name."""
    return [
        item
        for item in findings
        if item.effect is Effect.BLOCK or (item.effect is Effect.SPOIL and item.check not in accepted)
    ]


def refusal(stops: Sequence[Finding]) -> Failure:
    """The failure of an attempt that these findings stop; the gravest speaks, the others stand beside it."""
    first = min(stops, key=lambda item: (item.effect is not Effect.BLOCK, item.check not in _CLASSES))
    remedy = first.remedy
    if first.effect is Effect.SPOIL:
        remedy = f"{remedy}; or run it all the same, spoiled, with --accept {first.check}".removeprefix("; ")
    return Failure(
        failure=_CLASSES.get(first.check, FailureClass.PREFLIGHT),
        line=f"{first.host}: {first.seen}" + (f" (expected {first.expected})" if first.expected else ""),
        remedy=remedy,
        others=tuple(item.sentence() for item in stops if item is not first),
    )
