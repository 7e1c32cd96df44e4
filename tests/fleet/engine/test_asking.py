"""Looks at an engine on one channel: kept while the engine keeps it, renewed when it does not."""

import asyncio
import contextlib
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager

import docker.constants
import pytest

from console.fleet.engine.asking import Asking
from console.fleet.engine.client import NEWEST_API
from console.fleet.engine.dial import Dial
from console.fleet.engine.errors import ContainerAbsent, EngineError, StreamLost
from console.fleet.host import Host
from console.fleet.link import ByteStream
from console.fleet.local import LocalLink
from console.model.facts import DockerAccess

OK = "HTTP/1.1 200 OK\r\nContent-Length: {}\r\n\r\n{}"
CUT = "HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\n{"
GONE = "HTTP/1.1 404 Not Found\r\nContent-Length: 41\r\n\r\n" + '{"message":"No such container: 0123abcd"}'


def ok(body: str) -> str:
    return OK.format(len(body), body)


class Played(Dial):
    """An engine that answers with what it is given, in order. `None` ends the channel without a word."""

    def __init__(self, *answers: str | None) -> None:
        super().__init__(LocalLink(Host(name="node01", address="local")), DockerAccess(flavour="x", socket="/x"))
        self.answers = list(answers)
        self.opened = 0
        self.asked: list[str] = []
        self._server: asyncio.Server | None = None
        self._port = 0

    async def open(self) -> ByteStream:
        self.opened += 1
        return await asyncio.open_connection("127.0.0.1", self._port)

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with contextlib.suppress(asyncio.IncompleteReadError, ConnectionError):
            while True:
                head = await reader.readuntil(b"\r\n\r\n")
                self.asked.append(head.split(b" ")[1].decode())
                answer = self.answers.pop(0)
                if answer is not None:
                    writer.write(answer.encode())
                    await writer.drain()
                if answer is None or answer == CUT or "close" in answer:
                    break
        writer.close()

    @asynccontextmanager
    async def asking(self, timeout_s: float = 30.0) -> AsyncIterator[Asking]:
        self._server = await asyncio.start_server(self._serve, "127.0.0.1", 0)
        self._port = self._server.sockets[0].getsockname()[1]
        async with self._server, contextlib.aclosing(Asking(self, timeout_s)) as asking:
            yield asking


async def test_questions_share_a_channel() -> None:
    engine = Played(ok('{"a":1}'), ok('[{"b":2}]'), ok("null"))
    async with engine.asking() as asking:
        found: Sequence[object] = [await asking.table("/a"), await asking.rows("/b"), await asking.rows("/c")]

    assert found == [{"a": 1}, [{"b": 2}], ()]
    assert (engine.opened, engine.asked) == (1, ["/a", "/b", "/c"])


async def test_an_engine_that_closes_after_each_answer_gets_a_channel_for_each() -> None:
    closing = "HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length: 2\r\n\r\n{}"
    engine = Played(closing, closing)
    async with engine.asking() as asking:
        await asking.table("/a")
        await asking.table("/b")

    assert engine.opened == 2


@pytest.mark.parametrize("broken", [None, CUT])
async def test_a_kept_channel_that_breaks_is_replaced_once(broken: str | None) -> None:
    engine = Played(ok("{}"), broken, ok('{"a":1}'))
    async with engine.asking() as asking:
        await asking.table("/a")
        found = await asking.table("/b")

    assert found == {"a": 1}
    assert engine.asked == ["/a", "/b", "/b"]


async def test_a_new_channel_that_breaks_is_an_error() -> None:
    engine = Played(CUT, ok("{}"))
    async with engine.asking() as asking:
        with pytest.raises(StreamLost):
            await asking.table("/a")


async def test_a_refusal_is_the_engines_own_and_the_channel_is_kept() -> None:
    engine = Played(GONE, ok("{}"))
    async with engine.asking() as asking:
        with pytest.raises(ContainerAbsent):
            await asking.table("/containers/0123abcd/json")
        await asking.table("/version")

    assert engine.opened == 1


@pytest.mark.parametrize("body", ["[]", "3", "{", "null"])
async def test_what_is_no_object_is_an_error_of_the_engine(body: str) -> None:
    async with Played(ok(body)).asking() as asking:
        with pytest.raises(EngineError):
            await asking.table("/version")


@pytest.mark.parametrize("body", ["{}", "[3]", '"x"'])
async def test_what_is_no_list_of_objects_is_an_error_of_the_engine(body: str) -> None:
    async with Played(ok(body)).asking() as asking:
        with pytest.raises(EngineError):
            await asking.rows("/images/json")


async def test_an_engine_that_says_nothing_is_not_waited_for() -> None:
    engine = Played("")
    async with engine.asking(timeout_s=0.05) as asking:
        with pytest.raises(EngineError, match="did not answer within"):
            await asking.table("/version")


def test_the_newest_version_asked_for_is_the_one_docker_py_speaks() -> None:
    assert ".".join(map(str, NEWEST_API)) == docker.constants.DEFAULT_DOCKER_API_VERSION
