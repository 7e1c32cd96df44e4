"""How a matrix says where a program's figures, steps and phases are: patterns over lines, paths into JSON files."""

import json
import re
from collections.abc import Sequence
from typing import Any, Literal

import msgspec

from console.model.attempt import FailureClass, Phase
from console.workloads.numbers import number

Take = Literal["last", "first", "mean", "max", "min", "sum"]

_STEP_OF_PATH = re.compile(r"([^.\[\]]+)|\[(-?\d{1,6})\]")
_PATH = re.compile(r"(?:[^.\[\]]+|\[-?\d{1,6}\])(?:\.[^.\[\]]+|\[-?\d{1,6}\])*")


class Pick(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """One figure of a program's result: from its output by `pattern`, or from a file by `json`.

    `pattern` is a regular expression with the figure in its group `value`, or in its first one; every line that has it
    adds a figure, and `take` says what becomes of them, without the first `drop_first` and the last `drop_last`.
    `json` is a path such as `runs[-1].tokens_per_s`; `file` names the file, where the row has several. `scale` turns
    the figure into the metric's unit. Without `metric` it is the row's own.
    """

    metric: str = ""
    pattern: str | None = None
    json: str | None = None
    file: str | None = None
    take: Take = "last"
    drop_first: int = 0
    drop_last: int = 0
    scale: float = 1.0

    def __post_init__(self) -> None:
        if (self.pattern is None) == (self.json is None):
            raise ValueError("a result says either `pattern` or `json`")
        if self.pattern is not None and compiled(self.pattern).groups < 1:
            raise ValueError(f"the pattern {self.pattern!r} has no group: put the figure in (parentheses)")
        if self.json is not None and _PATH.fullmatch(self.json) is None:
            raise ValueError(f"{self.json!r} is no path such as `results.tokens_per_s` or `runs[0].value`")
        if self.drop_first < 0 or self.drop_last < 0:
            raise ValueError("drop_first and drop_last are counts")

    def settled(self, found: Sequence[float]) -> float | None:
        """What all figures of the output come to; None when none is left."""
        kept = list(found[self.drop_first : len(found) - self.drop_last])
        if not kept:
            return None
        made = {
            "last": kept[-1],
            "first": kept[0],
            "max": max(kept),
            "min": min(kept),
            "sum": sum(kept),
            "mean": sum(kept) / len(kept),
        }
        return made[self.take] * self.scale


class PhasePattern(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A line that shows that the program entered a phase."""

    phase: Phase
    pattern: str

    def __post_init__(self) -> None:
        compiled(self.pattern)


class SamplePattern(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A line with live figures, in named groups: `rate` (of `metric`), `done` and `total` (of what it `counts`).

    Any other named group becomes a further figure by its name.
    """

    pattern: str
    metric: str = ""
    counts: str = "steps"
    scale: float = 1.0

    def __post_init__(self) -> None:
        if not compiled(self.pattern).groupindex:
            raise ValueError(f"the pattern {self.pattern!r} has no named group such as (?P<rate>…) or (?P<done>…)")


class FailurePattern(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A line that names why the program fails, its class, and what to do about it."""

    pattern: str
    failure: FailureClass = FailureClass.UNKNOWN
    remedy: str = ""

    def __post_init__(self) -> None:
        compiled(self.pattern)


def compiled(pattern: str) -> re.Pattern[str]:
    """The pattern. Raises ValueError with the place of what is wrong in it."""
    try:
        return re.compile(pattern)
    except re.error as error:
        raise ValueError(f"the pattern {pattern!r} is no regular expression: {error}") from error


def figure_of(match: re.Match[str]) -> float | None:
    """The figure a result pattern found: group `value`, else the first one."""
    return number(match["value"] if "value" in match.re.groupindex else match[1])


def at_path(data: bytes, path: str) -> float | str:
    """The figure at a path of a JSON file, or why there is none."""
    try:
        node: Any = json.loads(data)
    except (ValueError, RecursionError):
        return "is not JSON"
    for name, index in _STEP_OF_PATH.findall(path):
        try:
            node = node[int(index)] if index else node[name]
        except (KeyError, IndexError, TypeError):
            return f"has no {path}"
    found = number(str(node)) if isinstance(node, int | float | str) and not isinstance(node, bool) else None
    return f"has no number at {path}" if found is None else found
