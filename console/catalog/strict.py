"""TOML text to records, strictly: an unknown key, a wrong type or a missing value is a problem with its place.

All problems of a file are collected, not only the first. Tables are converted one by one, because an error inside a
dictionary of tables would lose its key.
"""

import re
import tomllib
import types
import typing
from collections.abc import Mapping, Sequence
from functools import cache
from pathlib import Path
from typing import Any, Literal, TypeVar, get_args, get_origin

import msgspec

from console.catalog.errors import Problem, suggestion
from console.catalog.locate import KeyPath, key_text, line_of

S = TypeVar("S", bound=msgspec.Struct)

Placed = Mapping[str, tuple[Any, KeyPath]]
"""Raw values by name, each with the place it was written at."""

_PLAIN = {
    "int": "a whole number",
    "float": "a number",
    "str": "text in quotes",
    "bool": "true or false",
    "array": "a list",
    "object": "a table",
    "null": "nothing",
}
_EXPECTED = re.compile(r"^Expected `([^`]+)`, got `([^`]+)`")
_AT = re.compile(r"`\$(?:\[(\d+)\])?[^`]*`$")


class Bad:
    """Stands for a value that could not be read; its problem has been noted."""


BAD = Bad()


class Field(msgspec.Struct, frozen=True):
    """A field of a record type: its annotation, and whether it must be given."""

    annotation: Any
    required: bool


class Source:
    """One TOML file while it is read: its tables, and the problems found in it so far (each once)."""

    def __init__(self, file: str, text: str) -> None:
        self.file = file
        self.text = text
        self.problems: dict[Problem, None] = {}
        self.data: dict[str, Any] = {}
        try:
            self.data = tomllib.loads(text)
        except tomllib.TOMLDecodeError as error:
            self._note_syntax(str(error))

    @classmethod
    def open(cls, path: Path) -> "Source":
        """Read a file; one that cannot be read becomes a problem like any other."""
        try:
            return cls(str(path), path.read_text(encoding="utf-8"))
        except (OSError, UnicodeDecodeError) as error:
            broken = cls(str(path), "")
            reason = error.strerror if isinstance(error, OSError) else "not UTF-8 text"
            broken.problems[Problem(str(path), None, "", f"cannot be read: {reason}")] = None
            return broken

    def problem(self, path: KeyPath, message: str) -> None:
        """Note that something is wrong at a place; the same thing is noted once."""
        self.problems[Problem(self.file, line_of(self.text, path), key_text(path), message)] = None

    def unknown_keys(self, table: Mapping[str, Any], known: Sequence[str], path: KeyPath = ()) -> bool:
        """Note every key that is not known; True when there was one."""
        strange = [key for key in table if key not in known]
        for key in strange:
            self.problem((*path, key), f"unknown key{suggestion(key, known)}")
        return bool(strange)

    def record(self, table: Any, record: type[S], path: KeyPath = ()) -> S | None:
        """A table as a record of this type; None when a problem was noted."""
        if not isinstance(table, dict):
            self.problem(path, f"expected a table, got {_kind(table)}")
            return None
        strange = self.unknown_keys(table, tuple(fields_of(record)), path)
        built = self.build({key: (value, (*path, key)) for key, value in table.items()}, record, path)
        return None if strange else built

    def build(self, placed: Placed, record: type[S], path: KeyPath, owner: str = "") -> S | None:
        """A record from values written at different places; keys it does not know are left aside.

        `owner` is named when a value is missing: `missing output_len of vllm-throughput`.
        """
        values: dict[str, Any] = {}
        sound = True
        for name, field in fields_of(record).items():
            if name in placed:
                raw, place = placed[name]
                value = self.value(raw, field.annotation, place)
                if isinstance(value, Bad):
                    sound = False
                else:
                    values[name] = value
            elif field.required:
                self.problem(path, f"missing key `{name}`{f' of {owner}' if owner else ''}")
                sound = False
        if not sound:
            return None
        try:
            return record(**values)
        except (ValueError, TypeError) as error:
            self.problem(path, str(error))
            return None

    def value(self, raw: Any, annotation: Any, path: KeyPath) -> Any:
        """One value of an annotated type, or BAD when a problem was noted."""
        inner = _unwrapped(annotation)
        if isinstance(inner, type) and issubclass(inner, msgspec.Struct):
            built = self.record(raw, inner, path)
            return BAD if built is None else built
        arguments = get_args(inner)
        if get_origin(inner) is tuple and len(arguments) == 2 and arguments[1] is ...:
            if not isinstance(raw, list):
                return self._wrong(path, "a list", raw)
            items = [self.value(item, arguments[0], (*path, index)) for index, item in enumerate(raw)]
            return BAD if any(isinstance(item, Bad) for item in items) else tuple(items)
        if get_origin(inner) is dict and arguments[0] is str:
            if not isinstance(raw, dict):
                return self._wrong(path, "a table", raw)
            entries = {key: self.value(item, arguments[1], (*path, key)) for key, item in raw.items()}
            return BAD if any(isinstance(item, Bad) for item in entries.values()) else entries
        if get_origin(inner) is Literal:
            return raw if raw in arguments else self._none_of(path, raw, arguments)
        try:
            return msgspec.convert(raw, annotation)
        except msgspec.ValidationError as error:
            return self._wrong(path, _expectation(str(error)), raw)

    def _wrong(self, path: KeyPath, expected: str, raw: Any) -> Bad:
        self.problem(path, f"expected {expected}, got {_kind(raw)}")
        return BAD

    def _none_of(self, path: KeyPath, raw: Any, allowed: Sequence[Any]) -> Bad:
        names = [str(item) for item in allowed]
        hint = suggestion(raw, names) if isinstance(raw, str) else ""
        self.problem(path, f"{raw!r} is none of {', '.join(names)}" + (hint if "did you mean" in hint else ""))
        return BAD

    def _note_syntax(self, message: str) -> None:
        found = re.search(r" \(at (?:line (\d+), column (\d+)|end of document)\)$", message)
        line = int(found[1]) if found and found[1] else self.text.count("\n") + 1
        what = message[: found.start()] if found else message
        column = f" at column {found[2]}" if found and found[2] else ""
        self.problems[Problem(self.file, line, "", f"not valid TOML: {what}{column}")] = None


@cache
def fields_of(record: type[msgspec.Struct]) -> Mapping[str, Field]:
    """The fields of a record type by name."""
    return {field.encode_name: Field(field.type, field.required) for field in msgspec.structs.fields(record)}


def _unwrapped(annotation: Any) -> Any:
    """`X | None` becomes X: TOML has no null, so a value that is there is never None."""
    if get_origin(annotation) in (types.UnionType, typing.Union):
        rest = [item for item in get_args(annotation) if item is not type(None)]
        return rest[0] if len(rest) == 1 else annotation
    return annotation


def _expectation(message: str) -> str:
    found = _EXPECTED.match(message)
    if found is None:
        return _AT.sub("", message).removesuffix(" - at ").removeprefix("Expected ")
    names = [part.strip() for part in found[1].split("|") if part.strip() != "null"]
    return " or ".join(_PLAIN.get(name, name) for name in names)


def _kind(raw: Any) -> str:
    if isinstance(raw, bool):
        return "true" if raw else "false"
    if isinstance(raw, int | float):
        return f"the number {raw}"
    if isinstance(raw, str):
        return f"the text {raw!r}" if len(raw) <= 40 else "text"
    if isinstance(raw, dict):
        return "a table"
    if isinstance(raw, list):
        return "a list"
    return f"a date or time ({raw}); put it in quotes"
