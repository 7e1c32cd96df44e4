"""Rows of several hosts: bytes are moved between them before anything starts, and each fault is a row that says so."""

from typing import TYPE_CHECKING

import pytest

from console.lab.faults import Fault
from console.model.events import FabricChecked, LaunchResolved, Noticed
from console.model.fabric import FabricProof
from console.store.paths import StateFolder
from console.store.tail import Tail

if TYPE_CHECKING:
    from tests.acceptance.conftest import Kit, LabOf, Played

SERVER = ("mi300x-2x9654",)
FIRST, SECOND, THIRD = "lab-mi300x-01", "lab-mi300x-02", "lab-mi300x-03"
MATRIX = "megatron-25.5-llama"
THREE = ("--hosts", f"{FIRST},{SECOND},{THIRD}")
TWO_NODES = (MATRIX, "--only", "nodes==2 and model~8B", "--hosts", f"{FIRST},{SECOND}")


@pytest.fixture(scope="module")
def lab(lab_of: "LabOf") -> "Played":
    return lab_of(8, 1000.0, servers=SERVER, shared_cache=True)


def proofs(lab: "Played") -> list[FabricProof]:
    """What was proven in the last run, in order."""
    with Tail(StateFolder.open(lab.home / "store")) as tail:
        run = tail.find_run("last").run
        found = [item.event for item in tail.of_run(run, FabricChecked)]
    return [event.proof for event in found if isinstance(event, FabricChecked)]


def test_eight_hosts_without_a_fault_prove_their_fabric_once_for_all_rows_of_a_run(lab: "Played") -> None:
    done = lab.run("run", MATRIX, "--only", "nodes==8", "--hosts", "lab-*", "--json")

    assert done.code == 0, done.err
    assert [row["state"] for row in done.json["rows"]] == ["ok", "ok"]
    (proof,) = proofs(lab)
    assert len(proof.wires) == 8 * 8
    assert all(not item.error and item.there_bytes == item.back_bytes > 0 for item in proof.wires)
    assert {len(names) for names in proof.opened.values()} == {8}
    assert proof.findings == ()
    assert "RDMA data path not exercised: no ib_write_bw in the image" in proof.text
    assert "shared folder seen by all" in proof.text
    assert lab.containers() == {}
    assert list((lab.lab.folder / "shared/huggingface").glob(".instinct-check-*")) == []


FAULTS = [
    ("rail-dead", SECOND, "rail3 10.103.0.11 of lab-mi300x-02: timed out", "VLAN"),
    ("rail-small-frames", SECOND, "connected, but 0 B of 4.0 MiB came there", "ping -M do -s 8972 -I rail3"),
    ("wrong-interface", SECOND, "No such device", "ip addr"),
    ("no-provider", FIRST, "libibverbs of the image cannot open rdma0, rdma1", "--set providers="),
]


@pytest.mark.parametrize(("fault", "host", "line", "remedy"), FAULTS, ids=[item[0] for item in FAULTS])
def test_a_fabric_that_does_not_carry_is_a_row_that_was_not_run(
    lab: "Played", fault: str, host: str, line: str, remedy: str
) -> None:
    with lab.faults(Fault(fault, host=host)):
        done = lab.run("run", *TWO_NODES, "--json")

    (row,) = done.json["rows"]
    assert done.code == 1, done.err
    assert (row["state"], row["failure"]) == ("not run", "preflight")
    assert host in row["failure_line"]
    assert line in row["failure_line"]
    assert remedy in row["remedy"]
    assert lab.containers() == {}


def test_of_three_hosts_the_one_that_fails_towards_both_others_is_named(lab: "Played") -> None:
    with lab.faults(Fault("rail-dead", host=THIRD)):
        done = lab.run("run", MATRIX, "--only", "nodes==4 and model~8B", "--hosts", "lab-mi300x-0[1-4]", "--json")

    (row,) = done.json["rows"]
    assert row["failure_line"].startswith(f"{THIRD}: no bytes between rail3 10.103.0.12")
    (proof,) = proofs(lab)
    assert len([item for item in proof.wires if item.error]) == 2


def test_a_rail_may_be_left_out_and_the_check_may_be_left_out(lab: "Played") -> None:
    with lab.faults(Fault("rail-dead", host=SECOND)):
        without_rail = lab.run("run", *TWO_NODES, "--set", "hcas=^rdma3", "--json")
        proof = proofs(lab)[0]
        unchecked = lab.run("run", *TWO_NODES, "--set", "check_fabric=false", "--json")
        none = proofs(lab)

    assert without_rail.code == 0, without_rail.err
    assert "socket_fallback" not in str(without_rail.json["rows"][0]["validity"])
    assert [item.wire.from_rail.interface for item in proof.wires if "rail3" in item.wire.from_rail.interface] == []
    assert unchecked.code == 0, unchecked.err
    assert none == []


def test_devices_that_do_not_open_may_be_accepted_and_stay_a_reason(lab: "Played") -> None:
    with lab.faults(Fault("no-provider", host=FIRST)):
        done = lab.run("run", *TWO_NODES, "--accept", "fabric.verbs", "--json")

    (row,) = done.json["rows"]
    assert done.code == 0, done.err
    assert row["state"] == "ok"
    assert "accepted_finding" in str(row["validity"])


def test_an_interface_that_a_host_does_not_have_stops_the_row_at_once(lab: "Played") -> None:
    by_hand = lab.run("plan", *TWO_NODES, "--set", "interface=ens51np0", "--by-hand")
    done = lab.run("run", *TWO_NODES, "--set", "interface=ens51np0", "--json")

    told = [line for line in by_hand.out.splitlines() if line.startswith("# block: ")]
    assert len(told) == 2, "one for each host: what would keep a run from starting keeps a person from it too"
    assert "no interface ens51np0" in told[0]
    (row,) = done.json["rows"]
    assert (row["state"], row["failure"]) == ("not run", "preflight")
    assert "no interface ens51np0" in row["failure_line"]
    assert "rail0" in row["failure_line"]
    assert proofs(lab) == []


def test_a_job_that_stalls_is_told_apart_from_one_that_is_late(lab: "Played") -> None:
    with lab.faults(Fault("stall", host=SECOND)):
        done = lab.run("run", *TWO_NODES, "--json")

    (row,) = done.json["rows"]
    assert done.code == 1, done.err
    assert (row["state"], row["failure"]) == ("failed", "stalled")
    assert "after step 19" in row["failure_line"]
    assert lab.containers() == {}


def test_a_console_that_is_killed_while_bytes_are_moved_is_taken_up_again(lab: "Played", kit: "Kit") -> None:
    def moving() -> bool:
        with Tail(StateFolder.open(lab.home / "store")) as tail:
            rows = tail.attempts(run)
        return any("moving bytes" in row.detail for row in rows) and len(lab.containers()) == 2

    with lab.slowly(), lab.faults(Fault("rail-dead", host=SECOND)):
        started = lab.start("run", *TWO_NODES)
        run = kit.run_id(kit.read_until(started, r"1 attempt"))
        kit.eventually(moving)
        started.kill()
        kit.end(started)
    left = lab.containers()
    resumed = lab.run("run", "--resume", run, "--json")

    assert left == {FIRST: ["instinct-claim"], SECOND: ["instinct-claim"]}
    assert resumed.code == 0, resumed.err
    assert [row["state"] for row in resumed.json["rows"]] == ["ok"]
    assert lab.containers() == {}


def test_folders_ports_and_frames_that_differ_are_seen(kit: "Kit") -> None:
    """Failures of hosts stay with them, so this lab is its own."""
    faults = [Fault("port-taken", host=FIRST), Fault("unshared-cache", host=THIRD), Fault("mtu-mixed", host="*-05")]
    with kit.play(5, 1000.0, faults, servers=SERVER, shared_cache=True) as lab:
        planned = lab.run("plan", *TWO_NODES, "--json")
        moved = lab.run("run", *TWO_NODES, "--json")
        with Tail(StateFolder.open(lab.home / "store")) as tail:
            launches = [item.event for item in tail.of_run(tail.find_run("last").run, LaunchResolved)]
        apart = lab.run("run", *TWO_NODES[:3], "--hosts", f"{SECOND},{THIRD}", "--json")
        frames = lab.run("run", *TWO_NODES[:3], "--hosts", "lab-mi300x-04,lab-mi300x-05", "--json")
        with Tail(StateFolder.open(lab.home / "store")) as tail:
            told = [item.event for run in tail.runs() for item in tail.of_run(run.run, Noticed)]

    (attempt,) = planned.json
    assert [item["remedy"] for item in attempt["findings"] if item["check"] == "cohort.port"] == [
        "6001 is used instead"
    ]
    assert {node["env"]["MASTER_PORT"] for node in attempt["nodes"]} == {"6001"}
    assert moved.code == 0, moved.err
    (launch,) = [event.launch for event in launches if isinstance(event, LaunchResolved)]
    assert {part.env["MASTER_PORT"] for part in launch.parts} == {"6001"}
    (row,) = apart.json["rows"]
    assert (row["state"], row["failure"]) == ("not run", "preflight")
    assert "files that lab-mi300x-03 wrote are not there" in row["failure_line"]
    assert "mount the same file system" in row["remedy"]
    (row,) = frames.json["rows"]
    assert row["failure_line"].startswith("lab-mi300x-05: rail3 has MTU 1500 (expected 9000")
    assert any(isinstance(event, Noticed) and "shared folder not seen by all" in event.text for event in told)


def test_a_host_with_a_fast_clock_and_a_vendors_library_of_its_own_takes_part(kit: "Kit") -> None:
    faults = [Fault("clock-skew", host=SECOND)]
    with kit.play(2, 1000.0, faults, servers=("mi300x-2x9554",), shared_cache=True) as lab:
        planned = lab.run("plan", *TWO_NODES, "--json")
        done = lab.run("run", *TWO_NODES, "--json")
        with Tail(StateFolder.open(lab.home / "store")) as tail:
            run = tail.find_run("last").run
            (row,) = tail.attempts(run)
            told = [item.event.text for item in tail.of_run(run, Noticed) if isinstance(item.event, Noticed)]

    assert done.code == 0, done.err
    assert "libbnxt_re-rdmav34.so" in planned.json[0]["nodes"][0]["by_hand"]["start"]
    (shown,) = done.json["rows"]
    assert shown["state"] == "ok"
    assert any(text.startswith(f"clocks are apart from that of {SECOND}: {FIRST} by -93.") for text in told)
    assert f"how far its clock is from that of {SECOND}" not in str(row.reasons)
