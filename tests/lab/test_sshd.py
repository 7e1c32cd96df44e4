"""The SSH servers run commands for real, forward what a host has, and nothing else."""

import asyncio
import contextlib
import socket
from typing import TYPE_CHECKING

import asyncssh
import pytest

from console.lab.sshd import Sshd
from console.lab.up import Lab

if TYPE_CHECKING:
    from tests.lab.conftest import Client, Kit


async def test_a_script_on_stdin_runs_in_the_root_folder(client: "Client", lab: Lab, kit: "Kit") -> None:
    script = b"pwd; cat proc/sys/kernel/hostname; echo oops >&2; [ -S var/run/docker.sock ] && echo socket; exit 3"
    done = await client.ssh.run("/bin/sh -s", input=script, encoding=None)
    root = lab.machines[kit.first].root
    assert done.stdout == f"{root}\n{kit.first}\nsocket\n".encode()
    assert (done.stderr, done.exit_status) == (b"oops\n", 3)


async def test_the_environment_is_clean(client: "Client", monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HF_TOKEN", "hf_must_not_leak")
    done = await client.ssh.run("env")
    assert isinstance(done.stdout, str)
    assert "hf_must_not_leak" not in done.stdout
    assert "USER=lab" in done.stdout


async def test_large_output_and_binary_input_pass_unchanged(client: "Client") -> None:
    data = bytes(range(256)) * 4000
    done = await client.ssh.run("cat", input=data, encoding=None)
    assert done.stdout == data


async def test_commands_that_die_by_a_signal_say_so(client: "Client") -> None:
    done = await client.ssh.run("kill -TERM $$")
    assert done.exit_signal is not None
    assert done.exit_signal[0] == "TERM"


async def test_only_the_engines_socket_is_forwarded(client: "Client", lab: Lab, kit: "Kit") -> None:
    with pytest.raises(asyncssh.ChannelOpenError):
        await client.ssh.open_unix_connection("/run/other.sock")
    with pytest.raises(asyncssh.ChannelOpenError):
        await client.ssh.open_connection("127.0.0.1", 8000)
    below_root = await client.channel(str(lab.machines[kit.first].root / "var/run/docker.sock"))
    assert (await below_root.request("GET", "/_ping")).body == b"OK"


async def test_the_eleventh_session_of_a_connection_is_refused_and_channels_are_not_counted(client: "Client") -> None:
    sessions = [await client.ssh.create_process("cat") for _ in range(10)]
    with pytest.raises(asyncssh.ChannelOpenError):
        await client.ssh.create_process("true")
    channels = [await client.channel() for _ in range(30)]
    assert [(await channel.request("GET", "/_ping")).status for channel in channels] == [200] * 30
    for session in sessions:
        session.stdin.write_eof()
        await session.wait()
    assert (await client.ssh.run("echo again")).stdout == "again\n"


async def test_the_engine_answers_on_dial_stdio(client: "Client") -> None:
    process = await client.ssh.create_process("docker system dial-stdio", encoding=None)
    process.stdin.write(b"GET /_ping HTTP/1.1\r\nHost: docker\r\nConnection: close\r\n\r\n")
    assert (await process.stdout.read()).endswith(b"OK")
    await process.wait()


async def test_strangers_are_not_let_in(lab: Lab, kit: "Kit") -> None:
    stranger = asyncssh.generate_private_key("ssh-ed25519")
    with pytest.raises(asyncssh.PermissionDenied):
        await asyncssh.connect(
            "127.0.0.1", lab.port(kit.first), username="lab", config=None, agent_path=None,
            known_hosts=str(lab.folder / "known_hosts"), client_keys=[stranger],
        )  # fmt: skip


async def test_containers_go_on_when_every_link_is_cut(lab: Lab, kit: "Kit") -> None:
    async with kit.connect(lab) as before:
        await before.create("job", ["lab-count", "500", "10"])
        await before.start("job")
        following = await before.channel()
        following.send("GET", "/containers/job/logs?stdout=1&stderr=1&follow=1")
        await following.head()
        lab.drop_links()
        await before.ssh.wait_closed()
    async with kit.connect(lab) as after:
        assert (await after.call("POST", "/containers/job/wait")).json["StatusCode"] == 0
        assert len(await after.logs("job")) == 500


async def test_an_unplugged_host_comes_back_on_its_port(lab: Lab, kit: "Kit") -> None:
    port = lab.port(kit.first)
    await lab.unplug(kit.first)
    with pytest.raises(OSError, match=r"refused|Connect"):
        await asyncio.open_connection("127.0.0.1", port)
    await lab.plug(kit.first)
    async with kit.connect(lab) as again:
        assert (await again.call("GET", "/_ping")).body == b"OK"


async def test_the_port_of_a_host_that_is_silent_is_nobody_elses(lab: Lab, kit: "Kit") -> None:
    await lab.unplug(kit.first)
    with socket.socket() as other, pytest.raises(OSError, match="in use"):
        other.bind(("127.0.0.1", lab.port(kit.first)))


async def test_a_session_that_has_not_begun_when_its_host_is_shut_down_never_does(
    lab: Lab, monkeypatch: pytest.MonkeyPatch, kit: "Kit"
) -> None:
    """What is on its way at that moment comes after it: nothing would end what it starts."""
    waiting, go_on, run, over = asyncio.Event(), asyncio.Event(), Sshd.run, asyncio.Event()

    async def late(self: Sshd, process: "asyncssh.SSHServerProcess[bytes]") -> None:
        waiting.set()
        await go_on.wait()
        await run(self, process)
        over.set()

    monkeypatch.setattr(Sshd, "run", late)
    made = lab.folder / "made"
    async with kit.connect(lab) as client:
        await client.ssh.create_process(f"touch {made}")
        await waiting.wait()
        await lab.unplug(kit.first)
    go_on.set()
    await over.wait()
    assert not made.exists()


async def test_a_connection_that_is_being_accepted_when_its_host_is_shut_down_is_cut(
    lab: Lab, monkeypatch: pytest.MonkeyPatch, kit: "Kit"
) -> None:
    accepted: asyncio.Future[tuple[Sshd, asyncssh.SSHServerConnection]] = asyncio.get_running_loop().create_future()
    opened = Sshd.opened
    monkeypatch.setattr(Sshd, "opened", lambda sshd, link: accepted.set_result((sshd, link)))
    reader, writer = await asyncio.open_connection("127.0.0.1", lab.port(kit.first))
    sshd, link = await accepted
    await lab.unplug(kit.first)
    opened(sshd, link)
    with contextlib.suppress(ConnectionResetError):
        await reader.read()
    writer.close()
