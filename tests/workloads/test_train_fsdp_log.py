"""Output of `train_fsdp.py` and of MAD's `train_llama.py`."""

from collections.abc import Callable
from typing import Any

import pytest

from console.model.attempt import FailureClass, LogFrame, Phase, Validity

Read = Callable[..., Any]
MakeCell = Callable[..., Any]
TFLOPS, TOKENS = "tflops_per_s_per_gpu", "tokens_per_s_per_gpu"
ROW = {"architecture": "llama", "config": "configs/llama-3.1-8b-8k.json", "batch_size": 3, "sequence_length": 8192}
WORK = 57.913e9 * 3 * 8192 / 1e12


def step(index: int, seconds: float, *, half: int = 64) -> str:
    word = f"Step: {index}" if index > half else f"warming up iter: {index}/{float(half)}"
    tokens = 3 * 8192 / seconds
    return f"{word}; TFLOP/s: {WORK / seconds!r}; iteration time: {seconds!r}; token per second: {tokens!r}\n"


def average(seconds: float) -> str:
    return (
        f"Avg token per second: {3 * 8192 / seconds}\nAvg iter time: {seconds}\nTFLOP per iteration: {WORK}\n"
        f"Avg TFLOP/s, {WORK / seconds}\nPeak memory use = 172345.6MB\n"
    )


START = (
    "PyTorch compile currently doesn't work with Transformer Engine.\nIniting communication\n"
    "Using config configs/llama-3.1-8b-8k.json\nLoaded model on CPU with number of parameters: 8.03B\n"
    f"GPU memory use = 4015.2MB\nTFLOP per iteration: {WORK}\nCompiling model....\n"
)


@pytest.fixture
def cell(make_cell: MakeCell) -> Any:
    return make_cell("train-fsdp", metric=TFLOPS, **ROW)


def a_run(warm: float = 9.0, measured: float = 2.62, steps: int = 128) -> str:
    return START + "".join(step(n, warm if n <= 64 else measured) for n in range(steps))


def test_the_second_half_counts_and_the_comma_is_a_colon(cell: Any, read: Read) -> None:
    got = read("train-fsdp", (a_run() + average(2.62)).encode(), cell=cell, exit_code=0)
    assert got.result.failure is None
    assert got.value(TFLOPS) == pytest.approx(WORK / 2.62)
    assert got.value(TOKENS) == pytest.approx(3 * 8192 / 2.62)
    assert got.value("step_s") == 2.62
    assert got.value("gpu_memory_bytes", "max") == pytest.approx(172345.6e6)
    assert got.result.reasons == ()
    assert len([v for v in got.result.values if v.metric == TFLOPS and v.iteration]) == 128
    assert got.phases == [
        Phase.STARTING,
        Phase.LOADING,
        Phase.COMPILING,
        Phase.WARMING_UP,
        Phase.MEASURING,
        Phase.FINISHED,
    ]
    assert got.symptoms == [], "that torch.compile is off is information"


def test_live_steps_carry_tokens_tflops_time_and_progress(cell: Any, read: Read) -> None:
    progress, tokens = read("train-fsdp", ("10 1.4623\n" + step(10, 2.5)).encode(), cell=cell).samples
    assert (progress.metric, progress.rate) == (TFLOPS, pytest.approx(WORK / 2.5))
    assert (progress.done, progress.total) == (11.0, 128.0), "the program counts from 0"
    assert progress.extra["loss"] == 1.4623
    assert progress.extra["step_s"] == 2.5
    assert progress.extra["tokens_per_s_per_node"] == pytest.approx(8 * 3 * 8192 / 2.5)
    assert (tokens.metric, tokens.rate) == (TOKENS, pytest.approx(3 * 8192 / 2.5))


def test_a_log_without_averages_is_averaged_by_the_same_rule(cell: Any, read: Read) -> None:
    got = read("train-fsdp", a_run(measured=2.0).encode(), cell=cell, exit_code=0)
    assert got.value(TFLOPS) == pytest.approx(WORK / 2.0)
    assert got.result.failure is None


def test_a_run_cut_off_has_no_figure(cell: Any, read: Read) -> None:
    got = read("train-fsdp", a_run(steps=100).encode(), cell=cell, exit_code=1)
    assert got.result.value() is None
    assert got.result.failure.failure is FailureClass.UNKNOWN
    assert read("train-fsdp", a_run(steps=100).encode(), cell=cell).result.failure.line == (
        "the program ended at step 100 of 128 without a result"
    )


def test_averages_of_another_run_contradict_the_steps(cell: Any, read: Read) -> None:
    failure = read("train-fsdp", (a_run(measured=2.62) + average(2.4)).encode(), cell=cell, exit_code=0).result.failure
    assert failure.failure is FailureClass.RESULT_MISMATCH


def test_another_sequence_length_than_asked_for_shows_in_the_formula(make_cell: MakeCell, read: Read) -> None:
    wrong = make_cell("train-fsdp", metric=TFLOPS, **{**ROW, "sequence_length": 4096})
    got = read("train-fsdp", (a_run() + average(2.62)).encode(), cell=wrong, exit_code=0)
    assert [reason.reason for reason in got.result.reasons] == [Validity.RESULT_MISMATCH]


@pytest.mark.parametrize("loss", ["nan", "inf"])
def test_a_loss_that_is_no_number_fails_the_run(loss: str, cell: Any, read: Read) -> None:
    log = (a_run() + average(2.62)).replace("warming up iter: 7/", f"7 {loss}\nwarming up iter: 7/")
    assert read("train-fsdp", log.encode(), cell=cell, exit_code=0).result.failure.failure is FailureClass.NAN_LOSS


def test_averages_of_nothing_are_no_figure(cell: Any, read: Read) -> None:
    log = "Avg token per second: nan\nAvg iter time: nan\nAvg TFLOP/s, nan\n"
    assert read("train-fsdp", log.encode(), cell=cell, exit_code=0).result.failure.failure is FailureClass.NO_RESULT


def test_mads_accelerate_form_comes_as_a_bar_and_again_in_its_log_file(read: Read) -> None:
    drawn = b"".join(
        f"\r[{'Warmup' if n <= 60 else 'Test'}] Step: {n}/120; TFLOP/s: 735.11; iter time: 1.94; tokens/s: 12690.33: "
        f"{n * 100 // 120:3d}%|###   | {n}/120 [00:{n % 60:02d}<01:00,  1.94s/it]".encode()
        for n in range(1, 121)
    )
    again = b"2025-03-01 10:00:00,000 - INFO - [Test] Step: 120/120; TFLOP/s: 735.11; iter time: 1.94; "
    again += b"tokens/s: 12690.33\n"
    end = b"\nAvg token per second: 12690.33\nAvg iter time: 1.94\nAvg TFLOP/s: 735.11\nPeak memory use = 180000MB\n"
    got = read("train-fsdp", [LogFrame(1, 2, drawn), LogFrame(2, 1, again + end)])
    steps = [sample for sample in got.samples if sample.done is not None]
    assert len(steps) == 120
    assert (steps[-1].done, steps[-1].total) == (120.0, 120.0)
    assert got.value(TFLOPS) == 735.11
    assert got.result.failure is None
