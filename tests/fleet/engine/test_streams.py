"""Streams and requests against engines that answer wrongly, break off or stay silent: no clean end that is none."""

import asyncio
from collections.abc import Awaitable, Callable, Mapping
from pathlib import Path

import pytest

from console.fleet.engine.client import Engine
from console.fleet.engine.errors import ContainerAbsent, EngineError, StreamLost
from console.fleet.engine.follow import attach, events, logs, pull, split_reference, write_stdin
from console.fleet.link import LinkError
from console.model.attempt import FailureClass
from console.model.events import Cursor
from console.model.facts import DockerAccess

FakeEngine = Callable[[Mapping[str, bytes]], Awaitable[Engine]]

ID = "c" * 64
PING = "GET /_ping"
INSPECT = f"GET /containers/{ID}/json"
LOGS = f"GET /containers/{ID}/logs"
ATTACH = f"POST /containers/{ID}/attach"


def answer(body: bytes, status: str = "200 OK") -> bytes:
    return b"HTTP/1.1 %s\r\nContent-Length: %d\r\n\r\n%s" % (status.encode(), len(body), body)


def chunked(*chunks: bytes, end: bytes = b"0\r\n\r\n") -> bytes:
    body = b"".join(b"%x\r\n%s\r\n" % (len(chunk), chunk) for chunk in chunks)
    return b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n" + body + end


def frame(stream: int, text: bytes) -> bytes:
    return bytes([stream, 0, 0, 0]) + len(text).to_bytes(4, "big") + text


def line(second: int, text: bytes, stream: int = 1) -> bytes:
    return frame(stream, b"2025-05-21T08:15:%02d.000000000Z %s\n" % (second, text))


def container(**config: bool) -> bytes:
    tty = b"true" if config.get("tty") else b"false"
    stdin = b"true" if config.get("stdin") else b"false"
    return answer(
        b'{"Id":"%s","Name":"/x","State":{"Status":"running"},"Config":{"Tty":%s,"OpenStdin":%s}}'
        % (ID.encode(), tty, stdin)
    )


async def read_log(engine: Engine, after: Cursor | None = None, *, into: list[bytes] | None = None) -> list[bytes]:
    found = into if into is not None else []
    async for batch in logs(engine, ID, after):
        found += [item.data for item in batch]
    return found


async def pull_all(engine: Engine) -> None:
    async for _ in pull(engine, "x:1"):
        pass


async def test_a_log_that_ends_with_the_terminator_is_a_clean_end(fake_engine: FakeEngine) -> None:
    engine = await fake_engine({INSPECT: container(), LOGS: chunked(line(1, b"one"), line(2, b"two"))})
    assert await read_log(engine) == [b"one\n", b"two\n"]


async def test_a_log_without_the_terminator_hands_out_what_came_and_then_raises(fake_engine: FakeEngine) -> None:
    engine = await fake_engine({INSPECT: container(), LOGS: chunked(line(1, b"one"), line(2, b"two"), end=b"")})
    found: list[bytes] = []
    with pytest.raises(StreamLost) as lost:
        await read_log(engine, into=found)
    assert found == [b"one\n", b"two\n"]
    assert lost.value.retry


async def test_lines_that_arrive_together_are_one_batch(fake_engine: FakeEngine) -> None:
    engine = await fake_engine({INSPECT: container(), LOGS: chunked(*(line(n % 60, b"x") for n in range(200)))})
    batches = [len(batch) async for batch in logs(engine, ID)]
    assert sum(batches) == 200
    assert len(batches) < 20


async def test_a_stream_that_ends_inside_a_frame_raises(fake_engine: FakeEngine) -> None:
    engine = await fake_engine({INSPECT: container(), LOGS: chunked(line(1, b"one")[:-2])})
    with pytest.raises(StreamLost, match="inside a frame"):
        await read_log(engine)


async def test_an_error_the_daemon_puts_into_the_log_is_no_line_of_the_program(fake_engine: FakeEngine) -> None:
    said = frame(2, b"Error grabbing logs: unexpected EOF\n")
    engine = await fake_engine({INSPECT: container(), LOGS: chunked(line(1, b"one"), said)})
    with pytest.raises(StreamLost, match="unexpected EOF"):
        await read_log(engine)


async def test_a_container_with_a_terminal_is_refused(fake_engine: FakeEngine) -> None:
    engine = await fake_engine({INSPECT: container(tty=True)})
    for stream in (logs(engine, ID), attach(engine, ID)):
        with pytest.raises(EngineError, match="tty") as refused:
            await anext(stream)
        assert refused.value.failure is FailureClass.NOT_SUPPORTED


async def test_bytes_without_frames_are_refused_even_when_inspect_hid_the_terminal(fake_engine: FakeEngine) -> None:
    engine = await fake_engine({INSPECT: container(), LOGS: chunked(b"plain text of a terminal\r\n")})
    with pytest.raises(EngineError, match="no frames"):
        await read_log(engine)


async def test_the_cursor_of_another_container_is_refused(fake_engine: FakeEngine) -> None:
    engine = await fake_engine({INSPECT: container()})
    other = Cursor(
        attempt="a", part="p", container_id="d" * 64, last_at_ns=0, seen_at_last=(), log_bytes=0, index_bytes=0
    )
    with pytest.raises(EngineError, match="made anew"):
        await read_log(engine, other)


async def test_attach_takes_an_upgraded_connection_and_one_that_was_not(fake_engine: FakeEngine) -> None:
    bar = frame(2, b"\r 10%") + frame(2, b"\r 20%")
    for head in (
        b"HTTP/1.1 101 UPGRADED\r\nConnection: Upgrade\r\nUpgrade: tcp\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nContent-Type: application/vnd.docker.raw-stream\r\n\r\n",
    ):
        engine = await fake_engine({INSPECT: container(), ATTACH: head + bar})
        assert [item.data async for batch in attach(engine, ID) for item in batch] == [b"\r 10%", b"\r 20%"]


async def test_an_error_answer_is_raised_in_the_engines_words(fake_engine: FakeEngine) -> None:
    gone = answer(b'{"message":"No such container: x"}', "404 Not Found")
    engine = await fake_engine({INSPECT: gone, LOGS: gone})
    with pytest.raises(ContainerAbsent, match="No such container: x"):
        await read_log(engine)


async def test_what_is_no_engine_says_so(fake_engine: FakeEngine) -> None:
    engine = await fake_engine({PING: answer(b"<html>hello</html>")})
    with pytest.raises(EngineError, match="no Docker engine"):
        await engine.version()


async def test_an_engine_that_is_too_old_says_so(fake_engine: FakeEngine) -> None:
    old = b"HTTP/1.1 200 OK\r\nApi-Version: 1.24\r\nContent-Length: 2\r\n\r\nOK"
    engine = await fake_engine({PING: old})
    with pytest.raises(EngineError, match=r"1\.24, too old"):
        await engine.containers()


async def test_an_answer_cut_short_is_an_error_not_a_shorter_list(fake_engine: FakeEngine) -> None:
    cut = b"HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\n[]"
    engine = await fake_engine({"GET /containers/json": cut})
    with pytest.raises(EngineError) as broken:
        await engine.containers()
    assert broken.value.retry


async def test_an_engine_that_hangs_up_without_an_answer_is_an_error(fake_engine: FakeEngine) -> None:
    engine = await fake_engine({"GET /info": b""})
    with pytest.raises(EngineError, match="broke off"):
        await engine.info()


async def test_a_silent_engine_is_given_up(tmp_path: Path, engine_at: Callable[..., Engine]) -> None:
    silence = asyncio.Event()

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        if b"/_ping" in await reader.readuntil(b"\r\n\r\n") and pings:
            writer.write(pings.pop())
        await silence.wait()
        writer.close()

    pings: list[bytes] = []
    server = await asyncio.start_unix_server(serve, tmp_path / "s")
    engine = engine_at(DockerAccess(flavour="docker", socket=str(tmp_path / "s")), 0.3)
    with pytest.raises(EngineError, match="did not answer") as early:
        await engine.ping()
    pings.append(b"HTTP/1.1 200 OK\r\nApi-Version: 1.41\r\nContent-Length: 2\r\n\r\nOK")
    with pytest.raises(EngineError, match="did not answer") as late:
        await engine.info()
    assert early.value.retry
    assert late.value.retry
    silence.set()
    server.close()


async def test_events_come_as_records(fake_engine: FakeEngine) -> None:
    event = (
        b'{"Type":"container","Action":"die","Actor":{"ID":"abc","Attributes":{"name":"n","exitCode":"1"}},'
        b'"time":1,"timeNano":1000000007}\n'
    )
    engine = await fake_engine({"GET /events": chunked(event[:50], event[50:] + event)})
    got = [item async for batch in events(engine, label="instinct") for item in batch]
    assert [(item.at_ns, item.action, item.name) for item in got] == [(1_000_000_007, "die", "n")] * 2
    assert got[0].attributes["exitCode"] == "1"


@pytest.mark.parametrize(
    ("said", "failure"),
    [
        ("manifest for x:1 not found: manifest unknown", FailureClass.IMAGE_PULL),
        ("write /var/lib/docker/tmp/x: no space left on device", FailureClass.DISK_FULL),
    ],
)
async def test_an_error_inside_a_pull_is_raised(fake_engine: FakeEngine, said: str, failure: FailureClass) -> None:
    stream = chunked(b'{"status":"Pulling from x","id":"1"}\r\n', b'{"error":"%s"}\r\n' % said.encode())
    engine = await fake_engine({"POST /images/create": stream})
    with pytest.raises(EngineError, match=r"manifest|space") as raised:
        await pull_all(engine)
    assert raised.value.failure is failure


async def test_a_pull_that_breaks_off_is_no_image(fake_engine: FakeEngine) -> None:
    engine = await fake_engine({"POST /images/create": chunked(b'{"status":"Waiting","id":"a"}\r\n', end=b"")})
    with pytest.raises(StreamLost):
        await pull_all(engine)


async def test_a_pull_that_ends_well_without_an_image_is_an_error(fake_engine: FakeEngine) -> None:
    absent = answer(b'{"message":"No such image: x:1"}', "404 Not Found")
    engine = await fake_engine({"POST /images/create": chunked(b"{}\r\n"), "GET /images/x:1/json": absent})
    with pytest.raises(EngineError, match="without the image"):
        await pull_all(engine)


async def test_a_line_that_is_no_json_is_an_error(fake_engine: FakeEngine) -> None:
    engine = await fake_engine({"POST /images/create": chunked(b"<html>proxy</html>\n")})
    with pytest.raises(EngineError, match="no JSON"):
        await pull_all(engine)


async def test_input_for_a_container_that_takes_none_is_refused(fake_engine: FakeEngine) -> None:
    engine = await fake_engine({INSPECT: container(stdin=False)})
    with pytest.raises(EngineError, match="no stdin"):
        await write_stdin(engine, ID, b"x")


async def test_a_bridge_command_that_fails_says_what_it_said(engine_at: Callable[[DockerAccess], Engine]) -> None:
    words = ("sh", "-c", "echo 'sudo: a password is required' >&2; exit 1")
    engine = engine_at(DockerAccess(flavour="docker", socket="/x", argv=words))
    with pytest.raises((LinkError, EngineError), match="password is required"):
        await engine.version()


@pytest.mark.parametrize(
    ("ref", "parts"),
    [
        ("rocm/vllm:rocm6.3.1", ("rocm/vllm", "rocm6.3.1")),
        ("rocm/vllm", ("rocm/vllm", "latest")),
        ("127.0.0.1:5000/x/y", ("127.0.0.1:5000/x/y", "latest")),
        ("127.0.0.1:5000/x/y:z", ("127.0.0.1:5000/x/y", "z")),
        ("rocm/vllm@sha256:ab", ("rocm/vllm", "sha256:ab")),
        ("rocm/vllm:tag@sha256:ab", ("rocm/vllm", "sha256:ab")),
    ],
)
def test_a_reference_is_cut_so_that_one_image_is_pulled(ref: str, parts: tuple[str, str]) -> None:
    assert split_reference(ref) == parts
