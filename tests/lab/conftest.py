"""A lab, a real SSH connection to it, and a raw HTTP client on its channels."""

import asyncio
import json
import os
import tempfile
from collections.abc import AsyncIterator, Callable, Coroutine, Iterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import asyncssh
import h11
import pytest

from console.lab.machines import PRELOADED
from console.lab.up import Lab

FIRST = "lab-mi300x-01"
ENTRY = "printf '@@instinct started' >&2 # stands for the console's own entry script"


@dataclass
class Answer:
    """A whole HTTP answer."""

    status: int
    headers: dict[str, str]
    body: bytes

    @property
    def json(self) -> Any:
        return json.loads(self.body)

    @property
    def message(self) -> str:
        return str(self.json["message"])


@dataclass
class Channel:
    """One forwarded channel that speaks HTTP; several requests may follow each other on it."""

    reader: "asyncssh.SSHReader[bytes]"
    writer: "asyncssh.SSHWriter[bytes]"
    http: h11.Connection = field(default_factory=lambda: h11.Connection(h11.CLIENT))

    def send(self, method: str, path: str, body: bytes = b"", headers: dict[str, str] | None = None) -> None:
        given = {"Host": "docker", "Content-Length": str(len(body)), **(headers or {})}
        if self.http.states[h11.CLIENT] is h11.DONE:
            self.http.start_next_cycle()
        self.writer.write(self.http.send(h11.Request(method=method, target=path, headers=list(given.items()))) or b"")
        if body:
            self.writer.write(self.http.send(h11.Data(data=body)) or b"")
        self.writer.write(self.http.send(h11.EndOfMessage()) or b"")

    async def event(self) -> Any:
        while (event := self.http.next_event()) is h11.NEED_DATA:
            self.http.receive_data(await self.reader.read(65536))
        return event

    async def head(self) -> tuple[int, dict[str, str]]:
        event = await self.event()
        return event.status_code, {name.decode(): value.decode() for name, value in event.headers}

    async def chunks(self) -> AsyncIterator[bytes]:
        while isinstance(event := await self.event(), h11.Data):
            yield bytes(event.data)

    async def request(self, method: str, path: str, body: Any = None) -> Answer:
        raw = body if isinstance(body, bytes) else json.dumps(body).encode() if body is not None else b""
        self.send(method, path, raw, {"Content-Type": "application/json"})
        status, headers = await self.head()
        return Answer(status, headers, b"".join([chunk async for chunk in self.chunks()]))

    async def raw(self) -> bytes:
        return await self.reader.read(65536)


class Client:
    """A connection to one host of the lab, and the engine behind it."""

    def __init__(self, connection: asyncssh.SSHClientConnection) -> None:
        self.ssh = connection

    async def channel(self, path: str = "/var/run/docker.sock") -> Channel:
        return Channel(*await self.ssh.open_unix_connection(path, encoding=None))

    async def call(self, method: str, path: str, body: Any = None) -> Answer:
        return await (await self.channel()).request(method, path, body)

    async def create(self, name: str, argv: list[str], **body: Any) -> str:
        answer = await self.call("POST", f"/containers/create?name={name}", {"Image": PRELOADED, "Cmd": argv, **body})
        assert answer.status == 201, answer.body
        return str(answer.json["Id"])

    async def start(self, name: str) -> None:
        answer = await self.call("POST", f"/containers/{name}/start")
        assert answer.status == 204, answer.body

    async def run(self, name: str, argv: list[str], **body: Any) -> int:
        await self.create(name, argv, **body)
        await self.start(name)
        return int((await self.call("POST", f"/containers/{name}/wait")).json["StatusCode"])

    async def state(self, name: str) -> dict[str, Any]:
        state: dict[str, Any] = (await self.call("GET", f"/containers/{name}/json")).json["State"]
        return state

    async def logs(self, name: str, query: str = "stdout=1&stderr=1") -> list[tuple[int, bytes]]:
        return frames((await self.call("GET", f"/containers/{name}/logs?{query}")).body)

    async def text(self, name: str) -> str:
        return b"".join(data for _, data in await self.logs(name)).decode()


def frames(data: bytes) -> list[tuple[int, bytes]]:
    """Docker's multiplexed stream as (stream, bytes)."""
    found = []
    while data:
        size = int.from_bytes(data[4:8], "big")
        found.append((data[0], data[8 : 8 + size]))
        data = data[8 + size :]
    return found


def wrapped(deadline_s: int = 0, secrets: str = "-") -> dict[str, Any]:
    """The part of a create request that puts an entry script of the console's form before the program."""
    fixed = ["instinct", str(deadline_s), "15", "/run/instinct", secrets]
    return {"Entrypoint": ["/bin/sh", "-c", ENTRY, *fixed], "OpenStdin": secrets != "-", "StdinOnce": False}


@asynccontextmanager
async def connect(lab: Lab, host: str = FIRST) -> AsyncIterator[Client]:
    """Sign in as the fleet file says."""
    port = lab.port(host)
    async with asyncssh.connect(
        "127.0.0.1",
        port,
        username="lab",
        config=None,
        known_hosts=str(lab.folder / "known_hosts"),
        client_keys=[str(lab.folder / "id_ed25519")],
    ) as connection:
        yield Client(connection)


async def eventually(check: Callable[[], Coroutine[Any, Any, bool]]) -> None:
    """Wait until something becomes true; the test's own time limit ends a wait in vain."""
    while not await check():  # noqa: ASYNC110 - looks at the engine, which sends no event for it
        await asyncio.sleep(0.01)


class Kit:
    """The helpers of this folder, for tests that take the fixture `kit`."""

    first = FIRST
    image = PRELOADED
    frames = staticmethod(frames)
    wrapped = staticmethod(wrapped)
    connect = staticmethod(connect)
    eventually = staticmethod(eventually)

    @staticmethod
    def channel(reader: Any, writer: Any) -> Channel:
        """HTTP on any pair of streams."""
        return Channel(reader, writer)


@pytest.fixture
def kit() -> Kit:
    return Kit()


@pytest.fixture
def folder() -> Iterator[Path]:
    """An empty folder, in memory where that is possible: a lab is a thousand small files."""
    memory = Path("/dev/shm")
    usable = memory.is_dir() and os.access(memory, os.W_OK)
    with tempfile.TemporaryDirectory(prefix="lab-test-", dir=memory if usable else None) as made:
        yield Path(made)


@pytest.fixture
async def lab(folder: Path) -> AsyncIterator[Lab]:
    """One host, very fast."""
    async with Lab(folder / "lab", hosts=1, speed=5000.0) as running:
        yield running


@pytest.fixture
async def client(lab: Lab) -> AsyncIterator[Client]:
    async with connect(lab) as connected:
        yield connected
