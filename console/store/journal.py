"""The journal: everything that happens, in one order, durable before anyone is told.

`append` returns after the commit. Whoever wants to know asks a `Tail`; processes share nothing else.
"""

import asyncio
import queue
import sqlite3
import threading
import time
from collections.abc import Sequence
from concurrent.futures import Future
from contextlib import suppress
from functools import lru_cache
from typing import NamedTuple

from console.model import events as ev
from console.store.errors import JournalRefused, NotWritten, StoreError
from console.store.ids import check_id
from console.store.paths import StateFolder
from console.store.projections import project, put_cursor
from console.store.schema import BUSY_S, open_writer

_GROUP = 512
"""Appends that share one commit at most; each is whole in it or absent."""

_OF_RUN = (ev.RunOpened, ev.RunClosed, ev.ConductorStarted, ev.StopAsked, ev.PauseAsked, ev.PauseLifted)
_OF_ATTEMPT = (
    ev.AttemptPlanned,
    ev.StageEntered,
    ev.PreflightDone,
    ev.Claimed,
    ev.ClaimRefused,
    ev.LaunchResolved,
    ev.AttemptEnded,
)
_OF_PART = (ev.PartCreated, ev.PartStarted, ev.SecretGiven, ev.PartExited, ev.PartCollected, ev.PartRemoved)


def dated(run: str | None, event: ev.Event, attempt: str | None = None, part: str | None = None) -> ev.Envelope:
    """An event in its envelope, dated now."""
    return ev.Envelope(at_ns=time.time_ns(), event=event, run=run, attempt=attempt, part=part)


_Row = tuple[int, str | None, str | None, str | None, str, bytes]


class _Append(NamedTuple):
    """An append on its way to the writer thread; `rows` are what the events table gets, without the seq."""

    envelopes: tuple[ev.Envelope, ...]
    rows: tuple[_Row, ...]
    cursor: ev.Cursor | None
    done: "Future[int]"


class Journal:
    """The writing end, for one process; several processes may each have one. Usable from any thread and loop."""

    def __init__(self, folder: StateFolder) -> None:
        """Opens, makes or migrates the journal. Raises StoreError, NewerJournal."""
        self._path = folder.journal
        self._db = open_writer(folder)
        self._queue: queue.SimpleQueue[_Append | None] = queue.SimpleQueue()
        self._closing = threading.Lock()
        self._closed = False
        self._thread = threading.Thread(target=self._write, name="journal", daemon=True)
        self._thread.start()

    async def append(self, events: Sequence[ev.Envelope], cursor: ev.Cursor | None = None) -> int:
        """Store the events in this order and the cursor, all or nothing; returns the last seq after the commit.

        The `seq` of the envelopes given is ignored. Without events the journal's last seq is returned. A caller
        that is cancelled meanwhile has still appended. Raises JournalRefused (nothing was stored) or StoreError.
        """
        return await asyncio.shield(asyncio.wrap_future(self._submit(events, cursor)))

    def append_now(self, events: Sequence[ev.Envelope], cursor: ev.Cursor | None = None) -> int:
        """`append` for code without a loop; blocks until the commit."""
        return self._submit(events, cursor).result()

    def close(self) -> None:
        """Commit what was appended and close; later appends are refused."""
        with self._closing:
            if self._closed:
                return
            self._closed = True
            self._queue.put(None)
        self._thread.join()
        self._db.close()

    def __enter__(self) -> "Journal":
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def _submit(self, events: Sequence[ev.Envelope], cursor: ev.Cursor | None) -> "Future[int]":
        envelopes = tuple(events)
        if cursor is not None:
            _check_ids(None, cursor.attempt, cursor.part)
        append = _Append(envelopes, tuple(_row(envelope) for envelope in envelopes), cursor, Future())
        with self._closing:
            if self._closed:
                raise StoreError(f"the journal {self._path} is closed")
            self._queue.put(append)
        return append.done

    def _write(self) -> None:
        while True:
            group = [self._queue.get()]
            while len(group) < _GROUP and group[-1] is not None:
                try:
                    group.append(self._queue.get_nowait())
                except queue.Empty:
                    break
            self._commit([append for append in group if append is not None])
            if group[-1] is None:
                return

    def _commit(self, group: Sequence[_Append]) -> None:
        if not group:
            return
        outcomes: list[int | StoreError] = []
        try:
            self._db.execute("BEGIN IMMEDIATE")
            last = _last_seq(self._db)
            for append in group:
                outcome = self._store(append, last)
                last = outcome if isinstance(outcome, int) else last
                outcomes.append(outcome)
            self._db.execute("COMMIT")
        except Exception as error:  # noqa: BLE001 - the worker's end: the error goes to every waiting caller
            self._roll_back()
            outcomes = [self._explain(error) for _ in group]
        for append, outcome in zip(group, outcomes, strict=True):
            if isinstance(outcome, int):
                append.done.set_result(outcome)
            else:
                append.done.set_exception(outcome)

    def _store(self, append: _Append, last: int) -> int | StoreError:
        """One append inside the transaction; one that breaks a rule leaves nothing and does not hurt the others."""
        self._db.execute("SAVEPOINT append_")
        try:
            self._db.executemany(
                "INSERT INTO events (seq, at_ns, run, attempt, part, kind, event) VALUES (?, ?, ?, ?, ?, ?, ?)",
                [(last + place, *row) for place, row in enumerate(append.rows, 1)],
            )
            for place, envelope in enumerate(append.envelopes, 1):
                project(self._db, last + place, envelope)
            if append.cursor is not None:
                put_cursor(self._db, append.cursor)
        except sqlite3.IntegrityError as error:
            self._db.execute("ROLLBACK TO append_")
            self._db.execute("RELEASE append_")
            return JournalRefused(f"refused by the journal {self._path}: {error} (a run or attempt that exists)")
        self._db.execute("RELEASE append_")
        return last + len(append.rows)

    def _roll_back(self) -> None:
        with suppress(sqlite3.Error):  # a disk that fails may fail this too; the next BEGIN tells
            if self._db.in_transaction:
                self._db.execute("ROLLBACK")

    def _explain(self, error: Exception) -> StoreError:
        code = getattr(error, "sqlite_errorcode", 0) & 0xFF  # the low byte is the class of the error
        if code == sqlite3.SQLITE_FULL:
            return NotWritten(f"no room for the journal {self._path}", remedy="free space on its disk, then --resume")
        if code == sqlite3.SQLITE_BUSY:
            return NotWritten(f"another process kept the journal {self._path} locked for {BUSY_S:.0f} s")
        kind = NotWritten if isinstance(error, sqlite3.OperationalError) else StoreError
        return kind(f"the journal {self._path} could not be written: {error}")


def _last_seq(db: sqlite3.Connection) -> int:
    found = db.execute("SELECT seq FROM sqlite_sequence WHERE name = 'events'").fetchone()
    return int(found[0]) if found else 0


def _row(envelope: ev.Envelope) -> _Row:
    """What the events table stores. Raises JournalRefused on an event out of place or one that cannot be read back."""
    event = envelope.event
    kind = str(type(event).__struct_config__.tag)
    _check_ids(envelope.run, envelope.attempt, envelope.part)
    if (
        (isinstance(event, _OF_RUN + _OF_ATTEMPT + _OF_PART) and envelope.run is None)
        or (isinstance(event, _OF_ATTEMPT + _OF_PART) and envelope.attempt is None)
        or (isinstance(event, _OF_PART) and envelope.part is None)
    ):
        raise JournalRefused(f"an event {kind!r} came without its run, attempt or part")
    try:
        encoded = ev.ENCODER.encode(event)
        ev.EVENT_DECODER.decode(encoded)  # a figure that is no number would lie there and break every reader
    except (ValueError, TypeError) as error:
        raise JournalRefused(f"an event {kind!r} cannot be stored: {error}") from error
    return envelope.at_ns, envelope.run, envelope.attempt, envelope.part, kind, encoded


@lru_cache(maxsize=4096)
def _check_ids(run: str | None, attempt: str | None, part: str | None) -> None:
    for what, text in (("run", run), ("attempt", attempt), ("part", part)):
        if text is not None:
            check_id(text, what)
