"""Jump hosts, many hosts at once, and fetching keys."""

import asyncio
import socket
import sys
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import asyncssh
import msgspec
import pytest

from console.fleet.host import Fleet, Host
from console.fleet.hostkeys import trust
from console.fleet.link import (
    ChannelRefused,
    ConfigError,
    KeyUnknown,
    Refused,
    TimedOut,
)
from console.fleet.links import Links

if TYPE_CHECKING:
    from tests.fleet.conftest import AsyncServer, Bench, Keys

Servers = Callable[[], "AsyncServer"]


async def test_hosts_behind_one_jump_host_share_its_connection(bench: "Bench", servers: Servers, keys: "Keys") -> None:
    bastion, target = await servers().start(), await servers().start()
    bench.add("bastion", bastion.address, bastion.port, known=keys.host)
    with bench.known.open("a", encoding="ascii") as file:
        file.write(keys.line(keys.host, target.address, target.port))
    for number in range(10):
        bench.add(f"node{number:02}", target.address, target.port, jump="bastion")
    links = bench.links()
    got = await asyncio.gather(*(links.get(f"node{number:02}") for number in range(10)))
    answers = await asyncio.gather(*(link.run(b"echo hi\n", timeout_s=60) for link in got))
    assert {answer.stdout for answer in answers} == {b"hi\n"}
    assert len(bastion.connections) == 1
    assert bastion.forwarded == [(target.address, target.port)] * 10


async def test_trouble_with_a_jump_host_names_both_hosts_and_keeps_its_class(
    bench: "Bench", servers: Servers, keys: "Keys"
) -> None:
    bastion = await servers().start()
    bench.add("bastion", bastion.address, bastion.port)
    bench.add("node01", "10.0.0.1", 22, jump="bastion")
    with pytest.raises(KeyUnknown, match="node01: jump host bastion: its host key is not on record") as caught:
        await bench.links().get("node01")
    assert "instinct hosts trust bastion" in caught.value.remedy


async def test_a_target_nobody_listens_on_behind_a_jump_host_is_refused(
    bench: "Bench", servers: Servers, keys: "Keys"
) -> None:
    bastion = await servers().start()
    bench.add("bastion", bastion.address, bastion.port, known=keys.host)
    with socket.socket() as sock:
        sock.bind(("127.0.0.1", 0))
        bench.add("node01", "127.0.0.1", sock.getsockname()[1], jump="bastion")
        with pytest.raises(Refused, match="from bastion"):
            await bench.links().get("node01")
        bastion.forward = False
        links = bench.links()
        with pytest.raises(ChannelRefused, match="AllowTcpForwarding"):
            await links.get("node01")


async def test_jump_hosts_in_a_circle_are_an_error_and_not_a_hang(bench: "Bench") -> None:
    bench.add("a", "127.0.0.1", 1, jump="b")
    bench.add("b", "127.0.0.1", 2, jump="a")
    with pytest.raises(ConfigError, match="circle"):
        await bench.links().get("a")


async def test_at_most_eight_handshakes_run_at_once(
    bench: "Bench", monkeypatch: pytest.MonkeyPatch, keys: "Keys"
) -> None:
    at_once = most = 0
    full = asyncio.Event()

    async def refused(*args: Any, **kwargs: Any) -> asyncssh.SSHClientConnection:
        """The first wait until there are eight of them; were there no limit, the others would come meanwhile."""
        nonlocal at_once, most
        at_once += 1
        most = max(most, at_once)
        if at_once == 8:
            full.set()
        await full.wait()
        await asyncio.sleep(0.01)
        at_once -= 1
        raise TimeoutError

    monkeypatch.setattr(asyncssh, "connect", refused)
    listener = await asyncio.start_server(lambda reader, writer: None, "127.0.0.1", 0)
    port = listener.sockets[0].getsockname()[1]
    for number in range(24):
        bench.add(f"node{number:02}", "127.0.0.1", port)
    links = bench.links()
    results = await asyncio.gather(*(links.get(f"node{n:02}") for n in range(24)), return_exceptions=True)
    assert all(isinstance(result, TimedOut) for result in results)
    assert most == 8
    listener.close()


async def test_scan_shows_keys_without_signing_in_and_trust_makes_the_host_known(
    bench: "Bench", server: "AsyncServer", keys: "Keys"
) -> None:
    bench.add("node01", server.address, server.port)
    links = bench.links()
    found = await links.scan("node01")
    shown = asyncssh.read_public_key(f"{keys.host}.pub").get_fingerprint()
    assert [(key.algorithm, key.fingerprint) for key in found] == [("ssh-ed25519", shown)]
    assert server.tried_keys == 0
    assert trust(found, await links.known("node01"), links.trust_file) == found
    await links.get("node01")
    assert trust(found, await links.known("node01"), links.trust_file) == ()


async def test_a_jump_host_that_is_no_host_of_the_fleet_can_be_signed_in_to_once(
    bench: "Bench", servers: Servers, keys: "Keys"
) -> None:
    bastion, target = await servers().start(), await servers().start()
    bastion.password = "correct horse"
    hop = f"{bastion.address}:{bastion.port}"
    with bench.known.open("a", encoding="ascii") as file:
        file.write(keys.line(keys.host, bastion.address, bastion.port))
    bench.add("node01", target.address, target.port, known=keys.host, jump=hop)

    async def ask(host: str, prompt: str, echo: bool) -> str | None:
        return "123456" if "Code" in prompt else "correct horse"

    links = bench.links(ask=ask)
    await links.sign_in(hop)
    done = await (await links.get("node01")).run(b"echo in\n", timeout_s=60)
    assert done.stdout == b"in\n"
    assert len(bastion.connections) == 1


async def test_a_proxy_command_of_the_configuration_carries_the_connection(
    bench: "Bench", server: "AsyncServer", keys: "Keys", tmp_path: Path
) -> None:
    proxy = tmp_path / "proxy.py"
    proxy.write_text(PROXY, encoding="utf-8")
    config = tmp_path / "config"
    config.write_text(f"Host *\n  ProxyCommand {sys.executable} {proxy} %h %p\n", encoding="utf-8")
    host = bench.add("node01", server.address, server.port, known=keys.host)
    fleet = msgspec.structs.replace(bench.fleet(), hosts=(host,), ssh_config=config)
    links = Links(fleet)
    done = await (await links.get("node01")).run(b"echo through\n", timeout_s=60)
    assert done.stdout == b"through\n"
    assert Path(f"{proxy}.used").exists()  # noqa: ASYNC240 - a file of one byte
    await links.close()


async def test_an_ordinary_fleet_uses_the_users_configuration_keys_and_record(
    bench: "Bench", servers: Servers, keys: "Keys", tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    bastion, target = await servers().start(), await servers().start()
    home = tmp_path / "home"
    (home / ".ssh").mkdir(parents=True)
    monkeypatch.setenv("HOME", str(home))
    monkeypatch.setenv("XDG_STATE_HOME", str(home / "state"))
    monkeypatch.delenv("SSH_AUTH_SOCK", raising=False)
    (home / ".ssh" / "config").write_text(
        f"Host *\n  IdentityFile {keys.client}\n  ProxyJump bastion\n"
        f"Host bastion\n  Hostname {bastion.address}\n  Port {bastion.port}\n"
        f"Host gpu\n  Hostname {target.address}\n  Port {target.port}\n",
        encoding="utf-8",
    )
    record = home / ".ssh" / "known_hosts"
    record.write_text(keys.line(keys.host, bastion.address, bastion.port), encoding="ascii")
    links = Links(Fleet(path=tmp_path / "fleet.toml", hosts=(Host(name="node01", address="gpu"),)))
    with pytest.raises(KeyUnknown):
        await links.get("node01")
    trust(await links.scan("node01"), await links.known("node01"), links.trust_file)
    links.forget("node01")
    assert (await (await links.get("node01")).run(b"echo in\n", timeout_s=60)).stdout == b"in\n"
    assert links.trust_file == home / "state" / "instinct" / "known_hosts"
    assert len(record.read_text(encoding="ascii").splitlines()) == 1
    assert len(bastion.connections) == 1
    await links.close()


PROXY = """
import pathlib, socket, sys, threading
pathlib.Path(__file__ + ".used").write_bytes(b"x")
sock = socket.create_connection((sys.argv[1], int(sys.argv[2])))
def up():
    while data := sys.stdin.buffer.read1(65536):
        sock.sendall(data)
threading.Thread(target=up, daemon=True).start()
while data := sock.recv(65536):
    sys.stdout.buffer.write(data)
    sys.stdout.buffer.flush()
"""
