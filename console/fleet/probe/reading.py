"""Reading the answers of a probe: `=PATH VALUE`, `+PATH` and `!PATH why` lines, and whole sections."""

from collections.abc import Callable, Mapping
from typing import TypeVar

from console.fleet.script import Section
from console.model.facts import Known, Unknown
from console.model.text import clean_line

T = TypeVar("T")

_WHY = {
    "absent": "not there",
    "denied": "permission denied",
    "empty": "the file is empty",
    "folder": "a folder, not a file",
    "unreadable": "the driver or kernel refused to read it",
}


class Table:
    """The single-line files of one section."""

    def __init__(self, section: Section | None) -> None:
        self.values: dict[str, bytes] = {}
        self.missing: dict[str, str] = {}
        self.names: list[str] = []
        self.cut = section is None or section.exit is None
        for line in (section.data if section is not None else b"").split(b"\n"):
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
        return self.read(path, int)


def unread(section: Section | None, show: tuple[str, ...] = ()) -> Unknown:
    """Why a section has no usable answer."""
    if section is None or section.exit is None:
        return Unknown("the answer was cut off", section.source if section else "", show)
    if section.why:
        return Unknown(_WHY.get(section.why, section.why), section.source, show or tuple(section.source.split()))
    if section.exit in (124, 137):
        return Unknown("did not answer in time", section.source, show or tuple(section.source.split()))
    detail = clean_line(section.data[-400:]) or f"exit {section.exit}"
    return Unknown("the command failed", f"{section.source}: {detail}", show or tuple(section.source.split()))


def lines(found: Mapping[str, Section], name: str) -> list[str]:
    """Clean lines of a section, none when it is missing."""
    section = found.get(name)
    return [clean_line(line, 4096) for line in section.data.split(b"\n")] if section is not None else []
