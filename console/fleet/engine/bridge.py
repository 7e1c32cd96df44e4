"""docker-py over a channel: each of its connections is one end of a socket pair, the other end joined to the channel.

Nothing listens anywhere, and no file stands for the engine on this machine.
"""

import asyncio
import concurrent.futures
import socket
from typing import Any

import requests.adapters
import urllib3
import urllib3.connection
from docker.transport.basehttpadapter import BaseHTTPAdapter

from console.fleet.engine.dial import Dial
from console.fleet.link import ByteReader, ByteWriter, LinkError

_PIECE = 65536
_LAST_WORDS_S = 2.0


class DialFailed(Exception):
    """No channel; `cause` says why. Not an OSError, so that requests lets it through as it is."""

    def __init__(self, cause: Exception) -> None:
        super().__init__(str(cause))
        self.cause = cause


class Bridge:
    """Makes sockets for blocking callers in threads; the channels live on the loop that made the bridge."""

    def __init__(self, dial: Dial) -> None:
        self._dial = dial
        self._loop = asyncio.get_running_loop()
        self._pairs: set[asyncio.Task[None]] = set()
        self._closed = False
        self.lost: LinkError | None = None
        """Why the last channel broke, when it did not just end."""

    def connect(self, timeout_s: float) -> socket.socket:
        """A connected socket. Called in a worker thread, never on the loop."""
        opening = asyncio.run_coroutine_threadsafe(self._open(), self._loop)
        try:
            return opening.result(timeout_s)
        except concurrent.futures.TimeoutError:
            opening.cancel()
            raise DialFailed(TimeoutError(f"no channel within {timeout_s:g} s")) from None
        except LinkError as error:
            raise DialFailed(error) from error
        except concurrent.futures.CancelledError:
            raise DialFailed(ConnectionError("the engine's client was closed")) from None

    async def _open(self) -> socket.socket:
        if self._closed:
            raise asyncio.CancelledError
        reader, writer = await self._dial.open()
        self.lost = None
        theirs, ours = socket.socketpair()
        near_reader, near_writer = await asyncio.open_unix_connection(sock=ours)
        pair = self._loop.create_task(self._join(reader, writer, near_reader, near_writer))
        self._pairs.add(pair)
        pair.add_done_callback(self._pairs.discard)
        return theirs

    async def _join(
        self, reader: ByteReader, writer: ByteWriter, near_reader: ByteReader, near_writer: ByteWriter
    ) -> None:
        """Carry bytes both ways until either side ends, then end both."""
        ways = [
            asyncio.ensure_future(self._carry(near_reader, writer)),
            asyncio.ensure_future(self._carry(reader, near_writer)),
        ]
        try:
            await asyncio.wait(ways, return_when=asyncio.FIRST_COMPLETED)
            if ways[0].done() and not ways[0].cancelled() and ways[0].exception() is not None:
                await asyncio.wait(ways[1:], timeout=_LAST_WORDS_S)  # they say more than a broken pipe
        finally:
            for way in ways:
                way.cancel()
            near_writer.close()
            writer.close()
            for ended in await asyncio.gather(*ways, return_exceptions=True):
                if isinstance(ended, LinkError):
                    self.lost = ended

    @staticmethod
    async def _carry(source: ByteReader, sink: ByteWriter) -> None:
        while data := await source.read(_PIECE):
            sink.write(data)
            await sink.drain()

    async def close(self) -> None:
        """End every channel; threads that wait on one get an error at once."""
        self._closed = True
        for pair in list(self._pairs):
            pair.cancel()
        await asyncio.gather(*self._pairs, return_exceptions=True)


class _Connection(urllib3.connection.HTTPConnection):
    def __init__(self, bridge: Bridge, timeout_s: float) -> None:
        super().__init__("docker", timeout=timeout_s)
        self._bridge = bridge
        self._timeout_s = timeout_s

    def connect(self) -> None:
        self.sock = self._bridge.connect(self._timeout_s)
        self.sock.settimeout(self._timeout_s)


class _Pool(urllib3.connectionpool.HTTPConnectionPool):
    def __init__(self, bridge: Bridge, timeout_s: float) -> None:
        super().__init__("docker", timeout=timeout_s)
        self._bridge = bridge
        self._timeout_s = timeout_s

    def _new_conn(self) -> _Connection:
        return _Connection(self._bridge, self._timeout_s)

    def _put_conn(self, conn: Any) -> None:
        if conn is not None:
            conn.close()


class BridgeAdapter(BaseHTTPAdapter):  # type: ignore[misc]  # docker-py ships no types
    """The requests adapter that docker-py's client is given: a channel for each request, closed after it.

    Reuse would save a round trip, but a kept channel that broke a moment ago fails the next request, which may not be
    one to repeat; and channels of a bridge command are sessions, of which there are few.
    """

    def __init__(self, bridge: Bridge, timeout_s: float) -> None:
        super().__init__()
        self._pool = _Pool(bridge, timeout_s)

    def get_connection(self, url: str, proxies: Any = None) -> _Pool:
        """The one pool, whatever the url: a pinned engine has one address."""
        return self._pool

    def request_url(self, request: Any, proxies: Any) -> str:
        """The path alone; there are no proxies on the way."""
        return str(request.path_url)

    def close(self) -> None:
        """Close the pooled connections."""
        super().close()
        self._pool.close()


def mount(session: requests.Session, adapter: BridgeAdapter) -> None:
    """Make every request of the session take the bridge, and nothing of this machine's environment."""
    session.trust_env = False  # no proxies, no netrc
    session.headers["Connection"] = "close"
    session.mount("http+docker://", adapter)
