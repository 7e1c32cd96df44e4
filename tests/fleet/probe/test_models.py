"""Every Instinct model, as whole GPUs, partitions and virtual functions, read from composed servers."""

from typing import TYPE_CHECKING

import pytest

from console.fleet.probe import gpu_errors
from console.fleet.probe.reading import Files
from console.fleet.script import Section
from console.model.facts import Gpu, HostFacts, Known, Unknown

if TYPE_CHECKING:
    from tests.fleet.probe.conftest import Machine


def known(fact: object) -> object:
    assert isinstance(fact, Known), fact
    return fact.value


def why(fact: object) -> str:
    assert isinstance(fact, Unknown), fact
    return fact.why


def gpus(facts: HostFacts) -> tuple[Gpu, ...]:
    assert isinstance(facts.gpus, Known), facts.gpus
    return facts.gpus.value


@pytest.mark.parametrize(
    ("model", "count", "units", "gfx", "xccs", "watts", "peers", "sclk"),
    [
        ("MI210", 8, 104, "gfx90a", 1, 300.0, 3, 1700),
        ("MI250X", 8, 110, "gfx90a", 1, 560.0, 7, 1700),
        ("MI300A", 4, 228, "gfx942", 6, 550.0, 3, 2100),
        ("MI300X", 8, 304, "gfx942", 8, 750.0, 7, 2100),
        ("MI308X", 8, 80, "gfx942", 4, 750.0, 7, 1420),
        ("MI325X", 8, 304, "gfx942", 8, 1000.0, 7, 2100),
        ("MI355X", 8, 256, "gfx950", 8, 1400.0, 7, 2400),
    ],
)
async def test_a_whole_gpu_of_each_model_is_read(
    machine: "Machine",
    model: str,
    count: int,
    units: int,
    gfx: str,
    xccs: int,
    watts: float,
    peers: int,
    sclk: int,
) -> None:
    machine.driver()
    machine.gpus(count, model=model)
    found = gpus(await machine.facts())
    assert len(found) == count
    for gpu in found:
        assert (known(gpu.model), known(gpu.compute_units), known(gpu.gfx), known(gpu.xccs)) == (
            model,
            units,
            gfx,
            xccs,
        )
        assert (known(gpu.power_cap_w), known(gpu.power_cap_max_w), known(gpu.power_w)) == (watts, watts, 139.0)
        assert known(gpu.xgmi_peers) == peers
        assert known(gpu.virtual_function) is False
        assert (known(gpu.sclk_mhz), known(gpu.sclk_max_mhz), known(gpu.mclk_mhz)) == (132, sclk, 900)
        assert (known(gpu.junction_c), known(gpu.memory_c)) == (41.0, 37.0)
        assert known(gpu.hive_id) == f"{15188982192727901047:016x}"
        assert gpu.partition == 0
        assert gpu.device_bdf == gpu.bdf


async def test_an_mi2xx_has_an_edge_sensor_and_no_partitions_and_an_mi300_the_other_way_round(
    machine: "Machine",
) -> None:
    machine.driver()
    machine.gpus(1, model="MI210")
    mi210 = gpus(await machine.facts())[0]
    assert known(mi210.edge_c) == 36.0
    assert why(mi210.compute_partition) == "not there"
    machine.gpus(1, model="MI300X")
    machine.remove("/sys/bus/pci/devices/0000:0c:00.0/hwmon/hwmon7/temp1_label")
    mi300x = gpus(await machine.facts())[0]
    assert why(mi300x.edge_c) == "no sensor of the label edge"
    assert known(mi300x.available_compute_partitions) == ("SPX", "DPX", "QPX", "CPX")
    assert known(mi300x.available_memory_partitions) == ("NPS1", "NPS4")


async def test_identity_limits_links_and_counters_of_a_gpu(mi300x: "Machine") -> None:
    gpu = gpus(await mi300x.facts())[0]
    assert (known(gpu.unique_id), known(gpu.serial_number)) == ("000000000000abc0", "692403000000")
    assert (known(gpu.vbios_version), known(gpu.oam_id), known(gpu.kfd_node)) == ("113-M3000100-102", 2, 1)
    assert (known(gpu.subsystem_id), known(gpu.revision)) == ("74a1", "00")
    firmware = known(gpu.firmware)
    assert isinstance(firmware, tuple)
    assert [(item.name, item.version) for item in firmware] == [("mec", "0x000000a6"), ("smc", "0x00557700")]
    assert (known(gpu.junction_slowdown_c), known(gpu.junction_shutdown_c)) == (100.0, 110.0)
    assert (known(gpu.memory_slowdown_c), known(gpu.memory_shutdown_c)) == (105.0, 115.0)
    assert (known(gpu.pcie_width), known(gpu.pcie_max_width)) == (16, 16)
    assert (known(gpu.pcie_speed_gts), known(gpu.pcie_max_speed_gts)) == (32.0, 32.0)
    links = known(gpu.links)
    assert isinstance(links, tuple)
    assert sorted(link.kind for link in links) == ["pcie", *["xgmi"] * 7]
    assert {link.to_bdf for link in links if link.kind == "pcie"} == {""}
    blocks = known(gpu.ras)
    assert isinstance(blocks, tuple)
    assert [block.block for block in blocks] == ["gfx", "mmhub", "sdma", "umc", "xgmi_wafl"]
    assert (known(gpu.aer_correctable), known(gpu.aer_nonfatal), known(gpu.aer_fatal)) == (0, 0, 0)


@pytest.mark.parametrize(("mode", "parts"), [("DPX", 2), ("QPX", 4), ("CPX", 8)])
async def test_partitions_share_their_device_and_count_its_links_once(
    machine: "Machine", mode: str, parts: int
) -> None:
    machine.driver()
    machine.gpus(8, partition=mode, memory="NPS4")
    found = gpus(await machine.facts())
    assert len(found) == 8 * parts
    assert len({gpu.bdf for gpu in found}) == 8 * parts
    assert len({gpu.device_bdf for gpu in found}) == 8
    last = found[parts - 1]
    assert (last.partition, known(last.compute_units), known(last.xccs)) == (parts - 1, 304 // parts, 8 // parts)
    assert known(last.xgmi_peers) == 7
    assert known(last.memory_partition) == "NPS4"


async def test_a_virtual_function_shows_what_it_has_and_says_what_it_lacks(machine: "Machine") -> None:
    machine.driver()
    machine.gpus(8, model="MI325X VF")
    gpu = gpus(await machine.facts())[3]
    assert (known(gpu.model), known(gpu.virtual_function), known(gpu.compute_units)) == ("MI325X", True, 304)
    assert known(gpu.xgmi_peers) == 0
    assert "hive" in why(gpu.hive_id)
    assert why(gpu.serial_number) == "not there"
    assert "no hwmon" in why(gpu.power_cap_w)
    assert why(gpu.ras) == "the driver shows no error counters"
    assert why(gpu.bad_pages) == "not there"


async def test_a_physical_function_passed_in_by_a_link_is_a_virtual_one(machine: "Machine") -> None:
    machine.driver()
    machine.gpus(1)
    machine.write("/sys/bus/pci/devices/0000:0c:00.0/physfn/vendor", "0x1002\n")
    assert known(gpus(await machine.facts())[0].virtual_function) is True


async def test_foreign_gpus_are_listed_apart(mi300x: "Machine") -> None:
    other = "/sys/bus/pci/devices/0000:81:00.0"
    for name, value in {"vendor": "0x10de", "device": "0x2330", "class": "0x030200"}.items():
        mi300x.write(f"{other}/{name}", f"{value}\n")
    mi300x.write(f"{other}/uevent", "DRIVER=nvidia\nPCI_SLOT_NAME=0000:81:00.0\n")
    mi300x.write("/sys/bus/pci/devices/0000:df:00.0/uevent", "DRIVER=vfio-pci\nPCI_SLOT_NAME=0000:df:00.0\n")
    facts = await mi300x.facts()
    assert len(gpus(facts)) == 7
    others = known(facts.other_gpus)
    assert isinstance(others, tuple)
    assert [(other.bdf, other.vendor_id, other.driver, other.name) for other in others] == [
        ("0000:03:00.0", "1a03", "ast", ""),
        ("0000:81:00.0", "10de", "nvidia", ""),
        ("0000:df:00.0", "1002", "vfio-pci", "MI300X"),
    ]


async def test_a_server_without_any_gpu_has_none(machine: "Machine") -> None:
    machine.driver()
    assert gpus(await machine.facts()) == ()


async def test_of_a_gpu_that_sleeps_only_what_the_driver_holds_in_memory_is_read(mi300x: "Machine") -> None:
    device = "/sys/bus/pci/devices/0000:0c:00.0"
    mi300x.write(f"{device}/power/runtime_status", "suspended\n")
    mi300x.command("smi.version", '[{"version": "26.2.0"}]')
    first, second = gpus(await mi300x.facts())[:2]
    assert known(first.runtime_status) == "suspended"
    assert (known(first.vram_total_bytes), known(first.model)) == (206_141_652_992, "MI300X")
    for fact in (
        first.compute_partition,
        first.power_w,
        first.busy_percent,
        first.ras,
        first.bad_pages,
        first.sclk_mhz,
    ):
        assert "would wake it" in why(fact)
    assert known(second.compute_partition) == "SPX"


async def test_the_link_of_a_gpu_behind_its_own_bridge_is_the_bridges(machine: "Machine") -> None:
    machine.driver()
    machine.gpus(1, model="MI210")
    bridge = "/sys/devices/pci0000:40/0000:40:01.1/0000:41:00.0"
    device = machine.root / "sys/bus/pci/devices/0000:0c:00.0"
    for name, value in {"vendor": "0x1002", "current_link_width": "8", "current_link_speed": "16.0 GT/s PCIe"}.items():
        machine.write(f"{bridge}/{name}", f"{value}\n")
    machine.write("/sys/devices/pci0000:40/0000:40:01.1/vendor", "0x1022\n")
    target = machine.root / f"{bridge}/0000:0c:00.0".lstrip("/")
    device.rename(target)
    device.symlink_to(target)
    gpu = gpus(await machine.facts())[0]
    assert (known(gpu.pcie_width), known(gpu.pcie_max_width)) == (8, 16)


async def test_faults_show_in_the_counters(mi300x: "Machine") -> None:
    device = "/sys/bus/pci/devices/0000:22:00.0"
    mi300x.write(f"{device}/ras/umc_err_count", "ue: 2\nce: 17\nde: 1\n")
    mi300x.write(f"{device}/ras/gpu_vram_bad_pages", "0x00001000 : 0x00001000 : R\n0x2000 : 0x1000 : P\n")
    mi300x.write(f"{device}/aer_dev_fatal", "Undefined 0\nDLP 1\nTOTAL_ERR_FATAL 1\n")
    mi300x.write(f"{device}/pcie_replay_count", "12\n")
    mi300x.write(f"{device}/current_link_width", "8\n")
    mi300x.write("/sys/bus/pci/devices/0000:0c:00.0/ras/gpu_vram_bad_pages", "")
    healthy, broken = gpus(await mi300x.facts())[:2]
    blocks = known(broken.ras)
    assert isinstance(blocks, tuple)
    umc = next(block for block in blocks if block.block == "umc")
    assert (umc.uncorrectable, umc.correctable, umc.deferred) == (2, 17, 1)
    pages = known(broken.bad_pages)
    assert (pages.retired, pages.pending, pages.unreservable) == (1, 1, 0)  # type: ignore[attr-defined]  # a BadPages
    assert (known(broken.aer_fatal), known(broken.pcie_replay_count), known(broken.pcie_width)) == (1, 12, 8)
    assert known(healthy.bad_pages).retired == 0  # type: ignore[attr-defined]  # a BadPages


@pytest.mark.parametrize("text", ["ue: 1\n", "ue: many\nce: 0\n", "0 errors\n", ""])
async def test_a_counter_of_another_form_makes_the_counters_unknown_and_never_zero(
    mi300x: "Machine", text: str
) -> None:
    mi300x.write("/sys/bus/pci/devices/0000:0c:00.0/ras/umc_err_count", text)
    gpu = gpus(await mi300x.facts())[0]
    if text:
        assert why(gpu.ras) == "not of the form expected"
    else:
        assert why(gpu.ras) == "the file is empty"


async def test_while_a_gpu_is_reset_its_counters_are_unknown(mi300x: "Machine") -> None:
    mi300x.write("/sys/bus/pci/devices/0000:0c:00.0/ras/umc_err_count", "Query currently inaccessible\n")
    assert "resetting" in why(gpus(await mi300x.facts())[0].ras)


@pytest.mark.parametrize(
    ("block", "error", "known_blocks"),
    [
        ("hdp", "Invalid argument", ["umc"]),
        ("hdp", "Input/output error", None),
        ("hdp", "Permission denied", None),
        ("umc", "Invalid argument", None),
    ],
)
def test_a_block_without_counters_is_left_out_and_one_that_refuses_makes_them_unknown(
    block: str, error: str, known_blocks: list[str] | None
) -> None:
    data = (
        f"ras:ras/{block}_err_count\nras:ras/umc_err_count\nras/umc_err_count:ue: 0\nras/umc_err_count:ce: 0\n"
        f"\n@errors\ngrep: ras/{block}_err_count: {error}\n"
    )
    if block == "umc":
        data = f"ras:ras/umc_err_count\n\n@errors\ngrep: ras/umc_err_count: {error}\n"
    counters = gpu_errors.ras(Files(Section("gpu.x", "/sys/x", 0, data.encode())))
    if known_blocks is None:
        assert isinstance(counters, Unknown)
        assert counters.detail == f"/sys/x/ras/{block}_err_count"
    else:
        assert [item.block for item in counters.value] == known_blocks if isinstance(counters, Known) else False
