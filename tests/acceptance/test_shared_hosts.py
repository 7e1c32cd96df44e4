"""Several consoles, many rows, few hosts: claims, placement, repeats, limits and accepted findings."""

import os
import time
from types import SimpleNamespace
from typing import TYPE_CHECKING

import pytest

from console.lab.faults import Fault
from console.runs import conductor, prepare
from console.store.paths import StateFolder
from console.store.tail import Tail

if TYPE_CHECKING:
    from tests.acceptance.conftest import Kit, LabOf, Played

FIRST, SECOND, BALANCED = "lab-mi300x-01", "lab-mi300x-02", "lab-mi325x-01"
AT_WORK = "on {host}: (loading|measuring)"


@pytest.fixture(scope="module")
def lab(lab_of: "LabOf") -> "Played":
    return lab_of(3, 2000.0, [Fault("numa-balancing", host=BALANCED)])


def other_store(lab: "Played") -> dict[str, str]:
    """Another operator on another machine: nothing is shared but the hosts."""
    return {"INSTINCT_STORE": str(lab.home / "other"), "INSTINCT_OPERATOR": "somebody@else"}


def test_a_host_that_another_console_holds_is_skipped_and_its_holder_named(
    lab: "Played", kit: "Kit", monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(prepare, "SETTLE_S", 0.5)
    with lab.slowly(FIRST):
        holder = lab.start("run", *kit.one_cell, "--hosts", FIRST)
        run = kit.run_id(lab.meet(holder, AT_WORK.format(host=FIRST)))
        refused = lab.run("run", *kit.one_cell, "--hosts", f"{FIRST},{SECOND}", "--json", **other_store(lab))
    held = kit.end(holder)

    rows = {row["hosts"][0]: row for row in refused.json["rows"]}
    assert held.code == 0, held.err
    assert refused.code == 1, refused.err
    assert rows[SECOND]["state"] == "ok"
    assert (rows[FIRST]["state"], rows[FIRST]["value"]) == ("not run", None)
    assert rows[FIRST]["failure"] in ("host_busy", "gpu_in_use")
    assert "tester" in rows[FIRST]["failure_line"]
    assert run in rows[FIRST]["failure_line"]
    assert rows[FIRST]["remedy"]


def test_two_consoles_that_start_at_once_never_share_a_host(lab: "Played", kit: "Kit") -> None:
    argv = ["run", *kit.one_cell, "--hosts", FIRST, "--json"]
    both = [lab.start(*argv), lab.start(*argv, **other_store(lab))]
    ended = [kit.end(process) for process in both]

    rows = [item.json["rows"][0] for item in ended]
    assert all(item.code == (0 if row["state"] == "ok" else 1) for item, row in zip(ended, rows, strict=True))
    assert "ok" in [row["state"] for row in rows]
    lost = [row for row in rows if row["state"] != "ok"]
    assert all(row["state"] == "not run" and row["failure"] in ("host_busy", "gpu_in_use") for row in lost)
    ran = [(row["started_at"], row["ended_at"]) for row in rows if row["state"] == "ok"]
    assert len(ran) == 1 or ran[0][1] <= ran[1][0] or ran[1][1] <= ran[0][0]
    assert lab.containers() == {}


def test_waiting_for_a_busy_host_measures_both_one_after_the_other(lab: "Played", kit: "Kit") -> None:
    with lab.slowly():
        holder = lab.start("run", *kit.one_cell, "--hosts", FIRST, "--json")
        lab.meet(holder, AT_WORK.format(host=FIRST))
        waiting = lab.start("run", *kit.one_cell, "--hosts", FIRST, "--if-busy", "wait", "--json", **other_store(lab))
        said = kit.read_until(waiting, "is held by|waiting for the GPUs")
    first, second = kit.end(holder), kit.end(waiting)

    assert "tester" in said or "GPUs" in said
    assert (first.code, second.code) == (0, 0), second.err
    assert first.json["rows"][0]["ended_at"] <= second.json["rows"][0]["started_at"]


def test_clean_leaves_what_another_store_started(lab: "Played", kit: "Kit") -> None:
    with lab.slowly():
        holder = lab.start("run", *kit.one_cell, "--hosts", FIRST, **other_store(lab))
        lab.meet(holder, AT_WORK.format(host=FIRST))
        cleaned = lab.run("clean", "--json")
        left = lab.containers()
    kit.end(holder)

    assert cleaned.code == 0, cleaned.err
    assert [(item["host"], item["removed"]) for item in cleaned.json["containers"]] == [(FIRST, False)]
    assert list(left) == [FIRST]


def test_spread_measures_every_row_once(lab: "Played", kit: "Kit") -> None:
    done = lab.run(
        "run", kit.one_cell[0], "--only", "model~70B", "--hosts", f"{FIRST},{SECOND}", "--place", "spread", "--json"
    )

    rows = done.json["rows"]
    assert done.code == 0, done.err
    assert len(rows) == len({row["cell"] for row in rows}) == 4
    assert {row["hosts"][0] for row in rows} == {FIRST, SECOND}


def test_three_repeats_confirm_a_figure(lab: "Played", kit: "Kit") -> None:
    done = lab.run("run", *kit.one_cell, "--hosts", FIRST, "--repeat", "3", "--json")

    rows = done.json["rows"]
    assert done.code == 0, done.err
    assert [row["repeat"] for row in rows] == [1, 2, 3]
    assert {row["repeats"] for row in rows} == {3}
    assert {row["verdict"] for row in rows} == {rows[0]["band"]}
    assert rows[0]["verdict"] not in ("unconfirmed", "incomparable", "no reference", "invalid")
    assert rows[0]["ratio_low"] < rows[0]["median_ratio"] < rows[0]["ratio_high"]
    assert rows[0]["variation"] > 0
    assert len({row["value"] for row in rows}) == 3, "the lab's figures scatter"


def test_one_repeat_stays_unconfirmed(lab: "Played", kit: "Kit") -> None:
    (row,) = lab.run("run", *kit.one_cell, "--hosts", FIRST, "--json").json["rows"]

    assert (row["verdict"], row["repeats"]) == ("unconfirmed", 1)


def test_a_spoiled_host_is_not_run_and_says_how_to_run_it_all_the_same(lab: "Played", kit: "Kit") -> None:
    done = lab.run("run", *kit.one_cell, "--hosts", BALANCED, "--json")

    (row,) = done.json["rows"]
    assert done.code == 1
    assert row["state"] == "not run"
    assert row["failure_line"].startswith(f"{BALANCED}: ")
    assert "--accept host.numa_balancing" in row["remedy"]


def test_an_accepted_finding_runs_the_row_and_its_figure_stays_spoiled(lab: "Played", kit: "Kit") -> None:
    done = lab.run(
        "run", *kit.one_cell, "--hosts", BALANCED, "--accept", "host.numa_balancing", "--repeat", "2", "--json"
    )

    rows = done.json["rows"]
    assert done.code == 0, done.err
    assert {row["state"] for row in rows} == {"ok"}
    assert {row["valid"] for row in rows} == {False}
    assert {row["verdict"] for row in rows} == {"invalid"}
    assert all("numa_balancing_on" in row["validity"] for row in rows)
    assert all(row["value"] > 0 for row in rows)


def test_all_or_none_starts_nothing_when_one_row_is_blocked(lab: "Played", kit: "Kit") -> None:
    done = lab.run("run", *kit.one_cell, "--hosts", f"{FIRST},{BALANCED}", "--all-or-none", "--json")

    rows = done.json["rows"]
    assert done.code == 1, done.err
    assert [row["state"] for row in rows] == ["not run", "not run"]
    assert all("--all-or-none" in row["failure_line"] and BALANCED in row["failure_line"] for row in rows)
    assert all(row["started_at"] is None for row in rows)


def test_all_or_none_runs_everything_when_nothing_is_in_the_way(lab: "Played", kit: "Kit") -> None:
    done = lab.run("run", *kit.one_cell, "--hosts", f"{FIRST},{SECOND}", "--all-or-none", "--json")

    assert done.code == 0, done.err
    assert [row["state"] for row in done.json["rows"]] == ["ok", "ok"]


def test_nothing_is_started_after_until_and_what_had_begun_is_measured(
    lab: "Played", kit: "Kit", monkeypatch: pytest.MonkeyPatch
) -> None:
    def hours_later_once_a_row_runs() -> int:
        with Tail(StateFolder.open(lab.home / "store")) as tail:
            runs = [run.run for run in tail.runs() if run.label == "until"]
            begun = any(row.started_at_ns for run in runs for row in tail.attempts(run))
        return time.time_ns() + (7200 * 1_000_000_000 if begun else 0)

    monkeypatch.setattr(conductor, "time", SimpleNamespace(time_ns=hours_later_once_a_row_runs))
    wish = (kit.one_cell[0], "--only", "model~70B", "--hosts", FIRST, "--until", "+1h", "--label", "until")
    ended = lab.run("run", *wish, "--json")

    rows = ended.json["rows"]
    assert ended.code == 1, ended.err
    assert [row["state"] for row in rows] == ["ok", "not run", "not run", "not run"]
    assert {row["failure_line"] for row in rows[1:]} == {"not started before the time given with --until"}
    assert {row["remedy"] for row in rows[1:]} == {"try it again without that limit, or with a later one"}


def test_a_foreign_container_on_the_claim_name_is_named_and_left_alone(lab: "Played", kit: "Kit") -> None:
    async def put() -> None:
        lab.lab.machines[SECOND].engine.create(
            "instinct-claim", {"Image": "rocm/vllm:rocm6.3.1_vllm_0.8.5_20250521", "Cmd": ["sleep", "1"]}
        )

    lab.call(put())
    try:
        done = lab.run("run", *kit.one_cell, "--hosts", SECOND, "--json")
        cleaned = lab.run("clean", SECOND, "--json")
        left = lab.containers()
    finally:
        lab.call(lab.lab.machines[SECOND].engine.close())

    (row,) = done.json["rows"]
    assert done.code == 1
    assert (row["state"], row["failure"]) == ("not run", "host_busy")
    assert "instinct-claim" in row["failure_line"]
    assert all(not item["removed"] for item in cleaned.json["containers"])
    assert left == {SECOND: ["instinct-claim"]}
    assert os.getpid()  # the console never ends what is not its own
