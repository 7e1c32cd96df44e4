"""A link over this machine's own sockets that can be cut, and containers of the Docker Engine running here."""

import asyncio
import contextlib
import io
import os
import shutil
import subprocess
import tarfile
import uuid
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import pytest

from console.fleet.engine.body import create_body
from console.fleet.engine.client import Engine
from console.fleet.engine.follow import logs
from console.fleet.host import Host
from console.fleet.link import ByteReader, ByteStream, ByteWriter, CommandFailed, Completed, LinkLost
from console.model.facts import DockerAccess
from console.model.launch import Part
from console.model.profile import ContainerOptions

SOCKET = "/var/run/docker.sock"
IMAGE = "local/busybox-instinct:test"
BUSYBOX = "/bin/busybox"


class CuttableReader:
    def __init__(
        self, link: "CuttableLink", reader: asyncio.StreamReader, process: asyncio.subprocess.Process | None
    ) -> None:
        self._link = link
        self._reader = reader
        self._process = process

    async def read(self, n: int = -1) -> bytes:
        data = await self._reader.read(n)
        if data:
            return data
        if self._link.lost:
            raise LinkLost(self._link.host.name, "the connection was lost")
        if self._process is not None and await self._process.wait():
            assert self._process.stderr is not None
            said = (await self._process.stderr.read()).decode()
            raise CommandFailed(self._link.host.name, said, exit_code=self._process.returncode)
        return b""

    async def readexactly(self, n: int) -> bytes:
        return await self._reader.readexactly(n)

    async def readuntil(self, separator: bytes = b"\n") -> bytes:
        return await self._reader.readuntil(separator)

    def at_eof(self) -> bool:
        return self._reader.at_eof()


class CuttableLink:
    """This machine as a host; `cut` breaks every channel that is open, as a lost connection does."""

    def __init__(self) -> None:
        self._host = Host(name="here", address="local")
        self.lost = False
        self.opened = 0
        self._writers: list[ByteWriter] = []
        self._processes: list[asyncio.subprocess.Process] = []

    @property
    def host(self) -> Host:
        return self._host

    @property
    def closed(self) -> bool:
        return False

    async def run(self, script: bytes, *, timeout_s: float) -> Completed:
        raise NotImplementedError

    async def open_unix(self, path: str) -> ByteStream:
        self.opened += 1
        reader, writer = await asyncio.open_unix_connection(path)
        return self._channel(reader, writer, None)

    async def open_command(self, argv: Sequence[str]) -> ByteStream:
        self.opened += 1
        pipe = asyncio.subprocess.PIPE
        process = await asyncio.create_subprocess_exec(*argv, stdin=pipe, stdout=pipe, stderr=pipe)
        assert process.stdout is not None
        assert process.stdin is not None
        self._processes.append(process)
        return self._channel(process.stdout, process.stdin, process)

    async def open_tcp(self, port: int) -> ByteStream:
        raise NotImplementedError

    async def close(self) -> None:
        for writer in self._writers:
            writer.close()
        for process in self._processes:
            await process.communicate()
            await asyncio.sleep(0)  # its transport closes on the next turn of the loop

    def cut(self) -> None:
        self.lost = True
        for writer in self._writers:
            if isinstance(writer, asyncio.StreamWriter):
                writer.transport.abort()
        self._writers.clear()

    def mend(self) -> None:
        self.lost = False

    def _channel(
        self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, process: asyncio.subprocess.Process | None
    ) -> tuple[ByteReader, ByteWriter]:
        self._writers.append(writer)
        return CuttableReader(self, reader, process), writer


@pytest.fixture
async def link() -> AsyncIterator[CuttableLink]:
    made = CuttableLink()
    yield made
    await made.close()


@pytest.fixture
def cut(link: CuttableLink) -> Callable[[], None]:
    return link.cut


@pytest.fixture
def mend(link: CuttableLink) -> Callable[[], None]:
    return link.mend


@pytest.fixture
async def engine_at(link: CuttableLink) -> AsyncIterator[Callable[[DockerAccess], Engine]]:
    """Makes engines of this machine, closed at the end."""
    made: list[Engine] = []

    def make(access: DockerAccess, timeout_s: float = 30.0) -> Engine:
        made.append(Engine(link, access, timeout_s=timeout_s))
        return made[-1]

    yield make
    for engine in made:
        await engine.close()


@pytest.fixture(scope="session")
def image() -> str:
    """A busybox image on the engine here, made when it is missing (concurrent makers make the same)."""
    if subprocess.run(["docker", "image", "inspect", IMAGE], capture_output=True, check=False).returncode:
        packed = io.BytesIO()
        with tarfile.open(fileobj=packed, mode="w") as tar:
            for folder in ("bin", "tmp", "run", "etc"):
                entry = tarfile.TarInfo(folder)
                entry.type, entry.mode = tarfile.DIRTYPE, 0o777
                tar.addfile(entry)
            tar.add(BUSYBOX, "bin/busybox", recursive=False)
            for name in subprocess.check_output([BUSYBOX, "--list"], text=True).split():
                if name != "busybox":
                    entry = tarfile.TarInfo(f"bin/{name}")
                    entry.type, entry.linkname = tarfile.SYMTYPE, "busybox"
                    tar.addfile(entry)
        subprocess.run(["docker", "import", "-", IMAGE], input=packed.getvalue(), capture_output=True, check=True)
    return IMAGE


@pytest.fixture
def engine(
    require_real: Callable[[bool, str], None], engine_at: Callable[[DockerAccess], Engine], request: Any
) -> Engine:
    """The real engine here, with the busybox image on it."""
    require_real(Path(SOCKET).exists() and shutil.which("docker") is not None, "a Docker Engine")
    require_real(Path(BUSYBOX).exists() and _static(BUSYBOX), "a static busybox")
    request.getfixturevalue("image")
    return engine_at(DockerAccess(flavour="docker", socket=SOCKET))


def _static(path: str) -> bool:
    return subprocess.run(["ldd", path], capture_output=True, check=False).returncode != 0


@pytest.fixture
def sh() -> Callable[..., subprocess.CompletedProcess[str]]:
    """Run a command of this machine to its end."""

    def run(*argv: str, **environ: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(argv, env={**os.environ, **environ}, capture_output=True, text=True, check=False)

    return run


@pytest.fixture
def device(tmp_path: Path) -> Callable[[int], str]:
    """Makes a device file that stands for /dev/kfd, owned by a group; its path."""

    def make(gid: int) -> str:
        node = tmp_path / f"kfd-{gid}"
        os.mknod(node, 0o20660, os.makedev(511, 0))
        os.chown(node, 0, gid)
        return str(node)

    return make


@pytest.fixture
def printed(engine: Engine) -> Callable[[str, str], Awaitable[str]]:
    """Wait until a container's log has a text; the log."""

    async def wait(container: str, text: str) -> str:
        for _ in range(600):
            log = b"".join([f.data async for batch in logs(engine, container, follow=False) for f in batch]).decode()
            if text in log:
                return log
            await asyncio.sleep(0.1)
        return pytest.fail(f"the container never printed {text!r}")

    return wait


@pytest.fixture
def mark() -> Iterator[str]:
    """A label of this test alone; everything that carries it is removed at the end."""
    label = f"instinct-test={uuid.uuid4().hex[:12]}"
    yield label
    found = subprocess.run(
        ["docker", "ps", "-aq", "--filter", f"label={label}"], capture_output=True, text=True, check=False
    )
    if ids := found.stdout.split():
        subprocess.run(["docker", "rm", "-f", "-v", *ids], capture_output=True, check=True)


@pytest.fixture
def a_part(mark: str) -> Callable[..., Part]:
    """A part that runs a shell line in the busybox image; keyword arguments change its fields."""

    def make(script: str, **changes: Any) -> Part:
        key, _, value = mark.partition("=")
        fields: dict[str, Any] = {
            "name": "main",
            "rank": 0,
            "host": "here",
            "container": f"it-{value}",
            "lead": True,
            "image": IMAGE,
            "argv": ("sh", "-c", script),
            "env": {},
            "labels": {key: value},
            "devices": (),
            "groups": (),
            "mounts": (),
            "options": ContainerOptions(ipc_host=False, network_host=False, memlock_unlimited=False),
            "deadline_s": 120,
            "after": None,
            "decides": True,
            "files": (),
        }
        return Part(**{**fields, **changes})

    return make


@pytest.fixture
def create(engine: Engine) -> Callable[[Part], Awaitable[str]]:
    async def make(part: Part) -> str:
        return await engine.create(part.container, create_body(part))

    return make


@pytest.fixture
def launch(engine: Engine, create: Callable[[Part], Awaitable[str]]) -> Callable[[Part], Awaitable[str]]:
    """Create and start a part; its container id."""

    async def make(part: Part) -> str:
        made = await create(part)
        await engine.start(made)
        return made

    return make


@pytest.fixture
def ended(engine: Engine) -> Callable[[str], Awaitable[Any]]:
    """Wait until `inspect` says that a container ended."""

    async def wait(container: str) -> Any:
        for _ in range(600):
            if (seen := await engine.inspect(container)).ended:
                return seen
            await asyncio.sleep(0.1)
        return pytest.fail("the container did not end")

    return wait


Handler = Callable[[asyncio.StreamReader, asyncio.StreamWriter], Awaitable[None]]


@pytest.fixture
async def fake_engine(
    tmp_path_factory: pytest.TempPathFactory, engine_at: Callable[..., Engine]
) -> AsyncIterator[Callable[[Mapping[str, bytes]], Awaitable[Engine]]]:
    """Engines on real sockets that give fixed bytes for "METHOD /path" (no version, no query) and hang up."""
    servers: list[asyncio.Server] = []

    async def start(answers: Mapping[str, bytes]) -> Engine:
        socket = str(tmp_path_factory.mktemp("e") / "s")

        async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            with contextlib.suppress(asyncio.IncompleteReadError, ConnectionError):
                while True:
                    head = (await reader.readuntil(b"\r\n\r\n")).decode()
                    method, target, _ = head.split("\r\n")[0].split(" ")
                    path = target.partition("?")[0].removeprefix("/v1.41")
                    for line in head.split("\r\n"):
                        if line.lower().startswith("content-length:"):
                            await reader.readexactly(int(line.split(":")[1]))
                    if path == "/_ping" and "GET /_ping" not in answers:
                        writer.write(b"HTTP/1.1 200 OK\r\nApi-Version: 1.41\r\nContent-Length: 2\r\n\r\nOK")
                        continue
                    writer.write(answers[f"{method} {path}"])
                    await writer.drain()
                    break
            writer.close()

        servers.append(await asyncio.start_unix_server(serve, socket))
        return engine_at(DockerAccess(flavour="docker", socket=socket), 5.0)

    yield start
    for server in servers:
        server.close()
