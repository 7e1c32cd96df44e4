"""Tables of runs on a narrow terminal: what gives way, and what never does."""

import tarfile
from collections.abc import Callable
from pathlib import Path

import pytest

from console.cli import printing
from console.cli.main import run
from console.cli.printing import Column, cell_width
from console.cli.result_text import hoisted

RECORDED = Path(__file__).resolve().parents[1] / "data" / "recorded" / "store.tar.xz"
Shown = Callable[..., list[str]]


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("recorded")
    with tarfile.open(RECORDED) as pack:
        pack.extractall(folder, filter="data")
    return folder / "store"


@pytest.fixture
def shown(home: Path, store: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Shown:
    """The lines of a command on a terminal of so many columns."""

    def call(width: int, *argv: str) -> list[str]:
        monkeypatch.setattr(printing, "terminal_width", lambda: width)
        assert run([*argv, "--store", str(store)]) == 0
        return capsys.readouterr().out.splitlines()

    return call


def test_a_run_keeps_its_id_and_that_it_is_simulated_and_fits_eighty_columns(shown: Shown) -> None:
    lines = shown(80, "runs")

    assert max(map(cell_width, lines)) <= 80
    assert lines[1].startswith("r2n2513505rb0  now")
    assert all("finished, simulated" in line for line in lines[1:])


def test_runs_side_by_side_name_their_hosts_once_and_their_figures_whole(shown: Shown) -> None:
    lines = shown(80, "compare", "now", "now")

    assert lines[0].split() == ["matr…", "cell", "hosts", "A", "B", "unit", "B/A"]
    assert lines[1].split()[3:] == ["12188.1", "(simulated)", "12188.1", "(simulated)", "tok/s", "1.000"]


def test_a_single_row_is_told_whole_above_its_figure() -> None:
    columns = [Column("Model", shrink=True), Column("Measured", keep=True), Column("Note")]

    assert hoisted(columns, [("a model with a long name", "16622.2", "-")]) == (
        [columns[1]],
        [("16622.2",)],
        "Model a model with a long name",
    )


def test_what_every_row_says_is_said_once() -> None:
    columns = [Column("Model"), Column("Input"), Column("Measured", keep=True)]
    _, rows, same = hoisted(columns, [("m", "1", "5"), ("m", "2", "5")])

    assert (rows, same) == ([("1", "5"), ("2", "5")], "in every row: Model m")
