"""The log of a part is its bytes, verbatim; what was never committed can be cut off again."""

import hashlib
import tempfile
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from console.model.attempt import LogFrame
from console.model.events import Cursor
from console.store.errors import LogDamaged, StoreError
from console.store.logfile import PartLog
from console.store.paths import StateFolder

FRAMES = st.lists(
    st.builds(LogFrame, st.integers(0, 2**62), st.sampled_from((1, 2)), st.binary(max_size=200)), max_size=12
)


@pytest.fixture
def log(folder: StateFolder) -> PartLog:
    return PartLog(folder, "a1", "server")


def cursor(lengths: tuple[int, int]) -> Cursor:
    return Cursor(
        attempt="a1",
        part="server",
        container_id="f",
        last_at_ns=0,
        seen_at_last=(),
        log_bytes=lengths[0],
        index_bytes=lengths[1],
    )


@settings(max_examples=40, deadline=None)
@given(batches=st.lists(FRAMES, max_size=4))
def test_frames_come_back_as_they_went_in(batches: list[list[LogFrame]]) -> None:
    with tempfile.TemporaryDirectory() as place:
        folder = StateFolder.open(Path(place))
        with PartLog(folder, "a1", "server") as log:
            for batch in batches:
                log.append(batch)
        payload = b"".join(frame.data for batch in batches for frame in batch)
        reader = PartLog(folder, "a1", "server")
        assert list(reader.frames()) == [frame for batch in batches for frame in batch]
        assert reader.sha256() == hashlib.sha256(payload).hexdigest()
        if batches:
            assert reader.path.read_bytes() == payload


@settings(max_examples=40, deadline=None)
@given(kept=FRAMES, lost=FRAMES, log_noise=st.binary(max_size=40), index_noise=st.binary(max_size=40))
def test_cutting_to_the_cursor_removes_exactly_what_was_not_committed(
    kept: list[LogFrame], lost: list[LogFrame], log_noise: bytes, index_noise: bytes
) -> None:
    with tempfile.TemporaryDirectory() as place:
        folder = StateFolder.open(Path(place))
        with PartLog(folder, "a1", "server") as log:
            committed = cursor(log.append(kept))
            log.append(lost)
            with log.path.open("ab") as payload, log.index.open("ab") as index:
                payload.write(log_noise)
                index.write(index_noise)
            assert list(log.frames(committed)) == kept
            log.truncate(committed)
            assert list(log.frames()) == kept
            assert log.append(lost)[0] == sum(len(frame.data) for frame in kept + lost)
            assert list(log.frames()) == kept + lost


def test_without_a_cursor_nothing_was_committed(log: PartLog) -> None:
    log.append([LogFrame(1, 1, b"x\n")])
    log.truncate(None)
    assert list(log.frames()) == []
    assert log.append([]) == (0, 0)


@pytest.mark.parametrize("file", ["path", "index"])
def test_a_log_shorter_than_committed_is_named_and_not_cut_further(log: PartLog, file: str) -> None:
    committed = cursor(log.append([LogFrame(1, 1, b"first\n"), LogFrame(2, 1, b"second\n")]))
    path: Path = getattr(log, file)
    path.write_bytes(path.read_bytes()[:-1])
    before = log.path.read_bytes(), log.index.read_bytes()
    with pytest.raises(LogDamaged, match="read again from the start"):
        log.truncate(committed)
    assert (log.path.read_bytes(), log.index.read_bytes()) == before
    log.truncate(None)
    assert log.append([]) == (0, 0)


@pytest.mark.parametrize("file", ["path", "index"])
def test_a_reader_stops_before_a_frame_that_is_not_whole(log: PartLog, file: str) -> None:
    log.append([LogFrame(1, 1, b"first\n"), LogFrame(2, 2, b"second\n")])
    path: Path = getattr(log, file)
    path.write_bytes(path.read_bytes()[:-1])
    assert list(log.frames()) == [LogFrame(1, 1, b"first\n")]


@pytest.mark.parametrize(
    ("payload", "lines"),
    [
        (b"", []),
        (b"one", [b"one"]),
        (b"one\ntwo\nthree\n", [b"two", b"three"]),
        (b"one\ntwo\nthr", [b"two", b"thr"]),
        (b"\n\n\n", [b"", b""]),
        (b"long " * 40_000 + b"\n" + b"last\n", [b"long " * 40_000, b"last"]),
    ],
)
def test_the_last_lines_come_oldest_first(log: PartLog, payload: bytes, lines: list[bytes]) -> None:
    log.append([LogFrame(1, 1, payload)])
    assert log.last_lines(2) == lines
    assert log.last_lines(0) == []


@settings(max_examples=60, deadline=None)
@given(lines=st.lists(st.binary(max_size=30).filter(lambda line: b"\n" not in line)), count=st.integers(1, 10))
def test_the_last_lines_are_those_of_the_whole_text(lines: list[bytes], count: int) -> None:
    with tempfile.TemporaryDirectory() as place, PartLog(StateFolder.open(Path(place)), "a1", "p") as log:
        log.append([LogFrame(1, 1, b"".join(line + b"\n" for line in lines))])
        assert log.last_lines(count) == lines[-count:]


def test_no_more_than_the_limit_is_looked_at(log: PartLog) -> None:
    log.append([LogFrame(1, 1, b"x" * 1000 + b"\nend\n")])
    assert log.last_lines(2, limit=10) == [b"xxxxx", b"end"]


def test_a_log_never_written_reads_as_empty(log: PartLog) -> None:
    assert list(log.frames()) == []
    assert log.last_lines(3) == []
    assert log.sha256() == hashlib.sha256(b"").hexdigest()
    assert not log.path.parent.exists()


def test_a_log_that_cannot_be_written_is_explained(log: PartLog) -> None:
    log.path.parent.parent.mkdir(exist_ok=True)
    log.path.parent.write_text("in the way")
    with pytest.raises(StoreError, match=r"could not be written.*--resume"):
        log.append([LogFrame(1, 1, b"x")])
