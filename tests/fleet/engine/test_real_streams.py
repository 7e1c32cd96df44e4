"""Logs, bars, events and pulls of a real Docker Engine: nothing lost, nothing twice, no false end."""

import asyncio
import re
import subprocess
import threading
import time
from collections.abc import Awaitable, Callable, Sequence
from typing import Any

import pytest

from console.fleet.engine.body import create_body
from console.fleet.engine.client import THREADS, Engine
from console.fleet.engine.errors import EngineError
from console.fleet.engine.follow import advance, attach, events, logs
from console.fleet.link import LinkLost
from console.model.attempt import LogFrame
from console.model.events import Cursor
from console.model.facts import DockerAccess
from console.model.launch import Part

pytestmark = pytest.mark.real

MakePart = Callable[..., Part]
Make = Callable[[Part], Awaitable[str]]
Ended = Callable[[str], Awaitable[Any]]
Printed = Callable[[str, str], Awaitable[str]]
Sh = Callable[..., subprocess.CompletedProcess[str]]

# 3000 numbered lines, and beside them a progress bar of more than a megabyte that is one unfinished line
NUMBERED = """
i=0
while [ $i -lt 3000 ]; do
  echo "line $i"
  [ $((i % 10)) != 0 ] || printf "\\r%4000d" $i >&2
  [ $((i % 100)) != 0 ] || sleep 0.02
  i=$((i + 1))
done
echo >&2
"""


def cursor_after(before: Cursor | None, container: str, frames: Sequence[LogFrame]) -> Cursor:
    point, seen = advance(before, frames)
    return Cursor(
        attempt="a", part="p", container_id=container, last_at_ns=point, seen_at_last=seen, log_bytes=0, index_bytes=0
    )


async def whole(engine: Engine, container: str) -> list[LogFrame]:
    return [frame async for batch in logs(engine, container, follow=False) for frame in batch]


async def test_a_log_goes_on_exactly_wherever_the_connection_is_lost(
    engine: Engine, a_part: MakePart, launch: Make, cut: Callable[[], None], mend: Callable[[], None]
) -> None:
    made = await launch(a_part(NUMBERED))
    stored: list[LogFrame] = []
    cursor: Cursor | None = None
    breaks = 0

    async def sitting(length: int) -> bool:
        nonlocal cursor
        received = 0
        async for batch in logs(engine, made, cursor):
            stored.extend(batch)
            cursor = cursor_after(cursor, made, batch)
            received += len(batch)
            if received >= length:
                cut()
        return True

    for length in (1, 5, 30, 100, 300, 1, 2, 700, 1, 10**9):
        try:
            assert await sitting(length)
            break
        except LinkLost:
            breaks += 1
            mend()
    assert breaks >= 5
    assert stored == await whole(engine, made)
    numbers = [int(n) for n in re.findall(rb"line (\d+)\n", b"".join(f.data for f in stored if f.stream == 1))]
    assert numbers == list(range(3000))
    bars = [frame for frame in stored if frame.stream == 2 and not frame.data.endswith(b"\n")]
    assert len(bars) > 50
    assert len({frame.at_ns for frame in bars}) < len(bars)  # as the daemon stamps the pieces of one line


async def test_lines_that_the_daemon_rotated_away_are_noticed(
    engine: Engine, a_part: MakePart, ended: Ended, sh: Sh
) -> None:
    part = a_part("seq 1 100; while [ ! -e /tmp/go ]; do sleep 0.1; done; seq 101 30000")
    body = create_body(part)
    body["HostConfig"]["LogConfig"]["Config"] = {"max-size": "20k", "max-file": "2"}
    made = await engine.create(part.container, body)
    await engine.start(made)
    stored: list[LogFrame] = []
    cursor: Cursor | None = None
    async for batch in logs(engine, made):
        stored.extend(batch)
        cursor = cursor_after(cursor, made, batch)
        if stored[-1].data == b"100\n":
            break
    sh("docker", "exec", made, "touch", "/tmp/go")
    await ended(made)
    gaps: list[bool] = []
    # an engine may wait for ever when it follows files it rotated: what has ended is read without following
    async for batch in logs(engine, made, cursor, follow=False, on_gap=lambda: gaps.append(True)):
        stored.extend(batch)
    assert gaps == [True]
    assert len(await whole(engine, made)) < len(stored)


async def test_no_gap_is_told_where_there_is_none(engine: Engine, a_part: MakePart, launch: Make, ended: Ended) -> None:
    made = await launch(a_part("seq 1 200; sleep 1; seq 201 400"))
    first = await anext(logs(engine, made))
    cursor = cursor_after(None, made, first)
    await ended(made)
    gaps: list[bool] = []
    rest = [f async for batch in logs(engine, made, cursor, on_gap=lambda: gaps.append(True)) for f in batch]
    assert gaps == []
    assert [*first, *rest] == await whole(engine, made)


async def test_a_container_with_a_terminal_is_refused(engine: Engine, a_part: MakePart) -> None:
    part = a_part("sleep 30")
    made = await engine.create(part.container, {**create_body(part), "Tty": True})
    await engine.start(made)
    with pytest.raises(EngineError, match="tty"):
        await anext(logs(engine, made))
    with pytest.raises(EngineError, match="tty"):
        await anext(attach(engine, made))


async def test_a_quiet_log_stays_open_longer_than_any_request_may_take(
    engine: Engine, engine_at: Callable[..., Engine], a_part: MakePart, launch: Make
) -> None:
    made = await launch(a_part("echo before; sleep 20; echo after"))
    hasty = engine_at(DockerAccess(flavour="docker", socket="/var/run/docker.sock"), 1.0)
    said = b"".join([frame.data async for batch in logs(hasty, made) for frame in batch if frame.stream == 1])
    assert said == b"before\nafter\n"


async def test_bars_are_attached_to_as_they_are_drawn_while_the_log_waits_for_their_line(
    engine: Engine, a_part: MakePart, launch: Make, ended: Ended, sh: Sh
) -> None:
    script = 'i=0; while [ ! -e /tmp/go ]; do printf "\\r bar %d" $i >&2; i=$((i+1)); sleep 0.1; done; echo >&2'
    made = await launch(a_part(script))
    seen = b""
    told = False
    async for batch in attach(engine, made):
        seen += b"".join(frame.data for frame in batch if frame.stream == 2)
        if seen.count(b"\r bar") >= 3 and not told:
            assert b"bar" not in b"".join(frame.data for frame in await whole(engine, made))
            told = sh("docker", "exec", made, "touch", "/tmp/go").returncode == 0
    await ended(made)
    assert seen.endswith(b"\n")
    assert b"\r bar" in b"".join(frame.data for frame in await whole(engine, made))


async def test_streams_cost_no_threads(engine: Engine, a_part: MakePart, launch: Make) -> None:
    part = a_part("echo up; while [ ! -e /tmp/go ]; do sleep 0.2; done")
    made = [await launch(a_part(part.argv[2], container=f"{part.container}-{n}")) for n in range(16)]
    before = threading.active_count()
    follows = [logs(engine, container) for container in made]
    bars = [attach(engine, container) for container in made]
    watching = [asyncio.ensure_future(anext(bar)) for bar in bars]
    for follow in follows:
        assert await anext(follow)
    await asyncio.gather(*(engine.inspect(container) for container in made))
    names = [thread.name for thread in threading.enumerate()]
    assert len([name for name in names if name.startswith("engine")]) <= THREADS
    assert threading.active_count() - before <= THREADS
    for task in watching:
        task.cancel()
    await asyncio.gather(*watching, return_exceptions=True)
    for stream in (*follows, *bars):
        await stream.aclose()


async def test_events_tell_of_a_container_from_its_making_to_its_end(
    engine: Engine, a_part: MakePart, launch: Make, mark: str
) -> None:
    began = time.time_ns()
    made = await launch(a_part("exit 3"))
    seen: dict[str, dict[str, str]] = {}
    async for batch in events(engine, label=mark, since_ns=began):
        for event in batch:
            assert event.container_id == made
            assert event.at_ns >= began
            seen[event.action] = dict(event.attributes)
        if "die" in seen:
            break
    assert list(seen)[:2] == ["create", "start"]
    assert seen["die"]["exitCode"] == "3"


async def test_a_request_over_a_connection_that_is_lost_raises_the_links_own_error(
    engine: Engine,
    a_part: MakePart,
    launch: Make,
    printed: Printed,
    cut: Callable[[], None],
    mend: Callable[[], None],
) -> None:
    made = await launch(a_part("trap '' TERM; echo up; while :; do sleep 1; done"))
    await printed(made, "up\n")
    stopping = asyncio.ensure_future(engine.stop(made, 60))
    while not stopping.done():
        cut()
        await asyncio.wait([stopping], timeout=0.1)
    with pytest.raises(LinkLost):
        await stopping
    mend()
    assert (await engine.inspect(made)).state == "running"
    assert await engine.kill(made) is True
