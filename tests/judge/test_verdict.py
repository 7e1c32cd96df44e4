"""The ladder as statements: what a figure is called beside its reference."""

from typing import Any

import msgspec
import pytest

from console.judge.verdict import COMPARED, Bands, Judgement, Measured, Verdict, judge
from console.model.attempt import Outcome, Reason, Validity
from console.model.cell import Conditions, Reference

replace = msgspec.structs.replace
V = Verdict


def of(measured: Conditions, *values: float, **fields: Any) -> Measured:
    given: dict[str, Any] = {"metric": "output_tokens_per_s", "recipe": "exact", **fields}
    return Measured(values=values, conditions=measured, **given)


@pytest.mark.parametrize(
    ("values", "verdict"),
    [
        ((1000.0, 1000.0), V.MATCHED),
        ((1020.0, 1020.0), V.MATCHED),
        ((980.0, 980.0), V.MATCHED),
        ((1021.0, 1021.0), V.REPRODUCED),
        ((979.0, 979.0), V.REPRODUCED),
        ((950.0, 950.0), V.REPRODUCED),
        ((1100.0, 1100.0), V.REPRODUCED),
        ((1101.0, 1101.0), V.ABOVE),
        ((949.9, 949.9), V.MARGINAL),
        ((900.0, 900.0), V.MARGINAL),
        ((899.9, 899.9), V.BELOW),
        # the median decides, never the best
        ((850.0, 860.0, 1000.0, 870.0, 855.0), V.BELOW),
        # three repeats and more: the interval has a say
        ((930.0, 931.0, 932.0), V.BELOW),
        ((930.0, 970.0, 950.0), V.MARGINAL),
        ((990.0, 1000.0, 1010.0), V.MATCHED),
        ((940.0, 990.0, 1040.0), V.MARGINAL),
    ],
)
def test_the_ladder(measured: Conditions, published: Reference, values: tuple[float, ...], verdict: Verdict) -> None:
    assert judge(of(measured, *values), [published]).verdict is verdict


@pytest.mark.parametrize(
    ("value", "band"), [(1000.0, V.MATCHED), (920.0, V.MARGINAL), (500.0, V.BELOW), (1500.0, V.ABOVE)]
)
def test_one_repeat_is_unconfirmed_and_says_its_band(
    measured: Conditions, published: Reference, value: float, band: Verdict
) -> None:
    result = judge(of(measured, value), [published])
    assert (result.verdict, result.band) == (V.UNCONFIRMED, band)
    assert result.note == f"one repeat, {band}"
    assert result.ratio == value / 1000


def test_latency_is_better_when_lower(measured: Conditions, published: Reference) -> None:
    latency = replace(published, metric="latency_s", value=10.0)
    result = judge(of(measured, 8.0, 8.0, metric="latency_s"), [latency])
    assert (result.ratio, result.verdict) == (1.25, V.ABOVE)
    assert judge(of(measured, 12.5, 12.5, metric="latency_s"), [latency]).verdict is V.BELOW
    three = judge(of(measured, 9.9, 10.0, 10.1, metric="latency_s"), [latency])
    assert three.interval is not None
    assert three.interval.low < 1 < three.interval.high


@pytest.mark.parametrize("recipe", ["reconstructed", "unknown"])
def test_only_an_exact_recipe_may_be_called_below(measured: Conditions, published: Reference, recipe: str) -> None:
    result = judge(of(measured, 500.0, 500.0, recipe=recipe), [published])
    assert (result.verdict, result.band) == (V.UNCONFIRMED, V.BELOW)
    assert "recipe" in result.note
    assert judge(of(measured, 1000.0, 1000.0, recipe=recipe), [published]).verdict is V.MATCHED


def test_a_spoiled_figure_is_invalid_however_good_it_is(measured: Conditions, published: Reference) -> None:
    reason = Reason(Validity.NUMA_BALANCING_ON, "node01: NUMA balancing is 1")
    result = judge(of(measured, 1000.0, 1000.0, reasons=(reason,)), [published])
    assert (result.verdict, result.ratio) == (V.INVALID, 1.0)
    assert result.note == "numa_balancing_on: node01: NUMA balancing is 1"
    assert judge(of(measured, 1000.0, reasons=(reason,)), []).verdict is V.INVALID


def test_a_noted_reason_changes_nothing(measured: Conditions, published: Reference) -> None:
    reason = Reason(Validity.POWER_CAP, "600 W")
    assert judge(of(measured, 1000.0, 1000.0, reasons=(reason,)), [published]).verdict is V.MATCHED


def test_an_incomparable_figure_keeps_its_ratio_and_names_why(measured: Conditions, published: Reference) -> None:
    result = judge(of(replace(measured, gpu="MI325X", gpus=None), 1300.0, 1300.0), [published])
    assert (result.verdict, result.ratio) == (V.INCOMPARABLE, 1.3)
    assert result.note == "gpu: measured MI325X, reference AMD Instinct MI300X; gpus: unknown, reference 8"


def test_should_agree_differences_stand_in_the_note(measured: Conditions, published: Reference) -> None:
    other = replace(published, under=replace(published.under, power_cap_w=1000.0))
    result = judge(of(measured, 1000.0, 1000.0), [other])
    assert (result.verdict, result.note) == (V.MATCHED, "power_cap_w: measured 750, reference 1000")


@pytest.mark.parametrize(
    ("outcome", "values", "verdict"),
    [
        (Outcome.FAILED, (), V.FAILED),
        (Outcome.FAILED, (1000.0,), V.FAILED),
        (Outcome.NOT_RUN, (), V.NOT_RUN),
        (Outcome.STOPPED, (), V.NOT_RUN),
        (Outcome.OK, (), V.FAILED),
        (Outcome.OK, (0.0,), V.FAILED),
        (Outcome.OK, (float("nan"),), V.FAILED),
    ],
)
def test_without_a_figure_there_is_no_ratio(
    measured: Conditions, published: Reference, outcome: Outcome, values: tuple[float, ...], verdict: Verdict
) -> None:
    result = judge(of(measured, *values, outcome=outcome), [published])
    assert (result.verdict, result.ratio, result.reference) == (verdict, None, published)


def test_no_reference_says_so(measured: Conditions, published: Reference) -> None:
    assert judge(of(measured, 1000.0), []).verdict is V.NO_REFERENCE
    other = judge(of(measured, 1000.0), [replace(published, metric="latency_s")])
    assert (other.verdict, other.note) == (V.NO_REFERENCE, "no reference is in output_tokens_per_s")
    assert other.value == 1000.0


def test_a_simulated_figure_is_never_held_against_a_published_one(measured: Conditions, published: Reference) -> None:
    simulated = replace(measured, simulated=True)
    alone = judge(of(simulated, 1000.0, 1000.0), [published])
    assert (alone.verdict, alone.ratio, alone.reference) == (V.NO_REFERENCE, None, None)
    assert alone.note == "a simulated figure is only compared with the lab's own references"
    lab = replace(published, set="lab", value=500.0, source="fiction")
    assert judge(of(simulated, 500.0, 500.0), [published, lab]).reference == lab
    assert judge(of(measured, 500.0, 500.0), [lab]).verdict is V.NO_REFERENCE
    assert judge(of(measured, 500.0, 500.0), [lab, published]).reference == published


def test_a_comparable_published_figure_wins(measured: Conditions, published: Reference) -> None:
    own = replace(published, set="own", value=1100.0, under=replace(measured), dated="2026-01-01")
    assert judge(of(measured, 1000.0), [own, published]).reference == published


def test_otherwise_the_closest_comparable_one_wins(measured: Conditions, published: Reference) -> None:
    mi325x = replace(published, under=replace(published.under, gpu="MI325X"))
    own = replace(published, set="own", under=replace(measured))
    notes = replace(published, set="release notes", under=replace(measured, power_cap_w=600.0))
    assert judge(of(measured, 1000.0), [mi325x, notes, own]).reference == own
    assert judge(of(measured, 1000.0), [mi325x, notes]).reference == notes
    assert judge(of(measured, 1000.0), [mi325x]).verdict is V.INCOMPARABLE


def test_equally_close_references_go_by_set_and_then_by_date(measured: Conditions, published: Reference) -> None:
    old = replace(published, set="release notes", dated="2025-03-11")
    new = replace(published, set="release notes", dated="2025-07-07")
    own = replace(published, set="own", dated="2026-01-01")
    assert judge(of(measured, 1000.0), [own, old, new]).reference == new


def test_bands_are_data(measured: Conditions, published: Reference) -> None:
    strict = Bands(matched=0.001, reproduced=0.99, marginal=0.98, above=1.01)
    assert judge(of(measured, 1015.0, 1015.0), [published], bands=strict).verdict is V.ABOVE


def test_what_is_compared_is_exactly_what_may_be_averaged(measured: Conditions, published: Reference) -> None:
    def verdict(result: Judgement) -> Verdict:
        return result.verdict

    assert verdict(judge(of(measured, 1000.0), [published])) in COMPARED
    assert not {V.INVALID, V.INCOMPARABLE, V.NO_REFERENCE, V.FAILED, V.NOT_RUN} & COMPARED


def test_an_unknown_metric_is_an_error(measured: Conditions) -> None:
    with pytest.raises(KeyError):
        judge(of(measured, 1.0, metric="throughput"), [])
