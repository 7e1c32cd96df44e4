"""How hosts reach each other: rails and their counterparts, libraries, ports, and what a check's lines come to."""

import json
from collections.abc import Sequence

import msgspec
import pytest

from console.model.fabric import Rail
from console.model.facts import Driver, HostFacts, Known, Nic, ProviderLibrary, RdmaDevice, RdmaPort
from console.model.finding import Effect, State
from console.model.launch import Launch, Mount, Placement, Seat
from console.runs.cohort import DRIVER, MTU, NETWORK, PORT, ROCM, cohort
from console.runs.fabric import choose, free_port
from console.runs.fabric_orders import PAYLOAD_BYTES, Errand
from console.runs.fabric_program import MARK
from console.runs.fabric_report import FOLDER, RAILS, RDMA_PATH, VERBS, proof, read
from console.runs.fabric_wires import wires
from console.workloads.fabric import FabricWish


def facts(
    name: str, number: int, *, driver: str = "mlx5_core", rails: int = 2, listening: Sequence[int] = ()
) -> HostFacts:
    """A host with a front interface and rails, each rail in a network of its own."""
    front = Nic(name="eno1", operstate="up", speed_mbps=25_000, mtu=1500, addresses=(f"10.0.0.{number}/24",))
    nics = [
        Nic(
            name=f"rail{rail}",
            operstate="up",
            speed_mbps=400_000,
            mtu=9000,
            driver=driver,
            addresses=(f"fd00:{rail}::{number}/64", f"10.10{rail}.0.{number}/24"),
        )
        for rail in range(rails)
    ]
    devices = tuple(
        RdmaDevice(
            name=f"rdma{rail}",
            netdevs=(f"rail{rail}",),
            ports=(RdmaPort(number=1, state="ACTIVE", link_layer="Ethernet"),),
        )
        for rail in range(rails)
    )
    return HostFacts(
        host=name,
        read_at_ns=0,
        nics=Known((front, *nics), "sysfs"),
        rdma=Known(devices, "sysfs"),
        listening=Known(tuple(listening), "proc"),
        providers=Known(
            (
                ProviderLibrary(
                    name="bnxt_re", path="/usr/local/lib/libbnxt_re-rdmav34.so", config="/etc/x/bnxt_re.driver"
                ),
                ProviderLibrary(name="bnxt_re", path="/usr/lib64/libibverbs/libbnxt_re-rdmav34.so"),
                ProviderLibrary(name="mlx5", path="/usr/lib64/libibverbs/libmlx5-rdmav34.so"),
            ),
            "libibverbs",
        ),
    )


def test_the_fastest_common_network_carries_the_sockets_and_every_rdma_device_has_a_rail() -> None:
    chosen = choose([facts("a", 1), facts("b", 2)])["b"]
    assert (chosen.interface, chosen.ip) == ("rail0", "10.100.0.2")
    assert [(rail.device, rail.interface, rail.address, rail.mtu) for rail in chosen.rails] == [
        ("rdma0:1", "rail0", "10.100.0.2", 9000),
        ("rdma1:1", "rail1", "10.101.0.2", 9000),
    ]


def test_a_wished_interface_is_a_rail_of_its_own_and_devices_may_be_left_out() -> None:
    chosen = choose([facts("a", 1), facts("b", 2)], FabricWish(interface="eno1", hcas="^rdma0"))["a"]
    assert [(rail.device, rail.interface) for rail in chosen.rails] == [("", "eno1"), ("rdma1:1", "rail1")]


@pytest.mark.parametrize(
    ("spec", "taken"),
    [
        ("rdma1:1", ["rdma1:1"]),
        ("rdma1", ["rdma1:1", "rdma12:1"]),
        ("=rdma1", ["rdma1:1"]),
        ("^rdma1", ["rdma2:1"]),
        ("^=rdma1,rdma2", ["rdma12:1"]),
    ],
)
def test_lists_of_devices_are_read_as_rccl_reads_them(spec: str, taken: list[str]) -> None:
    names = ["rdma1:1", "rdma12:1", "rdma2:1"]
    assert [name for name in names if FabricWish(hcas=spec).takes_device(name)] == taken


def test_a_host_without_the_wished_interface_is_named_with_what_it_has() -> None:
    hosts, wish = [facts("a", 1), facts("b", 2, rails=1)], FabricWish(interface="rail1")
    (finding,) = [item for item in cohort(hosts, choose(hosts, wish), wish=wish) if item.check == NETWORK]
    assert (finding.host, finding.effect) == ("b", Effect.BLOCK)
    assert "eno1, rail0" in finding.seen


def test_one_job_wants_one_driver_and_says_of_rocm_and_of_what_cannot_be_read() -> None:
    def version(text: str) -> Known[str]:
        return Known(text, "modinfo")

    def seen(**drivers: Driver) -> list[tuple[str, str, State, Effect, str]]:
        hosts = [
            msgspec.structs.replace(facts(name, place), driver=of)
            for place, (name, of) in enumerate(drivers.items(), 1)
        ]
        found = cohort(hosts, choose(hosts))
        return [
            (item.check, item.host, item.state, item.effect, item.seen)
            for item in found
            if item.check in (DRIVER, ROCM)
        ]

    old = Driver(amdgpu_version=version("6.8.5"), rocm_version=version("6.3.1"))
    new = Driver(amdgpu_version=version("6.10.5"), rocm_version=version("6.4.0"))
    bare = Driver(rocm_version=version("6.3.1"))
    assert seen(a=old, b=old) == []
    assert seen(a=old, b=new) == [
        (DRIVER, "b", State.FAIL, Effect.SPOIL, "amdgpu 6.10.5"),
        (ROCM, "b", State.WARN, Effect.NOTE, "host ROCm 6.4.0"),
    ]
    assert seen(a=old, b=bare) == [(DRIVER, "b", State.UNKNOWN, Effect.NOTE, "amdgpu's version is not known on b")]


def test_libraries_of_vendors_come_from_the_host_and_images_have_those_of_others() -> None:
    broadcom = [facts("a", 1, driver="bnxt_en"), facts("b", 2, driver="bnxt_en")]
    inside = "/usr/lib/x86_64-linux-gnu/libibverbs/libbnxt_re-rdmav34.so"
    assert choose(broadcom)["a"].provider_mounts == (
        Mount("/usr/local/lib/libbnxt_re-rdmav34.so", inside, read_only=True),
        Mount("/etc/x/bnxt_re.driver", "/etc/x/bnxt_re.driver", read_only=True),
    )
    assert choose(broadcom, FabricWish(providers="none"))["a"].provider_mounts == ()
    mellanox = [facts("a", 1), facts("b", 2)]
    assert choose(mellanox)["a"].provider_mounts == ()
    (mount,) = choose(mellanox, FabricWish(providers="mlx5"))["a"].provider_mounts
    assert mount.host_path == "/usr/lib64/libibverbs/libmlx5-rdmav34.so"


def test_a_taken_port_is_gone_round_and_said() -> None:
    hosts = [facts("a", 1, listening=(6000, 6001)), facts("b", 2)]
    assert free_port(hosts[0], 6000) == 6002
    assert free_port(hosts[1], 6000) == 6000
    (finding,) = [item for item in cohort(hosts, choose(hosts), ports=(6000,)) if item.check == PORT]
    assert (finding.host, finding.effect, finding.remedy) == ("a", Effect.NOTE, "6002 is used instead")
    full = facts("a", 1, listening=range(6000, 6100))
    (finding,) = [item for item in cohort([full, hosts[1]], choose(hosts), ports=(6000,)) if item.check == PORT]
    assert finding.effect is Effect.BLOCK
    unknown = msgspec.structs.replace(full, listening=HostFacts(host="x", read_at_ns=0).listening)
    assert free_port(unknown, 6000) is None


def test_the_end_with_the_unusual_mtu_is_named_once() -> None:
    hosts = [facts(name, number) for number, name in enumerate("abcd", 1)]
    nics = hosts[2].nics
    assert isinstance(nics, Known)
    small = tuple(msgspec.structs.replace(nic, mtu=1500) if nic.name == "rail1" else nic for nic in nics.value)
    hosts[2] = msgspec.structs.replace(hosts[2], nics=Known(small, "sysfs"))
    (finding,) = [item for item in cohort(hosts, choose(hosts)) if item.check == MTU]
    assert (finding.host, finding.seen, finding.effect) == ("c", "rail1 has MTU 1500", Effect.SPOIL)


def rail(device: str, address: str, network: str) -> Rail:
    return Rail(interface=device or "eno1", address=address, network=network, device=device)


def test_hosts_form_a_ring_and_two_of_them_one_pair() -> None:
    one = [rail("r0", "10.0.0.1", "10.0.0.0/24")]
    assert [(wire.first, wire.second) for wire in wires([one, one], ["a", "b"])] == [("a", "b")]
    ring = [(wire.first, wire.second) for wire in wires([one] * 3, ["a", "b", "c"])]
    assert ring == [("a", "b"), ("b", "c"), ("c", "a")]
    assert wires([one], ["a"]) == ()


def test_rails_lead_to_those_in_their_network_then_of_their_name_then_of_their_place() -> None:
    crossed = [rail("r0", "10.0.0.1", "A"), rail("r1", "10.1.0.1", "B")], [rail("r0", "b", "B"), rail("r1", "a", "A")]
    assert [(w.from_rail.device, w.to_rail.device) for w in wires(crossed, ["a", "b"])] == [("r0", "r1"), ("r1", "r0")]
    routed = [rail("r0", "x", "N1"), rail("r1", "y", "N2")], [rail("r1", "z", "N3"), rail("r0", "w", "N4")]
    assert [(w.from_rail.device, w.to_rail.device) for w in wires(routed, ["a", "b"])] == [("r0", "r0"), ("r1", "r1")]
    strange = [rail("r0", "x", "N1"), rail("r1", "y", "N2")], [rail("q7", "z", "N3")]
    assert [(w.from_rail.device, w.to_rail.device) for w in wires(strange, ["a", "b"])] == [("r0", "q7")]


# -------------------------------------------------------------------- what was said

WHOLE = {"wire": 0, "side": "connect", "there": PAYLOAD_BYTES, "back": PAYLOAD_BYTES, "seconds": 0.1, "connected": True}


def asked(*, needs_folder: bool = True) -> Errand:
    """A check of two hosts with one rail."""
    rails = [[rail("rdma0:1", "10.0.0.1", "N")], [rail("rdma0:1", "10.0.0.2", "N")]]
    seats = tuple(
        Seat(rank=rank, host="ab"[rank], rails=tuple(rails[rank]), hcas=("rdma0:1",), infiniband=True, shared="/nfs")
        for rank in (0, 1)
    )
    launch = Launch(attempt="x", cell="c", image="i", image_digest=None, placement=Placement(seats), parts=(), hash="h")
    found = wires(rails, ["a", "b"])
    devices = {"a": ("rdma0",), "b": ("rdma0",)}
    return Errand(launch=launch, wires=found, seats=seats, devices=devices, key="k", needs_folder=needs_folder)


def output(*said: dict[str, object]) -> bytes:
    """What a container prints, the entry's markers among it."""
    lines = [
        {"tool": False},
        {"verbs": ["rdma0"], "error": ""},
        {"shared": "/nfs", "missing": []},
        *said,
        {"done": True},
    ]
    return b"@@instinct started\n" + b"".join(f"{MARK}{json.dumps(line)}\n".encode() for line in lines)


def test_whole_bytes_are_a_proof_without_findings_that_says_what_it_did_not_try() -> None:
    made = proof(asked(), {"a": output(WHOLE), "b": output()})
    assert made.findings == ()
    assert made.wires[0].error == ""
    assert "RDMA data path not exercised" in made.text


def test_bytes_that_are_lost_after_the_connection_are_blamed_on_frames() -> None:
    made = proof(asked(), {"a": output({**WHOLE, "there": 65536, "back": 0}), "b": output()})
    (finding,) = made.findings
    assert (finding.check, finding.effect) == (RAILS, Effect.BLOCK)
    assert "connected, but 64.0 KiB of 4.0 MiB came there, 0 B back" in finding.seen
    assert "MTU" in finding.remedy


def test_the_end_that_could_not_begin_is_the_cause() -> None:
    refused = {"wire": 0, "side": "connect", "error": "Connection refused"}
    door = {"wire": 0, "side": "listen", "error": "Cannot assign requested address"}
    (finding,) = proof(asked(), {"a": output(refused), "b": output(door)}).findings
    assert finding.host == "b"
    assert "Cannot assign requested address" in finding.seen


@pytest.mark.parametrize("said", [b"", b"instinct: 1: exec: python3: not found\n", b'@@instinct fabric {"tool": 7}\n'])
def test_a_check_that_did_not_come_about_is_noted_and_blames_no_wire(said: bytes) -> None:
    made = proof(asked(), {"a": output(), "b": said})
    (finding,) = made.findings
    assert (finding.host, finding.state, finding.effect) == ("b", State.UNKNOWN, Effect.NOTE)
    assert made.wires == ()


def test_devices_and_rdma_writes_spoil_and_folders_block_where_they_are_needed() -> None:
    failed = {**WHOLE, "rdma_error": "Completion with error at client"}
    shut = output().replace(b'"verbs": ["rdma0"]', b'"verbs": []')
    apart = output(failed).replace(b'"missing": []', b'"missing": [1]')
    made = proof(asked(), {"a": apart, "b": shut})
    assert {(item.check, item.host, item.effect) for item in made.findings} == {
        (VERBS, "b", Effect.SPOIL),
        (RDMA_PATH, "a", Effect.SPOIL),
        (FOLDER, "a", Effect.BLOCK),
    }
    unneeded = proof(asked(needs_folder=False), {"a": apart, "b": output()})
    assert [item.effect for item in unneeded.findings if item.check == FOLDER] == [Effect.NOTE]


def test_strange_lines_are_left_out_and_words_of_hosts_are_cleaned() -> None:
    assert read(b"\xff\n" + MARK.encode() + b"[1]\n" + MARK.encode() + b"{not json\nnoise\n") == ()
    evil = {"wire": 0, "side": "connect", "error": "no\x1b[31m\u202ered"}
    (finding,) = proof(asked(), {"a": output(evil), "b": output()}).findings
    assert "\x1b" not in finding.seen
    assert "\u202e" not in finding.seen
