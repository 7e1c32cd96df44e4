"""Played hosts as files: networks, sensors under load, folders that all hosts share."""

import asyncio
import ipaddress
import json
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from console.lab import gpu_files, kernel_text, smi
from console.lab.faults import HOST_FAULTS
from console.lab.network import nics_of
from console.lab.specs import KIND_BY_SERVER, lineup
from console.lab.up import Lab

if TYPE_CHECKING:
    from tests.lab.conftest import Kit


def test_every_host_has_addresses_of_its_own_in_common_networks() -> None:
    by_host = {name: nics_of(kind.nic, name, index) for index, (name, kind) in enumerate(lineup(64))}
    everything = [nic.address for nics in by_host.values() for nic in nics]
    assert len(set(everything)) == len(everything) == 64 * 9
    assert {len({nic.network for nic in nics}) for nics in by_host.values()} == {9}
    assert len({nic.network for nics in by_host.values() for nic in nics}) == 9
    macs = [nic.mac for nics in by_host.values() for nic in nics]
    assert len(set(macs)) == len(macs)


async def test_a_lab_has_the_addresses_of_its_hosts(lab: Lab) -> None:
    assert {name: lab.fabric.nics(name) for name in lab.machines} == {
        name: nics_of(kind.nic, name, index) for index, (name, kind) in enumerate(lineup(len(lab.machines)))
    }


async def test_rdma_devices_say_which_interface_and_address_is_theirs(lab: Lab, kit: "Kit") -> None:
    machine = lab.machines[kit.first]
    addresses = (machine.root / "@commands/net.addresses").read_text()
    rails = [nic for nic in lab.fabric.nics(kit.first) if nic.rdma]
    assert len(rails) == 8
    for nic in rails:
        card = machine.root / "sys/class/infiniband" / nic.rdma
        assert (card / "device/net" / nic.name).is_dir()
        assert (card / "ports/1/state").read_text() == "4: ACTIVE\n"
        assert (card / "ports/1/gid_attrs/types/3").read_text() == "RoCE v2\n"
        low = (card / "ports/1/gids/3").read_text().strip()[-9:].replace(":", "")
        assert ipaddress.IPv4Address(int(low, 16)) == ipaddress.IPv4Address(nic.address)
        assert f"{nic.name}    inet {nic.address}/16 " in addresses
        assert (machine.root / f"sys/class/net/{nic.name}/speed").read_text() == "400000\n"
    assert (machine.root / "dev/infiniband/uverbs7").exists()


async def test_hosts_share_a_network_file_system(folder: Path, kit: "Kit") -> None:
    async with Lab(folder, hosts=2, shared_cache=True) as lab:
        one, other = lab.machines.values()
        async with kit.connect(lab, one.name) as client:
            await client.ssh.run("echo hello > shared/cache/note", check=True)
        assert (other.root / "shared/cache/note").read_text() == "hello\n"
        assert "store.lab:/export /shared nfs4 " in (one.root / "proc/mounts").read_text()
        assert 'model_cache = "/shared/huggingface"' in lab.fleet_file.read_text()


def test_an_unknown_server_is_refused_with_the_known_ones(folder: Path) -> None:
    with pytest.raises(ValueError, match=r"plays no server mi999x; it plays mi300x-2x9554, "):
        Lab(folder, hosts=1, servers=("mi999x",))


async def test_sensors_follow_the_load_in_place(folder: Path, kit: "Kit", monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("console.lab.telemetry.EVERY_S", 0.001)
    async with Lab(folder, hosts=4) as lab, kit.connect(lab) as client:
        machine, twin = lab.machines[kit.first], lab.machines["lab-mi300x-03"]
        files = {name: f"{gpu_files.sensors(2)}/{name}" for name in ("power1_input", "temp2_input", "freq1_input")}

        def seen(name: str) -> int:
            return int((machine.root / files[name]).read_text())

        idle = {name: seen(name) for name in files}
        await client.create("job", ["sleep", "infinity"], HostConfig={"Privileged": True})
        await client.start("job")
        at_first = (machine.root / files["power1_input"]).stat().st_ino
        assert seen("power1_input") > 600_000_000
        assert seen("freq1_input") > 1_500_000_000
        values: set[int] = set()
        while len(values) < 3:
            values.add(seen("power1_input"))
            await asyncio.sleep(0.002)
        assert (machine.root / files["power1_input"]).stat().st_ino == at_first
        assert int((twin.root / files["power1_input"]).read_text()) == idle["power1_input"]
        assert int((machine.root / f"{gpu_files.device(2)}/gpu_busy_percent").read_text()) >= 98
        processes = list((machine.root / "sys/class/kfd/kfd/proc").iterdir())
        assert len(processes) == 1
        assert (machine.root / f"proc/{processes[0].name}/cgroup").read_text().count("docker-") == 1
        await client.call("DELETE", "/containers/job?force=1")
        assert seen("power1_input") < 150_000_000
        assert seen("temp2_input") == idle["temp2_input"]


async def test_idle_hosts_keep_no_task_for_their_sensors(folder: Path) -> None:
    async with Lab(folder, hosts=8):
        assert not [task for task in asyncio.all_tasks() if task.get_name() == "lab sensors"]


async def test_a_foreign_process_stays_after_a_run_of_ours(lab: Lab, kit: "Kit") -> None:
    machine = lab.machines[kit.first]
    machine.afflict("busy-gpu")
    used = machine.root / gpu_files.device(0) / "mem_info_vram_used"
    before = used.read_text()
    async with kit.connect(lab) as client:
        await client.run("job", ["sleep", "1"], HostConfig={"Privileged": True})
    assert used.read_text() == before


async def test_a_missing_gpu_is_missing_for_containers_too(lab: Lab, kit: "Kit") -> None:
    machine = lab.machines[kit.first]
    machine.afflict("gpu-missing")
    async with kit.connect(lab) as client:
        await client.run("job", ["sleep", "1"], HostConfig={"Privileged": True})
    assert not (machine.root / gpu_files.device(5)).exists()
    links = machine.root / gpu_files.TOPOLOGY / f"nodes/{machine.kind.nodes}/io_links"
    types = [(link / "properties").read_text().split("\n")[0] for link in links.iterdir()]
    assert types.count("type 11") == 6


@pytest.mark.parametrize("server", list(KIND_BY_SERVER))
def test_amd_smi_has_the_shape_of_its_release(server: str) -> None:
    kind = KIND_BY_SERVER[server]
    documents = {name: json.loads(text) for name, text in smi.common(kind)}
    whole = documents["smi.metric"]
    gpus = whole["gpu_data"] if kind.rocm.startswith("7") else whole
    assert [gpu["gpu"] for gpu in gpus] == list(range(8))
    assert {gpu["throttle"]["ppt_violation_status"] for gpu in gpus} == {"NOT ACTIVE"}
    assert gpus[0]["throttle"]["ppt_accumulated"] > 0
    assert ("amdgpu_version" in documents["smi.version"][0]) == kind.rocm.startswith("7")
    assert documents["smi.rocm"]["card7"]["PCI Bus"] == gpu_files.bdf(7).upper()


async def test_ids_of_amd_smi_are_those_of_sysfs(lab: Lab, kit: "Kit") -> None:
    machine = lab.machines[kit.first]
    static = json.loads((machine.root / "@commands/smi.static").read_text())
    for gpu in static:
        sysfs = (machine.root / gpu_files.device(gpu["gpu"]) / "unique_id").read_text().strip()
        assert gpu["asic"]["asic_serial"].lower() == f"0x{sysfs}"
    assert "LAB-UNIQUE" not in (machine.root / "@commands/smi.list").read_text()


def test_every_fault_of_the_kernel_log_has_a_name_in_the_faults_file() -> None:
    assert set(kernel_text.FAULTS) == {name for name in HOST_FAULTS if name.startswith("log-")}


async def test_processors_are_the_first_one_again(lab: Lab, kit: "Kit") -> None:
    cpus = lab.machines[kit.first].root / "sys/devices/system/cpu"
    disabled = [(cpus / f"cpu{number}/cpuidle/state2/disable").read_text() for number in range(128)]
    assert disabled == ["1\n"] * 128
