"""Result files that programs write: JSON read with suspicion, figures cross-checked."""

import json
import math
from collections.abc import Iterable, Mapping
from typing import Any

import msgspec

from console.model.attempt import Failure, FailureClass
from console.workloads.places import RESULT_FILE

TOLERANCE = 0.01
"""Two statements of one program may differ by this part; more means that they speak of different runs."""

_REMEDY = "the container's log and inspect are kept with the attempt: look there for how the program ended"


class Numbers(msgspec.Struct, frozen=True):
    """A result file's top level: finite numbers, and lists of finite numbers. Everything else is left out."""

    values: Mapping[str, float]
    lists: Mapping[str, tuple[float, ...]]
    nested: Mapping[str, Mapping[str, float]]


def load(
    files: Mapping[str, bytes], required: Iterable[str] = (), lists: Iterable[str] = ()
) -> Numbers | Failure | None:
    """The result file among the collected ones, None when there is none, a Failure when it cannot be used.

    `required` must be finite numbers and `lists` lists of such.

    Old images let every rank write the same file, so what follows the first complete object is ignored.
    """
    data = files.get(RESULT_FILE)
    if data is None:
        return None
    if not data.strip():
        return bad_file("is empty")
    try:
        plain, _ = json.JSONDecoder().raw_decode(data.decode("utf-8", "replace").lstrip("\ufeff \t\r\n"))
    except (ValueError, RecursionError):
        cut = data.lstrip()[:1] == b"{" and not data.rstrip().endswith(b"}")
        return bad_file("is cut off" if cut else "is not JSON")
    if not isinstance(plain, dict):
        return bad_file("is not a JSON object")
    numbers = _numbers(plain)
    missing = [key for key in required if key not in numbers.values]
    missing += [key for key in lists if not numbers.lists.get(key)]
    if missing:
        return bad_file(f"has no usable {', '.join(missing)}")
    return numbers


def no_file() -> Failure:
    """The program ended without its result file."""
    return Failure(failure=FailureClass.NO_RESULT, line=f"no result file {RESULT_FILE}", remedy=_REMEDY)


def bad_file(why: str) -> Failure:
    """The result file is there and of no use."""
    return Failure(failure=FailureClass.BAD_RESULT, line=f"result file {RESULT_FILE} {why}", remedy=_REMEDY)


def differences(pairs: Iterable[tuple[str, float | None, float | None]], rounding: float = 0.01) -> tuple[str, ...]:
    """Which pairs of the same figure differ by more than TOLERANCE and `rounding`; unknown ones are not compared."""
    found = []
    for what, one, other in pairs:
        if one is None or other is None:
            continue
        if abs(one - other) > max(TOLERANCE * max(abs(one), abs(other)), rounding):
            found.append(f"{what}: {one:.10g} against {other:.10g}")
    return tuple(found)


def mismatch(found: tuple[str, ...]) -> Failure | None:
    """The failure of a program that contradicts itself; None when nothing differs."""
    if not found:
        return None
    return Failure(
        failure=FailureClass.RESULT_MISMATCH,
        line="the program's own figures contradict each other: " + "; ".join(found),
        remedy="the log or the result file is of another run: run the cell again",
    )


def _numbers(plain: Mapping[str, Any]) -> Numbers:
    values: dict[str, float] = {}
    lists: dict[str, tuple[float, ...]] = {}
    nested: dict[str, Mapping[str, float]] = {}
    for raw_key, value in plain.items():
        key = raw_key.rstrip(":")  # vLLM 0.8.5 writes "request_goodput:"
        if (number := _number(value)) is not None:
            values[key] = number
        elif isinstance(value, list):
            items = [_number(item) for item in value]
            if all(item is not None for item in items):
                lists[key] = tuple(item for item in items if item is not None)
        elif isinstance(value, dict):
            inner = {name: _number(item) for name, item in value.items()}
            nested[key] = {name: item for name, item in inner.items() if item is not None}
    return Numbers(values, lists, nested)


def _number(value: object) -> float | None:
    """A finite number; text such as "inf", booleans, null, NaN and numbers beyond a float's range are none."""
    if isinstance(value, bool) or not isinstance(value, int | float):
        return None
    try:
        number = float(value)
    except OverflowError:
        return None
    return number if math.isfinite(number) else None
