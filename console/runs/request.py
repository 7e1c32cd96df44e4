"""What a person asked for."""

from collections.abc import Mapping
from typing import Literal

import msgspec


class Request(msgspec.Struct, frozen=True, kw_only=True):
    """What a person asked for; journaled with the run so that it can be taken up again."""

    matrices: tuple[str, ...]
    hosts: str | None = None
    only: str | None = None
    image: str | None = None
    changes: Mapping[str, str] = {}
    place: Literal["each", "spread"] = "each"
    repeat: int = 1
    if_busy: str = "skip"
    """`skip`, `wait`, or `wait=SECONDS`."""
    accept: tuple[str, ...] = ()
    all_or_none: bool = False
    until_ns: int | None = None
    label: str = ""
    fetch: bool = False
    server: str | None = None

    @property
    def busy_wait_s(self) -> float:
        """How long to wait for a host that somebody holds; infinite for `wait`."""
        if self.if_busy == "skip":
            return 0.0
        _, _, seconds = self.if_busy.partition("=")
        return float(seconds) if seconds else float("inf")
