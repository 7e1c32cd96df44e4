"""The lab as a whole: fleet file, root folders, faults, and many hosts in one process."""

import json
import re
import stat
import time
import tomllib
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import asyncssh
import pytest

from console.lab import gpu_files, hub, reference, roots
from console.lab.faults import ALL, HOST_FAULTS, Fault, Faults, FaultsError
from console.lab.up import Lab, LabError

if TYPE_CHECKING:
    from tests.lab.conftest import Kit

MODEL = "amd/Llama-3.1-405B-Instruct-FP8-KV"
RUN = [
    "python3",
    "/app/vllm/benchmarks/benchmark_throughput.py",
    "--model",
    "amd/Llama-3.1-70B-Instruct-FP8-KV",
    "--input-len",
    "128",
    "--output-len",
    "2048",
    "--num-prompts",
    "400",
    "--max-num-seqs",
    "400",
    "--tensor-parallel-size",
    "8",
    "--max-model-len",
    "8192",
    "--output-json",
    "/tmp/o.json",
]
CACHE: dict[str, Any] = {
    "Env": ["HF_HUB_OFFLINE=1", "HF_HUB_CACHE=/c/hub"],
    "HostConfig": {"Privileged": True, "Binds": ["/data/huggingface:/c:ro"]},
}


async def test_the_fleet_file_names_every_host_and_that_all_is_simulated(folder: Path, kit: "Kit") -> None:
    async with Lab(folder, hosts=6) as lab:
        fleet = tomllib.loads(lab.fleet_file.read_text())
        assert fleet["lab"] == {
            "simulated": True, "speed": 60.0, "profiles": "profiles", "known_hosts": "known_hosts",
            "identity": "id_ed25519",
        }  # fmt: skip
        assert list(fleet["hosts"]) == [
            "lab-mi300x-01", "lab-mi300x-02", "lab-mi325x-01", "lab-mi300x-03", "lab-mi300x-04", "lab-mi325x-02",
        ]  # fmt: skip
        servers = [host["server"] for host in fleet["hosts"].values()]
        assert servers[:3] == ["mi300x-2x9554", "mi300x-2x9654", "mi325x-2x9654"]
        assert fleet["defaults"]["address"] == "127.0.0.1"
        for host in fleet["hosts"].values():
            assert "simulated" in (Path(host["root"]) / "etc/instinct-lab").read_text()
        assert stat.S_IMODE((folder / "id_ed25519").stat().st_mode) == 0o600
        ports = {host["port"] for host in fleet["hosts"].values()}
        assert len(ports) == 6
        assert (folder / "known_hosts").read_text().count("ssh-ed25519") == 6


async def test_sixty_four_hosts_answer_in_one_process(folder: Path, kit: "Kit") -> None:
    async with Lab(folder, hosts=64) as lab:
        names = set()
        for name in lab.machines:
            async with kit.connect(lab, name) as client:
                names.add((await client.call("GET", "/info")).json["Name"])
        assert names == set(lab.machines)
        assert len(names) == 64


async def test_a_lab_can_be_started_again_in_its_folder(folder: Path, kit: "Kit") -> None:
    for _ in range(2):
        async with Lab(folder, hosts=1) as lab, kit.connect(lab) as client:
            assert (await client.call("GET", "/_ping")).status == 200


async def test_a_folder_that_is_not_a_labs_is_left_alone(folder: Path) -> None:
    (folder / "hosts").mkdir()
    (folder / "hosts/mine").write_text("keep")
    with pytest.raises(LabError, match="is not empty and not a lab's"):
        await Lab(folder, hosts=1).start()
    assert (folder / "hosts/mine").read_text() == "keep"


async def test_one_folder_serves_one_lab_at_a_time(lab: Lab) -> None:
    with pytest.raises(LabError, match="already up"):
        await Lab(lab.folder, hosts=1).start()


async def test_root_folders_hold_what_a_probe_reads(lab: Lab, kit: "Kit") -> None:
    root = lab.machines[kit.first].root
    assert (root / "proc/sys/kernel/numa_balancing").read_text() == "0\n"
    assert (root / "sys/class/dmi/id/bios_version").read_text() == "1.8\n"
    assert (root / "proc/cpuinfo").read_text().count("AMD EPYC 9554 64-Core Processor") == 128
    nodes = sorted((root / "sys/class/kfd/kfd/topology/nodes").iterdir(), key=lambda node: int(node.name))
    properties = [dict(line.split() for line in (node / "properties").read_text().splitlines()) for node in nodes]
    gpus = [one for one in properties if one["simd_count"] != "0"]
    assert len(gpus) == 8
    assert {int(one["simd_count"]) // int(one["simd_per_cu"]) for one in gpus} == {304}
    links = [(link / "properties").read_text() for link in (nodes[-1] / "io_links").iterdir()]
    assert sum("type 11\n" in link for link in links) == 7
    for index, one in enumerate(gpus):
        device = root / f"sys/bus/pci/devices/{gpu_files.bdf(index)}"
        assert int((device / "unique_id").read_text(), 16) == int(one["unique_id"])
        assert (device / "driver").readlink().name == "amdgpu"
    assert stat.S_ISSOCK((root / "var/run/docker.sock").stat().st_mode)


async def test_the_model_cache_is_complete_and_takes_no_room(lab: Lab, kit: "Kit") -> None:
    cache = lab.machines[kit.first].root / "data/huggingface/hub"
    for model in roots.MODELS:
        assert hub.cached(cache, model)
    snapshot = cache / hub.folder(MODEL) / "snapshots" / hub.revision_of(MODEL)
    index = json.loads((snapshot / "model.safetensors.index.json").read_text())
    names = set(index["weight_map"].values())
    assert len(names) == 86
    assert all((snapshot / name).stat().st_size > 1e9 for name in names)
    assert sum((snapshot / name).stat().st_blocks for name in names) == 0


async def test_a_change_of_one_host_stays_there(folder: Path) -> None:
    async with Lab(folder, hosts=4) as lab:
        one, other = lab.machines["lab-mi300x-01"], lab.machines["lab-mi300x-03"]
        path = "proc/sys/kernel/numa_balancing"
        assert (one.root / path).samefile(other.root / path)
        one.replace(path, "1\n")
        assert ((one.root / path).read_text(), (other.root / path).read_text()) == ("1\n", "0\n")


async def test_a_running_program_shows_on_the_gpus(lab: Lab, kit: "Kit") -> None:
    machine = lab.machines[kit.first]
    used = machine.root / f"sys/bus/pci/devices/{gpu_files.bdf(3)}/mem_info_vram_used"
    idle = int(used.read_text())
    async with kit.connect(lab) as client:
        await client.create("job", ["sleep", "infinity"], HostConfig={"Privileged": True})
        await client.start("job")
        assert int(used.read_text()) > 100 * idle
        assert len(list((machine.root / "sys/class/kfd/kfd/proc").iterdir())) == 1
        await client.call("DELETE", "/containers/job?force=1")
    assert int(used.read_text()) == idle
    assert list((machine.root / "sys/class/kfd/kfd/proc").iterdir()) == []


async def figure(place: Path, kit: "Kit", speed: float, turns: int = 1) -> list[bytes]:
    found = []
    async with Lab(place, hosts=1, speed=speed) as lab, kit.connect(lab) as client:
        for turn in range(turns):
            assert await client.run(f"job{turn}", RUN, **CACHE) == 0
            archive = (await client.call("GET", f"/containers/job{turn}/archive?path=/tmp/o.json")).body
            found.append(archive[512 : archive.index(b"}") + 1])
    return found


async def test_figures_do_not_depend_on_the_speed_and_repeats_differ(folder: Path, kit: "Kit") -> None:
    slow = await figure(folder / "slow", kit, 2000.0)
    fast = await figure(folder / "fast", kit, 50_000.0, turns=3)
    assert slow[0] == fast[0]
    assert len(set(fast)) == 3


async def test_faults_are_chosen_by_host_and_command_line_and_counted(folder: Path, kit: "Kit") -> None:
    faults = [Fault("oom", host="lab-mi300x-01", when="--num-prompts 400", times=1)]
    async with Lab(folder, hosts=2, speed=50_000.0, faults=faults) as lab:
        async with kit.connect(lab) as client:
            assert await client.run("first", RUN, **CACHE) == 1
            assert "HIP out of memory" in await client.text("first")
            assert await client.run("second", RUN, **CACHE) == 0
        async with kit.connect(lab, "lab-mi300x-02") as client:
            assert await client.run("other", RUN, **CACHE) == 0


async def test_a_container_can_ask_for_its_own_failure(lab: Lab, kit: "Kit") -> None:
    async with kit.connect(lab) as client:
        labels = {"instinct-lab.fault": "killed-for-memory"}
        assert await client.run("job", RUN, **CACHE, Labels=labels) == 137
        assert (await client.state("job"))["OOMKilled"] is True


async def test_the_faults_file_may_be_edited_while_the_lab_is_up(lab: Lab, kit: "Kit") -> None:
    (lab.folder / "faults.toml").write_text('[[fault]]\nname = "dies-at-once"\nwhen = "num-prompts"\n')
    async with kit.connect(lab) as client:
        assert await client.run("job", RUN, **CACHE) == 1
        assert "ImportError" in await client.text("job")


async def test_faults_of_hosts_can_be_given_while_the_lab_is_up(lab: Lab, kit: "Kit") -> None:
    assert await symptoms(lab, kit, kit.first) == set()
    lab.set_faults([Fault("busy-gpu", host=kit.first), Fault("numa-balancing", host="elsewhere")])
    assert await symptoms(lab, kit, kit.first) == {"busy-gpu"}


async def test_engine_faults(folder: Path, kit: "Kit") -> None:
    faults = [
        Fault("pull-denied", when="0.9.1_20250715"),
        Fault("no-space", when="0.10.0"),
        Fault("no-network", when="0.10.1"),
    ]
    async with Lab(folder, hosts=1, speed=50_000.0, faults=faults) as lab, kit.connect(lab) as client:
        pull = "/images/create?fromImage=rocm/vllm&tag="
        denied = await client.call("POST", f"{pull}rocm6.4.1_vllm_0.9.1_20250715")
        assert (denied.status, "pull access denied" in denied.message) == (404, True)
        full = await client.call("POST", f"{pull}rocm6.4.1_vllm_0.10.0_20250812")
        assert full.status == 200
        assert "no space left on device" in json.loads(full.body.splitlines()[-1])["error"]
        assert (await client.call("GET", "/images/rocm/vllm:rocm6.4.1_vllm_0.10.0_20250812/json")).status == 404
        offline = await client.call("POST", f"{pull}rocm6.4.1_vllm_0.10.1_20250909")
        assert (offline.status, "dial tcp: lookup" in offline.message) == (500, True)


@pytest.mark.parametrize("fault", sorted(set(HOST_FAULTS) - {"no-boot"}))
async def test_host_faults_show_on_their_host_only(folder: Path, kit: "Kit", fault: str) -> None:
    bad, good = "lab-mi300x-01", "lab-mi300x-02"
    async with Lab(folder, hosts=2, faults=[Fault(fault, host=bad)]) as lab:
        seen = {name: await symptoms(lab, kit, name) for name in (bad, good)}
    assert seen[good] == set()
    assert seen[bad] == {fault}


def _device(root: Path, gpu: int, name: str) -> str:
    return (root / gpu_files.device(gpu) / name).read_text()


SIGNS: dict[str, Callable[[Path], bool]] = {
    "ras-uncorrectable": lambda root: "ue: 2" in _device(root, 2, "ras/umc_err_count"),
    "ras-correctable": lambda root: "ce: 17" in _device(root, 2, "ras/gfx_err_count"),
    "xgmi-errors": lambda root: "ue: 1" in _device(root, 2, "ras/xgmi_wafl_err_count"),
    "bad-pages": lambda root: " : P\n" in _device(root, 2, "ras/gpu_vram_bad_pages"),
    "pcie-width": lambda root: _device(root, 2, "current_link_width") == "8\n",
    "pcie-speed": lambda root: _device(root, 2, "current_link_speed") == "16.0 GT/s PCIe\n",
    "pcie-errors": lambda root: "TOTAL_ERR_NONFATAL 3" in _device(root, 2, "aer_dev_nonfatal"),
    "power-cap": lambda root: int(_device(root, 2, "hwmon/hwmon5/power1_cap")) == 525_000_000,
    "hot-gpu": lambda root: int(_device(root, 2, "hwmon/hwmon5/temp2_input")) > 100_000,
    "throttle": lambda root: '"ACTIVE"' in (root / "@commands/smi.metric").read_text(),
    "mtu-mixed": lambda root: any(one.read_text() == "1500\n" for one in root.glob("sys/class/net/benic4p1/mtu")),
    "port-taken": lambda root: ":1770 " in (root / "proc/net/tcp").read_text(),
    "unshared-cache": lambda root: not (root / "shared").is_symlink(),
    "driver-mixed": lambda root: (root / "sys/module/amdgpu/version").read_text() == "6.12.12\n",
    "wrong-nps": lambda root: (root / "sys/devices/system/node/node7").is_dir(),
    "wrong-partition": lambda root: _device(root, 2, "current_compute_partition") == "DPX\n",
    "memlock-low": lambda root: "67108864" in (root / "proc/self/limits").read_text(),
    "rdma-port-down": lambda root: any("DOWN" in one.read_text() for one in root.glob(f"{PORTS}/state")),
    "log-gpu-reset": lambda root: "GPU reset begin" in _log(root),
    "log-gpu-lost": lambda root: "device lost from bus" in _log(root),
    "log-ras": lambda root: "ERREVENT_ATHUB" in _log(root),
    "log-correctable": lambda root: "correctable hardware errors detected" in _log(root),
    "log-page-fault": lambda root: "no-retry page fault" in _log(root),
    "log-pcie": lambda root: "PCIe Bus Error" in _log(root),
    "log-throttled": lambda root: "GPU is throttled" in _log(root),
    "log-oversubscribed": lambda root: "oversubscribed" in _log(root),
    "log-nic": lambda root: "health compromised" in _log(root),
}
PORTS = "sys/class/infiniband/*/ports/1"


def _log(root: Path) -> str:
    return (root / "@commands/kernel.dmesg").read_text()


async def symptoms(lab: Lab, kit: "Kit", name: str) -> set[str]:
    root = lab.machines[name].root
    if not (root / gpu_files.device(5)).exists():
        return {"gpu-missing"}
    if not (root / "dev/kfd").exists():
        return {"kfd-missing"}
    found = {fault for fault, shows in SIGNS.items() if shows(root)}
    if int(_device(root, 0, "mem_info_vram_used")) > 1 << 33:
        found.add("busy-gpu")
    if (root / "proc/sys/kernel/numa_balancing").read_text() != "0\n":
        found.add("numa-balancing")
    cache = root / "data/huggingface/hub"
    if not cache.exists():
        found.add("model-missing")
    elif not hub.cached(cache, MODEL):
        assert list((cache / hub.folder(MODEL) / "blobs").glob("*.incomplete"))
        found.add("model-incomplete")
    data = re.search(r" (\d+) \d+% /data\n", (root / "@commands/df").read_text())
    assert data is not None
    if int(data[1]) < 1 << 20:
        found.add("disk-full")
    async with kit.connect(lab, name) as client:
        clock = str((await client.ssh.run("cat @commands/clock.begin", encoding="utf-8")).stdout)
        date = str((await client.ssh.run("date +%s%N", encoding="utf-8")).stdout)
        if int(clock) - time.time_ns() > 60e9 < int(date) - time.time_ns():
            found.add("clock-skew")
        try:
            if not (await client.call("GET", "/images/json")).json:
                found.add("no-image")
        except asyncssh.ChannelOpenError:
            found.add("no-docker-permission")
    return found


async def test_a_host_that_does_not_boot_refuses_connections(folder: Path, kit: "Kit") -> None:
    async with Lab(folder, hosts=2, faults=[Fault("no-boot", host="lab-mi300x-01")]) as lab:
        with pytest.raises(OSError, match=r"refused|Connect"):
            async with kit.connect(lab):
                pass
        async with kit.connect(lab, "lab-mi300x-02") as client:
            assert (await client.call("GET", "/_ping")).status == 200


def test_an_unknown_failure_is_an_error_that_names_the_known_ones(folder: Path) -> None:
    place = folder / "faults.toml"
    place.write_text('[[fault]]\nname = "oops"\n')
    with pytest.raises(FaultsError, match=r"fault 1: no failure is called 'oops'; known: .*oom"):
        Faults(place).current()


def test_the_faults_file_explains_every_failure(folder: Path) -> None:
    faults = Faults(folder / "faults.toml")
    faults.write([Fault("hang", host="lab-*", when="405B", times=2)])
    text = (folder / "faults.toml").read_text()
    assert all(f"# {name}: " in text for name in ALL)
    assert faults.current() == (Fault("hang", host="lab-*", when="405B", times=2),)


PROFILES = Path(__file__).parents[2] / "profiles/matrices"
MATRICES = (
    "vllm-0.8.5-throughput", "vllm-0.8.5-latency", "pytorch-25.5-mi300x", "pytorch-25.5-mi325x", "megatron-25.5-llama",
    "megatron-25.5-deepseek",
)  # fmt: skip


def shipped_cells(name: str) -> tuple[str, dict[str, str]]:
    """The image of a shipped matrix, and the metric of each of its cells."""
    matrix = tomllib.loads((PROFILES / f"{name}.toml").read_text())
    found = {}
    for group in matrix["group"]:
        for row in group["rows"]:
            values = {**matrix.get("parameters", {}), **group, **row, "title": group["title"].lower().replace(" ", "-")}
            values["precision"] = str(values.get("precision", "")).lower()
            found[row.get("id") or matrix["cell_id"].format(**values)] = group.get("metric", matrix["metric"])
    return matrix["image"], found


@pytest.mark.parametrize("name", MATRICES)
def test_the_labs_references_are_for_the_cells_of_the_shipped_matrices(name: str) -> None:
    image, cells = shipped_cells(name)
    document = tomllib.loads(reference.document())
    tables = [one for one in document["table"] if one["matrix"] == name]
    assert (document["set"], "fictional" in document["source"]) == ("lab", True)
    assert {cell: table["metric"] for table in tables for cell in table["figures"]} == cells
    for table in tables:
        assert [column["under"]["gpu"] for column in table["columns"]] == ["MI300X", "MI325X"]
        assert {column["image"] for column in table["columns"]} == {image}
        assert all(any(figure != "-" for figure in figures) for figures in table["figures"].values())


def test_all_published_cells_have_a_reference_of_the_labs_own() -> None:
    document = tomllib.loads(reference.document())
    assert sum(len(table["figures"]) for table in document["table"]) == 64


def test_the_labs_figures_are_not_the_published_ones() -> None:
    published = set()
    for place in PROFILES.glob("*.toml"):
        published |= set(re.findall(r'printed = "([\d.]+)"', place.read_text()))
    own = re.findall(r'"([\d.]+)"[,\]]', reference.document())
    assert len(published) == 64
    assert len(own) == 2 * 64 - 5
    assert not published & set(own)
