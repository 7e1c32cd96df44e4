"""The terminal under the screens, made so that losing it ends the console instead of leaving it waiting for ever."""

import contextlib
from typing import IO, Any

from textual.drivers.linux_driver import LinuxDriver


class Lasting:
    """The terminal's file: once it is gone what is written goes nowhere.

    Textual writes from a thread over a queue of a few places. An error would end that thread, and the next paint
    would then wait for a place in the queue that nobody empties.
    """

    def __init__(self, file: IO[str]) -> None:
        self._file = file

    def write(self, text: str) -> None:
        """Write, as long as there is a terminal."""
        with contextlib.suppress(OSError, ValueError):
            self._file.write(text)

    def flush(self) -> None:
        """Write what was held back, as long as there is a terminal."""
        with contextlib.suppress(OSError, ValueError):
            self._file.flush()

    def fileno(self) -> int:
        """The descriptor below."""
        return self._file.fileno()

    def isatty(self) -> bool:
        """What the file says of itself."""
        return self._file.isatty()


class Terminal(LinuxDriver):
    """Textual's driver with a file that lasts, and that takes up again only what it has laid down."""

    def __init__(self, *args: Any, **named: Any) -> None:
        super().__init__(*args, **named)
        self._file: Any = Lasting(self._file)

    def _sigcont_application(self, *args: Any) -> None:
        # a terminal that hangs up sends this signal too, and so does whoever stopped us from outside: to begin anew
        # then would leave two threads reading keys and two writing
        if self._must_signal_resume:
            super()._sigcont_application(*args)
