"""The one decision function: what is recorded and seen decides the next act."""

import pytest

from console.model.attempt import FailureClass, Outcome
from console.model.launch import Launch, Part, Placement
from console.model.profile import ContainerOptions
from console.runs.site import Observation, PartSeen
from console.runs.step import (
    Act,
    Adopt,
    Claim,
    Collect,
    Finish,
    GiveSecrets,
    Over,
    PartRecord,
    Policy,
    Prepare,
    Record,
    RecordExit,
    Release,
    Start,
    StopPart,
    Wait,
    step,
)

HASH = "cafe"


def part(name: str, *, after: str | None = None, decides: bool = True, host: str = "n1") -> Part:
    return Part(
        name=name,
        rank=0,
        host=host,
        container=f"c-{name}",
        lead=name == "main",
        image="i",
        argv=("p",),
        env={},
        labels={},
        devices=(),
        groups=(),
        mounts=(),
        options=ContainerOptions(),
        deadline_s=10,
        after=after,
        decides=decides,
        files=(),
    )


def launch(*parts: Part) -> Launch:
    return Launch(attempt="a1", cell="c", image="i", image_digest=None, placement=Placement(()), parts=parts, hash=HASH)


ONE = launch(part("main"))
SERVE = launch(part("server", decides=False), part("client", after="server"))


def look(name: str, state: str, **more: object) -> PartSeen:
    return PartSeen(part=name, host="n1", state=state, launch_hash=HASH if state != "absent" else "", **more)  # type: ignore[arg-type]  # states come as text in these tables


def seen(**states: str) -> Observation:
    return Observation({name: look(name, state) for name, state in states.items()})


def decide(record: Record, observation: Observation) -> Act:
    return step(record, observation, Policy())


def record(**changes: object) -> Record:
    return Record(attempt="a1", **changes)  # type: ignore[arg-type]  # keyword tables


RUNNING = {"main": PartRecord(started=True)}
ENDED = {"main": PartRecord(started=True, exited=True, exit_code=0)}
TAKEN = {"main": PartRecord(started=True, exited=True, exit_code=0, collected=True)}


@pytest.mark.parametrize(
    ("known", "world", "act"),
    [
        pytest.param(record(), seen(), Prepare(), id="nothing done yet"),
        pytest.param(record(launch=ONE), seen(main="absent"), Claim(), id="resolved but not claimed"),
        pytest.param(record(launch=ONE), seen(main="created"), Adopt(), id="created before a crash"),
        pytest.param(record(launch=ONE), seen(main="running"), Adopt(), id="even running before a crash"),
        pytest.param(record(launch=ONE, claimed=True), seen(main="created"), Start("main"), id="created"),
        pytest.param(record(launch=ONE, claimed=True), seen(main="running"), Start("main"), id="start not recorded"),
        pytest.param(record(launch=ONE, claimed=True), seen(main="blocked"), GiveSecrets("main"), id="blocked"),
        pytest.param(
            record(launch=ONE, claimed=True, parts=RUNNING), seen(main="blocked"), GiveSecrets("main"), id="again"
        ),
        pytest.param(
            record(launch=ONE, claimed=True, parts=RUNNING), seen(main="running"), Wait(2.0, "running"), id="running"
        ),
        pytest.param(
            record(launch=ONE, claimed=True, parts=RUNNING), seen(main="exited"), RecordExit("main"), id="exit unseen"
        ),
        pytest.param(
            record(launch=ONE, claimed=True, parts=ENDED), seen(main="exited"), Collect("main"), id="not collected"
        ),
        pytest.param(record(launch=ONE, claimed=True, parts=TAKEN), seen(main="exited"), Finish(), id="collected"),
        pytest.param(
            record(launch=ONE, claimed=True, parts=TAKEN, outcome=Outcome.OK),
            seen(main="exited"),
            Release(),
            id="decided, still there",
        ),
        pytest.param(
            record(launch=ONE, claimed=True, parts=TAKEN, outcome=Outcome.OK), seen(main="absent"), Over(), id="done"
        ),
        pytest.param(record(outcome=Outcome.NOT_RUN), seen(), Over(), id="never launched"),
    ],
)
def test_a_single_part_goes_through_its_life(known: Record, world: Observation, act: Act) -> None:
    assert decide(known, world) == act


def test_an_unreachable_host_never_ends_an_attempt() -> None:
    for parts in ({}, RUNNING, ENDED, TAKEN):
        act = decide(record(launch=ONE, claimed=True, parts=parts), seen(main="unreachable"))
        assert isinstance(act, Wait)
    after = decide(record(launch=ONE, claimed=True, outcome=Outcome.OK), seen(main="unreachable"))
    assert isinstance(after, Wait)


def test_a_container_that_somebody_removed_is_a_lost_attempt() -> None:
    act = decide(record(launch=ONE, claimed=True, parts=RUNNING), seen(main="absent"))
    assert act == Finish(Outcome.FAILED, FailureClass.LOST, "the container is gone: somebody removed it")


def test_a_container_removed_after_collection_costs_nothing() -> None:
    assert decide(record(launch=ONE, claimed=True, parts=TAKEN), seen(main="absent")) == Finish()


def test_a_client_waits_for_its_server() -> None:
    started = {"server": PartRecord(started=True)}
    world = seen(server="running", client="created")
    assert isinstance(decide(record(launch=SERVE, claimed=True, parts=started), world), Wait)
    ready = record(launch=SERVE, claimed=True, parts=started, ready=frozenset({"server"}))
    assert decide(ready, world) == Start("client")


def test_the_end_of_the_client_stops_the_server_and_collects_both() -> None:
    parts = {"server": PartRecord(started=True), "client": PartRecord(started=True, exited=True, exit_code=0)}
    act = decide(record(launch=SERVE, claimed=True, parts=parts), seen(server="running", client="exited"))
    assert isinstance(act, StopPart)
    assert act.part == "server"
    ended = {**parts, "server": PartRecord(started=True, exited=True, exit_code=143)}
    world = seen(server="exited", client="exited")
    assert decide(record(launch=SERVE, claimed=True, parts=ended), world) == Collect("server")


def test_a_server_that_dies_ends_the_attempt_without_starting_the_client() -> None:
    parts = {"server": PartRecord(started=True, exited=True, exit_code=1, collected=True)}
    assert decide(record(launch=SERVE, claimed=True, parts=parts), seen(server="exited", client="created")) == Finish()


def test_one_dead_rank_stops_the_others() -> None:
    both = launch(part("rank0"), part("rank1", host="n2"))
    parts = {"rank0": PartRecord(started=True), "rank1": PartRecord(started=True, exited=True, exit_code=1)}
    act = decide(record(launch=both, claimed=True, parts=parts), seen(rank0="running", rank1="exited"))
    assert isinstance(act, StopPart)
    assert act.part == "rank0"


def test_ranks_that_end_well_are_waited_for() -> None:
    both = launch(part("rank0"), part("rank1", host="n2"))
    parts = {"rank0": PartRecord(started=True), "rank1": PartRecord(started=True, exited=True, exit_code=0)}
    act = decide(record(launch=both, claimed=True, parts=parts), seen(rank0="running", rank1="exited"))
    assert isinstance(act, Wait)


def test_a_stop_before_anything_was_made_ends_at_once() -> None:
    for known, world in ((record(stop="enough"), seen()), (record(launch=ONE, stop="enough"), seen(main="absent"))):
        assert decide(known, world) == Finish(Outcome.STOPPED, FailureClass.STOPPED, "enough")


def test_a_stop_while_running_stops_collects_and_ends() -> None:
    stop = {"launch": ONE, "claimed": True, "stop": "enough"}
    assert decide(record(**stop, parts=RUNNING), seen(main="running")) == StopPart("main", "enough")
    assert decide(record(**stop, parts=ENDED), seen(main="exited")) == Collect("main")
    finished = decide(record(**stop, parts=TAKEN), seen(main="exited"))
    assert finished == Finish(Outcome.STOPPED, FailureClass.STOPPED, "enough")


def test_a_stop_of_a_claimed_but_unstarted_attempt_starts_nothing() -> None:
    act = decide(record(launch=ONE, claimed=True, stop="enough"), seen(main="created"))
    assert act == Finish(Outcome.STOPPED, FailureClass.STOPPED, "enough")


def test_only_our_own_launch_is_released() -> None:
    foreign = Observation({"main": PartSeen(part="main", host="n1", state="running", launch_hash="other")})
    assert decide(record(launch=ONE, claimed=True, outcome=Outcome.OK), foreign) == Over()


def test_a_stalled_attempt_failed_and_was_not_stopped_by_anybody() -> None:
    stop = {"launch": ONE, "claimed": True, "stop": "no step for 2 min", "stalled": True}
    assert decide(record(**stop, parts=RUNNING), seen(main="running")) == StopPart("main", "no step for 2 min")
    finished = decide(record(**stop, parts=TAKEN), seen(main="exited"))
    assert finished == Finish(Outcome.FAILED, FailureClass.STALLED, "no step for 2 min")
