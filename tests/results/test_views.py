"""The published page's view, coverage, and two runs side by side."""

from typing import Any

import msgspec
import polars as pl
import pytest

from console.model.cell import Conditions, Matrix
from console.results import frames
from console.results.comparison import COMPARISON, compare
from console.results.views import figure, page, pages

replace = msgspec.structs.replace


@pytest.fixture
def summary(mixed: Any, shelf: Any) -> pl.DataFrame:
    return frames.summary(frames.results(mixed.tail, shelf, ["r1"]))


def test_a_page_has_the_published_columns_in_their_order_and_then_ours(summary: pl.DataFrame, matrix: Matrix) -> None:
    view = page(summary, matrix.name, matrix)
    published = [column.heading for column in matrix.columns]
    assert list(view.headings) == [*published, "Repeats", "Measured", "Ratio", "Verdict", "Validity"]
    assert view.rows[0] == (
        "Llama 3.1 70B (amd/Llama-3.1-70B-Instruct-FP8-KV)",
        "FP8",
        "8",
        "128",
        "2048",
        "16622.2",
        "2",
        "16550.0",
        "0.996",
        "matched",
        "-",
    )
    assert view.rows[1][-4:] == ("-", "-", "failed (out_of_memory_gpu)", "-")
    assert view.rows[2][-4:] == ("-", "-", "not run (preflight)", "-")
    assert view.frame().columns == list(view.headings)


def test_what_a_table_cannot_show_is_said_under_it_once(mixed: Any, shelf: Any, matrix: Matrix) -> None:
    mixed.refuse(replace(matrix.cells[0], id="70b-other"))
    summary = frames.summary(frames.results(mixed.tail, shelf, ["r1"]))
    view = page(summary, matrix.name, matrix)
    assert view.notes == ("70b-out2048 on node01: 1 attempt spoiled",)
    assert view.failures == (
        "70b-out4096 on node01: failed (out_of_memory_gpu): =cmd|' /C calc'!A0 HIP out of memory [redacted]; "
        "free the GPUs",
        "2 rows: not run (preflight): node01: NUMA balancing is 1",
    )


def test_what_many_hosts_say_alike_is_said_once(book: Any, shelf: Any, matrix: Matrix) -> None:
    book.open()
    for number in range(10, 20):
        line = f"n{number}: nothing listens on n{number}.lab:22"
        book.refuse(matrix.cells[0], host=f"n{number}", line=line)
    book.refuse(matrix.cells[1], host="n1", line="n1: another reason")
    summary = frames.summary(frames.results(book.tail, shelf, ["r1"]))
    assert page(summary, matrix.name, matrix).failures == (
        "10 rows: not run (preflight): n10: nothing listens on n10.lab:22 (alike: n11, n12, n13 and 6 more)",
        "70b-out4096 on n1: not run (preflight): n1: another reason",
    )


def test_rows_come_in_the_order_of_the_page_not_of_the_run(book: Any, shelf: Any, matrix: Matrix) -> None:
    book.open()
    for cell in reversed(matrix.cells):
        book.measure(cell, 9000.0)
    summary = frames.summary(frames.results(book.tail, shelf, ["r1"]))
    assert [row[4] for row in page(summary, matrix.name, matrix).rows] == ["2048", "4096", "8192"]


def test_several_hosts_and_runs_are_told_apart(mixed: Any, shelf: Any, matrix: Matrix) -> None:
    mixed.measure(matrix.cells[0], 16622.2, host="node02")
    mixed.open("r2")
    mixed.measure(matrix.cells[0], 16622.2, run="r2")
    summary = frames.summary(frames.results(mixed.tail, shelf, ["r1", "r2"]))
    view = page(summary, matrix.name, matrix)
    assert view.headings[6:8] == ("Run", "Hosts")
    assert [row[6:8] for row in view.rows if row[4] == "2048"] == [
        ("r1", "node01"),
        ("r1", "node02"),
        ("r2", "node01"),
    ]


def test_a_reference_that_is_not_published_is_named(book: Any, shelf: Any, matrix: Matrix) -> None:
    book.open(simulated=True)
    book.measure(matrix.cells[0], 1700.0)
    summary = frames.summary(frames.results(book.tail, shelf, ["r1"]))
    view = page(summary, matrix.name, matrix)
    assert view.simulated
    assert view.rows[0][5:9] == ("1662.22", "lab", "1700.00 (simulated)", "1.023")


def test_the_summary_of_a_table_only_averages_what_compares(summary: pl.DataFrame, matrix: Matrix) -> None:
    view = page(summary, matrix.name, matrix)
    assert (view.summary.compared, view.summary.rows) == (1, 3)
    assert view.summary.geomean == pytest.approx(16550.0 / 16622.2)
    assert view.summary.by_verdict == {"matched": 1, "failed": 1, "not run": 1}


def test_a_reference_without_a_result_and_a_result_without_a_reference_are_said(
    book: Any, shelf: Any, matrix: Matrix
) -> None:
    book.open()
    book.measure(matrix.cells[0], 1.0, conditions=Conditions(gpu="MI325X"))
    book.measure(replace(matrix.cells[0], id="70b-out2048+num_prompts=7", references=()), 1.0)
    summary = frames.summary(frames.results(book.tail, shelf, ["r1"]))
    assert page(summary, matrix.name, matrix).coverage.sentences() == (
        "1 of 3 rows of vllm-throughput have a figure",
        "2 references (70b-out4096, 70b-out8192) without a result",
        "2 results (70b-out2048, 70b-out2048+num_prompts=7) without a reference",
        "not rows of vllm-throughput: 70b-out2048+num_prompts=7",
    )


def test_matrices_come_as_pages_of_their_own(book: Any, shelf: Any, matrix: Matrix) -> None:
    book.open()
    book.measure(replace(matrix.cells[0], matrix="own-matrix"), 1.0)
    book.measure(matrix.cells[0], 1.0)
    summary = frames.summary(frames.results(book.tail, shelf, ["r1"]))
    assert [(view.matrix, view.title) for view in pages(summary, shelf.matrices)] == [
        ("own-matrix", "own-matrix"),
        ("vllm-throughput", "vLLM 0.8.5 throughput, MI300X"),
    ]


@pytest.mark.parametrize(
    ("value", "printed", "text"),
    [
        (16550.04, "16622.2", "16550.0"),
        (15.8512, "15.851", "15.851"),
        (10570.4, "10570", "10570"),
        (16550.04, None, "16550.0"),
        (0.0123456, None, "0.01235"),
    ],
)
def test_a_figure_is_as_exact_as_its_reference_is_printed(value: float, printed: str | None, text: str) -> None:
    assert figure(value, printed) == text


def summary_of(book: Any, shelf: Any, run: str) -> pl.DataFrame:
    return frames.summary(frames.results(book.tail, shelf, [run]))


def test_two_runs_are_compared_cell_by_cell(mixed: Any, shelf: Any, matrix: Matrix) -> None:
    mixed.open("r2")
    mixed.measure(matrix.cells[0], 8275.0, run="r2")
    mixed.measure(matrix.cells[1], 100.0, run="r2")
    table = compare(summary_of(mixed, shelf, "r1"), summary_of(mixed, shelf, "r2"))
    assert table.schema == COMPARISON
    assert [(row["cell"], row["a"], row["b"], row["ratio"]) for row in table.iter_rows(named=True)] == [
        ("70b-out2048", 16550.0, 8275.0, 0.5),
        ("70b-out4096", None, 100.0, None),
        ("70b-out8192", None, None, None),
    ]


def test_a_host_is_compared_with_itself_first(book: Any, shelf: Any, matrix: Matrix) -> None:
    for run, hosts in (("r1", ("node01", "node02")), ("r2", ("node02", "node03"))):
        book.open(run)
        for host in hosts:
            book.measure(matrix.cells[0], 100.0, run=run, host=host)
    table = compare(summary_of(book, shelf, "r1"), summary_of(book, shelf, "r2"))
    assert [(row["hosts_a"], row["hosts_b"]) for row in table.iter_rows(named=True)] == [
        (["node01"], ["node03"]),
        (["node02"], ["node02"]),
    ]


def test_what_may_not_be_compared_has_no_ratio_and_says_why(book: Any, shelf: Any, matrix: Matrix) -> None:
    book.open("r1")
    book.measure(matrix.cells[0], 100.0)
    book.open("r2")
    book.measure(matrix.cells[0], 130.0, run="r2", conditions=Conditions(gpu="MI325X", gpus=8, nodes=1))
    book.open("r3", simulated=True)
    book.measure(matrix.cells[0], 100.0, run="r3")
    first, second, third = (summary_of(book, shelf, run) for run in ("r1", "r2", "r3"))
    (row,) = compare(first, second).iter_rows(named=True)
    assert (row["comparable"], row["ratio"]) == (False, None)
    assert "gpu: a MI300X, b MI325X" in row["differences"]
    (row,) = compare(first, third).iter_rows(named=True)
    assert (row["comparable"], row["ratio"], row["simulated"]) == (False, None, True)


def test_cells_without_a_partner_stay(book: Any, shelf: Any, matrix: Matrix) -> None:
    book.open("r1")
    book.measure(matrix.cells[0], 100.0)
    book.open("r2")
    book.measure(matrix.cells[1], 100.0, run="r2")
    table = compare(summary_of(book, shelf, "r1"), summary_of(book, shelf, "r2"))
    assert [(row["cell"], row["a"], row["b"], row["comparable"]) for row in table.iter_rows(named=True)] == [
        ("70b-out2048", 100.0, None, None),
        ("70b-out4096", None, 100.0, None),
    ]
