"""Rows of results and of comparisons: bars, verdicts, order, filter, names, what fits."""

import msgspec
import pytest

from console.desk.sheet_views import Comparison, Difference, Figure, Pair, Sheet, Side, Tried
from console.model.attempt import Reason, Validity
from console.tui import marks, plain
from console.tui.screens.results import detail as results_detail
from console.tui.screens.results import head as results_head
from console.tui.screens.results import pairs as results_pairs
from console.tui.screens.results import rows as results_rows
from console.tui.screens.results import words as results_words
from console.tui.screens.results.rows import Shown
from console.tui.widgets.cells import fitted
from console.tui.widgets.grid import Row, spans, text_of


def tried(**given: object) -> Tried:
    base = Tried(
        attempt="a1",
        repeat=1,
        attempt_try=1,
        state="ok",
        value=100.0,
        text="100.0",
        ratio=1.0,
        reasons=(),
        failure="",
        failure_line="",
        remedy="",
        started_at_ns=0,
        ended_at_ns=9_000_000_000,
    )
    return msgspec.structs.replace(base, **given)


def figure(cell: str = "llama-70b-in128", **given: object) -> Figure:
    base = Figure(
        key=cell,
        run="r1",
        label="night",
        matrix="m",
        cell=cell,
        title="Llama",
        hosts=("node01",),
        published=("Llama", "128", "100.0"),
        metric="output_tokens_per_s",
        unit="tok/s",
        lower_is_better=False,
        value=99.0,
        text="99.0",
        repeats=1,
        ratio=0.99,
        verdict="unconfirmed",
        band="matched",
        note="one repeat, matched",
        printed="100.0",
        reference_set="published",
        reference_unit="tokens/s",
        source="AMD's page",
        dated="2025-05-27",
        attempts=(tried(),),
    )
    return msgspec.structs.replace(base, **given)


MISSING = figure("llama-70b-in512", key="missing", run="", label="", hosts=(), value=None, text="", ratio=None,
                 verdict="", band="", note="", repeats=0, attempts=())  # fmt: skip
BELOW = figure("llama-70b-in2048", ratio=0.7, band="below", verdict="below", note="")
FAILED = figure(
    "llama-405b-in128",
    hosts=("node02",),
    value=None,
    text="",
    ratio=None,
    verdict="failed",
    band="",
    note="",
    repeats=0,
    failed=1,
    failure="out_of_memory_gpu",
    failure_line="HIP out of memory",
    remedy="free the GPUs",
    attempts=(tried(state="failed", value=None, text="", ratio=None),),
)
SPOILED = figure(
    "llama-405b-in512",
    verdict="invalid",
    spoiled=1,
    reasons=(Reason(Validity.THROTTLED, "node01: power"), Reason(Validity.SIMULATED)),
)


def sheet(*figures: Figure, missing: tuple[Figure, ...] = (MISSING,)) -> Sheet:
    return Sheet(
        matrix="m",
        title="The matrix",
        source="AMD's page",
        dated="2025-05-27",
        columns=(("title", "Model"), ("input_len", "Input"), ("printed", "Throughput (tokens/s)")),
        figures=figures,
        missing=missing,
        order=("llama-70b-in128", "llama-70b-in512", "llama-70b-in2048", "llama-405b-in128", "llama-405b-in512"),
        sentences=("1 of 5 rows compares",),
        simulated=False,
    )


ALL = sheet(figure(), BELOW, FAILED, SPOILED)


AS_PUBLISHED = Shown()


def said(cell: object) -> str:
    return text_of(cell)  # type: ignore[arg-type]  # cells come from rows of the function under test


def rows(given: Sheet, shown: Shown = AS_PUBLISHED) -> dict[str, Row]:
    figures = results_rows.chosen(given, shown)
    return {row.key: row for row in results_rows.rows(given, figures, lambda attempt: None)}


def cell(given: Sheet, key: str, column: str, shown: Shown = AS_PUBLISHED) -> str:
    columns = [item.key for item in results_rows.columns(given, results_rows.chosen(given, shown))]
    return said(rows(given, shown)[key].cells[columns.index(column)])


# -- the bar


def test_the_mark_of_a_hundred_per_cent_is_always_at_the_same_place() -> None:
    places = set()
    for ratio in (None, 0.01, 0.5, 0.999, 1.0, 1.001, 1.2, 1.25, 3.0):
        text = said(results_rows.bar(ratio, "matched"))
        places.add(text.index("│"))
        assert len(text) <= results_rows.BAR
    assert places == {results_rows.UP_TO_MARK}
    assert results_rows.bar_title().endswith("%")
    assert len(results_rows.bar_title()) == results_rows.UP_TO_MARK + 1


def test_a_longer_bar_is_a_better_ratio() -> None:
    filled = [sum(char in "█▉▊▋▌▍▎▏" for char in said(results_rows.bar(r, ""))) for r in (0.1, 0.5, 0.9, 1.0, 1.1, 1.2)]
    assert filled == sorted(filled)
    assert said(results_rows.bar(1.0, "")).rstrip("│").count("█") == results_rows.UP_TO_MARK


def test_beyond_the_room_the_bar_ends_in_a_point() -> None:
    assert said(results_rows.bar(1.6, "above")).endswith("▸")
    assert not said(results_rows.bar(1.1, "above")).endswith("▸")


def test_a_ratio_that_does_not_count_is_grey() -> None:
    counting = {role for _, role in results_rows.bar(0.5, "below")}
    grey = {role for _, role in results_rows.bar(0.5, "below", counts=False)}
    assert "fail" in counting
    assert "fail" not in grey
    assert results_rows.ratio(0.5, "below", counts=False)[1] == "dim"


# -- words


def test_every_reason_for_validity_and_every_verdict_has_words() -> None:
    from console.judge.verdict import Verdict

    assert set(results_words.REASON) == set(Validity)
    assert set(results_words.VERDICT) == {item.value for item in Verdict} == set(results_words.MEANING)


def test_every_mark_differs_by_glyph_and_word_and_has_an_ascii_form() -> None:
    for mark in (*results_words.VERDICT.values(), results_words.GOES_ON, results_words.NOT_ASKED):
        assert mark.word
        assert plain.plain(mark.glyph).isascii()
        assert plain.plain(mark.glyph) != "?" or mark.glyph == "?"


# -- rows


def test_a_row_has_a_cell_for_every_column() -> None:
    for shown in (Shown(), Shown(unasked=True), Shown(words="405b")):
        figures = results_rows.chosen(ALL, shown)
        for row in results_rows.rows(ALL, figures, lambda attempt: None):
            assert len(row.cells) == len(results_rows.columns(ALL, figures))


def test_a_failed_cell_is_a_row_with_its_class_and_root_cause() -> None:
    text = cell(ALL, FAILED.key, "verdict")
    assert text.startswith("✗ failed")
    assert "out_of_memory_gpu: HIP out of memory" in text
    assert cell(ALL, FAILED.key, "measured") == "-"
    assert cell(ALL, FAILED.key, "repeats") == "0 of 1"


def test_a_spoiled_figure_says_in_words_what_spoils_it() -> None:
    text = cell(ALL, SPOILED.key, "verdict")
    assert "invalid" in text
    assert "GPUs throttled while it measured" in text
    assert "simulated" not in text, "said once for the table"


def test_an_unconfirmed_figure_names_its_band_once() -> None:
    assert cell(ALL, figure().key, "verdict").split() == ["?", "unconfirmed", "matched"]


def test_a_figure_without_a_reference_says_so() -> None:
    alone = sheet(figure(printed="", verdict="no reference", ratio=None, band="", note=""), missing=())
    assert cell(alone, figure().key, "reference") == "none"
    assert "no reference" in cell(alone, figure().key, "verdict")


def test_references_without_a_cell_are_rows_when_they_are_wanted() -> None:
    assert MISSING.key not in rows(ALL)
    shown = list(rows(ALL, Shown(unasked=True)))
    assert shown.index(MISSING.key) == 1, "in the order of the source"
    assert "not in the run" in cell(ALL, MISSING.key, "verdict", Shown(unasked=True))


def test_the_worst_comes_first_when_that_is_asked_for() -> None:
    figures = results_rows.chosen(ALL, Shown(worst_first=True, unasked=True))
    assert [item.key for item in figures] == [FAILED.key, SPOILED.key, BELOW.key, figure().key, MISSING.key]


def test_an_attempt_that_goes_on_is_told_with_its_stage() -> None:
    open_one = figure(verdict="", band="", note="", value=None, text="", ratio=None, open=1,
                      attempts=(tried(state="running", value=None, text="", ratio=None),))  # fmt: skip
    assert said(results_rows.verdict(open_one, lambda attempt: None)) == "▶ goes on"
    waiting = msgspec.structs.replace(open_one, attempts=(tried(state="planned", value=None, text=""),))
    assert said(results_rows.verdict(waiting, lambda attempt: None)) == "· planned"


@pytest.mark.parametrize(
    ("words", "found"),
    [
        ("405b", 2),
        ("!405b", 2),
        ("memory", 1),
        ("throttled", 1),
        ("verdict:below", 1),
        ("verdict:failed host:node02", 1),
        ("host:node02 verdict:below", 0),
        ("NIGHT", 4),
        ("", 4),
    ],
)
def test_the_filter_looks_everywhere_or_where_it_is_told(words: str, found: int) -> None:
    assert len(results_rows.chosen(ALL, Shown(words=words))) == found


def test_names_lose_what_all_of_them_begin_with() -> None:
    assert dict(results_rows.names(["a-b-1", "a-b-22"])) == {"a-b-1": "1", "a-b-22": "22"}
    assert dict(results_rows.names(["a-b1", "a-b2"])) == {"a-b1": "b1", "a-b2": "b2"}
    assert dict(results_rows.names(["a-b1"])) == {"a-b1": "a-b1"}
    assert dict(results_rows.names(["x1", "y1"])) == {"x1": "x1", "y1": "y1"}


def test_columns_that_are_the_same_in_every_row_are_said_once() -> None:
    keys = [column.key for column in results_rows.columns(ALL, ALL.figures)]
    assert "input_len" not in keys
    assert results_rows.shared(ALL, ALL.figures) == "Input 128"
    varied = sheet(figure(), msgspec.structs.replace(BELOW, published=("Llama", "2048", "100.0")))
    assert "input_len" in [column.key for column in results_rows.columns(varied, varied.figures)]


def test_hosts_and_runs_are_columns_only_where_they_tell_rows_apart() -> None:
    one = sheet(figure(), BELOW)
    assert {"hosts", "run"}.isdisjoint(column.key for column in results_rows.columns(one, one.figures))
    two = sheet(figure(), BELOW, FAILED, figure("llama-405b-in512", run="r2", label=""))
    assert {"hosts", "run"} <= {column.key for column in results_rows.columns(two, two.figures)}


def test_in_eighty_columns_row_measured_ratio_and_verdict_are_kept() -> None:
    from console.tui.widgets.grid import fit

    columns = results_rows.columns(ALL, ALL.figures)
    kept = {column.key for column, width in zip(columns, fit(columns, 79), strict=True) if width}
    assert {"row", "hosts", "measured", "ratio", "verdict"} <= kept


def test_figures_of_which_less_is_better_say_so() -> None:
    lower = sheet(figure(lower_is_better=True, metric="latency_s", unit="s"), missing=())
    titles = [column.title for column in results_rows.columns(lower, lower.figures)]
    assert "measured↓" in titles
    text = "\n".join("".join(part for part, _ in para.spans) for para in results_detail.outcome(lower.figures[0]))
    assert "lower is better" in text


# -- the pane


def pane(item: Figure, given: Sheet = ALL) -> str:
    paras = results_detail.detail(item, given, None, "looking")
    return "\n".join("".join(text for text, _ in para.spans) for para in paras)


def test_the_pane_names_the_reference_its_source_date_and_errata() -> None:
    text = pane(figure(errata=("counts output tokens only",)))
    for part in ("100.0 tokens/s, published", "AMD's page, 2025-05-27", "counts output tokens only"):
        assert part in text


def test_the_pane_tells_what_keeps_a_figure_apart_before_what_is_only_noted() -> None:
    apart = (Difference("noted", "cpu: measured a, reference b"), Difference("must", "gpu: measured x, reference y"))
    lines = pane(figure(verdict="incomparable", differences=apart)).splitlines()
    places = [next(i for i, line in enumerate(lines) if text in line) for text in ("gpu: measured", "cpu: measured")]
    assert places == sorted(places)
    assert lines[places[0]].startswith("apart")


def test_the_pane_counts_repeats_and_how_they_vary() -> None:
    text = pane(
        figure(
            repeats=2,
            variation=0.004,
            failed=1,
            verdict="matched",
            attempts=(tried(), tried(attempt="a2", repeat=2), tried(attempt="a3", repeat=3, state="failed", value=None,
                      text="", failure="rccl", failure_line="NCCL error")),
        )
    )  # fmt: skip
    assert "median of 2 repeats, they vary by 0.40%, 1 failed" in text
    assert "rccl: NCCL error" in text


def test_the_pane_of_a_failed_cell_says_why_and_what_to_do() -> None:
    text = pane(FAILED)
    assert text.count("HIP out of memory") == 1
    assert "free the GPUs" in text


def test_a_simulated_figure_is_marked_in_the_pane() -> None:
    assert results_detail.SIMULATED in pane(figure(simulated=True))
    assert results_detail.SIMULATED not in pane(figure())


# -- two sides


def pair(**given: object) -> Pair:
    base = Pair(
        place=0,
        matrix="m",
        cell="llama-1",
        title="Llama",
        unit="tok/s",
        lower_is_better=False,
        hosts_a=("node01",),
        hosts_b=("node02",),
        a=100.0,
        b=110.0,
        text_a="100",
        text_b="110",
        ratio=1.1,
        comparable=True,
        differences=(),
        verdict_a="matched",
        verdict_b="above",
        simulated=False,
    )
    return msgspec.structs.replace(base, **given)


BOTH = Comparison(
    a=Side("before", ("r1",)),
    b=Side("after", ("r2",)),
    pairs=(
        pair(),
        pair(place=1, cell="llama-2", ratio=None, comparable=False, differences=("gpu: a X, b Y",)),
        pair(place=2, cell="llama-3", b=None, text_b="", hosts_b=(), ratio=None, comparable=None, verdict_b=""),
    ),
    simulated=True,
)


def test_pairs_say_why_they_have_no_ratio() -> None:
    notes = [said(results_pairs.pair_note(item)) for item in BOTH.pairs]
    assert notes == ["", "not comparable: gpu: a X, b Y", "only A has this cell"]
    for row in results_pairs.pair_rows(BOTH, BOTH.pairs):
        assert len(row.cells) == len(results_pairs.pair_columns(BOTH, BOTH.pairs))


def test_a_side_without_a_figure_is_told_as_that_and_not_as_incomparable() -> None:
    gone = pair(b=None, text_b="", ratio=None, comparable=False, verdict_b="not run", differences=("gpu: a X, b ?",))
    assert said(results_pairs.pair_note(gone)) == "B has no figure: not run"
    lines = results_detail.pair_detail(gone, BOTH)
    assert "gpu" not in "".join(text for para in lines for text, _ in para.spans)


def test_both_sides_are_named_and_simulated_is_said() -> None:
    line = "".join(text for text, _ in results_head.comparison_line(BOTH, 3))
    assert "A before" in line
    assert "B after" in line
    assert "simulated" in line
    assert "1 of 3 rows compare" in results_head.ratios_line(BOTH)


def test_pairs_are_filtered_by_words() -> None:
    assert [results_pairs.pair_matches(item, "gpu !llama-3") for item in BOTH.pairs] == [False, True, False]


def test_the_pane_of_a_pair_has_both_figures_and_what_differs() -> None:
    text = "\n".join(
        "".join(part for part, _ in para.spans) for para in results_detail.pair_detail(BOTH.pairs[1], BOTH)
    )
    for part in ("before", "after", "100 tok/s", "110 tok/s", "may not be compared", "gpu: a X, b Y"):
        assert part in text


# -- the lines above


def test_the_chosen_tab_is_always_among_those_that_fit() -> None:
    titles = [f"matrix number {number}" for number in range(12)]
    for here in range(12):
        for width in (40, 80, 120):
            parts = results_head.tabs(titles, here, width)
            assert [text.strip() for text, role in parts if role == "tab-here"] == [titles[here]]
            assert sum(len(text) for text, _ in parts) <= width + 1


def test_roles_of_rows_are_known_to_the_table() -> None:
    from console.tui.widgets.grid import ROLES

    figures = results_rows.chosen(ALL, Shown(unasked=True))
    for row in results_rows.rows(ALL, figures, lambda attempt: None):
        for item in row.cells:
            assert all(role in ("", *ROLES) for _, role in spans(item))
    assert marks.RUN["left"].word == "left"


def test_a_verdict_is_read_in_full_where_there_is_no_room_for_more() -> None:
    for mark in results_words.VERDICT.values():
        cell = [mark.span, (", one repeat only", "dim")]
        text = "".join(part for part, _ in fitted(cell, results_rows.VERDICT_ROOM, right=False))

        assert text.startswith(mark.span[0])
