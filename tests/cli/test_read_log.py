"""`read-log` reads a log made by hand as a run would read it."""

import io
import json
import re
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from console.catalog.shelf import shipped_folder

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


def test_a_result_file_of_another_run_is_told_apart(cli: "RunCli", tmp_path: Path) -> None:
    other = tmp_path / "other.json"
    other.write_text(json.dumps({"avg_latency": 99.0, "latencies": [99.0], "percentiles": {"50": 99.0}}))

    done = cli("read-log", "vllm-latency", DATA / "0.8.5" / "latency_bs4.stdout", "--result", other)

    assert done.code == 1
    assert "result_mismatch" in done.out


def test_a_log_of_ones_own_program_is_read_by_the_row_it_belongs_to(cli: "RunCli", tmp_path: Path) -> None:
    example = shipped_folder() / "examples" / "own-program"
    log = tmp_path / "own.log"
    log.write_text("# Out of bounds values : 0 OK\n# Avg bus bandwidth    : 176.227\n")

    bare = cli("read-log", "command", log, "--profiles", example)
    named = cli("read-log", "command", log, "--profiles", example, "--cell", "rccl-bandwidth/all-reduce-1n")
    wrong = cli("read-log", "command", log, "--profiles", example, "--cell", "rccl-bandwidth/all-reduce-2n")
    other = cli("read-log", "flux", log, "--profiles", example, "--cell", "rccl-bandwidth/all-reduce-1n")

    assert bare.code == 2
    assert "--cell MATRIX/CELL" in bare.err
    assert named.code == 0
    assert re.search(r"result .*bus_gb_per_s +176\.2 GB/s", named.out)
    assert (wrong.code, other.code) == (2, 2)
    assert "did you mean all-reduce-1n?" in wrong.err
    assert "is a row of command, not of flux" in other.err


def test_a_rows_log_is_that_of_the_node_which_prints_the_figures(cli: "RunCli", tmp_path: Path) -> None:
    log = tmp_path / "last.log"
    log.write_text(
        "".join(
            f" iteration {number}/ 50 | elapsed time per iteration (ms): 11000.0 | throughput per GPU (TFLOP/s/GPU): "
            "690.0 | global batch size: 256 | lm loss: 7.2E+00 | number of nan iterations: 0 |\n"
            for number in range(1, 51)
        )
    )

    cell = "megatron-25.5-llama/llama-3.1-8b-fp8-2n-mbs2-gbs256-s8192"
    done = cli("read-log", "megatron-llama", log, "--cell", cell, "--json")

    assert done.code == 0, done.out
    result = json.loads(done.out)["result"]
    tokens = [v["value"] for v in result["values"] if v["metric"] == "tokens_per_s_per_gpu" and "iteration" not in v]
    assert tokens == [pytest.approx(256 * 8192 / 11.0 / 16)]
    assert [reason["reason"] for reason in result["reasons"]] == ["network_unknown"]
