"""Everything that happens, as one tagged union, and the envelope it travels in.

The journal stores these; every front folds them. Bytes of logs are not events.
"""

from collections.abc import Mapping
from typing import Literal

import msgspec

from console.model.attempt import Failure, Hardware, Outcome, PhaseSeen, Reason, Result, Sample, Stage, Symptom
from console.model.cell import Conditions
from console.model.fabric import FabricProof
from console.model.finding import Finding
from console.model.launch import Launch, Placement


class RunOpened(msgspec.Struct, frozen=True, kw_only=True, tag="run_opened"):
    """A run was launched. `plan` is the request that made it (JSON of runs.plan.Request), for resume and display."""

    label: str
    matrices: tuple[str, ...]
    hosts: tuple[str, ...]
    operator: str
    version: str
    attempts: int
    simulated: bool
    plan: msgspec.Raw = msgspec.Raw(b"{}")


class RunClosed(msgspec.Struct, frozen=True, tag="run_closed"):
    """Every attempt of the run is done. `why` is `finished`, `stopped` or what broke it."""

    why: str


class ConductorStarted(msgspec.Struct, frozen=True, tag="conductor_started"):
    """A process took the run lock; the latest one speaks for the run."""

    pid: int
    machine: str


class AttemptPlanned(msgspec.Struct, frozen=True, kw_only=True, tag="attempt_planned"):
    """A cell will be executed. `cell` is raw JSON that the workload's registry decodes."""

    matrix: str
    cell_id: str
    workload: str
    cell: msgspec.Raw
    wish: tuple[str, ...]
    repeat: int
    attempt_try: int
    expected_s: float | None
    startup_s: float
    position: int


class StageEntered(msgspec.Struct, frozen=True, tag="stage"):
    """The attempt went on to a stage; `detail` is for people."""

    stage: Stage
    detail: str = ""


class PreflightDone(msgspec.Struct, frozen=True, tag="preflight"):
    """Findings of the hosts of this attempt and the conditions it will run under, host by host."""

    findings: tuple[Finding, ...]
    conditions: Mapping[str, Conditions]


class Claimed(msgspec.Struct, frozen=True, tag="claimed"):
    """The hosts are ours."""

    placement: Placement


class ClaimRefused(msgspec.Struct, frozen=True, tag="claim_refused"):
    """Somebody else holds a host."""

    host: str
    holder: str
    since: str


class FabricChecked(msgspec.Struct, frozen=True, tag="fabric_checked"):
    """Bytes were moved between the hosts of this attempt before its parts were made."""

    proof: FabricProof


class LaunchResolved(msgspec.Struct, frozen=True, tag="launch"):
    """What exactly will run, image digest included."""

    launch: Launch


class FetchProgress(msgspec.Struct, frozen=True, kw_only=True, tag="fetch"):
    """Image layers or model files arriving on a host; bytes, totals None while unknown."""

    host: str
    what: Literal["image", "model"]
    name: str
    done_bytes: int
    total_bytes: int | None
    status: str = ""


class PartCreated(msgspec.Struct, frozen=True, tag="part_created"):
    """A container exists; not started."""

    host: str
    container_id: str


class PartStarted(msgspec.Struct, frozen=True, tag="part_started"):
    """A container runs; `started_at` is the daemon's RFC 3339 time."""

    host: str
    started_at: str


class SecretGiven(msgspec.Struct, frozen=True, tag="secret_given"):
    """The named secrets went over stdin."""

    names: tuple[str, ...]


class PartExited(msgspec.Struct, frozen=True, kw_only=True, tag="part_exited"):
    """`inspect` says the container ended."""

    host: str
    exit_code: int
    out_of_memory: bool
    error: str
    finished_at: str


class PartCollected(msgspec.Struct, frozen=True, kw_only=True, tag="part_collected"):
    """Log, result files and inspect of the part are stored. `artifacts` maps relative path to SHA-256."""

    log_bytes: int
    log_complete: bool
    artifacts: Mapping[str, str]


class PartRemoved(msgspec.Struct, frozen=True, tag="part_removed"):
    """The container is gone from the host."""

    host: str


class StopAsked(msgspec.Struct, frozen=True, tag="stop_asked"):
    """Intent to stop a run (attempt None in the envelope) or an attempt; journaled before any act."""

    by: str
    why: str


class PauseAsked(msgspec.Struct, frozen=True, tag="pause_asked"):
    """Start nothing new of a run; what has begun goes on. Holds until it is lifted or the run is closed."""

    by: str


class PauseLifted(msgspec.Struct, frozen=True, tag="pause_lifted"):
    """Go on with a paused run."""

    by: str


class AttemptEnded(msgspec.Struct, frozen=True, kw_only=True, tag="attempt_ended"):
    """The end of an attempt: decided once, at collection, and stored."""

    outcome: Outcome
    result: Result | None = None
    failure: Failure | None = None
    reasons: tuple[Reason, ...] = ()
    conditions: Conditions = Conditions()
    hardware: Hardware | None = None


class LinkChanged(msgspec.Struct, frozen=True, tag="link"):
    """A host was lost or is back. Losing a host never ends an attempt."""

    host: str
    state: Literal["up", "lost", "retrying"]
    detail: str = ""


class Noticed(msgspec.Struct, frozen=True, tag="noticed"):
    """Something a person should read; no state depends on it."""

    text: str
    level: Literal["info", "warning", "error"] = "info"


Event = (
    RunOpened
    | RunClosed
    | ConductorStarted
    | AttemptPlanned
    | StageEntered
    | PreflightDone
    | Claimed
    | ClaimRefused
    | FabricChecked
    | LaunchResolved
    | FetchProgress
    | PartCreated
    | PartStarted
    | SecretGiven
    | PartExited
    | PartCollected
    | PartRemoved
    | StopAsked
    | PauseAsked
    | PauseLifted
    | AttemptEnded
    | LinkChanged
    | Noticed
    | PhaseSeen
    | Sample
    | Symptom
)


class Envelope(msgspec.Struct, frozen=True, kw_only=True):
    """An event with its place. `seq` is the journal's order, None before it is journaled; `at_ns` is our clock."""

    at_ns: int
    event: Event
    run: str | None = None
    attempt: str | None = None
    part: str | None = None
    seq: int | None = None


class Cursor(msgspec.Struct, frozen=True, kw_only=True):
    """How far the log of one part is stored.

    `last_at_ns` is the daemon's time from which the log is asked for again and `seen_at_last` marks the last stored
    frame of each stream, so that an inclusive `since` neither loses nor repeats one: model.resume makes and reads both.
    Lengths are committed bytes of the log file and of its frame index.
    """

    attempt: str
    part: str
    container_id: str
    last_at_ns: int
    seen_at_last: tuple[str, ...]
    log_bytes: int
    index_bytes: int


ENCODER = msgspec.json.Encoder()
EVENT_DECODER = msgspec.json.Decoder(Event)
