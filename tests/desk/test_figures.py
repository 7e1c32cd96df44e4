"""What a training program says live reaches a view: of a GPU, of a node, step, step time, loss, memory, time left."""

from collections.abc import Sequence

import msgspec
import pytest

from console.catalog import shelf
from console.desk.board import AttemptView, Board
from console.desk.figures import LIMIT, Figures, figure_of, gpu_of, mfu_percent
from console.model import events as ev
from console.model.attempt import LogFrame, Sample, Stage
from console.model.cell import AnyCell, Conditions
from console.workloads.base import registry

SECOND = 1_000_000_000
NOW = 1_750_000_000 * SECOND

MEGATRON = (
    " [2025-08-13 03:42:28] iteration {n:8d}/      50 | consumed samples:        12800 | elapsed time per iteration "
    "(ms): 11000.0 | mem usages: 0.7494 | throughput per GPU (TFLOP/s/GPU): 690.2 | learning rate: 9.999999E-05 | "
    "global batch size:   256 | lm loss: 7.272264E+00 | loss scale: 1.0 | grad norm: 1.571 | number of skipped "
    "iterations:   0 | number of nan iterations:   0 |\n"
)
TITAN = (
    "[rank0]:[titan] 2025-03-01 10:00:00,000 - root - INFO - \x1b[31mstep: {n:2d}  \x1b[32mloss: 12.2700  "
    "\x1b[33mmemory: 145.40GiB(75.49%)  \x1b[34mtps: 1,093  \x1b[36mtflops: 526.13  \x1b[35mmfu: 40.24%\x1b[39m\n"
)
FSDP = "Step: {n}; TFLOP/s: 542.94; iteration time: 2.621; token per second: 9375.0\n"
FLUX = (
    "2025-01-09 11:22:42,233 - INFO - Step {n}: {{'step_loss': 0.4012, 'step_time_total': 2.2, 'fps_gpu': 4.5454, "
    "'tflops/s': 289.1}}\n"
)


def cell_of(matrix: str, workload: str, nodes: int = 1) -> AnyCell:
    return next(cell for cell in shelf.load().matrix(matrix).cells if cell.workload == workload and cell.nodes == nodes)


def view_of(cell: AnyCell, part: str, lines: Sequence[str], gpu: str = "MI300X") -> AttemptView:
    """The board's view while the program prints these lines, ten seconds apart."""
    board = Board()
    planned = ev.AttemptPlanned(
        matrix=cell.matrix, cell_id=cell.id, workload=cell.workload, cell=msgspec.Raw(msgspec.json.encode(cell)),
        wish=("n1", "n2"), repeat=1, attempt_try=1, expected_s=600.0, startup_s=60.0, position=0,
    )  # fmt: skip
    under = Conditions(gpu=gpu)
    told: list[ev.Event] = [planned, ev.PreflightDone((), {"n1": under, "n2": under}), ev.StageEntered(Stage.RUNNING)]
    reader = registry()[cell.workload].reader(cell, part)
    for index, line in enumerate(lines):
        told += list(reader.feed([LogFrame(NOW + (100 + 10 * index) * SECOND, 1, line.encode())]))
    board.apply(
        ev.Envelope(seq=seq, at_ns=getattr(event, "at_ns", NOW), run="r1", attempt="a1", event=event)
        for seq, event in enumerate(told, 1)
    )
    view = board.attempt("a1")
    assert view is not None
    return view


def said(view: AttemptView) -> dict[str, str]:
    return {figure.name: figure.text for figure in view.figures}


def test_megatron_on_two_nodes() -> None:
    cell = cell_of("megatron-25.5-llama", "megatron-llama", nodes=2)
    view = view_of(cell, "rank1", [MEGATRON.format(n=n) for n in range(1, 26)])
    assert said(view) == {
        "tflops_per_s_per_gpu": "690.2 TFLOP/s/GPU",
        "tokens_per_s_per_gpu": "11,916 tok/s/GPU",
        "tokens_per_s_per_node": "95,325 tok/s/node",
        "step_s": "11.00 s",
        "loss": "7.272",
        "gpu_memory_used": "74.9 %",
    }
    assert view.progress is not None
    assert (view.progress.done, view.progress.total, view.progress.counts) == (25, 50, "steps")
    assert view.rate is not None
    assert (view.rate.metric, view.rate.value) == ("tflops_per_s_per_gpu", 690.2)
    assert view.eta_s(NOW + 340 * SECOND) == pytest.approx(220.0), "22 steps took 220 s since the third"
    assert view_of(cell, "rank0", [MEGATRON.format(n=1)]).precision == "FP8"


def test_megatron_measures_from_the_third_iteration() -> None:
    cell = cell_of("megatron-25.5-llama", "megatron-llama")
    view = view_of(cell, "main", [MEGATRON.format(n=n) for n in range(1, 5)])
    assert view.rate is not None
    assert view.rate.mean == pytest.approx(690.2)
    assert view.phase is not None
    assert view.phase.value == "measuring"


def test_torchtitan_train_fsdp_and_flux() -> None:
    titan = view_of(cell_of("pytorch-25.5-mi325x", "torchtitan"), "main", [TITAN.format(n=n) for n in (1, 2)])
    assert said(titan)["gpu_memory_used"] == "75.5 %"
    assert said(titan)["gpu_memory_bytes"] == "145.4 GiB"
    assert (said(titan)["loss"], said(titan)["tokens_per_s_per_node"]) == ("12.27", "8,744 tok/s/node")
    assert said(titan)["step_s"] == "52.46 s"

    fsdp = view_of(cell_of("pytorch-25.5-mi300x", "train-fsdp"), "main", ["64 11.5\n", FSDP.format(n=64)])
    assert said(fsdp) == {
        "tflops_per_s_per_gpu": "542.9 TFLOP/s/GPU",
        "tokens_per_s_per_gpu": "9,375 tok/s/GPU",
        "tokens_per_s_per_node": "75,000 tok/s/node",
        "step_s": "2.621 s",
        "loss": "11.50",
    }

    flux = view_of(cell_of("pytorch-25.5-mi300x", "flux"), "main", [FLUX.format(n=n) for n in (1, 2)])
    assert said(flux)["images_per_s_per_gpu"] == "4.545 images/s/GPU"
    assert said(flux)["images_per_s_per_node"] == "36.36 images/s/node"
    assert (said(flux)["step_s"], said(flux)["loss"]) == ("2.2 s", "0.4012")


def test_deepseeks_work_is_called_an_estimate() -> None:
    cell = cell_of("megatron-25.5-deepseek", "megatron-deepseek")
    view = view_of(cell, "main", [MEGATRON.format(n=1)])
    estimate = figure_of(view.figures, "tflops_per_s_per_gpu_estimate")
    assert estimate is not None
    assert estimate.label == "TFLOP/s/GPU, estimated"
    assert figure_of(view.figures, "tflops_per_s_per_gpu") is None


def test_mfu_is_of_the_hosts_gpu_and_the_rows_data_type() -> None:
    gpus = shelf.load().gpus
    view = view_of(cell_of("megatron-25.5-llama", "megatron-llama"), "main", [MEGATRON.format(n=1)])
    assert mfu_percent(view.figures, view.gpu, view.precision, gpus) == pytest.approx(100 * 690.2 / 2614.9)
    assert mfu_percent(view.figures, None, view.precision, gpus) is None
    assert mfu_percent((), view.gpu, view.precision, gpus) is None
    assert gpu_of([Conditions(gpu="MI300X"), Conditions(gpu="MI325X")]) is None
    assert gpu_of([]) is None


def test_names_of_a_users_own_are_kept_within_bounds_and_clean() -> None:
    figures = Figures()
    for index in range(3 * LIMIT):
        extra = {f"own_{index}": 1.0, "bad\x1b[31m": 2.0}
        figures.add(Sample(at_ns=1, source="iteration line", extra=extra), 1)
    found = figures.read()
    assert len(found) == LIMIT
    assert figure_of(found, "own_0") is not None
    assert not any("\x1b" in figure.label for figure in found)
