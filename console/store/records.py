"""Rows of the journal's small tables, decoded. Times in `_ns` are our clock, texts such as `started_at` the host's."""

from typing import Literal

import msgspec

from console.model.attempt import Failure, Hardware, MetricValue, Outcome, Phase, Reason, Result, Stage
from console.model.cell import Conditions
from console.model.events import PauseAsked, StopAsked
from console.model.finding import Finding
from console.model.launch import Launch, Placement


class RunRow(msgspec.Struct, frozen=True, kw_only=True):
    """A run as it stands. `attempts` is how many it was opened with; `closed_at_ns` None while it goes on."""

    run: str
    label: str
    opened_at_ns: int
    closed_at_ns: int | None
    why: str
    matrices: tuple[str, ...]
    hosts: tuple[str, ...]
    operator: str
    version: str
    simulated: bool
    attempts: int
    plan: msgspec.Raw
    stop_asked: StopAsked | None
    pause_asked: PauseAsked | None
    conductor_pid: int | None
    conductor_machine: str | None


class AttemptRow(msgspec.Struct, frozen=True, kw_only=True):
    """An attempt as it stands. `started_at_ns` is its first `starting`; outcome and what follows it come together."""

    attempt: str
    run: str
    matrix: str
    cell_id: str
    workload: str
    cell: msgspec.Raw
    wish: tuple[str, ...]
    repeat: int
    attempt_try: int
    position: int
    expected_s: float | None
    startup_s: float
    stage: Stage
    stage_since_ns: int
    detail: str
    phase: Phase | None
    phase_since_ns: int | None
    planned_at_ns: int
    started_at_ns: int | None
    ended_at_ns: int | None
    outcome: Outcome | None
    failure: Failure | None
    result: Result | None
    reasons: tuple[Reason, ...]
    conditions: Conditions | None
    hardware: Hardware | None
    findings: tuple[Finding, ...]
    placement: Placement | None
    launch: Launch | None
    stop_asked: StopAsked | None


PartState = Literal["created", "running", "exited", "removed"]


class PartRow(msgspec.Struct, frozen=True, kw_only=True):
    """A container as last journaled; `started_at` and `finished_at` are the daemon's RFC 3339 texts or empty."""

    attempt: str
    part: str
    host: str
    container_id: str
    state: PartState
    started_at: str
    secrets_given: bool
    exit_code: int | None
    out_of_memory: bool
    error: str
    finished_at: str
    collected: bool
    removed: bool


class MetricRow(msgspec.Struct, frozen=True):
    """A measured figure of an attempt."""

    attempt: str
    value: MetricValue


class ArtifactRow(msgspec.Struct, frozen=True):
    """A stored file of an attempt: its name in the attempt's folder and its SHA-256 (hex)."""

    attempt: str
    part: str
    name: str
    sha256: str
