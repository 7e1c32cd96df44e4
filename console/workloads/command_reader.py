"""Reads the output of a program that a matrix describes."""

from collections.abc import Iterator, Mapping, Sequence

from console.model.attempt import (
    Failure,
    FailureClass,
    LogFrame,
    MetricValue,
    Phase,
    PhaseSeen,
    Result,
    Sample,
    Signal,
    Symptom,
)
from console.model.text import safe_line
from console.workloads.command_params import CommandParams
from console.workloads.failures import FailureScan, by_exit_code, ended_by_us
from console.workloads.lines import Line, LineSplitter
from console.workloads.nccl_log import NcclLog
from console.workloads.numbers import number
from console.workloads.patterns import Pick, SamplePattern, at_path, compiled, figure_of

_KEPT = 100_000
"""Figures that are kept of one pattern; what follows is left out."""

_ORDER = {phase: place for place, phase in enumerate(Phase)}


class CommandReader:
    """One part. A part that does not `report` has no figures and can only fail."""

    def __init__(self, params: CommandParams, metric: str, nodes: int, *, reports: bool) -> None:
        self._params = params
        self._metric = metric
        self.prints = reports
        self._phases = [(item.phase, compiled(item.pattern)) for item in params.phases]
        self._samples = [(item, compiled(item.pattern)) for item in params.samples]
        self._failures = [(item, compiled(item.pattern)) for item in params.failures]
        self._picks = [(pick, compiled(pick.pattern), list[float]()) for pick in params.result if pick.pattern]
        self._entered: dict[Phase, int] = {}
        self._told: Symptom | None = None
        self._nccl = NcclLog(nodes)
        self._scan = FailureScan()
        self._splitter = LineSplitter()

    def feed(self, frames: Sequence[LogFrame]) -> Sequence[Signal]:
        """Signals found in these frames; what is unfinished waits for the next call."""
        return [signal for frame in frames for line in self._splitter.feed(frame) for signal in self._read(line)]

    def close(self, files: Mapping[str, bytes], exit_code: int | None) -> Result:
        """The figures the matrix asks for; all of them must be there."""
        for line in self._splitter.flush():
            for _ in self._read(line):
                pass
        values: list[MetricValue] = []
        missing: list[str] = []
        for pick in self._params.result if self.prints else ():
            found = self._figure(pick, files)
            if isinstance(found, str):
                missing.append(found)
            else:
                origin = f"{pick.take} of the output" if pick.pattern else "result file"
                values.append(MetricValue(metric=pick.metric or self._metric, value=found, origin=origin))
        return Result(
            headline=self._metric,
            values=tuple(values),
            failure=self._failure(missing, exit_code),
            reasons=tuple(self._nccl.reasons()),
            measured_from_ns=self._entered.get(Phase.MEASURING) or None,
            measured_to_ns=self._entered.get(Phase.FINISHED) or None,
        )

    def _read(self, line: Line) -> Iterator[Signal]:
        if (loopback := self._nccl.read(line)) is not None:
            yield loopback
        for phase, pattern in self._phases:
            if pattern.search(line.text) is not None and _ORDER[phase] > max(
                map(_ORDER.__getitem__, self._entered), default=-1
            ):
                self._entered[phase] = line.at_ns
                yield PhaseSeen(line.at_ns, phase, safe_line(line.text))
        for item, pattern in self._samples:
            if (match := pattern.search(line.text)) is not None:
                yield self._sample(line, item, match.groupdict())
        for _, pattern, found in self._picks:
            if (match := pattern.search(line.text)) is not None and len(found) < _KEPT:
                value = figure_of(match)
                if value is not None:
                    found.append(value)
        yield from self._symptoms(line)

    def _symptoms(self, line: Line) -> Iterator[Symptom]:
        if self._told is None:
            for item, pattern in self._failures:
                if pattern.search(line.text) is not None:
                    self._told = Symptom(
                        at_ns=line.at_ns,
                        signature=f"matrix {item.pattern}",
                        failure=item.failure,
                        line=safe_line(line.text),
                        remedy=item.remedy,
                    )
                    yield self._told
                    return
        if (symptom := self._scan.look(line)) is not None:
            yield symptom

    def _sample(self, line: Line, item: SamplePattern, groups: dict[str, str]) -> Sample:
        figures = {name: value for name, text in groups.items() if (value := number(text)) is not None}
        rate = figures.pop("rate", None)
        return Sample(
            at_ns=line.at_ns,
            source="iteration line",
            metric=(item.metric or self._metric) if rate is not None else None,
            rate=rate * item.scale if rate is not None else None,
            done=figures.pop("done", None),
            total=figures.pop("total", None),
            counts=item.counts,
            extra=figures,
        )

    def _figure(self, pick: Pick, files: Mapping[str, bytes]) -> float | str:
        """The figure, or why there is none."""
        if pick.pattern is not None:
            found = next(figures for known, _, figures in self._picks if known is pick)
            value = pick.settled(found)
            return f"no line has a figure for {pick.pattern!r}" if value is None else value
        name = pick.file or next(iter(self._params.files), "")
        data = files.get(name)
        if data is None:
            return f"no result file {name}"
        made = at_path(data, pick.json or "")
        return f"result file {name} {made}" if isinstance(made, str) else made * pick.scale

    def _failure(self, missing: Sequence[str], exit_code: int | None) -> Failure | None:
        told, said = self._told, None
        if told is not None:
            said = Failure(failure=told.failure, line=told.line, remedy=told.remedy, at_ns=told.at_ns or None)
        by_code = by_exit_code(exit_code)
        if by_code is not None:
            return said or self._scan.root(known_only=ended_by_us(exit_code)) or by_code
        if said is not None or not self.prints:
            return said or self._scan.root(known_only=True)
        if not missing:
            return None
        remedy = "compare the matrix's `result` with what the program prints"
        none = Failure(failure=FailureClass.NO_RESULT, line="; ".join(missing), remedy=remedy)
        return self._scan.root() or none
