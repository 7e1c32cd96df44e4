"""The small tables are what a fold of all events gives, for any order of events in any batches."""

import tempfile
from pathlib import Path
from typing import Any

import msgspec
from hypothesis import given, settings
from hypothesis import strategies as st

from console.model import events as ev
from console.model.attempt import (
    Failure,
    FailureClass,
    MetricValue,
    Outcome,
    Phase,
    PhaseSeen,
    Reason,
    Result,
    Sample,
    Stage,
    Validity,
)
from console.model.cell import Conditions
from console.model.finding import Finding, State
from console.model.launch import Launch, Placement, Seat
from console.store.journal import Journal
from console.store.paths import StateFolder
from console.store.records import AttemptRow, PartRow, RunRow
from console.store.tail import Tail

TEXT = st.text(st.characters(exclude_categories=["Cs"]), max_size=8)
HOST = st.sampled_from(("n1", "n2"))
NUMBER = st.floats(-1e9, 1e9)

RUN_EVENTS = st.one_of(
    st.builds(
        ev.RunOpened,
        label=TEXT,
        matrices=st.tuples(TEXT),
        hosts=st.tuples(HOST),
        operator=TEXT,
        version=TEXT,
        attempts=st.integers(0, 9),
        simulated=st.booleans(),
        plan=st.just(msgspec.Raw(b'{"place":"each"}')),
    ),
    st.builds(ev.RunClosed, st.sampled_from(("finished", "stopped"))),
    st.builds(ev.ConductorStarted, st.integers(1, 9), TEXT),
    st.builds(ev.StopAsked, TEXT, TEXT),
    st.builds(ev.PauseAsked, TEXT),
    st.builds(ev.PauseLifted, TEXT),
)
ATTEMPT_EVENTS = st.one_of(
    st.builds(
        ev.AttemptPlanned,
        matrix=TEXT,
        cell_id=TEXT,
        workload=TEXT,
        cell=st.just(msgspec.Raw(b'{"id":"c"}')),
        wish=st.tuples(HOST),
        repeat=st.integers(1, 3),
        attempt_try=st.integers(1, 3),
        expected_s=st.none() | NUMBER,
        startup_s=NUMBER,
        position=st.integers(0, 3),
    ),
    st.builds(ev.StageEntered, st.sampled_from(Stage), TEXT),
    st.builds(PhaseSeen, st.integers(0, 99), st.sampled_from(Phase), TEXT),
    st.builds(
        ev.PreflightDone,
        st.tuples(st.builds(Finding, check=TEXT, host=HOST, state=st.sampled_from(State), seen=TEXT)),
        st.just({}),
    ),
    st.builds(ev.Claimed, st.builds(Placement, st.tuples(st.builds(Seat, rank=st.integers(0, 3), host=HOST)))),
    st.builds(
        ev.LaunchResolved,
        st.builds(Launch, attempt=TEXT, cell=TEXT, image=TEXT, image_digest=TEXT, parts=st.just(()), hash=TEXT),
    ),
    st.builds(ev.StopAsked, TEXT, TEXT),
    st.builds(
        ev.AttemptEnded,
        outcome=st.sampled_from(Outcome),
        result=st.none()
        | st.builds(
            Result,
            headline=TEXT,
            values=st.lists(
                st.builds(MetricValue, metric=TEXT, value=NUMBER, iteration=st.none() | st.integers(0, 3)), max_size=3
            ).map(tuple),
        ),
        failure=st.none() | st.builds(Failure, failure=st.sampled_from(FailureClass), line=TEXT),
        reasons=st.lists(st.builds(Reason, st.sampled_from(Validity), TEXT), max_size=2).map(tuple),
        conditions=st.builds(Conditions, gpu=st.none() | TEXT),
    ),
    st.builds(Sample, at_ns=st.integers(0, 99), source=st.just("stat line"), rate=NUMBER),
    st.builds(ev.Noticed, TEXT),
)
PART_EVENTS = st.one_of(
    st.builds(ev.PartCreated, HOST, TEXT),
    st.builds(ev.PartStarted, HOST, TEXT),
    st.builds(ev.SecretGiven, st.tuples(TEXT)),
    st.builds(
        ev.PartExited,
        host=HOST,
        exit_code=st.integers(0, 255),
        out_of_memory=st.booleans(),
        error=TEXT,
        finished_at=TEXT,
    ),
    st.builds(
        ev.PartCollected,
        log_bytes=st.integers(0, 9),
        log_complete=st.booleans(),
        artifacts=st.dictionaries(st.sampled_from(("r.json", "i.json")), TEXT, max_size=2),
    ),
    st.builds(ev.PartRemoved, HOST),
)

AT = st.integers(0, 10**6)
RUN_OF = {"a1": "r1", "a2": "r1", "a3": "r2"}


def _of_attempt(at_ns: int, attempt: str, part: str | None, event: ev.Event) -> ev.Envelope:
    return ev.Envelope(at_ns=at_ns, run=RUN_OF[attempt], attempt=attempt, part=part, event=event)


ENVELOPES = st.one_of(
    st.builds(ev.Envelope, at_ns=AT, run=st.sampled_from(("r1", "r2")), event=RUN_EVENTS),
    st.builds(_of_attempt, AT, st.sampled_from(("a1", "a2", "a3")), st.none(), ATTEMPT_EVENTS),
    st.builds(_of_attempt, AT, st.sampled_from(("a1", "a2", "a3")), st.sampled_from(("p", "q")), PART_EVENTS),
)


class Fold:
    """The meaning of the events, written without tables."""

    def __init__(self) -> None:
        self.runs: dict[str, dict[str, Any]] = {}
        self.attempts: dict[str, dict[str, Any]] = {}
        self.parts: dict[tuple[str, str], dict[str, Any]] = {}
        self.artifacts: dict[tuple[str, str, str], str] = {}

    def apply(self, envelope: ev.Envelope) -> bool:
        """False for an event that the journal must refuse."""
        match envelope:
            case ev.Envelope(run=str(run), attempt=None, event=event):
                return self._run(run, envelope.at_ns, event)
            case ev.Envelope(run=str(run), attempt=str(attempt), part=None, event=event):
                return self._attempt(run, attempt, envelope.at_ns, event)
            case ev.Envelope(attempt=str(attempt), part=str(part), event=event):
                self._part(attempt, part, event)
        return True

    def _run(self, name: str, at_ns: int, event: ev.Event) -> bool:
        row = self.runs.get(name, {})
        match event:
            case ev.RunOpened():
                if row:
                    return False
                self.runs[name] = msgspec.structs.asdict(event) | {
                    "run": name,
                    "opened_at_ns": at_ns,
                    "closed_at_ns": None,
                    "why": "",
                    "stop_asked": None,
                    "pause_asked": None,
                    "conductor_pid": None,
                    "conductor_machine": None,
                }
            case ev.RunClosed(why):
                row.update(closed_at_ns=at_ns, why=why)
            case ev.ConductorStarted(pid, machine):
                if row.get("closed_at_ns") is not None:
                    row["stop_asked"] = row["pause_asked"] = None
                row.update(conductor_pid=pid, conductor_machine=machine, closed_at_ns=None, why="")
            case ev.StopAsked():
                row["stop_asked"] = event
            case ev.PauseAsked():
                row["pause_asked"] = event
            case ev.PauseLifted():
                row["pause_asked"] = None
        return True

    def _attempt(self, run: str, name: str, at_ns: int, event: ev.Event) -> bool:
        row = self.attempts.get(name, {})
        match event:
            case ev.AttemptPlanned():
                if row:
                    return False
                self.attempts[name] = dict.fromkeys(AttemptRow.__struct_fields__) | {
                    **msgspec.structs.asdict(event),
                    "attempt": name,
                    "run": run,
                    "stage": Stage.PLANNED,
                    "stage_since_ns": at_ns,
                    "planned_at_ns": at_ns,
                    "detail": "",
                    "findings": (),
                    "reasons": (),
                }
            case ev.StageEntered(stage, detail):
                row.update(stage=stage, stage_since_ns=at_ns, detail=detail)
                if stage is Stage.STARTING and row.get("started_at_ns") is None:
                    row["started_at_ns"] = at_ns
            case PhaseSeen(phase=phase):
                row.update(phase=phase, phase_since_ns=at_ns)
            case ev.PreflightDone(findings):
                row["findings"] = findings
            case ev.Claimed(placement):
                row["placement"] = placement
            case ev.LaunchResolved(launch):
                row["launch"] = launch
            case ev.StopAsked():
                row["stop_asked"] = event
            case ev.AttemptEnded():
                row.update(msgspec.structs.asdict(event), ended_at_ns=at_ns)
        return True

    def _part(self, attempt: str, part: str, event: ev.Event) -> None:
        fresh: dict[str, Any] = {
            "attempt": attempt,
            "part": part,
            "container_id": "",
            "started_at": "",
            "secrets_given": False,
            "exit_code": None,
            "out_of_memory": False,
            "error": "",
            "finished_at": "",
            "collected": False,
            "removed": False,
        }
        key = (attempt, part)
        match event:
            case ev.PartCreated(host, container_id):
                self.parts[key] = fresh | {"host": host, "container_id": container_id, "state": "created"}
            case ev.PartStarted(host, started_at):
                self.parts.setdefault(key, fresh).update(host=host, state="running", started_at=started_at)
            case ev.PartExited():
                self.parts.setdefault(key, fresh).update(msgspec.structs.asdict(event), state="exited")
            case ev.SecretGiven() if key in self.parts:
                self.parts[key]["secrets_given"] = True
            case ev.PartRemoved() if key in self.parts:
                self.parts[key].update(removed=True, state="removed")
            case ev.PartCollected():
                if key in self.parts:
                    self.parts[key]["collected"] = True
                self.artifacts.update({(attempt, part, name): sha256 for name, sha256 in event.artifacts.items()})


@settings(max_examples=120, deadline=None)
@given(envelopes=st.lists(ENVELOPES, max_size=60), batch=st.integers(1, 20))
def test_the_tables_are_the_fold_of_the_events(envelopes: list[ev.Envelope], batch: int) -> None:
    fold = Fold()
    accepted = [envelope for envelope in envelopes if fold.apply(envelope)]
    with tempfile.TemporaryDirectory() as place:
        folder = StateFolder.open(Path(place))
        with Journal(folder) as journal, Tail(folder) as tail:
            for start in range(0, len(accepted), batch):
                journal.append_now(accepted[start : start + batch])
            assert [msgspec.structs.replace(item, seq=None) for item in tail.since(0)] == accepted
            assert sorted(tail.runs(), key=lambda row: row.run) == [
                RunRow(**row) for _, row in sorted(fold.runs.items())
            ]
            for run in ("r1", "r2"):
                assert tail.unfinished(run) == {
                    name: row["stop_asked"] is not None
                    for name, row in fold.attempts.items()
                    if row["run"] == run and row["stage"] is not Stage.DONE
                }
            attempts = {row.attempt: row for run in ("r1", "r2") for row in tail.attempts(run)}
            assert attempts == {name: AttemptRow(**row) for name, row in fold.attempts.items()}
            for attempt in RUN_OF:
                assert tail.attempt(attempt) == attempts.get(attempt)
                assert list(tail.parts(attempt)) == [
                    PartRow(**row) for key, row in sorted(fold.parts.items()) if key[0] == attempt
                ]
                assert [(item.attempt, item.part, item.name, item.sha256) for item in tail.artifacts(attempt)] == [
                    (*key, sha256) for key, sha256 in sorted(fold.artifacts.items()) if key[0] == attempt
                ]
                ended = [e.event for e in accepted if e.attempt == attempt and isinstance(e.event, ev.AttemptEnded)]
                measured = ended[-1].result.values if ended and ended[-1].result else ()
                assert tuple(row.value for row in tail.metrics(attempt)) == measured
