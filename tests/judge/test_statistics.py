"""Quantiles, intervals and table summaries."""

import math

import pytest

from console.judge.statistics import RowRatio, log_interval, summarise, t_975, variation


def t_cdf(x: float, degrees: int, steps: int = 20_000) -> float:
    """Student's t by integrating its density with Simpson's rule: independent of the table."""
    scale = math.gamma((degrees + 1) / 2) / (math.sqrt(degrees * math.pi) * math.gamma(degrees / 2))

    def density(value: float) -> float:
        return scale * math.pow(1 + value * value / degrees, -(degrees + 1) / 2)

    width = x / steps
    inner = sum((4 if step % 2 else 2) * density(step * width) for step in range(1, steps))
    return 0.5 + width / 3 * (density(0.0) + inner + density(x))


@pytest.mark.parametrize("degrees", [1, 2, 4, 9, 30, 31, 60, 120])
def test_the_quantile_leaves_two_and_a_half_per_cent_above_it(degrees: int) -> None:
    assert t_cdf(t_975(degrees), degrees) == pytest.approx(0.975, abs=2e-5)


def test_no_degrees_of_freedom_is_an_error() -> None:
    with pytest.raises(ValueError, match="degree"):
        t_975(0)


def test_the_interval_is_of_logarithms() -> None:
    interval = log_interval([90.0, 100.0, 111.0])
    assert interval is not None
    logs = [math.log(value) for value in (90.0, 100.0, 111.0)]
    middle = sum(logs) / 3
    sd = math.sqrt(sum((value - middle) ** 2 for value in logs) / 2)
    half = 4.303 * sd / math.sqrt(3)
    assert interval.low == pytest.approx(math.exp(middle - half))
    assert interval.high == pytest.approx(math.exp(middle + half))


@pytest.mark.parametrize("values", [[], [1.0], [1.0, 2.0], [1.0, 0.0, 2.0]])
def test_too_few_or_impossible_values_have_no_interval(values: list[float]) -> None:
    assert log_interval(values) is None


def test_variation_needs_two_values() -> None:
    assert variation([5.0]) is None
    assert variation([9.0, 11.0]) == pytest.approx(math.sqrt(2) / 10)


def test_a_table_is_summed_up_with_its_coverage() -> None:
    rows = [
        RowRatio("a", "matched", 1.0),
        RowRatio("b", "below", 0.81),
        RowRatio("c", "failed", None),
        RowRatio("d", "matched", 1.0),
    ]
    summary = summarise(rows, 8)
    assert summary.geomean == pytest.approx(0.81 ** (1 / 3))
    assert (summary.worst_cell, summary.worst_ratio) == ("b", 0.81)
    assert (summary.compared, summary.rows, summary.coverage) == (3, 8, 0.375)
    assert summary.by_verdict == {"matched": 2, "below": 1, "failed": 1}
    assert summary.hint


def test_a_table_that_only_shows_noise_has_no_hint() -> None:
    rows = [RowRatio(str(index), "matched", 1 + index / 1000) for index in range(8)]
    assert summarise(rows, 8).hint == ""


def test_an_empty_table_has_no_mean() -> None:
    summary = summarise([], 0)
    assert (summary.geomean, summary.worst_cell, summary.log_sd, summary.coverage) == (None, None, None, 0.0)
