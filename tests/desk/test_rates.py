"""Which live figure is shown, and how its history stays small."""

import itertools

import pytest
from hypothesis import given
from hypothesis import strategies as st

from console.desk.rates import STALE_NS, Points, Rates
from console.model.attempt import Sample, SampleSource


def sample(
    rate: float | None, metric: str | None = "output_tokens_per_s", source: SampleSource = "stat line"
) -> Sample:
    return Sample(at_ns=0, source=source, metric=metric, rate=rate)


def shown(rates: Rates) -> tuple[str, str, float]:
    rate = rates.now()
    assert rate is not None
    return rate.metric, rate.source, rate.value


def test_nothing_is_shown_before_a_figure_came() -> None:
    rates = Rates("latency_s", 10)
    rates.add(sample(None), 1, measuring=True)
    rates.add(sample(3.0, metric=None), 1, measuring=True)
    rates.add(sample(3.0, metric="furlongs"), 1, measuring=True)
    assert rates.now() is None
    assert list(rates.points()) == []


def test_the_metric_of_the_cell_goes_first_then_tokens() -> None:
    rates = Rates("requests_per_s", 10)
    rates.add(sample(1.0, "elapsed_s"), 1, measuring=True)
    rates.add(sample(2.0, "output_tokens_per_s"), 1, measuring=True)
    assert shown(rates) == ("output_tokens_per_s", "stat line", 2.0)
    rates.add(sample(3.0, "requests_per_s"), 1, measuring=True)
    rates.add(sample(4.0, "output_tokens_per_s"), 2, measuring=True)
    assert shown(rates) == ("requests_per_s", "stat line", 3.0)


def test_two_sources_of_one_metric_do_not_alternate() -> None:
    rates = Rates("output_tokens_per_s", 10)
    rates.add(sample(100.0, source="stat line"), 1, measuring=True)
    rates.add(sample(7.0, source="progress bar"), 2, measuring=True)
    rate = rates.now()
    assert rate is not None
    assert (rate.source, rate.value, rate.mean) == ("stat line", 100.0, 100.0)
    assert [point.value for point in rates.points()] == [100.0]


def test_a_source_that_fell_silent_gives_way() -> None:
    rates = Rates("output_tokens_per_s", 10)
    rates.add(sample(100.0, source="metrics endpoint"), 0, measuring=True)
    rates.add(sample(7.0, source="stat line"), STALE_NS, measuring=True)
    assert shown(rates)[1] == "metrics endpoint"
    rates.add(sample(8.0, source="stat line"), STALE_NS + 1, measuring=True)
    assert shown(rates)[1:] == ("stat line", 8.0)


def test_the_plot_starts_over_when_a_better_figure_appears() -> None:
    rates = Rates("output_tokens_per_s", 10)
    rates.add(sample(7.0, source="progress bar"), 1, measuring=False)
    rates.add(sample(100.0), 2, measuring=False)
    rates.add(sample(8.0, source="progress bar"), 3, measuring=False)
    assert [(point.at_ns, point.value) for point in rates.points()] == [(2, 100.0)]


@given(count=st.integers(1, 3000), limit=st.sampled_from((2, 4, 10, 600)))
def test_a_history_never_outgrows_its_limit_and_covers_all_of_its_time(count: int, limit: int) -> None:
    points = Points(limit)
    for number in range(count):
        points.add(number, float(number))
        assert len(points.read()) <= limit
    read = points.read()
    assert read[-1].at_ns == count - 1
    assert [point.at_ns for point in read] == sorted({point.at_ns for point in read})
    starts = [-1, *(point.at_ns for point in read)]
    widths = [end - start for start, end in itertools.pairwise(starts)]
    assert len(set(widths[:-1])) <= 1  # every point but the last stands for equally many figures
    total = sum(point.value * width for point, width in zip(read, widths, strict=True))
    assert total / count == pytest.approx((count - 1) / 2)
