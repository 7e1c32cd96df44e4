"""The journal's tables, their versions, and how a connection to it is opened."""

import fcntl
import os
import sqlite3
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from urllib.parse import quote

from console.store.errors import NewerJournal, StoreError
from console.store.paths import StateFolder, private_file

BUSY_S = 30.0
"""How long a writer waits for another process's commit; commits take milliseconds."""

# A projection holds what is asked for often and changes in place, and points (`*_seq`) at the event that holds the
# rest: rows stay small, and nothing large is written twice.
MIGRATIONS: tuple[tuple[str, ...], ...] = (
    (
        """CREATE TABLE events (
            seq INTEGER PRIMARY KEY AUTOINCREMENT,
            at_ns INTEGER NOT NULL,
            run TEXT, attempt TEXT, part TEXT,
            kind TEXT NOT NULL,
            event BLOB NOT NULL
        )""",
        "CREATE INDEX events_of_run ON events (run, seq)",
        "CREATE INDEX events_of_attempt ON events (attempt, kind, seq)",
        """CREATE TABLE runs (
            run TEXT PRIMARY KEY,
            label TEXT NOT NULL,
            opened_at_ns INTEGER NOT NULL,
            opened_seq INTEGER NOT NULL,
            closed_at_ns INTEGER,
            why TEXT NOT NULL DEFAULT '',
            stop_seq INTEGER,
            conductor_seq INTEGER
        )""",
        """CREATE TABLE attempts (
            attempt TEXT PRIMARY KEY,
            run TEXT NOT NULL,
            position INTEGER NOT NULL,
            stage TEXT NOT NULL,
            stage_since_ns INTEGER NOT NULL,
            detail TEXT NOT NULL DEFAULT '',
            phase TEXT,
            phase_since_ns INTEGER,
            planned_at_ns INTEGER NOT NULL,
            started_at_ns INTEGER,
            ended_at_ns INTEGER,
            outcome TEXT,
            planned_seq INTEGER NOT NULL,
            preflight_seq INTEGER,
            claimed_seq INTEGER,
            launch_seq INTEGER,
            ended_seq INTEGER,
            stop_seq INTEGER
        )""",
        "CREATE INDEX attempts_of_run ON attempts (run, position, planned_seq)",
        """CREATE TABLE parts (
            attempt TEXT NOT NULL,
            part TEXT NOT NULL,
            host TEXT NOT NULL DEFAULT '',
            container_id TEXT NOT NULL DEFAULT '',
            state TEXT NOT NULL,
            started_at TEXT NOT NULL DEFAULT '',
            secrets_given INTEGER NOT NULL DEFAULT 0,
            exit_code INTEGER,
            out_of_memory INTEGER NOT NULL DEFAULT 0,
            error TEXT NOT NULL DEFAULT '',
            finished_at TEXT NOT NULL DEFAULT '',
            collected INTEGER NOT NULL DEFAULT 0,
            removed INTEGER NOT NULL DEFAULT 0,
            PRIMARY KEY (attempt, part)
        ) WITHOUT ROWID""",
        """CREATE TABLE metrics (
            attempt TEXT NOT NULL,
            metric TEXT NOT NULL,
            stat TEXT NOT NULL,
            iteration INTEGER,
            value REAL NOT NULL,
            origin TEXT NOT NULL
        )""",
        "CREATE INDEX metrics_of_attempt ON metrics (attempt)",
        """CREATE TABLE artifacts (
            attempt TEXT NOT NULL,
            part TEXT NOT NULL,
            name TEXT NOT NULL,
            sha256 TEXT NOT NULL,
            PRIMARY KEY (attempt, part, name)
        ) WITHOUT ROWID""",
        """CREATE TABLE cursors (
            attempt TEXT NOT NULL,
            part TEXT NOT NULL,
            cursor BLOB NOT NULL,
            PRIMARY KEY (attempt, part)
        ) WITHOUT ROWID""",
    ),
    ("ALTER TABLE runs ADD COLUMN pause_seq INTEGER",),
)
"""One entry per version; entry n leads from version n to n + 1. Entries that were released are never edited."""


def current_version() -> int:
    """The schema version that this program writes."""
    return len(MIGRATIONS)


def version_of(connection: sqlite3.Connection, path: Path) -> int:
    """The journal's schema version, 0 for a file without tables. Raises NewerJournal."""
    version = int(connection.execute("PRAGMA user_version").fetchone()[0])
    if version > current_version():
        raise NewerJournal(
            f"{path} was written by a newer version of instinct (schema {version}, known here: {current_version()})",
            remedy="use that version, or another folder with --store DIR",
        )
    return version


def open_writer(folder: StateFolder) -> sqlite3.Connection:
    """A connection that may write, the journal made or migrated first. Raises StoreError."""
    try:
        with _alone(folder.root / "journal.lock"):
            private_file(folder.journal)
            connection = sqlite3.connect(
                folder.journal, timeout=BUSY_S, isolation_level=None, check_same_thread=False, cached_statements=256
            )
            try:
                _prepare(connection, folder.journal)
            except BaseException:
                connection.close()
                raise
    except (OSError, sqlite3.Error) as error:
        raise StoreError(
            f"the journal {folder.journal} cannot be opened for writing: {error}",
            remedy="check owner and free space of the folder, or choose another with --store DIR",
        ) from error
    return connection


def open_reader(path: Path) -> sqlite3.Connection:
    """A connection that only reads. Raises sqlite3.Error."""
    address = f"file:{quote(str(path))}?mode=ro"
    try:
        return _reader(address)
    except sqlite3.OperationalError:
        # On read-only media SQLite cannot make its shared-memory file. A journal that was closed needs none: nobody
        # can change it there, and all of it is in the one file.
        pending = path.with_name(path.name + "-wal")
        if os.access(path.parent, os.W_OK) or (pending.exists() and pending.stat().st_size):
            raise
        return _reader(f"{address}&immutable=1")


def _reader(address: str) -> sqlite3.Connection:
    connection = sqlite3.connect(
        address, uri=True, timeout=BUSY_S, isolation_level=None, check_same_thread=False, cached_statements=64
    )
    try:
        connection.execute("SELECT count(*) FROM sqlite_master").fetchone()
    except sqlite3.Error:
        connection.close()
        raise
    return connection


def _prepare(connection: sqlite3.Connection, path: Path) -> None:
    version_of(connection, path)  # refused before anything is changed
    mode = connection.execute("PRAGMA journal_mode = WAL").fetchone()[0]
    if mode != "wal":
        raise StoreError(f"{path} cannot use a write-ahead log here (mode {mode})", remedy="use a local disk")
    connection.execute("PRAGMA synchronous = FULL")
    connection.execute("PRAGMA journal_size_limit = 67108864")
    for number in range(version_of(connection, path), current_version()):
        connection.execute("BEGIN IMMEDIATE")
        for statement in MIGRATIONS[number]:
            connection.execute(statement)
        connection.execute(f"PRAGMA user_version = {number + 1}")
        connection.execute("COMMIT")


@contextmanager
def _alone(lock: Path) -> Iterator[None]:
    """Hold off other processes: turning the log on and migrating do not wait for each other by themselves."""
    fd = os.open(lock, os.O_RDWR | os.O_CREAT, 0o600)
    try:
        fcntl.flock(fd, fcntl.LOCK_EX)
        yield
    finally:
        os.close(fd)
