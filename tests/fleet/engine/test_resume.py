"""A log that breaks anywhere goes on exactly, also when the daemon's times do not rise."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from console.model.attempt import LogFrame
from console.model.events import Cursor
from console.model.resume import LOOK_BACK_NS, Resume, advance

Log = list[LogFrame]


def cursor(point: int, seen: tuple[str, ...]) -> Cursor:
    return Cursor(
        attempt="a", part="p", container_id="c", last_at_ns=point, seen_at_last=seen, log_bytes=0, index_bytes=0
    )


def daemon_log(log: Log, since: int) -> Log:
    """What the daemon sends: everything not before `since`, in the order it was written."""
    return [frame for frame in log if frame.at_ns >= since]


def follow_with_breaks(log: Log, lengths: list[int]) -> Log:
    """Read the log in sittings of so many daemon frames each, as one batch or several, and store what is new."""
    stored: Log = []
    at: Cursor | None = None
    for length in [*lengths, len(log)]:
        sent = daemon_log(log, at.last_at_ns if at else 0)[:length]
        resume = Resume(at)
        for start in range(0, len(sent), 3):
            fresh = resume.fresh(sent[start : start + 3])
            if fresh:
                stored += fresh
                at = cursor(*advance(at, fresh))
    return stored


@st.composite
def logs(draw: st.DrawFn) -> Log:
    """Two streams; a line may come in pieces that all carry the time of the first, while the other goes on."""
    log: Log = []
    now = 1_000_000_000_000
    began: dict[int, int] = {}
    latest: dict[int, int] = {}
    for _ in range(draw(st.integers(0, 40))):
        now += draw(st.sampled_from([0, 0, 1, 1000, 400_000_000, 5_000_000_000]))
        stream = draw(st.sampled_from([1, 2]))
        ends = draw(st.booleans())
        data = draw(st.sampled_from([b"x", b"y", b"bar 10%"])) + (b"\n" if ends else b"")
        at = began.get(stream)
        if at is None:  # stamped before it is put in order, but in order within its stream
            at = max(latest.get(stream, 0), now - draw(st.sampled_from([0, 0, 3, LOOK_BACK_NS // 2])))
        latest[stream] = at
        began.pop(stream, None) if ends else began.setdefault(stream, at)
        log.append(LogFrame(at, stream, data))
    return log


@given(logs(), st.lists(st.integers(0, 45), max_size=6))
def test_no_frame_is_lost_or_repeated_wherever_the_stream_breaks(log: Log, lengths: list[int]) -> None:
    assert follow_with_breaks(log, lengths) == log


def test_equal_frames_of_one_nanosecond_are_counted() -> None:
    piece = LogFrame(5_000_000_000, 2, b"#" * 16384)
    log = [piece, piece, piece, LogFrame(5_000_000_000, 2, b"end\n")]
    assert follow_with_breaks(log, [1, 2, 3]) == log


def test_a_bar_that_is_not_finished_holds_the_point_back() -> None:
    bar = LogFrame(10_000_000_000, 2, b"\r 1%")
    lines = [LogFrame(10_000_000_000 + n * LOOK_BACK_NS, 1, b"line\n") for n in range(1, 30)]
    open_bar = cursor(*advance(None, [bar, *lines]))
    assert open_bar.last_at_ns <= bar.at_ns
    after = cursor(*advance(open_bar, [LogFrame(bar.at_ns, 2, b"100%\n"), LogFrame(50 * 10**9, 1, b"later\n")]))
    assert after.last_at_ns == 49 * 10**9


def test_a_flood_and_a_long_bar_do_not_make_the_cursor_grow() -> None:
    flood = [LogFrame(10**12, 2, b"#" * 100), *(LogFrame(10**12 + n, 1, b"line %d\n" % n) for n in range(10_000))]
    long_bar = [LogFrame(10**12, 2, b"#" * 100)] * 5000
    log = [*flood, *long_bar, LogFrame(10**12 + 20_000, 1, b"new\n")]
    point, seen = advance(None, log[:-1])
    assert len(seen) == 2
    assert Resume(cursor(point, seen)).fresh(daemon_log(log, point)) == log[-1:]


def test_frames_the_daemon_has_dropped_are_noticed() -> None:
    log = [LogFrame(10**12 + n, 1, b"line %d\n" % n) for n in range(10)]
    resume = Resume(cursor(*advance(None, log[:5])))
    assert resume.fresh(log[7:]) == log[7:]
    assert resume.missing == 1


def test_a_line_of_the_same_moment_that_is_another_is_noticed() -> None:
    resume = Resume(cursor(*advance(None, [LogFrame(10**12, 1, b"one\n")])))
    assert resume.fresh([LogFrame(10**12, 1, b"other\n")]) == [LogFrame(10**12, 1, b"other\n")]
    assert resume.missing == 1


def test_a_clock_set_back_loses_nothing() -> None:
    log = [LogFrame(at * 10**9, 1, b"%d\n" % at) for at in (100, 101, 102, 50, 51, 52, 53)]
    stored = follow_with_breaks(log, [5])
    assert stored[:5] == log[:5]
    assert stored[-2:] == log[-2:]


def test_nothing_stored_yet_means_everything_is_new() -> None:
    log = [LogFrame(1, 1, b"a\n"), LogFrame(0, 2, b"b\n")]
    assert Resume(None).fresh(log) == log


@pytest.mark.parametrize("frames", [[], [LogFrame(7, 1, b"x\n")]])
def test_an_empty_batch_leaves_the_cursor_where_it_was(frames: Log) -> None:
    before = cursor(*advance(None, frames)) if frames else None
    assert advance(before, []) == ((before.last_at_ns, before.seen_at_last) if before else (0, ()))
