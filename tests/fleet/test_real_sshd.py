"""The same promises against OpenSSH's own server on loopback addresses."""

import asyncio
import contextlib
import getpass
import os
import shutil
import signal
import socket
import subprocess
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import asyncssh
import pytest

from console.fleet.host import Fleet, Host, SshOptions
from console.fleet.hostkeys import choose, trust
from console.fleet.link import AuthFailed, ChannelRefused, KeyChanged, KeyUnknown, LinkLost, Refused, TimedOut
from console.fleet.links import Links
from console.fleet.probe.survey import survey
from console.model.facts import Known

if TYPE_CHECKING:
    from tests.fleet.conftest import Bench, Keys, Sshd

pytestmark = pytest.mark.real
MakeSshd = Callable[..., "Sshd"]


async def test_a_host_is_reached_and_answers(bench: "Bench", sshd: MakeSshd, keys: "Keys") -> None:
    one = sshd()
    bench.add("node01", one.address, one.port, known=keys.host)
    link = await bench.links().get("node01")
    done = await link.run(b"printf 'out\\n'; printf 'err\\n' >&2; exit 5\n", timeout_s=20)
    assert (done.stdout, done.stderr, done.exit_code) == (b"out\n", b"err\n", 5)
    killed = await link.run(b"kill -9 $$\n", timeout_s=20)
    assert killed.exit_code == -signal.SIGKILL


async def test_unknown_and_changed_keys_are_told_apart_and_a_trusted_one_is_let_in(
    bench: "Bench", sshd: MakeSshd, keys: "Keys"
) -> None:
    one, two = sshd("127.0.10.1"), sshd("127.0.10.2")
    bench.add("unknown", one.address, one.port)
    bench.add("changed", two.address, two.port, known=keys.other)
    links = bench.links()
    with pytest.raises(KeyUnknown):
        await links.get("unknown")
    with pytest.raises(KeyChanged):
        await links.get("changed")
    found = await links.scan("unknown")
    expected = asyncssh.read_public_key(f"{keys.host}.pub").get_fingerprint()
    trust(choose(found, {"unknown": [expected]}), await links.known("unknown"), links.trust_file)
    links.forget("unknown")
    await links.get("unknown")
    with pytest.raises(KeyChanged):
        trust(await links.scan("changed"), await links.known("changed"), links.trust_file)


async def test_a_key_the_host_does_not_know_is_an_authentication_failure(
    bench: "Bench", sshd: MakeSshd, keys: "Keys"
) -> None:
    one = sshd()
    bench.add("node01", one.address, one.port, known=keys.host, identity=keys.other)
    with pytest.raises(AuthFailed, match="was not let in"):
        await bench.links().get("node01")


async def test_nobody_listening_and_nobody_answering(bench: "Bench", sshd: MakeSshd) -> None:
    sshd()
    silent = socket.socket()
    silent.bind(("127.0.10.9", 0))
    bench.add("refused", "127.0.10.8", 22)
    bench.add("silent", "127.0.10.9", silent.getsockname()[1])
    with pytest.raises(Refused):
        await bench.links().get("refused")
    silent.listen()
    with pytest.raises(TimedOut):
        await bench.links(SshOptions(connect_timeout_s=1)).get("silent")
    silent.close()


@pytest.mark.parametrize("limit", [1, 4])
async def test_scripts_wait_for_a_session_where_the_server_allows_few(
    bench: "Bench", sshd: MakeSshd, keys: "Keys", limit: int
) -> None:
    one = sshd(MaxSessions=str(limit))
    bench.add("node01", one.address, one.port, known=keys.host)
    link = await bench.links().get("node01")
    done = await asyncio.gather(*(link.run(b"echo %d\n" % n, timeout_s=60) for n in range(16)))
    assert [item.stdout for item in done] == [b"%d\n" % n for n in range(16)]


async def test_no_session_at_all_is_told_as_that_while_sockets_still_open(
    bench: "Bench", sshd: MakeSshd, keys: "Keys", tmp_path: Path
) -> None:
    one = sshd(MaxSessions="0")
    bench.add("node01", one.address, one.port, known=keys.host)
    link = await bench.links().get("node01")
    with pytest.raises(ChannelRefused, match="MaxSessions"):
        await link.run(b"true\n", timeout_s=20)
    listener = await asyncio.start_unix_server(_hello, tmp_path / "engine.sock")
    reader, _ = await link.open_unix(str(tmp_path / "engine.sock"))
    assert await reader.read() == b"hello"
    listener.close()


async def test_sixty_sockets_beside_the_sessions(bench: "Bench", sshd: MakeSshd, keys: "Keys", tmp_path: Path) -> None:
    one = sshd()
    bench.add("node01", one.address, one.port, known=keys.host)
    link = await bench.links().get("node01")
    listener = await asyncio.start_unix_server(_hello, tmp_path / "engine.sock")
    streams = await asyncio.gather(*(link.open_unix(str(tmp_path / "engine.sock")) for _ in range(60)))
    assert [await reader.read() for reader, _ in streams] == [b"hello"] * 60
    listener.close()


async def test_why_a_socket_is_refused_is_found_by_a_second_look(
    bench: "Bench", sshd: MakeSshd, keys: "Keys", tmp_path: Path
) -> None:
    closed, opened = sshd("127.0.10.1", AllowStreamLocalForwarding="no"), sshd("127.0.10.2")
    bench.add("closed", closed.address, closed.port, known=keys.host)
    bench.add("opened", opened.address, opened.port, known=keys.host)
    links = bench.links()
    listener = await asyncio.start_unix_server(_hello, tmp_path / "engine.sock")
    with pytest.raises(ChannelRefused) as caught:
        await (await links.get("closed")).open_unix(str(tmp_path / "engine.sock"))
    assert caught.value.reason == "forwarding"
    with pytest.raises(ChannelRefused) as caught:
        await (await links.get("opened")).open_unix(str(tmp_path / "none.sock"))
    assert caught.value.reason == "missing"
    listener.close()
    await listener.wait_closed()
    stale = socket.socket(socket.AF_UNIX)
    stale.bind(str(tmp_path / "stale.sock"))
    with pytest.raises(ChannelRefused) as caught:
        await (await links.get("opened")).open_unix(str(tmp_path / "stale.sock"))
    assert caught.value.reason == "silent"
    stale.close()


async def test_a_port_forward_that_is_forbidden_is_told_from_a_port_nobody_serves(
    bench: "Bench", sshd: MakeSshd, keys: "Keys"
) -> None:
    closed, opened = sshd("127.0.10.1", AllowTcpForwarding="no"), sshd("127.0.10.2")
    bench.add("closed", closed.address, closed.port, known=keys.host)
    bench.add("opened", opened.address, opened.port, known=keys.host)
    links = bench.links()
    with pytest.raises(ChannelRefused) as caught:
        await (await links.get("closed")).open_tcp(9)
    assert caught.value.reason == "forwarding"
    with pytest.raises(ChannelRefused) as caught:
        await (await links.get("opened")).open_tcp(9)
    assert caught.value.reason == "silent"


async def test_hosts_behind_a_jump_host_share_one_connection_to_it(
    bench: "Bench", sshd: MakeSshd, keys: "Keys"
) -> None:
    bastion, target = sshd("127.0.10.1"), sshd("127.0.10.2")
    bench.add("bastion", bastion.address, bastion.port, known=keys.host)
    bench.add("node00", target.address, target.port, known=keys.host, jump="bastion")
    for number in range(1, 12):
        bench.add(f"node{number:02}", target.address, target.port, jump="bastion")
    links = bench.links()
    got = await asyncio.gather(*(links.get(f"node{number:02}") for number in range(12)))
    answers = await asyncio.gather(*(link.run(b"echo $SSH_CONNECTION\n", timeout_s=30) for link in got))
    assert all(answer.stdout.startswith(b"127.0.0.1 ") or b"127.0.10." in answer.stdout for answer in answers)
    assert bastion.log.read_text(errors="replace").count("Accepted publickey") == 1
    assert target.log.read_text(errors="replace").count("Accepted publickey") == 12


async def test_a_killed_connection_is_a_loss_and_never_a_success(bench: "Bench", sshd: MakeSshd, keys: "Keys") -> None:
    one = sshd()
    bench.add("node01", one.address, one.port, known=keys.host)
    links = bench.links()
    link = await links.get("node01")
    reader, _ = await link.open_command(["sh", "-c", "echo started; sleep 300"])
    assert await reader.readuntil() == b"started\n"
    running = asyncio.create_task(link.run(b"echo partial; sleep 300\n", timeout_s=60))
    for child in one.children():
        os.kill(child, signal.SIGKILL)
    with pytest.raises(LinkLost):
        await running
    with pytest.raises(LinkLost):
        await reader.read(100)
    again = await links.get("node01")
    assert (await again.run(b"echo back\n", timeout_s=20)).stdout == b"back\n"


async def test_a_half_open_connection_is_noticed_by_keepalives(bench: "Bench", sshd: MakeSshd, keys: "Keys") -> None:
    one = sshd()
    bench.add("node01", one.address, one.port, known=keys.host)
    link = await bench.links(SshOptions(keepalive_s=1, keepalive_count=2)).get("node01")
    reader, _ = await link.open_command(["sh", "-c", "echo started; sleep 300"])
    assert await reader.readuntil() == b"started\n"
    for child in one.children():
        os.kill(child, signal.SIGSTOP)
    with pytest.raises(LinkLost, match="keepalive"):
        await reader.read(100)
    assert link.closed


async def test_sixty_four_hosts_are_probed(bench: "Bench", sshd: MakeSshd, keys: "Keys") -> None:
    one = sshd("0.0.0.0")  # noqa: S104 - loopback addresses of this machine are all served by one server
    for number in range(64):
        bench.add(f"node{number:02}", f"127.0.10.{number + 1}", one.port, known=keys.host)
    links = bench.links()

    async def probe(number: int) -> str:
        host = bench.hosts[number]
        facts = await survey(await links.get(host.name), host)
        assert isinstance(facts.system.hostname, Known)
        assert isinstance(facts.clock, Known)
        return facts.host

    assert await asyncio.gather(*(probe(number) for number in range(64))) == [host.name for host in bench.hosts]


async def test_a_noisy_login_shell_does_not_disturb_the_probe(bench: "Bench", sshd: MakeSshd, keys: "Keys") -> None:
    one = sshd(ForceCommand="echo 'Welcome!'; echo '@@0 begin host x'; eval \"$SSH_ORIGINAL_COMMAND\"")
    bench.add("node01", one.address, one.port, known=keys.host)
    facts = await survey(await bench.links().get("node01"), bench.hosts[0])
    assert facts.system.user == Known(value=bench.hosts[0].user or "", source="id")


async def _hello(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    with contextlib.suppress(OSError):
        writer.write(b"hello")
        writer.write_eof()
        await reader.read()
        writer.close()


@pytest.fixture
def agent(keys: "Keys", tmp_path: Path, require_real: Callable[[bool, str], None]) -> Iterator[Path]:
    """The socket of an ssh-agent that holds the client key."""
    require_real(shutil.which("ssh-agent") is not None, "ssh-agent")
    path = tmp_path / "agent"
    process = subprocess.Popen(["ssh-agent", "-D", "-a", str(path)], stdout=subprocess.DEVNULL)
    add = ["ssh-add", "-q", str(keys.client)]
    try:
        while subprocess.run(add, check=False, capture_output=True, env={"SSH_AUTH_SOCK": str(path)}).returncode:
            time.sleep(0.05)
        yield path
    finally:
        process.kill()
        process.wait()


async def test_a_key_held_by_an_agent_and_named_by_its_public_half_signs_in(
    sshd: MakeSshd, keys: "Keys", agent: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    one = sshd()
    home = tmp_path / "home"
    (home / ".ssh").mkdir(parents=True)
    monkeypatch.setenv("SSH_AUTH_SOCK", str(agent))
    monkeypatch.setenv("HOME", str(home))
    monkeypatch.setenv("XDG_STATE_HOME", str(home))
    (home / ".ssh" / "lab.pub").write_text(keys.public(keys.client), encoding="ascii")
    (home / ".ssh" / "known_hosts").write_text(keys.line(keys.host, one.address, one.port), encoding="ascii")
    (home / ".ssh" / "config").write_text(
        f"Host gpu\n  Hostname {one.address}\n  Port {one.port}\n  User {getpass.getuser()}\n"
        "  IdentitiesOnly yes\n  IdentityFile ~/.ssh/lab\n  ConnectTimeout 1m\n",
        encoding="utf-8",
    )
    links = Links(Fleet(path=tmp_path / "fleet.toml", hosts=(Host(name="node01", address="gpu"),)))
    assert (await (await links.get("node01")).run(b"echo in\n", timeout_s=20)).stdout == b"in\n"
    await links.close()


async def test_certificates_of_users_and_hosts_stand_in_for_lists_of_keys(
    bench: "Bench", sshd: MakeSshd, keys: "Keys", tmp_path: Path
) -> None:
    authority = asyncssh.generate_private_key("ssh-ed25519")
    authority.write_public_key(tmp_path / "ca.pub")
    host_key, user_key = tmp_path / "hostkey", tmp_path / "userkey"
    for path in (host_key, user_key):
        asyncssh.generate_private_key("ssh-ed25519").write_private_key(path)
        path.chmod(0o600)
    me = getpass.getuser()
    for_host = authority.generate_host_certificate(asyncssh.read_private_key(host_key), "h", principals=["127.0.10.5"])
    for_user = authority.generate_user_certificate(asyncssh.read_private_key(user_key), "u", principals=[me])
    for_host.write_certificate(tmp_path / "hostkey-cert.pub")
    for_user.write_certificate(tmp_path / "userkey-cert.pub")
    one = sshd(
        "127.0.10.5",
        host_key=host_key,
        HostCertificate=str(tmp_path / "hostkey-cert.pub"),
        TrustedUserCAKeys=str(tmp_path / "ca.pub"),
        AuthorizedKeysFile="none",
    )
    bench.add("node01", one.address, one.port, identity=user_key)
    line = authority.export_public_key().decode()
    bench.known.write_text(f"@cert-authority [127.0.10.*]:* {line}", encoding="ascii")
    assert (await (await bench.links().get("node01")).run(b"echo in\n", timeout_s=20)).stdout == b"in\n"
