"""What a failure signature is, and how a table of them is written."""

import re

import msgspec

from console.model.attempt import FailureClass


class Signature(msgspec.Struct, frozen=True, kw_only=True):
    """A line that names a failure. `secondary` ones only echo an earlier one; `warning` ones do not end a run."""

    id: str
    failure: FailureClass
    needles: tuple[str, ...]
    remedy: str
    pattern: re.Pattern[str] | None = None
    secondary: bool = False
    warning: bool = False


def known(id: str, failure: FailureClass, needles: str | tuple[str, ...], remedy: str, pattern: str = "") -> Signature:
    """A root cause: one of the needles must occur in the line, then the pattern, when there is one."""
    return Signature(
        id=id,
        failure=failure,
        needles=(needles,) if isinstance(needles, str) else needles,
        remedy=remedy,
        pattern=re.compile(pattern) if pattern else None,
    )


def echo(
    id: str,
    needles: str | tuple[str, ...],
    pattern: str = "",
    failure: FailureClass = FailureClass.ENGINE_DIED,
    remedy: str = "look for the first error before this line, in every part's log",
) -> Signature:
    """What follows the end of another process."""
    return msgspec.structs.replace(known(id, failure, needles, remedy, pattern), secondary=True)


def warning(id: str, failure: FailureClass, needles: str | tuple[str, ...], remedy: str) -> Signature:
    """What spoils or is noted, and ends nothing."""
    return msgspec.structs.replace(known(id, failure, needles, remedy), warning=True)
