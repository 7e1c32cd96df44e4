"""One short look at what counts up on a host: everything is read, nothing is made up, nothing asleep is woken."""

import struct
from typing import TYPE_CHECKING

import pytest

from console.fleet.host import Host
from console.fleet.link import CommandFailed, Completed
from console.fleet.local import LocalLink
from console.fleet.script import Section
from console.fleet.vitals import Vitals, look, parse, shares
from console.model.facts import Known, RasBlock, Unknown

if TYPE_CHECKING:
    from tests.fleet.probe.conftest import Machine

FIRST, SECOND = "0000:0c:00.0", "0000:22:00.0"
DEVICES = "/sys/bus/pci/devices"
PORT = "/sys/class/infiniband/mlx5_0/ports/1"


async def seen(machine: "Machine", hcas: tuple[str, ...] = (), nics: tuple[str, ...] = (), lines: int = 3) -> Vitals:
    host = Host(name="node01", address="local", root=str(machine.root))
    return await look(LocalLink(host), host, hcas, nics, log_lines=lines)


def metrics(cycles: int, *counts: int, content: int = 6) -> bytes:
    energy = b"\0" * (24 if content > 6 else 16)
    return struct.pack("<HBB6H", 1664, 1, content, *[0] * 6) + energy + struct.pack("<6I", cycles, *counts) + bytes(200)


async def test_a_look_has_errors_throttling_boot_and_the_end_of_the_log(machine: "Machine") -> None:
    machine.gpus(2)
    machine.write(f"{DEVICES}/{FIRST}/ras/umc_err_count", "ue: 1\nce: 22\nde: 3\n")
    machine.write(f"{DEVICES}/{FIRST}/gpu_metrics", metrics(1000, 1, 2, 3, 4, 5, content=8))
    machine.command("kernel.dmesg", "".join(f"[   {n}.000000] line {n}\n" for n in range(9)))
    found = await seen(machine)
    assert found.boot_id == "3f1c2d7e-0000-4111-8222-333344445555"
    assert found.gpus == (FIRST, SECOND)
    assert RasBlock(block="umc", uncorrectable=1, correctable=22, deferred=3) in found.ras[FIRST]
    assert {block.block for block in found.ras[SECOND]} == {"umc", "gfx", "sdma", "mmhub", "xgmi_wafl"}
    assert found.throttle == {FIRST: (1000, 1, 2, 3, 4, 5)}
    assert isinstance(found.kernel_log, Known)
    assert [line.text for line in found.kernel_log.value.lines][-2:] == ["line 7", "line 8"]
    assert len(found.kernel_log.value.lines) <= 4
    assert (found.ports, found.interfaces) == ({}, {})


async def test_ports_and_their_interfaces_are_looked_at_when_named(machine: "Machine") -> None:
    machine.write(f"{PORT}/hw_counters/packet_seq_err", "7\n")
    machine.write(f"{PORT}/counters/symbol_error", "0\n")
    machine.write("/sys/class/infiniband/mlx5_0/device/net/rail0/ifindex", "3\n")
    machine.write("/sys/class/infiniband/mlx5_1/ports/1/counters/symbol_error", "5\n")
    machine.write("/sys/class/net/rail0/statistics/rx_crc_errors", "4\n")
    machine.write("/sys/class/net/eth0/statistics/rx_dropped", "9\n")
    machine.write("/sys/class/net/eth1/statistics/rx_dropped", "9\n")
    found = await seen(machine, ("mlx5_0:1", "no such;rm:1"), ("eth0", "$(reboot)"))
    assert found.ports == {"mlx5_0:1": {"packet_seq_err": 7, "symbol_error": 0}}
    assert found.interfaces == {"rail0": {"rx_crc_errors": 4}, "eth0": {"rx_dropped": 9}}


async def test_what_is_not_there_or_may_not_be_read_is_not_made_up(machine: "Machine") -> None:
    found = await seen(machine, ("mlx5_0:1",))
    assert (found.gpus, found.ras, found.throttle, found.ports, found.interfaces) == ((), {}, {}, {}, {})
    assert isinstance(found.kernel_log, Unknown)


async def test_a_gpu_that_sleeps_is_left_asleep(machine: "Machine") -> None:
    machine.gpus(2)
    machine.write(f"{DEVICES}/{FIRST}/power/runtime_status", "suspended\n")
    machine.write(f"{DEVICES}/{FIRST}/gpu_metrics", metrics(1, 0, 0, 0, 0, 0))
    found = await seen(machine)
    assert (found.gpus, found.asleep) == ((SECOND,), (FIRST,))
    assert FIRST not in found.ras
    assert FIRST not in found.throttle


async def test_counters_of_an_unknown_layout_say_nothing(machine: "Machine") -> None:
    machine.gpus(1)
    machine.write(f"{DEVICES}/{FIRST}/gpu_metrics", metrics(1, 2, 3, 4, 5, 6, content=3))
    assert (await seen(machine)).throttle == {}


def test_strange_bytes_and_half_an_answer_say_nothing() -> None:
    def section(name: str, data: bytes, end: int | None = 0) -> Section:
        return Section(name, "x", end, data)

    ras = f"gpu {FIRST}\n{FIRST}/ras/umc_err_count:ue: 3\n{FIRST}/ras/umc_err_count:ce: 4"
    found = {
        "vitals.host": section("vitals.host", b"=/proc/sys/kernel/random/boot_id \x1b[2Jb\n"),
        "vitals.gpu": section("vitals.gpu", ras.encode(), None),
        "vitals.net": section(
            "vitals.net", b"eth0/statistics/rx\x1b[31m:1\neth0/statistics/rx_errors:99999999999999999999999\n"
        ),
    }
    seen = parse(found, "n", 1)
    assert seen.gpus == (FIRST,)
    assert seen.ras == {FIRST: ()}, "the last line was cut off"
    assert seen.interfaces == {}
    assert seen.boot_id is not None
    assert "\x1b" not in seen.boot_id


def test_shares_are_those_of_gpus_that_tell_at_both_looks() -> None:
    before = Vitals(host="n", read_at_ns=1, throttle={"a": (100, 0, 5, 0, 0, 0), "b": (0, 0, 0, 0, 0, 0)})
    after = Vitals(host="n", read_at_ns=2, throttle={"a": (300, 0, 55, 200, 0, 0), "c": (0, 0, 0, 0, 0, 0)})
    assert shares(before, after) == {"a": {"ppt": 0.25, "socket_thermal": 1.0}}


class Mute:
    """A link whose shell says nothing of ours."""

    async def run(self, script: bytes, *, timeout_s: float) -> Completed:
        return Completed(b"", b"This account is not available.\n", 1)


async def test_an_account_without_a_shell_is_an_error() -> None:
    with pytest.raises(CommandFailed, match="not available"):
        await look(Mute(), Host(name="n", address="n"))  # type: ignore[arg-type]
