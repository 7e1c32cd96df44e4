"""Rows and the pane of the Runs screen: states, progress, filter, what to do next, what may be removed."""

import msgspec
import pytest

from console.desk.cleaning import Leftover
from console.desk.history import RunSummary
from console.desk.views import Counts, LinkState, Notice, RunView
from console.model.text import Clean
from console.tui import marks
from console.tui.screens.runs import detail as runs_detail
from console.tui.screens.runs import rows as runs_rows
from console.tui.screens.runs.rows import RunTable
from console.tui.screens.runs.screen import RunsScreen
from console.tui.widgets.grid import fit, text_of

S = 1_000_000_000
NOW = 10_000 * S


def run(name: str = "r1", **given: object) -> RunSummary:
    base = RunSummary(
        run=name,
        label="night",
        opened_at_ns=NOW - 7200 * S,
        closed_at_ns=NOW - 3600 * S,
        state="finished",
        why="finished",
        matrices=("vllm-0.8.5-throughput",),
        hosts=("node01", "node02"),
        operator="ana@desk",
        simulated=False,
        attempts=8,
        ok=6,
        failed=1,
        not_run=1,
        open=0,
        conductor_pid=4242,
        conductor_machine="desk",
    )
    return msgspec.structs.replace(base, **given)


def view(name: str = "r1", **given: object) -> RunView:
    base = RunView(
        run=name,
        label=Clean("night"),
        simulated=False,
        matrices=("vllm-0.8.5-throughput",),
        hosts=("node01", "node02"),
        operator=Clean("ana@desk"),
        attempts=8,
        opened_at_ns=NOW - 7200 * S,
        closed_at_ns=None,
        why=Clean(""),
        conductor_pid=4242,
        conductor_machine=Clean("desk"),
        stop_asked=False,
        counts=Counts(waiting=3, active=2, ok=2, failed=1),
        links=(),
        notice=None,
        seq=9,
    )
    return msgspec.structs.replace(base, **given)


OPEN = run("r2", closed_at_ns=None, state="running", why="", ok=0, failed=0, not_run=0, open=8)
LEFT = run("r3", closed_at_ns=None, state="left", why="", ok=3, failed=0, not_run=0, open=5, operator="bob@other")


def cells(item: RunSummary, seen: RunView | None = None) -> dict[str, str]:
    made = runs_rows.row(item, runs_rows.now(item, seen), "2 h 00 min ago")
    keys = [column.key for column in runs_rows.COLUMNS]
    return dict(zip(keys, map(text_of, made.cells), strict=True))


def pane(item: RunSummary, seen: RunView | None = None, *, may_act: bool = True) -> str:
    keys = {key.action: key.keys for key in RunsScreen.KEYS}
    paras = runs_detail.detail(item, runs_rows.now(item, seen), seen, NOW, keys, may_act=may_act)
    return "\n".join("".join(text for text, _ in para.spans) for para in paras)


def test_a_finished_run_is_as_it_was_read_whatever_the_board_has() -> None:
    assert runs_rows.now(run(), view()) == runs_rows.now(run(), None)
    assert cells(run())["progress"].endswith("8/8 ✗1")
    assert cells(run())["state"] == "✓ finished"


def test_an_open_run_is_as_the_board_has_it() -> None:
    standing = runs_rows.now(OPEN, view("r2"))
    assert (standing.ended, standing.total, standing.active, standing.state) == (3, 8, 2, "running")
    assert runs_rows.now(OPEN, view("r2", stop_asked=True)).state == "stopping"
    assert runs_rows.now(OPEN, view("r2", paused=True)).state == "paused"
    assert runs_rows.now(OPEN, view("r2", closed_at_ns=NOW, why=Clean("finished"))).state == "finished"
    assert runs_rows.now(OPEN, view("r2", closed_at_ns=NOW, why=Clean("no host left"))).state == "ended"


def test_a_run_that_nobody_conducts_stays_left_until_it_is_read_again() -> None:
    assert runs_rows.now(LEFT, view("r3", stop_asked=True)).state == "left"


def test_every_state_has_a_mark_a_word_and_a_meaning() -> None:
    for state in ("running", "paused", "stopping", "left", "finished", "stopped", "ended"):
        assert runs_rows.state_mark(state).word == state
        assert runs_detail.meaning(state)
    assert len({mark.glyph + mark.word for mark in marks.RUN.values()}) == len(marks.RUN)


def test_why_a_run_ended_is_told_when_its_state_does_not() -> None:
    assert cells(run(why="finished"))["why"] == ""
    assert cells(run(state="ended", why="the store is full"))["why"] == "the store is full"


@pytest.mark.parametrize(
    ("words", "found"),
    [("", 3), ("state:left", 1), ("!state:left", 2), ("ana@desk", 2), ("node02 r3", 1), ("THROUGHPUT", 3), ("zzz", 0)],
)
def test_the_filter_looks_at_everything_or_the_state_alone(words: str, found: int) -> None:
    table = RunTable()
    table.filter = words
    rows = table.rows([run(), OPEN, LEFT], lambda name: None, NOW)
    assert (len(rows), table.shown) == (found, found)


def test_rows_that_did_not_change_are_not_made_again() -> None:
    table = RunTable()
    first = table.rows([run(), OPEN], {"r2": view("r2")}.get, NOW)
    again = table.rows([run(), OPEN], {"r2": view("r2", counts=Counts(waiting=2, active=2, ok=3, failed=1))}.get, NOW)
    assert again[0] is first[0]
    assert again[1] is not first[1]
    later = table.rows([run(), OPEN], {"r2": view("r2")}.get, NOW + 3600 * S)
    assert "3 h" in text_of(later[0].cells[4])


def test_in_eighty_columns_run_state_progress_and_age_are_kept() -> None:
    widths = fit(runs_rows.COLUMNS, 79)
    kept = {column.key for column, width in zip(runs_rows.COLUMNS, widths, strict=True) if width}
    assert {"run", "state", "progress", "ago"} <= kept


def test_the_totals_count_runs_by_state() -> None:
    text = "".join(part for part, _ in runs_rows.totals([run(), OPEN, LEFT], lambda name: None))
    for said in ("3 runs", "1 running", "1 left", "1 finished"):
        assert said in text


# -- the pane


def test_a_run_that_was_left_names_its_last_conductor_and_how_to_carry_on() -> None:
    text = pane(LEFT)
    assert "process 4242 on desk was the last and is gone" in text
    assert "instinct run --resume r3" in text
    assert "5 attempts are open" in text


def test_nothing_is_offered_that_may_not_be_done_here() -> None:
    text = pane(LEFT, may_act=False)
    assert "resume" not in text
    assert "stop it" not in text


def test_an_open_run_is_watched_or_stopped_and_its_hosts_unheard_are_named() -> None:
    lost = (LinkState("node02", "retrying", Clean("timed out"), 0), LinkState("node01", "up", Clean(""), 0))
    text = pane(OPEN, view("r2", links=lost, notice=Notice(Clean("the image is pulled"), "info", 0)))
    for part in ("watch it live", "stop it", "node02: their containers run on", "the image is pulled", "2 at work"):
        assert part in text
    assert "node01:" not in text


def test_a_finished_run_offers_its_results_their_export_and_its_replay() -> None:
    text = pane(run())
    for part in ("its results", "instinct export r1", "instinct watch r1 --replay 20x", "after 1 h 00 min"):
        assert part in text
    assert "resume" not in text


def test_a_simulated_run_is_marked() -> None:
    assert "simulated" in pane(run(simulated=True))
    assert "simulated" in text_of(runs_rows.pick_row(run(simulated=True), NOW).cells[2])


def leftover(standing: str, **given: object) -> Leftover:
    base = Leftover(host="node01", container="instinct-claim", run="r1", attempt="a1", owner="ana@desk",
                    container_state="exited", standing="left", why="its attempt has ended")  # fmt: skip
    return msgspec.structs.replace(base, standing=standing, **given)


def test_only_what_is_left_behind_is_listed_for_removal() -> None:
    found = (leftover("left"), leftover("in use", host="node02"), leftover("somebody else's", host="node03"))
    going, staying = runs_detail.leftovers(found, {"node04": "no answer"})
    assert len(going) == 1
    assert going[0].startswith("node01")
    assert [line.split(":")[0].split()[0] for line in staying] == ["node02", "node03", "node04"]
