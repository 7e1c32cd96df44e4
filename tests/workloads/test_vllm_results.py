"""Figures of throughput, latency and serving runs, held against each other and against the captured runs' own files."""

import json
from collections.abc import Callable, Mapping
from typing import Any

import pytest

from console.model.attempt import FailureClass as F
from console.model.attempt import LogFrame, Validity

Data = Callable[[str], bytes]
Read = Callable[..., Any]
MakeCell = Callable[..., Any]

THROUGHPUT = (
    b"Throughput: 8.00 requests/s, 18432.00 total tokens/s, 16384.00 output tokens/s\n"
    b"Total num prompt tokens:  409600\nTotal num output tokens:  3276800\n"
)
THROUGHPUT_FILE = {
    "elapsed_time": 200.0,
    "num_requests": 1600,
    "total_num_tokens": 3686400,
    "requests_per_second": 8.0,
    "tokens_per_second": 18432.0,
}
ROW = {"tensor_parallel": 8, "input_len": 256, "output_len": 2048, "num_prompts": 1600, "max_num_seqs": 1600}


def changed(base: Mapping[str, Any], **values: object) -> bytes:
    return json.dumps({**base, **values}, indent=4).encode()


@pytest.mark.parametrize("name", ["0.8.5/throughput", "0.32.0/throughput_uni"])
def test_output_tokens_per_second_are_counted_tokens_over_the_elapsed_time(name: str, data: Data, read: Read) -> None:
    file = json.loads(data(f"{name}.json"))
    lines = data(f"{name}.stdout").decode().splitlines()
    counted = int(next(line for line in lines if line.startswith("Total num output")).split(":")[1])
    frames = [LogFrame(50_000_000_000, 1, data(f"{name}.stdout")), LogFrame(60_000_000_000, 2, data(f"{name}.stderr"))]
    got = read("vllm-throughput", frames, result=data(f"{name}.json"), exit_code=0)
    assert got.result.failure is None
    assert got.result.value() == counted / file["elapsed_time"]
    assert got.value("total_tokens_per_s") == pytest.approx(file["tokens_per_second"])
    assert got.value("output_tokens") == counted
    assert got.value("elapsed_s") == file["elapsed_time"]
    assert got.result.engine_version is not None
    assert name.startswith(got.result.engine_version.removesuffix(".post2"))
    assert got.result.engine == ("V0" if name.startswith("0.8") else "V1")
    assert got.result.measured_to_ns - got.result.measured_from_ns == round(file["elapsed_time"] * 1e9)
    assert got.result.reasons == ()


def test_live_samples_of_the_real_run_are_its_stat_lines(data: Data, read: Read) -> None:
    got = read("vllm-throughput", data("0.8.5/throughput.stdout"))
    assert [sample.rate for sample in got.stat_lines()] == [5394.5, 5391.4, 4787.4, 3834.7, 4060.1]
    assert [sample.running for sample in got.stat_lines()] == [300, 300, 300, 299, 295]


def test_a_log_made_by_hand_needs_no_cell_and_no_file(data: Data, read: Read) -> None:
    merged = data("0.8.5/throughput.stderr") + data("0.8.5/throughput.stdout")
    got = read("vllm-throughput", merged)
    assert got.result.failure is None
    assert got.result.value() == 4687.68
    assert [phase.value for phase in got.phases] == ["loading", "measuring", "finished"]


def test_the_output_of_docker_logs_with_time_stamps_is_read_with_its_times(data: Data, read: Read) -> None:
    got = read("vllm-throughput", [LogFrame(0, 1, data("0.8.5/throughput.dockerlogs_ts.txt"))])
    assert got.result.value() is not None
    assert got.phases[0].value == "starting"
    assert got.result.measured_to_ns > got.result.measured_from_ns > 1_700_000_000_000_000_000


def test_scripts_without_counts_give_their_printed_output_figure(read: Read, make_cell: MakeCell) -> None:
    line = THROUGHPUT.splitlines(keepends=True)[0]
    cell = make_cell("vllm-throughput", **ROW)
    got = read("vllm-throughput", line, cell=cell, result=changed(THROUGHPUT_FILE), exit_code=0)
    assert got.result.failure is None
    assert got.result.value() == 16384.0


def test_the_single_figure_of_old_releases_is_the_total_and_no_output_figure(read: Read, make_cell: MakeCell) -> None:
    line = b"Throughput: 8.00 requests/s, 18432.00 tokens/s\n"
    cell = make_cell("vllm-throughput", **ROW)
    got = read("vllm-throughput", line, cell=cell, result=changed(THROUGHPUT_FILE), exit_code=0)
    assert got.result.value() is None
    assert got.result.failure.failure == F.NO_RESULT
    assert "only total tokens/s" in got.result.failure.line
    assert got.value("total_tokens_per_s") == 18432.0
    assert read("vllm-throughput", line).result.failure.line == got.result.failure.line


@pytest.mark.parametrize(
    "file",
    [
        {"elapsed_time": 210.0},
        {"tokens_per_second": 16384.0},
        {"total_num_tokens": 3276800},
        {"num_requests": 3200},
        {"elapsed_time": 0.0},
    ],
)
def test_a_program_that_contradicts_itself_has_no_valid_figure(file: object, read: Read, make_cell: MakeCell) -> None:
    assert isinstance(file, dict)
    cell = make_cell("vllm-throughput", **ROW)
    got = read("vllm-throughput", THROUGHPUT, cell=cell, result=changed(THROUGHPUT_FILE, **file), exit_code=0)
    assert got.result.failure.failure == F.RESULT_MISMATCH
    assert " against " in got.result.failure.line or "elapsed time" in got.result.failure.line


def test_a_difference_within_one_per_cent_is_rounding(read: Read, make_cell: MakeCell) -> None:
    cell = make_cell("vllm-throughput", **ROW)
    file = changed(THROUGHPUT_FILE, elapsed_time=201.0)
    got = read("vllm-throughput", THROUGHPUT, cell=cell, result=file, exit_code=0)
    assert got.result.failure is None
    assert got.result.value() == 3276800 / 201.0


@pytest.mark.parametrize(
    ("file", "failure", "words"),
    [
        (None, F.NO_RESULT, "no result file"),
        (b"", F.BAD_RESULT, "is empty"),
        (changed(THROUGHPUT_FILE)[:60], F.BAD_RESULT, "is cut off"),
        (b"Traceback", F.BAD_RESULT, "is not JSON"),
        (b"[1, 2]", F.BAD_RESULT, "is not a JSON object"),
        (b"{}", F.BAD_RESULT, "has no usable elapsed_time"),
        (changed(THROUGHPUT_FILE, elapsed_time="fast"), F.BAD_RESULT, "has no usable elapsed_time"),
        (changed(THROUGHPUT_FILE, elapsed_time=float("nan")), F.BAD_RESULT, "has no usable elapsed_time"),
        (changed(THROUGHPUT_FILE, elapsed_time=True), F.BAD_RESULT, "has no usable elapsed_time"),
        (changed(THROUGHPUT_FILE, elapsed_time=10**400), F.BAD_RESULT, "has no usable elapsed_time"),
        (b"\xff\xfe\x00", F.BAD_RESULT, "is not JSON"),
    ],
)
def test_a_result_file_of_no_use_is_a_failure_and_loses_nothing_printed(
    file: bytes | None, failure: F, words: str, read: Read, make_cell: MakeCell
) -> None:
    cell = make_cell("vllm-throughput", **ROW)
    got = read("vllm-throughput", THROUGHPUT, cell=cell, result=file, exit_code=0)
    assert got.result.failure.failure == failure
    assert words in got.result.failure.line
    assert got.value("output_tokens_per_s") == 16384.0


def test_the_log_shows_a_better_cause_than_a_missing_file(read: Read, make_cell: MakeCell) -> None:
    cell = make_cell("vllm-throughput", **ROW)
    log = b"torch.OutOfMemoryError: HIP out of memory. Tried to allocate 2.00 GiB.\n"
    assert read("vllm-throughput", log, cell=cell, exit_code=1).result.failure.failure == F.OUT_OF_MEMORY_GPU
    assert read("vllm-throughput", log, cell=cell, exit_code=0).result.failure.failure == F.OUT_OF_MEMORY_GPU
    assert read("vllm-throughput", b"", cell=cell, exit_code=137).result.failure.failure == F.KILLED
    assert read("vllm-throughput", b"", cell=cell, exit_code=0).result.failure.failure == F.NO_RESULT


def test_what_a_stopped_program_cries_is_not_why_it_ended(read: Read) -> None:
    log = b"INFO hello\nTraceback (most recent call last):\nValueError: I/O operation on closed file\n"
    assert read("vllm-throughput", log, exit_code=143).result.failure.failure == F.STOPPED
    assert read("vllm-throughput", log, exit_code=1).result.failure.failure == F.PYTHON_ERROR


def test_a_bad_exit_after_the_figures_keeps_them(read: Read, make_cell: MakeCell) -> None:
    cell = make_cell("vllm-throughput", **ROW)
    got = read("vllm-throughput", THROUGHPUT, cell=cell, result=changed(THROUGHPUT_FILE), exit_code=139)
    assert got.result.failure.failure == F.UNKNOWN
    assert got.result.value() == 16384.0


def test_an_error_a_finished_run_survived_is_no_failure(read: Read, make_cell: MakeCell) -> None:
    cell = make_cell("vllm-throughput", **ROW)
    log = b"ValueError: not used\n" + THROUGHPUT
    got = read("vllm-throughput", log, cell=cell, result=changed(THROUGHPUT_FILE), exit_code=0)
    assert got.result.failure is None
    assert [symptom.line for symptom in got.symptoms] == ["ValueError: not used"]


def test_the_same_object_written_by_several_ranks_is_read_once(read: Read, make_cell: MakeCell) -> None:
    cell = make_cell("vllm-throughput", **ROW)
    dirty = changed(THROUGHPUT_FILE) * 3 + b'"tokens_per'
    got = read("vllm-throughput", THROUGHPUT, cell=cell, result=dirty, exit_code=0)
    assert got.result.failure is None
    assert got.result.value() == 16384.0


def test_few_counted_output_tokens_are_a_reason(read: Read, make_cell: MakeCell) -> None:
    log = THROUGHPUT.replace(b"3276800", b"2949120").replace(b"16384.00", b"14745.60")
    cell = make_cell("vllm-throughput", **ROW)
    file = changed(THROUGHPUT_FILE, total_num_tokens=3358720, tokens_per_second=16793.6)
    log = log.replace(b"18432.00", b"16793.60")
    got = read("vllm-throughput", log, cell=cell, result=file, exit_code=0)
    assert got.result.failure is None
    assert [reason.reason for reason in got.result.reasons] == [Validity.OUTPUT_SHORT]
    assert got.result.reasons[0].detail == "2949120 output tokens were counted, 3276800 were asked for"


def test_without_a_cell_the_log_says_what_was_asked_for(data: Data, read: Read) -> None:
    log = data("0.8.5/throughput.stdout").replace(b"output tokens:  119837", b"output tokens:  80000")
    [reason] = read("vllm-throughput", log).result.reasons
    assert (reason.reason, reason.spoils) == (Validity.OUTPUT_SHORT, True)
    assert reason.detail.endswith("120000 were asked for")


def test_pressure_and_cached_prompts_are_reasons(read: Read) -> None:
    log = (
        b"WARNING 05-21 10:00:00 [s.py:1] Sequence group 12 is preempted by PreemptionMode.RECOMPUTE mode because "
        b"there is not enough KV cache space. total_num_cumulative_preemption=51\n"
        b"NCCL WARN NUMA auto balancing enabled which can lead to variability in the RCCL performance! Disable by\n"
        b"INFO 06-16 10:03:14 [loggers.py:87] Engine 000: Avg prompt throughput: 1.0 tokens/s, Avg generation "
        b"throughput: 29.2 tokens/s, Running: 10 reqs, Waiting: 4 reqs, GPU KV cache usage: 57.9%, "
        b"Prefix cache hit rate: 40.5%\n"
    ) + THROUGHPUT
    reasons = {reason.reason: reason for reason in read("vllm-throughput", log).result.reasons}
    assert set(reasons) == {Validity.PREEMPTED, Validity.PREFIX_CACHE_HITS, Validity.NUMA_BALANCING_ON}
    assert reasons[Validity.PREFIX_CACHE_HITS].spoils
    assert not reasons[Validity.PREEMPTED].spoils


@pytest.mark.parametrize("version", ["0.8.5", "0.32.0"])
def test_latency_is_the_mean_of_the_iterations_all_of_which_are_kept(version: str, data: Data, read: Read) -> None:
    file = json.loads(data(f"{version}/latency_bs4.json"))
    frames = [
        LogFrame(9, 1, data(f"{version}/latency_bs4.stdout")),
        LogFrame(9, 2, data(f"{version}/latency_bs4.stderr")),
    ]
    got = read("vllm-latency", frames, result=data(f"{version}/latency_bs4.json"), exit_code=0)
    assert got.result.failure is None
    assert got.result.value() == pytest.approx(sum(file["latencies"]) / 5, rel=1e-12)
    assert got.result.value() == pytest.approx(file["avg_latency"], rel=1e-12)
    kept = {v.iteration: v.value for v in got.result.values if v.iteration is not None}
    assert kept == dict(enumerate(file["latencies"]))
    assert got.value("latency_s", "p99") == file["percentiles"]["99"]
    assert [sample.done for sample in got.samples if sample.counts == "iterations"] == [0, 1, 2, 3, 4, 5]


def test_latency_from_a_log_alone(data: Data, read: Read) -> None:
    got = read("vllm-latency", data("0.8.5/latency_bs4.stdout") + data("0.8.5/latency_bs4.stderr"))
    assert got.result.value() == json.loads(data("0.8.5/latency_bs4.json"))["avg_latency"]
    assert got.value("latency_s", "p50") == pytest.approx(0.13139038700001038)


LATENCY_FILE = {"avg_latency": 2.0, "latencies": [1.0, 2.0, 3.0, 2.0, 2.0], "percentiles": {"50": 2.0, "odd": "x"}}
LATENCY_ROW = {"tensor_parallel": 8, "batch_size": 1, "input_len": 128, "output_len": 2048}


@pytest.mark.parametrize(
    ("file", "failure"),
    [
        (changed(LATENCY_FILE), None),
        (changed(LATENCY_FILE, avg_latency=2.5), F.RESULT_MISMATCH),
        (changed(LATENCY_FILE, avg_latency=2000.0), F.RESULT_MISMATCH),
        (changed(LATENCY_FILE, latencies=[2.0, 2.0]), F.RESULT_MISMATCH),
        (changed(LATENCY_FILE, latencies=[]), F.BAD_RESULT),
        (changed(LATENCY_FILE, latencies=[1.0, "2"]), F.BAD_RESULT),
        (changed(LATENCY_FILE, latencies=[-1.0, 2.0, 3.0, 4.0, 2.0]), F.BAD_RESULT),
        (None, F.NO_RESULT),
    ],
)
def test_latency_files_are_held_against_themselves_and_the_row(
    file: bytes | None, failure: F | None, read: Read, make_cell: MakeCell
) -> None:
    cell = make_cell("vllm-latency", metric="latency_s", **LATENCY_ROW)
    got = read("vllm-latency", b"Avg latency: 2.0 seconds\n", cell=cell, result=file, exit_code=0)
    assert (got.result.failure.failure if got.result.failure else None) == failure
    assert got.result.value() is not None


SERVE = [
    ("0.8.5/bench_inf.stdout", "0.8.5/bench_inf.json", 100),
    ("0.32.0/bench.stdout", "0.32.0/bench_inf_c16.json", 100),
]


@pytest.mark.parametrize(("log", "name", "requests"), SERVE)
def test_serving_figures_are_the_files_own_in_seconds(
    log: str, name: str, requests: int, data: Data, read: Read
) -> None:
    file = json.loads(data(name))
    got = read("vllm-serve", data(log), part="client", result=data(name), exit_code=0)
    assert got.result.failure is None
    assert got.result.value() == pytest.approx(file["total_output_tokens"] / file["duration"], rel=1e-12)
    assert got.value("ttft_s", "mean") == file["mean_ttft_ms"] / 1000
    assert got.value("tpot_s", "p99") == file["p99_tpot_ms"] / 1000
    assert got.value("itl_s", "median") == file["median_itl_ms"] / 1000
    assert got.value("e2el_s", "std") == file["std_e2el_ms"] / 1000
    assert got.value("requests") == requests
    assert got.value("failed_requests") == 0
    assert got.value("requests_per_s") == file["request_throughput"]
    assert got.result.reasons == ()


@pytest.mark.parametrize(("log", "name", "requests"), SERVE)
def test_serving_figures_from_the_table_alone(log: str, name: str, requests: int, data: Data, read: Read) -> None:
    file = json.loads(data(name))
    got = read("vllm-serve", data(log))
    assert got.result.failure is None
    assert got.result.value() == pytest.approx(file["output_throughput"], abs=0.005)
    assert got.value("total_tokens_per_s") == pytest.approx(file["total_token_throughput"], abs=0.005)
    assert got.value("ttft_s", "p99") == pytest.approx(file["p99_ttft_ms"] / 1000, abs=0.000006)
    assert got.value("failed_requests") == 0


def test_a_run_at_a_given_rate_is_read_too(data: Data, read: Read) -> None:
    got = read("vllm-serve", b"", part="client", result=data("0.32.0/bench_rate4.json"), exit_code=0)
    assert got.result.value() == pytest.approx(json.loads(data("0.32.0/bench_rate4.json"))["output_throughput"])


SERVE_ROW = {"tensor_parallel": 1, "input_len": 128, "output_len": 64, "num_prompts": 120, "max_num_seqs": 16}


def test_failed_requests_are_a_reason_even_where_the_file_does_not_count_them(
    data: Data, read: Read, make_cell: MakeCell
) -> None:
    cell = make_cell("vllm-serve", **SERVE_ROW)
    file = json.loads(data("0.8.5/bench_inf.json"))
    del file["num_prompts"]
    got = read("vllm-serve", b"", part="client", cell=cell, result=json.dumps(file).encode(), exit_code=0)
    assert [(reason.reason, reason.spoils) for reason in got.result.reasons] == [(Validity.FAILED_REQUESTS, True)]
    assert got.value("failed_requests") == 20


def test_no_answered_request_is_no_result(data: Data, read: Read) -> None:
    file = {**json.loads(data("0.32.0/bench_inf_c16.json")), "completed": 0, "failed": 100, "total_output_tokens": 0}
    file["output_throughput"] = 0.0
    got = read("vllm-serve", b"", part="client", result=json.dumps(file).encode(), exit_code=0)
    assert got.result.failure.failure == F.NO_RESULT


def test_a_client_whose_table_contradicts_its_file_has_no_valid_figure(data: Data, read: Read) -> None:
    file = {**json.loads(data("0.8.5/bench_inf.json")), "duration": 5.0}
    log = data("0.8.5/bench_inf.stdout")
    got = read("vllm-serve", log, part="client", result=json.dumps(file).encode(), exit_code=0)
    assert got.result.failure.failure == F.RESULT_MISMATCH


@pytest.mark.parametrize("code", [0, 143, 137, None])
def test_a_server_we_stopped_decides_nothing(code: int | None, data: Data, read: Read) -> None:
    got = read("vllm-serve", data("0.8.5/server.stdout"), part="server", exit_code=code)
    assert got.result.failure is None
    assert got.result.values == ()
    assert [phase.value for phase in got.phases] == [
        "starting",
        "loading",
        "warming up",
        "ready",
        "measuring",
        "finished",
    ]
    assert [sample.rate for sample in got.stat_lines()] == [0.1, 600.1]


def test_a_server_that_broke_says_why(read: Read) -> None:
    log = b"OSError: [Errno 98] Address already in use\n"
    got = read("vllm-serve", log, part="server", exit_code=1)
    assert got.result.failure.failure == F.PORT_IN_USE
    assert read("vllm-serve", b"", part="server", exit_code=1).result.failure.failure == F.UNKNOWN


def test_a_servers_log_made_by_hand_is_taken_for_one(data: Data, read: Read) -> None:
    got = read("vllm-serve", data("0.32.0/serve.stdout"))
    assert got.result.failure is None
    assert (got.result.engine, got.result.engine_version) == ("V1", "0.32.0")
    assert got.phases[-1].value == "finished"


def test_text_that_users_sent_to_a_server_is_not_read(read: Read) -> None:
    log = b"INFO 11-22 22:22:26 [logger.py:39] Received request cmpl-1: prompt: 'Throughput: HIP out of memory'\n"
    log += b"Received request cmpl-2: prompt: 'torch.OutOfMemoryError: HIP out of memory. Tried'\n"
    got = read("vllm-serve", log, part="server", exit_code=0)
    assert got.signals == ()
