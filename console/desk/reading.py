"""Logs made by hand, read as a run would read them."""

import re
import sys
from collections.abc import Iterator
from datetime import datetime
from pathlib import Path
from typing import BinaryIO

import msgspec

import console.workloads  # noqa: F401 - importing it fills the registry
from console.desk.errors import DeskError
from console.model.attempt import Failure, FailureClass, LogFrame, PhaseSeen, Result, Sample, Symptom
from console.workloads.base import registry

_STAMP = re.compile(rb"(\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d)(\.\d{1,9})?(Z|[+-]\d\d:\d\d) ")
_CHUNK = 1 << 16
RESULT_LIMIT = 1 << 26


class LogRead(msgspec.Struct, frozen=True, kw_only=True):
    """What a log says. `failure` is the result's, or stands alone when there is no result at all."""

    workload: str
    phases: tuple[PhaseSeen, ...]
    samples: tuple[Sample, ...]
    symptoms: tuple[Symptom, ...]
    result: Result | None
    failure: Failure | None


def workloads() -> tuple[str, ...]:
    """Names of the programs whose logs can be read."""
    return tuple(registry())


def read_log(workload: str, file: Path | None, result_file: Path | None = None) -> LogRead:
    """Read a log file, or stdin for None. Raises DeskError on an unknown workload or an unreadable file.

    A log of `docker logs --timestamps` keeps its times; in any other, times are 0.
    """
    known = registry()
    if workload not in known:
        raise DeskError(f"unknown workload {workload!r}; there are {', '.join(known)}")
    part = "client" if workload == "vllm-serve" else "main"
    reader = known[workload].reader(None, part)
    phases: list[PhaseSeen] = []
    samples: list[Sample] = []
    symptoms: list[Symptom] = []
    for frame in _frames(file):
        for signal in reader.feed([frame]):
            if isinstance(signal, PhaseSeen):
                phases.append(signal)
            elif isinstance(signal, Sample):
                samples.append(signal)
            else:
                symptoms.append(signal)
    result = reader.close(_files(result_file), None)
    failure = result.failure
    measured = failure is None or result.values
    return LogRead(
        workload=workload,
        phases=tuple(phases),
        samples=tuple(samples),
        symptoms=tuple(symptoms),
        result=result if measured else None,
        failure=failure or (None if result.values else Failure(failure=FailureClass.NO_RESULT, line="no figures")),
    )


def _files(result_file: Path | None) -> dict[str, bytes]:
    if result_file is None:
        return {}
    try:
        with result_file.open("rb") as stream:
            return {str(result_file): stream.read(RESULT_LIMIT)}
    except OSError as error:
        raise DeskError(f"{result_file}: cannot be read: {error.strerror}") from None


def _frames(file: Path | None) -> Iterator[LogFrame]:
    if file is None:
        yield from _split(sys.stdin.buffer)
        return
    try:
        with file.open("rb") as stream:
            yield from _split(stream)
    except OSError as error:
        raise DeskError(f"{file}: cannot be read: {error.strerror}") from None


def _split(stream: BinaryIO) -> Iterator[LogFrame]:
    """Frames of a stream: line by line with their times when the first line carries one, else as the bytes come."""
    first = stream.readline()
    if _STAMP.match(first) is None:
        yield LogFrame(0, 1, first)
        while chunk := stream.read(_CHUNK):
            yield LogFrame(0, 1, chunk)
        return
    at_ns, line = 0, first
    while line:
        match = _STAMP.match(line)
        if match is not None:
            at_ns, line = _ns(match), line[match.end() :]
        yield LogFrame(at_ns, 1, line)
        line = stream.readline()


def _ns(match: re.Match[bytes]) -> int:
    whole = datetime.fromisoformat((match[1] + match[3]).decode())
    fraction = (match[2] or b".0")[1:].ljust(9, b"0")
    return int(whole.timestamp()) * 1_000_000_000 + int(fraction)
