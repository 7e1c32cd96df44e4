"""MFU against the published peak, and scaling against the row of one node."""

from collections.abc import Callable
from typing import Any

import msgspec
import pytest

from console.model.attempt import MetricValue, Reason, Result, Validity
from console.model.cell import AnyCell, Cell, Column, Conditions, Matrix
from console.results import frames, views
from console.results.markdown import markdown

replace = msgspec.structs.replace

TFLOPS = "tflops_per_s_per_gpu"
ENDED = Conditions(gpu="MI300X", gpus=8, image="rocm/megatron-lm:v25.5_py310")


class Params(msgspec.Struct, frozen=True, kw_only=True):
    micro_batch_size: int
    global_batch_size: int
    sequence_length: int
    interface: str | None = None


def training(nodes: int, **fields: Any) -> AnyCell:
    params = Params(micro_batch_size=2, global_batch_size=128 * nodes, sequence_length=8192, **fields.pop("more", {}))
    given: dict[str, Any] = {
        "matrix": "megatron",
        "id": f"8b-{nodes}n",
        "workload": "megatron-llama",
        "model": "meta-llama/Llama-3.1-8B",
        "title": "Llama 3.1 8B",
        "precision": "FP8",
        "image": "megatron",
        "nodes": nodes,
        "gpus_per_node": 8,
        "metric": TFLOPS,
        "params": params,
        "recipe": "reconstructed",
    }
    return Cell(**{**given, **fields})


@pytest.fixture
def measured(book: Any) -> Callable[..., str]:
    """Plan and end an attempt of a training row with one figure."""
    book.open()

    def measure(cell: AnyCell, value: float, *, metric: str = TFLOPS, **fields: Any) -> str:
        result = Result(headline=metric, values=(MetricValue(metric=metric, value=value),))
        under = replace(ENDED, nodes=cell.nodes)
        name: str = book.measure(cell, value, **{"result": result, "conditions": under, **fields})
        return name

    return measure


@pytest.fixture
def table(book: Any, shelf: Any) -> Callable[[], dict[str, dict[str, Any]]]:
    """The rows of the run by attempt."""
    return lambda: {row["attempt"]: row for row in frames.results(book.tail, shelf, ["r1"]).to_dicts()}


def test_mfu_is_of_the_published_peak_of_the_rows_data_type(measured: Any, table: Any) -> None:
    fp8, bf16 = measured(training(1), 697.91), measured(training(1, id="bf16", precision="BF16"), 542.94)
    none = measured(training(1, id="int4", precision="INT4"), 100.0)
    other = measured(training(1, id="gpu"), 100.0, conditions=replace(ENDED, gpu="MI999"))
    tokens = measured(training(1, id="tokens", metric="tokens_per_s_per_gpu"), 10570.0, metric="tokens_per_s_per_gpu")
    rows = table()
    assert rows[fp8]["mfu_percent"] == pytest.approx(100 * 697.91 / 2614.9)
    assert rows[bf16]["mfu_percent"] == pytest.approx(100 * 542.94 / 1307.4)
    assert [rows[name]["mfu_percent"] for name in (none, other, tokens)] == [None, None, None]


def test_tflops_beside_another_figure_make_an_mfu_too(measured: Any, table: Any) -> None:
    values = (
        MetricValue(metric="images_per_s_per_gpu", value=4.51),
        MetricValue(metric=TFLOPS, value=400.0, iteration=3),
        MetricValue(metric=TFLOPS, value=289.0),
    )
    flux = training(1, id="flux", precision="BF16", metric="images_per_s_per_gpu")
    name = measured(flux, 4.51, result=Result(headline="images_per_s_per_gpu", values=values))
    assert table()[name]["mfu_percent"] == pytest.approx(100 * 289.0 / 1307.4)


def test_scaling_is_what_is_left_of_the_one_node_figure(measured: Any, table: Any) -> None:
    one = measured(training(1), 697.91)
    names = {n: measured(training(n), value) for n, value in ((2, 690.33), (4, 686.74), (8, 675.50))}
    rows = table()
    found = {n: round(rows[name]["scaling_efficiency_percent"], 1) for n, name in names.items()}
    assert found == {2: 98.9, 4: 98.4, 8: 96.8}
    assert {rows[name]["scaling_against"] for name in names.values()} == {"8b-1n on node01"}
    assert (rows[one]["scaling_efficiency_percent"], rows[one]["scaling_against"]) == (None, None)


@pytest.mark.parametrize(
    "other",
    [
        {"matrix": "another"},
        {"model": "meta-llama/Llama-3.1-70B"},
        {"precision": "BF16"},
        {"gpus_per_node": 4},
        {"params": Params(micro_batch_size=2, global_batch_size=256, sequence_length=8192)},
        {"params": Params(micro_batch_size=2, global_batch_size=128, sequence_length=4096)},
    ],
    ids=lambda change: next(iter(change)),
)
def test_other_work_on_one_node_is_no_measure(measured: Any, table: Any, other: dict[str, Any]) -> None:
    measured(replace(training(1), **other), 697.91)
    two = measured(training(2), 690.33)
    assert table()[two]["scaling_efficiency_percent"] is None


def test_how_the_nodes_reach_each_other_is_not_other_work(measured: Any, table: Any) -> None:
    measured(training(1), 697.91)
    two = measured(training(2, more={"interface": "eth2"}), 690.33)
    assert table()[two]["scaling_efficiency_percent"] == pytest.approx(98.914, rel=1e-4)


def test_a_spoiled_or_failed_one_node_row_is_no_measure(measured: Any, table: Any, book: Any) -> None:
    measured(training(1), 697.91, reasons=(Reason(Validity.THROTTLED, "power"),))
    book.fail(training(1), repeat=2)
    two = measured(training(2), 690.33)
    assert table()[two]["scaling_efficiency_percent"] is None


def test_the_one_node_row_of_the_same_run_and_host_comes_first(measured: Any, book: Any, shelf: Any) -> None:
    measured(training(1), 600.0, host="node07")
    measured(training(1), 700.0)
    two = measured(training(2), 690.0)
    book.open("r2")
    alone = measured(training(2), 350.0, run="r2")
    rows = {row["attempt"]: row for row in frames.results(book.tail, shelf, ["r1", "r2"]).to_dicts()}
    assert rows[two]["scaling_against"] == "8b-1n on node01"
    assert rows[alone]["scaling_efficiency_percent"] == pytest.approx(50.0)
    assert rows[alone]["scaling_against"] == "8b-1n on node01 of run r1"


def test_figures_of_a_whole_run_are_shared_by_the_nodes(measured: Any, table: Any) -> None:
    for metric, values in (("total_tokens_per_s", (1000.0, 1900.0)), ("elapsed_s", (100.0, 110.0))):
        measured(training(1, id=f"{metric}-1", metric=metric), values[0], metric=metric)
        measured(training(2, id=f"{metric}-2", metric=metric), values[1], metric=metric)
    found = {row["cell"]: row["scaling_efficiency_percent"] for row in table().values()}
    assert found["total_tokens_per_s-2"] == pytest.approx(95.0)
    assert found["elapsed_s-2"] is None


def test_the_summary_takes_medians_and_pages_show_both(measured: Any, book: Any, shelf: Any) -> None:
    for repeat, (one, two) in enumerate(((690.0, 680.0), (700.0, 690.0), (710.0, 700.0)), 1):
        measured(training(1), one, repeat=repeat)
        measured(training(2), two, repeat=repeat)
    measured(training(1, id="tokens", metric="tokens_per_s_per_gpu"), 10570.0, metric="tokens_per_s_per_gpu")
    summary = frames.summary(frames.results(book.tail, shelf, ["r1"]))
    rows = {row["cell"]: row for row in summary.to_dicts()}
    assert rows["8b-1n"]["mfu_percent"] == pytest.approx(100 * 700 / 2614.9)
    assert rows["8b-2n"]["scaling_efficiency_percent"] == pytest.approx(100 * 690 / 700)

    columns = (Column(heading="# of nodes", key="nodes"),)
    megatron = Matrix(
        name="megatron", title="Megatron", workload="megatron-llama", image="megatron", metric=TFLOPS, source="page",
        dated="2025", platform="-", server="-", columns=columns, cells=(training(1), training(2)),
    )  # fmt: skip
    page = views.page(summary, "megatron", megatron)
    at = page.headings.index("MFU %")
    assert page.headings[at - 1 : at + 2] == ("Ratio", "MFU %", "Scaling %")
    assert [row[at : at + 2] for row in page.rows] == [("26.8", "-"), ("26.4", "98.6"), ("-", "-")]
    assert page.numeric[at]
    text = markdown(summary, {"megatron": megatron})
    assert "| Ratio | MFU % | Scaling % | Verdict |" in text
    assert "scaling is the figure of a GPU against that on one node: 8b-1n on node01" in text
    assert "MFU is of the published dense peak (FP8 on MI300X)" in text
