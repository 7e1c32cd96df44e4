"""Tables, figures and JSON as they are printed."""

import json
from pathlib import Path

import msgspec
import pytest

from console.cli import printing
from console.cli.printing import Column, cell_width, figure, shorten, shorten_start, table_lines

COLUMNS = (Column("cell", shrink=True), Column("state"), Column("tok/s", align="right"))
ROWS = (("llama-3.1-70b-in128-out2048", "ok", 16622.2), ("mixtral", "not run", None))


def test_a_table_is_aligned_and_never_cut_when_nothing_has_to_fit() -> None:
    assert table_lines(COLUMNS, ROWS, None) == [
        "cell                         state      tok/s",
        "llama-3.1-70b-in128-out2048  ok       16622.2",
        "mixtral                      not run        -",
    ]


def test_a_narrow_terminal_costs_the_shrinking_column_first() -> None:
    assert table_lines(COLUMNS, ROWS, 30) == [
        "cell          state      tok/s",
        "llama-3.1-7…  ok       16622.2",
        "mixtral       not run        -",
    ]


def test_a_column_that_is_kept_is_never_cut() -> None:
    columns = (Column("value", keep=True), Column("note", shrink=True))

    lines = table_lines(columns, [("16622.2 (simulated)", "a long note")], 20)

    assert lines[1].startswith("16622.2 (simulated)  a lo…")


def test_a_figure_is_never_cut_only_its_heading() -> None:
    columns = (Column("cell", shrink=True), Column("Throughput (tokens/s)", align="right"))

    assert table_lines(columns, [("llama-3.1-70b", 16622.2)], 15) == ["cell   Through…", "llam…   16622.2"]


def test_a_terminal_is_as_wide_as_columns_says(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("sys.stdout.isatty", lambda: True)
    monkeypatch.setenv("COLUMNS", "57")

    assert printing.terminal_width() == 57


def test_text_of_hosts_cannot_act_on_the_terminal() -> None:
    lines = table_lines((Column("host"),), [("evil\x1b[2J\x1b]0;title\x07\u202e\nname",)], None)

    assert lines == ["host", "evil name"]


@pytest.mark.parametrize(
    ("value", "text"),
    [(None, "-"), (float("nan"), "-"), (16622.2, "16622.2"), (100.0, "100.0"), (15.8514, "15.85"), (0.0, "0")],
)
def test_figures_keep_four_significant_digits(value: float | None, text: str) -> None:
    assert figure(value) == text


def test_wide_characters_take_two_columns_and_combining_ones_none() -> None:
    assert cell_width("機械") == 4
    assert cell_width("e\u0301") == 1
    assert shorten("機械学習", 5) == "機械…"
    assert shorten_start("node-017", 5) == "…-017"


class Pair(msgspec.Struct):
    name: str
    size: int | None = None


def test_an_object_says_its_schema_version_first(capsys: pytest.CaptureFixture[str]) -> None:
    printing.json_object(Pair("a"))

    out = capsys.readouterr().out
    assert list(json.loads(out)) == ["schema_version", "name", "size"]


def test_an_object_that_names_its_schema_itself_keeps_it(capsys: pytest.CaptureFixture[str]) -> None:
    printing.json_object({"schema_version": 7, "name": "a"})

    assert json.loads(capsys.readouterr().out) == {"schema_version": 7, "name": "a"}


def test_objects_that_follow_each_other_take_a_line_each(capsys: pytest.CaptureFixture[str]) -> None:
    printing.json_object({}, on_a_line=True)
    printing.json_object({"path": Path("/x"), "odd": float("nan")}, on_a_line=True)

    assert capsys.readouterr().out.splitlines() == [
        '{"schema_version":1}',
        '{"schema_version":1,"path":"/x","odd":null}',
    ]


def test_rows_are_printed_as_an_object(capsys: pytest.CaptureFixture[str]) -> None:
    printing.json_rows("pairs", [Pair("a"), Pair("b")])

    assert json.loads(capsys.readouterr().out) == {
        "schema_version": 1,
        "pairs": [{"name": "a", "size": None}, {"name": "b", "size": None}],
    }


def test_messages_go_to_stderr_without_secrets(capsys: pytest.CaptureFixture[str]) -> None:
    printing.note("token hf_abcdefghijklmnop was refused\x1b[31m")

    out, err = capsys.readouterr()
    assert out == ""
    assert err == "token [redacted] was refused\n"
