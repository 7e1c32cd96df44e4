"""torchtitan's lines: colours, thousands separators, older and newer forms, two result rules."""

from collections.abc import Callable
from typing import Any

import pytest

from console.model.attempt import FailureClass, Phase

Read = Callable[..., Any]
MakeCell = Callable[..., Any]
TFLOPS, TOKENS = "tflops_per_s_per_gpu", "tokens_per_s_per_gpu"
ROW = {"batch_size": 4, "sequence_length": 8192}
PER_TOKEN = 481.435e9


def line(number: int, tps: float = 886.5, *, loss: str = "12.2734", colour: bool = True, norm: bool = True) -> str:
    """One step as the metrics processor of early 2025 prints it; values as the published row would have them."""
    red, green, blue, reset = ("\x1b[31m", "\x1b[32m", "\x1b[34m", "\x1b[39m") if colour else ("", "", "", "")
    tflops = tps * PER_TOKEN / 1e12
    grad = f"  grad_norm: {2.5:7.4f}" if norm else ""
    return (
        f"[rank0]:[titan] 2025-03-01 10:00:{number % 60:02d},000 - root - INFO - {red}step: {number:2}  "
        f"{green}loss: {loss}{grad}  {blue}memory: 145.40GiB(75.49%)  {green}tps: {round(tps):,}  "
        f"{red}tflops: {tflops:,.2f}  {blue}mfu: {tflops / 13.0:.2f}%{reset}\n"
    )


@pytest.fixture
def cell(make_cell: MakeCell) -> Any:
    return make_cell("torchtitan", metric=TFLOPS, **ROW)


def test_a_coloured_line_with_thousands_is_read_whole(cell: Any, read: Read) -> None:
    progress, tokens = read("torchtitan", line(7, tps=1886.0).encode(), cell=cell).samples
    assert (tokens.metric, tokens.rate) == (TOKENS, 1886.0), "cut at the comma it would be 1"
    assert progress.rate == pytest.approx(1886 * PER_TOKEN / 1e12, abs=0.01)
    assert (progress.done, progress.total) == (7.0, 50.0)
    assert progress.extra["loss"] == 12.2734
    assert progress.extra["grad_norm"] == 2.5
    assert progress.extra["gpu_memory_used"] == pytest.approx(0.7549)
    assert progress.extra["gpu_memory_bytes"] == pytest.approx(145.40 * 1024**3)
    assert progress.extra["step_s"] == pytest.approx(4 * 8192 / 1886)
    assert progress.extra["tokens_per_s_per_node"] == 8 * 1886.0
    assert "mfu" not in progress.extra, "the program's own peak is not ours"


def test_a_thousand_tflops_are_not_one(cell: Any, read: Read) -> None:
    progress, _ = read("torchtitan", line(7, tps=1_234_567.0).encode(), cell=cell).samples
    assert progress.rate == pytest.approx(1_234_567 * PER_TOKEN / 1e12, abs=0.01)
    assert progress.rate > 1000


def test_a_gpu_that_the_program_does_not_know_is_no_failure(cell: Any, read: Read) -> None:
    """It then divides by an A100's peak: its MFU means nothing, its figures stand."""
    unknown = "[rank0]:[titan] 2025-03-01 10:00:00,000 - root - WARNING - Peak flops undefined for: AMD Instinct "
    log = unknown + "MI300X, fallback to A100\n" + "".join(line(n) for n in range(1, 51))
    got = read("torchtitan", log.encode(), cell=cell, exit_code=0)
    assert (got.symptoms, got.result.failure) == ([], None)
    assert got.value(TOKENS) == 886.0


@pytest.mark.parametrize("loss", ["nan", "NaN", "inf"])
def test_a_loss_of_nan_still_yields_samples_and_fails(loss: str, cell: Any, read: Read) -> None:
    log = "".join(line(n, loss="12.0" if n < 5 else loss) for n in range(1, 51))
    got = read("torchtitan", log.encode(), cell=cell, exit_code=0)
    assert len([sample for sample in got.samples if sample.done is not None]) == 50
    assert got.result.failure.failure is FailureClass.NAN_LOSS


def test_the_last_step_is_the_figure_and_the_other_rule_stands_beside_it(cell: Any, read: Read) -> None:
    log = "".join(line(n, tps=800.0 + n) for n in range(1, 51)) + "[titan] - root - INFO - Training completed\n"
    got = read("torchtitan", log.encode(), cell=cell, exit_code=0)
    assert got.result.failure is None
    assert got.value(TOKENS) == 850.0
    assert got.value(TFLOPS) == pytest.approx(850 * PER_TOKEN / 1e12, abs=0.01)
    assert got.value(TOKENS, "other rule") == sum(800 + n for n in range(31, 41)) / 10
    assert got.result.value() == got.value(TFLOPS)
    assert got.phases == [Phase.WARMING_UP, Phase.MEASURING, Phase.FINISHED]


def test_the_rule_of_later_scripts_is_a_parameter(make_cell: MakeCell, read: Read) -> None:
    cell = make_cell("torchtitan", metric=TFLOPS, **ROW, rule="entries 30 to 39")
    log = "".join(line(n, tps=800.0 + n) for n in range(1, 51))
    got = read("torchtitan", log.encode(), cell=cell, exit_code=0)
    assert got.value(TOKENS) == sum(800 + n for n in range(31, 41)) / 10
    short = make_cell("torchtitan", metric=TFLOPS, **ROW, rule="entries 30 to 39", steps=20)
    failed = read("torchtitan", "".join(line(n) for n in range(1, 21)).encode(), cell=short, exit_code=0).result
    assert failed.failure.line == "the result rule needs 40 step lines, the log has 20"


def test_older_builds_say_wps_and_leave_fields_out(cell: Any, read: Read) -> None:
    old = "[rank0]:2024-12-01 10:00:00,000 - root - INFO - step:  3  loss: 12.0  memory: 90.1GiB(46.9%)  "
    old += "wps: 1,886  mfu: 32.83%\n"
    progress, tokens = read("torchtitan", old.encode(), cell=cell).samples
    assert tokens.rate == 1886.0
    assert progress.rate == pytest.approx(1886 * PER_TOKEN / 1e12, rel=1e-4), "by the formula, where none is printed"
    plain = read("torchtitan", line(3, colour=False, norm=False).encode(), cell=cell).samples
    assert plain[0].done == 3.0
    assert "grad_norm" not in plain[0].extra


def test_a_run_that_stopped_early_has_no_figure(cell: Any, read: Read) -> None:
    got = read("torchtitan", "".join(line(n) for n in range(1, 31)).encode(), cell=cell, exit_code=0)
    assert got.result.value() is None
    assert got.result.failure.line == "the program ended at step 30 of 50 without a result"


def test_a_log_made_by_hand_says_its_batch_and_length_itself(read: Read) -> None:
    starts = "[titan] - root - INFO - Training starts at step 1, with local batch size 4, global batch size 32, "
    starts += "sequence length 8192, total steps 10 (warmup 2)\n"
    got = read("torchtitan", (starts + "".join(line(n) for n in range(1, 11))).encode())
    assert got.result.failure is None
    assert got.samples[0].total == 10.0
    assert got.samples[0].extra["step_s"] == pytest.approx(4 * 8192 / 886, abs=0.1)
