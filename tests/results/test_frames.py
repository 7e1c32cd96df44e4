"""Rows of the result table: every attempt has one, with the verdict of its cell."""

from datetime import UTC, datetime
from typing import Any

import msgspec
import polars as pl
import pytest

from console.model.attempt import MetricValue, Outcome, Reason, Result, Sample, Stage, Validity
from console.model.cell import Conditions, Matrix
from console.model.events import AttemptEnded, StageEntered
from console.results import frames
from console.results.errors import ResultsError
from console.results.schema import METRICS, RESULTS, SAMPLES, SUMMARY, TABLES

replace = msgspec.structs.replace

RELIED_ON = [
    *("run", "matrix", "cell", "hosts", "model", "repeat", "state", "failure", "metric", "unit", "value"),
    *("reference", "reference_set", "ratio", "verdict", "validity", "simulated", "started_at", "ended_at"),
    *("image", "image_digest"),
]


def rows(frame: pl.DataFrame) -> list[dict[str, Any]]:
    return list(frame.iter_rows(named=True))


def test_the_schema_that_is_documented_is_the_schema_that_is_made(mixed: Any, shelf: Any) -> None:
    table = frames.results(mixed.tail, shelf, ["r1"])
    assert table.schema == RESULTS.schema
    assert frames.summary(table).schema == SUMMARY.schema
    assert frames.metrics(mixed.tail, ["r1"]).schema == METRICS.schema
    assert frames.samples(mixed.tail, ["r1"]).schema == SAMPLES.schema


@pytest.mark.parametrize("table", TABLES, ids=lambda table: table.name)
def test_every_column_is_documented_once(table: Any) -> None:
    names = [column.name for column in table.columns]
    assert len(names) == len(set(names))
    assert all(column.meaning for column in table.columns)
    assert all(f"| `{name}` |" in table.document() for name in names)


def test_names_that_other_programs_rely_on_are_there() -> None:
    assert set(RELIED_ON) <= set(RESULTS.schema)
    assert RESULTS.schema["hosts"] == pl.List(pl.String())
    assert RESULTS.schema["validity"] == pl.List(pl.String())
    assert RESULTS.schema["started_at"] == pl.Datetime("us", "UTC")


def test_a_run_without_attempts_is_an_empty_table_of_the_same_columns(book: Any, shelf: Any) -> None:
    book.open()
    table = frames.results(book.tail, shelf, ["r1"])
    assert (table.height, table.schema) == (0, RESULTS.schema)
    assert (frames.summary(table).height, frames.summary(table).schema) == (0, SUMMARY.schema)


def test_a_run_that_is_not_there_is_an_error(book: Any) -> None:
    with pytest.raises(ResultsError, match="no run 'r9'"):
        frames.results(book.tail, None, ["r9"])


def test_failed_and_refused_attempts_are_rows(mixed: Any, shelf: Any) -> None:
    table = rows(frames.results(mixed.tail, shelf, ["r1"]))
    assert [(row["cell"], row["repeat"], row["state"], row["verdict"]) for row in table] == [
        ("70b-out2048", 1, "ok", "matched"),
        ("70b-out2048", 2, "ok", "matched"),
        ("70b-out2048", 3, "ok", "invalid"),
        ("70b-out4096", 1, "failed", "failed"),
        ("70b-out8192", 1, "not run", "not run"),
    ]
    failed, refused = table[3], table[4]
    assert (failed["failure"], failed["value"], failed["ratio"]) == ("out_of_memory_gpu", None, None)
    assert failed["reference"] == 13779.8
    assert (refused["failure"], refused["failure_line"]) == ("preflight", "node01: NUMA balancing is 1")
    assert (refused["hosts"], refused["started_at"], refused["image"]) == (["node01"], None, failed["image"])


def test_the_verdict_is_of_the_cell_and_the_ratio_of_the_attempt(mixed: Any, shelf: Any) -> None:
    first, second, spoiled = rows(frames.results(mixed.tail, shelf, ["r1"]))[:3]
    assert (first["value"], second["value"]) == (16600.0, 16500.0)
    assert first["ratio"] == 16600.0 / 16622.2
    assert first["median"] == second["median"] == 16550.0
    assert (first["repeats"], first["median_ratio"]) == (2, 16550.0 / 16622.2)
    assert first["note"] == "1 attempt spoiled"
    assert (spoiled["value"], spoiled["valid"], spoiled["repeats"]) == (9000.0, False, 1)
    assert spoiled["validity"] == ["throttled", "power_cap"]
    assert spoiled["validity_detail"] == "throttled: 0000:05:00.0 power; power_cap: 600 W"


def test_one_repeat_stays_unconfirmed(book: Any, shelf: Any, matrix: Matrix) -> None:
    book.open()
    book.measure(matrix.cells[0], 16622.2)
    (row,) = rows(frames.results(book.tail, shelf, ["r1"]))
    assert (row["verdict"], row["band"], row["ratio"]) == ("unconfirmed", "matched", 1.0)


def test_hosts_are_judged_apart(book: Any, shelf: Any, matrix: Matrix) -> None:
    book.open()
    for host, value in (("node01", 16600.0), ("node02", 14000.0)):
        for repeat in (1, 2):
            book.measure(matrix.cells[0], value, host=host, repeat=repeat)
    table = rows(frames.results(book.tail, shelf, ["r1"]))
    assert {(row["hosts"][0], row["verdict"]) for row in table} == {("node01", "matched"), ("node02", "below")}
    assert [row["hosts"] for row in rows(frames.summary(frames.results(book.tail, shelf, ["r1"])))] == [
        ["node01"],
        ["node02"],
    ]


def test_times_are_utc(mixed: Any, shelf: Any) -> None:
    row = rows(frames.results(mixed.tail, shelf, ["r1"]))[0]
    assert row["started_at"] == datetime(2025, 11, 22, 8, 1, tzinfo=UTC)
    assert row["ended_at"] == datetime(2025, 11, 22, 8, 11, tzinfo=UTC)
    assert row["duration_s"] == 600.0
    assert (row["power_w_mean"], row["power_w_max"], row["hotspot_c_max"]) == (5612.5, 5904.0, 83.0)
    assert row["throttled_share"] is None


def test_a_clock_that_was_set_meanwhile_leaves_the_duration_unknown(book: Any, shelf: Any, matrix: Matrix) -> None:
    book.open()
    book.measure(matrix.cells[0], 8000.0, reasons=(Reason(Validity.CLOCK_STEPPED, "node01: by +3600.0 s"),))
    (row,) = rows(frames.results(book.tail, shelf, ["r1"]))
    assert (row["duration_s"], row["value"]) == (None, 8000.0)


def test_parameters_have_columns_and_the_rest_is_json(mixed: Any, shelf: Any) -> None:
    row = rows(frames.results(mixed.tail, shelf, ["r1"]))[0]
    assert (row["tensor_parallel"], row["input_len"], row["output_len"], row["num_prompts"]) == (8, 128, 2048, 1500)
    assert (row["precision"], row["nodes"], row["gpus"], row["gpus_per_node"]) == ("FP8", 1, 8, 8)
    assert row["parameters"] == '{"quantization":"fp8"}'
    assert row["batch_size"] is None


def test_a_parameter_of_another_type_is_kept_as_json(book: Any, shelf: Any, matrix: Matrix) -> None:
    book.open()
    book.plan(replace(matrix.cells[0], params={"batch_size": "auto", "num_prompts": True, "steps": 50}))
    (row,) = rows(frames.results(book.tail, shelf, ["r1"]))
    assert (row["batch_size"], row["num_prompts"], row["iterations"]) == (None, None, 50)
    assert row["parameters"] == '{"batch_size":"auto","num_prompts":true}'


def test_an_attempt_that_goes_on_shows_its_stage_and_no_verdict(book: Any, shelf: Any, matrix: Matrix) -> None:
    book.open()
    attempt = book.plan(matrix.cells[0])
    book.start(attempt)
    book.tell(StageEntered(Stage.RUNNING), attempt=attempt)
    table = frames.results(book.tail, shelf, ["r1"])
    (row,) = rows(table)
    assert (row["state"], row["verdict"], row["value"], row["ended_at"]) == ("running", None, None, None)
    (cell,) = rows(frames.summary(table))
    assert (cell["open"], cell["attempts"], cell["verdict"]) == (1, 1, None)


def test_a_simulated_figure_is_held_against_the_labs_set_only(book: Any, shelf: Any, matrix: Matrix) -> None:
    book.open(simulated=True)
    for repeat in (1, 2):
        book.measure(matrix.cells[0], 1660.0, repeat=repeat)
    book.refuse(matrix.cells[1])
    table = rows(frames.results(book.tail, shelf, ["r1"]))
    assert [(row["simulated"], row["reference_set"]) for row in table] == [(True, "lab")] * 3
    assert table[0]["verdict"] == "matched"
    without_lab = replace(shelf, references={})
    published_only = replace(matrix.cells[0], references=matrix.cells[0].references[:1])
    book.open("r2", simulated=True)
    book.measure(published_only, 16622.2, run="r2")
    (row,) = rows(frames.results(book.tail, without_lab, ["r2"]))
    assert (row["verdict"], row["reference"], row["ratio"]) == ("no reference", None, None)


def test_references_learnt_later_apply_when_read(book: Any, shelf: Any, matrix: Matrix) -> None:
    book.open()
    bare = replace(matrix.cells[0], references=())
    book.measure(bare, 16622.2)
    assert rows(frames.results(book.tail, None, ["r1"]))[0]["verdict"] == "no reference"
    assert rows(frames.results(book.tail, shelf, ["r1"]))[0]["reference"] == 16622.2


def test_a_cell_that_means_something_else_by_now_keeps_its_own_references(
    book: Any, shelf: Any, matrix: Matrix
) -> None:
    book.open()
    other = replace(matrix.cells[0], params=replace(matrix.cells[0].params, num_prompts=1), references=())
    book.measure(other, 16622.2)
    assert rows(frames.results(book.tail, shelf, ["r1"]))[0]["verdict"] == "no reference"


def test_an_incomparable_figure_names_the_difference(book: Any, shelf: Any, matrix: Matrix) -> None:
    book.open()
    book.measure(matrix.cells[0], 20000.0, conditions=Conditions(gpu="MI325X", gpus=8, nodes=1))
    (row,) = rows(frames.results(book.tail, shelf, ["r1"]))
    assert row["verdict"] == "incomparable"
    assert "gpu: measured MI325X, reference MI300X" in row["differences"]
    assert "compute_partition: unknown, reference SPX" in row["note"]


def test_an_unknown_metric_is_a_row_all_the_same(book: Any, shelf: Any, matrix: Matrix) -> None:
    book.open()
    book.refuse(replace(matrix.cells[0], metric="furlongs"))
    (row,) = rows(frames.results(book.tail, shelf, ["r1"]))
    assert (row["metric"], row["unit"], row["verdict"]) == ("furlongs", None, "not run")


def test_text_is_clean_and_without_secrets(mixed: Any, shelf: Any) -> None:
    line = rows(frames.results(mixed.tail, shelf, ["r1"]))[3]["failure_line"]
    assert "\x1b" not in line
    assert "\u202e" not in line
    assert "hf_" not in line
    assert line.endswith("HIP out of memory [redacted]")


def test_a_summary_counts_what_its_figure_does_not_rest_on(mixed: Any, shelf: Any) -> None:
    table = rows(frames.summary(frames.results(mixed.tail, shelf, ["r1"])))
    assert [(row["cell"], row["verdict"], row["repeats"]) for row in table] == [
        ("70b-out2048", "matched", 2),
        ("70b-out4096", "failed", 0),
        ("70b-out8192", "not run", 0),
    ]
    first = table[0]
    assert (first["attempts"], first["ok"], first["spoiled"], first["failed"]) == (3, 2, 1, 0)
    assert first["validity"] == [], "the spoiled attempt is not part of the figure"
    assert (table[1]["failed"], table[1]["failure"], table[2]["not_run"]) == (1, "out_of_memory_gpu", 1)


def test_a_failed_try_that_was_repeated_is_noted(book: Any, shelf: Any, matrix: Matrix) -> None:
    book.open()
    book.fail(matrix.cells[0])
    book.measure(matrix.cells[0], 16622.2)
    table = frames.results(book.tail, shelf, ["r1"])
    assert [row["verdict"] for row in rows(table)] == ["failed", "unconfirmed"]
    (cell,) = rows(frames.summary(table))
    assert (cell["verdict"], cell["note"]) == ("unconfirmed", "one repeat, matched; 1 attempt failed")


def test_only_spoiled_repeats_are_invalid(book: Any, shelf: Any, matrix: Matrix) -> None:
    spoiled = (Reason(Validity.RAS_ERROR, "umc ue 1"),)
    book.open()
    for repeat in (1, 2):
        book.measure(matrix.cells[0], 16622.2, repeat=repeat, reasons=spoiled)
    (cell,) = rows(frames.summary(frames.results(book.tail, shelf, ["r1"])))
    assert (cell["verdict"], cell["ok"], cell["spoiled"]) == ("invalid", 0, 2)
    assert cell["validity"] == ["ras_error"]


def test_metrics_keep_every_iteration_and_percentile(book: Any, matrix: Matrix) -> None:
    book.open()
    attempt = book.plan(matrix.cells[0])
    book.start(attempt)
    values = (
        MetricValue(metric="latency_s", value=2.0, stat="mean"),
        MetricValue(metric="latency_s", value=1.9, iteration=1),
        MetricValue(metric="latency_s", value=2.1, iteration=2),
        MetricValue(metric="latency_s", value=2.1, stat="p99", origin="result file"),
    )
    book.end(attempt, result=Result(headline="latency_s", values=values))
    table = rows(frames.metrics(book.tail, ["r1"]))
    assert [(row["stat"], row["iteration"], row["value"], row["unit"]) for row in table] == [
        ("mean", None, 2.0, "s"),
        ("value", 1, 1.9, "s"),
        ("value", 2, 2.1, "s"),
        ("p99", None, 2.1, "s"),
    ]
    assert {row["state"] for row in table} == {"failed"}


def test_samples_come_in_the_order_they_were_read(book: Any, matrix: Matrix) -> None:
    book.open()
    attempt = book.plan(matrix.cells[0])
    for number in range(3):
        at_ns = 1_763_798_400_000_000_000 + number * 5_000_000_000
        sample = Sample(
            at_ns=at_ns, source="stat line", metric="output_tokens_per_s", rate=100.0 + number, extra={"b": 1}
        )
        book.tell(sample, attempt=attempt)
    table = rows(frames.samples(book.tail, ["r1"]))
    assert [row["rate"] for row in table] == [100.0, 101.0, 102.0]
    assert table[1]["at"] == datetime(2025, 11, 22, 8, 0, 5, tzinfo=UTC)
    assert (table[0]["part"], table[0]["extra"]) == ("main", '{"b":1.0}')


def test_several_runs_are_one_table(mixed: Any, shelf: Any, matrix: Matrix) -> None:
    mixed.open("r2", label="again")
    mixed.measure(matrix.cells[0], 16000.0, run="r2")
    table = frames.results(mixed.tail, shelf, ["r2", "r1"])
    assert table["run"].to_list() == ["r2"] + ["r1"] * 5
    assert table["label"].to_list() == ["again"] + [""] * 5


def test_an_ended_attempt_without_a_figure_failed(book: Any, shelf: Any, matrix: Matrix) -> None:
    book.open()
    attempt = book.plan(matrix.cells[0])
    book.tell(AttemptEnded(outcome=Outcome.OK, result=None), attempt=attempt)
    (row,) = rows(frames.results(book.tail, shelf, ["r1"]))
    assert (row["verdict"], row["note"]) == ("failed", "ended without a figure")
