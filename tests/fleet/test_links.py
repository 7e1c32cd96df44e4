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
    KeyChanged,
    KeyUnknown,
    LinkError,
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
    done = await (await bench.links().get("node01")).run(b"echo hello\n", timeout_s=60)
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


async def test_a_person_may_take_longer_than_the_sign_in(
    bench: "Bench", server: "AsyncServer", keys: "Keys", hours_pass: Callable[[], None]
) -> None:
    server.password = "correct horse"
    bench.add("bastion", server.address, server.port, known=keys.host)

    async def ask(host: str, prompt: str, echo: bool) -> str | None:
        hours_pass()
        await asyncio.sleep(0.01)
        return "123456" if "Code" in prompt else "correct horse"

    await bench.links(ask=ask).get("bastion")


async def test_nobody_listening_is_refused(bench: "Bench") -> None:
    with socket.socket() as sock:
        sock.bind(("127.0.0.1", 0))
        bench.add("node01", "127.0.0.1", sock.getsockname()[1])
        with pytest.raises(Refused, match=r"node01: nothing listens on 127\.0\.0\.1"):
            await bench.links().get("node01")


async def test_a_name_that_does_not_resolve_is_said_so(bench: "Bench", monkeypatch: pytest.MonkeyPatch) -> None:
    def no_name(*args: object) -> list[object]:
        raise socket.gaierror(socket.EAI_NONAME, "Name or service not known")

    monkeypatch.setattr(socket, "getaddrinfo", no_name)
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
    held = socket.socket()
    held.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    held.bind(("127.0.0.1", 0))  # so that nobody else gets the port; a listener may take it beside
    port = held.getsockname()[1]
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
    held.close()
    link = await waiting
    assert (await link.run(b"echo up\n", timeout_s=60)).stdout == b"up\n"
    assert changes[-1].state == "connected"


async def test_a_closed_link_says_so(bench: "Bench", server: "AsyncServer", keys: "Keys") -> None:
    bench.add("node01", server.address, server.port, known=keys.host)
    links = bench.links()
    link = await links.get("node01")
    await links.close()
    assert link.closed
    with pytest.raises(LinkLost):
        await link.run(b"true\n", timeout_s=5)


async def test_a_connection_that_is_made_while_all_are_closed_is_closed_too(
    bench: "Bench", server: "AsyncServer", keys: "Keys", monkeypatch: pytest.MonkeyPatch
) -> None:
    bench.add("node01", server.address, server.port, known=keys.host)
    connect, made, go_on = asyncssh.connect, asyncio.Event(), asyncio.Event()

    async def slow(*args: Any, **kwargs: Any) -> asyncssh.SSHClientConnection:
        connection = await connect(*args, **kwargs)
        made.set()
        await go_on.wait()
        return connection

    monkeypatch.setattr(asyncssh, "connect", slow)
    links = bench.links()
    getting = asyncio.create_task(links.get("node01"))
    await made.wait()
    await links.close()
    go_on.set()
    with pytest.raises(LinkError, match="closing"):
        await getting
    await server.connections[0].wait_closed()
