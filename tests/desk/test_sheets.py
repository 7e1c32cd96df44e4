"""Results as plain records: the order of the source, what is missing, what lies behind a figure, two sides."""

import tarfile
from pathlib import Path

import pytest

from console.desk import comparing, desk, history, papers, sheets, tables
from console.desk.errors import DeskError
from console.desk.settings import Options, Settings, load
from console.desk.sheet_views import Book, Figure, Side
from console.model.attempt import Outcome, Validity
from console.model.events import AttemptEnded, Envelope, Event
from console.runs.retry import next_try
from console.store.journal import Journal

RECORDED = Path(__file__).resolve().parents[1] / "data" / "recorded" / "store.tar.xz"


@pytest.fixture(scope="module")
def recorded(tmp_path_factory: pytest.TempPathFactory) -> Settings:
    folder = tmp_path_factory.mktemp("recorded")
    with tarfile.open(RECORDED) as pack:
        pack.extractall(folder, filter="data")
    fleet = folder / "fleet.toml"
    fleet.write_text(f'[lab]\nsimulated = true\nprofiles = "{folder / "profiles"}"\n[hosts.a]\naddress = "127.0.0.1"\n')
    return load(Options(store=folder / "store", fleet=fleet), {})


@pytest.fixture(scope="module")
def ids(recorded: Settings) -> dict[str, str]:
    return {run.label: run.run for run in desk.runs(recorded)}


@pytest.fixture(scope="module")
def book(recorded: Settings, ids: dict[str, str]) -> Book:
    return sheets.read(recorded, [ids["night"], ids["now"]])


def figures(book: Book) -> list[Figure]:
    return [figure for sheet in book.sheets for figure in sheet.figures]


def test_rows_come_in_the_order_of_their_source(book: Book) -> None:
    for sheet in book.sheets:
        places = [sheet.order.index(figure.cell) for figure in sheet.figures]
        assert places == sorted(places)


def test_every_cell_of_a_matrix_is_run_or_missing_and_none_is_both(book: Book) -> None:
    for sheet in book.sheets:
        run, missing = {item.cell for item in sheet.figures}, {item.cell for item in sheet.missing}
        assert run | missing == set(sheet.order)
        assert not run & missing
        assert all(item.printed and not item.was_run for item in sheet.missing)


def test_published_texts_stand_under_their_headings(book: Book) -> None:
    for sheet in book.sheets:
        printed = [key for key, _ in sheet.columns].index("printed")
        for item in (*sheet.figures, *sheet.missing):
            assert len(item.published) == len(sheet.columns)
            assert item.published[printed] == item.printed


def test_a_missing_row_of_the_lab_names_the_labs_own_reference(book: Book) -> None:
    assert {item.reference_set for sheet in book.sheets for item in sheet.missing} == {"lab"}


def test_a_failed_cell_keeps_its_cause_and_has_no_figure(book: Book) -> None:
    failed = next(item for item in figures(book) if item.verdict == "failed")

    assert (failed.value, failed.text, failed.ratio) == (None, "", None)
    assert failed.failure == "out_of_memory_gpu"
    assert "HIP out of memory" in failed.failure_line
    assert failed.remedy


def test_a_spoiled_figure_names_its_reason_with_what_was_seen(book: Book) -> None:
    spoiled = next(item for item in figures(book) if item.verdict == "invalid")

    assert spoiled.reasons[0].reason is Validity.NUMA_BALANCING_ON
    assert "NUMA balancing is 1" in spoiled.reasons[0].detail
    assert spoiled.attempts[0].spoiled


def test_a_figure_has_the_digits_of_its_reference(book: Book) -> None:
    for item in figures(book):
        if item.value is not None:
            assert len(item.text.partition(".")[2]) == len(item.printed.partition(".")[2])
            assert float(item.text) == pytest.approx(item.value, rel=1e-2)


def test_what_the_table_knows_beyond_the_verdict_is_told_with_its_unit(book: Book) -> None:
    trained = next(item for item in figures(book) if item.cell.startswith("mistral"))
    told = {(fact.group, fact.name): (fact.text, fact.unit) for fact in trained.facts}

    assert told["conditions", "gpu"] == ("MI300X", "")
    assert told["beside", "power mean"][1] == "W"
    assert told["beside", "mfu"][1] == "%"
    assert "GiB" in told["beside", "vram used mean"][0]
    assert not any(name in ("verdict", "ratio", "validity") for _, name in told)


def test_a_book_says_up_to_where_it_was_read(recorded: Settings, book: Book) -> None:
    with desk.tail(recorded) as tail:
        assert book.read_from == tail.last_seq()


def test_chosen_rows_are_copied_alone_and_say_why_and_that_they_are_simulated(recorded: Settings, book: Book) -> None:
    sheet = book.sheets[0]
    chosen = sheet.figures[0]
    text = tables.copied(recorded, book.runs, [chosen.key], ".md", "rows that match 'x'").decode()

    assert "rows that match 'x'" in text
    assert "Simulated by the embedded lab" in text
    assert sum(line.startswith("| Llama") for line in text.splitlines()) == 1
    assert "without a result" not in text


def test_two_runs_are_held_against_each_other_cell_by_cell(recorded: Settings, ids: dict[str, str]) -> None:
    a, b = Side("night", (ids["night"],)), Side("now", (ids["now"],))
    shown = comparing.read(recorded, a, b)

    assert [pair.place for pair in shown.pairs] == list(range(len(shown.pairs)))
    assert all(pair.comparable is None and pair.ratio is None for pair in shown.pairs), "they share no cell"
    assert shown.simulated


def test_two_hosts_of_the_same_runs_are_sides_too(recorded: Settings, book: Book) -> None:
    a, b = (Side(host, book.runs, host) for host in ("lab-mi300x-01", "lab-mi300x-02"))
    shown = comparing.read(recorded, a, b)

    assert all("lab-mi300x-01" in pair.hosts_a or not pair.hosts_a for pair in shown.pairs)
    assert any(pair.hosts_b for pair in shown.pairs)


def test_a_run_beside_itself_compares_in_every_row_with_a_figure(recorded: Settings, ids: dict[str, str]) -> None:
    side = Side("night", (ids["night"],))
    shown = comparing.read(recorded, side, side)

    assert {pair.ratio for pair in shown.pairs if pair.a is not None} == {1.0}
    text = comparing.rendered(recorded, side, side, ".md", [0]).decode()
    assert text.count("| 1.000 |") == 1
    assert "(simulated)" in text


def test_a_comparison_is_written_and_read_back(recorded: Settings, ids: dict[str, str], tmp_path: Path) -> None:
    import polars as pl

    side = Side("night", (ids["night"],))
    count = comparing.save(recorded, side, side, tmp_path / "both.parquet")

    assert pl.read_parquet(tmp_path / "both.parquet").height == count > 0


def test_the_commands_and_files_of_an_attempt_are_kept(recorded: Settings, book: Book) -> None:
    attempt = figures(book)[0].attempts[0].attempt
    paper = papers.of_attempt(recorded, attempt)

    assert "docker run" in paper.commands[0].line
    assert {"log", "facts", "inspect"} <= {item.kind for item in paper.files}
    facts = next(item.name for item in paper.files if item.kind == "facts")
    assert papers.text(recorded, attempt, facts)[0] == "{"


@pytest.mark.parametrize("name", ["../../journal.sqlite", "nothing.json", ""])
def test_only_files_of_the_attempt_itself_are_shown(name: str, recorded: Settings, book: Book) -> None:
    with pytest.raises(DeskError, match="no file"):
        papers.text(recorded, figures(book)[0].attempts[0].attempt, name)


def test_an_unknown_attempt_is_an_error_in_words(recorded: Settings) -> None:
    with pytest.raises(DeskError, match="no attempt a0"):
        papers.of_attempt(recorded, "a0")


def test_all_runs_are_summed_up_as_each_alone(recorded: Settings, ids: dict[str, str]) -> None:
    together = history.summaries(recorded)

    assert [run.label for run in together] == ["now", "night"]
    assert together == tuple(history.summaries(recorded, [run.run])[0] for run in together)
    assert history.last_run(recorded) == ids["now"]
    for run in together:
        with desk.tail(recorded) as tail:
            outcomes = [row.outcome for row in tail.attempts(run.run)]
        assert (run.ok, run.failed, run.open) == (outcomes.count(Outcome.OK), outcomes.count(Outcome.FAILED), 0)


def test_runs_that_are_not_there_are_left_out(recorded: Settings) -> None:
    assert history.summaries(recorded, ["r0"]) == ()


def test_a_store_without_runs_has_no_last_one(tmp_path: Path) -> None:
    assert history.last_run(load(Options(store=tmp_path / "store"), {})) is None


def test_a_further_try_takes_the_place_of_the_one_before(tmp_path: Path) -> None:
    with tarfile.open(RECORDED) as pack:
        pack.extractall(tmp_path, filter="data")
    settings = load(Options(store=tmp_path / "store"), {})
    before = next(run for run in history.summaries(settings) if run.failed)
    with desk.tail(settings) as tail:
        row = next(row for row in tail.attempts(before.run) if row.outcome is Outcome.FAILED)
    writer = Journal(desk.folder(settings))
    again: list[Event] = [next_try(row), AttemptEnded(outcome=Outcome.OK)]
    writer.append_now([Envelope(at_ns=1, run=before.run, attempt="a0again", event=event) for event in again])
    writer.close()

    after = history.summaries(settings, [before.run])[0]
    assert (after.failed, after.ok) == (before.failed - 1, before.ok + 1)
    assert after.attempts == before.attempts
