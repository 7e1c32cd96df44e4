"""Logs by pages: forwards, backwards, at a time, searched, and while they grow or are cut."""

import re
from collections.abc import Sequence
from pathlib import Path

import pytest

from console.desk import logs
from console.desk.logs import Line, LogFile
from console.desk.settings import Options, Settings, load
from console.model.attempt import LogFrame
from console.model.events import Cursor
from console.store.logfile import PartLog
from console.store.paths import StateFolder


@pytest.fixture
def folder(tmp_path: Path) -> StateFolder:
    return StateFolder.open(tmp_path)


def written(folder: StateFolder, lines: Sequence[bytes], part: str = "main", begin_ns: int = 1000) -> LogFile:
    """A log with one frame a line, ten nanoseconds apart."""
    with PartLog(folder, "a1", part) as log:
        log.append([LogFrame(begin_ns + 10 * n, 1, line) for n, line in enumerate(lines)])
    return LogFile(log.path, log.index)


def texts(lines: Sequence[Line]) -> list[str]:
    return [line.text for line in lines]


def numbered(count: int) -> list[bytes]:
    return [b"line %d\n" % n for n in range(count)]


def test_a_log_that_is_not_there_is_empty(folder: StateFolder) -> None:
    log = LogFile(folder.root / "no.log", folder.root / "no.idx")
    assert log.size() == 0
    assert log.tail().lines == ()
    assert log.after(0).lines == ()
    assert log.find(re.compile("x"), 0) is None


def test_pages_backwards_give_every_line_once(folder: StateFolder) -> None:
    log = written(folder, numbered(5000))
    page = log.tail(limit=1000)
    assert page.end == page.size == log.size()
    found = list(page.lines)
    while page.start > 0:
        page = log.before(page.start, limit=1000)
        assert page.lines
        found = [*page.lines, *found]
    assert texts(found) == [f"line {n}" for n in range(5000)]
    assert [line.end for line in found[:-1]] == [line.start for line in found[1:]]


def test_pages_forwards_give_every_line_once_with_its_time(folder: StateFolder) -> None:
    log = written(folder, numbered(10_000))
    offset, found = 0, list[Line]()
    while offset < log.size():
        page = log.after(offset, limit=5000)
        found += page.lines
        offset = page.end
    assert texts(found) == [f"line {n}" for n in range(10_000)]
    assert [line.at_ns for line in found] == [1000 + 10 * n for n in range(10_000)]


def test_an_unfinished_line_is_told_apart_and_is_whole_later(folder: StateFolder) -> None:
    with PartLog(folder, "a1", "main") as log:
        log.append([LogFrame(1, 1, b"one\ntw")])
        reader = LogFile(log.path, log.index)
        first = reader.tail()
        assert [(line.text, line.whole) for line in first.lines] == [("one", True), ("tw", False)]
        log.append([LogFrame(2, 1, b"o\nthree\n")])
        second = reader.after(first.lines[-1].start)
    assert [(line.text, line.whole) for line in second.lines] == [("two", True), ("three", True)]


def test_only_what_a_progress_bar_says_last_is_shown(folder: StateFolder) -> None:
    log = written(folder, [b"begin\r\n", b"10%\r20%\r30%\r\n", b"40%\r50%"])
    assert texts(log.tail().lines) == ["begin", "30%", "50%"]


def test_escapes_and_secrets_are_gone_and_lines_stay_in_step(folder: StateFolder) -> None:
    log = written(folder, [b"\x1b[31mred\x1b[0m\n", b"token hf_abcdefghijkl\n", b"\x1b]0;title\n", b"last \xff\n"])
    page = log.tail()
    assert texts(page.lines) == ["red", "token [redacted]", "", "last \ufffd"]
    assert log.after(page.lines[3].start).lines[0].text == "last \ufffd"


def test_a_line_longer_than_a_page_is_passed_through(folder: StateFolder) -> None:
    log = written(folder, [b"before\n", b"x" * 300_000 + b"\n", b"after\n"])
    page, starts = log.tail(limit=10_000), []
    while page.start > 0:
        starts.append(page.start)
        page = log.before(page.start, limit=10_000)
    assert starts == sorted(set(starts), reverse=True)
    assert page.lines[0].text == "before"
    assert max(len(line.text) for line in log.after(0, limit=400_000).lines) <= logs.SHOWN


def test_searching_forwards_and_backwards_over_pages(folder: StateFolder, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(logs, "_SEARCH_BYTES", 512)
    log = written(
        folder, [b"\x1b[1mERR\x1b[0mOR %d\n" % n if n % 400 == 100 else b"fine %d\n" % n for n in range(1000)]
    )
    pattern = re.compile("ERROR")
    first = log.find(pattern, 0)
    assert first is not None
    line = log.after(first).lines[0]
    assert line.text == "ERROR 100"
    second = log.find(pattern, line.end)
    assert second is not None
    assert log.after(second).lines[0].text == "ERROR 500"
    assert log.find(pattern, second, backwards=True) == first
    assert log.find(pattern, first, backwards=True) is None
    last = log.find(pattern, log.size(), backwards=True)
    assert last is not None
    assert log.after(last).lines[0].text == "ERROR 900"
    assert log.find(re.compile("nowhere"), 0) is None
    assert log.find(pattern, 0, dropped=lambda: True) is None


def test_a_search_finds_what_is_shown_and_nothing_else(folder: StateFolder) -> None:
    log = written(
        folder, [b"10%\r30%\r\n", b"Err\x00or\n", b"zero\xe2\x80\x8bwidth\n", b"caf\xc3\xa9 \x1b[1;31mhot\x1b[m\n"]
    )

    def found(text: str) -> str | None:
        at = log.find(re.compile(text, re.MULTILINE), 0)
        return None if at is None else log.after(at).lines[0].text

    assert found("^30%$") == "30%"
    assert found("10%") is None
    assert found("Error") == "Error"
    assert found("zerowidth") == "zerowidth"
    assert found("é hot$") == "café hot"


def test_the_lines_around_a_place(folder: StateFolder) -> None:
    log = written(folder, numbered(1000))
    at = log.find(re.compile("line 500"), 0)
    assert at is not None
    page = log.around(at, limit=400)
    assert "line 500" in texts(page.lines)
    assert 5 < texts(page.lines).index("line 500") < len(page.lines) - 5
    assert log.around(0, limit=400).lines[0].text == "line 0"


def test_a_log_up_to_a_time(folder: StateFolder) -> None:
    log = written(folder, numbered(9000), begin_ns=0)
    for count in (0, 1, 4096, 4097, 8999, 9000):
        size = log.size(until_ns=count * 10 - 1)
        assert texts(log.tail(200, until_ns=count * 10 - 1).lines)[-1:] == ([f"line {count - 1}"] if count else [])
        assert log.after(0, 1 << 20, size).end == size
    assert log.size(until_ns=1 << 60) == log.size()
    assert log.newlines(0, until_ns=99) == 10


def test_a_log_that_was_cut_is_read_anew(folder: StateFolder) -> None:
    log = written(folder, numbered(9000))
    assert log.tail().lines[-1].at_ns == 1000 + 10 * 8999
    half = Cursor(
        attempt="a1", part="main", container_id="c", last_at_ns=0, seen_at_last=(), log_bytes=70, index_bytes=160
    )
    with PartLog(folder, "a1", "main") as cut:
        cut.truncate(half)
        cut.append([LogFrame(7, 1, b"again\n")])
    page = log.tail()
    assert texts(page.lines)[-2:] == ["line 9", "again"]
    assert page.lines[-1].at_ns == 7


def test_a_log_without_index_has_no_times(folder: StateFolder) -> None:
    log = written(folder, numbered(3))
    (folder.attempt("a1") / "main.idx").unlink()
    assert [line.at_ns for line in log.tail().lines] == [None, None, None]
    assert log.size(until_ns=5) == log.size()


def test_a_share_of_a_log_begins_with_a_whole_line(folder: StateFolder) -> None:
    log = written(folder, numbered(1000))
    assert log.at(0).lines[0].text == "line 0"
    middle = log.at(0.5).lines[0]
    assert re.fullmatch(r"line \d+", middle.text)
    assert 400 < int(middle.text.split()[1]) < 600


def test_parts_of_an_attempt_in_their_natural_order(tmp_path: Path) -> None:
    settings: Settings = load(Options(store=tmp_path), {})
    folder = StateFolder.open(tmp_path)
    for part in ("rank10", "rank2", "rank0"):
        written(folder, [b"x\n"], part)
    assert [item.part for item in logs.parts(settings, "a1")] == ["rank0", "rank2", "rank10"]
    assert logs.parts(settings, "a2") == ()
    assert logs.open_log(settings, "a1", "rank2").tail().lines[0].text == "x"
