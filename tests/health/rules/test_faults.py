"""Each fault a host can carry is found by its check, with the state it deserves; without the fault the check passes."""

from collections.abc import Callable
from typing import Any

import msgspec
import pytest

from console.health.report import HostHealth
from console.model.facts import (
    BadPages,
    Clock,
    Firmware,
    GpuProcess,
    HostFacts,
    Known,
    Nic,
    PciDevice,
    RasBlock,
    Throttle,
    Unknown,
)
from console.model.finding import Finding, State
from console.model.profile import Expectation, ServerProfile

Judge = Callable[..., HostHealth]
Single = Callable[..., Finding]
Change = Callable[..., HostFacts]
FAIL, WARN, PASS, UNKNOWN = State.FAIL, State.WARN, State.PASS, State.UNKNOWN


def known(value: Any) -> Known[Any]:
    return Known(value, "a file")


def ras(block: str, **counts: int) -> Known[tuple[RasBlock, ...]]:
    blocks = ("umc", "gfx", "xgmi_wafl")
    zero = {"uncorrectable": 0, "correctable": 0, "deferred": 0}
    return known(tuple(RasBlock(block=name, **{**zero, **(counts if name == block else {})}) for name in blocks))


def throttled(*active: str) -> Known[tuple[Throttle, ...]]:
    return known(tuple(Throttle(reason=reason, active=True) for reason in active))


ONE = (3,)

FAULTS: list[tuple[str, dict[str, Any], tuple[int, ...] | None, str, State, str]] = [
    # (what, values, of which GPUs, check, state, part of what is seen)
    ("NUMA balancing on", {"system.numa_balancing": known(1)}, None, "host.numa_balancing", FAIL, "is 1"),
    ("tiering", {"system.numa_balancing": known(2)}, None, "host.numa_balancing", FAIL, "is 2"),
    ("IOMMU translates", {"system.iommu": known("translating")}, None, "host.iommu", WARN, "translating"),
    ("no realloc=off", {"system.cmdline": known("ro iommu=pt")}, None, "host.pci_realloc", WARN, "absent"),
    ("the last pci= wins", {"system.cmdline": known("pci=realloc=off pci=noats")}, None, "host.pci_realloc", WARN, ""),
    ("SMT on", {"system.smt_active": known(True)}, None, "host.smt", WARN, "yes"),
    ("ACS on", {"system.acs_bridges": known(12)}, None, "host.acs", WARN, "12"),
    ("C2 on", {"system.c2_disabled": known(False)}, None, "host.c2", WARN, "no"),
    ("processors offline", {"system.cpus_online": known(100)}, None, "host.processors", WARN, "100 of 128"),
    ("L3 as NUMA", {"system.numa_nodes": known(24)}, None, "host.numa", WARN, "24 NUMA nodes"),
    ("a DIMM is missing", {"system.memory_bytes": known(2100 << 30)}, None, "host.memory", WARN, "2.1 TiB"),
    ("amdgpu not loaded", {"driver.amdgpu_loaded": known(False)}, None, "driver.loaded", FAIL, "no"),
    ("no KFD", {"driver.kfd_present": known(False)}, None, "kfd.present", FAIL, "no"),
    ("no access", {"driver.kfd_accessible": known(False)}, None, "gpu.groups", WARN, "no"),
    ("module unloading", {"driver.amdgpu_initstate": known("going")}, None, "driver.state", FAIL, "going"),
    ("driver not built", {"driver.dkms_state": known("added")}, None, "driver.state", WARN, "added"),
    ("CPX", {"gpu.compute_partition": known("CPX")}, None, "gpu.compute_partition", FAIL, "CPX"),
    ("one in NPS4", {"gpu.memory_partition": known("NPS4")}, ONE, "gpu.memory_partition", FAIL, "1 of 8"),
    ("determinism", {"gpu.performance_level": known("perf_determinism")}, ONE, "gpu.performance_level", WARN, ""),
    ("small memlock", {"system.memlock_bytes": known(8 << 20)}, None, "limits.memlock", WARN, "8.0 MiB"),
    ("few files", {"system.open_files": known(256)}, None, "limits.open_files", WARN, "256"),
    ("no room for Instinct", {"gpus": known(())}, None, "gpu.count", FAIL, "0"),
    ("little VRAM", {"gpu.vram_total_bytes": known(128 << 30)}, ONE, "gpu.memory", FAIL, "128.0 GiB"),
    ("small BAR", {"gpu.visible_vram_bytes": known(256 << 20)}, ONE, "gpu.bar", WARN, "256.0 MiB"),
    ("a die off", {"gpu.compute_units": known(266)}, ONE, "gpu.compute_units", FAIL, "266"),
    ("another model", {"gpu.model": known("AMD Instinct MI325X")}, ONE, "gpu.model", FAIL, "MI325X"),
    ("odd VBIOS", {"gpu.vbios_version": known("113-OLD")}, ONE, "gpu.alike", WARN, "113-OLD"),
    ("x8", {"gpu.pcie_width": known(8)}, ONE, "pcie.width", FAIL, "x8"),
    ("gen 4", {"gpu.pcie_speed_gts": known(16.0)}, ONE, "pcie.speed", FAIL, "16 of 32"),
    ("replays", {"gpu.pcie_replay_count": known(12)}, ONE, "pcie.errors", WARN, "12"),
    ("NAKs", {"gpu.pcie_nak_received": known(3)}, ONE, "pcie.errors", WARN, "nak received"),
    ("corrected AER", {"gpu.aer_correctable": known(9)}, ONE, "pcie.errors", WARN, "9"),
    ("nonfatal AER", {"gpu.aer_nonfatal": known(1)}, ONE, "pcie.errors", WARN, "nonfatal"),
    ("fatal AER", {"gpu.aer_fatal": known(1)}, ONE, "pcie.errors", FAIL, "fatal"),
    ("xGMI UE", {"gpu.ras": ras("xgmi_wafl", uncorrectable=2)}, ONE, "xgmi.errors", FAIL, " 2"),
    ("xGMI CE", {"gpu.ras": ras("xgmi_wafl", correctable=5)}, ONE, "xgmi.errors", WARN, " 5"),
    ("a link missing", {"gpu.xgmi_peers": known(6)}, ONE, "xgmi.mesh", FAIL, "6 of 7"),
    ("two hives", {"gpu.hive_id": known("beef")}, ONE, "xgmi.mesh", FAIL, "2 hives"),
    ("UE", {"gpu.ras": ras("umc", uncorrectable=1)}, ONE, "ras.uncorrectable", FAIL, "1 in umc"),
    ("CE", {"gpu.ras": ras("gfx", correctable=7)}, ONE, "ras.correctable", WARN, "7 in gfx"),
    ("DE", {"gpu.ras": ras("umc", deferred=2)}, ONE, "ras.deferred", WARN, "2 in umc"),
    (
        "pending page",
        {"gpu.bad_pages": known(BadPages(retired=3, pending=1, unreservable=0))},
        ONE,
        "ras.pages",
        FAIL,
        "1 pending",
    ),
    (
        "retired pages",
        {"gpu.bad_pages": known(BadPages(retired=3, pending=0, unreservable=0))},
        ONE,
        "ras.pages",
        WARN,
        "3",
    ),
    (
        "threshold",
        {"gpu.bad_pages": known(BadPages(retired=130, pending=0, unreservable=0))},
        ONE,
        "ras.pages",
        FAIL,
        "130 of 128",
    ),
    ("power cap", {"gpu.power_cap_w": known(600.0)}, ONE, "gpu.power_cap", FAIL, "600"),
    ("clock high while idle", {"gpu.sclk_mhz": known(2105)}, ONE, "gpu.clocks", WARN, "2105 MHz while idle"),
    (
        "clock low under load",
        {"gpu.sclk_mhz": known(60), "gpu.busy_percent": known(99.0)},
        ONE,
        "gpu.clocks",
        WARN,
        "60 MHz at 99 %",
    ),
    ("prochot", {"gpu.throttle": throttled("prochot")}, ONE, "gpu.throttle", WARN, "prochot"),
    ("power limit", {"gpu.throttle": throttled("ppt")}, ONE, "gpu.throttle", WARN, "ppt"),
    (
        "limit by temperature",
        {"gpu.throttle": throttled("gfx_clk_below_host_limit_thermal")},
        ONE,
        "gpu.throttle",
        WARN,
        "thermal",
    ),
    ("hot", {"gpu.junction_c": known(100.0)}, ONE, "gpu.temperature", FAIL, "junction 100 of 100"),
    ("warm memory", {"gpu.memory_c": known(101.0)}, ONE, "gpu.temperature", WARN, "memory 101 of 105"),
    ("orphaned memory", {"gpu.vram_used_bytes": known(90 << 30)}, ONE, "gpu.orphaned_memory", WARN, "90.0 GiB"),
    ("no engine", {"docker": Unknown("permission denied", "/var/run/docker.sock")}, None, "docker.access", WARN, ""),
    (
        "clock ahead",
        {"clock": known(Clock(offset_ns=5 * 10**9, uncertainty_ns=10**8))},
        None,
        "host.clock",
        WARN,
        "ahe",
    ),
    (
        "clock lost",
        {"clock": known(Clock(offset_ns=-7200 * 10**9, uncertainty_ns=10**8))},
        None,
        "host.clock",
        FAIL,
        "behind",
    ),
]


@pytest.mark.parametrize(
    ("values", "only", "name", "state", "seen"), [row[1:] for row in FAULTS], ids=[r[0] for r in FAULTS]
)
def test_a_fault_is_found_and_its_absence_is_not(
    check: Judge,
    change: Change,
    healthy: HostFacts,
    make: Any,
    values: dict[str, Any],
    only: tuple[int, ...] | None,
    name: str,
    state: State,
    seen: str,
) -> None:
    assert check(healthy, name).state is PASS
    health = check(change(healthy, values, only), name)
    assert health.state is state
    (found,) = [item for item in health.findings if item.state is state]
    assert seen in found.seen
    assert found.remedy
    assert found.source
    if only is not None and name not in ("xgmi.mesh",):
        assert make.bdf(only[0]) in found.seen + found.evidence


HARMLESS: list[tuple[str, dict[str, Any], str]] = [
    (
        "idle GPUs say so",
        {"gpu.throttle": throttled("low_utilization", "total_gfx_clk_below_host_limit")},
        "gpu.throttle",
    ),
    ("lifetime totals are none", {"gpu.throttle": known((Throttle(reason="ppt", active=None),))}, "gpu.throttle"),
    ("SMT siblings off", {"system.cpus_online": known(192), "system.cpus_present": known(384)}, "host.processors"),
    ("NPS4", {"system.numa_nodes": known(8)}, "host.numa"),
    ("the kernel's driver", {"driver.amdgpu_flavour": known("kernel")}, "driver.state"),
    ("a clock that may agree", {"clock": known(Clock(offset_ns=3 * 10**9, uncertainty_ns=4 * 10**9))}, "host.clock"),
    ("no RDMA devices", {"rdma": known(())}, "network.rdma_ports"),
    ("a cap above", {"gpu.power_cap_w": known(750.5)}, "gpu.power_cap"),
    ("all links down: not supported", {"gpu.xgmi_link_states": known(("down",) * 7)}, "xgmi.mesh"),
    ("a busy clock", {"gpu.sclk_mhz": known(2100), "gpu.busy_percent": known(97.0)}, "gpu.clocks"),
]


@pytest.mark.parametrize(("values", "name"), [row[1:] for row in HARMLESS], ids=[row[0] for row in HARMLESS])
def test_what_only_looks_like_a_fault_passes(
    check: Judge, change: Change, healthy: HostFacts, values: dict[str, Any], name: str
) -> None:
    assert check(change(healthy, values), name).state is PASS


def test_a_gpu_on_the_bus_without_its_driver_is_found(single: Single, change: Change, healthy: HostFacts) -> None:
    dead = PciDevice(bdf="0000:05:00.0", vendor_id="1002", device_id="74a1", class_id="120000", name="MI300X")
    bmc = PciDevice(bdf="0000:c5:00.0", vendor_id="1a03", device_id="2000", class_id="030000", driver="ast")
    assert single(change(healthy, {"other_gpus": known((bmc,))}), "gpu.unbound").state is PASS
    found = single(change(healthy, {"other_gpus": known((bmc, dead))}), "gpu.unbound")
    assert (found.state, "0000:05:00.0" in found.seen) == (FAIL, True)


def test_firmware_that_differs_is_named_by_its_part(single: Single, change: Change, healthy: HostFacts) -> None:
    odd = known((Firmware("mec", "0x20"), Firmware("smc", "0x5503")))
    found = single(change(healthy, {"gpu.firmware": odd}, only=[6]), "gpu.alike")
    assert (found.check, found.state) == ("gpu.alike.firmware", WARN)
    assert "mec 0x20" in found.seen
    assert "smc" not in found.seen


def test_an_idle_older_gpu_may_lower_its_link(check: Judge, change: Change, healthy: HostFacts) -> None:
    older = {"gpu.gfx": known("gfx90a"), "gpu.pcie_speed_gts": known(2.5), "gpu.pcie_max_speed_gts": known(16.0)}
    assert check(change(healthy, older), "pcie.speed").state is PASS
    busy = change(healthy, {**older, "gpu.busy_percent": known(80.0)})
    assert check(busy, "pcie.speed").state is WARN


def test_links_of_virtual_functions_are_not_held_against_the_guest(
    check: Judge, change: Change, healthy: HostFacts
) -> None:
    guest = change(healthy, {"gpu.virtual_function": known(True), "gpu.pcie_width": Unknown("in a guest")})
    assert check(guest, "pcie.width").state is PASS
    blind = change(guest, {"gpu.ras": Unknown("in a guest")})
    (found,) = check(blind, "ras.uncorrectable").findings
    assert (found.state, "virtualisation host" in found.waived) == (UNKNOWN, True)


def test_a_guest_that_is_shown_no_links_is_not_held_against_them(
    check: Judge, change: Change, healthy: HostFacts
) -> None:
    guest = change(healthy, {"gpu.virtual_function": known(True), "gpu.xgmi_peers": known(0)})
    assert check(guest, "xgmi.mesh").state is PASS
    assert check(change(healthy, {"gpu.xgmi_peers": known(0)}), "xgmi.mesh").state is FAIL
    partly = change(guest, {"gpu.xgmi_peers": known(7)}, only=[0, 1])
    assert check(partly, "xgmi.mesh").state is FAIL


def test_one_link_down_among_others_is_a_fault(check: Judge, change: Change, healthy: HostFacts) -> None:
    broken = change(healthy, {"gpu.xgmi_link_states": known(("up",) * 6 + ("down",))}, only=[2])
    found = [item for item in check(broken, "xgmi.mesh").findings if item.state is FAIL]
    assert [item.check for item in found] == ["xgmi.mesh.link_status"]


def test_counters_the_driver_does_not_show_are_unknown_and_never_a_pass(
    check: Judge, change: Change, healthy: HostFacts
) -> None:
    without = known((RasBlock(block="umc", uncorrectable=0, correctable=0),))
    assert check(change(healthy, {"gpu.ras": without}), "xgmi.errors").state is UNKNOWN


def test_partitions_are_counted_as_the_devices_they_are(check: Judge, change: Change, healthy: HostFacts) -> None:
    assert isinstance(healthy.gpus, Known)
    parts = tuple(
        msgspec.structs.replace(
            gpu,
            bdf=f"{gpu.bdf[:-1]}{number}",
            partition=number,
            compute_units=known(38),
            compute_partition=known("CPX"),
        )
        for gpu in healthy.gpus.value
        for number in range(8)
    )
    facts = change(healthy, {"gpus": known(parts)})
    for name in ("gpu.count", "gpu.memory", "gpu.compute_units", "ras", "pcie"):
        assert check(facts, name).state is PASS, name
    assert check(facts, "gpu.compute_partition").state is FAIL


def test_work_on_the_gpus_fails_only_where_idle_is_expected(check: Judge, change: Change, healthy: HostFacts) -> None:
    busy = change(
        healthy,
        {
            "driver.processes": known((GpuProcess(pid=4711, name="python3", user="ann", container="9f" * 32),)),
            "driver.kfd_process_ids": known((4711,)),
        },
    )
    assert check(busy, "gpu.processes").state is PASS
    health = check(busy, "gpu.processes", expect_idle=True)
    assert health.state is FAIL
    assert "python3 4711 of ann in container 9f9f9f9f9f9f" in health.findings[0].seen
    assert check(healthy, "gpu.processes", expect_idle=True).state is PASS


def test_monitoring_daemons_leave_a_host_idle(check: Judge, change: Change, healthy: HostFacts) -> None:
    watched = change(healthy, {"driver.processes": known((GpuProcess(pid=9, name="gpuagent"),))})
    assert check(watched, "gpu.processes", expect_idle=True).state is PASS


def test_load_without_a_process_is_not_idle(check: Judge, change: Change, healthy: HostFacts) -> None:
    hidden = change(healthy, {"gpu.busy_percent": known(100.0)}, only=[0])
    assert check(hidden, "gpu.processes", expect_idle=True).state is FAIL


def test_who_uses_gpus_counts_as_unknown_only_where_it_matters(
    check: Judge, change: Change, healthy: HostFacts
) -> None:
    blind = change(healthy, {"driver.processes": Unknown("denied"), "driver.kfd_process_ids": Unknown("denied")})
    assert check(blind, "gpu.processes").state is PASS
    assert check(blind, "gpu.processes", expect_idle=True).state is UNKNOWN


@pytest.mark.parametrize(
    ("field", "name", "warn", "fail"),
    [
        ("docker_storage", "disk.images", 50, 5),
        ("model_cache", "disk.model_cache", 50, 5),
        ("scratch", "disk.scratch", 2, 0),
    ],
)
def test_room_on_disks(
    check: Judge, change: Change, healthy: HostFacts, make: Any, field: str, name: str, warn: int, fail: int
) -> None:
    assert check(healthy, name).state is PASS
    assert check(change(healthy, {field: make.place("/x", warn << 30)}), name).state is WARN
    assert check(change(healthy, {field: make.place("/x", fail << 30)}), name).state is FAIL


def test_a_model_cache_that_is_not_mounted_fails(check: Judge, change: Change, healthy: HostFacts, make: Any) -> None:
    gone = msgspec.structs.replace(make.place("/data", 1 << 50).value, exists=False)
    assert check(change(healthy, {"model_cache": known(gone)}), "disk.model_cache").state is FAIL
    unset = change(healthy, {"model_cache": Unknown("no model_cache in the fleet file")})
    assert check(unset, "disk.model_cache").state is PASS


def test_shared_memory_that_is_small_warns(check: Judge, change: Change, healthy: HostFacts) -> None:
    assert isinstance(healthy.shared_memory, Known)
    small = msgspec.structs.replace(healthy.shared_memory.value, total_bytes=64 << 20)
    assert check(change(healthy, {"shared_memory": known(small)}), "limits.shared_memory").state is WARN


def test_rdma_ports(check: Judge, change: Change, healthy: HostFacts, make: Any) -> None:
    seven = [make.port() for _ in range(7)]

    def states(last: Any) -> dict[str, State]:
        facts = change(healthy, {"rdma": known(make.rdma(*seven, last))})
        return {item.check: item.state for item in check(facts, "network").findings if item.state is not PASS}

    assert states(make.port()) == {}
    down = states(make.port(state="DOWN", phys_state="Disabled"))
    assert down == {"network.rdma_active": FAIL, "network.rdma_ports.down": WARN}
    assert states(make.port(rate_gbps=200.0)) == {"network.rdma_ports.rate": WARN}
    assert states(make.port(counters=(("link_downed", 4),))) == {"network.rdma_errors": WARN}
    assert states(make.port(counters=(("port_xmit_wait", 4), ("symbol_error", None)))) == {}


def test_small_frames_on_roce_interfaces_warn(check: Judge, change: Change, healthy: HostFacts) -> None:
    small = known(tuple(Nic(name=f"ens{index}", operstate="up", mtu=1500) for index in range(8)))
    assert check(change(healthy, {"nics": small}), "network.mtu").state is WARN
    elsewhere = known((Nic(name="eno1", operstate="up", mtu=1500),))
    assert check(change(healthy, {"nics": elsewhere}), "network.mtu").state is PASS


def test_bios_settings_are_listed_and_do_not_count(check: Judge, healthy: HostFacts) -> None:
    health = check(healthy, "bios")
    assert {item.state for item in health.findings} == {UNKNOWN}
    assert all(item.waived for item in health.findings)
    assert health.state is PASS


@pytest.mark.parametrize(
    ("own", "watts"),
    [
        (Expectation(fact="gpu.power_cap_w", low=742.5, high=757.5), "750"),
        (Expectation(fact="gpu.power_cap_w", accept=(650, 700)), "650"),
        (Expectation(fact="gpu.power_cap_w", low=990, high=1010), "1000"),
    ],
)
def test_the_remedy_of_a_cap_sets_what_is_expected(
    single: Single, facts: HostFacts, change: Change, profile: ServerProfile, own: Expectation, watts: str
) -> None:
    found = single(
        change(facts, {"gpu.power_cap_w": known(500.0)}),
        "gpu.power_cap",
        profile=msgspec.structs.replace(profile, expect=(own,)),
    )
    assert found.remedy == f"sudo amd-smi set --gpu all --power-cap {watts}"
