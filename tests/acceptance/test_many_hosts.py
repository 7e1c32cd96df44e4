"""A fleet of 64 hosts in one process of the lab is read, planned and run as a few are."""

from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from tests.acceptance.conftest import Kit, LabOf, Played

HOSTS = 64

pytestmark = pytest.mark.xdist_group("64 hosts")


@pytest.fixture(scope="module")
def lab(lab_of: "LabOf") -> "Played":
    return lab_of(HOSTS, 3000.0)


def test_status_reads_all_of_them_but_the_one_that_is_down(lab: "Played") -> None:
    down = "lab-mi300x-07"
    lab.call(lab.lab.unplug(down))
    try:
        done = lab.run("status", "--json")
    finally:
        lab.call(lab.lab.plug(down))

    assert len(lab.hosts) == HOSTS
    assert done.code == 3
    assert [facts["host"] for facts in done.json["hosts"]] == [name for name in lab.hosts if name != down]
    assert all(facts["simulated"] for facts in done.json["hosts"])
    assert list(done.json["problems"]) == [down]


def test_plan_puts_a_row_on_each_of_them(lab: "Played", kit: "Kit") -> None:
    done = lab.run("plan", *kit.one_cell, "--json")

    assert done.code == 0, done.err
    assert [item["hosts"] for item in done.json] == [[name] for name in lab.hosts]


def test_a_run_spreads_the_rows_of_the_page_over_those_chosen(lab: "Played", kit: "Kit") -> None:
    done = lab.run("run", kit.one_cell[0], "--place", "spread", "--hosts", "lab-mi300x-[21-28]", "--json")

    rows = done.json["rows"]
    assert done.code == 0, done.err
    assert len(rows) == len({row["hosts"][0] for row in rows}) == 8
    assert {row["state"] for row in rows} == {"ok"}
    assert lab.containers() == {}
