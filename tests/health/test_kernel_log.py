"""Kernel-log lines are told apart: faults by class and device, and what only looks like one."""

import tomllib
from collections import Counter
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from console.health.kernel_lines import parse, since_boot
from console.health.kernel_log import BY_ID, classify, device_of, faults, span
from console.model.facts import KernelLine
from console.model.finding import State

DATA = Path(__file__).parents[1] / "data" / "kernel_log"
NOW_NS = int(datetime(2026, 2, 20, tzinfo=UTC).timestamp()) * 10**9
BENIGN = "benign"
CORPUS = ("before", "after", "reports")

Entry = dict[str, Any]


def entries(*files: str) -> list[Entry]:
    return [entry for file in files for entry in tomllib.loads((DATA / f"{file}.toml").read_text("utf-8"))["line"]]


def seen(entry: Entry) -> tuple[str, str]:
    lines = list(parse(entry["text"], now_ns=NOW_NS))
    rule = classify(lines[0]) if lines else None
    return (rule.id if rule else BENIGN), (device_of(lines[0].text) if lines else "")


def figures(corpus: list[Entry]) -> tuple[float, float]:
    """Recall and precision of the class: a fault under another class's name is missed and false at once."""
    verdicts = [(entry["class"], seen(entry)[0]) for entry in corpus]
    right = sum(is_ == said != BENIGN for is_, said in verdicts)
    faulty = sum(is_ != BENIGN for is_, _ in verdicts)
    raised = sum(said != BENIGN for _, said in verdicts)
    return right / faulty, right / raised


def test_recall_and_precision_over_the_corpus() -> None:
    sourced = [entry for entry in entries(*CORPUS) if entry["origin"] == "sourced"]
    assert figures(sourced) == (1.0, 1.0)
    assert figures(entries(*CORPUS)) == (1.0, 1.0)


def test_the_part_written_before_the_rules_by_itself() -> None:
    assert figures(entries("before")) == (1.0, 1.0)


def test_every_class_has_a_line_in_the_corpus() -> None:
    assert {entry["class"] for entry in entries(*CORPUS)} == {*BY_ID, BENIGN}


@pytest.mark.parametrize("entry", entries(*CORPUS), ids=lambda entry: str(entry["text"])[:60])
def test_the_device_of_a_line_is_read(entry: Entry) -> None:
    if "bdf" in entry:
        assert seen(entry)[1] == entry["bdf"]


@pytest.mark.parametrize(
    "shape",
    [
        "[ 8390.785329] {}",
        "[ 8390.785329][  T123] {}",
        "<3>[ 8390.785329] {}",
        "3,1412,8390785329,-;{}",
        "kern  :err   : [ 8390.785329] {}",
        "kern  :err   : 2026-02-11T08:30:12,101010+01:00 {}",
        "2026-02-11T08:30:12,101010+01:00 {}",
        "[Wed Feb 11 07:30:12 2026] {}",
        "2026-02-11T08:30:12+0100 gpu07 kernel: {}",
        "2026-02-11T07:30:12.101010+00:00 gpu07 kernel: [ 8390.785329] {}",
        "Feb 11 07:30:12 gpu07 kernel: {}",
        "Feb 11 07:30:12 gpu07 kernel: [ 8390.785329] {}",
        "{}",
    ],
)
def test_every_shape_of_line_gives_the_same_message(shape: str) -> None:
    text = "amdgpu 0000:0f:00.0: amdgpu: GPU reset begin!"
    boot_ns = int(datetime(2026, 2, 11, 5, 10, 21, tzinfo=UTC).timestamp()) * 10**9
    (line,) = parse(shape.format(text), now_ns=NOW_NS, boot_ns=boot_ns)
    assert line.text == text
    if shape != "{}":
        assert line.at_ns is not None
        at = datetime.fromtimestamp(line.at_ns / 1e9, UTC)
        assert at.strftime("%Y-%m-%d %H:%M") == "2026-02-11 07:30"


def test_a_level_is_read_where_the_line_has_one() -> None:
    text = "kern  :crit  : [ 1.000001] x\n<4>[ 1.000001] x\n2,1,1000001,-;x\n[ 1.000001] x"
    assert [line.level for line in parse(text)] == ["crit", "warn", "crit", ""]


def test_a_stamp_without_a_year_is_never_in_the_future() -> None:
    (december,) = parse("Dec 30 10:00:00 gpu07 kernel: x", now_ns=NOW_NS)
    assert december.at_ns is not None
    assert datetime.fromtimestamp(december.at_ns / 1e9, UTC).year == 2025


def test_other_programs_in_a_system_log_are_left_out() -> None:
    text = "Feb 11 10:20:30 gpu07 python3[4711]: GPU reset begin!\nFeb 11 10:20:31 gpu07 kernel: fine"
    assert [line.text for line in parse(text, now_ns=NOW_NS)] == ["fine"]


def test_only_the_current_boot_counts() -> None:
    log = "[ 9000.1] amdgpu: GPU reset begin!\n[ 0.0] Linux version 5.15.0 (b@c)\n[ 12.1] all is well"
    assert [line.text for line in since_boot(parse(log))] == ["Linux version 5.15.0 (b@c)", "all is well"]


def test_escape_sequences_do_not_survive() -> None:
    (line,) = parse(b"[ 1.0] \x1b[31mamdgpu\x1b[0m: \x9bGPU reset begin!\x07")
    assert "\x1b" not in line.text + line.raw
    assert "\x07" not in line.text + line.raw


def log(*texts: str) -> list[KernelLine]:
    return [KernelLine(text=text, raw=text, at_ns=index * 10**9) for index, text in enumerate(texts)]


def test_faults_are_grouped_by_class_and_device() -> None:
    found = faults(
        log(
            "amdgpu 0000:0f:00.0: amdgpu: GPU reset begin!",
            "amdgpu 0000:2f:00.0: amdgpu: GPU reset begin!",
            "amdgpu 0000:0f:00.0: amdgpu: GPU reset(1) succeeded!",
            "amdgpu 0000:0f:00.0: amdgpu: GPU reset begin!",
        )
    )
    assert [(item.key, item.count) for item in found] == [
        ("gpu-reset@0000:0f:00.0", 2),
        ("gpu-reset@0000:2f:00.0", 1),
    ]
    assert (found[0].first.at_ns, found[0].last.at_ns) == (0, 3 * 10**9)


def test_what_is_older_than_asked_for_is_left_out_and_what_cannot_be_dated_is_not() -> None:
    lines = log("amdgpu: GPU reset begin!", "x", "amdgpu 0000:0f:00.0: device lost from bus!")
    undated = KernelLine(text="ACPI Error: x", raw="")
    assert [item.rule.id for item in faults([*lines, undated], since_ns=10**9)] == ["gpu-lost", "acpi"]


def test_the_span_of_a_log_is_told() -> None:
    assert span(log("a", "b")) == "1970-01-01 00:00 to 1970-01-01 00:00 UTC"
    assert span([KernelLine(text="a", raw="a")]) == "1 lines without times"


def test_shared_excerpts_of_real_faults_are_found(shared: Path) -> None:
    text = (shared / "fixtures/dmesg/instinct_issue_excerpts.log").read_text("utf-8")
    lines = parse("\n".join(line for line in text.splitlines() if not line.startswith("#")))
    found = Counter(rule.id for line in lines if (rule := classify(line)) is not None)
    assert found == {
        "ras-athub": 2,
        "ras-aca": 1,
        "gpu-init": 6,
        "gpu-discovery": 2,
        "gpu-reset": 2,
        "gpu-hang": 1,
        "gpu-queues": 1,
    }


def test_the_shared_sample_of_the_scraper_is_read(shared: Path) -> None:
    text = (shared / "fixtures/dmesg/nodescraper_dmesg_sample.log").read_text("utf-8")
    found = {(item.rule.id, item.bdf): item.count for item in faults(parse(text))}
    assert found == {
        ("ras-poison", "0000:01:00.0"): 2,
        ("ras-bad-pages", "0000:02:00.0"): 1,
        ("ras-aca", "0000:03:00.0"): 1,
        ("platform-error", ""): 1,
        ("iommu-fault", "0000:00:14.0"): 1,
        ("kernel-warning", ""): 1,
        ("acpi", ""): 1,
    }


def test_states_follow_what_is_known_of_the_classes() -> None:
    warnings = {rule.id for rule in BY_ID.values() if rule.state is State.WARN}
    assert warnings >= {"ras-correctable", "ras-deferred", "gpu-throttled", "gpu-queues", "acpi", "rt-throttling"}
    assert not warnings & {"ras-uncorrectable", "gpu-reset", "gpu-init", "pcie-fatal", "ras-bad-pages"}
