"""Attempts of the journal, judged: what a row of the result table rests on."""

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence

import msgspec

from console.judge.comparability import known_names
from console.judge.verdict import Judgement, Measured, Verdict, judge
from console.model.attempt import Outcome, Result, Validity
from console.model.cell import AnyCell, Cell, Conditions
from console.model.profile import GpuSpec
from console.model.units import METRICS
from console.results.references import Shelf, references_of
from console.store.records import AttemptRow, RunRow

GroupKey = tuple[str, str, str, tuple[str, ...]]

TFLOPS = "tflops_per_s_per_gpu"
_CELL = msgspec.json.Decoder(Cell)


class Seen(msgspec.Struct, frozen=True, kw_only=True):
    """One attempt with its cell, the conditions known of it, and the figure when it has one."""

    run: RunRow
    attempt: AttemptRow
    cell: AnyCell
    hosts: tuple[str, ...]
    conditions: Conditions
    metric: str
    value: float | None
    tflops: float | None = None
    """TFLOP/s of one GPU, where they are the figure or stand beside it."""
    gpu: GpuSpec | None = None

    @property
    def simulated(self) -> bool:
        """Either side says so: the run (its fleet file) or the attempt (the lab's engine)."""
        return self.conditions.simulated

    @property
    def spoiled(self) -> bool:
        """A reason makes the figure not count."""
        return any(reason.spoils for reason in self.attempt.reasons)

    @property
    def valid(self) -> bool:
        """It has a figure that counts."""
        return self.value is not None and not self.spoiled

    @property
    def group(self) -> GroupKey:
        """The repeats of one cell on the same hosts belong together; a run knows a cell in one form only."""
        return (self.run.run, self.cell.matrix, self.cell.id, self.hosts)


class Judged(msgspec.Struct, frozen=True, kw_only=True):
    """An attempt with its own judgement and that of its cell; both None while it goes on."""

    seen: Seen
    own: Judgement | None
    cell: Judgement | None


def look(run: RunRow, attempt: AttemptRow, shelf: Shelf | None = None) -> Seen:
    """What the journal says of one attempt. Parameters of its cell stay plain data, whatever program wrote them."""
    cell = _CELL.decode(attempt.cell)
    result = attempt.result
    metric = result.headline if result is not None and result.headline in METRICS else cell.metric
    conditions = _conditions(run, attempt, cell, shelf)
    ended_well = result is not None and attempt.outcome is Outcome.OK
    return Seen(
        run=run,
        attempt=attempt,
        cell=cell,
        hosts=tuple(seat.host for seat in attempt.placement.seats) if attempt.placement else attempt.wish,
        conditions=conditions,
        metric=metric,
        value=result.value() if result is not None and ended_well else None,
        tflops=_tflops(result) if result is not None and ended_well else None,
        gpu=shelf.gpus.get(conditions.gpu) if shelf is not None and conditions.gpu else None,
    )


def _tflops(result: Result) -> float | None:
    whole = (item for item in result.values if item.iteration is None and item.stat in ("value", "mean"))
    return next((item.value for item in whole if item.metric == TFLOPS), None)


def judged(seen: Sequence[Seen], shelf: Shelf | None) -> tuple[Judged, ...]:
    """Every attempt with the verdict of its cell, in the order given."""
    names = known_names(shelf.images.values()) if shelf is not None else {}
    groups: dict[GroupKey, list[Seen]] = defaultdict(list)
    for item in seen:
        groups[item.group].append(item)
    of_cells = {key: _judge(items, shelf, names) for key, items in groups.items()}
    return tuple(_both(item, of_cells[item.group], shelf, names) for item in seen)


def _both(item: Seen, of_cell: Judgement | None, shelf: Shelf | None, names: Mapping[str, str]) -> Judged:
    if item.attempt.outcome is None:
        return Judged(seen=item, own=None, cell=None)
    own = _judge([item], shelf, names)
    return Judged(seen=item, own=own, cell=of_cell if item.valid else own)


def _judge(items: Sequence[Seen], shelf: Shelf | None, names: Mapping[str, str]) -> Judgement | None:
    """The verdict over repeats: valid figures when there are any, else spoiled ones, else how it ended.

    Repeats that failed or were spoiled are counted in the note, never averaged in.
    """
    ended = [item for item in items if item.attempt.outcome is not None]
    if not ended:
        return None
    with_figure = [item for item in ended if item.valid] or [item for item in ended if item.value is not None]
    # Without any figure the gravest end speaks: a failure before a repeat that was not run.
    speaks = with_figure[0] if with_figure else min(ended, key=lambda item: _GRAVITY[item.attempt.outcome])
    if speaks.metric not in METRICS:
        verdict = _WITHOUT_METRIC.get(speaks.attempt.outcome, Verdict.NO_REFERENCE)
        return Judgement(verdict=verdict, value=speaks.value, note=f"unknown metric {speaks.metric}")
    judgement = judge(
        Measured(
            metric=speaks.metric,
            values=tuple(item.value for item in with_figure if item.value is not None),
            conditions=speaks.conditions,
            reasons=tuple(reason for item in with_figure for reason in item.attempt.reasons),
            recipe=speaks.cell.recipe,
            outcome=speaks.attempt.outcome or Outcome.OK,
        ),
        references_of(speaks.cell, shelf),
        images=names,
    )
    left_out = _left_out(ended, with_figure)
    if not left_out or judgement.verdict in (Verdict.FAILED, Verdict.NOT_RUN):
        return judgement
    return msgspec.structs.replace(judgement, note="; ".join(text for text in (judgement.note, left_out) if text))


_WITHOUT_METRIC: Mapping[Outcome | None, Verdict] = {
    Outcome.FAILED: Verdict.FAILED,
    Outcome.STOPPED: Verdict.NOT_RUN,
    Outcome.NOT_RUN: Verdict.NOT_RUN,
}
_GRAVITY = {Outcome.FAILED: 0, Outcome.STOPPED: 1, Outcome.NOT_RUN: 2, Outcome.OK: 3, None: 4}


def _left_out(ended: Iterable[Seen], with_figure: Sequence[Seen]) -> str:
    """`1 repeat failed; 1 repeat spoiled`: what the figure does not rest on. A failed try that was repeated counts."""
    kept = {item.attempt.attempt for item in with_figure}
    counts: dict[str, int] = defaultdict(int)
    for item in ended:
        if item.attempt.attempt not in kept and item.attempt.outcome is not None:
            counts["spoiled" if item.value is not None else item.attempt.outcome.value] += 1
    return "; ".join(f"{count} {'attempt' if count == 1 else 'attempts'} {what}" for what, count in counts.items())


def _conditions(run: RunRow, attempt: AttemptRow, cell: AnyCell, shelf: Shelf | None) -> Conditions:
    """Conditions as stored; for an attempt that never got so far at least the image it was meant to run."""
    known = attempt.conditions or Conditions()
    record = shelf.images.get(cell.image) if shelf is not None else None
    lab = run.simulated or any(reason.reason is Validity.SIMULATED for reason in attempt.reasons)
    launch = attempt.launch
    return msgspec.structs.replace(
        known,
        simulated=known.simulated or lab,
        image=known.image or (launch.image if launch else record.ref if record else cell.image),
        image_digest=known.image_digest or (launch.image_digest if launch else None),
    )
