"""Silence is measured on our clock, from the moment a step was heard."""

from console.model.attempt import Sample
from console.runs.stallwatch import StallWatch

SECOND = 1_000_000_000


class Clock:
    """A clock that goes where it is told."""

    def __init__(self) -> None:
        self.now = 0

    def __call__(self) -> int:
        return self.now


def steps(watch: StallWatch, clock: Clock, part: str = "main", count: int = 10, every_s: int = 10) -> None:
    """Steps of ten seconds on a host whose clock is far away from ours."""
    for index in range(count):
        clock.now += every_s * SECOND
        at_ns = 10**18 + index * every_s * SECOND
        watch.heard(part, Sample(at_ns=at_ns, source="iteration line", done=index + 1, total=100, counts="steps"))


def test_a_run_that_makes_steps_is_not_stalled() -> None:
    clock = Clock()
    watch = StallWatch(clock=clock)
    steps(watch, clock)
    clock.now += 20 * SECOND
    assert watch.verdict() is None


def test_a_long_silence_is_a_stall_whatever_the_host_s_clock_says() -> None:
    clock = Clock()
    watch = StallWatch(clock=clock)
    steps(watch, clock)
    clock.now += 120 * SECOND
    assert "stalled" in (watch.verdict() or "")


def test_what_was_printed_while_the_link_was_down_gets_time_to_arrive() -> None:
    clock = Clock()
    watch = StallWatch(clock=clock)
    steps(watch, clock)
    clock.now += 600 * SECOND
    watch.start_again()
    assert watch.verdict() is None


def test_nothing_is_said_of_programs_that_print_no_steps() -> None:
    clock = Clock()
    watch = StallWatch(clock=clock)
    watch.heard("main", Sample(at_ns=1, source="stat line", metric="output_tokens_per_s", rate=1.0))
    clock.now += 10**6 * SECOND
    assert watch.verdict() is None


def test_in_a_lab_that_plays_fast_silence_counts_in_its_own_time() -> None:
    clock = Clock()
    watch = StallWatch(1000.0, clock)
    for index in range(10):
        clock.now += SECOND // 100
        at_ns = 10**18 + index * SECOND // 100
        watch.heard("main", Sample(at_ns=at_ns, source="iteration line", done=index + 1, total=100, counts="steps"))
    clock.now += 9 * SECOND
    assert watch.verdict() is None, "a busy machine is silent that long too"
    clock.now += 2 * SECOND
    assert "a step takes 10" in (watch.verdict() or "")


def test_a_row_may_say_that_it_is_never_stalled() -> None:
    clock = Clock()
    watch = StallWatch(clock=clock, after_s=0)
    steps(watch, clock)
    clock.now += 100_000 * SECOND
    assert watch.verdict() is None
