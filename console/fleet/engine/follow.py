"""What an engine streams: logs, output as it is drawn, events, pull progress. Native async, no thread per stream.

The end of a stream is never the end of a run: only `inspect` says that a container ended. A stream that breaks off
raises StreamLost or a LinkError and can be asked for again.
"""

import time
from collections.abc import AsyncGenerator, Callable, Mapping, Sequence
from contextlib import aclosing
from typing import Any, TypeVar
from urllib.parse import quote

import msgspec

from console.fleet.engine.client import Engine
from console.fleet.engine.errors import EngineError, StreamLost, classify
from console.fleet.engine.frames import DaemonSaid, FrameSplitter, NotMultiplexed, StampReader
from console.fleet.engine.layers import Layers, PullMessage, PullProgress
from console.fleet.engine.seen import ContainerSeen, EngineEvent
from console.fleet.engine.wire import Answer, exchange
from console.model.attempt import FailureClass, LogFrame
from console.model.events import Cursor
from console.model.resume import Resume, advance

__all__ = ["PullProgress", "advance", "attach", "events", "logs", "pull"]

T = TypeVar("T")

_PULL_QUIET_S = 600.0
_LONGEST_LINE = 1 << 22


async def logs(
    engine: Engine,
    container: str,
    after: Cursor | None = None,
    *,
    follow: bool = True,
    on_gap: Callable[[], None] | None = None,
) -> AsyncGenerator[Sequence[LogFrame], None]:
    """The log of a container from a cursor on, in batches; times are the daemon's clock.

    What the cursor has seen is not repeated, what it has not seen is not lost: `advance` makes the next cursor.
    `on_gap` is called once when the daemon no longer has what was stored last: its log was rotated meanwhile, lines in
    between may be lost. Compare the whole log (`follow=False`, no cursor) before a container is removed.
    Progress bars come only when their line ends, or 16 KiB are full: see `attach`.
    """
    seen = await _followable(engine, container)
    if after is not None and after.container_id and after.container_id != seen.id:
        raise EngineError(
            engine.host,
            f"the log of container {after.container_id[:12]} cannot go on with that of {seen.id[:12]}",
            "the container was made anew; start its log from the beginning",
            failure=FailureClass.LOST,
        )
    since = f"{after.last_at_ns // 10**9}.{after.last_at_ns % 10**9:09d}" if after is not None else ""
    target = await engine.path(
        f"/containers/{seen.id}/logs", stdout=1, stderr=1, timestamps=1, follow=int(follow), since=since
    )
    resume = Resume(after)
    stamps = StampReader()
    async with exchange(engine.dial, "GET", target) as answer, aclosing(_split(engine, answer)) as batches:
        async for split in batches:
            try:
                frames = stamps.frames(split)
            except DaemonSaid as error:
                raise StreamLost(
                    engine.host, f"the engine cannot read the log ({error})", "look again", retry=True
                ) from error
            fresh = resume.fresh(frames)
            if fresh and on_gap is not None:
                if resume.missing:
                    on_gap()
                on_gap = None  # everything stored precedes everything new
            if fresh:
                yield fresh


async def attach(engine: Engine, container: str) -> AsyncGenerator[Sequence[LogFrame], None]:
    """What a container prints from now on, each piece as it is written, progress bars included.

    The engine stamps nothing here: `at_ns` is our clock at arrival, not to be mixed with times of `logs`. Pieces end
    anywhere in a line. Nothing tells a lost connection of the engine from its end. Works before the start, too.
    """
    seen = await _followable(engine, container)
    target = await engine.path(f"/containers/{seen.id}/attach", stream=1, stdout=1, stderr=1)
    async with (
        exchange(engine.dial, "POST", target, upgrade=True) as answer,
        aclosing(_split(engine, answer)) as batches,
    ):
        async for split in batches:
            now = time.time_ns()
            yield [LogFrame(now, stream, payload) for stream, payload in split]


async def _followable(engine: Engine, container: str) -> ContainerSeen:
    seen = await engine.inspect(container)
    if seen.tty:
        raise EngineError(
            engine.host,
            f"container {seen.name} has a terminal (tty); its output has no frames and cannot be followed",
            "start it without -t",
            failure=FailureClass.NOT_SUPPORTED,
        )
    return seen


async def _split(engine: Engine, answer: Answer) -> AsyncGenerator[list[tuple[int, bytes]], None]:
    """Frames of a multiplexed answer, those that arrived together in one batch."""
    splitter = FrameSplitter()
    async with aclosing(answer.pieces()) as pieces:
        async for piece in pieces:
            try:
                split = splitter.feed(piece)
            except NotMultiplexed:
                raise EngineError(
                    engine.host,
                    "the stream carries no frames, as that of a terminal",
                    "start the container without -t",
                    failure=FailureClass.NOT_SUPPORTED,
                ) from None
            if split:
                yield split
    if not splitter.empty:
        raise StreamLost(engine.host, "the stream ended inside a frame", "look again", retry=True)


async def events(
    engine: Engine, *, label: str = "", since_ns: int | None = None
) -> AsyncGenerator[Sequence[EngineEvent], None]:
    """Events of containers as they happen, from `since_ns` (daemon's clock) on.

    The daemon remembers the last 256 events only: after a break, look at the containers themselves as well.
    """
    filters = {"type": ["container"], **({"label": [label]} if label else {})}
    since = f"{since_ns // 10**9}.{since_ns % 10**9:09d}" if since_ns is not None else ""
    target = await engine.path("/events", filters=msgspec.json.encode(filters).decode(), since=since)
    async with exchange(engine.dial, "GET", target) as answer, aclosing(_lines(engine, answer)) as batches:
        async for lines in batches:
            yield [_event(_decoded(engine, line, dict[str, Any])) for line in lines]


def _event(answer: Mapping[str, object]) -> EngineEvent:
    actor = msgspec.convert(answer.get("Actor") or {}, _Actor)
    at = answer.get("timeNano")
    return EngineEvent(
        at_ns=at if isinstance(at, int) else 0,
        action=str(answer.get("Action", "")),
        container_id=actor.ID,
        name=actor.Attributes.get("name", ""),
        attributes=actor.Attributes,
    )


class _Actor(msgspec.Struct):
    ID: str = ""
    Attributes: dict[str, str] = {}


async def pull(engine: Engine, ref: str) -> AsyncGenerator[PullProgress, None]:
    """Pull an image, telling the progress of its download; ends when the image is there.

    A pull that broke off can be repeated: finished layers are kept. Nothing of this machine's registry sign-in is sent.
    """
    repository, tag = split_reference(ref)
    target = await engine.path("/images/create", fromImage=repository, tag=tag)
    layers = Layers()
    before: PullProgress | None = None
    async with (
        exchange(engine.dial, "POST", target, head_timeout_s=_PULL_QUIET_S, pulling=True) as answer,
        aclosing(_lines(engine, answer)) as batches,
    ):
        async for lines in batches:
            for line in lines:
                message = _decoded(engine, line, PullMessage)
                if message.failure:
                    raise classify(engine.host, message.failure, pulling=True)
                layers.see(message)
            if layers.progress != before:
                before = layers.progress
                yield before
    if await engine.image(ref) is None:
        raise EngineError(
            engine.host,
            f"the pull of {ref} ended without the image",
            "pull again",
            failure=FailureClass.IMAGE_PULL,
            retry=True,
        )


def split_reference(ref: str) -> tuple[str, str]:
    """Repository, and tag or digest; `latest` when neither is given (else the engine would pull every tag)."""
    if "@" in ref:
        name, _, digest = ref.partition("@")
        return split_reference(name)[0], digest
    head, _, tail = ref.rpartition(":")
    return (head, tail) if head and "/" not in tail else (ref, "latest")


def _decoded(engine: Engine, line: bytes, kind: type[T]) -> T:
    try:
        return msgspec.json.decode(line, type=kind)
    except msgspec.DecodeError as error:
        raise EngineError(
            engine.host, f"the engine's stream has a line that is no JSON: {line[:80]!r}", retry=True
        ) from error


async def _lines(engine: Engine, answer: Answer) -> AsyncGenerator[list[bytes], None]:
    """JSON lines of an answer, those that arrived together in one batch."""
    rest = b""
    async with aclosing(answer.pieces()) as pieces:
        async for piece in pieces:
            *lines, rest = (rest + piece).split(b"\n")
            if len(rest) > _LONGEST_LINE:
                raise EngineError(engine.host, "the engine's stream is no list of JSON lines")
            found = [line for line in lines if line.strip()]
            if found:
                yield found
    if rest.strip():
        yield [rest]


async def write_stdin(engine: Engine, container: str, data: bytes, *, timeout_s: float = 30.0) -> None:
    """Give a container bytes on its stdin; returns when the engine has handed all of them over.

    A container that is only created takes them once it is started: start it meanwhile. Its stdin stays open, so that
    a delivery cut off halfway can be made again.
    """
    seen = await engine.inspect(container)
    if not seen.open_stdin:
        raise EngineError(engine.host, f"container {seen.name} has no stdin to write to")
    if seen.ended:
        raise EngineError(
            engine.host, f"container {seen.name} ended with exit code {seen.exit_code} before it was given its input"
        )
    target = await engine.path(f"/containers/{quote(seen.id)}/attach", stream=1, stdin=1)
    async with exchange(engine.dial, "POST", target, upgrade=True) as answer:
        await answer.hand_over(data, timeout_s)
