"""Connecting, and every way it can fail, against asyncssh's server in this process."""

import asyncio
import socket
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import asyncssh
import pytest

from console.fleet.host import SshOptions
from console.fleet.link import (
    AuthFailed,
    ChannelRefused,
    CommandFailed,
    ConfigError,
    KeyChanged,
    KeyUnknown,
    LinkLost,
    NameError_,
    Refused,
    TimedOut,
)
from console.fleet.links import LinkChange

if TYPE_CHECKING:
    from tests.fleet.conftest import AsyncServer, Bench, Keys

Servers = Callable[[], "AsyncServer"]


async def test_a_script_runs_with_its_whole_output_and_its_status(
    bench: "Bench", server: "AsyncServer", keys: "Keys"
) -> None:
    bench.add("node01", server.address, server.port, known=keys.host)
    link = await bench.links().get("node01")
    script = b"i=0; while [ $i -lt 20000 ]; do echo line $i; i=$((i+1)); done; echo problem >&2; exit 7\n"
    done = await link.run(script, timeout_s=30)
    assert done.stdout.splitlines()[-1] == b"line 19999"
    assert len(done.stdout.splitlines()) == 20000
    assert (done.stderr, done.exit_code) == (b"problem\n", 7)


async def test_one_connection_serves_everyone_who_asks_at_once(
    bench: "Bench", server: "AsyncServer", keys: "Keys"
) -> None:
    bench.add("node01", server.address, server.port, known=keys.host)
    links = bench.links()
    got = await asyncio.gather(*(links.get("node01") for _ in range(12)))
    assert len({id(link) for link in got}) == 1
    assert len(server.connections) == 1


async def test_an_unknown_key_is_refused_with_its_fingerprint_until_it_is_trusted(
    bench: "Bench", server: "AsyncServer", keys: "Keys"
) -> None:
    bench.add("node01", server.address, server.port)
    with pytest.raises(KeyUnknown) as caught:
        await bench.links().get("node01")
    fingerprint = asyncssh.read_public_key(f"{keys.host}.pub").get_fingerprint()
    assert fingerprint in str(caught.value)
    assert "instinct hosts trust node01" in caught.value.remedy
    assert server.tried_keys == 0


async def test_a_changed_key_is_refused_and_is_told_from_an_unknown_one(
    bench: "Bench", server: "AsyncServer", keys: "Keys"
) -> None:
    bench.add("node01", server.address, server.port, known=keys.other)
    with pytest.raises(KeyChanged) as caught:
        await bench.links().get("node01")
    text = str(caught.value)
    assert asyncssh.read_public_key(f"{keys.host}.pub").get_fingerprint() in text
    assert asyncssh.read_public_key(f"{keys.other}.pub").get_fingerprint() in text
    assert str(bench.known) in text
    assert server.tried_keys == 0


async def test_a_key_of_another_kind_than_the_one_on_record_is_a_changed_key(
    bench: "Bench", server: "AsyncServer"
) -> None:
    bench.add("node01", server.address, server.port)
    ecdsa = asyncssh.generate_private_key("ecdsa-sha2-nistp256").export_public_key().decode()
    bench.known.write_text(f"[{server.address}]:{server.port} {ecdsa}", encoding="ascii")
    with pytest.raises(KeyChanged):
        await bench.links().get("node01")


async def test_a_revoked_key_is_refused_even_when_it_is_on_record(
    bench: "Bench", server: "AsyncServer", keys: "Keys"
) -> None:
    bench.add("node01", server.address, server.port, known=keys.host)
    with bench.known.open("a", encoding="ascii") as file:
        file.write("@revoked * " + keys.public(keys.host) + "\n")
    with pytest.raises(KeyChanged, match="revoked"):
        await bench.links().get("node01")


async def test_a_host_certificate_of_a_known_authority_is_accepted(
    bench: "Bench", servers: Servers, keys: "Keys", tmp_path: Path
) -> None:
    authority = asyncssh.generate_private_key("ssh-ed25519")
    host = asyncssh.read_private_key(keys.host)
    certificate = authority.generate_host_certificate(host, "node01", principals=["127.0.0.1"])
    certificate.write_certificate(tmp_path / "cert")
    server = await servers().start(host_cert=tmp_path / "cert")
    bench.add("node01", server.address, server.port)
    line = authority.export_public_key().decode()
    bench.known.write_text(f"@cert-authority [127.0.0.*]:* {line}", encoding="ascii")
    done = await (await bench.links().get("node01")).run(b"echo hello\n", timeout_s=10)
    assert done.stdout == b"hello\n"


async def test_a_refused_sign_in_is_never_tried_again_until_told_to(
    bench: "Bench", server: "AsyncServer", keys: "Keys"
) -> None:
    server.allow = False
    bench.add("node01", server.address, server.port, known=keys.host)
    links = bench.links()
    for _ in range(3):
        with pytest.raises(AuthFailed, match="was not let in"):
            await links.get("node01")
    with pytest.raises(AuthFailed):
        await links.reach("node01", patience_s=60)
    assert server.tried_keys == 1
    server.allow = True
    links.forget("node01")
    await links.get("node01")


async def test_prompts_go_to_a_person_only_where_there_is_one(
    bench: "Bench", server: "AsyncServer", keys: "Keys"
) -> None:
    server.password = "correct horse"
    bench.add("bastion", server.address, server.port, known=keys.host)
    with pytest.raises(AuthFailed, match="instinct hosts login bastion"):
        await bench.links().get("bastion")
    asked: list[tuple[str, str, bool]] = []

    async def ask(host: str, prompt: str, echo: bool) -> str | None:
        asked.append((host, prompt, echo))
        return "123456" if "Code" in prompt else "correct horse"

    await bench.links(ask=ask).get("bastion")
    assert asked == [("bastion", "Two factors\nPassword: ", False), ("bastion", "Code: ", True)]


async def test_a_person_may_take_longer_than_the_sign_in(bench: "Bench", server: "AsyncServer", keys: "Keys") -> None:
    server.password = "correct horse"
    bench.add("bastion", server.address, server.port, known=keys.host)

    async def ask(host: str, prompt: str, echo: bool) -> str | None:
        await asyncio.sleep(0.4)
        return "123456" if "Code" in prompt else "correct horse"

    short = SshOptions(connect_timeout_s=5, login_timeout_s=0.3)
    await bench.links(short, ask=ask).get("bastion")


async def test_nobody_listening_is_refused(bench: "Bench") -> None:
    with socket.socket() as sock:
        sock.bind(("127.0.0.1", 0))
        bench.add("node01", "127.0.0.1", sock.getsockname()[1])
        with pytest.raises(Refused, match=r"node01: nothing listens on 127\.0\.0\.1"):
            await bench.links().get("node01")


async def test_a_name_that_does_not_resolve_is_said_so(bench: "Bench") -> None:
    bench.add("node01", "no-such-host.invalid", 22)
    with pytest.raises(NameError_, match=r"node01: 'no-such-host\.invalid' does not resolve"):
        await bench.links().get("node01")


async def test_a_listener_that_never_answers_times_out(bench: "Bench") -> None:
    with socket.socket() as sock:
        sock.bind(("127.0.0.1", 0))
        sock.listen()
        bench.add("node01", "127.0.0.1", sock.getsockname()[1])
        with pytest.raises(TimedOut, match="took the connection and then said nothing"):
            await bench.links(SshOptions(connect_timeout_s=0.3)).get("node01")


async def test_a_failed_attempt_is_not_repeated_within_its_pause(bench: "Bench", server: "AsyncServer") -> None:
    bench.add("node01", server.address, server.port)
    links = bench.links()
    for _ in range(5):
        with pytest.raises(KeyUnknown):
            await links.get("node01")
    assert len(server.connections) == 1


async def test_reach_waits_for_a_host_that_comes_up_later(bench: "Bench", servers: Servers, keys: "Keys") -> None:
    with socket.socket() as sock:
        sock.bind(("127.0.0.1", 0))
        port = sock.getsockname()[1]
    bench.add("node01", "127.0.0.1", port, known=keys.host)
    changes: list[LinkChange] = []
    failed = asyncio.Event()

    def note(change: LinkChange) -> None:
        changes.append(change)
        if change.state == "failed":
            failed.set()

    links = bench.links(on_change=note)
    waiting = asyncio.create_task(links.reach("node01", patience_s=60))
    await failed.wait()
    await servers().start(port=port)
    link = await waiting
    assert (await link.run(b"echo up\n", timeout_s=10)).stdout == b"up\n"
    assert changes[-1].state == "connected"


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
    assert (await again.run(b"echo back\n", timeout_s=10)).stdout == b"back\n"


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
        await link.run(b"true\n", timeout_s=10)
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


async def test_hosts_behind_one_jump_host_share_its_connection(bench: "Bench", servers: Servers, keys: "Keys") -> None:
    bastion, target = await servers().start(), await servers().start()
    bench.add("bastion", bastion.address, bastion.port, known=keys.host)
    with bench.known.open("a", encoding="ascii") as file:
        file.write(keys.line(keys.host, target.address, target.port))
    for number in range(10):
        bench.add(f"node{number:02}", target.address, target.port, jump="bastion")
    links = bench.links()
    got = await asyncio.gather(*(links.get(f"node{number:02}") for number in range(10)))
    answers = await asyncio.gather(*(link.run(b"echo hi\n", timeout_s=10) for link in got))
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
    connect = asyncssh.connect

    async def counted(*args: Any, **kwargs: Any) -> asyncssh.SSHClientConnection:
        nonlocal at_once, most
        at_once += 1
        most = max(most, at_once)
        try:
            return await connect(*args, **kwargs)
        finally:
            at_once -= 1

    monkeypatch.setattr(asyncssh, "connect", counted)
    listener = await asyncio.start_server(lambda reader, writer: None, "127.0.0.1", 0)
    port = listener.sockets[0].getsockname()[1]
    for number in range(24):
        bench.add(f"node{number:02}", "127.0.0.1", port)
    links = bench.links(SshOptions(connect_timeout_s=0.2))
    results = await asyncio.gather(*(links.get(f"node{n:02}") for n in range(24)), return_exceptions=True)
    assert all(isinstance(result, TimedOut) for result in results)
    assert most == 8
    listener.close()


async def test_scan_shows_keys_without_signing_in_and_trust_makes_the_host_known(
    bench: "Bench", server: "AsyncServer", keys: "Keys"
) -> None:
    from console.fleet.hostkeys import trust

    bench.add("node01", server.address, server.port)
    links = bench.links()
    found = await links.scan("node01")
    shown = asyncssh.read_public_key(f"{keys.host}.pub").get_fingerprint()
    assert [(key.algorithm, key.fingerprint) for key in found] == [("ssh-ed25519", shown)]
    assert server.tried_keys == 0
    assert trust(found, await links.known("node01"), links.trust_file) == found
    await links.get("node01")
    assert trust(found, await links.known("node01"), links.trust_file) == ()


async def test_a_closed_link_says_so(bench: "Bench", server: "AsyncServer", keys: "Keys") -> None:
    bench.add("node01", server.address, server.port, known=keys.host)
    links = bench.links()
    link = await links.get("node01")
    await links.close()
    assert link.closed
    with pytest.raises(LinkLost):
        await link.run(b"true\n", timeout_s=5)
