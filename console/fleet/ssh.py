"""A link over SSH: one asyncssh connection, its sessions and its channels."""

import asyncio
import shlex
from collections.abc import Callable, Sequence

import asyncssh

from console.fleet.channels import ChannelReader, ChannelWriter
from console.fleet.host import Host
from console.fleet.link import (
    ByteStream,
    ChannelRefused,
    CommandFailed,
    Completed,
    LinkError,
    LinkLost,
    Refusal,
    TimedOut,
)
from console.fleet.script import assignments
from console.fleet.slots import Slots
from console.model.text import clean_line

SESSIONS = 8
"""Sessions at once on one connection; OpenSSH allows 10 unless told otherwise."""
OUTPUT_LIMIT = 64 * 1024 * 1024
"""No script of ours prints more; a host that does is not believed."""
_AGAIN = "what was under way has no result; the next request connects again"
_LOOK = b"""
if [ ! -e "$P" ]; then echo missing
elif case $(ls -ld "$P") in ?---------*) true ;; *) false ;; esac; then echo denied
elif [ ! -S "$P" ] || [ ! -r "$P" ] || [ ! -w "$P" ]; then echo denied
elif grep -F " $P" /proc/net/unix | grep -q " 00010000 "; then echo forwarding
else echo silent
fi
"""


class SshLink:
    """A live SSH connection. `on_lost` is called once when it goes, with the reason."""

    def __init__(self, host: Host, connection: asyncssh.SSHClientConnection, user: str) -> None:
        self._host, self.connection, self._user = host, connection, user
        self._slots = Slots(SESSIONS)
        self._lost_because: LinkError | None = None
        self._closing = self._had_session = False
        self._tasks: set[asyncio.Task[None]] = set()
        self.on_lost: Callable[[LinkError], None] | None = None

    @property
    def host(self) -> Host:
        """The host at the other end."""
        return self._host

    @property
    def closed(self) -> bool:
        """True once closed or lost."""
        return self._closing or self._lost_because is not None or self.connection.is_closed()

    def went(self, error: Exception | None) -> None:
        """Told by the connection that it is gone."""
        if self._lost_because is None:
            why = "closed from here" if self._closing else str(error or "the server closed the connection")
            self._lost_because = LinkLost(
                self._host.name, f"connection lost: {why}", "what was under way has no result"
            )
            if self.on_lost is not None and not self._closing:
                self.on_lost(self._lost_because)

    def lost(self, error: BaseException | None = None) -> LinkError:
        """A fresh error saying that the connection, or one channel of it, is gone."""
        if self._lost_because is not None:
            return LinkLost(self._host.name, self._lost_because.message, self._lost_because.remedy)
        if self.connection.is_closed() or self._closing:
            return LinkLost(self._host.name, "connection lost", _AGAIN)
        return LinkLost(self._host.name, f"the channel was closed: {error or 'by the other side'}")

    async def run(self, script: bytes, *, timeout_s: float) -> Completed:
        """Run a constant script on stdin of `/bin/sh -s`; LinkLost unless it ended by itself with a status."""
        try:
            async with asyncio.timeout(timeout_s):
                return await self._run(script)
        except TimeoutError:
            remedy = "the host is slow, or a file system on it hangs"
            raise TimedOut(self._host.name, f"a script did not end within {timeout_s:g} s", remedy) from None

    async def _run(self, script: bytes) -> Completed:
        process = await self._session("/bin/sh -s")
        try:
            process.stdin.write(script)
            process.stdin.write_eof()
            out, err = await asyncio.gather(self._all(process.stdout), self._all(process.stderr))
            await process.wait_closed()
        except (asyncssh.Error, OSError) as error:
            raise self.lost(error) from error
        finally:
            process.close()
            await self._slots.give_back()
        if process.exit_status is None and process.exit_signal is None:
            raise self.lost()
        return Completed(out, err, process.returncode if process.returncode is not None else -1)

    async def _all(self, reader: asyncssh.SSHReader[bytes]) -> bytes:
        pieces: list[bytes] = []
        size = 0
        while piece := await reader.read(1 << 16):
            pieces.append(piece)
            size += len(piece)
            if size > OUTPUT_LIMIT:
                raise CommandFailed(self._host.name, f"a script printed more than {OUTPUT_LIMIT >> 20} MiB")
        return b"".join(pieces)

    async def open_command(self, argv: Sequence[str]) -> ByteStream:
        """stdin and stdout of a command; a bad end shows as CommandFailed after its last output."""
        process = await self._session(shlex.join(argv))
        task = asyncio.create_task(self._until_closed(process))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

        async def ended() -> None:
            stderr = await self._all(process.stderr)
            await process.wait_closed()
            if process.exit_status is None and process.exit_signal is None:
                raise self.lost()
            if process.exit_status != 0:
                said = clean_line(stderr) or f"exit {process.returncode}"
                message = f"`{clean_line(shlex.join(argv))}` failed: {said}"
                raise CommandFailed(self._host.name, message, exit_code=process.returncode)

        return ChannelReader(process.stdout, self, ended), ChannelWriter(process.stdin, self)

    async def _until_closed(self, process: asyncssh.SSHClientProcess[bytes]) -> None:
        try:
            await process.channel.wait_closed()
        finally:
            await self._slots.give_back()

    async def _session(self, command: str) -> asyncssh.SSHClientProcess[bytes]:
        """A session running a command; waits for a free one when the server allows fewer than we thought."""
        patience = 40
        while True:
            if self.closed:
                raise self.lost()
            await self._slots.take()
            granted = False
            try:
                process = await self.connection.create_process(
                    command, encoding=None, stdin=asyncssh.PIPE, stdout=asyncssh.PIPE, stderr=asyncssh.PIPE
                )
                granted = self._had_session = True
                return process
            except asyncssh.ChannelOpenError as error:
                if self.closed:
                    raise self.lost(error) from error
                granted = True
                if await self._slots.refused():
                    continue
                if self._had_session and patience > 0:  # the server may still be closing the session that just ended
                    patience -= 1
                    await asyncio.sleep(0.05)
                else:
                    raise ChannelRefused(
                        self._host.name,
                        f"the server opens no session: {error}",
                        "raise MaxSessions in its sshd_config, and check that the account may run commands",
                        reason="sessions",
                    ) from error
            except (asyncssh.Error, OSError) as error:
                raise self.lost(error) from error
            finally:
                if not granted:
                    await self._slots.give_back()

    async def open_unix(self, path: str) -> ByteStream:
        """A channel to a unix socket of the host; it takes no session."""
        if self.closed:
            raise self.lost()
        try:
            reader, writer = await self.connection.open_unix_connection(path, encoding=None)
        except asyncssh.ChannelOpenError as error:
            if self.closed:
                raise self.lost(error) from error
            raise await self._why_no_socket(path, error) from error
        except (asyncssh.Error, OSError) as error:
            raise self.lost(error) from error
        return ChannelReader(reader, self), ChannelWriter(writer, self)

    async def open_tcp(self, port: int) -> ByteStream:
        """A channel to 127.0.0.1:port of the host; it takes no session."""
        if self.closed:
            raise self.lost()
        try:
            reader, writer = await self.connection.open_connection("127.0.0.1", port, encoding=None)
        except asyncssh.ChannelOpenError as error:
            if self.closed:
                raise self.lost(error) from error
            forbidden = error.code == asyncssh.OPEN_ADMINISTRATIVELY_PROHIBITED
            raise ChannelRefused(
                self._host.name,
                f"the server forbids forwarding to port {port}"
                if forbidden
                else f"nothing listens on 127.0.0.1:{port}",
                "set AllowTcpForwarding yes in its sshd_config" if forbidden else "",
                reason="forwarding" if forbidden else "silent",
            ) from error
        except (asyncssh.Error, OSError) as error:
            raise self.lost(error) from error
        return ChannelReader(reader, self), ChannelWriter(writer, self)

    async def _why_no_socket(self, path: str, error: asyncssh.ChannelOpenError) -> ChannelRefused:
        """A second look: the refusal reads the same for a missing socket, a forbidden one and forwarding off."""
        below = self._host.root or "" if path != self._host.docker_socket else ""
        look = "\n".join(assignments({"P": below + path})).encode() + _LOOK
        try:
            seen = (await self.run(look, timeout_s=10)).stdout.decode("ascii", "replace").strip()
        except LinkLost:
            raise
        except LinkError as problem:
            return ChannelRefused(
                self._host.name, f"{path} was refused ({error}), and {problem.message}", problem.remedy
            )
        name, user = self._host.name, self._user
        told: dict[str, tuple[Refusal, str, str]] = {
            "missing": ("missing", f"there is no socket {path}", "is the engine installed and running there?"),
            "denied": (
                "denied",
                f"user {user} may not open {path}",
                f"add it to the socket's group (`sudo usermod -aG docker {user}`) and connect again",
            ),
            "silent": ("silent", f"nothing listens on {path}", "start the engine: `sudo systemctl start docker`"),
            "forwarding": (
                "forwarding",
                f"the server forbids forwarding to {path}",
                "set AllowStreamLocalForwarding yes in its sshd_config; a docker command on the host works too",
            ),
        }
        reason, message, remedy = told.get(seen, ("unknown", f"{path} was refused: {error}", ""))
        return ChannelRefused(name, message, remedy, reason=reason)

    async def close(self) -> None:
        """Close the connection and every channel on it."""
        self._closing = True
        self.connection.close()
        try:
            async with asyncio.timeout(2):
                await self.connection.wait_closed()
        except (TimeoutError, asyncssh.Error, OSError):
            self.connection.abort()
