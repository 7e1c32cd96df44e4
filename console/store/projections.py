"""How each event changes the small tables; runs inside the transaction that stores the event."""

import sqlite3
from collections.abc import Callable, Mapping

from console.model import events as ev
from console.model.attempt import PhaseSeen, Stage

Connection = sqlite3.Connection


def project(db: Connection, seq: int, envelope: ev.Envelope) -> None:
    """Apply one stored event. Raises sqlite3.IntegrityError when it opens a run or plans an attempt that exists."""
    change = _CHANGES.get(type(envelope.event))
    if change is not None:
        change(db, seq, envelope, envelope.event)


def _run_opened(db: Connection, seq: int, at: ev.Envelope, event: ev.RunOpened) -> None:
    db.execute(
        "INSERT INTO runs (run, label, opened_at_ns, opened_seq) VALUES (?, ?, ?, ?)",
        (at.run, event.label, at.at_ns, seq),
    )


def _run_closed(db: Connection, seq: int, at: ev.Envelope, event: ev.RunClosed) -> None:
    db.execute("UPDATE runs SET closed_at_ns = ?, why = ? WHERE run = ?", (at.at_ns, event.why, at.run))


def _conductor_started(db: Connection, seq: int, at: ev.Envelope, event: ev.ConductorStarted) -> None:
    # A conductor on a closed run opens it again: what closed it, old wishes to stop or pause included, is settled.
    db.execute(
        """UPDATE runs SET conductor_seq = ?, why = '', closed_at_ns = NULL,
           stop_seq = CASE WHEN closed_at_ns IS NULL THEN stop_seq END,
           pause_seq = CASE WHEN closed_at_ns IS NULL THEN pause_seq END WHERE run = ?""",
        (seq, at.run),
    )


def _attempt_planned(db: Connection, seq: int, at: ev.Envelope, event: ev.AttemptPlanned) -> None:
    db.execute(
        """INSERT INTO attempts (attempt, run, position, stage, stage_since_ns, planned_at_ns, planned_seq)
           VALUES (?, ?, ?, ?, ?, ?, ?)""",
        (at.attempt, at.run, event.position, Stage.PLANNED, at.at_ns, at.at_ns, seq),
    )


def _stage(db: Connection, seq: int, at: ev.Envelope, event: ev.StageEntered) -> None:
    started = at.at_ns if event.stage is Stage.STARTING else None
    db.execute(
        """UPDATE attempts SET stage = ?, stage_since_ns = ?, detail = ?, started_at_ns = coalesce(started_at_ns, ?)
           WHERE attempt = ?""",
        (event.stage, at.at_ns, event.detail, started, at.attempt),
    )


def _phase(db: Connection, seq: int, at: ev.Envelope, event: PhaseSeen) -> None:
    db.execute(
        "UPDATE attempts SET phase = ?, phase_since_ns = ? WHERE attempt = ?", (event.phase, at.at_ns, at.attempt)
    )


def _preflight(db: Connection, seq: int, at: ev.Envelope, event: ev.PreflightDone) -> None:
    db.execute("UPDATE attempts SET preflight_seq = ? WHERE attempt = ?", (seq, at.attempt))


def _claimed(db: Connection, seq: int, at: ev.Envelope, event: ev.Claimed) -> None:
    db.execute("UPDATE attempts SET claimed_seq = ? WHERE attempt = ?", (seq, at.attempt))


def _launch(db: Connection, seq: int, at: ev.Envelope, event: ev.LaunchResolved) -> None:
    db.execute("UPDATE attempts SET launch_seq = ? WHERE attempt = ?", (seq, at.attempt))


def _stop_asked(db: Connection, seq: int, at: ev.Envelope, event: ev.StopAsked) -> None:
    if at.attempt is None:
        db.execute("UPDATE runs SET stop_seq = ? WHERE run = ?", (seq, at.run))
    else:
        db.execute("UPDATE attempts SET stop_seq = ? WHERE attempt = ?", (seq, at.attempt))


def _pause_asked(db: Connection, seq: int, at: ev.Envelope, event: ev.PauseAsked) -> None:
    db.execute("UPDATE runs SET pause_seq = ? WHERE run = ?", (seq, at.run))


def _pause_lifted(db: Connection, seq: int, at: ev.Envelope, event: ev.PauseLifted) -> None:
    db.execute("UPDATE runs SET pause_seq = NULL WHERE run = ?", (at.run,))


def _attempt_ended(db: Connection, seq: int, at: ev.Envelope, event: ev.AttemptEnded) -> None:
    db.execute(
        "UPDATE attempts SET outcome = ?, ended_at_ns = ?, ended_seq = ? WHERE attempt = ?",
        (event.outcome, at.at_ns, seq, at.attempt),
    )
    db.execute("DELETE FROM metrics WHERE attempt = ?", (at.attempt,))
    db.executemany(
        "INSERT INTO metrics (attempt, metric, stat, iteration, value, origin) VALUES (?, ?, ?, ?, ?, ?)",
        [
            (at.attempt, value.metric, value.stat, value.iteration, value.value, value.origin)
            for value in (event.result.values if event.result else ())
        ],
    )


def _part_created(db: Connection, seq: int, at: ev.Envelope, event: ev.PartCreated) -> None:
    # A new container under the name of an old one starts from nothing.
    db.execute(
        "REPLACE INTO parts (attempt, part, host, container_id, state) VALUES (?, ?, ?, ?, 'created')",
        (at.attempt, at.part, event.host, event.container_id),
    )


def _part_started(db: Connection, seq: int, at: ev.Envelope, event: ev.PartStarted) -> None:
    db.execute(
        """INSERT INTO parts (attempt, part, host, state, started_at) VALUES (?, ?, ?, 'running', ?)
           ON CONFLICT DO UPDATE SET host = excluded.host, state = 'running', started_at = excluded.started_at""",
        (at.attempt, at.part, event.host, event.started_at),
    )


def _secret_given(db: Connection, seq: int, at: ev.Envelope, event: ev.SecretGiven) -> None:
    db.execute("UPDATE parts SET secrets_given = 1 WHERE attempt = ? AND part = ?", (at.attempt, at.part))


def _part_exited(db: Connection, seq: int, at: ev.Envelope, event: ev.PartExited) -> None:
    db.execute(
        """INSERT INTO parts (attempt, part, host, state, exit_code, out_of_memory, error, finished_at)
           VALUES (?, ?, ?, 'exited', ?, ?, ?, ?)
           ON CONFLICT DO UPDATE SET host = excluded.host, state = 'exited', exit_code = excluded.exit_code,
           out_of_memory = excluded.out_of_memory, error = excluded.error, finished_at = excluded.finished_at""",
        (at.attempt, at.part, event.host, event.exit_code, event.out_of_memory, event.error, event.finished_at),
    )


def _part_collected(db: Connection, seq: int, at: ev.Envelope, event: ev.PartCollected) -> None:
    db.execute("UPDATE parts SET collected = 1 WHERE attempt = ? AND part = ?", (at.attempt, at.part))
    db.executemany(
        "REPLACE INTO artifacts (attempt, part, name, sha256) VALUES (?, ?, ?, ?)",
        [(at.attempt, at.part, name, sha256) for name, sha256 in event.artifacts.items()],
    )


def _part_removed(db: Connection, seq: int, at: ev.Envelope, event: ev.PartRemoved) -> None:
    db.execute("UPDATE parts SET state = 'removed', removed = 1 WHERE attempt = ? AND part = ?", (at.attempt, at.part))


_CHANGES: Mapping[type, Callable[..., None]] = {
    ev.RunOpened: _run_opened,
    ev.RunClosed: _run_closed,
    ev.ConductorStarted: _conductor_started,
    ev.AttemptPlanned: _attempt_planned,
    ev.StageEntered: _stage,
    PhaseSeen: _phase,
    ev.PreflightDone: _preflight,
    ev.Claimed: _claimed,
    ev.LaunchResolved: _launch,
    ev.StopAsked: _stop_asked,
    ev.PauseAsked: _pause_asked,
    ev.PauseLifted: _pause_lifted,
    ev.AttemptEnded: _attempt_ended,
    ev.PartCreated: _part_created,
    ev.PartStarted: _part_started,
    ev.SecretGiven: _secret_given,
    ev.PartExited: _part_exited,
    ev.PartCollected: _part_collected,
    ev.PartRemoved: _part_removed,
}
"""Events not named here change no table; samples, notices and the like are read from the events themselves."""


def put_cursor(db: Connection, cursor: ev.Cursor) -> None:
    """Store how far a part's log is committed."""
    db.execute(
        "REPLACE INTO cursors (attempt, part, cursor) VALUES (?, ?, ?)",
        (cursor.attempt, cursor.part, ev.ENCODER.encode(cursor)),
    )
