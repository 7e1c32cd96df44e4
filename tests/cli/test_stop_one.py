"""`instinct stop --attempt`: one attempt is asked to stop, by id, beginning or cell; the others are left alone."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import msgspec
import pytest

from console.cli.exits import Exit
from console.model import events as ev
from console.model.attempt import Outcome, Stage
from console.store.journal import Journal
from console.store.paths import StateFolder
from console.store.tail import Tail

Cli = Callable[..., Any]


def planned(cell: str, position: int) -> ev.AttemptPlanned:
    return ev.AttemptPlanned(
        matrix="m", cell_id=cell, workload="w", cell=msgspec.Raw(b"{}"), wish=("h",), repeat=1, attempt_try=1,
        expected_s=None, startup_s=0.0, position=position,
    )  # fmt: skip


@pytest.fixture
def store(home: Path) -> StateFolder:
    """A run of two cells that nobody conducts."""
    folder = StateFolder.open(home / "store")
    opened = ev.RunOpened(
        label="mine", matrices=("m",), hosts=("h",), operator="o", version="0", attempts=2, simulated=False
    )
    told: list[tuple[ev.Event, str | None]] = [(opened, None), (planned("c1", 0), "a1"), (planned("c2", 1), "a2")]
    with Journal(folder) as journal:
        journal.append_now([ev.Envelope(at_ns=1, event=event, run="r1", attempt=name) for event, name in told])
    return folder


@pytest.mark.parametrize("named", ["a1", "c1"])
def test_one_attempt_is_asked_to_stop(cli: Cli, store: StateFolder, named: str) -> None:
    ran = cli("stop", "mine", "--attempt", named, "--store", store.root)
    assert ran.code == Exit.DONE
    assert "a1 (c1) is to stop; nobody conducts r1: `instinct run --resume r1`" in ran.err
    with Tail(store) as tail:
        assert tail.unfinished("r1") == {"a1": True, "a2": False}
        assert tail.find_run("r1").stop_asked is None


def test_an_attempt_that_has_ended_is_said_to_have(cli: Cli, store: StateFolder) -> None:
    with Journal(store) as journal:
        for event in (ev.AttemptEnded(outcome=Outcome.OK), ev.StageEntered(Stage.DONE)):
            journal.append_now([ev.Envelope(at_ns=2, event=event, run="r1", attempt="a1")])
    assert "a1 (c1) has ended already" in cli("stop", "r1", "--attempt", "a1", "--store", store.root).err


def test_what_names_no_attempt_or_several_is_refused_with_the_candidates(cli: Cli, store: StateFolder) -> None:
    ran = cli("stop", "r1", "--attempt", "a", "--store", store.root)
    assert ran.code == Exit.USAGE
    assert "candidates: a1 (c1 on h), a2 (c2 on h)" in ran.err
    assert cli("stop", "r1", "--attempt", "a1", "--wait", "--store", store.root).code == Exit.USAGE
