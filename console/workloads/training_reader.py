"""The common part of the training readers: frames in, phases, steps and symptoms out, and at the end one result."""

from abc import ABC, abstractmethod
from collections.abc import Iterator, Mapping, Sequence

import msgspec

from console.model.attempt import (
    Failure,
    FailureClass,
    LogFrame,
    MetricValue,
    Phase,
    PhaseSeen,
    Reason,
    Result,
    Signal,
    Validity,
)
from console.model.text import safe_line
from console.workloads.failures import FailureScan, by_exit_code, ended_by_us
from console.workloads.lines import Line, LineSplitter
from console.workloads.nccl_log import INTERFACE_REMEDY, NcclLog
from console.workloads.steps import Step, samples, values_of

Markers = Sequence[tuple[str, Phase]]

_ORDER = {phase: number for number, phase in enumerate(Phase)}
_OUT_OF_MEMORY = (
    "lower the batch size with --set; if little was free before the first step, another process holds the GPU"
)
_NAN = "the loss is not a number: look at the precision and the GPUs; the speed of such a run does not count"


class Figures(msgspec.Struct, frozen=True, kw_only=True):
    """What a run came to: the figures of its result rule, what is wrong with them, and what spoils them."""

    values: tuple[MetricValue, ...] = ()
    problem: Failure | None = None
    reasons: tuple[Reason, ...] = ()


class TrainingReader(ABC):
    """Reads one rank's output. `metric` makes the result; a rank that `prints` no figures can only fail."""

    markers: Markers = ()

    def __init__(self, *, metric: str, gpus: int | None, nodes: int | None, prints: bool = True) -> None:
        self.metric = metric
        self.gpus = gpus
        self.prints = prints
        self.nccl = NcclLog(nodes)
        self.steps: list[Step] = []
        self.entered: dict[Phase, int] = {}
        self.version: str | None = None
        self._nan = ""
        self._phase = -1
        self._scan = FailureScan()
        self._splitter = LineSplitter()

    # -- what a program's reader says

    @abstractmethod
    def read_steps(self, line: Line) -> Iterator[Step]:
        """Steps in a line; each is yielded once, however often the program prints it."""

    @abstractmethod
    def take(self, line: Line) -> None:
        """Keep what the program prints of its result and of its settings."""

    @abstractmethod
    def figures(self, files: Mapping[str, bytes]) -> Figures:
        """The figures by the published rule, from files and from the steps. Never raises on bad input."""

    def total(self) -> float | None:
        """Steps the whole run is to make, as far as it is known."""
        return None

    def done(self, step: Step) -> float:
        """How far the whole run is with this step."""
        return float(step.number)

    def phase_of(self, step: Step) -> Phase:
        """Whether a step counts in the result or only warms up."""
        return Phase.MEASURING

    def complete(self) -> bool:
        """Whether the run made all its steps."""
        total = self.total()
        return bool(self.steps) and (total is None or self.done(self.steps[-1]) >= total)

    def harmless(self, line: Line) -> bool:
        """Lines that look like errors and are known to be none."""
        return False

    # -- what they share

    def feed(self, frames: Sequence[LogFrame]) -> Sequence[Signal]:
        """Signals found in these frames; what is unfinished waits for the next call."""
        return [signal for frame in frames for line in self._splitter.feed(frame) for signal in self._read(line)]

    def close(self, files: Mapping[str, bytes], exit_code: int | None) -> Result:
        """The result: root cause of the log first, then the exit code, then what the figures themselves say."""
        for line in self._splitter.flush():
            for _ in self._read(line):
                pass
        figures = self.figures(files) if self.prints else Figures()
        failure = self._failure(figures, exit_code)
        silence = self.nccl.silence() if failure is None else ()
        return Result(
            headline=self.metric,
            values=(*figures.values, *values_of(self.steps)),
            failure=failure,
            reasons=(*figures.reasons, *self._reasons(), *silence),
            engine_version=self.version,
            measured_from_ns=self.entered.get(Phase.MEASURING) or None,
            measured_to_ns=self.entered.get(Phase.FINISHED) or None,
        )

    def enter(self, line: Line, phase: Phase) -> Iterator[PhaseSeen]:
        """Go on to a phase; phases only go forward, each is reported once. A rank without figures never measures."""
        if _ORDER[phase] <= self._phase or (not self.prints and _ORDER[phase] > _ORDER[Phase.WARMING_UP]):
            return
        self._phase = _ORDER[phase]
        self.entered[phase] = line.at_ns
        yield PhaseSeen(line.at_ns, phase, safe_line(line.text))

    def _read(self, line: Line) -> Iterator[Signal]:
        if (loopback := self.nccl.read(line)) is not None:
            yield loopback
        stepped = False
        for step in self.read_steps(line):
            stepped = True
            self.steps.append(step)
            if step.loss_is_nan and not self._nan:
                self._nan = safe_line(line.text)
            yield from self.enter(line, self.phase_of(step))
            yield from samples(
                step,
                at_ns=line.at_ns,
                metric=self.metric,
                done=self.done(step),
                total=self.total(),
                gpus=self.gpus,
            )
        self.take(line)
        for needle, phase in self.markers:
            if needle in line.text:
                yield from self.enter(line, phase)
                break
        if stepped or self.harmless(line):
            return
        if (symptom := self._scan.look(line)) is not None:
            yield symptom

    def _failure(self, figures: Figures, exit_code: int | None) -> Failure | None:
        told = self._told(figures, exit_code)
        if told is not None and told.failure == FailureClass.OUT_OF_MEMORY_GPU:
            return msgspec.structs.replace(told, remedy=_OUT_OF_MEMORY)
        return told

    def _told(self, figures: Figures, exit_code: int | None) -> Failure | None:
        by_code = by_exit_code(exit_code)
        if by_code is not None:
            stopped = ended_by_us(exit_code)
            return (
                self._scan.root(known_only=stopped)
                or self._stuck()
                or (None if stopped else self._nan_loss())
                or by_code
            )
        if not self.prints:
            return self._scan.root(known_only=True)
        if self._nan:
            return self._scan.root(known_only=True) or self._nan_loss()
        if figures.problem is not None and figures.problem.failure == FailureClass.RESULT_MISMATCH:
            return figures.problem
        if not self.complete():
            return self._scan.root() or figures.problem or self._unfinished()
        if figures.problem is not None:
            return self._scan.root() or figures.problem
        has_figure = Result(headline=self.metric, values=figures.values).value() is not None
        return None if has_figure else self._scan.root() or self._unfinished()

    def _unfinished(self) -> Failure:
        """The log shows neither an error nor an end."""
        total = self.total()
        where = "before its first step" if not self.steps else f"at step {self.done(self.steps[-1]):.0f}"
        line = f"the program ended {where}" + (f" of {total:.0f}" if total else "") + " without a result"
        if self.steps and self.complete():
            line = "the log ends without a result"
        return Failure(failure=FailureClass.NO_RESULT, line=line, remedy="look at the end of the log")

    def _nan_loss(self) -> Failure | None:
        return Failure(failure=FailureClass.NAN_LOSS, line=self._nan, remedy=_NAN) if self._nan else None

    def _stuck(self) -> Failure | None:
        """A run over several nodes that met on the loopback waits for ever: that is why somebody had to end it."""
        if not self.nccl.loopback or self.steps:
            return None
        return Failure(failure=FailureClass.WRONG_INTERFACE, line=self.nccl.loopback, remedy=INTERFACE_REMEDY)

    def _reasons(self) -> Iterator[Reason]:
        yield from self.nccl.reasons()
        for symptom in self._scan.warnings:
            if symptom.signature == "R3":
                yield Reason(Validity.NUMA_BALANCING_ON, symptom.line)
