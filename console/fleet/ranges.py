"""Host ranges: `node[01-40]`, `rack[1-3,7]-gpu[0-1]`."""

import re
from collections.abc import Iterable

LIMIT = 4096
"""No pattern may stand for more hosts than this; a slip of the keyboard should not fill the memory."""

_BRACKET = re.compile(r"\[([^\[\]]*)\]")
_PIECE = re.compile(r"(\d+)(?:-(\d+))?")
_LAST_NUMBER = re.compile(r"(.*?)(\d+)(\D*)", re.ASCII | re.DOTALL)
_DIGITS = 9


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


def fold(names: Iterable[str]) -> tuple[str, ...]:
    """Names as few patterns, in the order of their first hosts: `node[01-40]`. `expand` gives the names back.

    Only the last number of a name is folded, as people number hosts.
    """
    parts = {name: _LAST_NUMBER.fullmatch(name) for name in dict.fromkeys(names)}
    numbered = {name: match.groups() for name, match in parts.items() if match is not None and not is_range(name)}
    # where zeros fill numbers up, each length is a numbering of its own: 08 and 10 belong together, 8 does not
    filled = {(head, tail, len(digits)) for head, digits, tail in numbered.values() if digits.startswith("0")}
    groups: dict[str | tuple[str, str, int], dict[int, str]] = {}
    for name in parts:
        if name not in numbered or len(numbered[name][1]) > _DIGITS:
            groups[name] = {}
            continue
        head, digits, tail = numbered[name]
        length = len(digits) if (head, tail, len(digits)) in filled else 0
        groups.setdefault((head, tail, length), {})[int(digits)] = digits
    return tuple(key if isinstance(key, str) else _folded(key[0], key[1], found) for key, found in groups.items())


def _folded(head: str, tail: str, numbers: dict[int, str]) -> str:
    if len(numbers) == 1:
        return head + next(iter(numbers.values())) + tail
    runs: list[list[int]] = []
    for number in sorted(numbers):
        if runs and number == runs[-1][-1] + 1:
            runs[-1].append(number)
        else:
            runs.append([number])
    pieces = (numbers[run[0]] + (f"-{numbers[run[-1]]}" if len(run) > 1 else "") for run in runs)
    return f"{head}[{','.join(pieces)}]{tail}"


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
