"""Matrices of one's own: the shipped example, metrics that only a matrix knows, and one matrix extending another."""

from collections.abc import Callable
from pathlib import Path

import pytest

from console.catalog.adapt import adapt
from console.catalog.columns import column_text
from console.catalog.errors import BrokenProfiles
from console.catalog.selection import select
from console.catalog.shelf import Catalog, load, shipped_folder
from console.model.attempt import LogFrame, Sample
from console.model.units import METRICS, oriented_ratio
from console.workloads.base import registry

Write = Callable[[str, str], Path]
EXAMPLE = shipped_folder() / "examples" / "own-program"

RCCL = """\
#       size         count      type   redop    root     time   algbw   busbw #wrong     time   algbw   busbw #wrong
#        (B)    (elements)                               (us)  (GB/s)  (GB/s)            (us)  (GB/s)  (GB/s)
     1048576        262144     float     sum      -1    45.61   22.99   40.23      0    44.90   23.35   40.87      0
  8589934592    2147483648     float     sum      -1  48200.3  178.21  311.87      0  48190.0  178.25  311.94      0
# Out of bounds values : 0 OK
# Avg bus bandwidth    : 176.227
"""


@pytest.fixture(scope="module")
def example() -> Catalog:
    return load([EXAMPLE])


def test_the_example_is_not_loaded_by_itself(shipped: Catalog) -> None:
    assert not any(name.startswith("rccl") for name in shipped.matrices)


def test_the_examples_program_runs_and_is_read(example: Catalog) -> None:
    [cell] = example.matrix("rccl-bandwidth").cells
    assert cell.metric == "bus_gb_per_s"
    assert cell.params.argv[:2] == ("all_reduce_perf", "-b")
    reader = registry()["command"].reader(cell, "main")
    signals = reader.feed([LogFrame(1, 1, RCCL.encode())])
    rates = [signal.rate for signal in signals if isinstance(signal, Sample)]
    assert rates == [40.23, 311.87]
    result = reader.close({}, 0)
    assert (result.failure, result.value()) == (None, 176.227)
    assert {value.metric: value.value for value in result.values}["wrong_values"] == 0.0


def test_a_declared_metric_has_unit_and_direction(example: Catalog) -> None:
    assert example.matrices
    assert (METRICS["bus_gb_per_s"].unit, METRICS["bus_gb_per_s"].label) == ("GB/s", "Bus bandwidth")
    assert METRICS["wrong_values"].label == "Wrong values"
    assert oriented_ratio("bus_gb_per_s", 310.0, 300.0) > 1
    assert oriented_ratio("wrong_values", 310.0, 300.0) < 1


def test_a_matrix_takes_over_what_another_says_of_how_but_not_its_rows(example: Catalog) -> None:
    base, more = example.matrix("rccl-bandwidth"), example.matrix("rccl-reduce-scatter")
    [cell] = more.cells
    assert cell.id == "reduce-scatter-1n"
    assert cell.params.argv[0] == "reduce_scatter_perf"
    assert cell.params.result == base.cells[0].params.result
    assert (more.image, more.columns, more.metric) == (base.image, base.columns, base.metric)
    assert more.title == "RCCL reduce-scatter bandwidth"


def test_a_program_of_ones_own_may_do_without_gpus(write: Write, matrix_text: str) -> None:
    for folder in ("images", "models"):
        for path in (EXAMPLE / folder).glob("*.toml"):
            write(f"{folder}/{path.name}", path.read_text())
    text = (EXAMPLE / "matrices" / "rccl-bandwidth.toml").read_text().replace("gpus_per_node = 8", "gpus_per_node = 0")
    catalog = load([write("matrices/mine.toml", text)])
    [cell] = catalog.matrix("rccl-bandwidth").cells
    need = registry()["command"].need(cell, catalog.image(cell.image), catalog.model(cell.model))
    assert (cell.gpus_per_node, need.gpus) == (0, 0)


def test_a_published_program_may_not(write: Write, matrix_text: str) -> None:
    folder = write("matrices/mine.toml", matrix_text.replace("gpus_per_node = 8", "gpus_per_node = 0"))
    assert "mine.toml:10: gpus_per_node: 0 is not a number of at least 1" in said(folder)


def said(folder: Path) -> str:
    with pytest.raises(BrokenProfiles) as caught:
        load([folder])
    return str(caught.value)


def extending(text: str, name: str, base: str) -> str:
    return text.replace('name = "mine"', f'name = "{name}"\nextends = "{base}"')


def test_a_published_matrix_can_be_extended_without_its_figures(write: Write) -> None:
    text = """\
name = "mine"
title = "Longer prompts"
extends = "vllm-0.8.5-throughput"
source = "ours"
dated = "2026-01-31"

[[group]]
model = "amd/Llama-3.1-70B-Instruct-FP8-KV"
title = "Llama 3.1 70B FP8"
precision = "FP8"
tensor_parallel = 8
rows = [{ input_len = 8192, output_len = 128, num_prompts = 10, max_num_seqs = 10 }]
"""
    catalog = load([write("matrices/mine.toml", text)])
    mine, base = catalog.matrix("mine"), catalog.matrix("vllm-0.8.5-throughput")
    [cell] = mine.cells
    assert (mine.image, mine.server, mine.metric) == (base.image, base.server, base.metric)
    assert cell.references == ()
    assert cell.recipe == "unknown"
    assert (mine.notes, mine.source) == ((), "ours")


SIZES = (("1G", 2), ("8G", 2), ("8G", 4))


def test_values_of_a_row_name_columns_ids_and_selections_and_change_one_by_one(write: Write) -> None:
    for kind in ("images", "models"):
        for path in (EXAMPLE / kind).glob("*.toml"):
            write(f"{kind}/{path.name}", path.read_text())
    text = (EXAMPLE / "matrices" / "rccl-bandwidth.toml").read_text()
    text = text.replace('"{title}-{nodes}n"', '"{title}-{largest}-{step}"').replace('key = "nodes"', 'key = "step"')
    rows = [f'{{ nodes = 1, values = {{ largest = "{largest}", step = {step} }} }}' for largest, step in SIZES]
    text = text[: text.index("rows = [")] + f"rows = [{', '.join(rows)}]\n"
    folder = write("matrices/sweep.toml", text)

    catalog = load([folder])
    cells = catalog.matrix("rccl-bandwidth").cells
    assert [cell.id for cell in cells] == ["all-reduce-1g-2", "all-reduce-8g-2", "all-reduce-8g-4"]
    assert [column_text(cell, "step") for cell in cells] == ["2", "2", "4"]
    assert [cell.id for cell in select(cells, "largest==8g and step>2")] == ["all-reduce-8g-4"]
    changed = adapt(catalog, cells[0], None, {"values": "largest=2G"})
    assert changed.params.values == {"largest": "2G", "step": 2}
    assert changed.id.startswith("all-reduce-1g-2+values=")

    write("matrices/sweep.toml", text.replace('key = "step"', 'key = "stap"'))
    assert "no cell has a value called 'stap'; did you mean step or" in said(folder)


def test_mistakes_of_extending_are_named(write: Write, matrix_text: str) -> None:
    folder = write("matrices/a.toml", extending(matrix_text, "a", "vllm-0.8.5-thruput"))
    assert "no matrix is called 'vllm-0.8.5-thruput'; did you mean vllm-0.8.5-throughput?" in said(folder)
    write("matrices/a.toml", extending(matrix_text, "a", "b"))
    folder = write("matrices/b.toml", extending(matrix_text, "b", "a"))
    assert "a extends b extends a: a circle" in said(folder)


@pytest.mark.parametrize(
    ("declared", "problem"),
    [
        ('{ name = "Bus GB", unit = "GB/s", better = "higher" }', "'Bus GB' is no metric name"),
        ('{ name = "latency_s", unit = "ms", better = "lower" }', "metric 'latency_s' is known as s, lower is better"),
        ('{ name = "x_s", unit = "s", better = "fewer" }', "'fewer' is none of higher, lower"),
        ('{ name = "y_s", unit = "s" }', "missing key `better`"),
    ],
)
def test_mistakes_of_declaring_a_metric_are_named(declared: str, problem: str, write: Write, matrix_text: str) -> None:
    text = matrix_text.replace("columns =", f"metrics = [{declared}]\ncolumns =")
    assert problem in said(write("matrices/mine.toml", text))


def test_a_wrong_pattern_is_named_with_its_place(write: Write) -> None:
    for folder in ("images", "models"):
        for path in (EXAMPLE / folder).glob("*.toml"):
            write(f"{folder}/{path.name}", path.read_text())
    text = (EXAMPLE / "matrices" / "rccl-bandwidth.toml").read_text().replace(r"([\d.]+)'", r"([\d.]+'", 1)
    message = said(write("matrices/mine.toml", text))
    assert "is no regular expression" in message
    assert "mine.toml:" in message
