"""A choice becomes the request, the expression and the command that a person would have typed."""

from pathlib import Path

import msgspec
import pytest

from console.catalog import selection
from console.desk.matrices import Entry, shelf
from console.desk.settings import Options, load
from console.fleet.host import Fleet, Host
from console.tui.screens.matrix.choice import (
    Choice,
    changes_of,
    changes_text,
    command,
    expression_of,
    first,
    only,
    request,
)
from console.tui.screens.matrix.dialogs import cycled, how_rows, typed
from console.tui.widgets.grid import text_of

NAME = "vllm-0.8.5-throughput"
FLEET = tuple(
    Host(name=f"n{number}", address="x", groups=("new",) if number > 2 else ("old", "two")) for number in range(1, 5)
)


@pytest.fixture(scope="module")
def entry(tmp_path_factory: pytest.TempPathFactory) -> Entry:
    settings = load(Options(config=tmp_path_factory.mktemp("config")), {})
    found = shelf(settings, Fleet(path=Path("fleet.toml"), hosts=FLEET)).entry(NAME)
    assert found is not None
    return found


def ticked(entry: Entry, *places: int, **more: object) -> Choice:
    cells = frozenset(entry.matrix.cells[place].id for place in places)
    return msgspec.structs.replace(Choice(matrix=NAME, ticked=cells), **more)


@pytest.mark.parametrize("places", [(0,), (0, 3), tuple(range(7)), tuple(range(6)), tuple(range(8)), (1, 2, 5, 7)])
def test_the_expression_selects_just_what_is_ticked(entry: Entry, places: tuple[int, ...]) -> None:
    choice = ticked(entry, *places)
    chosen = selection.select(entry.matrix.cells, only(choice, entry))
    assert {cell.id for cell in chosen} == choice.ticked


def test_the_filter_is_the_expression_where_it_says_the_same(entry: Entry) -> None:
    expression = "model~70B and output_len==2048"
    same = frozenset(cell.id for cell in selection.select(entry.matrix.cells, expression))
    choice = Choice(matrix=NAME, ticked=same, filter=expression)
    assert only(choice, entry) == expression
    less = choice.with_ticks([next(iter(same))], on=False)
    assert only(less, entry) == f"id == {next(iter(less.ticked))}"
    assert only(msgspec.structs.replace(choice, filter="model~"), entry) != "model~"


def test_everything_ticked_needs_no_expression(entry: Entry) -> None:
    assert only(ticked(entry, *range(8)), entry) is None
    assert command(request(ticked(entry, *range(8)), entry)) == f"instinct run {NAME}"


def test_the_command_has_every_option_that_is_not_the_usual_one(entry: Entry) -> None:
    choice = ticked(
        entry, 0, image="img", hosts="@new,!n4", place="spread", repeat=3, if_busy="wait=600", accept=("numa",),
        fetch=True, all_or_none=True, label="my run", changes=(("max_num_seqs", "512"),),
    )  # fmt: skip
    asked = request(choice, entry)
    assert command(asked) == (
        f"instinct run {NAME} --hosts '@new,!n4' --only 'id == {entry.matrix.cells[0].id}' --image img "
        "--place spread --repeat 3 --if-busy wait=600 --label 'my run' --set max_num_seqs=512 --accept numa "
        "--all-or-none --fetch"
    )
    assert asked.changes == {"max_num_seqs": "512"}


def test_the_command_names_the_files_the_console_was_opened_with(entry: Entry, tmp_path: Path) -> None:
    named = load(Options(config=tmp_path, fleet=tmp_path / "f.toml"), {"INSTINCT_STORE": str(tmp_path)})
    assert command(request(ticked(entry, *range(8)), entry), named) == f"instinct run {NAME} --fleet {tmp_path}/f.toml"


def test_hosts_are_named_as_a_person_would() -> None:
    assert expression_of({"n1", "n2", "n3", "n4"}, FLEET) is None
    assert expression_of({"n3", "n4"}, FLEET) == "@new"
    assert expression_of({"n4", "n1"}, FLEET) == "n1,n4"


def test_one_begins_with_nothing_ticked_on_the_hosts_with_the_matrix_gpu(entry: Entry) -> None:
    with_gpu = msgspec.structs.replace(entry, hosts=("n1", "n2"))
    assert first(with_gpu, FLEET) == Choice(matrix=NAME, hosts="@old")
    assert first(msgspec.structs.replace(entry, hosts=()), FLEET).hosts is None


def test_a_plan_is_out_of_date_with_what_it_rests_on_not_with_what_is_shown(entry: Entry) -> None:
    choice = ticked(entry, 0)
    assert choice.plans_alike(msgspec.structs.replace(choice, filter="nodes==1", label="x"))
    for other in (ticked(entry, 0, 1), ticked(entry, 0, hosts="n1"), ticked(entry, 0, repeat=2)):
        assert not choice.plans_alike(other)


def test_changes_are_read_as_a_shell_would_and_mistakes_are_said() -> None:
    assert changes_of("a=1 b='x y'") == (("a", "1"), ("b", "x y"))
    assert changes_of(changes_text((("b", "x y"),))) == (("b", "x y"),)
    with pytest.raises(ValueError, match="'a' is not KEY=VALUE"):
        changes_of("a")
    with pytest.raises(ValueError, match="set twice"):
        changes_of("a=1 a=2")


def test_options_go_round_or_are_typed(entry: Entry) -> None:
    choice = ticked(entry, 0)
    spread = cycled(choice, "place")
    assert spread is not None
    assert spread.place == "spread"
    assert cycled(spread, "place") == choice
    waiting = choice
    for _ in range(5):
        changed = cycled(waiting, "if busy")
        assert changed is not None
        assert changed != waiting
        waiting = changed
    assert waiting.if_busy == "skip"
    assert cycled(choice, "repeat") is None
    assert typed(choice, "repeat", " 5 ").repeat == 5
    assert typed(choice, "accept", "numa, gpu.free").accept == ("numa", "gpu.free")
    for wrong in ("0", "x", "1001"):
        with pytest.raises(ValueError, match="number from 1 to 1000"):
            typed(choice, "repeat", wrong)
    assert [text_of(row.cells[1]) for row in how_rows(typed(choice, "repeat", "5")) if row.key == "repeat"] == ["5"]
