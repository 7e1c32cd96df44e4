"""Files of a result table: what is in them, and that nobody ever reads half of one."""

import csv
import io
import json
import math
from collections.abc import Callable
from pathlib import Path
from typing import Any

import msgspec
import openpyxl
import polars as pl
import pytest

from console.model.cell import Matrix
from console.results import frames
from console.results.errors import ResultsError
from console.results.plain import comma_separated, json_object
from console.results.schema import RESULTS, SCHEMA_VERSION
from console.results.write import Format, formats, register, render, write

replace = msgspec.structs.replace
Golden = Callable[[str, bytes], None]


@pytest.fixture
def table(mixed: Any, shelf: Any) -> pl.DataFrame:
    return frames.results(mixed.tail, shelf, ["r1"])


@pytest.fixture
def simulated(book: Any, shelf: Any, matrix: Matrix) -> pl.DataFrame:
    book.open(simulated=True)
    for cell, value in zip(matrix.cells, (1660.0, 1300.0, 835.7), strict=True):
        book.measure(cell, value)
    return frames.results(book.tail, shelf, ["r1"])


def read_csv(data: bytes) -> list[dict[str, str]]:
    return list(csv.DictReader(io.StringIO(data.decode(), newline="")))


@pytest.mark.parametrize("ending", [".md", ".csv", ".json"])
def test_what_people_and_programs_read_is_as_agreed(
    table: pl.DataFrame, shelf: Any, golden: Golden, ending: str
) -> None:
    golden(f"mixed{ending}", render(table, ending, shelf.matrices))


def test_simulated_figures_are_marked_in_heading_and_rows(simulated: pl.DataFrame, shelf: Any, golden: Golden) -> None:
    data = render(simulated, ".md", shelf.matrices)
    golden("simulated.md", data)
    text = data.decode()
    assert "MI300X (simulated)\n" in text
    assert text.count("(simulated) |") == 3
    assert "16622.2" not in text, "a published figure must not stand beside a simulated one"


def test_parquet_gives_back_the_very_frame(table: pl.DataFrame, tmp_path: Path) -> None:
    write(table, tmp_path / "results.parquet")
    assert pl.read_parquet(tmp_path / "results.parquet").equals(table)
    metadata = pl.read_parquet_metadata(tmp_path / "results.parquet")
    assert metadata["schema_version"] == str(SCHEMA_VERSION)


def test_an_empty_table_can_be_written_in_every_format(book: Any, shelf: Any, tmp_path: Path) -> None:
    book.open()
    empty = frames.results(book.tail, shelf, ["r1"])
    for ending in formats():
        write(empty, tmp_path / f"empty{ending}", shelf.matrices)
    assert pl.read_parquet(tmp_path / "empty.parquet").schema == RESULTS.schema
    assert json.loads((tmp_path / "empty.json").read_text()) == {"schema_version": 1, "rows": []}
    assert (tmp_path / "empty.ndjson").read_text() == ""
    assert (tmp_path / "empty.csv").read_text().rstrip().split(",") == list(RESULTS.schema)
    assert "No attempt was planned" in (tmp_path / "empty.md").read_text()


def test_csv_json_and_ndjson_say_the_same(table: pl.DataFrame) -> None:
    from_csv = read_csv(render(table, ".csv"))
    from_json = json.loads(render(table, ".json"))["rows"]
    assert [json.loads(line) for line in render(table, ".ndjson").splitlines()] == from_json
    assert len(from_csv) == len(from_json) == 5
    for text, data in zip(from_csv, from_json, strict=True):
        assert list(text) == list(data) == list(RESULTS.schema)
        assert text["hosts"].split(";") == data["hosts"]
        assert text["value"] == ("" if data["value"] is None else repr(data["value"]))
        assert text["started_at"] == (data["started_at"] or "")
        assert text["simulated"] == "false"


def test_a_workbook_says_the_same_with_numbers_as_numbers_and_what_columns_mean(table: pl.DataFrame) -> None:
    book = openpyxl.load_workbook(io.BytesIO(render(table, ".xlsx")))
    head, *rows = book["results"].iter_rows(values_only=True)
    from_json = json.loads(render(table, ".json"))["rows"]
    assert list(head) == list(RESULTS.schema)
    assert len(rows) == len(from_json) == 5
    for cells, data in zip(rows, from_json, strict=True):
        cell = dict(zip(head, cells, strict=True))
        for name in ("value", "reference", "ratio", "started_at", "simulated", "state", "repeat"):
            assert cell[name] == (data[name] if data[name] != "" else None)
        assert (cell["hosts"] or "").split(";") == data["hosts"]
    meanings = {row[0]: (row[2] or "", row[3]) for row in book["columns"].iter_rows(min_row=2, values_only=True)}
    assert meanings == {column.name: (column.unit, column.meaning) for column in RESULTS.columns}


@pytest.mark.parametrize("text", ["=1+1", "{=1}", "@SUM(A1)", "http://example.com", "12"])
def test_text_of_a_workbook_stays_text(text: str) -> None:
    book = openpyxl.load_workbook(io.BytesIO(render(pl.DataFrame({"note": [text]}), ".xlsx")))
    cell = book["results"]["A2"]
    assert (cell.value, cell.data_type, cell.hyperlink) == (text, "s", None)


def test_lists_are_joined_by_semicolons_that_their_elements_cannot_fake() -> None:
    frame = pl.DataFrame({"hosts": [["node01", "node02"], ["a;b", "c"], []]})
    assert [row["hosts"] for row in read_csv(comma_separated(frame))] == ["node01;node02", "a,b;c", ""]


@pytest.mark.parametrize("text", ["=1+1", "+1", "-1", "@SUM(A1)", "\tx", "\rx"])
def test_text_that_looks_like_a_formula_is_disarmed(text: str) -> None:
    (row,) = read_csv(comma_separated(pl.DataFrame({"note": [text]})))
    assert row["note"] == f"'{text}"
    (listed,) = read_csv(comma_separated(pl.DataFrame({"note": [[text, "b"]]})))
    assert listed["note"] == f"'{text};b"


def test_numbers_are_never_taken_for_formulas() -> None:
    (row,) = read_csv(comma_separated(pl.DataFrame({"a": [-1], "b": [-0.5], "c": ["1-2"]})))
    assert row == {"a": "-1", "b": "-0.5", "c": "1-2"}


def test_csv_survives_quotes_commas_and_line_breaks() -> None:
    text = 'say "no",\nthen go'
    assert read_csv(comma_separated(pl.DataFrame({"note": [text]}))) == [{"note": text}]


def test_json_has_no_words_that_are_not_json() -> None:
    data = json_object(pl.DataFrame({"a": [math.nan, math.inf, 1.5]}))
    assert [row["a"] for row in json.loads(data, parse_constant=pytest.fail)["rows"]] == [None, None, 1.5]


def test_an_unknown_ending_names_the_known_ones(table: pl.DataFrame, tmp_path: Path) -> None:
    with pytest.raises(ResultsError, match=r"results\.doc: .*\.csv \.json \.md \.ndjson \.parquet \.xlsx"):
        write(table, tmp_path / "results.doc")
    with pytest.raises(ResultsError, match=r"ending \(none\)"):
        write(table, tmp_path / "results")
    assert list(tmp_path.glob("results*")) == []


def test_endings_are_taken_in_any_case(table: pl.DataFrame, tmp_path: Path) -> None:
    write(table, tmp_path / "R.CSV")
    assert len(read_csv((tmp_path / "R.CSV").read_bytes())) == 5


def test_an_ending_belongs_to_one_format() -> None:
    with pytest.raises(ValueError, match="two formats"):
        register(Format(".csv", "again", lambda frame, matrices: b""))


def test_a_folder_that_is_not_there_is_one_clear_message(table: pl.DataFrame, tmp_path: Path) -> None:
    with pytest.raises(ResultsError, match="could not be written: No such file"):
        write(table, tmp_path / "absent" / "results.csv")


def test_a_failed_write_leaves_the_old_file_and_no_other(
    table: pl.DataFrame, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    target = tmp_path / "results.json"
    target.write_text("old")

    def broken(descriptor: int) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("os.fsync", broken)
    with pytest.raises(ResultsError, match="No space left on device"):
        write(table, target)
    assert target.read_text() == "old"
    assert [path.name for path in tmp_path.iterdir() if path.is_file()] == ["results.json"]


def test_markdown_of_a_matrix_the_catalog_lost_still_has_its_rows(table: pl.DataFrame) -> None:
    text = render(table, ".md").decode()
    assert "| Cell | Precision | Reference | Repeats | Measured | Ratio | Verdict | Validity |" in text
    assert "| 70b-out4096 | FP8 | 13779.8[^1] | - | - | - | failed (out_of_memory_gpu) | - |" in text


def test_markdown_keeps_text_text(book: Any, shelf: Any, matrix: Matrix) -> None:
    book.open()
    odd = replace(matrix.cells[0], id="x", title_printed="A|B <script> `c` [d](e)", references=())
    book.refuse(odd)
    text = render(frames.results(book.tail, shelf, ["r1"]), ".md", shelf.matrices).decode()
    assert r"A\|B \<script> \`c\` \[d\](e)" in text
