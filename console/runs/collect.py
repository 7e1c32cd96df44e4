"""Bring in what an ended part leaves: the whole log, result files, inspect. Nothing is removed before this is done."""

import hashlib
import posixpath
from collections.abc import Mapping

from console.fleet.engine.entry import DEADLINE_REACHED
from console.model.cell import AnyCell
from console.model.events import PartCollected
from console.model.launch import Launch, Part
from console.model.text import redact
from console.runs.outcome import PartEnd
from console.runs.site import Site
from console.store import artifacts
from console.store.logfile import PartLog
from console.store.paths import StateFolder
from console.store.tail import Tail
from console.workloads.base import Workload

FILE_LIMIT = 64 * 1024 * 1024
MARKER_LINES = 20


async def collect_part(site: Site, folder: StateFolder, attempt: str, part: Part) -> PartCollected:
    """Store the part's files and inspect, and compare its stored log with the container's. Raises SiteError."""
    stored: dict[str, str] = {}
    for path in part.files:
        found = await site.read_file(part, path, FILE_LIMIT)
        if found.data is not None:
            name = file_name(part, path)
            stored[name] = artifacts.write(folder, attempt, name, found.data)
    name = f"{part.name}.inspect.json"
    stored[name] = artifacts.write(folder, attempt, name, await site.inspect(part))
    length, digest = await _container_log(site, part)
    ours = PartLog(folder, attempt, part.name).sha256()
    return PartCollected(log_bytes=length, log_complete=digest == ours, artifacts=stored)


async def _container_log(site: Site, part: Part) -> tuple[int, str]:
    whole, length = hashlib.sha256(), 0
    async for frames in site.frames(part, None, follow=False):
        for frame in frames:
            whole.update(frame.data)
            length += len(frame.data)
    return length, whole.hexdigest()


def file_name(part: Part, path: str) -> str:
    """Name of a collected result file among the attempt's artifacts."""
    return f"{part.name}.{posixpath.basename(path)}"


def part_ends(
    tail: Tail, folder: StateFolder, workload: Workload, launch: Launch, cell: AnyCell
) -> Mapping[str, PartEnd]:
    """Read every collected part from disk: the same bytes give the same result, also after a crash."""
    known = {row.part: row for row in tail.parts(launch.attempt)}
    stored = {item.name: item.sha256 for item in tail.artifacts(launch.attempt)}
    ends = {}
    for part in launch.parts:
        row = known.get(part.name)
        if row is None or row.exit_code is None:
            continue
        log = PartLog(folder, launch.attempt, part.name)
        reader = workload.reader(cell, part.name)
        reader.feed(list(log.frames()))
        last = b"\n".join(log.last_lines(MARKER_LINES))
        ends[part.name] = PartEnd(
            exit_code=row.exit_code,
            out_of_memory=row.out_of_memory,
            error=redact(row.error),
            finished_at=row.finished_at,
            deadline_reached=DEADLINE_REACHED.encode() in last,
            result=reader.close(_files(folder, launch.attempt, part, stored), row.exit_code),
        )
    return ends


def _files(folder: StateFolder, attempt: str, part: Part, stored: Mapping[str, str]) -> Mapping[str, bytes]:
    names = {path: file_name(part, path) for path in part.files}
    return {path: artifacts.read(folder, attempt, name, stored[name]) for path, name in names.items() if name in stored}
