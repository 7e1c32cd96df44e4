"""FluxBenchmark: two runs of one launcher, step lines of two builds, the summary file."""

from collections.abc import Callable, Mapping
from typing import Any

import pytest

from console.model.attempt import FailureClass, LogFrame, Phase, Result
from console.workloads.base import registry
from console.workloads.flux_reader import SUMMARY
from console.workloads.stall import stalled

Read = Callable[..., Any]
MakeCell = Callable[..., Any]
IMAGES = "images_per_s_per_gpu"
REAL = (
    "2025-01-09 11:22:42,233 - INFO - Step 2: {'step_loss': 0.4012, 'step_time_total': 1.8575, 'fps_gpu': 4.3067, "
    "'tflops/s': 276.17}\n"
)


def line(
    step: int, batch: int, seconds: float, *, key: str = "step_time_total", loss: str = "0.4", work: float = 276.0
) -> str:
    fps = batch / seconds
    lr = "'lr': 1e-05, " if key == "step_time" else ""
    return (
        f"2025-01-09 11:22:42,233 - INFO - Step {step}: {{{lr}'step_loss': {loss}, '{key}': {seconds}, "
        f"'fps_gpu': {fps:.4f}, 'tflops/s': {work}}}\n"
    )


def run(batch: int, seconds: float, steps: int = 100, **more: Any) -> str:
    slow = "".join(line(n, batch, 3 * seconds, **more) for n in range(1, 6))
    return slow + "".join(line(n, batch, seconds, **more) for n in range(6, steps + 1))


def launcher(first: str, second: str, *, ended: bool = True) -> str:
    text = f"Total runs to execute: 2\nStarting run 1/2\nLogging to outputs/runs/sweep_000/0_logs.txt\n{first}"
    text += f"Run 1 completed successfully!\nStarting run 2/2\n{second}"
    return text + ("Run 2 completed successfully!\nAll runs completed.\n" if ended else "")


@pytest.fixture
def cell(make_cell: MakeCell) -> Any:
    return make_cell("flux", metric=IMAGES, reference=4.51, batch_size=10)


def close(cell: Any, log: str, files: Mapping[str, bytes], exit_code: int | None = 0) -> Result:
    reader = registry()["flux"].reader(cell, "main")
    reader.feed([LogFrame(1, 1, log.encode())])
    return reader.close(files, exit_code)


def table(**of_batch: float) -> bytes:
    rows = "".join(f"{name.removeprefix('b')},{value},0.01,280.0\n" for name, value in of_batch.items())
    return f"train_batch_size,avg_fps,std_fps,avg_tflops\n{rows}".encode()


def test_the_real_step_line_is_read(read: Read) -> None:
    [sample] = read("flux", REAL.encode()).samples
    assert (sample.metric, sample.rate) == (IMAGES, 4.3067)
    assert sample.extra["step_s"] == 1.8575
    assert sample.extra["loss"] == 0.4012
    assert sample.extra["tflops_per_s_per_gpu"] == 276.17
    assert sample.extra["batch_size"] == 8.0


def test_between_its_runs_the_launcher_loads_the_model_again_and_is_not_stalled(cell: Any, read: Read) -> None:
    first = read("flux", launcher(run(1, 0.49), "", ended=False).encode(), cell=cell, exit_code=None).samples
    steps = [sample for sample in first if sample.done is not None]
    assert [sample.done for sample in steps if sample.pause] == [99.0, 100.0]
    assert stalled(steps, steps[-1].at_ns + 600 * 10**9) is None
    assert stalled(steps[:-2], steps[-1].at_ns + 600 * 10**9) is not None


@pytest.mark.parametrize("key", ["step_time", "step_time_total"])
def test_the_figure_is_that_of_the_rows_batch_without_five_steps(key: str, cell: Any, read: Read) -> None:
    log = launcher(run(1, 0.49, key=key), run(10, 2.217, key=key))
    got = read("flux", log.encode(), cell=cell, exit_code=0)
    assert got.result.failure is None
    assert got.value(IMAGES) == pytest.approx(4.51, abs=0.001)
    assert got.value("step_s") == pytest.approx(2.217)
    assert len([v for v in got.result.values if v.metric == IMAGES and v.iteration]) == 100
    assert got.samples[-1].done == got.samples[-1].total == 200.0
    assert got.samples[-1].extra["images_per_s_per_node"] == pytest.approx(8 * 4.51, abs=0.01)
    assert got.phases[-2:] == [Phase.MEASURING, Phase.FINISHED]


def test_the_launchers_summary_is_the_figure_when_it_agrees(cell: Any) -> None:
    log = launcher(run(1, 0.49), run(10, 2.217))
    result = close(cell, log, {SUMMARY: table(b1=2.03, b10=4.512)})
    assert result.failure is None
    assert result.value() == 4.512
    renamed = table(b1=2.03, b10=4.509).replace(b"avg_fps", b"avg_fps_gpu")
    assert close(cell, log, {SUMMARY: renamed}).value() == 4.509
    last = b"avg_fps,std_fps\n2.03,0.1\n4.508,0.1\n"
    assert close(cell, log, {SUMMARY: last}).value() == 4.508, "without batch sizes the last row is the largest"


def test_a_summary_of_another_sweep_contradicts_the_steps(cell: Any) -> None:
    failure = close(cell, launcher(run(1, 0.49), run(10, 2.217)), {SUMMARY: table(b1=2.03, b10=4.9)}).failure
    assert failure is not None
    assert failure.failure is FailureClass.RESULT_MISMATCH


@pytest.mark.parametrize("data", [b"", b"\xff\xfe", b"a,b\n1", b"avg_fps\nnan\n", b'"'])
def test_a_summary_that_is_none_leaves_the_figure_to_the_steps(data: bytes, cell: Any) -> None:
    result = close(cell, launcher(run(1, 0.49), run(10, 2.217)), {SUMMARY: data})
    assert result.value() == pytest.approx(4.51, abs=0.001)


def test_the_batch_of_one_is_never_the_figure_of_a_failed_batch_of_ten(cell: Any) -> None:
    log = launcher(run(1, 0.49), run(10, 2.217, steps=20), ended=False)
    log += "torch.OutOfMemoryError: HIP out of memory. Tried to allocate 2.00 GiB.\nAll runs completed.\n"
    result = close(cell, log, {SUMMARY: b"avg_fps\n2.03\n"})
    assert result.value() is None
    assert result.failure is not None
    assert result.failure.failure is FailureClass.OUT_OF_MEMORY_GPU


def test_steps_shown_twice_or_late_belong_to_their_own_run(cell: Any, read: Read) -> None:
    first, second = run(1, 0.49), run(10, 2.217)
    log = launcher("", second) + first + first + second
    got = read("flux", log.encode(), cell=cell, exit_code=0)
    assert got.value(IMAGES) == pytest.approx(4.51, abs=0.001)
    assert len(got.samples) == 200


def test_operations_are_not_counted_under_compile_and_nan_fails(cell: Any, read: Read) -> None:
    [sample] = read("flux", line(1, 10, 2.2, work=0.0).encode(), cell=cell).samples
    assert "tflops_per_s_per_gpu" not in sample.extra
    log = launcher(run(1, 0.49), run(10, 2.217).replace("'step_loss': 0.4,", "'step_loss': nan,", 1))
    assert read("flux", log.encode(), cell=cell, exit_code=0).result.failure.failure is FailureClass.NAN_LOSS
