"""`instinct watch --replay`: lines without a terminal, the screens on one, and speeds that are none."""

import json
import tarfile
from pathlib import Path
from typing import Any

import pytest

from console.cli import ending, framework
from console.cli.main import run
from console.desk import tables
from console.desk.errors import DeskError
from console.desk.settings import Options, load
from console.results.errors import ResultsError

pytestmark = pytest.mark.usefixtures("home")
RECORDED = Path(__file__).resolve().parents[1] / "data" / "recorded" / "store.tar.xz"


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("recorded")
    with tarfile.open(RECORDED) as pack:
        pack.extractall(folder, filter="data")
    return folder / "store"


def test_without_a_terminal_it_prints_lines_and_the_tables(store: Path, capsys: pytest.CaptureFixture[str]) -> None:
    code = run(["watch", "now", "--replay", "100000x", "--store", str(store)])
    out, err = capsys.readouterr()
    assert code == 1  # one cell of that run failed
    assert "failed" in err
    assert "megatron" in out


def test_its_results_as_json_are_all_there_is_on_stdout(store: Path, capsys: pytest.CaptureFixture[str]) -> None:
    replayed = run(["watch", "now", "--replay", "100000x", "--json", "--store", str(store)])
    first = capsys.readouterr().out
    watched = run(["watch", "now", "--json", "--store", str(store)])

    assert (replayed, watched) == (1, 1)
    assert json.loads(first)["rows"]
    assert capsys.readouterr().out == first


def test_a_file_that_cannot_be_written_costs_neither_the_table_nor_the_other_files(
    store: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def save(settings: Any, table: Any, path: Path) -> None:
        if path.suffix == ".csv":
            raise ResultsError(f"{path} could not be written: No space left on device")
        path.write_text("written", encoding="utf-8")

    monkeypatch.setattr(tables, "save", save)
    files = (tmp_path / "a.csv", tmp_path / "b.md")
    code = ending.report(load(Options(store=store)), "r2n250b4r1tgm", files)
    out, err = capsys.readouterr()

    assert code == 1  # every cell of that run is ok
    assert "matched" in out
    assert "a.csv could not be written" in err
    assert files[1].exists()


def test_a_folder_that_takes_no_file_is_told_before_the_run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    tables.check_ending(tmp_path / "a.csv")
    monkeypatch.setattr("os.access", lambda *_: False)
    with pytest.raises(DeskError, match="nothing can be written into"):
        tables.check_ending(tmp_path / "a.csv")


@pytest.mark.parametrize("speed", ["fast", "0x", "-1"])
def test_what_is_no_speed_is_a_usage_error(speed: str, store: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["watch", "now", f"--replay={speed}", "--store", str(store)]) == 2
    assert "how many times faster" in capsys.readouterr().err


def test_on_a_terminal_it_opens_the_screens_on_that_run(store: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(framework.Front, "opens_console", property(lambda front: True))
    opened: list[Any] = []

    def screens(settings: Any, start: str, replay: Any) -> tuple[str, ...]:
        opened.append((start, replay[1]))
        return ()

    assert run(["watch", "night", "--replay", "20x", "--store", str(store)], screens) == 0
    assert opened == [("live", 20.0)]
