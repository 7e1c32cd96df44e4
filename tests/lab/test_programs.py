"""What the played programs print, refuse and leave behind."""

import argparse
import json
import random
import re
from collections.abc import Callable
from pathlib import Path

import pytest

from console.lab import hub, programs, rates
from console.lab.acts import Exit, Say, Surroundings, Wait
from console.lab.clock import Clock
from console.lab.files import Files, MountPoint
from console.lab.logs import STDERR, STDOUT
from console.lab.releases import version
from console.lab.specs import KINDS

MODEL = "amd/Llama-3.1-70B-Instruct-FP8-KV"
SCRIPTS = "/app/vllm/benchmarks"
COMMON = (
    "--distributed-executor-backend mp --dtype float16 --gpu-memory-utilization 0.9 --trust-remote-code "
    "--quantization fp8 --kv-cache-dtype fp8 --tensor-parallel-size 8 --output-json /tmp/o.json --model " + MODEL
)
V0 = "--num-scheduler-steps 10 --max-model-len 8192 --max-num-batched-tokens 131072 --max-seq-len-to-capture 131072"
SHAPE = "--input-len 128 --output-len 2048 --num-prompts 3200 --max-num-seqs 3200"
THROUGHPUT = f"python3 {SCRIPTS}/benchmark_throughput.py {COMMON} {V0} {SHAPE}"
LATENCY = (
    f"python3 {SCRIPTS}/benchmark_latency.py {COMMON} --batch-size 8 --input-len 128 --output-len 2048 "
    "--num-iters-warmup 3 --num-iters 5"
)
STAT = re.compile(
    r"Avg prompt throughput: ([\d.]+) tokens/s, Avg generation throughput: ([\d.]+) tokens/s, Running: (\d+) reqs,"
    r".*?(?:Pending|Waiting): (\d+) reqs.*?KV cache usage: ([\d.]+)%"
)


class Played:
    """One play to its end: bytes by stream, exit code, simulated seconds, files."""

    def __init__(self, around: Surroundings, most_s: float = 1e6) -> None:
        program = programs.find(around)
        assert program is not None
        self.out, self.err, self.code, self.took = b"", b"", 0, 0.0
        for act in program:
            if isinstance(act, Wait):
                self.took += act.s
                if self.took > most_s:
                    break
            elif isinstance(act, Say):
                if act.stream == STDOUT:
                    self.out += act.data
                else:
                    assert act.stream == STDERR
                    self.err += act.data
            elif isinstance(act, Exit):
                self.code = act.code
                break
        self.text = self.out.decode()
        self.errors = self.err.decode()
        self.files = around.files

    def result(self, path: str = "/tmp/o.json") -> dict[str, float]:
        data = self.files.read(path)
        assert data is not None
        value: dict[str, float] = json.loads(data)
        return value


Play = Callable[..., Played]


@pytest.fixture
def play(folder: Path) -> Play:
    """Play a command line; the model is in the cache unless `cached` says otherwise."""

    def go(
        line: str, *, vllm: str = "0.8.5", gpus: int = 8, fault: str = "", env: dict[str, str] | None = None,
        cached: bool = True, read_only: bool = True, token: str = "", kind: int = 0, seed: int = 0,
        most_s: float = 1e6,
    ) -> Played:  # fmt: skip
        if cached:
            hub.write(folder / "hf/hub", MODEL)
        mounts = (MountPoint("/hf", "/cache", read_only),)
        around = Surroundings(
            argv=tuple(line.split()) if isinstance(line, str) else line,
            env={"HF_HUB_CACHE": "/cache/hub", "HF_HUB_OFFLINE": "1", **(env or {})},
            host="h",
            kind=KINDS[kind],
            vllm=version(vllm),
            rocm="6.3.1",
            gpus=gpus,
            files=Files(folder, mounts, (), "/app"),
            clock=Clock(60.0),
            rng=random.Random(seed),
            fault=fault,
            ports={},
            wall=lambda: 0.0,
            token=token,
        )
        return Played(around, most_s)

    return go


def test_throughput_of_the_v0_script_counts_what_its_file_says(play: Play) -> None:
    done = play(THROUGHPUT)
    line = re.search(
        r"^Throughput: ([\d.]+) requests/s, ([\d.]+) total tokens/s, ([\d.]+) output tokens/s$", done.text, re.M
    )
    assert line is not None
    result = done.result()
    prompt = int(re.findall(r"Total num prompt tokens:  (\d+)", done.text)[0])
    output = int(re.findall(r"Total num output tokens:  (\d+)", done.text)[0])
    assert output == 3200 * 2048
    assert result["total_num_tokens"] == prompt + output
    assert float(line[3]) == pytest.approx(output / result["elapsed_time"], abs=0.01)
    assert float(line[2]) == pytest.approx(result["tokens_per_second"], abs=0.01)
    assert result["num_requests"] == 3200
    assert done.code == 0


def test_stat_lines_come_every_five_seconds_and_add_up_to_the_figure(play: Play) -> None:
    done = play(THROUGHPUT)
    rows = [tuple(map(float, row)) for row in STAT.findall(done.text)]
    result = done.result()
    assert len(rows) == int(result["elapsed_time"] // 5)
    counted = sum(row[1] * 5 for row in rows)
    assert counted == pytest.approx(3200 * 2048, rel=0.02)
    assert rows[0][0] > 0
    assert all(0 <= row[4] <= 100 for row in rows)


def test_the_bar_stays_at_zero_and_jumps_when_all_requests_end_together(play: Play) -> None:
    errors = play(THROUGHPUT).errors
    bars = re.findall(r"\rProcessed prompts: +(\d+)%\|[^|]*\| (\d+)/3200 \[", errors)
    assert bars == [("0", "0"), ("100", "3200")]
    assert "\n" not in errors[errors.index("\rProcessed prompts") : errors.index("3200/3200")]


def test_phases_come_in_their_order(play: Play) -> None:
    marks = [
        "Automatically detected platform rocm.",
        "When dataset path is not set",
        "Namespace(",
        "Initializing a V0 LLM engine",
        "Using ROCmFlashAttention backend.",
        "vLLM is using nccl==",
        "Starting to load model",
        "Loading weights took",
        "# rocm blocks:",
        "Graph capturing finished in",
        "init engine (profile, create kv cache, warmup model) took",
        "Avg generation throughput",
        "Throughput:",
        "Killing local vLLM worker processes",
    ]
    text = play(THROUGHPUT).text
    places = [text.index(mark) for mark in marks]
    assert places == sorted(places)


def test_the_published_flag_is_refused_as_the_published_image_refuses_it(play: Play) -> None:
    done = play(f"{THROUGHPUT} --enable-chunked-prefill False")
    assert done.code == 2
    assert done.errors.endswith("benchmark_throughput.py: error: unrecognized arguments: False\n")
    assert play(f"{THROUGHPUT} --no-enable-chunked-prefill").code == 0


def test_older_images_want_the_value_and_do_not_know_the_other_form(play: Play) -> None:
    assert play(f"{THROUGHPUT} --enable-chunked-prefill False", vllm="0.8.3").code == 0
    assert (
        "unrecognized arguments: --no-enable-chunked-prefill"
        in play(f"{THROUGHPUT} --no-enable-chunked-prefill", vllm="0.8.3").errors
    )


def test_unknown_flags_of_the_command_line_form_are_refused_by_vllm_itself(play: Play) -> None:
    done = play(f"vllm bench throughput {COMMON} {SHAPE} --no-such-flag 1", vllm="0.11.1")
    assert (done.code, done.errors.splitlines()[-1]) == (2, "vllm: error: unrecognized arguments: --no-such-flag 1")


@pytest.mark.parametrize(
    ("flag", "known", "gone"),
    [("--num-scheduler-steps 10", "0.10.0", "0.11.1"), ("--max-seq-len-to-capture 131072", "0.10.1", "0.11.1"),
     ("--swap-space 16", "0.11.2", "0.23.0")],
)  # fmt: skip
def test_flags_leave_with_the_release_that_drops_them(play: Play, flag: str, known: str, gone: str) -> None:
    line = f"vllm bench throughput {COMMON} {SHAPE} {flag}"
    assert play(line, vllm=known).code == 0
    assert play(line, vllm=gone).code == 2


def test_scripts_of_new_images_are_stubs(play: Play) -> None:
    done = play(THROUGHPUT, vllm="0.11.1")
    assert done.code == 1
    assert done.text.startswith("DEPRECATED: This script has been moved to the vLLM CLI.")


def test_old_images_have_no_bench_command(play: Play) -> None:
    done = play("vllm bench throughput", vllm="0.6.6")
    assert (done.code, "invalid choice: 'bench'" in done.errors) == (2, True)


def test_v1_prints_no_stat_lines_offline_until_0_11(play: Play) -> None:
    line = f"vllm bench throughput {COMMON} {SHAPE}"
    quiet, loud = play(line, vllm="0.10.1"), play(line, vllm="0.11.2")
    assert "Initializing a V1 LLM engine" in quiet.text
    assert not STAT.search(quiet.text)
    rows = STAT.findall(loud.text)
    assert "Engine 000: Avg prompt throughput" in loud.text
    assert len(rows) == int(loud.result()["elapsed_time"] // 10)


def test_multi_step_scheduling_leads_back_to_v0_and_forbids_v1(play: Play) -> None:
    fallback = play(f"{THROUGHPUT}", vllm="0.9.1")
    assert "Falling back to V0" in fallback.text
    assert "Initializing a V0 LLM engine" in fallback.text
    refused = play(THROUGHPUT, env={"VLLM_USE_V1": "1"})
    assert refused.errors.endswith("NotImplementedError: VLLM_USE_V1=1 is not supported with --num-scheduler-steps.\n")


def test_the_oldest_image_prints_one_tokens_figure_and_no_counts(play: Play) -> None:
    done = play(THROUGHPUT.replace(" --num-scheduler-steps 10", ""), vllm="0.4.3")
    assert re.search(r"^Throughput: [\d.]+ requests/s, [\d.]+ tokens/s$", done.text, re.M)
    assert "Total num output tokens" not in done.text


def test_log_lines_of_old_images_have_no_opening_bracket(play: Play) -> None:
    text = play(THROUGHPUT, vllm="0.6.6").text
    assert re.search(r"^INFO \d\d-\d\d \d\d:\d\d:\d\d metrics\.py:486\] Avg prompt throughput", text, re.M)
    assert "[metrics.py" not in text


def test_requests_that_do_not_fit_the_cache_wait_and_are_preempted(play: Play) -> None:
    model = "amd/Llama-3.1-405B-Instruct-FP8-KV"
    line = THROUGHPUT.replace(MODEL, model).replace("--output-len 2048", "--output-len 4096").replace("3200", "1500")
    done = play(line, cached=False, env={"HF_HUB_OFFLINE": "0"}, read_only=False)
    assert "PreemptionMode.RECOMPUTE" in done.text
    assert max(int(row[3]) for row in STAT.findall(done.text)) > 0
    assert len(set(re.findall(r"Processed prompts: +\d+%\|[^|]*\| (\d+)/1500", done.errors))) > 2


def test_latency_keeps_every_iteration(play: Play) -> None:
    done = play(LATENCY)
    data = done.files.read("/tmp/o.json")
    assert data is not None
    result = json.loads(data)
    assert len(result["latencies"]) == 5
    assert result["avg_latency"] == pytest.approx(sum(result["latencies"]) / 5)
    assert sorted(result["percentiles"]) == ["10", "25", "50", "75", "90", "99"]
    assert f"Avg latency: {result['avg_latency']} seconds\n" in done.text
    assert "Warming up...\n" in done.text
    assert re.findall(r"\r(\w+) iterations: +\d+%\|[^|]*\| (\d)/\d", done.errors) == [
        *(("Warmup", str(n)) for n in range(4)),
        *(("Profiling", str(n)) for n in range(6)),
    ]


def test_the_figure_follows_the_labs_own_table(play: Play) -> None:
    gpu = KINDS[0].gpu
    expected = rates.output_tokens_per_s(
        rates.model_of(MODEL), gpu, 8, "V0", input_len=128, output_len=2048, at_once=3200
    )
    figures = [3200 * 2048 / play(THROUGHPUT, seed=seed).result()["elapsed_time"] for seed in range(5)]
    assert len(set(figures)) == 5
    assert figures == pytest.approx([expected] * 5, rel=0.02)
    larger = 3200 * 2048 / play(THROUGHPUT, kind=2).result()["elapsed_time"]
    assert larger > 1.05 * max(figures)


def test_the_same_seed_gives_the_same_figure(play: Play) -> None:
    assert play(THROUGHPUT, seed=7).result() == play(THROUGHPUT, seed=7).result()


def test_weights_load_with_a_bar_that_ends_each_line(play: Play) -> None:
    lines = re.findall(
        r"\rLoading safetensors checkpoint shards: +(\d+)% Completed \| (\d+)/15 \[.*\]\n", play(THROUGHPUT).errors
    )
    assert (lines[0], lines[-1], len(lines)) == (("0", "0"), ("100", "15"), 16)


def test_no_gpus_and_too_few_gpus(play: Play) -> None:
    assert play(THROUGHPUT, gpus=0).errors.endswith("RuntimeError: No HIP GPUs are available\n")
    few = play(THROUGHPUT, gpus=4)
    assert (few.code, "less than max local gpu count (4)" in few.errors) == (1, True)


def test_a_model_that_is_not_cached_is_an_error_offline(play: Play) -> None:
    done = play(THROUGHPUT, cached=False)
    assert done.code == 1
    assert "OSError: We couldn't connect to 'https://huggingface.co' to load the files" in done.errors


def test_a_model_that_does_not_fit_runs_out_of_memory(play: Play) -> None:
    line = THROUGHPUT.replace("--tensor-parallel-size 8", "--tensor-parallel-size 1").replace(MODEL, "some/Llama-405B")
    done = play(line, cached=False, env={"HF_HUB_OFFLINE": "0"}, read_only=False)
    assert "torch.OutOfMemoryError: HIP out of memory. Tried to allocate" in done.errors


def test_lengths_that_cannot_be(play: Play) -> None:
    assert (
        "max_model_len is greater than the sum"
        in play(THROUGHPUT.replace("--input-len 128", "--input-len 8000")).errors
    )
    assert (
        "User-specified max_model_len (200000)"
        in play(THROUGHPUT.replace("--max-model-len 8192", "--max-model-len 200000")).errors
    )


@pytest.mark.parametrize(
    ("fault", "code", "sign"),
    [
        ("dies-at-once", 1, "ImportError: libamdhip64.so.6"),
        ("oom", 1, "torch.OutOfMemoryError: HIP out of memory."),
        ("gpu-hang", 134, "Memory access fault by GPU node-4"),
        ("killed-for-memory", 137, ""),
    ],
)
def test_named_failures_of_a_program(play: Play, fault: str, code: int, sign: str) -> None:
    for line in (THROUGHPUT, LATENCY):
        done = play(line, fault=fault)
        assert done.code == code
        assert sign in done.errors
        assert done.files.read("/tmp/o.json") is None


def test_named_failures_of_the_result_file(play: Play) -> None:
    assert play(THROUGHPUT, fault="no-result-file").files.read("/tmp/o.json") is None
    for fault in ("truncated-result", "not-json"):
        data = play(THROUGHPUT, fault=fault).files.read("/tmp/o.json")
        assert data
        with pytest.raises(ValueError, match=r"Expecting|Unterminated"):
            json.loads(data)


def test_a_hang_is_silent_after_the_engine_is_ready(play: Play) -> None:
    done = play(THROUGHPUT, fault="hang", most_s=1e9)
    assert "init engine" in done.text
    assert "Avg generation throughput" not in done.text


def test_a_program_that_the_image_does_not_have_is_not_played(play: Play) -> None:
    done = play("torchrun --nproc_per_node 8 train_fsdp.py")
    assert done.code == programs.NOT_PLAYED
    assert "this program is not played" in done.errors


def test_a_download_fills_the_cache(play: Play) -> None:
    online = {"HF_HUB_OFFLINE": "0"}
    done = play(f"hf download {MODEL}", cached=False, read_only=False, env=online)
    assert done.code == 0
    assert "Fetching 20 files: 100%" in done.errors
    assert done.text.endswith(f"snapshots/{hub.revision_of(MODEL)}\n")
    assert play(THROUGHPUT, cached=False).code == 0


def test_the_consoles_own_download_program_says_how_far_it_is(play: Play) -> None:
    source = 'print("@@instinct fetch " + "{}")\nsnapshot_download(model)'
    env = {"HF_HUB_OFFLINE": "0", "HF_HUB_DISABLE_PROGRESS_BARS": "1"}
    done = play(("python3", "-c", source, MODEL, "main"), cached=False, read_only=False, env=env)
    *progress, last = done.text.splitlines()
    steps = [json.loads(line.removeprefix("@@instinct fetch ")) for line in progress]
    assert [step["done"] for step in steps] == sorted(step["done"] for step in steps)
    assert steps[-1]["done"] == steps[-1]["total"]
    assert json.loads(last.removeprefix("@@instinct fetched "))["revision"] == hub.revision_of(MODEL)
    assert done.errors == ""
    again = play(("python3", "-c", source, MODEL, "main"), cached=False, read_only=False, env=env)
    assert again.text.splitlines() == [last]


@pytest.mark.parametrize(
    ("model", "fault", "token", "sign"),
    [
        ("meta-llama/Llama-3.1-70B", "", "", "GatedRepoError: 401 Client Error."),
        (MODEL, "gated", "hf_x", "GatedRepoError: 403 Client Error."),
        ("someone/no-such-model", "", "", "RepositoryNotFoundError"),
        (MODEL, "no-disk", "", "OSError: [Errno 28] No space left on device"),
    ],
)
def test_downloads_fail_as_the_hub_fails(play: Play, model: str, fault: str, token: str, sign: str) -> None:
    done = play(f"hf download {model}", cached=False, read_only=False, fault=fault, token=token)
    assert (done.code, sign in done.errors) == (1, True)


def test_a_read_only_cache_takes_no_download(play: Play) -> None:
    done = play(f"hf download {MODEL}", cached=False, read_only=True)
    assert "Read-only file system" in done.errors


def test_the_parser_takes_underscores_as_vllm_does() -> None:
    from console.lab import vllm_args

    read = vllm_args.latency((0, 8, 5), front=False).read(["--batch_size", "4", "-tp", "8"])
    assert isinstance(read, argparse.Namespace)
    assert (read.batch_size, read.tensor_parallel_size) == (4, 8)
