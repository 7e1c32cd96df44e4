"""This machine as a host: the same promises as over SSH."""

import asyncio
from collections.abc import Callable
from pathlib import Path

import pytest

from console.fleet.host import Fleet, Host
from console.fleet.link import ChannelRefused, CommandFailed, LinkLost, TimedOut
from console.fleet.links import Links
from console.fleet.local import LocalLink

HERE = Host(name="here", address="local")


def gone(pid: int) -> bool:
    """Whether a process ended (perhaps not yet reaped)."""
    state = Path(f"/proc/{pid}/stat")
    return not state.exists() or state.read_text().rpartition(")")[2].split()[0] == "Z"


async def test_a_script_runs_with_its_whole_output_and_status() -> None:
    done = await LocalLink(HERE).run(b"echo out; echo err >&2; exit 4\n", timeout_s=20)
    assert (done.stdout, done.stderr, done.exit_code) == (b"out\n", b"err\n", 4)
    assert (await LocalLink(HERE).run(b"kill -9 $$\n", timeout_s=20)).exit_code == -9


async def test_a_script_that_hangs_is_killed_with_its_children(tmp_path: Path, hours_pass: Callable[[], None]) -> None:
    file = tmp_path / "pid"
    script = f"sleep 6000 & echo $! > {file}.new; mv {file}.new {file}; wait\n"
    hanging = asyncio.create_task(LocalLink(HERE).run(script.encode(), timeout_s=600))
    while not file.exists():  # noqa: ASYNC110 - a file tells nobody
        await asyncio.sleep(0.01)
    hours_pass()
    with pytest.raises(TimedOut, match="here"):
        await hanging
    while not gone(int(file.read_text(encoding="ascii"))):  # noqa: ASYNC110 - the kernel takes its time
        await asyncio.sleep(0.01)


async def test_sockets_ports_and_commands_are_byte_streams(tmp_path: Path) -> None:
    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write((await reader.readuntil(b"\n")).upper())
        writer.close()

    link = LocalLink(HERE)
    unix = await asyncio.start_unix_server(serve, tmp_path / "s")
    tcp = await asyncio.start_server(serve, "127.0.0.1", 0)
    for reader, writer in (
        await link.open_unix(str(tmp_path / "s")),
        await link.open_tcp(tcp.sockets[0].getsockname()[1]),
        await link.open_command(["tr", "a-z", "A-Z"]),
    ):
        writer.write(b"hello\n")
        if writer.can_write_eof():
            writer.write_eof()
        await writer.drain()
        assert await reader.readuntil() == b"HELLO\n"
        assert await reader.read(1) == b""
        assert reader.at_eof()
        writer.close()
        await writer.wait_closed()
    unix.close()
    tcp.close()


async def test_refusals_and_bad_ends_have_their_class_and_reason(tmp_path: Path) -> None:
    link = LocalLink(HERE)
    with pytest.raises(ChannelRefused) as caught:
        await link.open_unix(str(tmp_path / "none"))
    assert caught.value.reason == "missing"
    with pytest.raises(CommandFailed, match="no-such-command") as failed:
        await link.open_command(["no-such-command"])
    assert failed.value.exit_code == 127
    reader, _ = await link.open_command(["sh", "-c", "echo why >&2; exit 9"])
    with pytest.raises(CommandFailed, match="why") as failed:
        await reader.read()
    assert failed.value.exit_code == 9


async def test_links_give_this_machine_without_ssh(tmp_path: Path) -> None:
    links = Links(Fleet(path=tmp_path / "fleet.toml", hosts=(HERE,)))
    link = await links.get("here")
    assert await links.get("here") is link
    await links.close()
    with pytest.raises(LinkLost):
        await link.run(b"true\n", timeout_s=5)
    with pytest.raises(KeyError):
        await links.get("nobody")
