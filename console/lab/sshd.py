"""SSH servers of the played hosts: one listener each on 127.0.0.1; commands are real processes in the root folder."""

import asyncio
import contextlib
import logging
import os
import signal
import socket
from pathlib import Path
from typing import Any

import asyncssh

from console.lab import http, routes
from console.lab.http import Reader, Reply, Request, Writer
from console.lab.machines import Machine

log = logging.getLogger(__name__)

USER = "lab"
SOCKETS = ("/var/run/docker.sock", "/run/docker.sock")
SFTP_VERSION = 3  # never spoken here: no SFTP is served
MAX_SESSIONS = 10
"""OpenSSH's default; the eleventh session of a connection is refused, forwarded channels are not counted."""

END_ROUNDS, END_ROUND_S = 300, 0.1
"""How often, and how far apart, a host that is shut down ends what its sessions still run."""


class Sshd:
    """The SSH side of one host."""

    def __init__(self, machine: Machine, host_key: asyncssh.SSHKey, client_keys: Path) -> None:
        self.machine = machine
        self._host_key = host_key
        self._client_keys = client_keys
        self._links: set[asyncssh.SSHServerConnection] = set()
        self._children: set[asyncio.subprocess.Process] = set()
        self._sessions: set[asyncio.Future[None]] = set()
        self._acceptor: asyncssh.SSHAcceptor | None = None
        self._place: socket.socket | None = None
        self._up = False
        self.port = 0

    async def start(self) -> None:
        """Listen: on the port of before, else on a free one."""
        self._up = True
        self._acceptor = await asyncssh.listen(
            "127.0.0.1",
            self.port,
            server_factory=lambda: _Connection(self),
            server_host_keys=[self._host_key],
            authorized_client_keys=str(self._client_keys),
            encoding=None,
            password_auth=False,
            kbdint_auth=False,
            gss_host=None,
            agent_forwarding=False,
            x11_forwarding=False,
            allow_scp=False,
            login_timeout=30,
            keepalive_interval=0,
        )
        self.port = self._acceptor.get_port()
        self._give_place()

    async def stop(self) -> None:
        """Close everything and end the processes it started."""
        await self._close()
        self._give_place()

    async def fall_silent(self) -> None:
        """As `stop`, but nobody else gets the port: whoever comes there is refused until `start`."""
        await self._close(hold=True)

    def _give_place(self) -> None:
        if self._place is not None:
            self._place.close()
            self._place = None

    async def _close(self, *, hold: bool = False) -> None:
        self._up = False  # what had not begun by now begins no more
        if self._acceptor is not None:
            self._acceptor.close()
            if hold:
                self._place = _bound(self.port)
            await self._acceptor.wait_closed()
            self._acceptor = None
        self.drop()
        for _ in range(END_ROUNDS):
            for child in list(self._children):
                with contextlib.suppress(ProcessLookupError):
                    os.killpg(child.pid, signal.SIGKILL)
            if not self._sessions:
                return
            # again and again: a session that has just begun starts its process after the others were ended
            await asyncio.wait(tuple(self._sessions), timeout=END_ROUND_S)

    def drop(self) -> None:
        """Cut all connections, as a network does. Containers go on."""
        for link in list(self._links):
            link.abort()

    def opened(self, link: asyncssh.SSHServerConnection) -> None:
        """A connection is there; one that was just being accepted when the host was shut down is cut at once."""
        self._links.add(link)
        if not self._up:
            link.abort()

    def closed(self, link: asyncssh.SSHServerConnection) -> None:
        """A connection is gone."""
        self._links.discard(link)

    async def talk_docker(self, reader: Reader, writer: Writer) -> None:
        """The engine's side of one channel."""
        await http.serve(reader, writer, self._answer)

    async def _answer(self, request: Request) -> http.Answer:
        return await routes.answer(self.machine.engine, request)

    async def talk_port(self, port: int, reader: Reader, writer: Writer) -> None:
        """A played server's side of one channel: GETs."""

        async def answer(request: Request) -> http.Answer:
            endpoint = self.machine.ports.get(port)
            if endpoint is None or request.method not in ("GET", "HEAD"):
                return Reply(404, body=b"", headers=[])
            status, kind, body = endpoint.answer(request.path)
            return Reply(status, body=body, headers=[("Content-Type", kind)])

        await http.serve(reader, writer, answer)

    # ---------------------------------------------------------------- commands

    async def run(self, process: "asyncssh.SSHServerProcess[bytes]") -> None:
        """One exec: the command by /bin/sh as a real process in the host's root folder, with a clean environment."""
        if not self._up:
            return
        command = process.command or "/bin/sh"
        if command.split()[-3:] == ["docker", "system", "dial-stdio"]:
            await self._dial_stdio(process)
            return
        self.machine.tick()
        over: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._sessions.add(over)  # before the process is there: `stop` waits for it, so that nothing cancels its start
        try:
            await self._execute(process, command)
        finally:
            self._sessions.discard(over)
            over.set_result(None)

    async def _execute(self, process: "asyncssh.SSHServerProcess[bytes]", command: str) -> None:
        child = await asyncio.create_subprocess_exec(
            "/bin/sh",
            "-c",
            command,
            stdin=asyncio.subprocess.PIPE,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.PIPE,
            cwd=self.machine.root,
            env={
                "PATH": self.machine.path,
                "HOME": str(self.machine.root),
                "USER": USER,
                "LOGNAME": USER,
                "LANG": "C.UTF-8",
                "INSTINCT_LAB_HOST": self.machine.name,
            },
            start_new_session=True,
        )
        self._children.add(child)
        feed = asyncio.create_task(_feed(process, child))
        try:
            await asyncio.gather(_pump(child.stdout, process.stdout), _pump(child.stderr, process.stderr))
            code = await child.wait()
            if code < 0:
                process.exit_with_signal(signal.Signals(-code).name.removeprefix("SIG"))
            else:
                process.exit(code)
        except (OSError, asyncssh.Error) as error:
            log.debug("%s: session ended: %s", self.machine.name, error)
        finally:
            feed.cancel()
            self._children.discard(child)

    async def _dial_stdio(self, process: "asyncssh.SSHServerProcess[bytes]") -> None:
        """`docker system dial-stdio`: the engine on the session's own streams."""
        if not self.machine.docker_allowed:
            process.stderr.write(
                b"permission denied while trying to connect to the Docker daemon socket at "
                b"unix:///var/run/docker.sock: connect: permission denied\n"
            )
            process.exit(1)
            return
        await self.talk_docker(process.stdin, process.stdout)
        process.exit(0)


def _bound(port: int) -> socket.socket:
    """A socket that has this port and does not listen; a listener may take the port beside it."""
    made = socket.socket()
    made.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    made.bind(("127.0.0.1", port))
    return made


async def _pump(source: asyncio.StreamReader | None, to: "asyncssh.SSHWriter[bytes]") -> None:
    """Everything a process prints to its channel; on a broken channel it is read on and dropped."""
    while source is not None and (data := await source.read(65536)):
        with contextlib.suppress(OSError, asyncssh.Error):
            to.write(data)
            await to.drain()


async def _feed(process: "asyncssh.SSHServerProcess[bytes]", child: asyncio.subprocess.Process) -> None:
    """The channel's input to the process, and its end."""
    if child.stdin is None:
        return
    with contextlib.suppress(OSError, asyncssh.Error):
        while data := await process.stdin.read(65536):
            child.stdin.write(data)
            await child.stdin.drain()
    child.stdin.close()


class _Connection(asyncssh.SSHServer):
    """One client's connection: what it may open."""

    def __init__(self, sshd: Sshd) -> None:
        self._sshd = sshd
        self._link: asyncssh.SSHServerConnection | None = None
        self._sessions = 0

    def connection_made(self, conn: asyncssh.SSHServerConnection) -> None:
        """Remember it."""
        self._link = conn
        self._sshd.opened(conn)

    def connection_lost(self, exc: Exception | None) -> None:
        """Forget it."""
        if self._link is not None:
            self._sshd.closed(self._link)

    def session_requested(self) -> Any:
        """A session for one command, up to OpenSSH's limit on one connection."""
        if self._link is None or self._sessions >= MAX_SESSIONS:
            return False
        self._sessions += 1
        return asyncssh.SSHServerProcess(self._counted, None, SFTP_VERSION, False)

    async def _counted(self, process: "asyncssh.SSHServerProcess[bytes]") -> None:
        try:
            await self._sshd.run(process)
        finally:
            self._sessions -= 1

    def unix_connection_requested(self, dest_path: str) -> Any:
        """The engine's socket, by its path on the host or below the root folder; nothing else."""
        path = dest_path.removeprefix(str(self._sshd.machine.root))
        if path not in SOCKETS:
            raise asyncssh.ChannelOpenError(asyncssh.OPEN_CONNECT_FAILED, "open failed")
        if not self._sshd.machine.docker_allowed:
            raise asyncssh.ChannelOpenError(asyncssh.OPEN_CONNECT_FAILED, "open failed")
        return self._sshd.talk_docker

    def connection_requested(self, dest_host: str, dest_port: int, orig_host: str, orig_port: int) -> Any:
        """A port on which a played server listens."""
        if dest_host not in ("127.0.0.1", "localhost", "::1") or dest_port not in self._sshd.machine.ports:
            raise asyncssh.ChannelOpenError(asyncssh.OPEN_CONNECT_FAILED, "Connection refused")

        async def talk(reader: Reader, writer: Writer) -> None:
            await self._sshd.talk_port(dest_port, reader, writer)

        return talk
