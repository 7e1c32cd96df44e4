"""What the findings of a fleet come to, and every form other programs read it in."""

import json
import xml.etree.ElementTree as ET
from pathlib import Path
from typing import Any

import msgspec
import pytest

from console.health.formats import junit, nagios, plain, prometheus, replace
from console.health.report import (
    HostHealth,
    Report,
    Selection,
    UnknownCheck,
    choose,
    exit_code,
    fails_on,
    names_a_check,
    remedies,
    state_of,
    unreachable,
)
from console.model.finding import Finding, State

GOLDEN = Path(__file__).parent / "golden"
AT_NS = 1_795_000_000 * 10**9
FAIL, UNKNOWN, WARN, PASS = State.FAIL, State.UNKNOWN, State.WARN, State.PASS


def finding(state: State, check: str = "gpu.count", **more: Any) -> Finding:
    return Finding(check=check, host="", state=state, seen=f"{check} is so", **more)


def host(name: str, *findings: Finding) -> HostHealth:
    named = tuple(msgspec.structs.replace(item, host=name) for item in findings)
    return HostHealth(host=name, findings=named, state=state_of(named))


def report() -> Report:
    numa = "sudo sysctl -w kernel.numa_balancing=0"
    return Report(
        at_ns=AT_NS,
        version="0.1",
        hosts=(
            host("node01", finding(PASS), finding(PASS, "kernel.log", evidence="dmesg")),
            host(
                "node02",
                finding(
                    FAIL, expected="8", source='the "profile" <x>', evidence="/sys/bus | pci", remedy="lspci -d 1002:"
                ),
                finding(WARN, "host.numa_balancing", expected="0", remedy=numa),
                finding(UNKNOWN, "bios.tsme", waived="not checkable from the operating system"),
            ),
            host(
                "node03",
                finding(UNKNOWN, "kernel.log", remedy="sudo dmesg"),
                finding(FAIL, "host.numa_balancing", remedy=numa),
                finding(FAIL, "host.bios", waived="suppressed until 2026-12-01: waits & waits"),
            ),
            unreachable("node04", "connection refused | tcp 22", remedy="instinct hosts test node04"),
        ),
    )


@pytest.mark.parametrize(
    ("states", "worst"),
    [
        ([PASS, WARN], WARN),
        ([WARN, UNKNOWN, PASS], UNKNOWN),
        ([UNKNOWN, FAIL, WARN], FAIL),
        ([], UNKNOWN),
    ],
)
def test_fail_is_worse_than_unknown_and_that_than_warn(states: list[State], worst: State) -> None:
    assert state_of([finding(state) for state in states]) is worst


def test_what_is_waived_does_not_count() -> None:
    assert state_of([finding(FAIL, waived="suppressed"), finding(WARN)]) is WARN
    assert state_of([finding(FAIL, waived="suppressed")]) is PASS


@pytest.mark.parametrize(("state", "code"), [(PASS, 0), (WARN, 1), (FAIL, 2), (UNKNOWN, 3)])
def test_exit_codes(state: State, code: int) -> None:
    assert exit_code(Report(at_ns=0, version="", hosts=(host("a", finding(state)),))) == code


def test_the_worst_host_wins_and_no_host_is_unknown() -> None:
    assert report().state is FAIL
    assert Report(at_ns=0, version="", hosts=()).state is UNKNOWN


@pytest.mark.parametrize(
    ("state", "failing"),
    [(PASS, set()), (WARN, {"warn"}), (UNKNOWN, {"warn", "unknown"}), (FAIL, {"warn", "unknown", "fail"})],
)
def test_a_job_prologue_fails_from_a_level_on(state: State, failing: set[str]) -> None:
    one = Report(at_ns=0, version="", hosts=(host("a", finding(state)),))
    assert {level for level in ("warn", "unknown", "fail") if fails_on(one, level)} == failing


def test_one_remedy_for_all_hosts_that_need_it() -> None:
    assert [(line.remedy, line.hosts) for line in remedies(report())] == [
        ("sudo sysctl -w kernel.numa_balancing=0", ("node02", "node03")),
        ("lspci -d 1002:", ("node02",)),
        ("sudo dmesg", ("node03",)),
        ("instinct hosts test node04", ("node04",)),
    ]


@pytest.mark.parametrize(
    ("only", "skip", "takes", "leaves"),
    [
        (("gpu.count",), (), "gpu.count", "gpu.alike"),
        (("gpu",), (), "gpu.alike", "pcie.width"),
        (("links",), (), "pcie.width", "gpu.count"),
        (("pcie.*",), (), "pcie.width", "xgmi.mesh"),
        ((), ("links",), "gpu.count", "pcie.width"),
        (("kernel.log.gpu-reset",), (), "kernel.log", "gpu.count"),
    ],
)
def test_checks_are_chosen_by_name_area_beginning_and_pattern(
    only: tuple[str, ...], skip: tuple[str, ...], takes: str, leaves: str
) -> None:
    names = {check.id for check in choose(Selection(only, skip))}
    assert takes in names
    assert leaves not in names


def test_a_selection_that_leaves_nothing_is_refused() -> None:
    with pytest.raises(UnknownCheck, match="leaves no check"):
        choose(Selection(("gpu",), ("gpu",)))


def test_a_fault_class_that_does_not_exist_is_refused() -> None:
    with pytest.raises(UnknownCheck):
        choose(Selection(("kernel.log.gpu-rest",)))
    assert names_a_check("kernel.log.gpu-*")


def test_an_unknown_check_names_the_nearest() -> None:
    with pytest.raises(UnknownCheck, match=r"gpu\.count"):
        choose(Selection(("gpu.cout",)))


def golden(name: str, text: str) -> None:
    path = GOLDEN / name
    assert text == path.read_text("utf-8"), f"{path.name} differs"


def test_json() -> None:
    text = plain.render(report())
    golden("health.json", text)
    assert json.loads(text)["schema_version"] == 1


def test_junit_is_xml_with_a_suite_for_each_host() -> None:
    text = junit.render(report())
    golden("health.xml", text)
    tree = ET.fromstring(text)  # noqa: S314 - our own text
    assert [suite.get("name") for suite in tree] == ["node01", "node02", "node03", "node04"]
    assert len(tree.findall(".//failure")) == int(tree.get("failures", "0")) == 3
    assert len(tree.findall(".//error")) == int(tree.get("errors", "0")) == 1
    assert len(tree.findall(".//skipped")) == 2


def test_prometheus() -> None:
    golden("health.prom", prometheus.render(report()))


def test_a_file_is_replaced_in_one_step(tmp_path: Path) -> None:
    path = tmp_path / "instinct.prom"
    path.write_text("old", "utf-8")
    before = path.stat().st_ino
    replace(path, prometheus.render(report()))
    assert path.read_text("utf-8") == prometheus.render(report())
    assert path.stat().st_ino != before
    assert path.stat().st_mode & 0o777 == 0o644
    assert [entry.name for entry in tmp_path.iterdir()] == ["instinct.prom"]


def test_nagios() -> None:
    text = nagios.render(report())
    golden("health.nagios", text)
    first, *rest = text.splitlines()
    assert first.startswith("INSTINCT CRITICAL - ")
    assert first.count("|") == 1
    assert not any("|" in line for line in rest)


def test_every_form_marks_the_hosts_that_are_simulated() -> None:
    played = msgspec.structs.replace(host("lab1", finding(FAIL)), simulated=True)
    mixed = Report(at_ns=AT_NS, version="0.1", hosts=(host("node01", finding(PASS)), played))

    gauges = [line for line in prometheus.render(mixed).splitlines() if 'host="' in line]
    assert gauges
    for line in gauges:
        assert ('simulated="1"' in line) is ('host="lab1"' in line)
    assert nagios.render(mixed).startswith("INSTINCT CRITICAL - 1 of 2 hosts pass (1 simulated): lab1 gpu.count |")
    suites = {suite.get("name"): suite for suite in ET.fromstring(junit.render(mixed))}  # noqa: S314 - our own text
    assert suites["lab1"].find("properties/property[@name='simulated']") is not None
    assert suites["node01"].find("properties") is None
    assert [item["simulated"] for item in json.loads(plain.render(mixed))["hosts"]] == [False, True]
