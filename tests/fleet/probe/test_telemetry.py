"""The live stream of a host: what changes is told, GPUs asleep are left so, gaps are marked, nothing stays behind."""

import asyncio
import contextlib
import os
import struct
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from console.fleet.host import Host
from console.fleet.inventory import load
from console.fleet.link import AuthFailed, ByteStream, Link, LinkError, LinkLost
from console.fleet.links import Links
from console.fleet.local import LocalLink
from console.fleet.telemetry import RETRY_S, Beat, Decoder, Gap, follow, script, stream
from console.lab.up import Lab

if TYPE_CHECKING:
    from tests.fleet.probe.conftest import Machine

DEVICE = "/sys/bus/pci/devices/0000:0c:00.0"


def host_of(machine: "Machine") -> Host:
    return Host(name="node01", address="local", root=str(machine.root))


async def beats(machine: "Machine", count: int) -> list[Beat]:
    host = host_of(machine)
    seen = []
    async with contextlib.aclosing(stream(LocalLink(host), host, period_s=0.01)) as source:
        async for beat in source:
            seen.append(beat)
            if len(seen) == count:
                break
    return seen


async def test_a_beat_has_the_host_and_every_gpu(mi300x: "Machine") -> None:
    mi300x.write(f"{DEVICE}/gpu_busy_percent", "97\n")
    (beat,) = await beats(mi300x, 1)
    assert (beat.host.load_1m, beat.host.memory_available_bytes) == (3.25, 2300000000 // 1024 << 20)
    assert len(beat.gpus) == 8
    first = beat.gpus[0]
    assert (first.bdf, first.busy_percent, first.vram_used_bytes) == ("0000:0c:00.0", 97.0, 297_000_000)
    assert (first.power_w, first.hotspot_c, first.memory_c) == (139.0, 41.0, 37.0)
    assert (first.sclk_mhz, first.mclk_mhz, first.throttle) == (132.0, 900.0, None)
    assert first.at_ns == beat.host.at_ns


async def test_an_mi2xx_tells_its_power_under_another_name(machine: "Machine") -> None:
    machine.gpus(1, model="MI210")
    (beat,) = await beats(machine, 1)
    assert beat.gpus[0].power_w == 139.0


async def test_what_changes_is_told_in_the_next_turn_and_what_vanishes_is_unknown(mi300x: "Machine") -> None:
    host = host_of(mi300x)
    async with contextlib.aclosing(stream(LocalLink(host), host, period_s=0.01)) as source:
        first = await anext(source)
        mi300x.write(f"{DEVICE}/hwmon/hwmon7/power1_input", "748900000\n")
        mi300x.remove(f"{DEVICE}/hwmon/hwmon7/temp2_input")
        async for beat in source:
            if beat.gpus[0].power_w == 748.0 and beat.gpus[0].hotspot_c is None:
                break
        assert first.gpus[0].power_w == 139.0
        assert beat.gpus[1] == type(beat.gpus[1])(
            **{
                **{name: getattr(first.gpus[1], name) for name in first.gpus[1].__struct_fields__},
                "at_ns": beat.host.at_ns,
            }
        )


async def test_a_gpu_that_sleeps_is_left_asleep(mi300x: "Machine") -> None:
    mi300x.write(f"{DEVICE}/power/runtime_status", "suspended\n")
    (beat,) = await beats(mi300x, 1)
    assert beat.gpus[0].power_w is None
    assert beat.gpus[1].power_w == 139.0


def metrics(content: int, counts: Sequence[int], cycles: int = 99) -> bytes:
    """The head of gpu_metrics 1.x: residencies stand behind the counter of cycles."""
    energy = b"\0" * (24 if content > 6 else 16)
    return struct.pack("<HBB6H", 1664, 1, content, *[0] * 6) + energy + struct.pack("<6I", cycles, *counts) + bytes(200)


@pytest.mark.parametrize("content", [6, 7, 8])
async def test_throttling_is_what_has_risen_since_the_look_before(machine: "Machine", content: int) -> None:
    machine.gpus(2)
    machine.write(f"{DEVICE}/gpu_metrics", metrics(content, [1, 585613, 0, 0, 0]))
    host = host_of(machine)
    async with contextlib.aclosing(stream(LocalLink(host), host, period_s=0.01)) as source:
        first = await anext(source)
        assert first.gpus[0].throttle == ()
        assert first.gpus[1].throttle is None
        machine.write(f"{DEVICE}/gpu_metrics", metrics(content, [1, 585700, 0, 0, 3]))
        async for beat in source:
            if beat.gpus[0].throttle:
                break
        assert beat.gpus[0].throttle == ("ppt", "hbm_thermal")
        async for beat in source:
            if not beat.gpus[0].throttle:
                break


async def test_throttling_comes_with_its_share_of_the_time_and_says_when_it_was_looked_at(machine: "Machine") -> None:
    machine.gpus(1)
    machine.write(f"{DEVICE}/gpu_metrics", metrics(7, [0, 10, 0, 0, 0], 1000))
    host = host_of(machine)
    looks = 0
    async with contextlib.aclosing(stream(LocalLink(host), host, period_s=0.01)) as source:
        async for beat in source:
            looks += beat.looked
            if looks == 1 and beat.looked:
                machine.write(f"{DEVICE}/gpu_metrics", metrics(7, [0, 60, 0, 0, 200], 1200))
            if beat.gpus[0].throttle:
                break
        assert (beat.gpus[0].throttle, beat.gpus[0].throttle_shares) == (("ppt", "hbm_thermal"), (0.25, 1.0))
        assert beat.looked
        after = await anext(source)
        assert (after.gpus[0].throttle, after.looked) == (("ppt", "hbm_thermal"), False)


async def test_metrics_of_another_layout_say_nothing(machine: "Machine") -> None:
    machine.gpus(1)
    machine.write(f"{DEVICE}/gpu_metrics", metrics(3, [1, 2, 3, 4, 5]))
    assert {beat.gpus[0].throttle for beat in await beats(machine, 7)} == {None}


async def test_an_idle_server_costs_a_short_line_a_second(mi300x: "Machine") -> None:
    host = host_of(mi300x)
    reader, writer = await LocalLink(host).open_command(("/bin/sh", "-s"))
    writer.write(script(host, 0.01))
    lines: list[bytes] = []
    while len([line for line in lines if line.startswith(b"t ")]) < 12:
        lines.append(await reader.readuntil(b"\n"))
    writer.close()
    with contextlib.suppress(LinkError):
        await reader.read()
    after_the_first = lines[[line[:2] for line in lines].index(b"t ") + 1 :]
    assert all(line.startswith(b"t ") and len(line) < 40 for line in after_the_first)
    busy = b"".join(line for line in lines if line[:1].isdigit())
    assert len(busy) < 400


async def test_the_loop_ends_with_its_channel(mi300x: "Machine") -> None:
    host = host_of(mi300x)
    before = children()
    async with contextlib.aclosing(stream(LocalLink(host), host, period_s=0.01)) as source:
        await anext(source)
        assert children() - before
    while children() - before:  # noqa: ASYNC110 - processes that end tell nobody; in vain the test's own limit ends it
        await asyncio.sleep(0.02)


def children() -> set[int]:
    """Living processes that this one started."""
    found = set()
    for entry in Path("/proc").iterdir():
        with contextlib.suppress(OSError, ValueError, IndexError):
            state, parent = (entry / "stat").read_text().rpartition(")")[2].split()[:2]
            if int(parent) == os.getpid() and state != "Z":
                found.add(int(entry.name))
    return found


class Flaky(LocalLink):
    """A link whose streams end after the first piece."""

    def __init__(self, host: Host) -> None:
        super().__init__(host)
        self.opened = 0

    async def open_command(self, argv: Sequence[str]) -> ByteStream:
        self.opened += 1
        if self.opened % 2 == 0:
            raise LinkLost(self.host.name, "gone")
        return await super().open_command(("/bin/sh", "-c", "read line; echo 'g 0 0000:0c:00.0'; echo 't 5.00 1.00 7'"))


async def test_a_stream_that_breaks_is_a_gap_and_goes_on(mi300x: "Machine") -> None:
    link = Flaky(host_of(mi300x))
    waits: list[float] = []

    async def connect() -> Link:
        return link

    async def pause(seconds: float) -> None:
        waits.append(seconds)

    seen: list[Beat | Gap] = []
    async with contextlib.aclosing(follow(connect, link.host, pause=pause)) as items:
        async for item in items:
            seen.append(item)
            if len(seen) == 6:
                break
    assert [type(item).__name__ for item in seen] == ["Beat", "Gap", "Gap", "Beat", "Gap", "Gap"]
    first, gap, again = seen[:3]
    assert isinstance(first, Beat)
    assert isinstance(gap, Gap)
    assert isinstance(again, Gap)
    assert gap.last_ns == first.host.at_ns == again.last_ns
    assert (gap.why, again.why) == ("the loop that reads it has ended", "gone")
    assert waits == [RETRY_S[0], RETRY_S[1], RETRY_S[0]]


async def test_what_a_new_try_cannot_mend_is_raised(mi300x: "Machine") -> None:
    async def connect() -> Link:
        raise AuthFailed("node01", "no key was accepted")

    with pytest.raises(AuthFailed):
        async for _ in follow(connect, host_of(mi300x)):
            pass


def test_lines_of_something_else_say_nothing() -> None:
    decoder = Decoder()
    for line in (
        b"Welcome to node01",
        b"g 0 ../../etc",
        b"g x 0000:0c:00.0",
        b"0 1 2",
        b"t x",
        b"b 1 2",
        b"\xff\x1b[2J",
    ):
        assert decoder.feed(line) is None
    beat = decoder.feed(b"t 5.00 - -")
    assert isinstance(beat, Beat)
    assert (beat.gpus, beat.host.load_1m) == ((), None)


def test_times_are_the_hosts_own() -> None:
    decoder = Decoder()
    decoder.feed(b"b 1728302500000000000 100.00")
    beat = decoder.feed(b"t 101.50 1.00 7")
    assert isinstance(beat, Beat)
    assert beat.host.at_ns == 1728302501_500_000_000


async def test_a_host_of_the_lab_is_followed_over_ssh(tmp_path: Path) -> None:
    async with Lab(tmp_path / "lab", hosts=1) as lab:
        fleet = load(lab.fleet_file)
        links = Links(fleet)
        host = fleet.hosts[0]
        async with contextlib.aclosing(stream(await links.get(host.name), host, period_s=0.05)) as source:
            first, second = await anext(source), await anext(source)
        assert len(first.gpus) == len(second.gpus) == 8
        assert first.gpus[0].power_w is not None
        await links.close()
