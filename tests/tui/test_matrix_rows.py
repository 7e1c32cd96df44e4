"""What the tables of the Matrix screen say of each row, from views and figures alone."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import msgspec
import pytest

from console.desk import matrices
from console.desk.board import Board
from console.desk.matrices import Entry
from console.desk.settings import Options, Settings, load
from console.desk.views import AttemptView, Progress
from console.model.attempt import Outcome, Phase, Reason, Stage, Validity
from console.model.events import Envelope, StopAsked
from console.tui.screens.matrix import detail as matrix_detail
from console.tui.screens.matrix import rows as matrix_rows
from console.tui.screens.matrix import work as matrix_work
from console.tui.widgets.grid import fit, text_of

NAME = "vllm-0.8.5-throughput"
FIRST = "llama-3.1-70b-in128-out2048-n3200"
GOOD = "llama-3.1-70b-in500-out2000-n2000"
FAILED = "llama-3.1-405b-in500-out2000-n2000"


@pytest.fixture(scope="module")
def entry(tmp_path_factory: pytest.TempPathFactory) -> Entry:
    settings = load(Options(config=tmp_path_factory.mktemp("config")), {})
    found = matrices.shelf(settings, None).entry(NAME)
    assert found is not None
    return found


@pytest.fixture
def board(events: Sequence[Envelope]) -> Board:
    made = Board()
    made.apply(events)
    return made


@pytest.fixture
def view(board: Board) -> AttemptView:
    """An attempt that has only been planned."""
    (found,) = matrix_work.work(board, NAME)[GOOD]
    return msgspec.structs.replace(
        found, outcome=None, stage=Stage.PLANNED, phase=None, rate=None, progress=None, ended_at_ns=None, value=None
    )


def state(stand: matrix_rows.Stand) -> str:
    return text_of(stand.state)


def test_matrices_stand_under_their_section_with_ticks_and_what_runs(entry: Entry) -> None:
    rows = matrix_rows.list_rows([entry], {NAME}, {NAME: 2})
    assert [row.key for row in rows] == ["@AI Inference", NAME]
    assert [text_of(cell) for cell in rows[1].cells] == ["▶ vLLM 0.8.5 throughput", "MI300X", "2/8"]
    own = msgspec.structs.replace(entry, kind="own")
    assert matrix_rows.heading(own) == "your own"


@pytest.mark.parametrize(
    ("room", "kept"),
    [
        (200, ["Model", "Precision", "TP Size", "Input", "Output", "Num Prompts", "Max Num Seqs"]),
        (100, ["model", "prec.", "TP", "in", "out", "prompts", "seqs"]),
    ],
)
def test_headings_are_as_printed_where_there_is_room(entry: Entry, room: int, kept: list[str]) -> None:
    layout = matrix_rows.layout(entry, room, simulated=False)
    assert [column.title for column in layout.columns[1:8]] == kept
    assert layout.columns[8].title == ("Throughput (tokens/s)" if room == 200 else "tokens/s")


def test_what_tells_rows_apart_stays_when_columns_must_go(entry: Entry) -> None:
    layout = matrix_rows.layout(entry, 74, simulated=True)

    def shown(room: int) -> list[str]:
        widths = fit(layout.columns, room)
        return [column.key for column, width in zip(layout.columns, widths, strict=True) if width]

    told = ["tick", "title", "input_len", "output_len", "printed"]
    assert shown(77) == [*told, "measured", "ratio", "state"]
    assert shown(72) == [*told, "measured", "state"]
    assert shown(60) == [*told, "state"]
    assert next(column.title for column in layout.columns if column.key == "ratio") == "vs lab"


def test_an_erratum_of_one_row_is_marked_those_of_all_rows_are_told_once(entry: Entry) -> None:
    layout = matrix_rows.layout(entry, 200, simulated=False)
    rows = matrix_rows.table_rows(entry, layout.texts, {cell.id for cell in entry.matrix.cells}, (), {})
    printed = [column.key for column in layout.columns].index("printed")
    assert all(not text_of(row.cells[printed]).endswith("*") for row in rows)
    first = entry.matrix.cells[0]
    odd = msgspec.structs.replace(first.references[0], errata=("it is wrong",))
    cells = (msgspec.structs.replace(first, references=(odd, *first.references[1:])), *entry.matrix.cells[1:])
    changed = msgspec.structs.replace(entry, matrix=msgspec.structs.replace(entry.matrix, cells=cells))
    rows = matrix_rows.table_rows(changed, layout.texts, {first.id}, {first.id}, {})
    assert [(row.key, text_of(row.cells[0]), text_of(row.cells[printed])) for row in rows] == [
        (first.id, "[x]", "16622.2*")
    ]
    assert any("output tokens only" in line.spans[1][0] for line in matrix_detail.about_paras(entry))


def test_what_runs_comes_before_what_was_measured(view: AttemptView, settings: Settings) -> None:
    past = matrices.latest(settings, NAME)
    running = msgspec.structs.replace(
        view, stage=Stage.RUNNING, phase=Phase.MEASURING, progress=Progress(1, 4, "prompts", 1)
    )
    stand = matrix_rows.stand([running, view], past[GOOD])
    assert (state(stand), stand.goes_on) == ("▶ measuring 25% +1", True)
    assert stand.measured == matrix_rows.stand([], past[GOOD]).measured
    assert state(matrix_rows.stand([view, view], ())) == "· planned x2"
    assert state(matrix_rows.stand([view], (), paused=True)) == "‖ paused"
    assert state(matrix_rows.stand([msgspec.structs.replace(running, stop_asked=True)], ())).startswith(
        "▶ measuring, stopping"
    )


def test_an_end_is_shown_before_its_figures_were_read_and_by_its_verdict_after(
    board: Board, settings: Settings
) -> None:
    work, past = matrix_work.work(board, NAME), matrices.latest(settings, NAME)
    fresh = matrix_rows.stand(work[GOOD], ())
    assert (state(fresh), fresh.measured[0], fresh.ratio[0]) == ("✓ ok", "12,188", "0.995")
    read = matrix_rows.stand(work[GOOD], past[GOOD])
    assert (state(read), read.ratio[0]) == ("? unconfirmed", "0.995")
    assert state(matrix_rows.stand(work[FAILED], past[FAILED])) == "✗ failed"
    assert state(matrix_rows.stand((), past[FIRST])) == "? unconfirmed"
    assert matrix_rows.stand((), ()) == matrix_rows.Stand()


def test_several_hosts_are_one_line_with_the_worst_and_how_many(settings: Settings) -> None:
    (figure,) = matrices.latest(settings, NAME)[GOOD]
    low = msgspec.structs.replace(figure, ratio=0.5, text="6000", verdict="below", hosts=("b",))
    stand = matrix_rows.stand((), [figure, low])
    assert (state(stand), stand.measured[0], stand.ratio) == ("↓ below 1 of 2", "6000", ("0.500", "fail"))
    assert state(matrix_rows.stand((), [low, low])) == "↓ below x2"


def test_only_what_has_no_figure_that_counts_may_be_tried_again(board: Board, settings: Settings) -> None:
    work, past = matrix_work.work(board, NAME), matrices.latest(settings, NAME)
    assert matrix_work.again(board, work[GOOD], past[GOOD]) == []
    (again,) = matrix_work.again(board, work[FAILED], past[FAILED])
    assert (again.cell, again.ended) == (FAILED, "failed")
    spoiled = [msgspec.structs.replace(work[GOOD][0], reasons=(Reason(Validity.THROTTLED),))]
    assert [item.ended for item in matrix_work.again(board, spoiled, ())] == ["spoiled"]
    empty = Board()
    (later,) = matrix_work.again(empty, (), past[FAILED])
    assert (later.run, later.attempt) == (again.run, again.attempt)
    assert matrix_work.by_run([again, later]) == {again.run: [again.attempt] * 2}


def test_a_run_that_is_being_stopped_takes_no_further_tries(board: Board, halfway: Sequence[Envelope]) -> None:
    half = Board()
    half.apply(halfway)
    run = matrix_work.run_of(half, NAME)
    assert run is not None
    assert run.closed_at_ns is None
    half.apply([Envelope(at_ns=1, run=run.run, event=StopAsked("me", "x"))])
    views = [msgspec.structs.replace(item, outcome=Outcome.FAILED) for item in matrix_work.work(half, NAME)[GOOD]]
    assert matrix_work.again(half, views, ()) == []
    assert matrix_work.stoppable(matrix_work.work(half, NAME)[FAILED]) == []


def test_the_row_pane_tells_reference_deviations_and_what_became_of_it(
    entry: Entry, board: Board, settings: Settings
) -> None:
    work, past = matrix_work.work(board, NAME), matrices.latest(settings, NAME)

    def told(cell: str, views: Any, figures: Any) -> str:
        found = entry.cell(cell)
        assert found is not None
        paras = matrix_detail.cell_paras(entry, found, views, figures, 1)
        return "\n".join("".join(text for text, _ in para.spans) for para in paras)

    assert "published 13424.9 tokens/s  AMD performance results page" in told(GOOD, work[GOOD], past[GOOD])
    failed = told(FAILED, work[FAILED], past[FAILED])
    assert "lab-mi300x-02  ✗ failed" in failed
    assert "HIP out of memory" in failed
    before = told(FIRST, (), past[FIRST])
    assert "1.002 of 15000.0 (lab)  night, simulated" in before
    assert "differs   published --enable-chunked-prefill False" not in before


def test_images_to_choose_name_the_published_one(entry: Entry) -> None:
    options = matrix_rows.image_options(entry)
    assert options[0] == ("", "as published: rocm6.3.1_vllm_0.8.5_20250521")
    assert [name for name, text in options if text.endswith("published")] == ["rocm6.3.1_vllm_0.8.5_20250521"]
    assert len(options) == len(entry.images) + 1


def test_no_shipped_matrix_breaks_a_layout(tmp_path: Path) -> None:
    for found in matrices.shelf(load(Options(config=tmp_path), {}), None).entries:
        cells = {cell.id for cell in found.matrix.cells}
        for room in (40, 80, 160):
            layout = matrix_rows.layout(found, room, simulated=False)
            for row in matrix_rows.table_rows(found, layout.texts, cells, cells, {}):
                assert len(row.cells) == len(layout.columns)
