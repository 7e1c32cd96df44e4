"""Parquet, CSV, JSON and NDJSON of a frame, as bytes."""

import csv
import io
import json
import math
from datetime import UTC, datetime
from typing import Any

import polars as pl

from console.results.schema import SCHEMA_VERSION

_FORMULA = ("=", "+", "-", "@", "\t", "\r")


def parquet(frame: pl.DataFrame) -> bytes:
    """Zstandard-compressed Parquet; `schema_version` stands in the file's key-value metadata."""
    buffer = io.BytesIO()
    frame.write_parquet(buffer, compression="zstd", metadata={"schema_version": str(SCHEMA_VERSION)})
    return buffer.getvalue()


def comma_separated(frame: pl.DataFrame) -> bytes:
    """CSV (RFC 4180, UTF-8, one header line). Lists are joined by `;`, times are ISO 8601 in UTC.

    A text that a spreadsheet would take for a formula gets an apostrophe in front; numbers are never touched.
    """
    out = io.StringIO(newline="")
    writer = csv.writer(out, lineterminator="\r\n")
    writer.writerow(frame.columns)
    for row in frame.iter_rows():
        writer.writerow([_csv_cell(value) for value in row])
    return out.getvalue().encode()


def json_object(frame: pl.DataFrame) -> bytes:
    """One object: `schema_version`, and `rows` with every column of every row; what is absent is null."""
    rows = [_json_row(row) for row in frame.iter_rows(named=True)]
    return (json.dumps({"schema_version": SCHEMA_VERSION, "rows": rows}, indent=1, ensure_ascii=False) + "\n").encode()


def json_lines(frame: pl.DataFrame) -> bytes:
    """One object per row and line, the same as in `rows` of the JSON object."""
    lines = (json.dumps(_json_row(row), ensure_ascii=False) for row in frame.iter_rows(named=True))
    return "".join(f"{line}\n" for line in lines).encode()


def iso(time: datetime) -> str:
    """UTC to microseconds where there are any: `2026-11-22T08:00:00Z`."""
    return time.astimezone(UTC).isoformat().replace("+00:00", "Z")


def cell_text(value: Any) -> str:
    """A value as the text of one cell: lists joined by `;`, times ISO 8601 in UTC, nothing for what is absent."""
    if value is None:
        return ""
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, int | float):
        return repr(value)
    if isinstance(value, datetime):
        return iso(value)
    # An element of a list must not look like two.
    return ";".join(str(item).replace(";", ",") for item in value) if isinstance(value, list) else str(value)


def _csv_cell(value: Any) -> str:
    text = cell_text(value)
    return f"'{text}" if isinstance(value, str | list) and text.startswith(_FORMULA) else text


def _json_row(row: dict[str, Any]) -> dict[str, Any]:
    return {name: _json_value(value) for name, value in row.items()}


def _json_value(value: Any) -> Any:
    if isinstance(value, datetime):
        return iso(value)
    if isinstance(value, float) and not math.isfinite(value):
        return None  # JSON has no word for it
    return value
