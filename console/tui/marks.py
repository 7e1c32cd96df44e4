"""How states and shares are drawn: always a mark and a word, colour on top. Pure; no Textual.

Marks are Unicode here; with `--ascii` one filter on the way to the terminal replaces them (`plain.py`).

A role names a colour of the theme (`widgets/grid.py` and the style sheet know them): ok, warn, fail, unknown, busy,
accent, dim, bold, simulated; the empty role is plain text.
"""

from collections.abc import Sequence
from typing import Literal, NamedTuple

from console.model.attempt import Outcome, Stage
from console.model.finding import State

Role = Literal["", "ok", "warn", "fail", "unknown", "busy", "accent", "dim", "bold", "simulated"]
Span = tuple[str, Role]


class Mark(NamedTuple):
    """A state as it is shown: a glyph, a word, a role."""

    glyph: str
    word: str
    role: Role

    @property
    def text(self) -> str:
        """Glyph and word."""
        return f"{self.glyph} {self.word}"

    @property
    def span(self) -> Span:
        """Glyph and word in their role."""
        return self.text, self.role


HEALTH = {
    State.PASS: Mark("✓", "pass", "ok"),
    State.WARN: Mark("▲", "warn", "warn"),
    State.FAIL: Mark("✗", "fail", "fail"),
    State.UNKNOWN: Mark("?", "unknown", "unknown"),
}

HOST = {
    "asking": Mark("◌", "asking", "dim"),
    "up": Mark("●", "up", "ok"),
    "simulated": Mark("●", "simulated", "simulated"),
    "no answer": Mark("✗", "no answer", "fail"),
    "stale": Mark("◐", "stale", "warn"),
}

OUTCOME = {
    Outcome.OK: Mark("✓", "ok", "ok"),
    Outcome.FAILED: Mark("✗", "failed", "fail"),
    Outcome.STOPPED: Mark("■", "stopped", "warn"),
    Outcome.NOT_RUN: Mark("○", "not run", "unknown"),
}

SPOILED = Mark("▲", "ok, spoiled", "warn")
ACTIVE = Mark("▶", "", "busy")
WAITING = Mark("·", "planned", "dim")

RUN = {
    "running": Mark("▶", "running", "busy"),
    "paused": Mark("‖", "paused", "warn"),
    "stopping": Mark("■", "stopping", "warn"),
    "left": Mark("◐", "left", "warn"),
    "finished": Mark("✓", "finished", "ok"),
    "stopped": Mark("■", "stopped", "warn"),
    "ended": Mark("✗", "ended", "fail"),
}


def attempt_mark(outcome: Outcome | None, stage: Stage, *, spoiled: bool) -> Mark:
    """How an attempt stands; the word of an active one is its stage or phase, which the caller adds."""
    if outcome is Outcome.OK and spoiled:
        return SPOILED
    if outcome is not None:
        return OUTCOME[outcome]
    return WAITING if stage is Stage.PLANNED else ACTIVE


_EIGHTHS = " ▏▎▍▌▋▊▉█"
_LEVELS = " ▁▂▃▄▅▆▇█"


def bar(share: float | None, width: int) -> str:
    """A horizontal bar of `width` cells; blank dots when the share is not known."""
    if share is None:
        return "·" * width
    eighths = round(min(1.0, max(0.0, share)) * width * 8)
    full, rest = divmod(eighths, 8)
    text = "█" * full + (_EIGHTHS[rest] if rest else "")
    return text + "░" * (width - len(text))


def column(share: float | None) -> str:
    """A share as one cell, higher is more: one GPU of a compact row. A small share still shows."""
    if share is None:
        return "?"
    return _LEVELS[max(1, round(min(1.0, max(0.0, share)) * 8))]


def columns(shares: Sequence[float | None]) -> str:
    """One cell for each share."""
    return "".join(column(share) for share in shares)


def heat(share: float | None, warn: float = 0.85, fail: float = 0.95) -> Role:
    """The role of a share that should not come near 1."""
    if share is None:
        return "dim"
    return "fail" if share >= fail else "warn" if share >= warn else "ok"
