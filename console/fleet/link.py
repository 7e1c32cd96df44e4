"""One connection to one host: what it can do, and how it can fail.

`SshLink` (over asyncssh) and `LocalLink` (this machine) speak the same protocol, so nothing above knows which it has.
"""

from collections.abc import Sequence
from typing import Literal, Protocol

import msgspec

from console.fleet.host import Host
from console.model.text import safe_line

Refusal = Literal["sessions", "missing", "denied", "silent", "forwarding", "unknown"]


class LinkError(Exception):
    """A host could not be reached or asked: which host, what happened, and what to do about it.

    `transport` marks the classes after which a new connection may be tried; the others need a person first.
    """

    transport = False

    def __init__(self, host: str, message: str, remedy: str = "") -> None:
        self.host = host
        self.message = safe_line(message, 600)
        self.remedy = remedy
        super().__init__(f"{host}: {self.message}" + (f"; {remedy}" if remedy else ""))


class ConfigError(LinkError):
    """A line of an ssh configuration, a key file or a known_hosts file stands in the way of this host only."""


class NameError_(LinkError):
    """The address does not resolve."""

    transport = True


class Refused(LinkError):
    """Nothing listens there, or the network says it cannot be reached."""

    transport = True


class TimedOut(LinkError):
    """No answer in time: at connecting, at signing in, or of a command."""

    transport = True


class KeyUnknown(LinkError):
    """The host key is in no known_hosts file. Refused until a person trusts it."""


class KeyChanged(LinkError):
    """The host key is not the one on record, or is revoked. Always refused."""


class AuthFailed(LinkError):
    """The host accepts none of our keys or answers. Never retried: servers lock out addresses that try again."""


class ChannelRefused(LinkError):
    """The connection stands, but the server refused a channel; `reason` says which of its limits it was.

    sessions: MaxSessions. missing: no such socket. denied: the user may not open it. silent: nobody listens.
    forwarding: the server forbids it; a command (`open_command`) may still do.
    """

    def __init__(self, host: str, message: str, remedy: str = "", *, reason: Refusal = "unknown") -> None:
        super().__init__(host, message, remedy)
        self.reason: Refusal = reason


class CommandFailed(LinkError):
    """A command behind a stream ended with an error; `exit_code` as a shell counts, or None when it is not known."""

    def __init__(self, host: str, message: str, remedy: str = "", *, exit_code: int | None = None) -> None:
        super().__init__(host, message, remedy)
        self.exit_code = exit_code


class LinkLost(LinkError):
    """The connection ended while something was under way; what had arrived is not a result."""

    transport = True


class Completed(msgspec.Struct, frozen=True):
    """A command that ended by itself: all of its output. `exit_code` is negative for a signal, as in subprocess."""

    stdout: bytes
    stderr: bytes
    exit_code: int


class ByteReader(Protocol):
    """The reading side of a byte stream, as asyncio.StreamReader has it.

    `b""` means that the peer ended the stream. A lost connection raises LinkLost instead.
    """

    async def read(self, n: int = -1) -> bytes:
        """Up to n bytes as soon as there are any; all to the end for -1; b"" at the end."""

    async def readexactly(self, n: int) -> bytes:
        """Exactly n bytes, or asyncio.IncompleteReadError at the end of the stream."""

    async def readuntil(self, separator: bytes = b"\n") -> bytes:
        """Bytes up to and with the separator, or asyncio.IncompleteReadError at the end of the stream."""

    def at_eof(self) -> bool:
        """True when the peer ended the stream and everything was read."""


class ByteWriter(Protocol):
    """The writing side of a byte stream, as asyncio.StreamWriter has it."""

    def write(self, data: bytes) -> None:
        """Queue bytes."""

    async def drain(self) -> None:
        """Wait until the queue is short again; LinkLost when the connection is gone."""

    def can_write_eof(self) -> bool:
        """Whether the peer can be told that nothing more comes while it still answers."""

    def write_eof(self) -> None:
        """Say that nothing more comes."""

    def close(self) -> None:
        """Close both directions."""

    async def wait_closed(self) -> None:
        """Wait until the close is done. Never raises for a connection that is already gone."""

    def is_closing(self) -> bool:
        """True once closed from here or by the peer."""


ByteStream = tuple[ByteReader, ByteWriter]


class Link(Protocol):
    """A live connection to one host. Every method raises LinkError classes and nothing else of the transport's."""

    @property
    def host(self) -> Host:
        """The host at the other end."""

    @property
    def closed(self) -> bool:
        """True once closed or lost; `Links.get` then makes a new one."""

    async def run(self, script: bytes, *, timeout_s: float) -> Completed:
        """Run a constant script on stdin of `/bin/sh -s`; data belongs in quoted form, never in shell text.

        A lost link or a missing exit status raises LinkLost, whatever output had arrived; TimedOut after `timeout_s`.
        """

    async def open_unix(self, path: str) -> ByteStream:
        """A channel to a unix socket of the host."""

    async def open_command(self, argv: Sequence[str]) -> ByteStream:
        """stdin and stdout of a command. When it ended with an error, reading past its output raises CommandFailed."""

    async def open_tcp(self, port: int) -> ByteStream:
        """A channel to 127.0.0.1:port of the host."""

    async def close(self) -> None:
        """Close the connection and every channel on it."""
