"""Ids of runs and attempts: sortable by time, safe as file names and as container names."""

import os
import re
import threading
import time
from collections.abc import Callable

from console.store.errors import BadName

ID = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,80}")

_ALPHABET = "0123456789abcdefghjkmnpqrstvwxyz"  # Crockford's base 32: in ASCII order, without i, l, o and u
_EPOCH_MS = 1_704_067_200_000  # 2024-01-01 UTC; 40 bits of milliseconds from there reach the year 2058
_RANDOM_BITS = 20


def check_id(text: str, what: str = "id") -> str:
    """The same text, when it may become a path or a container name. Raises BadName."""
    if ID.fullmatch(text) is None:
        raise BadName(f"{text!r} cannot be the {what} of anything stored here", remedy=f"it must match {ID.pattern}")
    return text


def _base32(number: int, digits: int) -> str:
    return "".join(_ALPHABET[(number >> 5 * place) & 31] for place in reversed(range(digits)))


class IdMaker:
    """Makes ids that only ever grow within a process, also within one millisecond or when the clock steps back."""

    def __init__(self, now_ms: Callable[[], int] = lambda: time.time_ns() // 1_000_000) -> None:
        self._now_ms = now_ms
        self._last = 0
        self._lock = threading.Lock()

    def new_id(self, prefix: str) -> str:
        """`prefix` and twelve base 32 digits: eight of milliseconds, four of chance."""
        with self._lock:
            fresh = (self._now_ms() - _EPOCH_MS) << _RANDOM_BITS | _randbits(_RANDOM_BITS - 1)
            self._last = max(fresh, self._last + 1)
            return check_id(prefix + _base32(self._last, 12))


_MAKER = IdMaker()


def new_id(prefix: str) -> str:
    """A fresh id such as `r01kan3v9c4tq`; later ones sort later. Raises BadName on a prefix unfit for paths."""
    return _MAKER.new_id(prefix)


def _randbits(count: int) -> int:
    """So many random bits; `secrets` would bring half of the hash libraries along."""
    return int.from_bytes(os.urandom(8), "big") >> (64 - count)
