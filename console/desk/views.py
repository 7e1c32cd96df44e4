"""What a screen shows of a run and of an attempt: frozen, without a clock of their own."""

from collections.abc import Iterable
from typing import Literal

import msgspec

from console.desk.figures import Figure
from console.desk.rates import Rate
from console.model.attempt import FailureClass, Outcome, Phase, Reason, Stage
from console.model.text import Clean
from console.model.units import METRICS

_SURE = 0.02
"""Below this share of the work done, its speed says less than the expectation."""


class Progress(msgspec.Struct, frozen=True):
    """`done` of `total` in `counts` (prompts, iterations, steps); `total` None when unknown. Heard at `at_ns`."""

    done: float
    total: float | None
    counts: str
    at_ns: int

    @property
    def fraction(self) -> float | None:
        """Between 0 and 1, None without a total."""
        return min(1.0, max(0.0, self.done / self.total)) if self.total else None


class Fetch(msgspec.Struct, frozen=True, kw_only=True):
    """What arrives on a host: bytes; the total is None while unknown."""

    host: str
    what: Literal["image", "model"]
    name: Clean
    done_bytes: int
    total_bytes: int | None
    status: Clean
    at_ns: int


class Notice(msgspec.Struct, frozen=True):
    """The latest thing a person should read."""

    text: Clean
    level: Literal["info", "warning", "error"]
    at_ns: int


class LinkState(msgspec.Struct, frozen=True):
    """How the connection to a host is, and since when."""

    host: str
    state: Literal["up", "lost", "retrying"]
    detail: Clean
    since_ns: int


class Refusal(msgspec.Struct, frozen=True):
    """Who holds a host that was asked for; `since` is the host's time."""

    host: str
    holder: Clean
    since: Clean

    @property
    def sentence(self) -> str:
        """Which host, by whom, since when."""
        return f"{self.host} is held by {self.holder} since {self.since}"


class AttemptView(msgspec.Struct, frozen=True, kw_only=True):
    """One attempt as it stands. All `_ns` are our clock; `expected_s` is measuring alone, `startup_s` comes before it.

    `value` and `reference` are figures of `metric`; `ratio` above 1 is better than the reference. Comparability is
    the judge's to say, not this ratio's. `superseded`: a later try of the same cell was planned.
    """

    attempt: str
    run: str
    matrix: str
    cell_id: str
    workload: str
    title: Clean
    model: str
    nodes: int
    position: int
    repeat: int
    attempt_try: int
    superseded: bool
    simulated: bool
    hosts: tuple[str, ...]
    placed: bool
    stage: Stage
    stage_since_ns: int
    detail: Clean
    phase: Phase | None
    phase_since_ns: int | None
    planned_at_ns: int
    started_at_ns: int | None
    ended_at_ns: int | None
    expected_s: float | None
    startup_s: float
    progress: Progress | None
    rate: Rate | None
    fetching: tuple[Fetch, ...]
    refused: Refusal | None
    links: tuple[LinkState, ...]
    notice: Notice | None
    stop_asked: bool
    outcome: Outcome | None
    failure: FailureClass | None
    failure_line: Clean
    reasons: tuple[Reason, ...]
    metric: str
    value: float | None
    reference: float | None
    ratio: float | None
    figures: tuple[Figure, ...] = ()
    """Everything live that its program said last: of a GPU, of a node, step time, loss, memory."""
    precision: str = ""
    gpu: str | None = None
    """The GPU model of its hosts, once they were looked at; with `precision` and `figures` it gives an MFU."""

    @property
    def which(self) -> str:
        """Its repeat and its try where there are several: ` #2 try 3`."""
        repeat = f" #{self.repeat}" if self.repeat > 1 else ""
        return repeat + (f" try {self.attempt_try}" if self.attempt_try > 1 else "")

    @property
    def name(self) -> str:
        """The cell, with its repeat and try where there are several."""
        return self.cell_id + self.which

    @property
    def doing(self) -> str:
        """The outcome, and whether it counts; else the program's phase while it runs, else our stage."""
        if self.outcome is not None:
            return f"{self.outcome.value}, spoiled" if self.spoiled else self.outcome.value
        return self.phase.value if self.stage is Stage.RUNNING and self.phase is not None else self.stage.value

    @property
    def unit(self) -> str:
        """The unit of its figure."""
        return METRICS[self.metric].unit if self.metric in METRICS else self.metric

    @property
    def state(self) -> str:
        """One word: the outcome, else the stage."""
        return (self.outcome or self.stage).value

    @property
    def spoiled(self) -> bool:
        """True when the figure does not count."""
        return any(reason.spoils for reason in self.reasons)

    @property
    def links_lost(self) -> tuple[str, ...]:
        """Hosts of this attempt that cannot be heard now."""
        return tuple(link.host for link in self.links if link.state != "up")

    def elapsed_s(self, now_ns: int) -> float | None:
        """Seconds from its start to its end or to now; None before its start."""
        if self.started_at_ns is None:
            return None
        return max(0, (self.ended_at_ns or now_ns) - self.started_at_ns) / 1e9

    def eta_s(self, now_ns: int) -> float | None:
        """Seconds until its figure is there, fetching not counted; 0 once it ended, None when nothing tells."""
        if self.outcome is not None or self.stage in (Stage.COLLECTING, Stage.RELEASING, Stage.DONE):
            return 0.0
        if self.phase is Phase.FINISHED:
            return 0.0
        if self.phase is Phase.MEASURING and self.phase_since_ns is not None:
            return self._measuring_left_s(now_ns, self.phase_since_ns)
        if self.expected_s is None:
            return None
        waited_s = self.elapsed_s(now_ns) or 0.0
        return max(0.0, self.startup_s - waited_s) + self.expected_s

    def _measuring_left_s(self, now_ns: int, since_ns: int) -> float | None:
        fraction = self.progress.fraction if self.progress else None
        if self.progress is not None and fraction is not None and fraction >= _SURE:
            heard_ns = self.progress.at_ns
            left_then_s = max(0, heard_ns - since_ns) / 1e9 * (1 - fraction) / fraction
            return max(0.0, left_then_s - (now_ns - heard_ns) / 1e9)
        if self.expected_s is None:
            return None
        return max(0.0, self.expected_s - (now_ns - since_ns) / 1e9)


class Counts(msgspec.Struct, frozen=True, kw_only=True):
    """Attempts of a run by how they stand; superseded tries are left out."""

    waiting: int = 0
    active: int = 0
    ok: int = 0
    failed: int = 0
    stopped: int = 0
    not_run: int = 0

    @property
    def ended(self) -> int:
        """Attempts with an outcome."""
        return self.ok + self.failed + self.stopped + self.not_run

    @property
    def total(self) -> int:
        """Attempts planned so far."""
        return self.waiting + self.active + self.ended


class RunView(msgspec.Struct, frozen=True, kw_only=True):
    """One run as it stands. `attempts` is how many it was opened with; `seq` the last event heard of it."""

    run: str
    label: Clean
    simulated: bool
    matrices: tuple[str, ...]
    hosts: tuple[str, ...]
    operator: Clean
    attempts: int
    opened_at_ns: int
    closed_at_ns: int | None
    why: Clean
    conductor_pid: int | None
    conductor_machine: Clean
    stop_asked: bool
    counts: Counts
    links: tuple[LinkState, ...]
    notice: Notice | None
    seq: int
    paused: bool = False
    """Nothing new starts until that is lifted; what has begun goes on."""


def count(attempts: Iterable[AttemptView]) -> Counts:
    """Attempts by how they stand, superseded tries left out."""
    seen = dict.fromkeys(Counts.__struct_fields__, 0)
    for view in attempts:
        if view.superseded:
            continue
        if view.outcome is not None:
            seen[view.outcome.name.lower()] += 1
        else:
            seen["waiting" if view.stage is Stage.PLANNED else "active"] += 1
    return Counts(**seen)


def run_eta_s(attempts: Iterable[AttemptView], now_ns: int) -> float | None:
    """Seconds until the host with the most work left is done; None while some attempt's time is unknown.

    An attempt not yet placed that may go to more hosts than it needs counts on each of them in equal shares.
    """
    load_s: dict[str, float] = {}
    for view in attempts:
        left_s = view.eta_s(now_ns)
        if left_s is None:
            return None
        share = 1.0 if view.placed or not view.hosts else min(1.0, view.nodes / len(view.hosts))
        for host in view.hosts or ("",):
            load_s[host] = load_s.get(host, 0.0) + left_s * share
    return max(load_s.values(), default=0.0)
