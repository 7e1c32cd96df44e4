"""What can go wrong with the state folder: the message says what happened and where, and what to do."""


class StoreError(Exception):
    """The state folder could not serve. `remedy` is also part of the text."""

    def __init__(self, message: str, *, remedy: str = "") -> None:
        super().__init__(f"{message}; {remedy}" if remedy else message)
        self.message = message
        self.remedy = remedy


class BadName(StoreError):
    """An id or file name that must not become a path."""


class UnsafeFileSystem(StoreError):
    """The folder lies where SQLite's write-ahead log is unsafe."""


class NewerJournal(StoreError):
    """The journal was written by a newer version of this program."""


class NotWritten(StoreError):
    """The disk took nothing: full, read-only, broken, or locked by another. No word on what was to be written."""


class JournalRefused(StoreError):
    """Nothing of this append was stored."""


class UnknownRun(StoreError):
    """No run, or more than one, answers to this name. `candidates` are what could be meant."""

    def __init__(self, message: str, candidates: tuple[str, ...], *, remedy: str = "") -> None:
        super().__init__(message, remedy=remedy)
        self.candidates = candidates


class LogDamaged(StoreError):
    """A log file is shorter than what was committed, or its index does not describe it."""


class ArtifactDamaged(StoreError):
    """A stored file is absent or not what was stored."""
