"""A value that was read, or why it was not: what every fact of a host is made of."""

from collections.abc import Iterable
from typing import Any, Generic, TypeVar

import msgspec

T = TypeVar("T", covariant=True)  # a known tuple is a known sequence
Other = TypeVar("Other")


class Known(msgspec.Struct, Generic[T], frozen=True, tag="known"):
    """A value that was read, and where: a path or a command."""

    value: T
    source: str


class Unknown(msgspec.Struct, frozen=True, tag="unknown"):
    """A value that could not be read: why, and the command that would show it."""

    why: str
    detail: str = ""
    show: tuple[str, ...] = ()


Fact = Known[T] | Unknown

NOT_READ = Unknown("not read")


def value_or(fact: Known[T] | Unknown, other: Other) -> T | Other:
    """The value when known, else `other`. Never use it to turn unknown into a pass."""
    return fact.value if isinstance(fact, Known) else other


def first_unknown(facts: Iterable[Known[Any] | Unknown]) -> Unknown | None:
    """The first fact that could not be read."""
    return next((fact for fact in facts if isinstance(fact, Unknown)), None)
