"""The fold of one attempt's events, and the view drawn from it."""

from collections.abc import Callable, Mapping
from typing import Any

import msgspec

from console.desk.figures import Figures, gpu_of
from console.desk.rates import Rates
from console.desk.views import AttemptView, Fetch, LinkState, Notice, Progress, Refusal
from console.model import events as ev
from console.model.attempt import Outcome, Phase, PhaseSeen, Sample, Stage, Symptom
from console.model.text import Clean, clean_line
from console.model.units import METRICS, oriented_ratio

EMPTY = Clean("")


class _Reference(msgspec.Struct, frozen=True):
    value: float
    metric: str
    set: str


class _CellHead(msgspec.Struct, frozen=True):
    """What a board needs of a cell; the rest stays raw."""

    title: str = ""
    model: str = ""
    metric: str = ""
    precision: str = ""
    nodes: int = 1
    references: tuple[_Reference, ...] = ()


_HEAD = msgspec.json.Decoder(_CellHead)


class AttemptFold:
    """What is known of an attempt. `view` is the last snapshot while nothing changed since."""

    def __init__(self, run: str, name: str, planned: ev.AttemptPlanned, at_ns: int, points: int) -> None:
        self.run = run
        self.name = name
        self.planned = planned
        self.planned_at_ns = at_ns
        self.head = _head(planned.cell)
        self.rates = Rates(self.head.metric, points)
        self.figures = Figures()
        self.gpu: str | None = None
        self.superseded = False
        self.placed: tuple[str, ...] | None = None
        self.stage = Stage.PLANNED
        self.stage_since_ns = at_ns
        self.detail = EMPTY
        self.phase: Phase | None = None
        self.phase_since_ns: int | None = None
        self.started_at_ns: int | None = None
        self.ended_at_ns: int | None = None
        self.ended: ev.AttemptEnded | None = None
        self.progress: Progress | None = None
        self.fetching: dict[tuple[str, str, str], Fetch] = {}
        self.refused: Refusal | None = None
        self.notice: Notice | None = None
        self.stop_asked = False
        self.view: AttemptView | None = None

    @property
    def hosts(self) -> tuple[str, ...]:
        """Where it runs, or where it may run while it was not claimed."""
        return self.planned.wish if self.placed is None else self.placed

    def apply(self, event: ev.Event, at_ns: int) -> bool:
        """Fold one event in; False when it says nothing of an attempt."""
        change = _CHANGES.get(type(event))
        if change is None:
            return False
        change(self, event, at_ns)
        return True

    def heard_ns(self, host_ns: int, our_ns: int) -> int:
        """When it happened, on our clock. What is read late, after a lost link, keeps the host's time if plausible."""
        begin = self.planned_at_ns if self.started_at_ns is None else self.started_at_ns
        return host_ns if begin <= host_ns <= our_ns else our_ns


def _head(cell: msgspec.Raw) -> _CellHead:
    try:
        return _HEAD.decode(cell)
    except msgspec.DecodeError:
        return _CellHead()  # a cell from elsewhere is still shown by its id


def _stage(attempt: AttemptFold, event: ev.StageEntered, at_ns: int) -> None:
    attempt.stage, attempt.stage_since_ns, attempt.detail = event.stage, at_ns, clean_line(event.detail)
    if event.stage is Stage.STARTING and attempt.started_at_ns is None:
        attempt.started_at_ns = at_ns
    if event.stage is not Stage.FETCHING:
        attempt.fetching.clear()
    if event.stage is not Stage.CLAIMING:
        attempt.refused = None


def _phase(attempt: AttemptFold, event: PhaseSeen, at_ns: int) -> None:
    if event.phase is attempt.phase:
        return
    attempt.phase, attempt.phase_since_ns = event.phase, attempt.heard_ns(event.at_ns, at_ns)
    if event.phase is not Phase.FINISHED:
        attempt.progress = None  # another phase counts other things


def _sample(attempt: AttemptFold, event: Sample, at_ns: int) -> None:
    heard_ns = attempt.heard_ns(event.at_ns, at_ns)
    attempt.rates.add(event, heard_ns, attempt.phase is Phase.MEASURING)
    attempt.figures.add(event, heard_ns)
    if event.done is not None:
        total = event.total
        if total is None and attempt.progress is not None and attempt.progress.counts == event.counts:
            total = attempt.progress.total
        attempt.progress = Progress(event.done, total, event.counts, heard_ns)


def _symptom(attempt: AttemptFold, event: Symptom, at_ns: int) -> None:
    known = attempt.notice
    if event.secondary and known is not None and known.level == "error":
        return  # the root cause stays
    attempt.notice = Notice(clean_line(event.line), "warning" if event.warning else "error", at_ns)


def _noticed(attempt: AttemptFold, event: ev.Noticed, at_ns: int) -> None:
    attempt.notice = Notice(clean_line(event.text), event.level, at_ns)


def _fetch(attempt: AttemptFold, event: ev.FetchProgress, at_ns: int) -> None:
    attempt.fetching[event.host, event.what, event.name] = Fetch(
        host=event.host,
        what=event.what,
        name=clean_line(event.name),
        done_bytes=event.done_bytes,
        total_bytes=event.total_bytes,
        status=clean_line(event.status),
        at_ns=at_ns,
    )


def _preflight(attempt: AttemptFold, event: ev.PreflightDone, at_ns: int) -> None:
    attempt.gpu = gpu_of(event.conditions.values())


def _claimed(attempt: AttemptFold, event: ev.Claimed, at_ns: int) -> None:
    attempt.placed = tuple(seat.host for seat in event.placement.seats)


def _refused(attempt: AttemptFold, event: ev.ClaimRefused, at_ns: int) -> None:
    attempt.refused = Refusal(event.host, clean_line(event.holder), clean_line(event.since))


def _stop(attempt: AttemptFold, event: ev.StopAsked, at_ns: int) -> None:
    attempt.stop_asked = True


def _ended(attempt: AttemptFold, event: ev.AttemptEnded, at_ns: int) -> None:
    attempt.ended, attempt.ended_at_ns = event, at_ns


_CHANGES: Mapping[type, Callable[[AttemptFold, Any, int], None]] = {
    ev.StageEntered: _stage,
    PhaseSeen: _phase,
    Sample: _sample,
    Symptom: _symptom,
    ev.Noticed: _noticed,
    ev.FetchProgress: _fetch,
    ev.PreflightDone: _preflight,
    ev.Claimed: _claimed,
    ev.ClaimRefused: _refused,
    ev.StopAsked: _stop,
    ev.AttemptEnded: _ended,
}


def draw(attempt: AttemptFold, *, simulated: bool, stopping: bool, links: Mapping[str, LinkState]) -> AttemptView:
    """The attempt as it stands, with what its run knows: whether it is simulated or asked to stop, and its links."""
    planned, head, ended = attempt.planned, attempt.head, attempt.ended
    failure = ended.failure if ended else None
    if ended and failure is None and ended.result:
        failure = ended.result.failure
    metric = ended.result.headline if ended and ended.result else head.metric
    value = ended.result.value() if ended and ended.result and ended.outcome is Outcome.OK else None
    reference = next(
        (item.value for item in head.references if item.metric == metric and (item.set == "lab") == simulated), None
    )
    comparable = value is not None and reference is not None and metric in METRICS
    return AttemptView(
        attempt=attempt.name,
        run=attempt.run,
        matrix=planned.matrix,
        cell_id=planned.cell_id,
        workload=planned.workload,
        title=clean_line(head.title or planned.cell_id),
        model=head.model,
        nodes=head.nodes,
        position=planned.position,
        repeat=planned.repeat,
        attempt_try=planned.attempt_try,
        superseded=attempt.superseded,
        simulated=simulated,
        hosts=attempt.hosts,
        placed=attempt.placed is not None,
        stage=attempt.stage,
        stage_since_ns=attempt.stage_since_ns,
        detail=attempt.detail,
        phase=attempt.phase,
        phase_since_ns=attempt.phase_since_ns,
        planned_at_ns=attempt.planned_at_ns,
        started_at_ns=attempt.started_at_ns,
        ended_at_ns=attempt.ended_at_ns,
        expected_s=planned.expected_s,
        startup_s=planned.startup_s,
        progress=attempt.progress,
        rate=attempt.rates.now(),
        fetching=tuple(item for _, item in sorted(attempt.fetching.items())),
        refused=attempt.refused,
        links=tuple(links[host] for host in attempt.hosts if host in links),
        notice=attempt.notice,
        stop_asked=attempt.stop_asked or stopping,
        outcome=ended.outcome if ended else None,
        failure=failure.failure if failure else None,
        failure_line=clean_line(failure.line) if failure else EMPTY,
        reasons=ended.reasons if ended else (),
        metric=metric,
        value=value,
        reference=reference,
        ratio=oriented_ratio(metric, value, reference) if comparable and value and reference else None,
        figures=attempt.figures.read(),
        precision=head.precision,
        gpu=attempt.gpu,
    )
