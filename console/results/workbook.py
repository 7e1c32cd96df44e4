"""A workbook for spreadsheets: the rows on one sheet, what each column means and its unit on the next."""

import io
import math
from typing import Any

import polars as pl

from console.results.comparison import COMPARISON
from console.results.plain import cell_text
from console.results.schema import RESULTS, SCHEMA_VERSION, type_name

_MEANINGS = ("column", "type", "unit", "meaning")
_WIDEST = 48
_SAMPLED = 200
"""Rows whose widths are looked at; the width of a column is a convenience."""


def workbook(frame: pl.DataFrame) -> bytes:
    """XLSX bytes. Numbers stay numbers; times are ISO 8601 text in UTC, since a spreadsheet's dates know no zone.

    No text becomes a formula or a link, however it begins.
    """
    from xlsxwriter import Workbook

    buffer = io.BytesIO()
    plain = {"in_memory": True, "strings_to_formulas": False, "strings_to_urls": False, "strings_to_numbers": False}
    with Workbook(buffer, plain) as book:
        head = book.add_format({"bold": True, "bottom": 1})
        name = "comparison" if tuple(frame.columns) == tuple(COMPARISON) else RESULTS.name
        _fill(book.add_worksheet(name), tuple(frame.columns), frame.rows(), head)
        known = {column.name: column for column in RESULTS.columns}
        meanings = [
            (column.name, type_name(column.dtype), column.unit, column.meaning)
            for column in (known.get(name) for name in frame.columns)
            if column is not None
        ]
        if meanings:
            _fill(book.add_worksheet("columns"), _MEANINGS, meanings, head)
        book.set_custom_property("schema_version", SCHEMA_VERSION)
    return buffer.getvalue()


def _fill(sheet: Any, columns: tuple[str, ...], rows: list[tuple[Any, ...]], head: Any) -> None:
    sheet.freeze_panes(1, 0)
    for at, column in enumerate(columns):
        sheet.write_string(0, at, column, head)
        longest = max((len(cell_text(row[at])) for row in rows[:_SAMPLED]), default=0)
        sheet.set_column(at, at, min(_WIDEST, max(len(column), longest) + 2))
    if rows:
        sheet.autofilter(0, 0, len(rows), len(columns) - 1)
    for line, row in enumerate(rows, start=1):
        for at, value in enumerate(row):
            if value is None or (isinstance(value, float) and not math.isfinite(value)):
                continue  # a spreadsheet has no word for it
            if isinstance(value, bool):
                sheet.write_boolean(line, at, value)
            elif isinstance(value, int | float):
                sheet.write_number(line, at, value)
            else:
                sheet.write_string(line, at, cell_text(value))
