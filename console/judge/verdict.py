"""The ladder: from measured figures and references to one word that people can act on."""

import math
import statistics
from collections.abc import Mapping, Sequence
from enum import StrEnum

import msgspec

from console.judge.choice import Candidate, choose
from console.judge.comparability import NO_NAMES, sentence
from console.judge.statistics import Interval, log_interval, variation
from console.model.attempt import Outcome, Reason
from console.model.cell import Conditions, KeyDifference, Recipe, Reference
from console.model.units import METRICS, oriented_ratio


class Verdict(StrEnum):
    """What a figure is worth beside its reference. Ratios are oriented: above 1 is better.

    `unconfirmed` is a comparable figure that may not be called by its band yet: one repeat, or a shortfall under a
    recipe that is not known exactly. The band it fell in stands in `Judgement.band` and in the note.
    """

    MATCHED = "matched"
    REPRODUCED = "reproduced"
    ABOVE = "above"
    MARGINAL = "marginal"
    BELOW = "below"
    UNCONFIRMED = "unconfirmed"
    INVALID = "invalid"
    INCOMPARABLE = "incomparable"
    NO_REFERENCE = "no reference"
    FAILED = "failed"
    NOT_RUN = "not run"


COMPARED = frozenset(
    {Verdict.MATCHED, Verdict.REPRODUCED, Verdict.ABOVE, Verdict.MARGINAL, Verdict.BELOW, Verdict.UNCONFIRMED}
)
"""Verdicts whose ratio may be averaged over a table; the ratios of all others are shown for orientation only."""


class Bands(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Limits of the ladder, as oriented ratios.

    2 % is MLPerf's convention for a material difference; 0.95 is what NVIDIA's Exemplar programme asks for; AMD's own
    re-measurement of the page's eight rows moved by up to 3.1 %.
    """

    matched: float = 0.02
    reproduced: float = 0.95
    marginal: float = 0.90
    above: float = 1.10


BANDS = Bands()


class Measured(msgspec.Struct, frozen=True, kw_only=True):
    """What is judged: one value per repeat (a repeat is a new start of the program), in the unit of the metric."""

    metric: str
    values: tuple[float, ...]
    conditions: Conditions
    recipe: Recipe
    reasons: tuple[Reason, ...] = ()
    outcome: Outcome = Outcome.OK


class Judgement(msgspec.Struct, frozen=True, kw_only=True):
    """The verdict and what it rests on.

    `value` is the median of the repeats; `interval` the 95 % interval of the ratio, from three repeats on. `band` is
    where the ratio falls on the ladder, whatever the verdict; `note` says in words what the verdict cannot.
    """

    verdict: Verdict
    value: float | None = None
    ratio: float | None = None
    reference: Reference | None = None
    differences: tuple[KeyDifference, ...] = ()
    note: str = ""
    band: Verdict | None = None
    repeats: int = 0
    variation: float | None = None
    interval: Interval | None = None


def judge(
    measured: Measured,
    references: Sequence[Reference],
    *,
    images: Mapping[str, str] = NO_NAMES,
    bands: Bands = BANDS,
) -> Judgement:
    """Hold a figure against the reference that `choose` finds. Raises KeyError on an unknown metric.

    Order of the questions: was it run, did it end well, does the figure count, is there a reference, may the two be
    compared, and only then how far apart they are.
    """
    metric = METRICS[measured.metric].name
    candidate = choose(metric, measured.conditions, references, images)
    without = _without_figure(measured, candidate)
    if without is not None:
        return without
    value = statistics.median(measured.values)
    plain = Judgement(
        verdict=Verdict.NO_REFERENCE,
        value=value,
        repeats=len(measured.values),
        variation=variation(measured.values),
        note=_no_reference_note(measured, references),
    )
    spoiling = [reason for reason in measured.reasons if reason.spoils]
    if candidate is None:
        return msgspec.structs.replace(plain, verdict=Verdict.INVALID, note=_spoiled(spoiling)) if spoiling else plain
    ratio = oriented_ratio(metric, value, candidate.reference.value)
    interval = _ratio_interval(metric, measured.values, candidate.reference.value)
    band = band_of(ratio, interval, bands)
    verdict, note = _decide(measured, candidate, spoiling, band)
    return msgspec.structs.replace(
        plain,
        verdict=verdict,
        ratio=ratio,
        reference=candidate.reference,
        differences=candidate.differences,
        note=note,
        band=band,
        interval=interval,
    )


def band_of(ratio: float, interval: Interval | None = None, bands: Bands = BANDS) -> Verdict:
    """Where a ratio falls on the ladder. An interval that spans the `reproduced` limit makes it at most marginal."""
    if ratio < bands.marginal or (interval is not None and interval.high < bands.reproduced):
        return Verdict.BELOW
    if ratio < bands.reproduced or (interval is not None and interval.contains(bands.reproduced)):
        return Verdict.MARGINAL
    if ratio > bands.above:
        return Verdict.ABOVE
    # The allowance keeps a ratio that prints as exactly the limit inside it.
    return Verdict.MATCHED if abs(ratio - 1) <= bands.matched + 1e-12 else Verdict.REPRODUCED


def _without_figure(measured: Measured, candidate: Candidate | None) -> Judgement | None:
    reference = candidate.reference if candidate else None
    if measured.outcome is Outcome.NOT_RUN:
        return Judgement(verdict=Verdict.NOT_RUN, reference=reference)
    if measured.outcome is Outcome.STOPPED:
        return Judgement(verdict=Verdict.NOT_RUN, reference=reference, note="stopped before it had a figure")
    if measured.outcome is Outcome.FAILED or not measured.values:
        note = "" if measured.outcome is Outcome.FAILED else "ended without a figure"
        return Judgement(verdict=Verdict.FAILED, reference=reference, note=note)
    bad = [value for value in measured.values if not (math.isfinite(value) and value > 0)]
    if bad:
        note = f"{bad[0]:g} is not a figure that can be measured"
        return Judgement(verdict=Verdict.FAILED, reference=reference, note=note)
    return None


def _decide(measured: Measured, candidate: Candidate, spoiling: Sequence[Reason], band: Verdict) -> tuple[Verdict, str]:
    if spoiling:
        return Verdict.INVALID, _spoiled(spoiling)
    if not candidate.comparable:
        apart = [sentence(item) for item in candidate.differences if item.strength == "must"]
        return Verdict.INCOMPARABLE, "; ".join(apart)
    notes = [sentence(item) for item in candidate.differences if item.strength == "should"]
    if len(measured.values) == 1:
        return Verdict.UNCONFIRMED, "; ".join([f"one repeat, {band}", *notes])
    if band is Verdict.BELOW and measured.recipe != "exact":
        return Verdict.UNCONFIRMED, "; ".join(
            [f"{band}, but the published recipe is {_known(measured.recipe)}", *notes]
        )
    if band is Verdict.ABOVE:
        notes.insert(0, "check what is counted: total or output tokens, cached prefixes, GPUs")
    return band, "; ".join(notes)


def _known(recipe: Recipe) -> str:
    return "reconstructed" if recipe == "reconstructed" else "not known exactly"


def _spoiled(spoiling: Sequence[Reason]) -> str:
    return "; ".join(f"{reason.reason}: {reason.detail}" if reason.detail else reason.reason for reason in spoiling)


def _no_reference_note(measured: Measured, references: Sequence[Reference]) -> str:
    if not references:
        return ""
    if measured.conditions.simulated and all(reference.set != "lab" for reference in references):
        return "a simulated figure is only compared with the lab's own references"
    if all(reference.metric != measured.metric for reference in references):
        return f"no reference is in {measured.metric}"
    return "no reference may be compared with it"


def _ratio_interval(metric: str, values: Sequence[float], reference: float) -> Interval | None:
    interval = log_interval(values)
    if interval is None:
        return None
    ends = sorted(oriented_ratio(metric, end, reference) for end in (interval.low, interval.high))
    return Interval(ends[0], ends[1])
