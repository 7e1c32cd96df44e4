"""Logs made by hand, read as a run would read them."""

import re
import sys
from collections.abc import Iterator
from datetime import datetime
from pathlib import Path
from typing import BinaryIO

import msgspec

import console.workloads  # noqa: F401 - importing it fills the registry
from console.catalog.errors import suggestion
from console.desk import desk
from console.desk.errors import DeskError
from console.desk.settings import Settings
from console.model.attempt import Failure, FailureClass, LogFrame, PhaseSeen, Result, Sample, Symptom
from console.model.cell import AnyCell
from console.workloads.base import LogReader, Workload, WorkloadError, registry
from console.workloads.fabric import part_of
from console.workloads.places import PART, RESULT_FILE

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


def row(settings: Settings, name: str) -> AnyCell:
    """The row called `MATRIX/CELL`. Raises DeskError, CatalogError."""
    matrix, slash, cell = name.partition("/")
    if not slash:
        raise DeskError(f"{name!r} names no row: MATRIX/CELL, as `instinct plan MATRIX` shows them")
    cells = {item.id: item for item in desk.catalog(settings).matrix(matrix).cells}
    if cell not in cells:
        raise DeskError(f"{matrix} has no row {cell!r}{suggestion(cell, cells)}")
    return cells[cell]


def read_log(workload: str, file: Path | None, result_file: Path | None = None, cell: AnyCell | None = None) -> LogRead:
    """Read a log file, or stdin for None. Raises DeskError on an unknown workload or an unreadable file.

    A log of `docker logs --timestamps` keeps its times; in any other, times are 0. With a `cell` it is read as one of
    that row; of several nodes, as that of the rank which prints the figures. `result_file` stands for whatever file
    the program writes its figures to.
    """
    known = registry()
    if workload not in known:
        raise DeskError(f"unknown workload {workload!r}; there are {', '.join(known)}")
    if cell is not None and cell.workload != workload:
        raise DeskError(f"{cell.matrix}/{cell.id} is a row of {cell.workload}, not of {workload}")
    try:
        reader = _reader(known[workload], cell)
    except WorkloadError as error:
        raise DeskError(f"{error}: --cell MATRIX/CELL") from None
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
    result = reader.close(_files(result_file, cell), None)
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


def _reader(workload: Workload, cell: AnyCell | None) -> LogReader:
    """The reader of the part that has the figures."""
    if cell is None or cell.nodes == 1:
        return workload.reader(cell, "client" if workload.name == "vllm-serve" else PART)
    readers = [workload.reader(cell, part_of(rank, cell.nodes, PART)) for rank in range(cell.nodes)]
    return next((reader for reader in readers if getattr(reader, "prints", True)), readers[0])


def _files(result_file: Path | None, cell: AnyCell | None) -> dict[str, bytes]:
    """The file under every name that its program may write it to inside a container."""
    if result_file is None:
        return {}
    names = (RESULT_FILE, *getattr(cell.params if cell is not None else None, "files", ()))
    try:
        with result_file.open("rb") as stream:
            return dict.fromkeys(names, stream.read(RESULT_LIMIT))
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
