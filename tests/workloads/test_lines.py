"""Frames to lines: cut anywhere, bars, glue, escapes, endless lines."""

from itertools import pairwise

from hypothesis import given
from hypothesis import strategies as st

from console.model.attempt import LogFrame
from console.workloads.bars import Bar, read_bar
from console.workloads.lines import LIMIT, Line, LineSplitter
from console.workloads.log_prefix import take_apart


def lines_of(*frames: LogFrame, limit: int = LIMIT) -> list[Line]:
    splitter = LineSplitter(limit)
    found = [line for frame in frames for line in splitter.feed(frame)]
    return [*found, *splitter.flush()]


def texts(raw: bytes) -> list[str]:
    return [line.text for line in lines_of(LogFrame(1, 1, raw))]


def test_a_line_cut_over_frames_is_whole_and_has_the_time_of_its_end() -> None:
    got = lines_of(LogFrame(10, 1, b"INFO hel"), LogFrame(20, 1, b"lo\nnext\n"))
    assert got == [Line(20, 1, "INFO hello"), Line(20, 1, "next")]


def test_streams_do_not_mix() -> None:
    got = lines_of(LogFrame(1, 1, b"out"), LogFrame(2, 2, b"err\n"), LogFrame(3, 1, b"put\n"))
    assert got == [Line(2, 2, "err"), Line(3, 1, "output")]


def test_a_bar_counts_when_it_is_drawn_not_when_the_next_one_comes() -> None:
    splitter = LineSplitter()
    drawn = b"\rProfiling iterations:  20%|##        | 1/5 [00:15<01:03, 15.85s/it]"
    [line] = splitter.feed(LogFrame(7, 2, drawn))
    assert line == Line(7, 2, "Profiling iterations:  20%|##        | 1/5 [00:15<01:03, 15.85s/it]")
    assert list(splitter.flush()) == []


def test_a_log_line_glued_behind_an_unfinished_bar_stands_alone() -> None:
    glued = (
        b"\rCapturing CUDA graph shapes:  97%|#########7| 34/35 [00:30<00:00, 1.75it/s]"
        b"\x1b[1;36m(VllmWorkerProcess pid=533)\x1b[0;0m INFO 07-23 10:00:00 [model_runner.py:1] Graph capturing\n"
    )
    assert texts(glued) == [
        "Capturing CUDA graph shapes:  97%|#########7| 34/35 [00:30<00:00, 1.75it/s]",
        "(VllmWorkerProcess pid=533) INFO 07-23 10:00:00 [model_runner.py:1] Graph capturing",
    ]


def test_carriage_returns_of_a_terminal_and_of_repeated_prefixes_leave_no_blank_lines() -> None:
    assert texts(b"ERROR 01-01 00:00:00 [a.py:1] one\r\nERROR 01-01 00:00:00 [a.py:1] two\r\n\r\n") == [
        "ERROR 01-01 00:00:00 [a.py:1] one",
        "ERROR 01-01 00:00:00 [a.py:1] two",
    ]


def test_an_endless_line_is_cut_and_the_next_one_is_read() -> None:
    got = lines_of(*[LogFrame(n, 1, b"x" * 30) for n in range(10)], LogFrame(11, 1, b"tail\nnext\n"), limit=100)
    assert got == [Line(3, 1, "x" * 100), Line(11, 1, "next")]


def test_the_unfinished_last_line_is_read_at_the_end() -> None:
    assert texts(b"one\ntwo") == ["one", "two"]


def test_stamps_of_docker_logs_are_taken_off_and_used_where_frames_have_no_time() -> None:
    stamped = b"2026-11-22T22:13:12.342280217Z INFO hello\n"
    assert lines_of(LogFrame(0, 1, stamped)) == [Line(1795385592342280217, 1, "INFO hello")]
    assert lines_of(LogFrame(5, 1, stamped)) == [Line(5, 1, "INFO hello")]
    assert lines_of(LogFrame(0, 1, b"2026-99-99T99:99:99Z x\n")) == [Line(0, 1, "x")]


AWKWARD = st.lists(
    st.sampled_from(
        [
            *(b"\r", b"\n", b"\r\n", b"\x1b[0m", "\u2588\u258f".encode(), b"\xff", b"<", b"]", b"word ", b"x" * 40),
            *(b" 1/5 [00:01<00:02, 1it/s]", b"| 12/300 [1:02:03<?, ?it/s]"),
        ]
    ),
    max_size=40,
).map(b"".join)


@given(AWKWARD, st.lists(st.integers(0, 400), max_size=12), st.sampled_from([16, 50, 4096]))
def test_where_bytes_are_cut_makes_no_difference(raw: bytes, cuts: list[int], limit: int) -> None:
    edges = [0, *sorted(min(cut, len(raw)) for cut in cuts), len(raw)]
    parts = [LogFrame(1, 1, raw[a:b]) for a, b in pairwise(edges)]
    assert lines_of(*parts, limit=limit) == lines_of(LogFrame(1, 1, raw), limit=limit)


def test_bars_are_read_with_their_label_counts_and_speeds() -> None:
    real = (
        "Processed prompts: 100%|\u2588\u2588\u2588\u2588\u2588| 12000/12000 "
        "[09:51<00:00, 20.29it/s, est. speed input: 3367.19 toks/s, output: 7217.58 toks/s]"
    )
    assert read_bar(real) == Bar("Processed prompts", 12000, 12000, 591, 3367.19, 7217.58)
    shards = "Loading safetensors checkpoint shards:  56% Completed | 5/9 [00:13<00:11,  2.87s/it]"
    assert read_bar(shards) == Bar("Loading safetensors checkpoint shards", 5, 9, 13)
    assert read_bar("100%|##########| 100/100 [1:00:02<00:00, 39.90it/s]") == Bar("", 100, 100, 3602)
    assert read_bar("Processed prompts:   0%|          | 0/3200 [00:00<?, ?it/s]") == Bar(
        "Processed prompts", 0, 3200, 0
    )


def test_what_is_no_bar_is_none() -> None:
    for text in ("", "50%", "1/2 <", "a 50% of 1/2 [x<y]", "| 1/2 [00:01<00:02, 1it/s]"):
        assert read_bar(text) is None


def test_prefixes_of_every_release_are_taken_off() -> None:
    for text, level, message in (
        ("INFO 03-12 17:54:05 api_server.py:209] msg", "INFO", "msg"),
        ("INFO 04-28 12:31:09 [llm_engine.py:243] msg", "INFO", "msg"),
        ("(VllmWorkerProcess pid=630) ERROR 03-30 01:02:03 [x.py:1] msg", "ERROR", "msg"),
        ("(VllmWorker rank=0 pid=85) ERROR 03-20 23:26:06 [multiproc_executor.py:375]   msg", "ERROR", "  msg"),
        ("(EngineCore_DP0 pid=375) WARNING 03-20 23:26:06 [a.py:1] msg", "WARNING", "msg"),
        ("(Worker_TP0 pid=9) ERROR 03-20 23:26:06 [v1/executor/multiproc_executor.py:597] msg", "ERROR", "msg"),
        ("INFO:     127.0.0.1:48008 - GET", "INFO", "127.0.0.1:48008 - GET"),
        ("[rank0]: ValueError: no", None, "ValueError: no"),
        ("W1122 22:02:23.228000 1 torch/_library/triton.py:53] Triton", "WARNING", "Triton"),
        ("[W1122 22:02:33.831822099 utils.cpp:41] Warning", "WARNING", "Warning"),
        ("plain text", None, "plain text"),
    ):
        prefixed = take_apart(text)
        assert (prefixed.level, prefixed.message) == (level, message), text
