"""Only what ended attempts of this very store left behind may be removed."""

from pathlib import Path

import msgspec
import pytest

from console.desk import cleaning, settings
from console.desk.settings import Options, Settings
from console.fleet.engine.seen import ContainerListed
from console.model import events as ev
from console.model.attempt import Outcome, Stage
from console.model.launch import LABEL, LABEL_ATTEMPT, LABEL_OWNER, LABEL_RUN
from console.store.journal import Journal
from console.store.paths import StateFolder
from console.store.tail import Tail

ME = "me@here"


@pytest.fixture
def setup(tmp_path: Path) -> tuple[Settings, StateFolder]:
    env = {"INSTINCT_STORE": str(tmp_path / "store"), "INSTINCT_OPERATOR": ME}
    return settings.load(Options(config=tmp_path), env), StateFolder.open(tmp_path / "store")


def journal(folder: StateFolder, *, done: bool) -> None:
    opened = ev.RunOpened(
        label="", matrices=("m",), hosts=("h",), operator=ME, version="0", attempts=1, simulated=False
    )
    planned = ev.AttemptPlanned(
        matrix="m",
        cell_id="c",
        workload="w",
        cell=msgspec.Raw(b"{}"),
        wish=("h",),
        repeat=1,
        attempt_try=1,
        expected_s=None,
        startup_s=0.0,
        position=0,
    )
    events: list[tuple[ev.Event, str | None]] = [(opened, None), (planned, "a1")]
    if done:
        events += [(ev.AttemptEnded(outcome=Outcome.OK), "a1"), (ev.StageEntered(Stage.DONE), "a1")]
    writer = Journal(folder)
    writer.append_now([ev.Envelope(at_ns=1, event=event, run="r1", attempt=attempt) for event, attempt in events])
    writer.close()


def judged(setup: tuple[Settings, StateFolder], *, run: str = "r1", owner: str = ME) -> str:
    labels = {LABEL: "0", LABEL_RUN: run, LABEL_ATTEMPT: "a1", LABEL_OWNER: owner}
    item = ContainerListed(id="1", name="instinct-claim", image="i", state="exited", created_s=0, labels=labels)
    with Tail(setup[1]) as tail:
        return cleaning.judge(item, "h", setup[0], tail).standing


def test_a_container_of_an_ended_attempt_is_left_over(setup: tuple[Settings, StateFolder]) -> None:
    journal(setup[1], done=True)

    assert judged(setup) == "left"


def test_a_container_of_an_open_attempt_is_in_use_though_nobody_conducts_it(
    setup: tuple[Settings, StateFolder],
) -> None:
    journal(setup[1], done=False)

    assert judged(setup) == "in use"


def test_a_run_of_another_store_is_not_ours_to_judge(setup: tuple[Settings, StateFolder]) -> None:
    assert judged(setup, run="r2") == "other store"
    assert judged(setup, run="r2", owner="somebody") == "somebody else's"
    assert judged(setup, run="", owner="") == "somebody else's"
