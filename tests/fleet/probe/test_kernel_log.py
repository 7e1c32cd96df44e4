"""The kernel log: every form, every source in turn, its time span, and what was left out."""

from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from console.fleet.probe import kernel_log
from console.fleet.probe.kernel_log import kernel_lines
from console.fleet.script import Section
from console.model.facts import KernelLog, Known, Unknown

if TYPE_CHECKING:
    from tests.fleet.probe.conftest import Machine

NOON = 1_728_302_400_000_000_000  # 2024-10-07T12:00:00Z


def section(name: str, text: str, *, head: str = "@exit 0\n", why: str = "") -> dict[str, Section]:
    body = f"{head}@log\n{text}" if text else head
    return {name: Section(name, "a command", -1 if why else 0, b"" if why else body.encode(), why)}


def log(found: dict[str, Section]) -> KernelLog:
    fact = kernel_log.parse(found)
    assert isinstance(fact, Known), fact
    return fact.value


@pytest.mark.parametrize(
    ("raw", "text", "at_ns", "level"),
    [
        ("kern  :err   : 2024-10-07T12:00:00,000000+00:00 amdgpu: ring timeout", "amdgpu: ring timeout", NOON, "err"),
        ("2024-10-07T08:00:00.000000-0400 node kernel: amdgpu: x", "amdgpu: x", NOON, ""),
        ("2024-10-07T12:00:00.000000+00:00 node kernel: [   10.500000] amdgpu: x", "amdgpu: x", NOON, ""),
        ("[   10.500000] amdgpu 0000:c1:00.0: {1}reset", "amdgpu 0000:c1:00.0: {1}reset", 10_500_000_000, ""),
        ("kern  :warn  : [   10.500000] x", "x", 10_500_000_000, "warn"),
        ("Oct  7 12:00:00 node kernel: [   10.500000] x", "x", 10_500_000_000, ""),
        ("[Sat Jan  7 14:25:56 2023] x", "x", None, ""),
        ("no stamp at all", "no stamp at all", None, ""),
        ("9999-99-99T99:99:99,000000+00:00 x", "x", None, ""),
    ],
)
def test_every_form_of_a_line_is_told_apart(raw: str, text: str, at_ns: int | None, level: str) -> None:
    (line,) = kernel_lines([raw], boot_ns=0)
    assert (line.text, line.at_ns, line.level, line.raw) == (text, at_ns, level, raw)


def test_forms_may_change_from_line_to_line() -> None:
    lines = kernel_lines(["[    1.000000] a", "[Sat Jan  7 14:25:56 2023] b", "2024-10-07T12:00:00+00:00 c", ""], 0)
    assert [line.text for line in lines] == ["a", "b", "c"]


def test_seconds_since_boot_become_times_only_when_the_boot_is_known() -> None:
    assert kernel_lines(["[   10.500000] x"])[0].at_ns is None
    found = section("kernel.plain", "[    0.000000] Linux version 6.8\n[   10.000000] x\n")
    found["clock.begin"] = Section("clock.begin", "date", 0, b"1728302500000000000\n")
    found["host"] = Section("host", "", 0, b"=/proc/uptime 100.00 1.0\n")
    seen = log(found)
    assert (seen.oldest_ns, seen.newest_ns) == (NOON, NOON + 10_000_000_000)
    assert seen.complete


async def test_the_first_source_that_answers_is_used_and_named(machine: "Machine") -> None:
    machine.write("/var/log/dmesg", "[    0.000000] Linux version 6.8\nfrom the boot log\n")
    assert log_of(await fact_of(machine)).source == "/var/log/dmesg"
    assert not log_of(await fact_of(machine)).complete
    machine.write("/var/log/kern.log", "Oct  7 12:00:00 n kernel: [    0.000000] Linux version 6.8\n")
    assert log_of(await fact_of(machine)).source == "/var/log/kern.log"
    machine.command("kernel.journal", "2024-10-07T12:00:00.000000+0000 n kernel: from the journal\n")
    assert log_of(await fact_of(machine)).source.startswith("journalctl -k -b 0")
    machine.command("kernel.dmesg", "kern  :info  : 2024-10-07T12:00:00,000000+00:00 from dmesg\n")
    assert log_of(await fact_of(machine)).source == "dmesg -x --time-format iso"
    assert [line.text for line in log_of(await fact_of(machine)).lines] == ["from dmesg"]


async def fact_of(machine: "Machine", sudo: tuple[str, ...] = ()) -> Known[KernelLog] | Unknown:
    return (await machine.facts(sudo=sudo)).kernel_log


def log_of(fact: Known[KernelLog] | Unknown) -> KernelLog:
    assert isinstance(fact, Known), fact
    return fact.value


async def test_sudo_is_in_the_chain_only_when_the_fleet_file_says_so(machine: "Machine") -> None:
    machine.command("kernel.sudo", "[    1.000000] seen by root\n")
    fact = await fact_of(machine)
    assert isinstance(fact, Unknown)
    assert "sudo -n" not in fact.detail
    assert fact.show == ("sudo", "dmesg")
    assert log_of(await fact_of(machine, sudo=("probe",))).source == "sudo -n dmesg -x --time-format iso"


def test_a_log_that_nobody_may_read_is_unknown_with_what_each_source_said() -> None:
    found = {
        **section("kernel.dmesg", "", head="dmesg: read kernel buffer failed: Operation not permitted\n@exit 1\n"),
        **section(
            "kernel.journal", "", head="No journal files were opened due to insufficient permissions.\n@exit 1\n"
        ),
        **section("kernel.file.kern.log", "", why="denied"),
    }
    fact = kernel_log.parse(found)
    assert isinstance(fact, Unknown)
    assert "Operation not permitted" in fact.detail
    assert "insufficient permissions" in fact.detail
    assert "denied" in fact.detail


def test_a_log_that_was_cut_off_on_the_way_is_unknown_because_its_newest_lines_are_missing() -> None:
    found = {"kernel.dmesg": Section("kernel.dmesg", "dmesg", None, b"@exit 0\n@log\n[    1.000000] a\n")}
    assert isinstance(kernel_log.parse(found), Unknown)


async def test_only_the_newest_lines_are_kept_and_the_log_says_it_is_not_complete(machine: "Machine") -> None:
    text = "[    0.000000] Linux version 6.8\n" + "".join(f"[{n:5}.000000] line {n}\n" for n in range(1, 6000))
    machine.command("kernel.plain", text)
    seen = log_of(await fact_of(machine))
    assert len(seen.lines) == kernel_log.LINES
    assert seen.lines[-1].text == "line 5999"
    assert not seen.complete
    machine.command("kernel.plain", "".join(f"[{n:5}.000000] {'x' * 2000}\n" for n in range(1000)))
    seen = log_of(await fact_of(machine))
    assert seen.lines[-1].raw.startswith("[  999.000000]")
    assert sum(len(line.raw) for line in seen.lines) <= kernel_log.BYTES


def test_of_a_file_with_several_boots_only_the_last_counts() -> None:
    older = "Oct  6 12:00:00 n kernel: [    0.000000] Linux version 6.8\nOct  6 12:00:00 n kernel: old fault\n"
    newer = "Oct  7 12:00:00 n kernel: [    0.000000] Linux version 6.8\nOct  7 12:00:00 n kernel: new\n"
    name = "kernel.file.kern.log"
    found = {name: Section(name, "/var/log/kern.log", 0, f"@log\n{older}{newer}".encode())}
    assert [line.text for line in log(found).lines] == ["Linux version 6.8", "new"]
    assert (log(found).this_boot, log(found).complete) == (True, True)
    found = {name: Section(name, "/var/log/kern.log", 0, b"@log\nOct  6 12:00:00 n kernel: old fault\n")}
    assert (log(found).this_boot, log(found).complete) == (False, False)


def test_hostile_lines_are_clean_and_forge_no_mark() -> None:
    seen = log(section("kernel.dmesg", "[    1.0] \x1b]0;owned\x07a\u202eb\n@log\n@exit 9\n"))
    assert [line.text for line in seen.lines] == ["ab", "@log", "@exit 9"]


def test_the_lines_of_real_reports_keep_their_message(shared: Path) -> None:
    text = (shared / "fixtures/dmesg/nodescraper_dmesg_sample.log").read_text()
    lines = kernel_lines([line for line in text.splitlines() if line])
    timed = [line for line in lines if line.at_ns is not None]
    assert len(timed) > len(lines) * 0.9
    assert all(line.level and not line.text.startswith("kern") for line in timed)
