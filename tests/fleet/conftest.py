"""Servers to connect to: asyncssh's own in this process, and real sshd where it is installed."""

import asyncio
import contextlib
import getpass
import os
import signal
import socket
import subprocess
import time
from collections.abc import AsyncIterator, Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import asyncssh
import pytest

from console.fleet.host import Fleet, Host, SshOptions
from console.fleet.links import Links

SSHD = Path("/usr/sbin/sshd")
PATIENT = SshOptions(connect_timeout_s=60, login_timeout_s=60)
"""No machine is so busy that a host is given up."""


class Keys:
    """One client key and host keys, on disk."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.client = self.make("client")
        self.host = self.make("host")
        self.other = self.make("other")

    def make(self, name: str) -> Path:
        path = self.folder / name
        key = asyncssh.generate_private_key("ssh-ed25519")
        key.write_private_key(path)
        key.write_public_key(f"{path}.pub")
        path.chmod(0o600)
        return path

    def public(self, path: Path) -> str:
        return " ".join(Path(f"{path}.pub").read_text(encoding="ascii").split()[:2])

    def line(self, path: Path, address: str, port: int) -> str:
        return f"[{address}]:{port} {self.public(path)}\n"


@pytest.fixture(scope="session")
def keys(tmp_path_factory: pytest.TempPathFactory) -> Keys:
    return Keys(tmp_path_factory.mktemp("keys"))


class Bench:
    """Builds fleets whose hosts are test servers, and closes every Links made for them."""

    def __init__(self, folder: Path, keys: Keys) -> None:
        self.folder, self.keys = folder, keys
        self.known = folder / "known_hosts"
        self.hosts: list[Host] = []
        self._links: list[Links] = []

    def add(self, name: str, address: str, port: int, *, known: Path | None = None, **more: object) -> Host:
        values: dict[str, object] = {
            "name": name,
            "address": address,
            "port": port,
            "user": getpass.getuser(),
            "identity": self.keys.client,
            **more,
        }
        host = Host(**values)  # type: ignore[arg-type]  # the caller names fields of Host
        self.hosts.append(host)
        if known is not None:
            with self.known.open("a", encoding="ascii") as file:
                file.write(self.keys.line(known, address, port))
        return host

    def fleet(self, ssh: SshOptions = PATIENT) -> Fleet:
        return Fleet(
            path=self.folder / "fleet.toml",
            hosts=tuple(self.hosts),
            known_hosts=(self.known,),
            isolated=True,
            ssh=ssh,
        )

    def links(self, ssh: SshOptions = PATIENT, **more: object) -> Links:
        links = Links(self.fleet(ssh), **more)  # type: ignore[arg-type]  # the caller names arguments of Links
        self._links.append(links)
        return links

    async def close(self) -> None:
        for links in self._links:
            await links.close()


@pytest.fixture
async def bench(tmp_path: Path, keys: Keys) -> AsyncIterator[Bench]:
    bench = Bench(tmp_path, keys)
    yield bench
    await bench.close()


# --- asyncssh's server, for tests that always run


class Server(asyncssh.SSHServer):
    """Lets the client key in, runs commands for real, and can be told to misbehave."""

    def __init__(self, owner: "AsyncServer") -> None:
        self.owner = owner

    def connection_made(self, conn: asyncssh.SSHServerConnection) -> None:
        self.owner.connections.append(conn)

    def begin_auth(self, username: str) -> bool:
        return True

    def public_key_auth_supported(self) -> bool:
        return self.owner.password is None

    def validate_public_key(self, username: str, key: asyncssh.SSHKey) -> bool:
        self.owner.tried_keys += 1
        return self.owner.allow and key.export_public_key().split()[1].decode() == self.owner.client

    def kbdint_auth_supported(self) -> bool:
        return self.owner.password is not None

    def get_kbdint_challenge(
        self, username: str, lang: str, submethods: str
    ) -> tuple[str, str, str, list[tuple[str, bool]]]:
        return "Two factors", "", "", [("Password: ", False), ("Code: ", True)]

    def validate_kbdint_response(self, username: str, responses: Sequence[str]) -> bool:
        return list(responses) == [self.owner.password, "123456"]

    def session_requested(self) -> asyncssh.SSHServerProcess[bytes] | bool:
        if self.owner.open_sessions >= self.owner.max_sessions:
            return False
        self.owner.open_sessions += 1
        self.owner.most_sessions = max(self.owner.most_sessions, self.owner.open_sessions)
        return asyncssh.SSHServerProcess(self.owner.serve, None, 0, False)

    def connection_requested(self, dest_host: str, dest_port: int, orig_host: str, orig_port: int) -> bool:
        if not self.owner.forward:
            raise asyncssh.ChannelOpenError(asyncssh.OPEN_ADMINISTRATIVELY_PROHIBITED, "open failed")
        self.owner.forwarded.append((dest_host, dest_port))
        return True

    def unix_connection_requested(self, dest_path: str) -> bool:
        if not self.owner.forward:
            raise asyncssh.ChannelOpenError(asyncssh.OPEN_CONNECT_FAILED, "open failed")
        return True


async def pump(source: Any, sink: Any) -> None:
    """Copy until the source ends; either side may vanish."""
    with contextlib.suppress(OSError, asyncssh.Error):
        while data := await source.read(1 << 16):
            sink.write(data)
            await sink.drain()
        if isinstance(sink, asyncio.StreamWriter):
            sink.close()


class AsyncServer:
    """One asyncssh server on a loopback address."""

    def __init__(self, keys: Keys) -> None:
        self.keys = keys
        self.client = keys.public(keys.client).split()[1]
        self.connections: list[asyncssh.SSHServerConnection] = []
        self.forwarded: list[tuple[str, int]] = []
        self.allow, self.forward, self.max_sessions = True, True, 10
        self.password: str | None = None
        self.open_sessions = self.most_sessions = self.tried_keys = 0
        self.running = asyncio.Event()
        self.serving: set[asyncio.Task[None]] = set()
        self.port = 0
        self.address = "127.0.0.1"
        self._acceptor: asyncssh.SSHAcceptor | None = None

    async def start(
        self, *, host_key: Path | None = None, port: int = 0, host_cert: Path | None = None
    ) -> "AsyncServer":
        self._acceptor = await asyncssh.create_server(
            lambda: Server(self),
            self.address,
            port,
            server_host_keys=[str(host_key or self.keys.host)],
            server_host_certs=[str(host_cert)] if host_cert else [],
            encoding=None,
            reuse_address=True,
            login_timeout=0,  # tests move its clock
        )
        self.port = self._acceptor.get_port()
        return self

    async def serve(self, process: "asyncssh.SSHServerProcess[bytes]") -> None:
        task = asyncio.current_task()
        assert task is not None
        self.serving.add(task)
        try:
            child = await asyncio.create_subprocess_shell(
                process.command or "/bin/sh",
                stdin=asyncio.subprocess.PIPE,
                stdout=asyncio.subprocess.PIPE,
                stderr=asyncio.subprocess.PIPE,
                start_new_session=True,
            )
            try:
                self.running.set()
                async with asyncio.TaskGroup() as pumps:
                    feeding = pumps.create_task(pump(process.stdin, child.stdin))
                    out = pumps.create_task(pump(child.stdout, process.stdout))
                    err = pumps.create_task(pump(child.stderr, process.stderr))
                    await asyncio.wait([out, err])
                    process.exit(await child.wait())
                    feeding.cancel()
            finally:
                with contextlib.suppress(ProcessLookupError):
                    os.killpg(child.pid, signal.SIGKILL)
                await child.wait()
        finally:
            self.open_sessions -= 1
            self.serving.discard(task)

    async def stop(self) -> None:
        for connection in self.connections:
            connection.abort()
        if self._acceptor is not None:
            self._acceptor.close()
            await self._acceptor.wait_closed()
        for task in self.serving:
            task.cancel()
        await asyncio.gather(*self.serving, return_exceptions=True)


@pytest.fixture
async def servers(keys: Keys) -> AsyncIterator[Callable[[], AsyncServer]]:
    made: list[AsyncServer] = []

    def make() -> AsyncServer:
        made.append(AsyncServer(keys))
        return made[-1]

    yield make
    for server in made:
        await server.stop()


@pytest.fixture
async def server(servers: Callable[[], AsyncServer]) -> AsyncServer:
    return await servers().start()


# --- OpenSSH


class Sshd:
    """One real sshd on an address of its own, with its own keys and configuration."""

    def __init__(self, folder: Path, keys: Keys, address: str, options: dict[str, str], host_key: Path) -> None:
        self.address, self.port = address, free_port(address)
        folder.mkdir()
        authorized = folder / "authorized_keys"
        authorized.write_text(f"{keys.public(keys.client)}\n", encoding="ascii")
        settings = {
            "Port": str(self.port),
            "ListenAddress": address,
            "HostKey": str(host_key),
            "AuthorizedKeysFile": str(authorized),
            "PidFile": "none",
            "StrictModes": "no",
            "PermitRootLogin": "yes",
            "PasswordAuthentication": "no",
            "KbdInteractiveAuthentication": "no",
            "MaxStartups": "100",
            **options,
        }
        self.config = folder / "sshd_config"
        self.config.write_text("".join(f"{key} {value}\n" for key, value in settings.items()), encoding="ascii")
        self.log = folder / "log"
        with self.log.open("wb") as log:
            self.process = subprocess.Popen(
                [str(SSHD), "-D", "-e", "-f", str(self.config)], stderr=log, start_new_session=True
            )
        self._wait()

    def _wait(self) -> None:
        until = time.monotonic() + 20
        while time.monotonic() < until:
            if self.process.poll() is not None:
                break
            with contextlib.suppress(OSError), socket.create_connection((self.address, self.port), timeout=1):
                return
            time.sleep(0.02)
        raise RuntimeError(f"sshd did not start: {self.log.read_text(errors='replace')}")

    def children(self) -> list[int]:
        """The processes that serve connections: direct children of the listener."""
        found = []
        for entry in Path("/proc").iterdir():
            with contextlib.suppress(OSError, ValueError, IndexError):
                stat = (entry / "stat").read_text()
                if int(stat.rpartition(")")[2].split()[1]) == self.process.pid:
                    found.append(int(entry.name))
        return found

    def stop(self) -> None:
        for pid in (*self.children(), self.process.pid):
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGCONT)
                os.kill(pid, signal.SIGKILL)
        self.process.wait()


def free_port(address: str) -> int:
    with socket.socket() as sock:
        sock.bind((address, 0))
        return int(sock.getsockname()[1])


@pytest.fixture
def sshd(tmp_path: Path, keys: Keys, require_real: Callable[[bool, str], None]) -> Iterator[Callable[..., Sshd]]:
    require_real(SSHD.exists(), f"OpenSSH's server ({SSHD})")
    if os.geteuid() == 0:
        Path("/run/sshd").mkdir(exist_ok=True)
    made: list[Sshd] = []

    def make(address: str = "127.0.10.1", *, host_key: Path | None = None, **options: str) -> Sshd:
        made.append(Sshd(tmp_path / f"sshd{len(made)}", keys, address, options, host_key or keys.host))
        return made[-1]

    yield make
    for one in made:
        one.stop()


@pytest.fixture
async def hours_pass(monkeypatch: pytest.MonkeyPatch) -> Callable[[], None]:
    """Sets the clock of the test's loop ahead by an hour: what was to end before that ends now, however long it took.

    Tests of patience give plenty of it, and end it at a moment of their own.
    """
    loop = asyncio.get_running_loop()
    real, ahead = loop.time, 0.0

    def jump() -> None:
        nonlocal ahead
        ahead += 3600.0

    monkeypatch.setattr(loop, "time", lambda: real() + ahead)
    return jump
