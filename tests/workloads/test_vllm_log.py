"""Stat lines, bars and phases of every vLLM generation."""

import ast
import json
from collections.abc import Callable
from itertools import pairwise
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from console.model.attempt import LogFrame, Phase, PhaseSeen, Sample
from console.workloads.base import registry
from console.workloads.lines import Line
from console.workloads.vllm_log import VllmLog

Data = Callable[[str], bytes]
Read = Callable[..., Any]

V0_IMAGE = (
    "INFO 05-21 10:15:30 [metrics.py:486] Avg prompt throughput: 0.0 tokens/s, Avg generation throughput: 16890.3 "
    "tokens/s, Running: 3200 reqs, Swapped: 0 reqs, Pending: 7 reqs, GPU KV cache usage: 61.5%, "
    "CPU KV cache usage: 0.0%."
)
V0_OLD = (
    "INFO 08-20 02:39:37 metrics.py:411] Avg prompt throughput: 871.4 tokens/s, Avg generation throughput: 88.1 "
    "tokens/s, Running: 1 reqs, Swapped: 0 reqs, Pending: 0 reqs, GPU KV cache usage: 0.2%, CPU KV cache usage: 0.0%."
)
V1_19680 = (
    "INFO 06-16 10:03:14 [loggers.py:87] Engine 000: Avg prompt throughput: 1254.4 tokens/s, Avg generation "
    "throughput: 29.2 tokens/s, Running: 10 reqs, Waiting: 4 reqs, GPU KV cache usage: 57.9%, Prefix "
    "cache hit rate: 40.5%"
)
V1_2026 = (
    "(APIServer pid=1) INFO 05-07 04:56:17 [loggers.py:271] Engine 000: Avg prompt throughput: 2.5 tokens/s, Avg "
    "generation throughput: 123.8 tokens/s, Running: 1 reqs, Waiting: 0 reqs, GPU KV cache usage: 17.5%, Prefix cache "
    "hit rate: 0.0%"
)
V1_PARTS = (
    "(APIServer pid=1) INFO 11-07 04:56:17 [loggers.py:300] 2 Engines Aggregated: Avg prompt throughput: 2.5 tokens/s, "
    "Avg generation throughput: 123.8 tokens/s, Running: 5 reqs, Waiting: 2 reqs, Deferred: 1 reqs, Preemptions: 12, "
    "GPU KV cache usage: 99.5%, Prefix cache hit rate: 0.1%, MM cache hit rate: 3.0%"
)
GLUED = "Processed prompts:   0%|          | 0/3200 [00:00<?, " + V0_IMAGE


def read_lines(*texts: str) -> tuple[VllmLog, list[PhaseSeen | Sample]]:
    log = VllmLog("requests")
    return log, [signal for number, text in enumerate(texts) for signal in log.read(Line(number, 1, text))]


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        (V0_IMAGE, (16890.3, 0.0, 3200, 7, 0.615)),
        (V0_OLD, (88.1, 871.4, 1, 0, 0.002)),
        (V1_19680, (29.2, 1254.4, 10, 4, 0.579)),
        (V1_2026, (123.8, 2.5, 1, 0, 0.175)),
        (V1_PARTS, (123.8, 2.5, 5, 2, 0.995)),
        (GLUED, (16890.3, 0.0, 3200, 7, 0.615)),
    ],
)
def test_stat_lines_of_every_generation(text: str, expected: tuple[float, float, int, int, float]) -> None:
    _, signals = read_lines(text)
    [sample] = [signal for signal in signals if isinstance(signal, Sample)]
    assert sample.source == "stat line"
    assert sample.metric == "output_tokens_per_s"
    got = (sample.rate, sample.prompt_tokens_per_s, sample.running, sample.waiting, sample.kv_cache_used)
    assert got == expected


def test_a_stat_line_cut_short_is_no_sample() -> None:
    _, signals = read_lines(V0_IMAGE[:110])
    assert signals == []


@pytest.mark.parametrize(
    ("text", "engine", "version"),
    [
        ("INFO 05-21 10:00:00 [e.py:240] Initializing a V0 LLM engine (v0.8.6.dev315) with", "V0", "0.8.6.dev315"),
        ("(EngineCore pid=1) INFO 01-01 00:00:00 [c.py:1] Initializing a V1 LLM engine (v0.32.0) with", "V1", "0.32.0"),
        ("INFO 11-07 17:54:05 llm_engine.py:237] Initializing an LLM engine (v0.6.4) with config", "V0", "0.6.4"),
        ("INFO 11-22 22:21:48 [api_server.py:1043] vLLM API server version 0.8.5.post2", None, "0.8.5.post2"),
    ],
)
def test_engine_and_version_of_every_generation(text: str, engine: str | None, version: str) -> None:
    log, _ = read_lines(text)
    assert (log.engine, log.engine_version) == (engine, version)


V0_START = [
    ("INFO 05-21 10:00:00 [__init__.py:239] Automatically detected platform rocm.", Phase.STARTING),
    ("INFO 05-21 10:00:09 [llm_engine.py:240] Initializing a V0 LLM engine (v0.8.6) with config: x", None),
    ("INFO 05-21 10:00:20 [model_runner.py:1110] Starting to load model amd/Llama-3.1-70B...", Phase.LOADING),
    ("Loading safetensors checkpoint shards:  56% Completed | 5/9 [00:13<00:11,  2.87s/it]", None),
    ("INFO 05-21 10:01:00 [model_runner.py:1146] Model loading took 8.5 GiB and 40 seconds", None),
    ("INFO 05-21 10:01:30 [worker.py:287] Memory profiling takes 0.44 seconds", None),
    ("INFO 05-21 10:01:31 [model_runner.py:1456] Capturing cudagraphs for decoding. This may lead to", Phase.COMPILING),
    ("Capturing CUDA graph shapes:  97%|#########7| 34/35 [00:30<00:00, 1.75it/s]", None),
    ("INFO 05-21 10:05:00 [model_runner.py:1598] Graph capturing finished in 31 secs, took 0.36 GiB", None),
    ("INFO 05-21 10:05:01 [llm_engine.py:437] init engine (profile, create kv cache, warmup model) took 165.02 seconds",
     Phase.WARMING_UP),
]  # fmt: skip
V1_START = [
    ("(EngineCore_DP0 pid=3) INFO 01-01 00:00:01 [c.py:1] Initializing a V1 LLM engine (v0.10.0)", Phase.STARTING),
    ("(Worker_TP0 pid=4) INFO 01-01 00:00:02 [m.py:1] Loading weights took 24.84 seconds", Phase.LOADING),
    ("(Worker_TP0 pid=4) INFO 01-01 00:00:03 [m.py:1] Model loading took 12.66 GiB memory and 31.65 seconds", None),
    ("(Worker_TP0 pid=4) INFO 01-01 00:00:04 [b.py:1] Dynamo bytecode transform time: 3.54 s", Phase.COMPILING),
    ("(Worker_TP0 pid=4) INFO 01-01 00:00:05 [b.py:1] torch.compile takes 31.68 s in total", None),
    ("Capturing CUDA graphs (mixed prefill-decode, FULL): 100%|####| 51/51 [00:30<00:00, 1.75it/s]", None),
    ("INFO 01-01 00:00:06 [core.py:1] init engine (profile, create kv cache, warmup model) took 9 s",
     Phase.WARMING_UP),
]  # fmt: skip
OLD_START = [
    ("INFO 08-20 02:30:00 llm_engine.py:174] Initializing an LLM engine (v0.4.3) with config: x", Phase.STARTING),
    ("INFO 08-20 02:31:00 model_runner.py:146] Loading model weights took 19.3952 GB", Phase.LOADING),
    ("INFO 08-20 02:31:09 model_runner.py:854] Capturing the model for CUDA graphs. This may lead", Phase.COMPILING),
]
THROUGHPUT = [
    ("Processed prompts:   0%|          | 0/3200 [00:00<?, ?it/s, est. speed input: 0.00 toks/s]", Phase.MEASURING),
    (V0_IMAGE, None),
    ("Throughput: 8.12 requests/s, 17661.10 total tokens/s, 16622.20 output tokens/s", Phase.FINISHED),
    (V0_IMAGE, None),
]
LATENCY = [
    ("Warming up...", None),
    (V0_IMAGE, None),
    ("Warmup iterations:  67%|######6   | 2/3 [00:31<00:15, 15.9s/it]", None),
    ("Warmup iterations: 100%|##########| 3/3 [00:47<00:00, 15.9s/it]", Phase.MEASURING),
    ("Profiling iterations:  20%|##        | 1/5 [00:15<01:03, 15.85s/it]", None),
    ("Avg latency: 15.851 seconds", Phase.FINISHED),
]
SERVER = [
    ("INFO 01-01 00:00:00 [api_server.py:1090] Starting vLLM API server on http://0.0.0.0:8000", Phase.READY),
    ("INFO:     Application startup complete.", None),
    (V1_2026, Phase.MEASURING),
    ("INFO 01-01 00:00:00 [launcher.py:79] Shutting down FastAPI HTTP server.", Phase.FINISHED),
]
CLIENT = [
    ("Namespace(subparser='bench', bench_type='serve')", Phase.STARTING),
    ("Starting initial single prompt test run...", Phase.WARMING_UP),
    ("Initial test run completed. Starting main benchmark run...", Phase.MEASURING),
    ("100%|##########| 100/100 [00:02<00:00, 39.90it/s]", None),
    ("============ Serving Benchmark Result ============", Phase.FINISHED),
]


@pytest.mark.parametrize(
    "story",
    [
        V0_START + THROUGHPUT,
        V0_START + LATENCY,
        V1_START + THROUGHPUT,
        V1_START + SERVER,
        OLD_START + THROUGHPUT,
        CLIENT,
    ],
)
def test_phases_come_in_order_once_each_with_the_line_that_shows_them(story: list[tuple[str, Phase | None]]) -> None:
    _, signals = read_lines(*(text for text, _ in story))
    seen = [(signal.at_ns, signal.phase) for signal in signals if isinstance(signal, PhaseSeen)]
    assert seen == [(number, phase) for number, (_, phase) in enumerate(story) if phase is not None]
    details = {signal.at_ns: signal.detail for signal in signals if isinstance(signal, PhaseSeen)}
    assert all(detail[:20] == " ".join(story[number][0].split())[:20] for number, detail in details.items())


def test_bars_become_samples_when_their_count_moves() -> None:
    speeds = "est. speed input: 9.77 toks/s, output: 16.33 toks/s"
    bar = "Processed prompts:   {}%|   | {}/300 [00:19<1:37:58, 19.66s/it, " + speeds + "]"
    _, signals = read_lines(bar.format(0, 1), bar.format(0, 1), bar.format(1, 2))
    samples = [signal for signal in signals if isinstance(signal, Sample)]
    assert [(sample.counts, sample.done, sample.total) for sample in samples] == [
        ("prompts", 1, 300),
        ("prompts", 2, 300),
    ]
    assert samples[0].rate == 16.33
    assert samples[0].source == "progress bar"


@pytest.mark.parametrize(
    "text",
    [
        "model-00012-of-00086.safetensors:  35%|###5      | 1.6G/4.7G [00:05<00:10, 300MB/s]",
        "Fetching 12 files:   8%|8         | 1/12 [00:05<00:55,  5.05s/it]",
        "INFO 05-21 10:00:20 [weight_utils.py:265] Using model weights format ['*.safetensors']",
    ],
)
def test_a_download_is_loading(text: str) -> None:
    _, signals = read_lines(text)
    assert [signal.phase for signal in signals if isinstance(signal, PhaseSeen)] == [Phase.LOADING]


def test_preemptions_and_prefix_hits_are_remembered() -> None:
    log, _ = read_lines(
        "WARNING 05-21 10:00:00 [scheduler.py:1] Sequence group 12 is preempted by PreemptionMode.RECOMPUTE mode "
        "because there is not enough KV cache space. total_num_cumulative_preemption=51",
        "Prefix cache hit rate: GPU: 12.50%, CPU: 0.00%",
    )
    assert (log.preemptions, log.prefix_hit_percent) == (51, 12.5)
    log, _ = read_lines(V1_PARTS)
    assert log.preemptions == 12


STORIES = [
    ("vllm-throughput", ("0.8.5/throughput.stdout", "0.8.5/throughput.stderr")),
    ("vllm-throughput", ("0.32.0/throughput_uni.stdout", "0.32.0/throughput_uni.stderr")),
    ("vllm-latency", ("0.32.0/latency_bs4.stdout", "0.32.0/latency_bs4.stderr")),
    ("vllm-serve", ("0.32.0/bench.stdout",)),
    ("vllm-serve", ("0.32.0/serve.stdout",)),
    ("vllm-throughput", ("0.32.0/fail/maxlen.stdout", "0.32.0/fail/maxlen.stderr")),
]


@settings(
    max_examples=15, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow]
)
@given(st.data())
@pytest.mark.parametrize(("workload", "names"), STORIES)
def test_any_split_of_the_same_bytes_gives_the_same_signals_and_result(
    workload: str, names: tuple[str, ...], data: Data, draw: st.DataObject
) -> None:
    whole = [LogFrame(1, stream, data(name)) for stream, name in enumerate(names, 1)]
    pieces = []
    for frame in whole:
        cuts = draw.draw(st.lists(st.integers(0, len(frame.data)), max_size=60))
        edges = [0, *sorted(cuts), len(frame.data)]
        pieces += [LogFrame(1, frame.stream, frame.data[a:b]) for a, b in pairwise(edges)]
    results = []
    for frames, batch in ((whole, 1), (pieces, 1), (pieces, 7)):
        reader = registry()[workload].reader(None, "main")
        signals = [s for at in range(0, len(frames), batch) for s in reader.feed(frames[at : at + batch])]
        results.append((signals, reader.close({}, 1)))
    assert results[0] == results[1] == results[2]
    assert results[0][0]


@settings(
    max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow]
)
@given(noise=st.binary(max_size=300), cut=st.integers(0, 9000), garbage=st.binary(max_size=200))
@pytest.mark.parametrize("workload", ["vllm-throughput", "vllm-latency", "vllm-serve"])
def test_hostile_and_truncated_output_never_raises(
    workload: str, noise: bytes, cut: int, garbage: bytes, data: Data
) -> None:
    reader = registry()[workload].reader(None, "main")
    reader.feed([LogFrame(1, 1, noise), LogFrame(1, 7, data("0.8.5/throughput.stdout")[cut:] + noise)])
    result = reader.close({"/tmp/instinct-result.json": garbage}, None)
    assert result.value() is None or workload == "vllm-throughput"


def test_huge_numbers_and_deep_json_are_no_figures(read: Read) -> None:
    digits = b"9" * 5000
    log = b"Throughput: " + digits + b" requests/s, 1.0 total tokens/s, 1.0 output tokens/s\n"
    log += b"Total num output tokens:  " + digits + b"\nAvg prompt throughput: " + digits + b" tokens/s\n"
    got = read("vllm-throughput", log, result=b"[" * 100_000, exit_code=0)
    assert got.result.failure is not None
    assert got.result.failure.failure == "bad_result"
    assert got.samples == []


def test_attached_and_followed_output_give_the_same_figures(data: Data) -> None:
    """Docker's log file holds the same bytes that attach delivered, cut and timed otherwise."""
    followed = [
        LogFrame(1, 1 + (entry["stream"] == "stderr"), entry["log"].encode())
        for entry in map(json.loads, data("0.8.5/throughput_notty.json-file.log").splitlines())
    ]
    attached = []
    for row in data("0.8.5/throughput_notty.attach_stamped.txt").decode().splitlines():
        raw = ast.literal_eval(row.split(None, 2)[2])
        attached.append(LogFrame(1, 1, raw))
    rates = []
    for frames in (followed, attached):
        reader = registry()["vllm-throughput"].reader(None, "main")
        samples = [s for s in reader.feed(frames) if isinstance(s, Sample)]
        rates.append([s.rate for s in samples if s.source == "stat line"])
        assert [s.done for s in samples if s.counts == "prompts"][-1] == 200
        assert reader.close({}, 0).value() is not None
    assert rates[0] == rates[1]
