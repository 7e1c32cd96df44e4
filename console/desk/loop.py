"""The event loop of a command that looks at hosts once and then prints."""

import asyncio
from collections.abc import Coroutine
from typing import Any, TypeVar

T = TypeVar("T")


def finished(work: Coroutine[Any, Any, T]) -> T:
    """As asyncio.run, for work with a large result.

    When a loop ends, asyncio asks for the handler of Ctrl-C, and Python's enum module writes that handler down as text
    to see that it is no member: with the task in it, and the task with its whole result. For the facts of 64
    hosts that takes as long as parsing them, so the task made here has no result.
    """
    kept: list[T] = []

    async def keep() -> None:
        kept.append(await work)

    asyncio.run(keep())
    return kept[0]
