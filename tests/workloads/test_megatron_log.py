"""Megatron-LM's output: iteration lines of every kind, the summary that looks like one, who prints what."""

from collections.abc import Callable
from typing import Any

import pytest

from console.model.attempt import FailureClass, LogFrame, Phase, Validity

Read = Callable[..., Any]
MakeCell = Callable[..., Any]

REAL = (
    " [2025-08-13 03:42:28] iteration       50/      50 | consumed samples:        12800 | elapsed time per iteration "
    "(ms): 10235.8 | mem usages: 0.7494 | throughput per GPU (TFLOP/s/GPU): 590.2 | learning rate: 9.999999E-05 | "
    "global batch size:   256 | lm loss: 7.272264E+00 | loss scale: 1.0 | grad norm: 1.571 | number of skipped "
    "iterations:   0 | number of nan iterations:   0 |"
)
REAL_SUMMARY = (
    "throughput per GPU: 589.331914893617\nelapsed time per iteration: 10250.497872340427\n"
    "tokens/GPU/s: 12786.891099\nmem usages: 0.7494000000000002\n"
)
EMPTY_SUMMARY = "throughput per GPU: nan\nelapsed time per iteration: nan\ntokens/GPU/s: -nan\nmem usages: nan\n"
LLAMA_7B = {
    "script": "train_llama2.sh",
    "model_size": 7,
    "micro_batch_size": 4,
    "global_batch_size": 256,
    "sequence_length": 4096,
    "fp8": True,
}
DEEPSEEK = {"micro_batch_size": 4, "global_batch_size": 256, "sequence_length": 4096}
TFLOPS, TOKENS = "tflops_per_s_per_gpu", "tokens_per_s_per_gpu"


def line(number: int, total: int = 50, ms: float = 10250.5, tflops: float = 589.3, loss: str = "7.2E+00") -> str:
    return (
        REAL.replace("iteration       50/      50", f"iteration {number:8d}/{total:8d}")
        .replace("10235.8", f"{ms:.1f}")
        .replace("590.2", f"{tflops:.1f}")
        .replace("7.272264E+00", loss)
    )


def a_run(total: int = 50, until: int | None = None, **figures: Any) -> str:
    return "".join(line(number, total, **figures) + "\n" for number in range(1, (until or total) + 1))


def summary(tflops: float = 589.3, ms: float = 10250.5) -> str:
    tokens = 256 * 4096 * 1000 / (ms * 8)
    return (
        f"throughput per GPU: {tflops}\nelapsed time per iteration: {ms}\ntokens/GPU/s: {tokens:.6f}\n"
        "mem usages: 0.7494000000000002\n"
    )


@pytest.fixture
def cell(make_cell: MakeCell) -> Any:
    return make_cell("megatron-llama", metric=TFLOPS, **LLAMA_7B)


def test_the_real_iteration_line_has_everything(cell: Any, read: Read) -> None:
    progress, tokens = read("megatron-llama", (REAL + "\n").encode(), cell=cell).samples
    assert (progress.source, progress.metric, progress.rate) == ("iteration line", TFLOPS, 590.2)
    assert (progress.done, progress.total, progress.counts) == (50.0, 50.0, "steps")
    assert progress.extra["step_s"] == 10.2358
    assert progress.extra["loss"] == 7.272264
    assert progress.extra["gpu_memory_used"] == 0.7494
    assert progress.extra[TOKENS] == pytest.approx(12805, abs=1), "the line has no tokens: batch x length over time"
    assert progress.extra["tokens_per_s_per_node"] == pytest.approx(8 * 12805, abs=8)
    assert (tokens.metric, tokens.rate) == (TOKENS, progress.extra[TOKENS])


def test_the_figure_is_the_mean_without_the_first_two_and_the_last(cell: Any, read: Read) -> None:
    odd = {1: 100.0, 2: 200.0, 50: 300.0}
    log = "".join(line(n, tflops=odd.get(n, 589.0 + n % 2)) + "\n" for n in range(1, 51))
    own = sum(589.0 + n % 2 for n in range(3, 50)) / 47
    got = read("megatron-llama", log.encode(), cell=cell, exit_code=0)
    assert got.result.failure is None
    assert got.value(TFLOPS) == pytest.approx(own)
    [value] = [v for v in got.result.values if v.metric == TFLOPS and v.iteration is None]
    assert value.origin == "mean of the iterations 3 to 49"
    kept = {v.iteration: v.value for v in got.result.values if v.metric == TFLOPS and v.iteration}
    assert len(kept) == 50, "every step is kept"
    assert (kept[1], kept[50]) == (100.0, 300.0)
    assert got.phases == [Phase.WARMING_UP, Phase.MEASURING]


def test_the_printed_summary_is_the_figure_when_it_agrees(cell: Any, read: Read) -> None:
    got = read("megatron-llama", (a_run() + REAL_SUMMARY).encode(), cell=cell, exit_code=0)
    assert got.result.failure is None
    assert got.value(TFLOPS) == 589.331914893617
    assert got.value(TOKENS) == 12786.891099
    assert got.value("step_s") == pytest.approx(10.250497872340427)
    assert got.value("gpu_memory_used") == 0.7494000000000002
    assert got.result.reasons == ()
    assert got.phases[-1] is Phase.FINISHED


def test_an_iteration_line_is_no_summary(cell: Any, read: Read) -> None:
    got = read("megatron-llama", a_run(until=1).encode(), cell=cell, exit_code=0)
    assert got.result.value() is None
    assert Phase.FINISHED not in got.phases
    assert got.result.failure.line == "the program ended at step 1 of 50 without a result"


def test_a_summary_printed_after_a_crash_is_no_figure(cell: Any, read: Read) -> None:
    """The script averages what there is, whatever became of torchrun, and ends with 0."""
    log = (
        a_run(until=30) + "E0813 03:42:28.0 1 torch/distributed/elastic/multiprocessing/api.py:869] failed (exitcode: "
    )
    log += "-9) local_rank: 3 (pid: 4711) of binary: /usr/bin/python3\n" + summary()
    got = read("megatron-llama", log.encode(), cell=cell, exit_code=0)
    assert got.result.value() is None
    assert got.result.failure.failure is FailureClass.RANK_DIED
    assert "local_rank: 3" in got.result.failure.line


def test_a_summary_of_another_run_is_a_contradiction(cell: Any, read: Read) -> None:
    got = read("megatron-llama", (a_run() + summary(tflops=612.0)).encode(), cell=cell, exit_code=0)
    assert got.result.failure.failure is FailureClass.RESULT_MISMATCH
    assert "612 against 589.3" in got.result.failure.line


def test_another_count_of_operations_spoils(cell: Any, read: Read) -> None:
    got = read("megatron-llama", (a_run(tflops=548.0) + summary(tflops=548.0)).encode(), cell=cell, exit_code=0)
    assert got.result.failure is None
    [reason] = got.result.reasons
    assert reason.reason is Validity.RESULT_MISMATCH


@pytest.mark.parametrize("tokens", ["", " -nan", " nan", " 12,786.9"])
def test_a_summary_without_numbers_leaves_the_figure_to_the_iterations(tokens: str, cell: Any, read: Read) -> None:
    log = a_run() + f"throughput per GPU: nan\nelapsed time per iteration: nan\ntokens/GPU/s:{tokens}\n"
    got = read("megatron-llama", log.encode(), cell=cell, exit_code=0)
    assert got.result.failure is None
    assert got.value(TFLOPS) == pytest.approx(589.3)
    assert got.value(TOKENS) == pytest.approx(12786.9, abs=0.1)


def test_fewer_than_four_iterations_leave_nothing_to_average(make_cell: MakeCell, read: Read) -> None:
    short = make_cell("megatron-llama", metric=TFLOPS, **LLAMA_7B, iterations=3)
    got = read("megatron-llama", (a_run(3) + EMPTY_SUMMARY).encode(), cell=short, exit_code=0)
    assert got.result.failure.failure is FailureClass.NO_RESULT
    assert "of 3 none is left" in got.result.failure.line


def test_a_nan_loss_yields_samples_and_fails(cell: Any, read: Read) -> None:
    log = a_run(until=20) + "".join(line(n, loss="nan") + "\n" for n in range(21, 51)) + summary()
    got = read("megatron-llama", log.encode(), cell=cell, exit_code=0)
    shown = [sample for sample in got.samples if sample.done is not None]
    assert len(shown) == 50
    assert "loss" not in shown[-1].extra
    assert shown[-1].rate == 589.3
    assert got.result.failure.failure is FailureClass.NAN_LOSS
    assert "iteration 21/ 50" in got.result.failure.line


def test_counted_nan_iterations_fail_too(cell: Any, read: Read) -> None:
    log = (a_run() + summary()).replace("number of nan iterations:   0 |", "number of nan iterations:   2 |", 1)
    assert read("megatron-llama", log.encode(), cell=cell, exit_code=0).result.failure.failure is FailureClass.NAN_LOSS


def test_ranks_that_write_without_waiting_for_a_line_end_are_told_apart(cell: Any, read: Read) -> None:
    memory = "[Rank 0] (after 1 iterations) memory (MB) | allocated: 90000.1 | max allocated: 1.0 | reserved: 2.0"
    glued = memory + line(1) + line(2) + "\n"
    got = read("megatron-llama", glued.encode(), cell=cell)
    assert [sample.done for sample in got.samples if sample.done] == [1.0, 2.0]


@pytest.mark.parametrize(
    ("text", "tflops", "tokens"),
    [
        ("elapsed time per iteration (ms): 10235.8 | throughput per GPU (TFLOP/s/GPU): 590.2 |", 590.2, None),
        (
            "elapsed time per iteration (ms): 10231.0/10250.4 | throughput per GPU (TFLOP/s/GPU): 590.2/589.1 | "
            "tokens per GPU (tokens/s/GPU): 12805.1/12790.0 |",
            590.2,
            12805.1,
        ),
        (
            "elapsed time per iteration (ms): 10231.0/10250.4 | compute per GPU (TFLOP/s/GPU): 590.2 (avg 589.1) | "
            "tokens/s/GPU inst/harmonic mean: 12,805.1/12,790.0 | hip mem usage/free/total/usage_ratio: "
            "100.0GiB/91.9GiB/191.9GiB/52.1% |",
            590.2,
            12805.1,
        ),
        (
            "elapsed time per iteration (ms): 10235.8 | throughput per GPU (TFLOP/s/GPU): 590.2 | "
            "Tokens per second per GPU (Tok/s/GPU): 12805.1 |",
            590.2,
            12805.1,
        ),
    ],
)
def test_the_line_of_other_forks_is_read(text: str, tflops: float, tokens: float | None, read: Read) -> None:
    log = f" [2024-10-01 00:00:00] iteration        7/      50 | consumed samples: 1 | {text}\n"
    first = read("megatron-llama", log.encode()).samples[0]
    assert first.rate == tflops
    assert first.extra.get(TOKENS) == tokens


def test_the_table_of_older_images_is_a_summary(cell: Any, read: Read) -> None:
    table = (
        "EXP_NAME #Nodes Model_SIZE Seq_Len MBS GBS TP PP CP Tokens/Sec/GPU TFLOPs/s/GPU Memory Usage\n"
        "perf 1 7 4096 4 256 1 1 1 12787.05 589.299 0.74\n"
    )
    got = read("megatron-llama", (a_run() + table).encode(), cell=cell, exit_code=0)
    assert got.result.failure is None
    assert got.value(TFLOPS) == 589.299
    assert got.value(TOKENS) == 12787.05


def test_the_table_of_older_images_on_the_first_of_two_nodes_has_no_figure(make_cell: MakeCell, read: Read) -> None:
    """Its row is of no iteration; the last node's has its memory as nan."""
    cell = make_cell("megatron-llama", metric=TFLOPS, nodes=2, **{**LLAMA_7B, "global_batch_size": 512})
    table = (
        "EXP_NAME #Nodes Model_SIZE Seq_Len MBS GBS TP PP CP Tokens/Sec/GPU TFLOPs/s/GPU Memory Usage\n"
        "perf 2 7 4096 4 512 1 1 1 nan nan nan 112627.2\n"
    )
    got = read("megatron-llama", table.encode(), cell=cell, part="rank0", exit_code=0).result
    assert (got.failure, got.values) == (None, ())
    log = a_run().replace("global batch size:   256", "global batch size:   512")
    log += table.replace("1 nan nan nan", "1 12786.9 589.31 nan")
    last = read("megatron-llama", log.encode(), cell=cell, part="rank1", exit_code=0)
    assert (last.result.failure, last.value(TFLOPS)) == (None, 589.31)


def test_what_the_first_rank_prints_of_its_memory_is_no_iteration(make_cell: MakeCell, read: Read) -> None:
    cell = make_cell("megatron-llama", metric=TFLOPS, nodes=2, **{**LLAMA_7B, "global_batch_size": 512})
    memory = "[Rank {}] (after 1 iterations) memory (MB) | allocated: 1.5 | max allocated: 2.5 | reserved: 3.5"
    log = "".join(memory.format(rank) for rank in range(8)) + "\n" + EMPTY_SUMMARY
    got = read("megatron-llama", log.encode(), cell=cell, part="rank0", exit_code=0)
    assert (got.samples, got.symptoms, got.result.failure, got.result.value()) == ([], [], None, None)


def test_a_tokenizer_folder_left_empty_is_named_and_not_the_word_before_it(cell: Any, read: Read) -> None:
    log = (
        "Folder /root/.cache/data/tokenizer_llama2 already exists. Skipping download.\n"
        "OSError: Can't load tokenizer for '/root/.cache/data/tokenizer_llama2'. If you were trying to load it\n"
    )
    got = read("megatron-llama", log.encode(), cell=cell, exit_code=1)
    assert got.result.failure.failure is FailureClass.TOKENIZER
    assert got.result.failure.line.startswith("OSError: Can't load tokenizer")
    assert "remove that folder" in got.result.failure.remedy


def test_a_log_made_by_hand_brings_its_own_sizes(read: Read) -> None:
    arguments = "  global_batch_size ........... 256\n  seq_length ...... 4096\n  world_size .... 8\n"
    got = read("megatron-llama", (arguments + a_run() + REAL_SUMMARY).encode())
    assert got.result.failure is None
    assert got.samples[0].extra[TOKENS] == pytest.approx(12786.9, abs=0.1)
    lonely = read("megatron-llama", EMPTY_SUMMARY.encode()).result.failure
    assert lonely.line == "the summary is empty: iterations are printed on the last node only"


def test_only_the_last_rank_has_figures_and_the_others_may_be_silent(make_cell: MakeCell, read: Read) -> None:
    cell = make_cell("megatron-llama", metric=TFLOPS, nodes=2, **{**LLAMA_7B, "global_batch_size": 512})
    first = read("megatron-llama", EMPTY_SUMMARY.encode(), cell=cell, part="rank0", exit_code=0).result
    assert (first.failure, first.value()) == (None, None)
    started = "> initializing torch distributed ...\n> building GPT2BPETokenizer tokenizer ...\n" + EMPTY_SUMMARY
    phases = read("megatron-llama", started.encode(), cell=cell, part="rank0").phases
    assert phases == [Phase.STARTING, Phase.LOADING], "its summary does not end the measuring of the last rank"
    log = a_run().replace("global batch size:   256", "global batch size:   512")
    last = read("megatron-llama", log.encode(), cell=cell, part="rank1", exit_code=0)
    assert last.value(TFLOPS) == pytest.approx(589.3)
    assert last.value(TOKENS) == pytest.approx(512 * 4096 / 10.2505 / 16)
    died = read("megatron-llama", b"torch.OutOfMemoryError: HIP out of memory.\n", cell=cell, part="rank0", exit_code=1)
    assert died.result.failure.failure is FailureClass.OUT_OF_MEMORY_GPU
    assert "batch size" in died.result.failure.remedy


NO_RDMA = """examples/llama/train_llama3.sh: line 13: rdma: command not found
Traceback (most recent call last):
  File "<string>", line 1, in <module>
  File "/usr/lib/python3.10/json/__init__.py", line 293, in load
    return loads(fp.read(),
  File "/usr/lib/python3.10/json/decoder.py", line 355, in raw_decode
    raise JSONDecodeError("Expecting value", s, err.value) from None
json.decoder.JSONDecodeError: Expecting value: line 1 column 1 (char 0)
"""
FEW_LINKS = """Traceback (most recent call last):
  File "<string>", line 1, in <module>
  File "<string>", line 1, in <listcomp>
IndexError: list index out of range
"""


@pytest.mark.parametrize("noise", [NO_RDMA, FEW_LINKS])
def test_a_host_without_rdma_links_prints_tracebacks_that_mean_nothing(noise: str, cell: Any, read: Read) -> None:
    frames = [LogFrame(1, 2, noise.encode()), LogFrame(2, 1, a_run(until=9).encode())]
    got = read("megatron-llama", frames, cell=cell, exit_code=1)
    assert got.symptoms == []
    assert got.result.failure.failure is FailureClass.UNKNOWN, "the exit code speaks, not the harmless line"


def test_the_same_errors_elsewhere_are_errors(cell: Any, read: Read) -> None:
    log = 'Traceback (most recent call last):\n  File "pretrain_gpt.py", line 3, in <module>\n'
    log += "IndexError: list index out of range\n"
    failure = read("megatron-llama", log.encode(), cell=cell, exit_code=1).result.failure
    assert (failure.failure, failure.line) == (FailureClass.PYTHON_ERROR, "IndexError: list index out of range")
    missing = FEW_LINKS.replace("IndexError: list index out of range", "ImportError: libamdhip64.so.6: cannot open")
    assert read("megatron-llama", missing.encode(), cell=cell, exit_code=1).symptoms != []


def test_deepseek_counts_tokens_and_drops_one_iteration_at_each_end(make_cell: MakeCell, read: Read) -> None:
    cell = make_cell("megatron-deepseek", metric=TOKENS, precision="BF16", **DEEPSEEK)
    log = line(1, ms=90000.0, tflops=900.0) + "\n"
    log += "".join(line(n, ms=12400.0, tflops=760.0) + "\n" for n in range(2, 50)) + line(50, ms=50000.0) + "\n"
    got = read("megatron-deepseek", log.encode(), cell=cell, exit_code=0)
    assert got.result.failure is None
    assert got.value(TOKENS) == pytest.approx(256 * 4096 / 12.4 / 8)
    assert TFLOPS not in {v.metric for v in got.result.values}, "the printed TFLOP/s are inflated for this model"
    assert got.samples[4].metric == TOKENS
    assert got.samples[4].extra["tflops_per_s_per_gpu_estimate"] == pytest.approx(152.2, abs=0.1)
    printed = log + "elapsed time per iteration: 12400.0\ntokens/GPU/s: 10570.322581\nmem usages: 0.7\n"
    assert read("megatron-deepseek", printed.encode(), cell=cell, exit_code=0).value(TOKENS) == 10570.322581
