"""HTTP/1.1 as the engine stand-in speaks it on one channel: keep-alive, chunked streams, hijacked connections."""

import asyncio
import contextlib
import json
import logging
from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import dataclass, field
from http import HTTPStatus
from typing import Any, Protocol
from urllib.parse import parse_qsl, unquote, urlsplit

import h11

log = logging.getLogger(__name__)

READ = 65536
BODY_LIMIT = 64 << 20
"""Bytes of a request body that are kept; more is counted and dropped (image archives)."""

BASE_HEADERS = (
    ("Api-Version", "1.41"),
    ("Docker-Experimental", "false"),
    ("Ostype", "linux"),
    ("Server", "Docker/0.0-lab (linux)"),
)


class Reader(Protocol):
    """The reading half of a channel."""

    async def read(self, n: int = -1, /) -> bytes:
        """Some bytes, or none at the end."""


class Writer(Protocol):
    """The writing half of a channel."""

    def write(self, data: bytes, /) -> Any:
        """Queue bytes."""

    async def drain(self) -> None:
        """Wait until the peer keeps up."""

    def close(self) -> Any:
        """End the channel."""


@dataclass
class Request:
    """One request; `query` holds the last value of each name, `size` counts the whole body."""

    method: str
    path: str
    query: dict[str, str]
    headers: dict[str, str]
    body: bytes
    size: int

    def flag(self, name: str, default: bool = False) -> bool:
        """A boolean query value as Docker reads it."""
        value = self.query.get(name)
        return default if value is None else value.strip().lower() not in ("", "0", "no", "false", "none")

    def json(self) -> dict[str, Any]:
        """The body as an object; ApiError 400 when it is not one."""
        if not self.body.strip():
            return {}
        try:
            value = json.loads(self.body)
        except ValueError as error:
            raise ApiError(400, f"invalid JSON: {error}") from error
        if not isinstance(value, dict):
            raise ApiError(400, "json: cannot unmarshal body into an object")
        return value


class ApiError(Exception):
    """An answer in Docker's error form."""

    def __init__(self, status: int, message: str) -> None:
        super().__init__(message)
        self.status = status
        self.message = message


@dataclass
class Reply:
    """A whole answer. `value` becomes JSON; `body` goes out as it is."""

    status: int = 200
    value: Any = None
    body: bytes | None = None
    headers: list[tuple[str, str]] = field(default_factory=list)


@dataclass
class Stream:
    """A chunked answer, sent as it comes."""

    chunks: AsyncIterator[bytes]
    content_type: str | None = None
    status: int = 200


@dataclass
class Hijack:
    """The connection leaves HTTP; `talk` has it to itself, with the bytes that came too early."""

    talk: Callable[[Reader, Writer, bytes], Awaitable[None]]


Answer = Reply | Stream | Hijack
Handle = Callable[[Request], Awaitable[Answer]]


async def serve(reader: Reader, writer: Writer, handle: Handle) -> None:
    """Answer the requests of one channel until its end."""
    connection = h11.Connection(h11.SERVER, max_incomplete_event_size=1 << 20)
    try:
        while True:
            request = await _next_request(connection, reader)
            if request is None:
                return
            try:
                answer = await handle(request)
            except ApiError as error:
                answer = Reply(error.status, {"message": error.message})
            except Exception as error:
                log.exception("%s %s failed", request.method, request.path)
                answer = Reply(500, {"message": f"lab engine: {error!r}"})
            if isinstance(answer, Hijack):
                await _hijack(connection, request, answer, reader, writer)
                return
            if isinstance(answer, Stream):
                if not await _stream(connection, answer, reader, writer):
                    return
            else:
                _reply(connection, answer, writer)
            await writer.drain()
            if connection.our_state is not h11.DONE or connection.their_state is not h11.DONE:
                return
            connection.start_next_cycle()
    except (h11.RemoteProtocolError, OSError, EOFError) as error:
        log.debug("channel ended: %s", error)
    finally:
        with contextlib.suppress(OSError):
            writer.close()


async def _next_request(connection: h11.Connection, reader: Reader) -> Request | None:
    head: h11.Request | None = None
    body = bytearray()
    size = 0
    while True:
        event = connection.next_event()
        if event is h11.NEED_DATA:
            connection.receive_data(await reader.read(READ))
        elif isinstance(event, h11.Request):
            head = event
        elif isinstance(event, h11.Data):
            size += len(event.data)
            if len(body) < BODY_LIMIT:
                body += event.data
        elif isinstance(event, h11.EndOfMessage) and head is not None:
            parts = urlsplit(head.target.decode("ascii", "replace"))
            headers = {name.decode("latin-1").lower(): value.decode("latin-1") for name, value in head.headers}
            query = dict(parse_qsl(parts.query, keep_blank_values=True))
            return Request(head.method.decode("ascii"), unquote(parts.path), query, headers, bytes(body), size)
        else:
            return None


def _send(connection: h11.Connection, writer: Writer, event: h11.Event) -> None:
    data = connection.send(event)
    if data:
        writer.write(data)


def _reason(status: int) -> bytes:
    return HTTPStatus(status).phrase.encode()


def _reply(connection: h11.Connection, reply: Reply, writer: Writer) -> None:
    headers = [*BASE_HEADERS, *reply.headers]
    body = reply.body
    if body is None and reply.value is not None:
        body = json.dumps(reply.value, separators=(",", ":")).encode() + b"\n"
        headers.append(("Content-Type", "application/json"))
    if reply.status not in (204, 304):
        headers.append(("Content-Length", str(len(body or b""))))
    _send(connection, writer, h11.Response(status_code=reply.status, reason=_reason(reply.status), headers=headers))
    if body:
        _send(connection, writer, h11.Data(data=body))
    _send(connection, writer, h11.EndOfMessage())


async def _stream(connection: h11.Connection, stream: Stream, reader: Reader, writer: Writer) -> bool:
    """Send chunks until the source ends (True) or the client goes away (False); what it pipelines is kept."""
    headers = [*BASE_HEADERS, ("Transfer-Encoding", "chunked")]
    if stream.content_type:
        headers.append(("Content-Type", stream.content_type))
    _send(connection, writer, h11.Response(status_code=stream.status, reason=_reason(stream.status), headers=headers))
    watch = asyncio.ensure_future(reader.read(READ))
    step: asyncio.Future[bytes] | None = None
    try:
        while True:
            step = step or asyncio.ensure_future(anext(stream.chunks))
            await asyncio.wait((step, watch), return_when=asyncio.FIRST_COMPLETED)
            if watch.done():
                early = watch.result()
                if not early:
                    return False
                connection.receive_data(early)
                watch = asyncio.ensure_future(reader.read(READ))
            if step.done():
                try:
                    chunk = step.result()
                except StopAsyncIteration:
                    break
                step = None
                if chunk:
                    _send(connection, writer, h11.Data(data=chunk))
                    await writer.drain()
        _send(connection, writer, h11.EndOfMessage())
        return True
    finally:
        for task in (watch, step):
            if task is not None and not task.done():
                task.cancel()
                with contextlib.suppress(asyncio.CancelledError, StopAsyncIteration, OSError):
                    await task
        close = getattr(stream.chunks, "aclose", None)
        if close is not None:
            await close()


async def _hijack(connection: h11.Connection, request: Request, answer: Hijack, reader: Reader, writer: Writer) -> None:
    upgrade = "upgrade" in request.headers.get("connection", "").lower()
    head = (
        "HTTP/1.1 101 UPGRADED\r\nContent-Type: application/vnd.docker.raw-stream\r\n"
        "Connection: Upgrade\r\nUpgrade: tcp\r\n\r\n"
        if upgrade
        else "HTTP/1.1 200 OK\r\nContent-Type: application/vnd.docker.raw-stream\r\n\r\n"
    )
    writer.write(head.encode())
    early, _ = connection.trailing_data
    await answer.talk(reader, writer, early)
