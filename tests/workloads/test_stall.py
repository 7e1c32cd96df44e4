"""When a run without a new step counts as stalled."""

from console.model.attempt import Sample
from console.workloads.stall import stalled

SECOND = 1_000_000_000


def steps(times_s: list[float], total: float | None = 50.0) -> list[Sample]:
    """Steps at these times, with the second sample every step brings."""
    found = []
    for number, at in enumerate(times_s, start=1):
        at_ns = round(at * SECOND)
        found.append(
            Sample(at_ns=at_ns, source="iteration line", done=float(number), total=total, counts="steps", rate=1.0)
        )
        found.append(Sample(at_ns=at_ns, source="iteration line", metric="tokens_per_s_per_gpu", rate=1.0))
    return found


def test_five_times_the_median_without_a_step_is_a_stall() -> None:
    pace = steps([600, 700, 800, 811, 822, 833, 844, 855, 866])  # the first steps compile
    assert stalled(pace, (866 + 60) * SECOND) is None
    assert stalled(pace, (866 + 61) * SECOND) == "no step for 1 min 01 s after step 9; a step takes 11 s: stalled"


def test_the_pace_of_slow_steps_is_their_own() -> None:
    pace = steps([0, 50, 100, 150, 200])
    assert stalled(pace, (200 + 240) * SECOND) is None
    assert stalled(pace, (200 + 260) * SECOND) is not None


def test_quick_steps_are_given_a_minute() -> None:
    pace = steps([number * 0.2 for number in range(20)])
    assert stalled(pace, 60 * SECOND) is None
    assert "less than a second" in (stalled(pace, 70 * SECOND) or "")


def test_silence_after_a_step_that_something_else_follows_is_none() -> None:
    pace = steps([0, 1, 2, 3, 4])
    loading = [*pace, Sample(at_ns=5 * SECOND, source="iteration line", done=6.0, total=50.0, pause=True)]
    assert stalled(loading, 1_000 * SECOND) is None
    again = [*loading, Sample(at_ns=900 * SECOND, source="iteration line", done=7.0, total=50.0)]
    assert stalled(again, 1_000 * SECOND) is not None


def test_a_row_may_say_after_how_long_and_without_a_total_it_must() -> None:
    pace, endless = steps([0, 1, 2, 3, 4]), steps([0, 1, 2, 3, 4], total=None)
    assert stalled(pace, 100 * SECOND, 300.0) is None
    assert stalled(pace, 400 * SECOND, 300.0) is not None
    assert stalled(pace, 10_000 * SECOND, 0) is None
    assert stalled(endless, 10_000 * SECOND) is None, "which step is the last is not known"
    assert stalled(endless, 400 * SECOND, 300.0) is not None


def test_a_slow_start_and_a_finished_run_are_no_stall() -> None:
    assert stalled([], 10_000 * SECOND) is None
    assert stalled(steps([0, 1, 2]), 10_000 * SECOND) is None
    assert stalled(steps([0, 1, 2, 3, 4], total=5.0), 10_000 * SECOND) is None
    bars = [Sample(at_ns=n * SECOND, source="progress bar", done=float(n)) for n in range(9)]
    assert stalled(bars, 10_000 * SECOND) is None
