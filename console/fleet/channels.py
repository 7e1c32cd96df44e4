"""Byte streams on the channels of an SSH connection, with honest ends.

asyncssh reports some lost connections as a clean end of stream (a server that says goodbye while a stream is open,
a read to the end that is cut). Here the end of a stream means that the peer ended it; everything else is LinkLost.
"""

import asyncio
from collections.abc import Awaitable, Callable
from typing import Protocol

import asyncssh

from console.fleet.link import LinkError


class Owner(Protocol):
    """The connection a channel is on."""

    @property
    def closed(self) -> bool:
        """True once the connection is gone."""

    def lost(self, error: BaseException | None = None) -> LinkError:
        """The error that says so."""


class ChannelReader:
    """The reading side. `at_end` runs once when the peer ended the stream, and may raise."""

    def __init__(
        self,
        reader: asyncssh.SSHReader[bytes],
        owner: Owner,
        at_end: Callable[[], Awaitable[None]] | None = None,
    ) -> None:
        self._reader, self._owner, self._at_end = reader, owner, at_end

    async def read(self, n: int = -1) -> bytes:
        """Up to n bytes, all to the end for -1; b"" at the end."""
        try:
            data = await self._reader.read(n)
        except (asyncssh.Error, OSError) as error:
            raise self._owner.lost(error) from error
        if n < 0 or (n > 0 and not data):
            await self._ended()
        return data

    async def readexactly(self, n: int) -> bytes:
        """Exactly n bytes, or asyncio.IncompleteReadError at the end of the stream."""
        try:
            return await self._reader.readexactly(n)
        except (asyncssh.Error, OSError) as error:
            raise self._owner.lost(error) from error
        except asyncio.IncompleteReadError:
            await self._ended()
            raise

    async def readuntil(self, separator: bytes = b"\n") -> bytes:
        """Bytes up to and with the separator, or asyncio.IncompleteReadError at the end of the stream."""
        try:
            return await self._reader.readuntil(separator)
        except (asyncssh.Error, OSError) as error:
            raise self._owner.lost(error) from error
        except asyncio.IncompleteReadError:
            await self._ended()
            raise

    def at_eof(self) -> bool:
        """True when the peer ended the stream and everything was read."""
        return self._reader.at_eof()

    async def _ended(self) -> None:
        if self._owner.closed:
            raise self._owner.lost()
        if self._at_end is not None:
            await self._at_end()


class ChannelWriter:
    """The writing side; what could not be written is told by `drain`."""

    def __init__(self, writer: asyncssh.SSHWriter[bytes], owner: Owner) -> None:
        self._writer, self._owner = writer, owner
        self._error: Exception | None = None

    def write(self, data: bytes) -> None:
        """Queue bytes."""
        try:
            self._writer.write(data)
        except (asyncssh.Error, OSError) as error:
            self._error = error

    async def drain(self) -> None:
        """Wait until the queue is short again; LinkLost when nobody takes the bytes any more."""
        if self._error is not None:
            raise self._owner.lost(self._error)
        try:
            await self._writer.drain()
        except (asyncssh.Error, OSError) as error:
            raise self._owner.lost(error) from error

    def can_write_eof(self) -> bool:
        """Every SSH channel can end its sending side alone."""
        return True

    def write_eof(self) -> None:
        """Say that nothing more comes."""
        try:
            self._writer.write_eof()
        except (asyncssh.Error, OSError) as error:
            self._error = error

    def close(self) -> None:
        """Close the channel."""
        self._writer.close()

    async def wait_closed(self) -> None:
        """Wait until it is closed."""
        await self._writer.channel.wait_closed()

    def is_closing(self) -> bool:
        """True once closed from here or by the peer."""
        return self._writer.is_closing() or self._owner.closed
