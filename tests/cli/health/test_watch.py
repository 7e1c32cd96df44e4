"""`instinct status --watch`: tables out of live readings."""

import io
import json
from typing import TYPE_CHECKING

import pytest

from console.cli import status_watch
from console.desk.fleet_board import FleetBoard, FleetTotals, Missing, Seen
from console.fleet.host import Host
from console.model.facts import HostFacts, Known, System

if TYPE_CHECKING:
    from tests.cli.conftest import Lab

S = 1_000_000_000


class Kept(status_watch.Sheet):
    """A sheet on a terminal of this size, and what is shown there."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, width: int, height: int, *, wide: bool = False) -> None:
        super().__init__(wide=wide, by_gpu=False)
        self.in_place = True
        self.shown: list[list[str]] = []
        monkeypatch.setattr("shutil.get_terminal_size", lambda: (width, height))

    def _show(self, lines: "list[str]") -> None:  # type: ignore[override]  # only what is shown matters
        self.shown.append(list(lines))


def board_of(hosts: int) -> FleetBoard:
    names = [f"node{number:02}" for number in range(1, hosts + 1)]
    board = FleetBoard([Host(name=name, address="x") for name in names])
    system = System(os=Known("Ubuntu 22.04.5 LTS", "a file"), kernel=Known("5.15.0-116-generic", "a file"))
    board.apply([Seen(name, S, HostFacts(host=name, read_at_ns=S, system=system)) for name in names])
    return board


def test_a_terminal_shows_totals_and_as_many_hosts_as_fit(monkeypatch: pytest.MonkeyPatch) -> None:
    sheet = Kept(monkeypatch, 100, 10)
    sheet.draw(board_of(20), 2 * S)

    lines = sheet.shown[0]
    assert lines[0] == "20 hosts, 20 up, 0 of 0 GPUs busy"
    assert len(lines) < 10
    assert lines[-1] == "… and 14 more; name hosts to see fewer"
    assert all(len(line) <= 100 for line in lines)


def test_columns_keep_their_place_while_they_fit(monkeypatch: pytest.MonkeyPatch) -> None:
    sheet, board = Kept(monkeypatch, 100, 20), board_of(2)
    sheet.draw(board, 2 * S)
    before = sheet.shown[-1][1]
    board.apply([Seen("node01", S, HostFacts(host="node01", read_at_ns=S))])  # shorter texts: there would be room
    sheet.draw(board, 3 * S)

    assert sheet.shown[-1][1].split() == before.split()


def test_where_nothing_is_a_terminal_a_table_follows_another(capsys: pytest.CaptureFixture[str]) -> None:
    board = board_of(1)
    sheet = status_watch.Sheet(wide=False, by_gpu=False)
    sheet.draw(board, 2 * S)
    board.apply([Missing("node01", 2 * S, "gone \x1b[2J", "", None, 2 * S)])
    sheet.draw(board, 4 * S)
    out = capsys.readouterr().out

    assert out.count("node01") == 2
    assert "gone for 2 s" in out
    assert "\x1b" not in out


def test_totals_name_only_what_there_is() -> None:
    everything = FleetTotals(
        hosts=9, up=5, asking=1, stale=1, missing=2, failing=3, warned=1, gpus=40, busy_gpus=8, power_w=9100.0,
        simulated=True,
    )  # fmt: skip

    assert status_watch.totals_line(FleetTotals(hosts=1, up=1)) == "1 host, 1 up, 0 of 0 GPUs busy"
    assert status_watch.totals_line(everything) == (
        "9 hosts, 5 up, 1 asked, 2 without an answer, 1 without readings, 3 failing, 1 with warnings, "
        "8 of 40 GPUs busy, 9.1 kW, simulated"
    )


def test_looks_as_json_are_one_object_a_line(fast_lab: "Lab") -> None:
    done = fast_lab.run("status", "--watch", "--json", "--every", "0.5", "--rounds", "2")
    looks = [json.loads(line) for line in io.StringIO(done.out)]

    assert done.code == 0
    assert [len(look["rows"]) for look in looks] == [2, 2]
    assert all(row["state"] == "simulated" for look in looks for row in look["rows"])


def test_a_host_without_an_answer_is_the_exit_code_of_a_watch(fast_lab: "Lab") -> None:
    fleet = fast_lab.fleet.with_name("gone.toml")
    fleet.write_text(fast_lab.fleet.read_text("utf-8") + "\n[hosts.gone]\nport = 1\n", "utf-8")
    done = fast_lab.run("status", "--watch", "--fleet", str(fleet), "--every", "0.5", "--rounds", "1")

    assert done.code == 3
    assert "gone: nothing listens" in done.err
    assert done.out.index("gone") < done.out.index("lab-mi300x-01")
