"""What runs over a connection, and how its ends are told."""

import asyncio
import socket
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

import asyncssh
import pytest

from console.fleet.link import (
    ChannelRefused,
    CommandFailed,
    LinkLost,
    TimedOut,
)
from console.fleet.links import LinkChange

if TYPE_CHECKING:
    from tests.fleet.conftest import AsyncServer, Bench, Keys

Servers = Callable[[], "AsyncServer"]


async def test_a_connection_lost_in_a_command_is_never_a_result(
    bench: "Bench", server: "AsyncServer", keys: "Keys"
) -> None:
    bench.add("node01", server.address, server.port, known=keys.host)
    changes: list[LinkChange] = []
    links = bench.links(on_change=changes.append)
    link = await links.get("node01")
    running = asyncio.create_task(link.run(b"echo partial; sleep 60\n", timeout_s=30))
    await server.running.wait()
    server.connections[0].abort()
    with pytest.raises(LinkLost, match="node01: connection lost"):
        await running
    assert link.closed
    assert [change.state for change in changes] == ["connecting", "connected", "lost"]
    again = await links.get("node01")
    assert again is not link
    assert (await again.run(b"echo back\n", timeout_s=60)).stdout == b"back\n"


async def test_a_server_that_says_goodbye_in_the_middle_of_a_stream_is_a_loss_too(
    bench: "Bench", server: "AsyncServer", keys: "Keys", tmp_path: Path
) -> None:
    bench.add("node01", server.address, server.port, known=keys.host)

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(b"half of it")
        await writer.drain()
        await reader.read()

    listener = await asyncio.start_unix_server(serve, tmp_path / "engine.sock")
    link = await bench.links().get("node01")
    reader, _ = await link.open_unix(str(tmp_path / "engine.sock"))
    assert await reader.readexactly(10) == b"half of it"
    server.connections[0].disconnect(asyncssh.DISC_BY_APPLICATION, "bye")
    with pytest.raises(LinkLost):
        await reader.read(100)
    listener.close()


async def test_a_stream_ends_cleanly_when_its_peer_ends_it(
    bench: "Bench", server: "AsyncServer", keys: "Keys", tmp_path: Path
) -> None:
    bench.add("node01", server.address, server.port, known=keys.host)

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        line = await reader.readuntil(b"\n")
        writer.write(b"got " + line)
        writer.close()

    listener = await asyncio.start_unix_server(serve, tmp_path / "engine.sock")
    link = await bench.links().get("node01")
    reader, writer = await link.open_unix(str(tmp_path / "engine.sock"))
    writer.write(b"question\n")
    await writer.drain()
    assert await reader.readuntil(b"\n") == b"got question\n"
    assert await reader.read(10) == b""
    assert reader.at_eof()
    writer.close()
    await writer.wait_closed()
    listener.close()


async def test_a_port_of_the_host_itself_can_be_reached(bench: "Bench", server: "AsyncServer", keys: "Keys") -> None:
    bench.add("node01", server.address, server.port, known=keys.host)

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(b"metrics")
        writer.close()

    listener = await asyncio.start_server(serve, "127.0.0.1", 0)
    port = listener.sockets[0].getsockname()[1]
    link = await bench.links().get("node01")
    reader, _ = await link.open_tcp(port)
    assert await reader.read() == b"metrics"
    listener.close()
    await listener.wait_closed()
    with socket.socket() as held:
        held.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        held.bind(("127.0.0.1", port))  # so that nobody else listens there
        with pytest.raises(ChannelRefused, match=f"nothing listens on 127.0.0.1:{port}"):
            await link.open_tcp(port)


async def test_a_command_is_a_byte_channel_and_its_bad_end_is_told(
    bench: "Bench", server: "AsyncServer", keys: "Keys"
) -> None:
    bench.add("node01", server.address, server.port, known=keys.host)
    link = await bench.links().get("node01")
    reader, writer = await link.open_command(["cat"])
    writer.write(b"\x00binary\xff")
    writer.write_eof()
    assert await reader.read() == b"\x00binary\xff"
    reader, _ = await link.open_command(["sh", "-c", "echo 'a \x1b[31mpassword is required' >&2; exit 3"])
    with pytest.raises(CommandFailed, match="a password is required") as caught:
        await reader.read(10)
    assert caught.value.exit_code == 3


async def test_argv_reaches_the_host_as_words_and_never_as_shell_text(
    bench: "Bench", server: "AsyncServer", keys: "Keys"
) -> None:
    bench.add("node01", server.address, server.port, known=keys.host)
    link = await bench.links().get("node01")
    words = ["$(id)", "a b", "';echo x", "*"]
    reader, _ = await link.open_command(["printf", "%s\\n", *words])
    assert (await reader.read()).decode().splitlines() == words


async def test_a_script_that_hangs_is_timed_out(bench: "Bench", server: "AsyncServer", keys: "Keys") -> None:
    bench.add("node01", server.address, server.port, known=keys.host)
    link = await bench.links().get("node01")
    with pytest.raises(TimedOut, match=r"node01: a script did not end within 0\.2 s"):
        await link.run(b"sleep 60\n", timeout_s=0.2)
    assert not link.closed


async def test_many_scripts_at_once_stay_below_the_limit_the_server_turns_out_to_have(
    bench: "Bench", server: "AsyncServer", keys: "Keys"
) -> None:
    server.max_sessions = 3
    bench.add("node01", server.address, server.port, known=keys.host)
    link = await bench.links().get("node01")
    done = await asyncio.gather(*(link.run(b"echo %d\n" % n, timeout_s=60) for n in range(30)))
    assert [one.stdout for one in done] == [b"%d\n" % n for n in range(30)]
    assert server.most_sessions <= 3


async def test_a_server_without_sessions_is_told_as_that(bench: "Bench", server: "AsyncServer", keys: "Keys") -> None:
    server.max_sessions = 0
    bench.add("node01", server.address, server.port, known=keys.host)
    link = await bench.links().get("node01")
    with pytest.raises(ChannelRefused, match="MaxSessions") as caught:
        await link.run(b"true\n", timeout_s=60)
    assert caught.value.reason == "sessions"


async def test_refused_sockets_are_told_apart_by_a_second_look(
    bench: "Bench", server: "AsyncServer", keys: "Keys", tmp_path: Path
) -> None:
    bench.add("node01", server.address, server.port, known=keys.host)
    link = await bench.links().get("node01")
    with pytest.raises(ChannelRefused, match="there is no socket") as caught:
        await link.open_unix(str(tmp_path / "no.sock"))
    assert caught.value.reason == "missing"

    stale = socket.socket(socket.AF_UNIX)
    stale.bind(str(tmp_path / "stale.sock"))
    with pytest.raises(ChannelRefused, match="nothing listens") as caught:
        await link.open_unix(str(tmp_path / "stale.sock"))
    assert caught.value.reason == "silent"
    stale.close()

    server.forward = False
    listener = await asyncio.start_unix_server(lambda reader, writer: None, tmp_path / "live.sock")
    with pytest.raises(ChannelRefused, match="forbids forwarding") as caught:
        await link.open_unix(str(tmp_path / "live.sock"))
    assert caught.value.reason == "forwarding"
    listener.close()
