"""Multiplexed bytes to frames with the daemon's time, however they arrive."""

from datetime import UTC, datetime, timedelta, timezone

import pytest
from hypothesis import given
from hypothesis import strategies as st

from console.fleet.engine.frames import DaemonSaid, FrameSplitter, NotMultiplexed, StampReader
from console.model.attempt import LogFrame


def pack(stream: int, payload: bytes) -> bytes:
    return bytes([stream, 0, 0, 0]) + len(payload).to_bytes(4, "big") + payload


FRAMES = st.lists(st.tuples(st.sampled_from([1, 2]), st.binary(min_size=1, max_size=40)), max_size=12)


@given(FRAMES, st.lists(st.integers(1, 30), max_size=40))
def test_any_split_of_the_bytes_gives_the_same_frames(frames: list[tuple[int, bytes]], sizes: list[int]) -> None:
    raw = b"".join(pack(*frame) for frame in frames)
    splitter = FrameSplitter()
    got: list[tuple[int, bytes]] = []
    at = 0
    for size in [*sizes, len(raw)]:
        got += splitter.feed(raw[at : at + size])
        at += size
    assert got == frames
    assert splitter.empty


def test_a_stream_that_ends_inside_a_frame_is_not_empty() -> None:
    splitter = FrameSplitter()
    assert splitter.feed(pack(1, b"whole") + pack(2, b"half")[:-1]) == [(1, b"whole")]
    assert not splitter.empty


@pytest.mark.parametrize("raw", [b"INFO 05-21 10:15:30 starting\r\n", b"\x01\x00\x00\x00\xff\xff\xff\xff...."])
def test_bytes_of_a_terminal_are_told_from_frames(raw: bytes) -> None:
    with pytest.raises(NotMultiplexed):
        FrameSplitter().feed(raw)


@given(st.datetimes(datetime(1970, 1, 2), datetime(2200, 1, 1)), st.integers(0, 999_999_999), st.binary(max_size=20))
def test_the_daemons_time_is_read_to_the_nanosecond_and_taken_off(at: datetime, nanos: int, rest: bytes) -> None:
    at = at.replace(microsecond=0, tzinfo=UTC)
    payload = at.strftime("%Y-%m-%dT%H:%M:%S.").rjust(20, "0").encode() + b"%09dZ " % nanos + rest
    epoch = int((at - datetime(1970, 1, 1, tzinfo=UTC)).total_seconds())
    assert StampReader().frames([(1, payload)]) == [LogFrame(epoch * 10**9 + nanos, 1, rest)]


def test_times_with_fewer_digits_or_another_zone_are_the_same_moment() -> None:
    moment = datetime(2025, 5, 21, 10, 15, 30, 500_000, tzinfo=timezone(timedelta(hours=2)))
    stamps = StampReader()
    frames = stamps.frames([(1, b"2025-05-21T10:15:30.5+02:00 a\n"), (2, b"2025-05-21T08:15:30Z b\n")])
    assert [frame.data for frame in frames] == [b"a\n", b"b\n"]
    assert frames[0].at_ns == round(moment.timestamp() * 10) * 10**8
    assert frames[0].at_ns - frames[1].at_ns == 500_000_000


def test_a_payload_without_a_time_keeps_its_bytes_and_takes_the_time_before() -> None:
    frames = StampReader().frames([(1, b"2025-05-21T08:15:30.000000007Z a\n"), (1, b"no time here\n"), (2, b"")])
    assert [(frame.at_ns % 10**9, frame.data) for frame in frames] == [(7, b"a\n"), (7, b"no time here\n"), (7, b"")]


def test_two_lines_of_one_second_and_one_of_the_next() -> None:
    second = b"2025-05-21T08:15:%d.%09dZ "
    frames = StampReader().frames([(1, second % (30, 1)), (1, second % (30, 2)), (1, second % (31, 0))])
    assert [frame.at_ns - frames[0].at_ns for frame in frames] == [0, 1, 999_999_999]


@pytest.mark.parametrize("frame", [(2, b"Error grabbing logs: unexpected EOF\n"), (3, b"some error")])
def test_an_error_of_the_daemon_itself_is_no_output(frame: tuple[int, bytes]) -> None:
    with pytest.raises(DaemonSaid):
        StampReader().frames([frame])


def test_the_same_words_from_the_program_are_output() -> None:
    stamped = b"2025-05-21T08:15:30.000000001Z Error grabbing logs: by the program\n"
    assert StampReader().frames([(2, stamped)])[0].data == b"Error grabbing logs: by the program\n"
