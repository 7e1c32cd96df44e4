"""The host around the GPUs: processors, settings, limits, driver packages, ROCm layouts, network, processes."""

from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from console.fleet.probe.driver import dkms_line
from console.model.facts import UNLIMITED, CState, DkmsModule, GpuProcess, Known, NumaNode, RocmInstall, Unknown

if TYPE_CHECKING:
    from tests.fleet.probe.conftest import Machine


def known(fact: object) -> Any:
    assert isinstance(fact, Known), fact
    return fact.value


def why(fact: object) -> str:
    assert isinstance(fact, Unknown), fact
    return fact.why


PROC_NET_TCP = (
    "  sl  local_address rem_address   st tx_queue rx_queue tr tm->when retrnsmt   uid  timeout inode\n"
    "   0: 00000000:07E8 00000000:0000 0A 00000000:00000000 00:00000000 00000000     0        0 1060 1 0 100 0 0 10 0\n"
    "   1: 0100007F:9C40 0100007F:07E8 01 00000000:00000000 00:00000000 00000000     0        0 1061 1 0 100 0 0 10 0\n"
)
"""What Linux prints: one program listens on port 2024, and one is connected to it."""


async def test_settings_and_limits_are_read(machine: "Machine") -> None:
    system = (await machine.facts()).system
    assert (known(system.cpu_family), known(system.cores), known(system.cores_per_socket)) == (25, 192, 96)
    assert (known(system.iommu), known(system.thp), known(system.governor)) == ("passthrough", "madvise", "performance")
    assert known(system.c_states) == (
        CState(name="POLL", latency_us=0, cpus=8, disabled=0),
        CState(name="C1", latency_us=1, cpus=8, disabled=0),
        CState(name="C2", latency_us=800, cpus=8, disabled=8),
    )
    assert known(system.c2_disabled) is True
    assert (known(system.memlock_bytes), known(system.open_files)) == (UNLIMITED, 1048576)
    assert known(system.stack_bytes) == 8388608
    assert (known(system.uptime_s), known(system.load_1m)) == (864000.0, 3.25)
    assert known(system.numa)[0] == NumaNode(
        number=0, cpus=4, cpu_list="0-3", memory_bytes=2377919732 // 2 * 1024, distances=(10, 32)
    )
    assert known(system.numa)[2].cpus == 0
    assert known(system.os_version) == "22.04"


async def test_one_processor_that_differs_shows(machine: "Machine") -> None:
    machine.write("/sys/devices/system/cpu/cpu5/cpufreq/scaling_governor", "powersave\n")
    machine.write("/sys/devices/system/cpu/cpu5/cpuidle/state2/disable", "0\n")
    system = (await machine.facts()).system
    assert known(system.governor) == "performance 7, powersave 1"
    assert known(system.c2_disabled) is False


@pytest.mark.parametrize(
    ("types", "mode"),
    [(("DMA-FQ", "DMA-FQ"), "translating"), (("identity", "DMA"), "mixed"), (("identity", "identity"), "passthrough")],
)
async def test_the_iommu_is_judged_by_its_groups_and_not_by_the_command_line(
    machine: "Machine", types: tuple[str, str], mode: str
) -> None:
    for number, kind in enumerate((*types, types[1])):
        machine.write(f"/sys/kernel/iommu_groups/{number}/type", f"{kind}\n")
    assert known((await machine.facts()).system.iommu) == mode


async def test_no_iommu_is_off(machine: "Machine") -> None:
    machine.remove("/sys/class/iommu/ivhd0/devices")
    (machine.root / "sys/class/iommu/ivhd0").rmdir()
    for number in range(3):
        machine.remove(f"/sys/kernel/iommu_groups/{number}/type")
    assert known((await machine.facts()).system.iommu) == "off"


async def test_the_maker_of_the_board_is_known_from_kfd_where_dmi_is_not(machine: "Machine") -> None:
    machine.remove("/sys/class/dmi/id/sys_vendor")
    text = "platform_oem 4777524452235890003\nplatform_id 85015745549651\nplatform_rev 2\n"
    machine.write("/sys/class/kfd/kfd/topology/system_properties", text)
    system = (await machine.facts()).system
    assert (known(system.vendor), known(system.board)) == ("SUPERM", "SMCI--MB")


async def test_an_mi300a_names_itself_as_the_processor(machine: "Machine") -> None:
    text = "".join(
        f"processor\t: {cpu}\nmodel name\t: AMD Instinct MI300A Accelerator\nphysical id\t: {cpu}\ncpu cores\t: 24\n"
        for cpu in range(4)
    )
    machine.write("/proc/cpuinfo", text)
    system = (await machine.facts()).system
    assert (known(system.cpu), known(system.sockets)) == ("AMD Instinct MI300A Accelerator", 4)
    assert why(system.cpu_family) == "no single cpu family in it"


async def test_amds_own_driver_and_the_kernels_are_told_apart(machine: "Machine") -> None:
    machine.driver()
    machine.write("/sys/module/amdgpu/srcversion", "1AB0DA517AB1E\n")
    driver = (await machine.facts()).driver
    assert (known(driver.amdgpu_flavour), known(driver.amdgpu_initstate)) == ("package", "live")
    assert known(driver.amdgpu_srcversion) == "1AB0DA517AB1E"
    machine.remove("/sys/module/amdgpu/version")
    driver = (await machine.facts()).driver
    assert known(driver.amdgpu_flavour) == "kernel"
    assert "kernel release stands for it" in why(driver.amdgpu_version)


async def test_dkms_is_read_from_its_folders_for_the_kernel_that_runs(machine: "Machine") -> None:
    base = "/var/lib/dkms/amdgpu"
    machine.write(f"{base}/6.10.5-2084815.22.04/source/dkms.conf", "")
    assert known((await machine.facts()).driver.dkms_state) == "added"
    machine.write(f"{base}/6.10.5-2084815.22.04/5.15.0-119-generic/x86_64/log/make.log", "")
    assert known((await machine.facts()).driver.dkms_state) == "built"
    machine.write(f"{base}/kernel-5.15.0-119-generic-x86_64/log/make.log", "")
    driver = (await machine.facts()).driver
    assert known(driver.dkms_state) == "installed"
    assert known(driver.dkms) == (
        DkmsModule(
            module="amdgpu",
            version="6.10.5-2084815.22.04",
            kernel="5.15.0-119-generic",
            arch="x86_64",
            state="installed",
        ),
    )
    machine.write("/proc/sys/kernel/osrelease", "6.8.0-60-generic\n")
    assert known((await machine.facts()).driver.dkms_state) == "added"


async def test_a_captured_dkms_status_says_the_same(machine: "Machine") -> None:
    machine.command("driver.dkms", "amdgpu/6.14.14-2204008.24.04, 5.15.0-119-generic, x86_64: installed\nother: x\n")
    assert known((await machine.facts()).driver.dkms_state) == "installed"
    assert dkms_line("amdgpu, 5.18.2, 5.15.0-41-generic, x86_64: installed (WARNING! Diff)") == DkmsModule(
        module="amdgpu", version="5.18.2", kernel="5.15.0-41-generic", arch="x86_64", state="installed"
    )
    assert dkms_line("amdgpu/6.1: added") == DkmsModule(module="amdgpu", version="6.1", state="added")
    assert dkms_line("Error!") is None


def test_the_forms_of_dkms_status_in_reports(shared: Path) -> None:
    text = (shared / "fixtures/host/dkms_status_and_lspci.txt").read_text()
    told = [dkms_line(line) for line in text.splitlines() if line.startswith("amdgpu/")]
    assert told
    assert all(module is not None and module.state in ("installed", "built", "added") for module in told)


@pytest.mark.parametrize(
    ("paths", "version"),
    [
        ({"/opt/rocm-6.3.1": "6.3.1-48", "/opt/rocm-6.12.0": "6.12.0-1"}, "6.12.0-1"),
        ({"/opt/rocm/core-7.0": "7.0.2", "/opt/rocm/core-6.4": "6.4.0"}, "7.0.2"),
        ({"/opt/rocm": "6.4.0-47", "/opt/rocm-7.0.0": "7.0.0"}, "6.4.0-47"),
    ],
)
async def test_rocm_is_found_in_each_of_its_layouts(machine: "Machine", paths: dict[str, str], version: str) -> None:
    for path, text in paths.items():
        machine.write(f"{path}/.info/version", f"{text}\n")
    driver = (await machine.facts()).driver
    assert known(driver.rocm_version) == version
    assert {RocmInstall(path, text) for path, text in paths.items()} <= set(known(driver.rocm_installs))


async def test_a_process_that_holds_gpus_is_named_with_its_container_and_its_gpus(mi300x: "Machine") -> None:
    container = "0123456789abcdef" * 4
    mi300x.write("/sys/class/kfd/kfd/proc/4242/vram_40001", "1073741824\n")
    mi300x.write("/sys/class/kfd/kfd/proc/4242/vram_40002", "0\n")
    mi300x.write("/proc/4242/comm", "python3\n")
    mi300x.write("/proc/4242/status", "Name:\tpython3\nUmask:\t0022\nUid:\t1000\t1000\t1000\t1000\n")
    mi300x.write("/proc/4242/cgroup", f"0::/system.slice/docker-{container}.scope\n")
    mi300x.write("/sys/class/kfd/kfd/proc/17/pasid", "32770\n")
    driver = (await mi300x.facts()).driver
    assert known(driver.processes) == (
        GpuProcess(pid=17),
        GpuProcess(
            pid=4242,
            name="python3",
            user="uid 1000",
            container=container[:12],
            vram_bytes=1073741824,
            gpus=("0000:0c:00.0",),
        ),
    )
    assert known(driver.kfd_process_ids) == (17, 4242)


async def test_rdma_ports_and_network_interfaces_are_read(machine: "Machine") -> None:
    base = "/sys/class/infiniband/mlx5_0"
    for name, value in {
        "fw_ver": "28.39.1002",
        "board_id": "MT_0000000838",
        "hca_type": "MT4129",
        "node_guid": "b83f:d203:0011:2233",
        "device/numa_node": "1",
        "device/net/ens1np0/mtu": "9000",
        "ports/1/state": "4: ACTIVE",
        "ports/1/phys_state": "5: LinkUp",
        "ports/1/rate": "400 Gb/sec (4X NDR)",
        "ports/1/link_layer": "Ethernet",
        "ports/1/gids/0": "fe80:0000:0000:0000:ba3f:d2ff:fe11:2233",
        "ports/1/gids/3": "0000:0000:0000:0000:0000:ffff:0a01:0029",
        "ports/1/gids/4": "0000:0000:0000:0000:0000:0000:0000:0000",
        "ports/1/gid_attrs/types/0": "IB/RoCE v1",
        "ports/1/gid_attrs/types/3": "RoCE v2",
        "ports/1/counters/link_downed": "2",
        "ports/1/counters/symbol_error": "strange",
    }.items():
        machine.write(f"{base}/{name}", f"{value}\n")
    for name, value in {
        "operstate": "up",
        "speed": "400000",
        "mtu": "9000",
        "address": "b8:3f:d2:11:22:33",
        "device/numa_node": "1",
        "device/uevent": "DRIVER=mlx5_core\nPCI_ID=15B3:1021",
    }.items():
        machine.write(f"/sys/class/net/ens1np0/{name}", f"{value}\n")
    machine.write("/sys/class/net/veth0/mtu", "1500\n")
    machine.write("/sys/class/net/ens2/device/uevent", "DRIVER=bnxt_en\n")
    machine.write("/sys/class/net/ens2/speed", "-1\n")
    machine.command(
        "net.addresses",
        "2: ens1np0    inet 10.1.0.41/24 brd 10.1.0.255 scope global ens1np0\\       valid_lft forever\n"
        "2: ens1np0    inet6 fd00::41/64 scope global \\       valid_lft forever\n",
    )
    facts = await machine.facts()
    (device,) = known(facts.rdma)
    assert (device.name, device.firmware, device.board_id) == ("mlx5_0", "28.39.1002", "MT_0000000838")
    assert (device.kind, device.numa_node, device.netdevs) == ("MT4129", 1, ("ens1np0",))
    (port,) = device.ports
    assert (port.state, port.phys_state, port.rate_gbps, port.link_layer) == ("ACTIVE", "LinkUp", 400.0, "Ethernet")
    assert port.gid3.endswith("0a01:0029")
    assert [(gid.index, gid.gid[-9:], gid.kind) for gid in port.gids] == [
        (0, "fe11:2233", "IB/RoCE v1"),
        (3, "0a01:0029", "RoCE v2"),
    ]
    assert dict(port.counters) == {"link_downed": 2, "symbol_error": None}
    first, second = known(facts.nics)
    assert (first.name, first.speed_mbps, first.mtu, first.operstate) == ("ens1np0", 400000, 9000, "up")
    assert (first.driver, first.numa_node, first.addresses) == ("mlx5_core", 1, ("10.1.0.41/24", "fd00::41/64"))
    assert (second.name, second.speed_mbps, second.driver, second.physical) == ("ens2", None, "bnxt_en", True)
    assert known(facts.infiniband) == ("mlx5_0",)


async def test_what_is_built_on_a_card_is_read_and_the_plumbing_of_containers_is_not(machine: "Machine") -> None:
    for name, lower, own in (
        ("ens1.100", 2, 9),
        ("eth0", 1803, 1802),
        ("dummy0", 5, 5),
        ("veth1a", 7, 8),
        ("lo", 1, 1),
    ):
        machine.write(f"/sys/class/net/{name}/iflink", f"{lower}\n")
        machine.write(f"/sys/class/net/{name}/ifindex", f"{own}\n")
        machine.write(f"/sys/class/net/{name}/operstate", "up\n")
    for name in ("br0", "docker0"):
        machine.write(f"/sys/class/net/{name}/bridge/bridge_id", "8000.1\n")
        machine.write(f"/sys/class/net/{name}/operstate", "up\n")
    machine.command(
        "net.addresses",
        "9: ens1.100    inet 10.2.0.1/24 brd 10.2.0.255 scope global ens1.100\\       valid_lft forever\n"
        "1802: eth0    inet 172.17.0.2/16 brd 172.17.255.255 scope global eth0\\       valid_lft forever\n",
    )
    found = {nic.name: nic for nic in known((await machine.facts()).nics)}
    assert sorted(found) == ["br0", "ens1.100", "eth0"]
    assert not any(nic.physical for nic in found.values())
    assert (found["ens1.100"].addresses, found["eth0"].addresses) == (("10.2.0.1/24",), ("172.17.0.2/16",))


async def test_providers_of_rdma_devices_are_found_where_vendors_and_distributions_put_them(machine: "Machine") -> None:
    machine.write("/usr/lib/x86_64-linux-gnu/libibverbs/libmlx5-rdmav34.so", "")
    machine.write("/usr/lib/x86_64-linux-gnu/libibverbs/libbnxt_re-rdmav34.so", "")
    machine.write("/usr/local/lib/libbnxt_re-rdmav34.so", "")
    machine.write("/usr/local/lib/libunrelated.so", "")
    machine.write("/etc/libibverbs.d/bnxt_re.driver", "driver bnxt_re\n")
    found = known((await machine.facts()).providers)
    assert [(one.name, one.path, one.config) for one in found] == [
        ("bnxt_re", "/usr/local/lib/libbnxt_re-rdmav34.so", "/etc/libibverbs.d/bnxt_re.driver"),
        (
            "bnxt_re",
            "/usr/lib/x86_64-linux-gnu/libibverbs/libbnxt_re-rdmav34.so",
            "/etc/libibverbs.d/bnxt_re.driver",
        ),
        ("mlx5", "/usr/lib/x86_64-linux-gnu/libibverbs/libmlx5-rdmav34.so", ""),
    ]


async def test_ports_that_programs_listen_on_are_read_from_the_kernel_s_table(machine: "Machine") -> None:
    assert why((await machine.facts()).listening) == "not there"
    machine.write("/proc/net/tcp", PROC_NET_TCP)
    assert known((await machine.facts()).listening) == (2024,)
    machine.write(
        "/proc/net/tcp6",
        "   0: 00000000000000000000000000000000:1770 00000000000000000000000000000000:0000 0A 00000000:00000000 "
        "00:00000000 00000000     0        0 1060 1 0 100 0 0 10 0\n",
    )
    assert known((await machine.facts()).listening) == (2024, 6000)


async def test_access_control_on_bridges_is_counted_and_unknown_where_nobody_may_look(machine: "Machine") -> None:
    assert why((await machine.facts()).system.acs_bridges) == "not there"
    machine.command("acs", "c0:01.1 PCI bridge\n\tCapabilities: <access denied>\n")
    assert why((await machine.facts()).system.acs_bridges) == "lspci shows no such capability"
    lines = "\t\tACSCtl:\tSrcValid+ TransBlk- ReqRedir+\n\t\tACSCtl:\tSrcValid- TransBlk-\n"
    machine.command("acs", lines * 2)
    assert known((await machine.facts()).system.acs_bridges) == 2
    machine.command("acs", "\t\tACSCtl:\tSrcValid- TransBlk-\n")
    assert known((await machine.facts()).system.acs_bridges) == 0
