"""One HTTP exchange with an engine on a channel of its own, as a native stream; framing by h11.

The end of an answer counts only when the engine said so (terminator or length): a channel that just ends raises
StreamLost, never a clean end.
"""

import asyncio
import contextlib
from collections.abc import AsyncGenerator, AsyncIterator, Sequence

import h11
import msgspec

from console.fleet.engine.dial import Dial
from console.fleet.engine.errors import EngineError, StreamLost, classify
from console.fleet.link import ByteReader, ByteWriter, LinkError

READ_SIZE = 65536
HEAD_TIMEOUT_S = 30.0
_SMALL_ANSWER = 1 << 20


class Answer:
    """The answer to one request. Read it once, with `pieces` or `text`."""

    def __init__(self, host: str, reader: ByteReader, writer: ByteWriter, http: h11.Connection) -> None:
        self.host = host
        self.status = 0
        self.headers: dict[str, str] = {}
        self._reader = reader
        self._writer = writer
        self._http = http
        self._raw = False

    async def send(self, method: str, target: str, headers: Sequence[tuple[str, str]], body: bytes) -> None:
        """Send the request and read the head of the answer."""
        request = h11.Request(method=method, target=target, headers=list(headers))
        out = self._http.send(request) or b""
        if body:
            out += self._http.send(h11.Data(data=body)) or b""
        out += self._http.send(h11.EndOfMessage()) or b""
        self._writer.write(out)
        with contextlib.suppress(OSError, LinkError):  # the other side's last words say more than a broken pipe
            await self._writer.drain()
        while True:
            event = await self._event()
            if isinstance(event, h11.InformationalResponse) and event.status_code != 101:
                continue
            if not isinstance(event, h11.Response | h11.InformationalResponse):
                raise self._lost("the engine's answer has no head")
            self.status = event.status_code
            self.headers = {name.decode(): value.decode("latin-1") for name, value in event.headers}
            self._raw = self.status == 101
            return

    async def hand_over(self, data: bytes, timeout_s: float) -> None:
        """Send bytes on a hijacked connection and their end; returns when the other side has taken them all."""
        try:
            async with asyncio.timeout(timeout_s):
                self._writer.write(data)
                await self._writer.drain()
                if self._writer.can_write_eof():
                    self._writer.write_eof()
                while await self._read():
                    pass
        except TimeoutError:
            raise self._lost(f"the container did not take its input within {timeout_s:g} s") from None
        except OSError as error:
            raise self._lost(str(error)) from error

    async def pieces(self) -> AsyncGenerator[bytes, None]:
        """The body as it comes, what has arrived together in one piece. StreamLost when it breaks off."""
        if self._raw:
            async for piece in self._raw_pieces():
                yield piece
            return
        gathered: list[bytes] = []
        while True:
            try:
                event = self._http.next_event()
            except h11.RemoteProtocolError as error:
                if gathered:
                    yield b"".join(gathered)
                raise self._lost(str(error)) from error
            if isinstance(event, h11.Data):
                gathered.append(bytes(event.data))
            elif event is h11.NEED_DATA:
                if gathered:
                    yield b"".join(gathered)
                    gathered = []
                self._http.receive_data(await self._read())
            else:
                if gathered:
                    yield b"".join(gathered)
                return

    async def _raw_pieces(self) -> AsyncGenerator[bytes, None]:
        early, _ = self._http.trailing_data
        if early:
            yield early
        while data := await self._read():
            yield data

    async def text(self, limit: int = _SMALL_ANSWER) -> str:
        """The whole body, at most `limit` bytes of it."""
        parts: list[bytes] = []
        size = 0
        async for piece in self.pieces():
            parts.append(piece)
            size += len(piece)
            if size > limit:
                break
        return b"".join(parts)[:limit].decode("utf-8", "replace")

    async def _event(self) -> object:
        while True:
            try:
                event = self._http.next_event()
            except h11.RemoteProtocolError as error:
                raise self._lost(str(error)) from error
            if event is not h11.NEED_DATA:
                return event
            self._http.receive_data(await self._read())

    async def _read(self) -> bytes:
        try:
            return await self._reader.read(READ_SIZE)
        except OSError as error:  # a Link raises its own errors; a reset socket may come through as it is
            raise self._lost(str(error)) from error

    def _lost(self, detail: str) -> StreamLost:
        return StreamLost(self.host, f"the engine's answer broke off ({detail})", "look again", retry=True)


@contextlib.asynccontextmanager
async def exchange(
    dial: Dial,
    method: str,
    target: str,
    *,
    body: bytes = b"",
    content_type: str = "application/json",
    upgrade: bool = False,
    head_timeout_s: float = HEAD_TIMEOUT_S,
    pulling: bool = False,
) -> AsyncIterator[Answer]:
    """Ask, and read the answer as it comes; the channel closes with the block.

    An HTTP error is raised as EngineError with the engine's own text. `upgrade` takes the connection over (attach).
    """
    headers = [("Host", "docker"), ("User-Agent", "instinct-console")]
    if upgrade:
        headers += [("Connection", "Upgrade"), ("Upgrade", "tcp")]
    if body or method == "POST":
        headers += [("Content-Type", content_type), ("Content-Length", str(len(body)))]
    try:
        async with asyncio.timeout(head_timeout_s):
            reader, writer = await dial.open()
    except TimeoutError:
        raise silent(dial, head_timeout_s) from None
    try:
        answer = Answer(dial.host, reader, writer, h11.Connection(h11.CLIENT))
        try:
            async with asyncio.timeout(head_timeout_s):
                await answer.send(method, target, headers, body)
        except TimeoutError:
            raise silent(dial, head_timeout_s) from None
        if answer.status >= 400:
            raise classify(dial.host, message_of(await answer.text()), answer.status, pulling=pulling)
        yield answer
    finally:
        writer.close()


def message_of(text: str) -> str:
    """The engine's own words in an error answer: the `message` of its JSON, or the text as it is."""
    try:
        found = msgspec.json.decode(text, type=dict[str, object]).get("message")
    except msgspec.DecodeError:
        found = None
    return str(found) if found else text.strip()


def silent(dial: Dial, seconds: float) -> EngineError:
    """The error for an engine that has not answered in time."""
    return EngineError(
        dial.host,
        f"the engine did not answer within {seconds:g} s ({dial.describes})",
        "look at the engine on the host (systemctl status docker)",
        retry=True,
    )
