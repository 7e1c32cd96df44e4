"""What can be wrong with the catalog or with a question asked of it."""

from collections.abc import Iterable, Sequence
from difflib import SequenceMatcher

import msgspec


class Problem(msgspec.Struct, frozen=True):
    """One thing wrong in one file. `line` counts from 1 and is None where it could not be found; `key` is the path."""

    file: str
    line: int | None
    key: str
    message: str

    def __str__(self) -> str:
        place = f"{self.file}:{self.line}" if self.line else self.file
        return f"{place}: {self.key}: {self.message}" if self.key else f"{place}: {self.message}"


class CatalogError(Exception):
    """The catalog cannot answer; `problems` of files are one line each."""

    def __init__(self, message: str, problems: Sequence[Problem] = ()) -> None:
        super().__init__(message)
        self.problems = tuple(problems)


class BrokenProfiles(CatalogError):
    """Profile files that cannot be used: every problem found, one line each, in the order of the files."""

    def __init__(self, problems: Sequence[Problem]) -> None:
        super().__init__("\n".join(str(problem) for problem in problems), problems)


class UnknownName(CatalogError):
    """A name that is not in the catalog, with the nearest that are."""

    def __init__(self, kind: str, name: str, known: Iterable[str]) -> None:
        super().__init__(f"no {kind} is called {name!r}{suggestion(name, known, 40)}")
        self.kind = kind
        self.name = name


class BadChange(CatalogError):
    """A change asked for (`--set`, `--image`) that the cell cannot take."""


class SelectionError(CatalogError):
    """A selection expression that cannot be read or does not fit the cells. `column` counts from 1."""

    def __init__(self, expression: str, column: int, message: str) -> None:
        super().__init__(f"column {column}: {message}\n  {expression}\n  {' ' * (column - 1)}^")
        self.expression = expression
        self.column = column


class EmptySelection(CatalogError):
    """An expression that is sound but selects none of the cells."""


def nearest(name: str, known: Iterable[str], count: int = 3) -> list[str]:
    """Known names that look like `name`, best first; case, and a part left out, do not matter."""
    scores = {candidate: _likeness(name.casefold(), candidate.casefold()) for candidate in dict.fromkeys(known)}
    best = max(scores.values(), default=0.0)
    close = [candidate for candidate, score in scores.items() if score >= max(0.6, best - 0.15)]
    return sorted(close, key=lambda candidate: -scores[candidate])[:count]


def _likeness(wanted: str, candidate: str) -> float:
    """From 0 to 1; a name that holds all of the wanted one counts as close, the more so the less it adds."""
    ratio = SequenceMatcher(None, wanted, candidate).ratio()
    if len(wanted) > 2 and wanted in candidate:
        return max(ratio, 0.85 + 0.1 * len(wanted) / len(candidate))
    return ratio


def suggestion(name: str, known: Iterable[str], few: int = 12) -> str:
    """`; did you mean a or b?`, or what there is when nothing looks alike and it is `few` at most."""
    names = list(dict.fromkeys(known))
    close = nearest(name, names)
    if close:
        return f"; did you mean {' or '.join(close)}?"
    if names and len(names) <= few:
        return f"; there is {', '.join(sorted(names))}"
    return ""
