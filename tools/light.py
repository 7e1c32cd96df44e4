"""Entry of the light archive. Python 3.10 lacks names of the standard library that the package uses: they come first.

The installed package needs 3.11, because its tables do. Commands that need no table, SSH or Docker (`health --local`
above all) run on the Python that an Ubuntu 22.04 brings, from an archive of what they import (`make light`).
"""

import asyncio
import datetime
import enum
import sys
from types import TracebackType
from typing import Any

LEFT_OUT = ("asyncssh", "docker", "h11", "polars", "rich")


class StrEnum(str, enum.Enum):  # noqa: UP042 - what it stands for is what 3.10 lacks
    """As enum.StrEnum of 3.11: members are strings and show as their values."""

    __str__ = str.__str__
    __format__ = str.__format__  # type: ignore[assignment]  # typeshed narrows Enum, which str wins over

    @staticmethod
    def _generate_next_value_(name: str, start: int, count: int, last_values: "list[Any]") -> str:
        return name.lower()


class Timeout:
    """As asyncio.timeout of 3.11, for what is used of it: cancels the block and raises TimeoutError."""

    def __init__(self, delay: "float | None") -> None:
        self._delay = delay
        self._expired = False
        self._timer: asyncio.TimerHandle | None = None

    async def __aenter__(self) -> "Timeout":
        task = asyncio.current_task()
        if self._delay is not None and task is not None:
            self._timer = asyncio.get_running_loop().call_later(self._delay, self._expire, task)
        return self

    async def __aexit__(
        self, kind: "type[BaseException] | None", error: "BaseException | None", trace: "TracebackType | None"
    ) -> None:
        if self._timer is not None:
            self._timer.cancel()
        if self._expired and kind is not None and issubclass(kind, asyncio.CancelledError):
            raise TimeoutError from error

    def _expire(self, task: "asyncio.Task[Any]") -> None:
        self._expired = True
        task.cancel()


def fill() -> None:
    """Give the standard library the names; to be called before anything else of this package is imported."""
    import tomli  # type: ignore[import-not-found]  # only in the archive

    names: Any = enum
    names.StrEnum = StrEnum
    names = datetime
    names.UTC = datetime.timezone.utc  # noqa: UP017 - that is the name it stands for
    names = asyncio
    names.timeout = Timeout
    sys.modules["tomllib"] = tomli


def main() -> None:
    """Run the command line; what the archive leaves out is named."""
    if sys.version_info < (3, 11):  # noqa: UP036 - the archive runs on 3.10, the package does not
        fill()
    from console.__main__ import main as run

    try:
        run()
    except ModuleNotFoundError as error:
        if error.name not in LEFT_OUT:
            raise
        message = f"instinct: this needs {error.name}, which the light archive leaves out; install instinct-console"
        print(message, file=sys.stderr)
        sys.exit(3)


if __name__ == "__main__":
    main()
