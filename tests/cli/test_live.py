"""The live view, drawn from recorded boards. No test here reads a clock."""

import io
from collections.abc import Sequence

import msgspec
import pytest
from rich.console import Console

from console.catalog import shelf
from console.cli.live import LineDisplay, TableDisplay, render
from console.cli.live_rows import bar, details_of, worth_showing
from console.cli.printing import cell_width
from console.desk.board import Board
from console.model import events as ev
from console.model.attempt import (
    Failure,
    FailureClass,
    MetricValue,
    Outcome,
    Phase,
    PhaseSeen,
    Result,
    Sample,
    Stage,
)
from console.model.cell import Conditions
from console.model.units import clock

RUN = "r1"
START_NS = 1_772_366_400 * 10**9
MATRIX = "vllm-0.8.5-throughput"


class Recorder:
    """Events as a conductor would journal them, one second apart unless said otherwise."""

    def __init__(self) -> None:
        self.events: list[ev.Envelope] = []
        self.now_ns = START_NS

    def tell(self, event: ev.Event, attempt: str | None = None, *, later_s: int = 1) -> None:
        self.now_ns += later_s * 10**9
        self.events.append(
            ev.Envelope(at_ns=self.now_ns, event=event, run=RUN, attempt=attempt, seq=len(self.events) + 1)
        )

    def plan(
        self, name: str, position: int, hosts: tuple[str, ...], metric: str = "output_tokens_per_s", precision: str = ""
    ) -> None:
        cell: dict[str, object] = {
            "matrix": MATRIX,
            "id": f"llama-3.1-70b-in128-out{position}",
            "title": "Llama",
            "model": "m/m",
        }
        cell |= {"workload": "vllm-throughput", "metric": metric, "precision": precision, "nodes": 1, "references": []}
        self.tell(
            ev.AttemptPlanned(
                matrix=MATRIX,
                cell_id=f"llama-3.1-70b-in128-out{position}",
                workload="vllm-throughput",
                cell=msgspec.Raw(msgspec.json.encode(cell)),
                wish=hosts,
                repeat=1,
                attempt_try=1,
                expected_s=100.0,
                startup_s=60.0,
                position=position,
            ),
            name,
        )


def recorded() -> Recorder:
    """Five attempts: one measuring, one fetching, one ok, one failed, one waiting."""
    rec = Recorder()
    opened = ev.RunOpened(
        label="nightly", matrices=(MATRIX,), hosts=("node01",), operator="me", version="0", attempts=5, simulated=True
    )
    rec.tell(opened)
    for position, name in enumerate(("a1", "a2", "a3", "a4", "a5")):
        rec.plan(name, position, (f"node0{position + 1}",))
    rec.tell(ev.StageEntered(Stage.RUNNING), "a1")
    rec.tell(PhaseSeen(rec.now_ns, Phase.MEASURING), "a1")
    for done, rate in ((10, 15000.0), (50, 16000.0)):
        sample = Sample(
            at_ns=rec.now_ns,
            source="stat line",
            metric="output_tokens_per_s",
            rate=rate,
            done=done,
            total=100,
            counts="prompts",
        )
        rec.tell(sample, "a1", later_s=10)
    rec.tell(ev.StageEntered(Stage.FETCHING), "a2")
    fetch = ev.FetchProgress(host="node02", what="image", name="rocm/vllm", done_bytes=25, total_bytes=100)
    rec.tell(fetch, "a2")
    result = Result(headline="output_tokens_per_s", values=(MetricValue(metric="output_tokens_per_s", value=16622.2),))
    rec.tell(ev.AttemptEnded(outcome=Outcome.OK, result=result, conditions=Conditions()), "a3")
    failure = Failure(failure=FailureClass.OUT_OF_MEMORY_GPU, line="HIP out of memory\x1b[2J. Tried to allocate 2 GiB")
    rec.tell(ev.AttemptEnded(outcome=Outcome.FAILED, failure=failure), "a4")
    return rec


def drawn(rec: Recorder, width: int, height: int = 30) -> list[str]:
    board = Board()
    board.apply(rec.events)
    out = io.StringIO()
    console = Console(file=out, width=width, height=height, color_system=None, legacy_windows=False)
    console.print(render(board, RUN, rec.now_ns, width, height))
    return out.getvalue().rstrip("\n").split("\n")


def test_the_table_on_eighty_columns() -> None:
    assert drawn(recorded(), 80) == [
        "r1 nightly SIMULATED: 2/5 done, 1 ok, 1 failed, 2 active, 2:40 left",
        "cell                  host       state        progress       now     mean   left",
        "…-3.1-70b-in128-out0  node01     measuring    ██░░  50%  16000.0  15500.0   0:00",
        "…-3.1-70b-in128-out1  node02     fetching     █░░░  25%                     2:40",
        "…-3.1-70b-in128-out2  node03     ok           tok/s               16622.2",
        "…-3.1-70b-in128-out3  node04     failed       out_of_memory_gpu: HIP out of mem…",
        "…-3.1-70b-in128-out4  node05     planned                                    2:40",
    ]


@pytest.mark.parametrize("width", [40, 60, 72, 80, 100, 120, 200])
def test_no_line_is_wider_than_the_terminal(width: int) -> None:
    assert max(cell_width(line) for line in drawn(recorded(), width)) <= width


def test_a_wide_terminal_shows_whole_names_and_the_reason_of_a_failure() -> None:
    text = "\n".join(drawn(recorded(), 160))

    assert "llama-3.1-70b-in128-out0" in text
    assert "out_of_memory_gpu: HIP out of memory. Tried to allocate 2 GiB" in text
    assert "\x1b" not in text


def training() -> Recorder:
    """One attempt, which trains."""
    rec = Recorder()
    rec.tell(
        ev.RunOpened(
            label="", matrices=(MATRIX,), hosts=("node01",), operator="me", version="0", attempts=1, simulated=False
        )
    )
    rec.plan("a1", 0, ("node01",), "tflops_per_s_per_gpu", "FP8")
    rec.tell(ev.PreflightDone((), {"node01": Conditions(gpu="MI300X")}), "a1")
    rec.tell(ev.StageEntered(Stage.RUNNING), "a1")
    rec.tell(PhaseSeen(rec.now_ns, Phase.MEASURING), "a1")
    figures = {"tokens_per_s_per_gpu": 11916.2, "tokens_per_s_per_node": 95329.6, "step_s": 11.0, "loss": 7.2722}
    sample = Sample(
        at_ns=rec.now_ns,
        source="iteration line",
        metric="tflops_per_s_per_gpu",
        rate=690.2,
        done=25,
        total=50,
        counts="steps",
        extra={**figures, "gpu_memory_used": 0.7494, "gpu_memory_bytes": 1.5e11},
    )
    rec.tell(sample, "a1", later_s=10)
    return rec


def test_a_wide_terminal_shows_the_step_of_a_training_row_as_far_as_it_fits() -> None:
    said = "11,916 tok/s/GPU, 95,330 tok/s/node, 11.00 s/step, loss 7.272, memory 74.9 %"
    [wide] = [line for line in drawn(training(), 230) if "out0" in line]
    assert wide.endswith(f"  {said}")
    [narrow] = [line for line in drawn(training(), 190) if "out0" in line]
    assert said.startswith(narrow.split("  ")[-1])
    assert "…" not in narrow
    assert len(drawn(training(), 80)[2]) <= 80


def test_a_training_rows_step_is_news_for_a_log(capsys: pytest.CaptureFixture[str]) -> None:
    last = lines_of(training().events, capsys)[-1]
    assert last.endswith(
        "measuring: 50% of 50 steps, 690.2 TFLOP/s/GPU, mean 690.2, 11,916 tok/s/GPU, 95,330 tok/s/node, 11.00 s/step, "
        "loss 7.272, memory 74.9 %"
    )


def test_with_the_gpus_specification_the_step_has_an_mfu() -> None:
    rec = training()
    board = Board()
    board.apply(rec.events)
    view = board.attempt("a1")
    assert view is not None
    assert details_of(view, lambda: shelf.load().gpus)[0] == "MFU 26.4 %"
    assert details_of(view, dict)[0] == "11,916 tok/s/GPU"


def test_a_low_terminal_shows_what_runs_and_what_failed_and_counts_the_rest() -> None:
    text = "\n".join(drawn(recorded(), 120, height=8))

    assert "measuring" in text
    assert "fetching" in text
    assert "failed" in text
    assert "… and 2 more" in text


def test_figures_that_change_move_nothing() -> None:
    rec = recorded()
    before = drawn(rec, 120)
    rec.tell(
        Sample(at_ns=rec.now_ns, source="stat line", metric="output_tokens_per_s", rate=9.5, done=51, total=100), "a1"
    )
    after = drawn(rec, 120)

    changed = [(old, new) for old, new in zip(before[2:], after[2:], strict=True) if old != new]
    assert [len(old) for old, _ in changed] == [len(new) for _, new in changed]


def lines_of(events: Sequence[ev.Envelope], capsys: pytest.CaptureFixture[str]) -> list[str]:
    board, display = Board(), LineDisplay(RUN)
    for envelope in events:
        display.changed(board, board.apply([envelope]))
    display.close()
    return capsys.readouterr().err.splitlines()


def test_without_a_terminal_every_change_is_one_line(capsys: pytest.CaptureFixture[str]) -> None:
    at = MATRIX + "/llama-3.1-70b-in128-out"

    assert lines_of(recorded().events, capsys) == [
        f"2026-03-01T12:00:07Z {at}0 on node01: running",
        f"2026-03-01T12:00:07Z {at}0 on node01: measuring",
        f"2026-03-01T12:00:08Z {at}0 on node01: measuring: 10% of 100 prompts, 15000.0 tok/s, mean 15000.0",
        f"2026-03-01T12:00:18Z {at}0 on node01: measuring: 50% of 100 prompts, 16000.0 tok/s, mean 15500.0",
        f"2026-03-01T12:00:29Z {at}1 on node02: fetching",
        f"2026-03-01T12:00:30Z {at}1 on node02: fetching: rocm/vllm 25%",
        f"2026-03-01T12:00:31Z {at}2 on node03: ok: 16622.2 tok/s (simulated)",
        f"2026-03-01T12:00:32Z {at}3 on node04: failed: out_of_memory_gpu: HIP out of memory. Tried to allocate 2 GiB",
    ]


def test_the_same_state_is_told_once(capsys: pytest.CaptureFixture[str]) -> None:
    rec = recorded()
    told = len(lines_of(rec.events, capsys))
    for done in (51, 52, 53):
        sample = Sample(
            at_ns=rec.now_ns, source="stat line", metric="output_tokens_per_s", rate=1.0, done=done, total=100
        )
        rec.tell(sample, "a1")

    assert len(lines_of(rec.events, capsys)) == told


def test_what_an_attempt_came_to_is_not_told_again_while_its_host_is_freed(capsys: pytest.CaptureFixture[str]) -> None:
    rec = recorded()
    told = len(lines_of(rec.events, capsys))
    for stage in (Stage.COLLECTING, Stage.RELEASING, Stage.DONE):
        rec.tell(ev.StageEntered(stage), "a3")

    assert len(lines_of(rec.events, capsys)) == told


def test_the_table_is_drawn_again_only_for_news_or_a_new_second() -> None:
    out = io.StringIO()
    console = Console(file=out, width=80, height=30, force_terminal=True, color_system=None)
    display = TableDisplay(RUN, console)
    board, rec = Board(), recorded()
    display.changed(board, board.apply(rec.events))
    display.tick(board, rec.now_ns)
    size = len(out.getvalue())

    display.tick(board, rec.now_ns + 1)
    assert len(out.getvalue()) == size
    display.tick(board, rec.now_ns + 10**9)
    assert len(out.getvalue()) > size
    display.close()


def test_colour_only_adds_to_what_the_words_say() -> None:
    board, rec = Board(), recorded()
    board.apply(rec.events)
    plain, coloured = io.StringIO(), io.StringIO()
    for out, system in ((plain, None), (coloured, "standard")):
        console = Console(file=out, width=120, height=30, color_system=system, force_terminal=system is not None)  # type: ignore[arg-type]  # a literal
        console.print(render(board, RUN, rec.now_ns, 120, 30))

    assert "\x1b[" not in plain.getvalue()
    assert "\x1b[31m" in coloured.getvalue()


@pytest.mark.parametrize(
    ("share", "text"), [(0.0, "░░░░   0%"), (0.5, "██░░  50%"), (0.999, "███░  99%"), (1.0, "████ 100%")]
)
def test_bars_are_full_only_at_the_end(share: float, text: str) -> None:
    assert bar(share, 9) == text


@pytest.mark.parametrize(("seconds", "text"), [(0, "0:00"), (65, "1:05"), (3723, "1:02:03")])
def test_times_left(seconds: float, text: str) -> None:
    assert clock(seconds) == text


def test_what_fits_is_shown_whole() -> None:
    board = Board()
    board.apply(recorded().events)
    views = board.attempts(RUN)

    assert worth_showing(views, 5) == (views, 0)
