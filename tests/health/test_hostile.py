"""Whatever a host prints, a report stays readable: no escape sequence survives, and every form stays well-formed."""

import json
import xml.etree.ElementTree as ET

import msgspec
from hypothesis import given, settings
from hypothesis import strategies as st

from console.fleet.probe.kernel_log import kernel_lines
from console.health.formats import RENDERERS
from console.health.kernel_log import classify, device_of, faults
from console.health.report import Report, Selection, choose, judge, state_of
from console.model.facts import HostFacts, KernelLog, Known, Unknown
from console.model.finding import Case, State
from console.model.text import clean

SELECTION = Selection(("kernel", "host", "driver"))
CHECKS = choose(SELECTION)
SEEDS = st.sampled_from([b"amdgpu 0000:0f:00.0: amdgpu: GPU reset begin!", b"\x1b[31mACPI Error: x\x1b[0m", b"\x9b2J"])


def is_safe(text: str) -> bool:
    return not any((ord(char) < 32 and char not in "\n\t") or 0x7F <= ord(char) < 0xA0 for char in text)


@settings(deadline=None)
@given(st.lists(st.binary(max_size=80) | SEEDS, max_size=8), st.text(max_size=60))
def test_no_control_character_of_a_host_reaches_a_report(raw: list[bytes], word: str) -> None:
    lines = kernel_lines(clean(b"\n".join(raw)).split("\n"))
    facts = HostFacts(
        host="node01",
        read_at_ns=1,
        kernel_log=Known(KernelLog(source="dmesg", lines=tuple(lines), complete=True), "dmesg"),
    )
    facts = msgspec.structs.replace(
        facts, system=msgspec.structs.replace(facts.system, bios_version=Known(word, word), os=Unknown(word, word))
    )
    report = Report(at_ns=0, version="1", hosts=(judge(Case(facts=facts), CHECKS, SELECTION),))
    rendered = {name: render(report) for name, render in RENDERERS.items()}
    assert all(is_safe(text) for text in rendered.values())
    json.loads(rendered["json"])
    ET.fromstring(rendered["junit"])  # noqa: S314 - our own text
    assert all(len(line.rsplit(" ", 1)) == 2 for line in rendered["prometheus"].splitlines())
    assert rendered["nagios"].splitlines()[0].count("|") == 1


@settings(deadline=None)
@given(st.binary(max_size=200))
def test_any_line_is_classified_without_a_crash(raw: bytes) -> None:
    for line in kernel_lines(clean(raw).split("\n")):
        classify(line)
        device_of(line.text)


@settings(deadline=None)
@given(st.lists(st.binary(max_size=60), max_size=6))
def test_noise_is_no_fault_of_hardware(raw: list[bytes]) -> None:
    found = faults(kernel_lines(clean(b"\n".join(raw)).split("\n")))
    assert all(fault.count >= 1 for fault in found)


def test_unknown_facts_stay_unknown() -> None:
    facts = HostFacts(host="node01", read_at_ns=1)
    health = judge(Case(facts=facts), CHECKS, SELECTION)
    assert state_of(health.findings) is State.UNKNOWN
    assert not [finding for finding in health.findings if finding.state is State.PASS]
