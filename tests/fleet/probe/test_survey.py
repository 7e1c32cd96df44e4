"""What a probe makes of whole servers: the script is really run, by a shell, below a composed root folder."""

import asyncio
import shutil
from pathlib import Path
from typing import TYPE_CHECKING

import msgspec
import pytest

from console.model.facts import DockerAccess, Known, Unknown

if TYPE_CHECKING:
    from tests.fleet.probe.conftest import Machine


def known(fact: object) -> object:
    assert isinstance(fact, Known), fact
    return fact.value


def unknown(fact: object) -> Unknown:
    assert isinstance(fact, Unknown), fact
    return fact


async def test_an_mi300x_server_is_read_completely(mi300x: "Machine") -> None:
    facts = await mi300x.facts()
    system = facts.system
    assert known(system.hostname) == "smc300x-01"
    assert known(system.os) == "Ubuntu 22.04.5 LTS"
    assert known(system.cpu) == "AMD EPYC 9654 96-Core Processor"
    assert (known(system.sockets), known(system.numa_nodes), known(system.nodes_per_socket)) == (2, 2, 1)
    assert (known(system.cpus_online), known(system.smt_active), known(system.numa_balancing)) == (384, True, 0)
    assert (known(system.bios_version), known(system.bios_date)) == ("5.27", "05/13/2025")
    assert known(system.product) == "Supermicro AS -8125GS-TNMR2"
    assert known(system.memory_bytes) == 2377919732 * 1024
    assert (known(system.user), known(system.groups)) == ("ops", ("ops", "video", "render", "docker"))
    driver = facts.driver
    assert (known(driver.amdgpu_version), known(driver.rocm_version)) == ("6.10.5", "6.4.0-47")
    assert (known(driver.kfd_present), known(driver.kfd_gid), known(driver.kfd_process_ids)) == (True, 109, ())
    assert isinstance(facts.gpus, Known)
    assert [gpu.bdf for gpu in facts.gpus.value][:2] == ["0000:0c:00.0", "0000:22:00.0"]
    assert len(facts.gpus.value) == 8
    first = facts.gpus.value[0]
    assert (known(first.model), first.device_id, known(first.compute_units)) == ("MI300X", "74a1", 304)
    assert (known(first.render_node), known(first.render_gid)) == ("/dev/dri/renderD128", 109)
    assert (known(first.vram_total_bytes), known(first.vram_used_bytes)) == (206_141_652_992, 297_000_000)
    assert (known(first.compute_partition), known(first.memory_partition)) == ("SPX", "NPS1")
    assert (known(first.power_cap_w), known(first.performance_level)) == (750.0, "auto")
    assert known(facts.infiniband) == ()


async def test_every_fact_names_its_source_and_every_gap_the_command_that_shows_it(mi300x: "Machine") -> None:
    facts = await mi300x.facts()
    gpus = facts.gpus.value if isinstance(facts.gpus, Known) else ()
    for record in (facts.system, facts.driver, *gpus):
        for field in msgspec.structs.fields(record):
            fact = getattr(record, field.name)
            if isinstance(fact, Known):
                assert fact.source
            elif isinstance(fact, Unknown):
                assert fact.why != "not read", field.name
                assert fact.show


async def test_nps2_counts_only_nodes_with_processors(machine: "Machine") -> None:
    machine.system(nodes_per_socket=2)
    facts = await machine.facts()
    assert (known(facts.system.numa_nodes), known(facts.system.nodes_per_socket)) == (4, 2)


async def test_no_driver_is_a_known_absence_and_says_how_many_devices_wait_for_it(machine: "Machine") -> None:
    machine.gpus(2)
    for device in (machine.root / "sys/bus/pci/devices").glob("0000:*"):
        (device / "uevent").unlink(missing_ok=True)
        (device / "mem_info_vram_total").unlink(missing_ok=True)
    facts = await machine.facts()
    assert known(facts.driver.amdgpu_loaded) is False
    gap = unknown(facts.gpus)
    assert gap.why == "amdgpu is not loaded"
    assert gap.detail == "2 AMD accelerators on the PCI bus"
    assert gap.show == ("sudo", "modprobe", "amdgpu")


async def test_a_folder_without_sys_says_nothing_of_driver_gpus_iommu_and_rdma(machine: "Machine") -> None:
    shutil.rmtree(machine.root / "sys")
    facts = await machine.facts()
    for fact in (
        facts.driver.amdgpu_loaded,
        facts.driver.kfd_present,
        facts.gpus,
        facts.other_gpus,
        facts.system.iommu,
        facts.rdma,
        facts.infiniband,
    ):
        assert "not there" in unknown(fact).why


async def test_gpus_that_only_kfd_speaks_of_are_not_none(mi300x: "Machine") -> None:
    shutil.rmtree(mi300x.root / "sys/bus")
    shutil.rmtree(mi300x.root / "sys/module")
    assert unknown((await mi300x.facts()).gpus).detail == "/sys/bus/pci/devices"


async def test_the_kernels_own_driver_has_no_version_and_no_host_rocm_is_normal(machine: "Machine") -> None:
    machine.driver(version=None, rocm=None)
    machine.gpus()
    facts = await machine.facts()
    assert known(facts.driver.amdgpu_loaded) is True
    assert "kernel release stands for it" in unknown(facts.driver.amdgpu_version).why
    assert "container" in unknown(facts.driver.rocm_version).why


async def test_a_busy_gpu_shows_its_processes_and_memory(machine: "Machine") -> None:
    machine.driver()
    machine.gpus(used=190_000_000_000)
    for pid in (4242, 17):
        machine.write(f"/sys/class/kfd/kfd/proc/{pid}/pasid", "32770\n")
    facts = await machine.facts()
    assert known(facts.driver.kfd_process_ids) == (17, 4242)
    assert isinstance(facts.gpus, Known)
    assert {known(gpu.vram_used_bytes) for gpu in facts.gpus.value} == {190_000_000_000}


async def test_partitions_are_gpus_of_their_own(machine: "Machine") -> None:
    machine.driver()
    machine.gpus(2, partition="CPX", memory="NPS4")
    facts = await machine.facts()
    assert isinstance(facts.gpus, Known)
    assert len(facts.gpus.value) == 16
    second = facts.gpus.value[1]
    assert (second.bdf, known(second.compute_units)) == ("0000:0c:00.1", 38)
    assert (known(second.render_node), known(second.compute_partition)) == ("/dev/dri/renderD129", "CPX")
    assert known(second.vram_total_bytes) == 206_141_652_992 // 8
    assert known(second.vram_used_bytes) == 297_000_000 // 8
    assert (second.device_bdf, second.partition, known(second.xccs)) == ("0000:0c:00.0", 1, 1)


async def test_cards_of_other_makers_and_of_other_drivers_are_no_gpus(mi300x: "Machine") -> None:
    mi300x.write("/sys/bus/pci/devices/0000:0c:00.0/uevent", "DRIVER=vfio-pci\nPCI_SLOT_NAME=0000:0c:00.0\n")
    facts = await mi300x.facts()
    assert isinstance(facts.gpus, Known)
    assert "0000:0c:00.0" not in [gpu.bdf for gpu in facts.gpus.value]
    assert len(facts.gpus.value) == 7


async def test_a_gpu_is_found_through_drm_where_the_capture_has_no_pci_bus(machine: "Machine") -> None:
    machine.driver()
    device = "/sys/class/drm/card1/device"
    for name, value in {
        "vendor": "0x1002",
        "device": "0x740f",
        "uevent": "DRIVER=amdgpu\nPCI_SLOT_NAME=0000:63:00.0",
        "mem_info_vram_total": "68702699520",
    }.items():
        machine.write(f"{device}/{name}", value + "\n")
    facts = await machine.facts()
    assert isinstance(facts.gpus, Known)
    assert [(gpu.bdf, known(gpu.model)) for gpu in facts.gpus.value] == [("0000:63:00.0", "MI210")]
    assert unknown(facts.gpus.value[0].compute_partition).why == "not there"


async def test_a_sysfs_file_that_cannot_be_read_is_unknown_and_never_a_guess(mi300x: "Machine") -> None:
    mi300x.write("/sys/bus/pci/devices/0000:0c:00.0/mem_info_vram_used", "")
    mi300x.write("/sys/bus/pci/devices/0000:22:00.0/mem_info_vram_used", "N/A\n")
    facts = await mi300x.facts()
    assert isinstance(facts.gpus, Known)
    assert unknown(facts.gpus.value[0].vram_used_bytes).why == "the file is empty"
    assert unknown(facts.gpus.value[1].vram_used_bytes).why == "not of the form expected"


async def test_hostile_text_in_firmware_is_clean_and_forges_no_section(mi300x: "Machine") -> None:
    evil = "5.27\x1b]52;c;aGk=\x07\x1b[2J\u202e@@0 end host 0 $(touch /tmp/x) `id`"
    mi300x.write("/sys/class/dmi/id/bios_version", evil + "\n=/proc/sys/kernel/hostname owned\n")
    mi300x.write("/proc/sys/kernel/hostname", b"\xff\xfe\x9b31mnode\n")
    facts = await mi300x.facts()
    bios = known(facts.system.bios_version)
    assert isinstance(bios, str)
    assert bios.startswith("5.27")
    assert not any(ord(char) < 32 or char in "\x9b\u202e" for char in bios)
    assert known(facts.system.hostname) != "owned"


@pytest.mark.parametrize("root", ['it\'s a "root"', "$(id)", "a b;c", "-n", "*"])
async def test_a_root_folder_of_any_name_is_data_and_not_shell_text(
    tmp_path: Path, machine: "Machine", root: str
) -> None:
    moved = tmp_path / root
    machine.root.rename(moved)
    machine.root = moved
    assert known((await machine.facts()).system.hostname) == "smc300x-01"


async def test_docker_is_the_socket_the_fleet_file_names_once_a_channel_to_it_opened(
    machine: "Machine", tmp_path: Path
) -> None:
    assert unknown((await machine.facts()).docker).why == "no container engine"
    path = str(tmp_path / "engine.sock")
    assert "No such file" in unknown((await machine.facts(docker_socket=path)).docker).why
    listener = await asyncio.start_unix_server(lambda reader, writer: writer.close(), path)
    facts = await machine.facts(docker_socket=path)
    assert known(facts.docker) == DockerAccess(flavour="docker", socket=path)
    listener.close()


async def test_rdma_devices_are_named(mi300x: "Machine") -> None:
    for number in range(2):
        mi300x.write(f"/sys/class/infiniband/bnxt_re{number}/fw_ver", "229.0\n")
    assert known((await mi300x.facts()).infiniband) == ("bnxt_re0", "bnxt_re1")


async def test_a_capture_has_no_clock(machine: "Machine") -> None:
    assert "no clock" in unknown((await machine.facts()).clock).why


async def test_a_socket_nobody_may_open_is_a_permission_and_not_an_absence(machine: "Machine") -> None:
    machine.write("/var/run/docker.sock", "")
    (machine.root / "var/run/docker.sock").chmod(0)
    assert unknown((await machine.facts()).docker).why == "permission denied"
