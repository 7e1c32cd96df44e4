"""A link to this machine, without SSH: the same protocol over a subprocess, a unix socket and a loopback port."""

import asyncio
import contextlib
import os
import shlex
import signal
from collections.abc import Sequence

from console.fleet.host import Host
from console.fleet.link import ByteStream, ChannelRefused, CommandFailed, Completed, LinkLost, Refusal, TimedOut
from console.model.text import clean_line


class LocalLink:
    """This machine as a host."""

    def __init__(self, host: Host) -> None:
        self._host = host
        self._closed = False

    @property
    def host(self) -> Host:
        """The host at the other end."""
        return self._host

    @property
    def closed(self) -> bool:
        """True once closed."""
        return self._closed

    async def run(self, script: bytes, *, timeout_s: float) -> Completed:
        """Run a script on stdin of `/bin/sh -s`; on a timeout it and its children are killed."""
        self._check()
        process = await asyncio.create_subprocess_exec(
            "/bin/sh",
            "-s",
            stdin=asyncio.subprocess.PIPE,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.PIPE,
            start_new_session=True,
        )
        try:
            async with asyncio.timeout(timeout_s):
                out, err = await process.communicate(script)
        except TimeoutError:
            remedy = "the machine is slow, or a file system on it hangs"
            raise TimedOut(self._host.name, f"a script did not end within {timeout_s:g} s", remedy) from None
        finally:
            if process.returncode is None:
                with contextlib.suppress(ProcessLookupError):
                    os.killpg(process.pid, signal.SIGKILL)
                await process.wait()
        return Completed(out, err, process.returncode if process.returncode is not None else -1)

    async def open_unix(self, path: str) -> ByteStream:
        """A connection to a unix socket."""
        self._check()
        try:
            reader, writer = await asyncio.open_unix_connection(path)
        except OSError as error:
            reason, remedy = _refusal(error)
            raise ChannelRefused(
                self._host.name, f"{path}: {error.strerror or error}", remedy, reason=reason
            ) from error
        return reader, _Writer(writer, self._host.name)

    async def open_tcp(self, port: int) -> ByteStream:
        """A connection to 127.0.0.1:port."""
        self._check()
        try:
            reader, writer = await asyncio.open_connection("127.0.0.1", port)
        except OSError as error:
            raise ChannelRefused(self._host.name, f"nothing listens on 127.0.0.1:{port}", reason="silent") from error
        return reader, _Writer(writer, self._host.name)

    async def open_command(self, argv: Sequence[str]) -> ByteStream:
        """stdin and stdout of a command; a bad end shows as CommandFailed after its last output."""
        self._check()
        try:
            process = await asyncio.create_subprocess_exec(
                *argv, stdin=asyncio.subprocess.PIPE, stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.PIPE
            )
        except OSError as error:
            raise CommandFailed(self._host.name, f"`{shlex.join(argv)}`: {error.strerror}", exit_code=127) from error
        assert process.stdin is not None  # noqa: S101 - asked for above
        return _CommandReader(process, self._host.name, argv), _Writer(process.stdin, self._host.name)

    async def close(self) -> None:
        """Nothing is held open."""
        self._closed = True

    def _check(self) -> None:
        if self._closed:
            raise LinkLost(self._host.name, "closed from here")


def _refusal(error: OSError) -> tuple[Refusal, str]:
    if isinstance(error, FileNotFoundError):
        return "missing", "is the engine installed and running?"
    if isinstance(error, PermissionError):
        return "denied", "add yourself to the socket's group (`sudo usermod -aG docker $USER`) and sign in again"
    if isinstance(error, ConnectionRefusedError):
        return "silent", "start the engine: `sudo systemctl start docker`"
    return "unknown", ""


class _Writer:
    """asyncio's writer with our error."""

    def __init__(self, writer: asyncio.StreamWriter, host: str) -> None:
        self._writer, self._host = writer, host

    def write(self, data: bytes) -> None:
        self._writer.write(data)

    async def drain(self) -> None:
        try:
            await self._writer.drain()
        except OSError as error:
            raise LinkLost(self._host, f"the channel was closed: {error}") from error

    def can_write_eof(self) -> bool:
        return self._writer.can_write_eof()

    def write_eof(self) -> None:
        with contextlib.suppress(OSError):
            self._writer.write_eof()

    def close(self) -> None:
        self._writer.close()

    async def wait_closed(self) -> None:
        with contextlib.suppress(OSError):
            await self._writer.wait_closed()

    def is_closing(self) -> bool:
        return self._writer.is_closing()


class _CommandReader:
    """A command's stdout; its exit status is looked at when the output ends."""

    def __init__(self, process: asyncio.subprocess.Process, host: str, argv: Sequence[str]) -> None:
        assert process.stdout is not None and process.stderr is not None  # noqa: S101, PT018 - pipes were asked for
        self._process, self._host, self._argv = process, host, argv
        self._out = process.stdout
        self._err = asyncio.create_task(process.stderr.read())

    async def read(self, n: int = -1) -> bytes:
        data = await self._out.read(n)
        if n < 0 or (n > 0 and not data):
            await self._ended()
        return data

    async def readexactly(self, n: int) -> bytes:
        try:
            return await self._out.readexactly(n)
        except asyncio.IncompleteReadError:
            await self._ended()
            raise

    async def readuntil(self, separator: bytes = b"\n") -> bytes:
        try:
            return await self._out.readuntil(separator)
        except asyncio.IncompleteReadError:
            await self._ended()
            raise

    def at_eof(self) -> bool:
        return self._out.at_eof()

    async def _ended(self) -> None:
        status = await self._process.wait()
        if status != 0:
            said = clean_line(await self._err) or f"exit {status}"
            raise CommandFailed(self._host, f"`{shlex.join(self._argv)}` failed: {said}", exit_code=status)
