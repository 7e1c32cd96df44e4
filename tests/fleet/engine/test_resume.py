"""A log that breaks anywhere goes on exactly, also when the daemon's times do not rise."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from console.model.attempt import LogFrame
from console.model.events import Cursor
from console.model.resume import LOOK_BACK_NS, MARK_LIMIT, Resume, advance

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
    for _ in range(draw(st.integers(0, 40))):
        now += draw(st.sampled_from([0, 0, 1, 1000, 400_000_000, 5_000_000_000]))
        stream = draw(st.sampled_from([1, 2]))
        ends = draw(st.booleans())
        data = draw(st.sampled_from([b"x", b"y", b"bar 10%"])) + (b"\n" if ends else b"")
        at = began.get(stream)
        if at is None:
            at = now - draw(st.sampled_from([0, 0, 3, LOOK_BACK_NS // 2]))  # stamped before it is put in order
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
    point, seen = advance(None, [bar, *lines])
    assert point <= bar.at_ns
    assert len(seen) == 30
    point, seen = advance(cursor(point, seen), [LogFrame(bar.at_ns, 2, b"100%\n"), LogFrame(50 * 10**9, 1, b"later\n")])
    assert point == 49 * 10**9
    assert len(seen) == 1


def test_a_flood_does_not_make_the_cursor_grow() -> None:
    flood = [LogFrame(10**12 + n, 1, b"line %d\n" % n) for n in range(10_000)]
    point, seen = advance(None, flood)
    assert len(seen) == MARK_LIMIT
    assert Resume(cursor(point, seen)).fresh(daemon_log(flood, point)) == []


def test_frames_the_daemon_has_dropped_are_counted_as_missing() -> None:
    log = [LogFrame(10**12 + n, 1, b"line %d\n" % n) for n in range(10)]
    resume = Resume(cursor(*advance(None, log[:5])))
    assert resume.fresh(log[3:]) == log[5:]
    assert resume.missing == 3


def test_nothing_stored_yet_means_everything_is_new() -> None:
    log = [LogFrame(1, 1, b"a\n"), LogFrame(0, 2, b"b\n")]
    assert Resume(None).fresh(log) == log


@pytest.mark.parametrize("frames", [[], [LogFrame(7, 1, b"x\n")]])
def test_an_empty_batch_leaves_the_cursor_where_it_was(frames: Log) -> None:
    before = cursor(*advance(None, frames)) if frames else None
    assert advance(before, []) == ((before.last_at_ns, before.seen_at_last) if before else (0, ()))
