"""Completions know matrices, profiles, hosts, groups and workloads, and never break the shell's line."""

import os
import subprocess
import sys
from pathlib import Path

import pytest


def completed(words: str) -> list[str]:
    code = "from console.cli.main import run; import sys; sys.exit(run([]))"
    env = {**os.environ, "_INSTINCT_COMPLETE": "bash_complete", "COMP_WORDS": words}
    env["COMP_CWORD"] = str(len(words.split(" ")) - 1)
    done = subprocess.run([sys.executable, "-c", code], env=env, text=True, capture_output=True, timeout=60)
    assert done.stderr == ""
    return [line.partition(",")[2] for line in done.stdout.splitlines() if line]


@pytest.mark.parametrize(
    ("words", "wanted"),
    [
        ("instinct pl", {"plan"}),
        ("instinct plan vllm-", {"vllm-0.8.5-latency", "vllm-0.8.5-throughput"}),
        ("instinct plan x --hosts node", {"node01", "node02"}),
        ("instinct hosts test @", {"@rack2"}),
        ("instinct profiles show mi325", {"mi325x-2x9654"}),
        ("instinct read-log vllm-", {"vllm-throughput", "vllm-latency", "vllm-serve"}),
        ("instinct watch la", {"last"}),
    ],
)
def test_what_can_be_named_is_completed(fleet_file: Path, words: str, wanted: set[str]) -> None:
    assert set(completed(words)) == wanted


def test_a_broken_fleet_file_completes_nothing(fleet_file: Path) -> None:
    fleet_file.write_text("[hosts", encoding="utf-8")

    assert completed("instinct hosts test n") == []
