"""What amd-smi and rocm-smi print, in every shape their releases have had: JSON values among other text, and values.

Nothing here raises: keys come and go between releases, and warnings stand before, between and after the JSON.
"""

import json
import re
from collections.abc import Iterator, Mapping
from functools import lru_cache
from typing import Any

from console.model.text import clean_line

Tree = Mapping[str, Any]

_NONE = ("", "N/A", "NA", "NONE", "NULL", "UNKNOWN", "NAN")
_ATTEMPTS = 200
_KEY_LENGTH = 120
_OPENING = re.compile(r"[\[{]")
_NUMBER = re.compile(r"(-?\d{1,15}(?:\.\d{1,6})?)(?:\s*([A-Za-z°%/]{1,8}(?:/s)?))?", re.ASCII)


def documents(data: bytes) -> list[Any]:
    """Every JSON object or array in some output, in order; text between them is left out. Keys in lower case."""
    text = data.decode("utf-8", "replace")
    decoder = json.JSONDecoder()
    found: list[Any] = []
    place, attempts = 0, 0
    while attempts < _ATTEMPTS and (match := _OPENING.search(text, place)):
        attempts += 1
        try:
            value, place = decoder.raw_decode(text, match.start())
        except (ValueError, RecursionError):
            place = match.end()
            continue
        found.append(_lower(value))
    return found


def _lower(value: Any, depth: int = 0) -> Any:
    if depth > 20:
        return None
    if isinstance(value, dict):
        return {_key(str(key)[:_KEY_LENGTH]): _lower(item, depth + 1) for key, item in value.items()}
    if isinstance(value, list):
        return [_lower(item, depth + 1) for item in value]
    return value


@lru_cache(maxsize=4096)
def _key(key: str) -> str:
    """Kept: the GPUs of a fleet have the same few hundred."""
    return clean_line(key).lower().replace(" ", "_")


def gpu_entries(data: bytes) -> list[Tree]:
    """One tree per GPU: from a list (ROCm up to 6.4) or from `gpu_data` (7.0 and later), the first of a GPU counts."""
    seen: dict[int, Tree] = {}
    for document in documents(data):
        entries = document.get("gpu_data") if isinstance(document, dict) else document
        if isinstance(document, dict) and not isinstance(entries, list):
            entries = [document]
        for entry in entries if isinstance(entries, list) else ():
            number = whole(entry.get("gpu")) if isinstance(entry, dict) else None
            if number is not None:
                seen.setdefault(number, entry)
    return [seen[number] for number in sorted(seen)]


def first_object(data: bytes) -> Tree:
    """The first object of some output, also inside of a list; empty when there is none."""
    for document in documents(data):
        for entry in document if isinstance(document, list) else [document]:
            if isinstance(entry, dict):
                return entry
    return {}


def at(tree: Any, *paths: str) -> Any:
    """The value at the first of some dotted paths that leads somewhere; None when none does."""
    for path in paths:
        value = tree
        for key in path.split("."):
            value = value.get(key) if isinstance(value, Mapping) else None
        if value is not None and not (isinstance(value, str) and value.strip().upper() in _NONE):
            return value
    return None


def number(value: Any, unit: str = "") -> float | None:
    """A number of any of the forms: 123, "123", "123 W", {"value": 123, "unit": "W"}; None for "N/A" and the rest.

    `unit`: the unit it must have, where it names one.
    """
    named = ""
    if isinstance(value, Mapping):
        named = str(value.get("unit") or "")
        value = value.get("value")
    if isinstance(value, bool) or value is None:
        return None
    if isinstance(value, int | float):
        found = float(value) if abs(value) < 1e18 else None
    else:
        match = _NUMBER.fullmatch(str(value).strip())
        if match is None:
            return None
        found, named = float(match.group(1)), match.group(2) or named
    if found is None or found != found or (unit and named and _plain(named) != _plain(unit)):
        return None
    return found


def _plain(unit: str) -> str:
    return unit.replace("°", "").strip().lower()


def whole(value: Any) -> int | None:
    """A whole number of any of the forms, hexadecimal ones as well."""
    if isinstance(value, str) and re.fullmatch(r"0[xX][0-9a-fA-F]{1,16}", value.strip()):
        return int(value.strip(), 16)
    found = number(value)
    return int(found) if found is not None and found.is_integer() else None


def text(value: Any) -> str | None:
    """Clean text; None for "N/A" and what is no text or number."""
    if isinstance(value, bool) or not isinstance(value, str | int | float):
        return None
    cleaned = clean_line(str(value), 200)
    return None if cleaned.upper() in _NONE else cleaned


def leaves(value: Any) -> Iterator[Any]:
    """Every scalar below a value: arrays by partition are nested more or less deep."""
    if isinstance(value, Mapping):
        for item in value.values():
            yield from leaves(item)
    elif isinstance(value, list):
        for item in value:
            yield from leaves(item)
    else:
        yield value
