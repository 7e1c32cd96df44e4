"""Times as people write them."""

from datetime import UTC, datetime, timedelta

import click
import pytest

from console.cli import times

NOW = datetime(2026, 3, 1, 12, 0, tzinfo=UTC)


@pytest.mark.parametrize(
    ("text", "seconds"), [("90", 90), ("90s", 90), ("15m", 900), ("1h30m", 5400), ("2d", 172800), ("1.5 h", 5400)]
)
def test_durations(text: str, seconds: float) -> None:
    assert times.seconds(text) == seconds


@pytest.mark.parametrize("text", ["", "soon", "5x", "h", "1h!"])
def test_other_durations_are_refused(text: str) -> None:
    with pytest.raises(click.BadParameter, match="is not a time"):
        times.seconds(text)


def at(text: str) -> datetime:
    return datetime.fromtimestamp(times.moment_ns(text, NOW) / 1e9, UTC)


def test_a_moment_may_be_relative_absolute_or_a_time_of_day() -> None:
    assert at("+2h") == NOW + timedelta(hours=2)
    assert at("2026-03-01T13:30:00Z") == NOW + timedelta(minutes=90)
    local = NOW.astimezone()
    assert at(f"{(local + timedelta(minutes=5)):%H:%M}") == NOW + timedelta(minutes=5)
    assert at(f"{(local - timedelta(minutes=5)):%H:%M}") == NOW + timedelta(hours=24, minutes=-5)


@pytest.mark.parametrize("text", ["24:00", "tomorrow", "2026-02-01T00:00Z", "+soon"])
def test_other_moments_and_past_ones_are_refused(text: str) -> None:
    with pytest.raises(click.BadParameter):
        times.moment_ns(text, NOW)


def test_printed_times_are_utc_iso() -> None:
    assert times.iso(1_772_366_400_123_456_789) == "2026-03-01T12:00:00Z"
    assert times.iso(None) is None
