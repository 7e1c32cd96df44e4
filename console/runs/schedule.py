"""Which attempt runs next, and where. Pure."""

from collections import defaultdict
from collections.abc import Collection, Iterable, Sequence
from typing import TypeVar

import msgspec

T = TypeVar("T")


class Waiting(msgspec.Struct, frozen=True):
    """An attempt that has not started: how many hosts it needs of which it may have."""

    attempt: str
    nodes: int
    wish: tuple[str, ...]


class Turn(msgspec.Struct, frozen=True):
    """An attempt and the hosts it gets, in rank order."""

    attempt: str
    hosts: tuple[str, ...]


def turns(waiting: Sequence[Waiting], free: Iterable[str], shunned: Collection[str] = ()) -> tuple[Turn, ...]:
    """Every attempt that can start now, in plan order. An attempt that may go elsewhere is kept off shunned hosts.

    An attempt that wants several hosts holds back later ones on the hosts it waits for, so that it is not starved
    by single-host rows that would slip in between.
    """
    available = set(free)
    given: list[Turn] = []
    for item in waiting:
        if len(item.wish) < item.nodes:
            given.append(Turn(item.attempt, item.wish))  # it can never have enough: let it say so
            continue
        if not available:
            continue
        good = [host for host in item.wish if host not in shunned]
        wish = good if len(good) >= item.nodes else item.wish
        hosts = [host for host in wish if host in available]
        if len(hosts) >= item.nodes:
            chosen = tuple(hosts[: item.nodes])
            available.difference_update(chosen)
            given.append(Turn(item.attempt, chosen))
        elif item.nodes > 1:
            available.difference_update(hosts)
    return tuple(given)


def interleave(groups: Iterable[Sequence[T]]) -> list[T]:
    """Repeats in rounds: every cell once, then every cell again, so that drift does not hit one cell alone."""
    rounds: dict[int, list[T]] = defaultdict(list)
    for group in groups:
        for index, item in enumerate(group):
            rounds[index].append(item)
    return [item for index in sorted(rounds) for item in rounds[index]]
