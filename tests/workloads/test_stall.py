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


def test_a_slow_start_and_a_finished_run_are_no_stall() -> None:
    assert stalled([], 10_000 * SECOND) is None
    assert stalled(steps([0, 1, 2]), 10_000 * SECOND) is None
    assert stalled(steps([0, 1, 2, 3, 4], total=5.0), 10_000 * SECOND) is None
    bars = [Sample(at_ns=n * SECOND, source="progress bar", done=float(n)) for n in range(9)]
    assert stalled(bars, 10_000 * SECOND) is None
