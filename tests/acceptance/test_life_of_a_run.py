"""A run outlives what happens to the process that conducts it, and can be followed, stopped and taken up again."""

import os
import re
import signal
from typing import TYPE_CHECKING, Any

import pytest

if TYPE_CHECKING:
    from tests.acceptance.conftest import Kit, LabOf, Played

HOST = "lab-mi300x-01"
GOING_ON = rf"on {HOST}: (loading|measuring)"


@pytest.fixture(scope="module")
def lab(lab_of: "LabOf") -> "Played":
    return lab_of(2, 2000.0)


@pytest.fixture
def one_row(kit: "Kit") -> list[str]:
    return ["run", *kit.one_cell, "--hosts", HOST]


def test_a_detached_run_is_watched_listed_and_stopped_from_elsewhere(
    lab: "Played", kit: "Kit", one_row: list[str]
) -> None:
    with lab.slowly():
        started = lab.run(*one_row, "--detach", "--label", "away")
        run = started.out.strip()
        watching = lab.start("watch", "away")
        lab.meet(watching, GOING_ON)
        listed = {row["run"]: row for row in lab.run("runs", "--json").json["runs"]}
        stopped = lab.run("stop", "away", "--wait")
    watched = kit.end(watching)

    assert started.code == 0, started.err
    assert re.fullmatch(r"r[a-z0-9]+\n", started.out)
    assert (listed[run]["label"], listed[run]["state"], listed[run]["open"]) == ("away", "running", 1)
    assert stopped.code == 0, stopped.err
    assert stopped.out == ""
    assert watched.code == 1, watched.err
    assert "not run (stopped)" in watched.out
    (row,) = lab.rows(run)
    assert (row["state"], row["failure"]) == ("stopped", "stopped")
    assert lab.run("stop", "away").code == 0
    assert lab.containers() == {}


def test_a_detached_run_ends_by_itself_and_its_results_are_there(lab: "Played", one_row: list[str]) -> None:
    run = lab.run(*one_row, "--detach").out.strip()

    watched = lab.run("watch", run)

    assert watched.code == 0, watched.err
    assert watched.out.startswith("vLLM 0.8.5 throughput, MI300X (simulated")
    assert watched.out == lab.run("results", run).out
    assert [row["state"] for row in lab.rows(run)] == ["ok"]
    assert lab.run("watch", run).out == watched.out


def test_a_killed_run_keeps_its_container_and_resume_carries_on(lab: "Played", kit: "Kit", one_row: list[str]) -> None:
    with lab.slowly():
        process = lab.start(*one_row)
        run = kit.run_id(lab.meet(process, GOING_ON))
        os.kill(process.pid, signal.SIGKILL)
        killed = kit.end(process)
        left = lab.containers()
        state = next(row["state"] for row in lab.run("runs", "--json").json["runs"] if row["run"] == run)
        clean = lab.run("clean", "--json")

    resumed = lab.run("run", "--resume", run, "--json")

    assert killed.code == -signal.SIGKILL
    assert list(left) == [HOST]
    assert state == "left"
    assert [item["standing"] for item in clean.json["containers"]] == ["in use"], "clean leaves an open run alone"
    assert resumed.code == 0, resumed.err
    (row,) = resumed.json["rows"]
    assert (row["state"], row["try"]) == ("ok", 1)
    assert lab.containers() == {}


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGHUP])
def test_a_terminated_run_ends_at_once_and_says_that_its_containers_run_on(
    lab: "Played", kit: "Kit", one_row: list[str], number: signal.Signals
) -> None:
    with lab.slowly():
        process = lab.start(*one_row)
        said = lab.meet(process, GOING_ON)
        process.send_signal(number)
        ended = kit.end(process)
        left = lab.containers()
    run = kit.run_id(said)

    assert ended.code == 130, ended.err
    assert f"left {run}: its containers run on" in ended.err
    assert f"instinct run --resume {run}" in ended.err
    assert ended.out == ""
    assert list(left) == [HOST]
    assert lab.run("run", "--resume", run).code == 0
    assert lab.containers() == {}


def test_a_run_whose_terminal_closes_leaves_its_containers(lab: "Played", kit: "Kit", one_row: list[str]) -> None:
    with lab.slowly():
        process, terminal = lab.on_terminal(*one_row, "--label", "closed")
        kit.shown_until(terminal, "loading|measuring")
        os.close(terminal)
        code = process.wait(kit.patience_s)
        left = lab.containers()

    assert code == 130
    assert list(left) == [HOST]
    assert lab.run("run", "--resume", "closed").code == 0


def test_an_interrupt_stops_the_run_and_frees_its_hosts(lab: "Played", kit: "Kit", one_row: list[str]) -> None:
    with lab.slowly():
        process = lab.start(*one_row, "--json")
        lab.meet(process, GOING_ON)
        process.send_signal(signal.SIGINT)
        ended = kit.end(process)

    (row,) = ended.json["rows"]
    assert ended.code == 130
    assert "interrupt again to leave now" in ended.err
    assert (row["state"], row["failure"], row["verdict"]) == ("stopped", "stopped", "not run")
    assert lab.containers() == {}


def test_an_interrupt_loses_nothing_that_was_measured_before(
    lab: "Played", kit: "Kit", monkeypatch: pytest.MonkeyPatch
) -> None:
    engine, made = lab.lab.machines[HOST].engine, []
    create = engine.create

    def create_then_stand_still(*given: Any) -> Any:
        """The second row stands still from its beginning: it is still there when the first one is interrupted."""
        made.append(given)
        if len(made) == 2:
            lab.stand_still()
        return create(*given)

    monkeypatch.setattr(engine, "create", create_then_stand_still)
    with lab.slowly():
        lab.go_on()
        process = lab.start("run", kit.one_cell[0], "--only", "model~70B", "--hosts", HOST, "--json")
        kit.read_until(process, rf"on {HOST}: ok: ")
        process.send_signal(signal.SIGINT)
        ended = kit.end(process)

    states = [row["state"] for row in ended.json["rows"]]
    assert ended.code == 130
    assert states[0] == "ok"
    assert set(states[1:]) <= {"stopped", "not run"}
    assert lab.containers() == {}


def test_a_second_interrupt_leaves_the_run(lab: "Played", kit: "Kit", one_row: list[str]) -> None:
    with lab.slowly():
        process = lab.start(*one_row)
        run = kit.run_id(lab.meet(process, GOING_ON))
        process.send_signal(signal.SIGINT)
        process.send_signal(signal.SIGINT)
        first = kit.read_until(process, "stopping|left")
        process.send_signal(signal.SIGINT)
        ended = kit.end(process)

    assert ended.code == 130
    assert "stopping" in first
    # Whether the stop was done or left to the next conductor, nothing of the run stays behind after it.
    lab.run("run", "--resume", run)
    assert lab.containers() == {}


def test_a_run_that_was_left_is_stopped_by_stop(lab: "Played", kit: "Kit", one_row: list[str]) -> None:
    with lab.slowly():
        process = lab.start(*one_row)
        run = kit.run_id(lab.meet(process, GOING_ON))
        process.send_signal(signal.SIGTERM)
        kit.end(process)
        watched = lab.run("watch", run)
        stopped = lab.run("stop", run)

    assert watched.code == 1
    assert f"nobody conducts {run} any more" in watched.err
    assert stopped.code == 0, stopped.err
    assert [row["state"] for row in lab.rows(run)] == ["stopped"]
    assert lab.containers() == {}


def test_a_host_that_goes_away_and_comes_back_ends_nothing(lab: "Played", kit: "Kit", one_row: list[str]) -> None:
    with lab.slowly():
        process = lab.start(*one_row, "--json")
        lab.meet(process, GOING_ON)
        lab.call(lab.lab.unplug(HOST))
    lab.call(lab.lab.plug(HOST))
    ended = kit.end(process)

    assert ended.code == 0, ended.err
    assert [row["state"] for row in ended.json["rows"]] == ["ok"]
    assert "log_gap" not in ended.json["rows"][0]["validity"]


def test_runs_on_one_store_do_not_disturb_each_other(lab: "Played", kit: "Kit", one_row: list[str]) -> None:
    other = ["run", *kit.one_cell, "--hosts", "lab-mi300x-02", "--json"]
    first, second = lab.start(*one_row, "--json"), lab.start(*other)
    ended = [kit.end(first), kit.end(second)]

    assert [item.code for item in ended] == [0, 0], [item.err for item in ended]
    assert [item.json["rows"][0]["hosts"] for item in ended] == [[HOST], ["lab-mi300x-02"]]
