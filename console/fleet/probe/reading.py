"""Reading the answers of a probe: single values, swept files, and whole sections."""

import re
from collections.abc import Callable, Mapping
from typing import TypeVar

from console.fleet.script import Section
from console.model.facts import Known, Unknown, value_or
from console.model.text import clean_line

T = TypeVar("T")

ASLEEP = "the GPU sleeps, and reading it would wake it"

_WHY = {
    "absent": "not there",
    "unseen": "the folder it would be in is not there",
    "denied": "permission denied",
    "empty": "the file is empty",
    "folder": "a folder, not a file",
    "unreadable": "the driver or kernel refused to read it",
}


_ERROR = re.compile(rb"^(?:/\S*/)?(?:grep|busybox): (?:grep: )?([^\n]*): ([A-Z][^\n:]*)$", re.MULTILINE)
_DECIMAL = re.compile(r"-?\d{1,20}", re.ASCII)
_ERRORS = {"No such file or directory": "not there", "Permission denied": "permission denied"}


class Table:
    """The single-line files of one section."""

    def __init__(self, section: Section | None) -> None:
        self.values: dict[str, bytes] = {}
        self.missing: dict[str, str] = {}
        self.names: list[str] = []
        self.cut = section is None or section.exit is None
        rows = section.data.split(b"\n") if section is not None else []
        for line in rows[:-1] if self.cut else rows:  # the last line of an answer that was cut off is half a line
            path, _, value = line[1:].partition(b" ")
            key = path.decode("utf-8", "replace")
            if line.startswith(b"="):
                self.values.setdefault(key, value)
            elif line.startswith(b"!"):
                self.missing.setdefault(key, value.decode("ascii", "replace"))
            elif line.startswith(b"+"):
                self.names.append(line[1:].decode("utf-8", "replace"))

    def raw(self, path: str) -> str | None:
        """Clean text of a file, or None."""
        value = self.values.get(path)
        return clean_line(value, 4096) if value is not None else None

    def read(self, path: str, convert: Callable[[str], T]) -> Known[T] | Unknown:
        """A file's value; unknown with why when it is missing or is not of its form (`convert` raises ValueError)."""
        show = ("cat", path)
        text = self.raw(path)
        if text is None:
            why = self.missing.get(path, "")
            if not why and self.cut:
                return Unknown("the answer was cut off", path, show)
            return Unknown(_WHY.get(why, "not asked"), path, show)
        if text == "":
            return Unknown("the file is empty", path, show)
        try:
            return Known(convert(text), path)
        except ValueError:
            return Unknown("not of the form expected", f"{path}: {clean_line(text, 80)}", show)

    def text(self, path: str) -> Known[str] | Unknown:
        """A file's line as clean text."""
        return self.read(path, str)

    def integer(self, path: str) -> Known[int] | Unknown:
        """A file's decimal number."""
        return self.read(path, decimal)


class Files:
    """The files of one folder, as `sweep` printed them: `FILE:LINE` lines, then what could not be read.

    Names are relative to the folder (the section's source). A file that was read without a line was empty.
    """

    def __init__(self, section: Section | None, base: str = "") -> None:
        self.base = base or (section.source if section is not None else "")
        self.rows: dict[str, list[bytes]] = {}
        self.errors: dict[str, str] = {}
        data = section.data if section is not None else b""
        body, mark, errors = data.partition(b"\n@errors\n")
        self.late = section is not None and section.exit in (124, 137)
        self.cut = section is None or not mark or section.exit is None
        if self.cut or self.late:  # what was being written then is half a line
            body = body.rpartition(b"\n")[0]
        for line in body.split(b"\n"):
            name, colon, value = line.partition(b":")
            if colon and name:
                self.rows.setdefault(name.decode("utf-8", "replace"), []).append(value)
        for match in _ERROR.finditer(errors):
            self.errors.setdefault(match.group(1).decode("utf-8", "replace"), clean_line(match.group(2), 200))
        self.asleep = "asleep" in self.rows
        self.why = section.why if section is not None else ""

    def path(self, name: str) -> str:
        """The whole path of a file."""
        return f"{self.base}/{name}"

    def raw(self, name: str) -> str | None:
        """Clean text of a file's first line, or None."""
        found = self.rows.get(name)
        return clean_line(found[0], 4096) if found else None

    def lines(self, name: str) -> list[str] | None:
        """Every line of a file, none for an empty one; None for one that could not be read, or not as a whole."""
        if name in self.rows and (self.cut or self.late) and name == next(reversed(self.rows)):
            return None
        if name not in self.rows:
            return None if name in self.errors or self.cut or self.late or self.asleep or self.why else []
        return [clean_line(line, 4096) for line in self.rows[name]]

    def missing(self, name: str) -> Unknown:
        """Why a file has no value."""
        path, show = self.path(name), ("cat", self.path(name))
        error = self.errors.get(name)
        if error is not None:
            refused = f"the driver or kernel refused to read it ({clean_line(error, 80)})"
            return Unknown(_ERRORS.get(error, refused), path, show)
        if self.asleep:
            return Unknown(ASLEEP, path, ("cat", self.path("power/runtime_status")))
        if self.late:
            return Unknown("did not answer in time", path, show)
        if self.why:
            return Unknown(_WHY.get(self.why, clean_line(self.why)), self.base, ("ls", self.base))
        if self.cut:
            return Unknown("the answer was cut off", path, show)
        return Unknown("the file is empty", path, show)

    def read(self, name: str, convert: Callable[[str], T]) -> Known[T] | Unknown:
        """A file's first line; unknown with why when it is missing or not of its form (`convert` raises ValueError)."""
        text = self.raw(name)
        if not text:
            return self.missing(name)
        try:
            return Known(convert(text), self.path(name))
        except ValueError:
            detail = f"{self.path(name)}: {clean_line(text, 80)}"
            return Unknown("not of the form expected", detail, ("cat", self.path(name)))

    def text(self, name: str) -> Known[str] | Unknown:
        """A file's line as clean text."""
        return self.read(name, str)

    def integer(self, name: str) -> Known[int] | Unknown:
        """A file's decimal number."""
        return self.read(name, decimal)

    def scaled(self, name: str, per: float) -> Known[float] | Unknown:
        """A file's decimal number in a larger unit: `per` of the file's make one."""
        return self.read(name, lambda text: decimal(text) / per)

    def number(self, name: str) -> int | None:
        """A decimal number, or None where there is none to be read."""
        fact = self.integer(name)
        return value_or(fact, None)


def decimal(text: str) -> int:
    """A plain decimal number of at most twenty digits; ValueError for anything else."""
    if not _DECIMAL.fullmatch(text):
        raise ValueError(text)
    return int(text)


def unread(section: Section | None, show: tuple[str, ...] = ()) -> Unknown:
    """Why a section has no usable answer."""
    if section is None or section.exit is None:
        return Unknown("the answer was cut off", section.source if section else "", show)
    if section.why:
        return Unknown(
            _WHY.get(section.why, clean_line(section.why)), section.source, show or tuple(section.source.split())
        )
    if section.exit in (124, 137):
        return Unknown("did not answer in time", section.source, show or tuple(section.source.split()))
    detail = clean_line(section.data[-400:]) or f"exit {section.exit}"
    return Unknown("the command failed", f"{section.source}: {detail}", show or tuple(section.source.split()))


def lines(found: Mapping[str, Section], name: str) -> list[str]:
    """Clean lines of a section, none when it is missing."""
    section = found.get(name)
    return [clean_line(line, 4096) for line in section.data.split(b"\n")] if section is not None else []
