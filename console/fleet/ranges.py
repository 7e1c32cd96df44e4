"""Host ranges: `node[01-40]`, `rack[1-3,7]-gpu[0-1]`."""

import re

LIMIT = 4096
"""No pattern may stand for more hosts than this; a slip of the keyboard should not fill the memory."""

_BRACKET = re.compile(r"\[([^\[\]]*)\]")
_PIECE = re.compile(r"(\d+)(?:-(\d+))?")


class RangeError(ValueError):
    """A range that cannot be read; the message quotes it."""


def is_range(pattern: str) -> bool:
    """Whether a name is a pattern for several hosts."""
    return "[" in pattern or "]" in pattern


def expand(pattern: str) -> tuple[str, ...]:
    """All names a pattern stands for, in order; leading zeros of a start are kept (`[08-10]` is 08, 09, 10)."""
    names = [""]
    at = 0
    for match in _BRACKET.finditer(pattern):
        literal = pattern[at : match.start()]
        numbers = _numbers(match.group(1), pattern)
        if len(names) * len(numbers) > LIMIT:
            raise RangeError(f"{pattern!r} stands for more than {LIMIT} hosts")
        names = [name + literal + number for name in names for number in numbers]
        at = match.end()
    rest = pattern[at:]
    if "[" in rest or "]" in rest or "[" in "".join(names) or "]" in "".join(names):
        raise RangeError(f"{pattern!r}: a bracket is not closed")
    return tuple(name + rest for name in names)


def _numbers(body: str, pattern: str) -> list[str]:
    numbers: list[str] = []
    for piece in body.split(","):
        match = _PIECE.fullmatch(piece.strip())
        if match is None:
            raise RangeError(f"{pattern!r}: {piece.strip()!r} is not a number or a range like 01-40")
        first, last = match.group(1), match.group(2) or match.group(1)
        if int(last) < int(first):
            raise RangeError(f"{pattern!r}: {piece.strip()} runs backwards")
        if int(last) - int(first) >= LIMIT:
            raise RangeError(f"{pattern!r} stands for more than {LIMIT} hosts")
        width = len(first) if first.startswith("0") else 0
        numbers.extend(str(number).zfill(width) for number in range(int(first), int(last) + 1))
    return numbers
