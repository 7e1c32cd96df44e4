"""The gate: what it says, in which form, and how it ends."""

import json
import subprocess
import sys
import xml.etree.ElementTree as ET
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from console.cli import printing

if TYPE_CHECKING:
    from tests.cli.conftest import RunCli
    from tests.cli.health.conftest import MakeRoot

NUMA_ON = {"proc/sys/kernel/numa_balancing": "1\n"}
ACPI = {"@commands/kernel.dmesg": "+kern  :err   : 2026-01-01T00:00:01,000000+00:00 ACPI Error: a mistake\n"}
RESET = {
    "@commands/kernel.dmesg": "+kern  :err   : 2026-01-01T00:00:02,000000+00:00 "
    "amdgpu 0000:05:00.0: amdgpu: GPU reset begin!\n"
}
DENIED = {"@commands/kernel.dmesg": ""}
HEAVY = ("polars", "asyncssh", "docker", "rich", "cryptography", "requests", "textual")


def states(out: str) -> dict[str, str]:
    found: dict[str, Any] = json.loads(out)
    return {
        finding["check"]: finding["state"]
        for host in found["hosts"]
        for finding in host["findings"]
        if finding["counts"] and finding["state"] != "pass"
    }


def test_a_sound_host_passes(cli: "RunCli", described: Path, make_root: "MakeRoot") -> None:
    done = cli("health", "--bundle", make_root("node01"), "--json")
    assert states(done.out) == {}
    assert done.code == 0


@pytest.mark.parametrize("server", ["mi300x-2x9554", "mi300x-2x9654", "mi325x-2x9654", "mi355x"])
def test_every_kind_of_reference_server_passes_its_own_profile(
    cli: "RunCli", home: Path, make_root: "MakeRoot", server: str
) -> None:
    done = cli("health", "--bundle", make_root("node01", server=server), "--server", server, "--json")
    assert (states(done.out), done.code) == ({}, 0)


@pytest.mark.parametrize(
    ("changes", "code", "check"),
    [
        (ACPI, 1, "kernel.log.acpi"),
        (NUMA_ON, 2, "host.numa_balancing"),
        (RESET, 2, "kernel.log.gpu-reset"),
        (DENIED, 3, "kernel.log"),
        ({**DENIED, **NUMA_ON}, 2, "host.numa_balancing"),
        ({**DENIED, "etc/os-release": "PRETTY_NAME=x\n"}, 3, "kernel.log"),
    ],
)
def test_exit_codes_with_fail_before_unknown_before_warn(
    cli: "RunCli", described: Path, make_root: "MakeRoot", changes: dict[str, str], code: int, check: str
) -> None:
    done = cli("health", "--bundle", make_root("node01", changes), "--json")
    assert check in states(done.out)
    assert done.code == code


def test_the_worst_host_wins(cli: "RunCli", described: Path, make_root: "MakeRoot") -> None:
    good, bad = make_root("node01"), make_root("node02", NUMA_ON)
    assert cli("health", "--bundle", good, "--bundle", bad).code == 2


@pytest.mark.parametrize(
    ("changes", "level", "code"),
    [
        (ACPI, "warn", 1),
        (ACPI, "unknown", 0),
        (ACPI, "fail", 0),
        (DENIED, "unknown", 1),
        (DENIED, "fail", 0),
        (RESET, "fail", 1),
        ({}, "warn", 0),
    ],
)
def test_fail_on_gives_plain_zero_or_one(
    cli: "RunCli", described: Path, make_root: "MakeRoot", changes: dict[str, str], level: str, code: int
) -> None:
    assert cli("health", "--bundle", make_root("node01", changes), "--fail-on", level).code == code


def test_the_table_says_what_was_seen_expected_and_what_to_do_once_for_all_hosts(
    cli: "RunCli", described: Path, make_root: "MakeRoot"
) -> None:
    done = cli("health", "--bundle", make_root("node01", NUMA_ON), "--bundle", make_root("node02", NUMA_ON))
    lines = done.out.splitlines()
    assert lines[0].split() == ["host", "state", "check", "seen", "expected", "evidence"]
    assert [line.split()[:3] for line in lines[1:3]] == [
        ["node01", "fail", "host.numa_balancing"],
        ["node02", "fail", "host.numa_balancing"],
    ]
    assert "/proc/sys/kernel/numa_balancing" in lines[1]
    assert lines[4:] == ["node01, node02: sudo sysctl -w kernel.numa_balancing=0"]
    assert "2 hosts: 2 fail" in done.err


def test_a_terminal_is_told_once_what_is_the_same_of_many_hosts(
    cli: "RunCli", described: Path, make_root: "MakeRoot", monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(printing, "terminal_width", lambda: 80)
    roots = [make_root(f"node0{n}", NUMA_ON) for n in (1, 2, 3, 5)]
    roots.append(make_root("node06", {**NUMA_ON, **RESET}))
    done = cli("health", *(word for root in roots for word in ("--bundle", root)))
    lines = done.out.splitlines()
    assert lines.count("node[01-03,05-06]  fail  host.numa_balancing") == 1
    assert lines[1:4] == ["  NUMA balancing is 1", "  expected 0", "  /proc/sys/kernel/numa_balancing"]
    assert [line for line in lines if line.startswith("node06  ")] == ["node06  fail  kernel.log.gpu-reset"]
    assert "node[01-03,05-06]: sudo sysctl -w kernel.numa_balancing=0" in lines


def test_a_terminal_is_told_why_something_does_not_count(
    cli: "RunCli", described: Path, make_root: "MakeRoot", monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(printing, "terminal_width", lambda: 80)
    lines = cli("health", "--bundle", make_root("exempt", NUMA_ON), "--all").out.splitlines()
    at = lines.index("exempt  (fail)  host.numa_balancing")
    assert lines[at + 2] == "  does not count: suppressed until 2099-01-01: a test rig"
    assert at > max(index for index, line in enumerate(lines) if line.startswith("exempt  pass"))


@pytest.mark.parametrize("form", ["json", "junit", "prometheus", "nagios"])
def test_forms_of_other_programs(cli: "RunCli", described: Path, make_root: "MakeRoot", form: str) -> None:
    done = cli("health", "--bundle", make_root("node01", NUMA_ON), "--format", form)
    assert done.code == 2
    assert "host.numa_balancing" in done.out
    if form == "json":
        assert json.loads(done.out)["exit_code"] == 2
    if form == "junit":
        assert ET.fromstring(done.out).get("failures") == "1"  # noqa: S314 - our own text
    if form == "prometheus":
        assert 'instinct_health_host_state{host="node01"} 2' in done.out
    if form == "nagios":
        assert done.out.startswith("INSTINCT CRITICAL - 0 of 1 hosts pass: node01 host.numa_balancing | hosts=1;")


def test_a_file_is_written_for_collectors(
    cli: "RunCli", described: Path, make_root: "MakeRoot", tmp_path: Path
) -> None:
    path = tmp_path / "instinct.prom"
    done = cli("health", "--bundle", make_root("node01"), "--format", "prometheus", "-o", path)
    assert (done.code, done.out) == (0, "")
    assert 'host_state{host="node01"} 0' in path.read_text("utf-8")
    assert cli("health", "--bundle", tmp_path / "hosts" / "node01", "-o", path).code == 3


def test_checks_are_chosen_by_name_and_area(cli: "RunCli", described: Path, make_root: "MakeRoot") -> None:
    root = make_root("node01", {**NUMA_ON, **RESET})
    assert set(states(cli("health", "--bundle", root, "--only", "kernel", "--json").out)) == {"kernel.log.gpu-reset"}
    assert set(states(cli("health", "--bundle", root, "--skip", "kernel,links", "--json").out)) == {
        "host.numa_balancing"
    }


def test_exceptions_of_a_host_hold(cli: "RunCli", described: Path, make_root: "MakeRoot") -> None:
    assert cli("health", "--bundle", make_root("exempt", NUMA_ON)).code == 0
    assert cli("health", "--bundle", make_root("other", NUMA_ON)).code == 0
    assert cli("health", "--bundle", make_root("node01", NUMA_ON)).code == 2
    shown = cli("health", "--bundle", make_root("node02"), "--all").out
    assert "not checkable from the operating system" in shown


def test_a_suppression_that_names_no_check_is_told(cli: "RunCli", described: Path, make_root: "MakeRoot") -> None:
    done = cli("health", "--bundle", make_root("typo"), "--json")
    assert (states(done.out), done.code) == ({"profile.suppress": "warn"}, 1)


def test_gpus_in_use_fail_only_where_idle_is_expected(cli: "RunCli", described: Path, make_root: "MakeRoot") -> None:
    busy = make_root("node01", {"sys/class/kfd/kfd/proc/4711/pasid": "32768\n"})
    assert cli("health", "--bundle", busy).code == 0
    done = cli("health", "--bundle", busy, "--expect", "idle", "--json")
    assert (states(done.out), done.code) == ({"gpu.processes": "fail"}, 2)


def test_an_acknowledged_fault_rests(cli: "RunCli", described: Path, make_root: "MakeRoot") -> None:
    root = make_root("node01", RESET)
    assert cli("health", "--bundle", root).code == 2
    fault = "gpu-reset@0000:05:00.0"
    assert cli("health", "ack", "node01", fault, "--reason", "replaced", "--until", "2026-01-02T00:00Z").code == 0
    assert cli("health", "--bundle", root).code == 0
    assert "replaced" in cli("health", "ack", "--list").out
    assert json.loads(cli("health", "ack", "--list", "--json").out)["acknowledged"][0]["rule"] == "gpu-reset"
    assert cli("health", "ack", "node01", fault, "--remove").code == 0
    assert cli("health", "--bundle", root).code == 2


def test_an_acknowledgement_of_the_past_does_not_cover_what_came_later(
    cli: "RunCli", described: Path, make_root: "MakeRoot"
) -> None:
    cli("health", "ack", "node01", "gpu-reset", "--reason", "x", "--until", "2025-12-31T00:00Z")
    assert cli("health", "--bundle", make_root("node01", RESET)).code == 2


@pytest.mark.parametrize(
    "argv",
    [
        ["health", "--no-such-option"],
        ["health", "--only", "gpux", "--local"],
        ["health", "node01", "--local"],
        ["health", "nobody"],
        ["health", "--explain", "gpux"],
        ["health", "--server", "nosuch", "--local"],
        ["health", "ack", "node01"],
        ["health", "ack", "node01", "gpu-reset"],
        ["health", "ack", "node01", "nosuch", "--reason", "x"],
        ["health", "ack", "node01", "gpu-reset@zz", "--reason", "x"],
    ],
    ids=" ".join,
)
def test_a_wrong_call_ends_like_one_that_could_not_tell(cli: "RunCli", described: Path, argv: list[str]) -> None:
    done = cli(*argv)
    assert done.code == 3
    assert done.err


def test_a_host_that_cannot_be_reached_is_a_finding_of_its_own(cli: "RunCli", described: Path) -> None:
    done = cli("health", "node01", "--json")
    (host,) = json.loads(done.out)["hosts"]
    assert (host["answered"], host["state"]) == (False, "fail")
    assert [finding["check"] for finding in host["findings"]] == ["host.reachable"]
    assert done.code == 2


@pytest.mark.parametrize("name", ["all", "gpu.throttle", "links", "kernel.log", "gpu-reset"])
def test_checks_and_fault_classes_explain_themselves(cli: "RunCli", home: Path, name: str) -> None:
    done = cli("health", "--explain", name)
    assert done.code == 0
    assert name == "all" or name.split(".")[0] in done.out


def test_help_is_that_of_the_check(cli: "RunCli", home: Path) -> None:
    done = cli("health", "--help")
    assert "--fail-on" in done.out
    assert "--reason" in cli("health", "ack", "--help").out


def local(*argv: str, env: dict[str, str]) -> "subprocess.CompletedProcess[str]":
    code = (
        "import sys\nfrom console.cli.main import run\n"
        f"code = run(['health', '--local', *{argv!r}])\n"
        f"heavy = [name for name in {HEAVY!r} if name in sys.modules]\n"
        "print(f'\\n{code} {heavy}')"
    )
    return subprocess.run([sys.executable, "-c", code], env=env, text=True, capture_output=True, timeout=60, check=True)


def test_this_machine_is_checked_without_ssh_polars_agent_home_or_network(tmp_path: Path) -> None:
    done = local("--json", env={"PATH": "/usr/bin:/bin", "HOME": str(tmp_path / "nowhere")})
    text, _, end = done.stdout.rstrip("\n").rpartition("\n")
    code, _, heavy = end.partition(" ")
    assert heavy == "[]"
    (host,) = json.loads(text)["hosts"]
    assert host["answered"]
    assert int(code) in (0, 1, 2, 3)
    assert not (tmp_path / "nowhere").exists(), "nothing is written into a home"


def test_this_machine_is_checked_by_an_account_without_any_home(tmp_path: Path) -> None:
    done = local("--only", "host.memory", env={"PATH": "/usr/bin:/bin"})
    assert done.stdout.splitlines()[-1].startswith("0 ")


def test_a_deadline_turns_what_is_not_finished_into_unknown(tmp_path: Path) -> None:
    slow = tmp_path / "bin"
    slow.mkdir()
    for name in ("dmesg", "journalctl", "dkms", "id", "df"):
        (slow / name).write_text("#!/bin/sh\nexec sleep 60\n", "utf-8")
        (slow / name).chmod(0o755)
    env = {"PATH": f"{slow}:/usr/bin:/bin", "HOME": str(tmp_path)}
    done = local("--deadline", "2s", "--only", "kernel,host", "--json", env=env)
    text = done.stdout.rstrip("\n").rpartition("\n")[0]
    (host,) = json.loads(text)["hosts"]
    (log,) = [finding for finding in host["findings"] if finding["check"] == "kernel.log"]
    assert (log["state"], log["counts"]) == ("unknown", True)
