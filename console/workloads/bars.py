"""tqdm bars: what they count and how far they are."""

import re

import msgspec

_COUNTS = re.compile(r"(\d{1,12})/(\d{1,12}) \[((?:\d{1,6}:)?\d{1,6}:\d\d)<([^\[\]]*)\]")
_PERCENT = re.compile(r"(\d{1,3})%")
_SPEED = re.compile(r"est\. speed input: (\d{1,12}(?:\.\d+)?) toks/s, output: (\d{1,12}(?:\.\d+)?) toks/s")


class Bar(msgspec.Struct, frozen=True):
    """One drawing of a bar. Speeds are averages since its start, tokens/s, and move when a request finishes."""

    label: str
    done: int
    total: int
    elapsed_s: int
    prompt_tokens_per_s: float | None = None
    output_tokens_per_s: float | None = None


def read_bar(text: str) -> Bar | None:
    """The bar in a line, or None. The label is what stands before the percentage."""
    if "<" not in text or "%" not in text:
        return None
    counts = _COUNTS.search(text)
    if counts is None:
        return None
    head = text[: counts.start()]
    percent = _PERCENT.search(head)
    if percent is None:
        return None
    speed = _SPEED.search(counts[4])
    return Bar(
        label=head[: percent.start()].strip().rstrip(":").strip(),
        done=int(counts[1]),
        total=int(counts[2]),
        elapsed_s=_seconds(counts[3]),
        prompt_tokens_per_s=float(speed[1]) if speed else None,
        output_tokens_per_s=float(speed[2]) if speed else None,
    )


def _seconds(clock: str) -> int:
    """`1:02:03` or `02:03` to seconds."""
    total = 0
    for part in clock.split(":"):
        total = total * 60 + int(part)
    return total
