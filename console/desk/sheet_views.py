"""What a screen holds of results: frozen, plain, matrix by matrix. No frames, nothing heavy to import."""

from typing import Literal

import msgspec

from console.model.attempt import Reason

Strength = Literal["must", "should", "noted"]
FactGroup = Literal["row", "conditions", "beside"]


class Fact(msgspec.Struct, frozen=True):
    """One thing known of a figure: a parameter of its row, a condition it came to be under, or measured beside it."""

    group: FactGroup
    name: str
    text: str
    unit: str = ""


class Difference(msgspec.Struct, frozen=True):
    """A condition in which the figure and its reference differ; a `must` makes them incomparable."""

    strength: Strength
    text: str


class Tried(msgspec.Struct, frozen=True, kw_only=True):
    """One attempt of a cell: a repeat, or another try of one."""

    attempt: str
    repeat: int
    attempt_try: int
    state: str
    value: float | None
    text: str
    ratio: float | None
    reasons: tuple[Reason, ...]
    failure: str
    failure_line: str
    remedy: str
    started_at_ns: int | None
    ended_at_ns: int | None

    @property
    def spoiled(self) -> bool:
        """It has a figure that does not count."""
        return self.value is not None and any(reason.spoils for reason in self.reasons)


class Figure(msgspec.Struct, frozen=True, kw_only=True):
    """A cell on its hosts: what was measured over its repeats, or why there is nothing.

    `published` are the texts of its source's columns. `verdict` is empty while every attempt goes on. `attempts` is
    empty for a row of the matrix that none of the runs has: its reference stands alone. `text` is `value` with as many
    digits as its reference is printed with.
    """

    key: str
    run: str
    label: str
    matrix: str
    cell: str
    title: str
    hosts: tuple[str, ...]
    published: tuple[str, ...]
    metric: str
    unit: str
    lower_is_better: bool
    value: float | None = None
    text: str = ""
    repeats: int = 0
    variation: float | None = None
    ratio: float | None = None
    ratio_low: float | None = None
    ratio_high: float | None = None
    verdict: str = ""
    band: str = ""
    note: str = ""
    printed: str = ""
    reference_set: str = ""
    reference_unit: str = ""
    source: str = ""
    dated: str = ""
    errata: tuple[str, ...] = ()
    differences: tuple[Difference, ...] = ()
    deviations: tuple[str, ...] = ()
    reasons: tuple[Reason, ...] = ()
    failure: str = ""
    failure_line: str = ""
    remedy: str = ""
    ok: int = 0
    spoiled: int = 0
    failed: int = 0
    not_run: int = 0
    open: int = 0
    image: str = ""
    image_digest: str = ""
    simulated: bool = False
    facts: tuple[Fact, ...] = ()
    attempts: tuple[Tried, ...] = ()

    @property
    def was_run(self) -> bool:
        """False for a reference without a cell in the runs."""
        return bool(self.attempts)


class Sheet(msgspec.Struct, frozen=True, kw_only=True):
    """One matrix of the runs, in the order and the columns of its source.

    `columns` are key and heading of the published columns. `missing` are references without a cell in the runs;
    `order` are all cells of the matrix as its source has them; `sentences` say what the rows add up to and what is not
    covered.
    """

    matrix: str
    title: str
    source: str
    dated: str
    columns: tuple[tuple[str, str], ...]
    figures: tuple[Figure, ...]
    missing: tuple[Figure, ...]
    sentences: tuple[str, ...]
    order: tuple[str, ...]
    simulated: bool


class Book(msgspec.Struct, frozen=True, kw_only=True):
    """Everything that some runs measured. `read_from` is the journal's last event when it was read."""

    runs: tuple[str, ...]
    sheets: tuple[Sheet, ...]
    hosts: tuple[str, ...]
    simulated: bool
    read_from: int


class Side(msgspec.Struct, frozen=True):
    """One side of a comparison: runs (exact ids), of them only what ran on `host` where one is named; `name` is for
    people.
    """

    name: str
    runs: tuple[str, ...]
    host: str | None = None


class Pair(msgspec.Struct, frozen=True, kw_only=True):
    """The same cell on both sides. `ratio` is b against a, above 1 is better; empty where they may not be compared.

    `comparable` is None where only one side has the cell. `place` is its place in the comparison, from 0.
    """

    place: int
    matrix: str
    cell: str
    title: str
    unit: str
    lower_is_better: bool
    hosts_a: tuple[str, ...]
    hosts_b: tuple[str, ...]
    a: float | None
    b: float | None
    text_a: str
    text_b: str
    ratio: float | None
    comparable: bool | None
    differences: tuple[str, ...]
    verdict_a: str
    verdict_b: str
    simulated: bool


class Comparison(msgspec.Struct, frozen=True, kw_only=True):
    """Two sides, cell by cell: those of `a` in their order, then those that only `b` has."""

    a: Side
    b: Side
    pairs: tuple[Pair, ...]
    simulated: bool
