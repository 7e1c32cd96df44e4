"""The reading end of the journal, for any number of threads and processes."""

import sqlite3
import threading
from collections.abc import Mapping, Sequence
from typing import Any, TypeVar

import msgspec

from console.model import events as ev
from console.model.attempt import MetricValue, Outcome, Phase, Stage
from console.store.errors import StoreError, UnknownRun
from console.store.paths import StateFolder
from console.store.records import ArtifactRow, AttemptRow, MetricRow, PartRow, RunRow
from console.store.schema import current_version, open_reader, open_writer, version_of

E = TypeVar("E")

_RUNS = """SELECT r.run, r.opened_at_ns, r.closed_at_ns, r.why, o.event, s.event, p.event, c.event
    FROM runs r
    JOIN events o ON o.seq = r.opened_seq
    LEFT JOIN events s ON s.seq = r.stop_seq
    LEFT JOIN events p ON p.seq = r.pause_seq
    LEFT JOIN events c ON c.seq = r.conductor_seq"""

_ATTEMPTS = """SELECT a.attempt, a.run, a.stage, a.stage_since_ns, a.detail, a.phase, a.phase_since_ns,
    a.planned_at_ns, a.started_at_ns, a.ended_at_ns, a.outcome,
    p.event, f.event, c.event, l.event, e.event, s.event FROM attempts a
    JOIN events p ON p.seq = a.planned_seq
    LEFT JOIN events f ON f.seq = a.preflight_seq
    LEFT JOIN events c ON c.seq = a.claimed_seq
    LEFT JOIN events l ON l.seq = a.launch_seq
    LEFT JOIN events e ON e.seq = a.ended_seq
    LEFT JOIN events s ON s.seq = a.stop_seq"""

_OUTCOMES = """SELECT a.run, a.outcome, count(*) FROM attempts a WHERE a.planned_seq =
    (SELECT max(b.planned_seq) FROM attempts b WHERE b.run = a.run AND b.position = a.position)"""

_PARTS = """SELECT attempt, part, host, container_id, state, started_at, secrets_given, exit_code, out_of_memory,
    error, finished_at, collected, removed FROM parts"""

_CURSOR = msgspec.json.Decoder(ev.Cursor)


class Tail:
    """Reads what is committed. A journal that does not exist yet reads as an empty one."""

    def __init__(self, folder: StateFolder) -> None:
        self._folder = folder
        self._db: sqlite3.Connection | None = None
        self._lock = threading.Lock()

    def since(self, seq: int, run: str | None = None, limit: int = 5000) -> Sequence[ev.Envelope]:
        """At most `limit` events after `seq`, in order; of one run when given. Empty when there are none yet."""
        columns = "SELECT seq, at_ns, run, attempt, part, event FROM events"
        if run is None:
            rows = self._ask(f"{columns} WHERE seq > ? ORDER BY seq LIMIT ?", (seq, limit))
        else:
            rows = self._ask(f"{columns} WHERE run = ? AND seq > ? ORDER BY seq LIMIT ?", (run, seq, limit))
        return _envelopes(rows)

    def of_attempt(self, attempt: str, event: type[Any], seq: int = 0, limit: int = 100_000) -> Sequence[ev.Envelope]:
        """At most `limit` events of one kind (its class) of one attempt after `seq`, in order."""
        kind = event.__struct_config__.tag
        rows = self._ask(
            """SELECT seq, at_ns, run, attempt, part, event FROM events
               WHERE attempt = ? AND kind = ? AND seq > ? ORDER BY seq LIMIT ?""",
            (attempt, kind, seq, limit),
        )
        return _envelopes(rows)

    def of_run(self, run: str, event: type[Any], limit: int = 1000) -> Sequence[ev.Envelope]:
        """At most the first `limit` events of one kind (its class) of a run, in order."""
        rows = self._ask(
            """SELECT seq, at_ns, run, attempt, part, event FROM events
               WHERE run = ? AND kind = ? ORDER BY seq LIMIT ?""",
            (run, event.__struct_config__.tag, limit),
        )
        return _envelopes(rows)

    def last_seq(self) -> int:
        """The seq of the newest event, 0 when there is none."""
        rows = self._ask("SELECT max(seq) FROM events")
        return (rows[0][0] or 0) if rows else 0

    def runs(self) -> Sequence[RunRow]:
        """All runs, oldest first."""
        return [_run_row(row) for row in self._ask(f"{_RUNS} ORDER BY r.opened_seq")]

    def run(self, run_id: str) -> RunRow | None:
        """One run by its exact id."""
        rows = self._ask(f"{_RUNS} WHERE r.run = ?", (run_id,))
        return _run_row(rows[0]) if rows else None

    def find_run(self, text: str) -> RunRow:
        """The run meant by `last`, an id, a label that only one run has, or the beginning of one id only.

        Raises UnknownRun, which names the candidates.
        """
        names = [(str(run), str(label)) for run, label in self._ask("SELECT run, label FROM runs ORDER BY opened_seq")]
        if not names:
            raise UnknownRun(f"no run {text!r}: there are no runs in {self._folder.root}", (), remedy="see --store DIR")
        if text == "last":
            found = [names[-1][0]]
        else:
            found = (
                [run for run, _ in names if run == text]
                or [run for run, label in names if text and label == text]
                or [run for run, _ in names if text and run.startswith(text)]
            )
        if len(found) == 1 and (row := self.run(found[0])) is not None:
            return row
        shown = tuple(
            f"{run} ({label})" if label else run for run, label in reversed(names) if run in found or not found
        )
        problem = "matches more than one run" if found else "matches no run"
        more = ", …" if len(shown) > 5 else ""
        raise UnknownRun(f"{text!r} {problem}; candidates: {', '.join(shown[:5])}{more}", shown, remedy="give the id")

    def attempts(self, run: str) -> Sequence[AttemptRow]:
        """Attempts of a run, by position, then in the order they were planned."""
        rows = self._ask(f"{_ATTEMPTS} WHERE a.run = ? ORDER BY a.position, a.planned_seq", (run,))
        return [_attempt_row(row) for row in rows]

    def outcomes(self, run: str | None = None) -> Mapping[str, Mapping[Outcome | None, int]]:
        """How the last tries of each run's attempts stand, counted, of every run or of one; None for open ones.

        A further try has the position of the one before it.
        """
        if run is None:
            rows = self._ask(f"{_OUTCOMES} GROUP BY a.run, a.outcome")
        else:
            rows = self._ask(f"{_OUTCOMES} AND a.run = ? GROUP BY a.run, a.outcome", (run,))
        found: dict[str, dict[Outcome | None, int]] = {}
        for name, outcome, count in rows:
            found.setdefault(name, {})[Outcome(outcome) if outcome else None] = count
        return found

    def unfinished(self, run: str) -> Mapping[str, bool]:
        """Attempts of a run that are not done, in the order of `attempts`, and whether each is asked to stop."""
        rows = self._ask(
            """SELECT attempt, stop_seq IS NOT NULL FROM attempts
               WHERE run = ? AND stage != ? ORDER BY position, planned_seq""",
            (run, Stage.DONE),
        )
        return {attempt: bool(asked) for attempt, asked in rows}

    def attempt(self, attempt: str) -> AttemptRow | None:
        """One attempt by its id."""
        rows = self._ask(f"{_ATTEMPTS} WHERE a.attempt = ?", (attempt,))
        return _attempt_row(rows[0]) if rows else None

    def parts(self, attempt: str) -> Sequence[PartRow]:
        """Containers of an attempt, by name."""
        fields = PartRow.__struct_fields__
        rows = self._ask(f"{_PARTS} WHERE attempt = ? ORDER BY part", (attempt,))
        return [msgspec.convert(dict(zip(fields, row, strict=True)), PartRow, strict=False) for row in rows]

    def metrics(self, attempt: str) -> Sequence[MetricRow]:
        """Measured figures of an attempt, in the order its program gave them."""
        rows = self._ask(
            "SELECT metric, value, stat, iteration, origin FROM metrics WHERE attempt = ? ORDER BY rowid", (attempt,)
        )
        return [
            MetricRow(attempt, MetricValue(metric=metric, value=value, stat=stat, iteration=iteration, origin=origin))
            for metric, value, stat, iteration, origin in rows
        ]

    def artifacts(self, attempt: str) -> Sequence[ArtifactRow]:
        """Stored files of an attempt, by part and name."""
        rows = self._ask(
            "SELECT attempt, part, name, sha256 FROM artifacts WHERE attempt = ? ORDER BY part, name", (attempt,)
        )
        return [ArtifactRow(*row) for row in rows]

    def cursor(self, attempt: str, part: str) -> ev.Cursor | None:
        """How far the log of a part is committed; None when nothing of it is."""
        rows = self._ask("SELECT cursor FROM cursors WHERE attempt = ? AND part = ?", (attempt, part))
        return _CURSOR.decode(rows[0][0]) if rows else None

    def close(self) -> None:
        """Close the connection; the next question opens it again."""
        with self._lock:
            if self._db is not None:
                self._db.close()
                self._db = None

    def __enter__(self) -> "Tail":
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def _ask(self, sql: str, values: tuple[object, ...] = ()) -> list[tuple[Any, ...]]:
        with self._lock:
            try:
                if self._db is None:
                    self._db = self._open()
                return self._db.execute(sql, values).fetchall() if self._db is not None else []
            except sqlite3.Error as error:
                raise StoreError(
                    f"the journal {self._folder.journal} cannot be read: {error}",
                    remedy="see that it is yours and whole; copy the folder elsewhere when it lies on read-only media",
                ) from error

    def _open(self) -> sqlite3.Connection | None:
        """A connection to a journal with today's tables; None while there is no journal yet."""
        path = self._folder.journal
        try:
            if path.stat().st_size == 0:
                return None
        except FileNotFoundError:
            return None
        db = open_reader(path)
        try:
            version = version_of(db, path)
        except BaseException:
            db.close()
            raise
        if version == current_version():
            return db
        db.close()
        if version == 0:
            return None  # its writer has just made the file; the tables come with its first commit
        open_writer(self._folder).close()
        return open_reader(path)


def _envelopes(rows: Sequence[tuple[Any, ...]]) -> Sequence[ev.Envelope]:
    return [
        ev.Envelope(seq=seq, at_ns=at_ns, run=run, attempt=attempt, part=part, event=_decode(event))
        for seq, at_ns, run, attempt, part, event in rows
    ]


def _decode(event: bytes) -> ev.Event:
    try:
        decoded: ev.Event = ev.EVENT_DECODER.decode(event)
    except msgspec.DecodeError as error:
        raise StoreError(f"an event of the journal cannot be read ({error}): {event[:200]!r}") from error
    return decoded


def _as(kind: type[E], event: bytes | None) -> E | None:
    decoded = None if event is None else _decode(event)
    return decoded if isinstance(decoded, kind) else None


def _must(kind: type[E], event: bytes) -> E:
    decoded = _as(kind, event)
    if decoded is None:
        raise StoreError(f"the journal's tables point at a wrong event: {event[:200]!r}")
    return decoded


def _run_row(row: tuple[Any, ...]) -> RunRow:
    run, opened_at_ns, closed_at_ns, why, opened_event, stop, pause, conductor_event = row
    opened = _must(ev.RunOpened, opened_event)
    conductor = _as(ev.ConductorStarted, conductor_event)
    return RunRow(
        run=run,
        label=opened.label,
        opened_at_ns=opened_at_ns,
        closed_at_ns=closed_at_ns,
        why=why,
        matrices=opened.matrices,
        hosts=opened.hosts,
        operator=opened.operator,
        version=opened.version,
        simulated=opened.simulated,
        attempts=opened.attempts,
        plan=opened.plan,
        stop_asked=_as(ev.StopAsked, stop),
        pause_asked=_as(ev.PauseAsked, pause),
        conductor_pid=conductor.pid if conductor else None,
        conductor_machine=conductor.machine if conductor else None,
    )


def _attempt_row(row: tuple[Any, ...]) -> AttemptRow:
    planned = _must(ev.AttemptPlanned, row[11])
    preflight = _as(ev.PreflightDone, row[12])
    claimed = _as(ev.Claimed, row[13])
    launched = _as(ev.LaunchResolved, row[14])
    ended = _as(ev.AttemptEnded, row[15])
    return AttemptRow(
        attempt=row[0],
        run=row[1],
        matrix=planned.matrix,
        cell_id=planned.cell_id,
        workload=planned.workload,
        cell=planned.cell,
        wish=planned.wish,
        repeat=planned.repeat,
        attempt_try=planned.attempt_try,
        position=planned.position,
        expected_s=planned.expected_s,
        startup_s=planned.startup_s,
        stage=Stage(row[2]),
        stage_since_ns=row[3],
        detail=row[4],
        phase=Phase(row[5]) if row[5] else None,
        phase_since_ns=row[6],
        planned_at_ns=row[7],
        started_at_ns=row[8],
        ended_at_ns=row[9],
        outcome=Outcome(row[10]) if row[10] else None,
        failure=ended.failure if ended else None,
        result=ended.result if ended else None,
        reasons=ended.reasons if ended else (),
        conditions=ended.conditions if ended else None,
        hardware=ended.hardware if ended else None,
        findings=preflight.findings if preflight else (),
        placement=claimed.placement if claimed else None,
        launch=launched.launch if launched else None,
        stop_asked=_as(ev.StopAsked, row[16]),
    )
