"""The engine behind OpenSSH's own server: exact logs through killed and frozen connections, secrets, refusals."""

import asyncio
import contextlib
import os
import re
import signal
from collections.abc import Awaitable, Callable
from typing import TYPE_CHECKING, Any

import msgspec
import pytest

from console.fleet.engine.body import secrets_input
from console.fleet.engine.client import Engine
from console.fleet.engine.entry import WAITING_FOR_SECRETS
from console.fleet.engine.follow import advance, attach, logs, write_stdin
from console.fleet.host import SshOptions
from console.fleet.link import ChannelRefused, LinkError
from console.model.attempt import LogFrame
from console.model.events import Cursor
from console.model.facts import DockerAccess
from console.model.launch import Part

if TYPE_CHECKING:
    from tests.fleet.conftest import Bench, Keys, Sshd

pytestmark = pytest.mark.real

DIRECT = DockerAccess(flavour="docker", socket="/var/run/docker.sock")
BRIDGE = DockerAccess(flavour="docker", socket="", argv=("docker", "system", "dial-stdio"))
MakePart = Callable[..., Part]
Make = Callable[[Part], Awaitable[str]]
MakeSshd = Callable[..., "Sshd"]

NUMBERED = """
i=0
while [ $i -lt 1500 ]; do
  echo "line $i"
  [ $((i % 10)) != 0 ] || printf "\\r%4000d" $i >&2
  [ $((i % 100)) != 0 ] || sleep 0.3
  i=$((i + 1))
done
echo >&2
sleep 600  # the stream is open for as long as the test needs it
"""


@pytest.mark.parametrize("access", [DIRECT, BRIDGE], ids=["socket", "bridge"])
@pytest.mark.parametrize("blow", [signal.SIGKILL, signal.SIGSTOP])
async def test_a_log_goes_on_exactly_when_the_servers_process_is_killed_or_frozen(
    bench: "Bench", sshd: MakeSshd, keys: "Keys", engine: Engine, a_part: MakePart, launch: Make,
    printed: Callable[[str, str], Awaitable[str]], blow: signal.Signals, access: DockerAccess,
) -> None:  # fmt: skip
    one = sshd()
    bench.add("node01", one.address, one.port, known=keys.host)
    links = bench.links(SshOptions(keepalive_s=0.5, keepalive_count=2))
    made = await launch(a_part(NUMBERED))
    stored: list[LogFrame] = []
    start = Cursor(attempt="a", part="p", container_id=made, last_at_ns=0, seen_at_last=(), log_bytes=0, index_bytes=0)
    cursor: Cursor | None = None

    async def strike(enough: asyncio.Event) -> None:
        with contextlib.suppress(TimeoutError):  # all of it may have come already: the stream is open all the same
            await asyncio.wait_for(enough.wait(), 5)
        for pid in one.children():
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, blow)

    async def sitting(length: int | None) -> None:
        nonlocal cursor
        remote = Engine(await links.get("node01"), access)
        received, enough = 0, asyncio.Event()
        striking = None if length is None else asyncio.create_task(strike(enough))
        async for batch in logs(remote, made, cursor):
            stored.extend(batch)
            point, seen = advance(cursor, batch)
            cursor = msgspec.structs.replace(cursor or start, last_at_ns=point, seen_at_last=seen)
            received += len(batch)
            if length is not None and received >= length:
                enough.set()
        assert striking is None

    for length in (150, 250, 100):
        with pytest.raises(LinkError) as lost:
            await sitting(length)
        assert lost.value.transport
    await printed(made, "line 1499")
    await engine.kill(made)
    await sitting(None)
    direct = [frame async for batch in logs(engine, made, follow=False) for frame in batch]
    assert stored == direct
    numbers = [int(n) for n in re.findall(rb"line (\d+)\n", b"".join(f.data for f in stored if f.stream == 1))]
    assert numbers == list(range(1500))


@pytest.mark.parametrize("access", [DIRECT, BRIDGE], ids=["socket", "bridge"])
async def test_requests_bars_files_and_secrets_pass_through_the_connection(
    bench: "Bench", sshd: MakeSshd, keys: "Keys", engine: Engine, a_part: MakePart, launch: Make,
    printed: Callable[[str, str], Awaitable[str]], ended: Callable[[str], Awaitable[Any]], access: DockerAccess,
) -> None:  # fmt: skip
    one = sshd()
    bench.add("node01", one.address, one.port, known=keys.host)
    remote = Engine(await bench.links().get("node01"), access)
    script = """head -c 3000000 /dev/zero >/tmp/big; wc -c <"$HF_TOKEN_PATH"
        for i in 1 2 3 4 5 6 7 8 9; do printf "\\r 50%%" >&2; sleep 0.3; done"""
    made = await launch(a_part(script, secrets=("hf_token",)))
    await printed(made, WAITING_FOR_SECRETS)

    async def bars() -> bytes:
        return b"".join([frame.data async for batch in attach(remote, made) for frame in batch])

    drawn = asyncio.ensure_future(bars())
    await write_stdin(remote, made, secrets_input({"hf_token": "hf_sixteen_chars"}))
    assert b"\r 50%" in await drawn
    assert (await ended(made)).exit_code == 0
    assert "16\n" in await printed(made, "16")
    assert await remote.get_file(made, "/tmp/big", 1 << 22) == bytes(3_000_000)
    facts = await remote.engine_facts()
    assert (facts.root_dir, facts.api) == ("/var/lib/docker", await engine.ping())
    await remote.close()


async def test_a_server_that_forbids_forwarding_refuses_the_socket_and_lets_the_bridge_through(
    bench: "Bench", sshd: MakeSshd, keys: "Keys", engine: Engine
) -> None:
    one = sshd(AllowStreamLocalForwarding="no")
    bench.add("node01", one.address, one.port, known=keys.host)
    link = await bench.links().get("node01")
    with pytest.raises(ChannelRefused):
        await Engine(link, DIRECT).ping()
    assert await Engine(link, BRIDGE).ping() == await engine.ping()
