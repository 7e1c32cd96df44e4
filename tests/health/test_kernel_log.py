"""Kernel-log lines are told apart: faults by class and device, and what only looks like one."""

import importlib
import re
import tomllib
from collections import Counter
from pathlib import Path
from typing import Any

import pytest

from console.fleet.probe.kernel_log import kernel_lines
from console.health.kernel_log import BY_ID, RULES, KernelRule, classify, device_of, faults, span
from console.model.facts import KernelLine
from console.model.finding import State
from console.model.text import clean

DATA = Path(__file__).parents[1] / "data" / "kernel_log"
BENIGN = "benign"
CORPUS = ("before", "after", "reports")

Entry = dict[str, Any]


def entries(*files: str) -> list[Entry]:
    return [entry for file in files for entry in tomllib.loads((DATA / f"{file}.toml").read_text("utf-8"))["line"]]


def parse(text: str) -> list[KernelLine]:
    """As the probe reads them."""
    return kernel_lines(clean(text).splitlines())


def seen(entry: Entry) -> tuple[str, str]:
    lines = parse(entry["text"])
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
def test_a_fault_is_found_in_every_shape_of_line(shape: str) -> None:
    (fault,) = faults(parse(shape.format("amdgpu 0000:0f:00.0: amdgpu: GPU reset begin!")))
    assert (fault.rule.id, fault.bdf) == ("gpu-reset", "0000:0f:00.0")
    assert faults(parse(shape.format("amdkcl: loading out-of-tree module taints kernel."))) == ()


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


def wordings(rule: KernelRule) -> list[str]:
    """Every alternative of a class's pattern, written as short as it may be."""
    parsed = importlib.import_module("re._parser").parse(rule.pattern.pattern, re.IGNORECASE)
    return [text for text in _texts(parsed) if rule.pattern.search(text)]


def _texts(parsed: Any) -> list[str]:
    texts = [""]
    for kind, value in parsed:
        match str(kind):
            case "LITERAL":
                parts = [chr(value)]
            case "BRANCH":
                parts = [text for branch in value[1] for text in _texts(branch)]
            case "SUBPATTERN":
                parts = _texts(value[3])
            case "MAX_REPEAT":  # of `.*` one blank, so that words stay words
                parts = [" "] if str(value[2][0][0]) == "ANY" else _texts(value[2]) if value[0] else [""]
            case "IN":
                parts = [_one_of(value)]
            case _:
                parts = [""]
        texts = [text + part for text in texts for part in dict.fromkeys(parts)]
    return texts


def _one_of(members: Any) -> str:
    kind, value = members[0]
    samples = {"CATEGORY_DIGIT": "7", "CATEGORY_SPACE": " ", "CATEGORY_NOT_SPACE": "q", "CATEGORY_WORD": "q"}
    return {"LITERAL": lambda: chr(value), "CATEGORY": lambda: samples[str(value)]}.get(str(kind), lambda: "0")()


@pytest.mark.parametrize("rule", RULES, ids=lambda rule: rule.id)
def test_no_wording_of_a_class_is_passed_over_in_a_log_without_levels(rule: KernelRule) -> None:
    texts = wordings(rule)
    assert texts
    assert [text for text in texts if classify(KernelLine(text=text, raw=text)) is None] == []
