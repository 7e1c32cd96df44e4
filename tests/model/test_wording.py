"""Figures, spans of time and lists as people read them."""

import pytest

from console.model.text import pasteable, safe_line, some
from console.model.units import duration, figure, table_figure


@pytest.mark.parametrize(
    ("seconds", "text"),
    [(0, "0 s"), (59.9, "59 s"), (185, "3 min 05 s"), (754, "12 min"), (7620, "2 h 07 min"), (273600, "3 d 4 h")],
)
def test_a_span_is_written_in_the_units_that_say_something(seconds: float, text: str) -> None:
    assert duration(seconds) == text


@pytest.mark.parametrize(
    ("value", "read", "in_a_table"),
    [
        (12345.67, "12,346", "12345.7"),
        (512.34, "512.3", "512.3"),
        (71.2, "71.20", "71.2"),
        (3.14159, "3.142", "3.142"),
        (0.0, "0", "0"),
    ],
)
def test_a_figure_has_the_digits_that_say_something(value: float, read: str, in_a_table: str) -> None:
    assert (figure(value), table_figure(value)) == (read, in_a_table)


def test_a_long_list_is_cut_and_counted() -> None:
    assert some(["a", "b"]) == "a, b"
    assert some("abcdef") == "a, b, c, d and 2 more"
    assert some([]) == ""


def test_a_secret_is_found_before_a_line_is_cut() -> None:
    assert safe_line("x" * 295 + " hf_abcdefghijklmnop") == "x" * 295 + " [red"


def test_a_command_to_paste_keeps_its_white_space_and_no_secret() -> None:
    assert pasteable("echo 'a  b' hf_abcdefghijklmnop\x1b[2J") == "echo 'a  b' [redacted]"
