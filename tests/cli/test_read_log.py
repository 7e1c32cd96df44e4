"""`read-log` reads a log made by hand as a run would read it."""

import io
import json
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from tests.cli.conftest import RunCli

DATA = Path(__file__).parents[1] / "data" / "vllm"


def test_phases_samples_and_figures_of_a_real_log(cli: "RunCli") -> None:
    log, result = DATA / "0.8.5" / "latency_bs4.stdout", DATA / "0.8.5" / "latency_bs4.json"

    done = cli("read-log", "vllm-latency", log, "--result", result, "--json")

    found = json.loads(done.out)
    independent = json.loads(result.read_text())["avg_latency"]
    headline = [v for v in found["result"]["values"] if v["metric"] == "latency_s" and "iteration" not in v]
    assert done.code == 0
    assert found["failure"] is None
    assert independent in [pytest.approx(value["value"]) for value in headline]


def test_the_log_may_come_over_stdin(cli: "RunCli", monkeypatch: pytest.MonkeyPatch) -> None:
    raw = (DATA / "0.32.0" / "throughput_uni.stdout").read_bytes()
    monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(raw)))

    done = cli("read-log", "vllm-throughput", "-")

    assert done.code == 0
    assert "output_tokens_per_s" in done.out


def test_a_log_with_docker_timestamps_keeps_its_times(cli: "RunCli") -> None:
    done = cli("read-log", "vllm-latency", DATA / "0.8.5" / "latency_bs4.dockerlogs_ts.txt", "--json")

    times = [phase["at_ns"] for phase in json.loads(done.out)["phases"]]
    assert times
    assert min(times) > 1_600_000_000 * 10**9
    assert times == sorted(times)


def test_a_failed_log_ends_with_one_and_names_the_class(cli: "RunCli", tmp_path: Path) -> None:
    log = tmp_path / "bench.log"
    log.write_text("INFO 05-27 10:00:00 [x.py:1] start\ntorch.OutOfMemoryError: HIP out of memory. Tried 2 GiB\n")

    done = cli("read-log", "vllm-throughput", log)

    assert done.code == 1
    assert "out_of_memory_gpu" in done.out
    assert (
        json.loads(cli("read-log", "vllm-throughput", log, "--json").out)["failure"]["failure"] == "out_of_memory_gpu"
    )


def test_an_empty_log_has_no_result(cli: "RunCli", tmp_path: Path) -> None:
    (tmp_path / "empty.log").write_bytes(b"")

    assert cli("read-log", "vllm-throughput", tmp_path / "empty.log").code == 1
