"""Jobs of several nodes in the lab: how ranks on different hosts meet, wait, run and hang."""

import re
from collections.abc import AsyncIterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from console.lab.containers import Container
from console.lab.up import Lab

if TYPE_CHECKING:
    from tests.lab.conftest import Kit

IMAGE = "rocm/megatron-lm:v25.5_py310"
SERVER = ("mi300x-2x9654",)
SCRIPT = ["bash", "-c", "say() { echo 'instinct set-up: '; }; bash \"$1\"", "x", "examples/llama/train_llama2.sh"]
BASE = {
    "TEE_OUTPUT": "1", "MBS": "4", "TP": "1", "TE_FP8": "1", "SEQ_LENGTH": "4096", "MODEL_SIZE": "7",
    "TOTAL_ITERS": "20", "MASTER_PORT": "6020", "NCCL_DEBUG": "INFO",
}  # fmt: skip
ITERATION = re.compile(r"iteration +(\d+)/ +20 \|.*?throughput per GPU \(TFLOP/s/GPU\): ([\d.]+) \|")


@pytest.fixture
async def two(folder: Path) -> AsyncIterator[Lab]:
    """Two hosts alike, very fast."""
    async with Lab(folder / "lab", hosts=2, speed=20_000.0, servers=SERVER) as lab:
        yield lab


class Node:
    """One node of a job."""

    def __init__(self, lab: Lab, rank: int, nodes: int, env: dict[str, str], host_config: dict[str, Any]) -> None:
        self.machine = list(lab.machines.values())[rank]
        nics = lab.fabric.nics(self.machine.name)
        first = lab.fabric.nics(next(iter(lab.machines)))
        given = {
            **BASE, "BS": str(256 * nodes), "NNODES": str(nodes), "NODE_RANK": str(rank),
            "MASTER_ADDR": first[1].address, "NCCL_SOCKET_IFNAME": nics[1].name, "GLOO_SOCKET_IFNAME": nics[1].name,
            "NCCL_IB_HCA": ",".join(f"{nic.rdma}:1" for nic in nics if nic.rdma), "NCCL_IB_GID_INDEX": "3", **env,
        }  # fmt: skip
        if self.machine.engine.images.find(IMAGE) is None:
            self.machine.engine.images.preload(IMAGE)
        body = {"Image": IMAGE, "Cmd": SCRIPT, "HostConfig": host_config, "Env": [f"{k}={v}" for k, v in given.items()]}
        self.container: Container = self.machine.engine.create("", body)
        self.machine.engine.start(self.container)

    async def end(self) -> "Node":
        await self.container.ended.wait()
        return self

    @property
    def code(self) -> int:
        return self.container.exit_code

    @property
    def text(self) -> str:
        return b"".join(entry.data for entry in self.container.log.entries).decode()

    @property
    def tflops(self) -> list[float]:
        return [float(value) for _, value in ITERATION.findall(self.text)]


def job(lab: Lab, env: dict[str, str] | None = None, faults: Sequence[str] = (), **host_config: Any) -> list[Node]:
    """Start a job over all hosts of a lab. `faults` by rank."""
    nodes = len(lab.machines)
    return [
        Node(
            lab, rank, nodes,
            {**(env or {}), **({"INSTINCT_LAB_FAULT": faults[rank]} if rank < len(faults) else {})},
            host_config or {"Privileged": True},
        )
        for rank in range(nodes)
    ]  # fmt: skip


async def reached(node: Node, iterations: int) -> bool:
    return len(node.tflops) >= iterations


async def ended(nodes: list[Node]) -> list[Node]:
    return [await node.end() for node in nodes]


async def test_iterations_are_printed_on_the_last_node_alone(two: Lab) -> None:
    first, last = await ended(job(two))
    assert (first.code, last.code) == (0, 0)
    assert (len(first.tflops), len(last.tflops)) == (0, 20)
    assert "throughput per GPU: nan" in first.text
    assert re.search(r"^throughput per GPU: 6\d\d\.\d+$", last.text, re.M)
    assert "[Rank 0] (after 1 iterations)" in first.text
    assert "[Rank 15] (after 1 iterations)" in last.text


async def test_rccl_says_which_network_it_uses(two: Lab) -> None:
    first, _ = await ended(job(two))
    assert "NCCL INFO Bootstrap : Using rail0:10.100.0.10<0>" in first.text
    assert "NCCL INFO Using network IB" in first.text
    assert re.search(r"nRanks 16 nNodes 2 localRanks 8", first.text)
    assert re.search(r"via NET/IB/\d/GDRDMA", first.text)
    assert "Socket" not in first.text


async def test_eight_nodes_are_one_job(folder: Path) -> None:
    async with Lab(folder / "lab", hosts=8, speed=20_000.0, servers=SERVER) as lab:
        nodes = await ended(job(lab))
        assert [node.code for node in nodes] == [0] * 8
        assert [len(node.tflops) for node in nodes] == [0] * 7 + [20]
        assert "nRanks 64 nNodes 8" in nodes[0].text


async def test_a_lab_of_twelve_has_eight_hosts_alike(folder: Path) -> None:
    async with Lab(folder / "lab", hosts=12) as lab:
        servers = [machine.kind.server for machine in lab.machines.values()]
        assert servers.count("mi300x-2x9654") == 8
        assert {"mi300x-2x9554", "mi325x-2x9654"} < set(servers)


async def test_two_jobs_after_each_other_differ_by_noise(two: Lab) -> None:
    figures = []
    for _ in range(2):
        nodes = await ended(job(two))
        figures.append(nodes[-1].tflops)
    assert figures[0] != figures[1]
    assert figures[0][-1] == pytest.approx(figures[1][-1], rel=0.03)


async def test_a_rank_waits_for_the_others_and_gives_up_in_the_end(two: Lab, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("console.lab.torchrun.PATIENCE_S", 0.0)
    alone = await Node(two, 0, 2, {}, {"Privileged": True}).end()
    assert alone.code == 1
    assert "Timed out after 901 seconds waiting for clients. 1/2 clients joined." in alone.text
    late = await Node(two, 1, 2, {}, {"Privileged": True}).end()
    assert late.code == 1
    assert "The client socket has timed out after 900000ms while trying to connect to (10.100.0.10, 6020)." in late.text


@pytest.mark.parametrize("address", ["10.250.0.1", "no-such-host.lab", "localhost"])
async def test_a_wrong_master_address_brings_nobody_together(
    two: Lab, address: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("console.lab.torchrun.PATIENCE_S", 0.0)
    nodes = await ended(job(two, {"MASTER_ADDR": address}))
    assert [node.code for node in nodes] == [1, 1]
    assert f"while trying to connect to ({address}, 6020)" in nodes[1].text
    assert not nodes[1].tflops


@pytest.mark.parametrize(
    ("env", "said"),
    [
        ({"NCCL_SOCKET_IFNAME": "ens51np0"}, "NCCL WARN Bootstrap : no socket interface found"),
        ({"GLOO_SOCKET_IFNAME": "ens51np0"}, "ifa != nullptr. Unable to find address for: ens51np0"),
        ({"NCCL_SOCKET_IFNAME": "rail5"}, "NCCL WARN Net : No interface found in the same subnet"),
        ({"NCCL_IB_GID_INDEX": "0"}, "NET/IB : Got completion from peer"),
    ],
)
async def test_a_wrong_interface_or_gid_is_said_in_rccls_words(two: Lab, env: dict[str, str], said: str) -> None:
    nodes = await ended(job(two, env))
    assert [node.code for node in nodes] == [1, 1]
    assert all(said in node.text for node in nodes)


async def test_a_bootstrap_on_the_loopback_waits_until_the_watchdog(two: Lab) -> None:
    nodes = await ended(job(two, {"NCCL_SOCKET_IFNAME": "lo"}))
    assert "NCCL INFO Bootstrap : Using lo:127.0.0.1<0>" in nodes[0].text
    assert all("Watchdog caught collective operation timeout" in node.text for node in nodes)
    assert not nodes[1].tflops


async def test_one_node_with_a_wrong_interface_leaves_the_other_waiting(two: Lab) -> None:
    first, last = await ended(job(two, faults=["", "wrong-interface"]))
    assert "Bootstrap : no socket interface found" in last.text
    assert "Watchdog caught collective operation timeout" in first.text


async def test_without_rdma_devices_data_goes_over_sockets_slowly(two: Lab) -> None:
    fast = await ended(job(two))
    slow = await ended(job(two, Devices=[{"PathOnHost": "/dev/kfd"}, {"PathOnHost": "/dev/dri"}]))
    assert [node.code for node in slow] == [0, 0]
    assert "NCCL INFO NET/IB : No device found." in slow[0].text
    assert "NCCL INFO Using network Socket" in slow[0].text
    assert "via NET/Socket/" in slow[0].text
    assert slow[1].tflops[-1] < 0.5 * fast[1].tflops[-1]


async def test_a_named_fallback_to_sockets_slows_the_whole_job(two: Lab) -> None:
    nodes = await ended(job(two, faults=["socket-fallback"]))
    assert all("Using network Socket" in node.text for node in nodes)


async def test_a_rank_that_dies_leaves_the_others_in_their_collective(two: Lab) -> None:
    first, last = await ended(job(two, faults=["rank-dies"]))
    assert "traceback : Signal 9 (SIGKILL)" in first.text
    assert len(last.tflops) == 6
    assert "Watchdog caught collective operation timeout" in last.text
    assert (first.code, last.code) == (1, 1)


async def test_a_container_that_is_stopped_leaves_the_others_in_their_collective(folder: Path, kit: "Kit") -> None:
    async with Lab(folder / "lab", hosts=2, speed=400.0, servers=SERVER) as lab:
        first, last = job(lab)
        await kit.eventually(lambda: reached(last, 3))
        await first.machine.engine.stop(first.container)
        assert first.code == 143
        await lab.machines[last.machine.name].engine.stop(last.container)
        assert 3 <= len(last.tflops) < 20


async def test_a_stall_freezes_all_nodes(two: Lab, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("console.lab.torchrun.STALL_S", 0.0)
    nodes = await ended(job(two, faults=["", "stall"]))
    assert len(nodes[1].tflops) == 7
    assert all("Watchdog caught" in node.text for node in nodes)


async def test_a_second_job_on_the_same_port_is_refused(folder: Path, kit: "Kit") -> None:
    async with Lab(folder / "lab", hosts=1, speed=1000.0, servers=SERVER) as lab:
        first = Node(lab, 0, 1, {}, {"Privileged": True})
        await kit.eventually(lambda: reached(first, 1))
        second = await Node(lab, 0, 1, {}, {"Privileged": True}).end()
        assert "EADDRINUSE" in second.text
        assert not second.tflops


async def test_rdma_errors_show_in_the_counters_after_the_run(two: Lab) -> None:
    machine = list(two.machines.values())[1]
    port = machine.root / "sys/class/infiniband/rdma3/ports/1"
    assert (port / "hw_counters/packet_seq_err").read_text() == "0\n"
    nodes = await ended(job(two, faults=["", "rdma-errors"]))
    assert len(nodes[1].tflops) == 20
    assert int((port / "hw_counters/packet_seq_err").read_text()) > 0
    other = next(iter(two.machines.values())).root / "sys/class/infiniband/rdma3/ports/1/hw_counters/packet_seq_err"
    assert other.read_text() == "0\n"


async def test_a_port_that_is_down_is_not_used(two: Lab) -> None:
    machine = next(iter(two.machines.values()))
    machine.afflict("rdma-port-down")
    first, last = await ended(job(two))
    assert "rdma3:1/RoCE" not in first.text
    assert "rdma3:1/RoCE" in last.text
