"""The common part of the vLLM readers: frames in, signals out, and at the end one result."""

import re
from abc import ABC, abstractmethod
from collections.abc import Iterator, Mapping, Sequence

import msgspec

from console.model.attempt import (
    Failure,
    FailureClass,
    LogFrame,
    MetricValue,
    Phase,
    Reason,
    Result,
    Signal,
    Validity,
)
from console.workloads.failures import FailureScan, by_exit_code, ended_by_us
from console.workloads.lines import Line, LineSplitter
from console.workloads.vllm_log import VllmLog

PREFIX_HITS_LIMIT = 5.0
"""Per cent of prompt tokens from the prefix cache above which a figure does not count.

A serving client sends its first prompt twice, so a little is natural; repeated prompts give nearly everything.
"""
OUTPUT_SHORT_LIMIT = 0.98
"""Counted output tokens below this part of prompts x output length are reported.

Detokenizing and encoding again loses some: 119,837 of 120,000 were counted in a healthy run.
"""

_TEXT_OF_USERS = ("Received request ", "Added request ")
_ASKED = re.compile(r"\b(num_prompts|output_len|random_output_len|num_iters|batch_size)=(\d{1,12})\b")


class Figures(msgspec.Struct, frozen=True, kw_only=True):
    """What a program measured: all values, what is wrong with them, and the seconds it measured for."""

    values: tuple[MetricValue, ...] = ()
    problem: Failure | None = None
    reasons: tuple[Reason, ...] = ()
    seconds: float | None = None


class VllmReader(ABC):
    """Reads one part. `headline` names the metric that makes a result; `file_expected` that a file was asked for."""

    headline: str

    def __init__(self, *, headline: str, file_expected: bool, unlabelled: str | None = None) -> None:
        self.headline = headline
        self.file_expected = file_expected
        self.log = VllmLog(unlabelled)
        self.asked: dict[str, int] = {}
        self._scan = FailureScan()
        self._splitter = LineSplitter()

    def feed(self, frames: Sequence[LogFrame]) -> Sequence[Signal]:
        """Signals found in these frames; what is unfinished waits for the next call."""
        return [signal for frame in frames for line in self._splitter.feed(frame) for signal in self._read(line)]

    def close(self, files: Mapping[str, bytes], exit_code: int | None) -> Result:
        """The result. The log's root cause stands before the exit code, the exit code before the result file."""
        for line in self._splitter.flush():
            for _ in self._read(line):
                pass
        return self.conclude(self.figures(files), exit_code)

    @abstractmethod
    def take(self, line: Line) -> None:
        """Keep what the program prints of its result."""

    @abstractmethod
    def figures(self, files: Mapping[str, bytes]) -> Figures:
        """The figures from the result file and from what `take` kept. Never raises on bad input."""

    def conclude(self, figures: Figures, exit_code: int | None) -> Result:
        """Join figures, exit code and symptoms."""
        began, ended = self._measured(figures.seconds)
        return Result(
            headline=self.headline,
            values=figures.values,
            failure=self._failure(figures, exit_code),
            reasons=(*figures.reasons, *self._reasons()),
            engine=self.log.engine,
            engine_version=self.log.engine_version,
            measured_from_ns=began,
            measured_to_ns=ended,
        )

    def as_server(self, result: Result, exit_code: int | None) -> Result:
        """The result of a part that decides nothing: it fails on a known root cause or on its own bad exit.

        A server is stopped by us when its client is done; what it says then is no failure.
        """
        if exit_code in (None, 0):
            return msgspec.structs.replace(result, failure=self._scan.root(known_only=True))
        if result.failure is not None and result.failure.failure in (FailureClass.STOPPED, FailureClass.KILLED):
            return msgspec.structs.replace(result, failure=None)
        return result

    def _read(self, line: Line) -> Iterator[Signal]:
        if any(text in line.text for text in _TEXT_OF_USERS):
            return
        if "Namespace(" in line.text:
            self.asked.update((key, int(value)) for key, value in _ASKED.findall(line.text))
        yield from self.log.read(line)
        self.take(line)
        if (symptom := self._scan.look(line)) is not None:
            yield symptom

    def _failure(self, figures: Figures, exit_code: int | None) -> Failure | None:
        by_code = by_exit_code(exit_code)
        if by_code is not None:
            return self._scan.root(known_only=ended_by_us(exit_code)) or by_code
        if figures.problem is None and self._has_headline(figures):
            return None
        problem = figures.problem or Failure(
            failure=FailureClass.NO_RESULT,
            line="the log ends without a result",
            remedy="look at the end of the log for where the program stood",
        )
        if problem.failure == FailureClass.RESULT_MISMATCH:
            return problem
        return self._scan.root() or problem

    def _has_headline(self, figures: Figures) -> bool:
        return Result(headline=self.headline, values=figures.values).value() is not None

    def _reasons(self) -> Iterator[Reason]:
        if self.log.preemptions:
            yield Reason(Validity.PREEMPTED, f"{self.log.preemptions} sequences were preempted: the KV cache was full")
        if self.log.prefix_hit_percent > PREFIX_HITS_LIMIT:
            yield Reason(
                Validity.PREFIX_CACHE_HITS, f"up to {self.log.prefix_hit_percent:g} % of prompt tokens were cached"
            )
        for symptom in self._scan.warnings:
            if symptom.signature == "R3":
                yield Reason(Validity.NUMA_BALANCING_ON, symptom.line)

    def _measured(self, seconds: float | None) -> tuple[int | None, int | None]:
        """When it measured, ns: back from the result line by the seconds it states. None without frame times."""
        ended = self.log.entered.get(Phase.FINISHED) or None
        began = self.log.entered.get(Phase.MEASURING) or None
        if ended is not None and seconds is not None:
            began = ended - round(seconds * 1e9)
        return began, ended


def short_output(counted: float | None, prompts: float | None, output_len: float | None) -> tuple[Reason, ...]:
    """The reason for counted output tokens far below prompts x length; nothing when one of them is unknown."""
    if counted is None or not prompts or not output_len:
        return ()
    asked = prompts * output_len
    if counted >= OUTPUT_SHORT_LIMIT * asked:
        return ()
    return (Reason(Validity.OUTPUT_SHORT, f"{counted:.0f} output tokens were counted, {asked:.0f} were asked for"),)
