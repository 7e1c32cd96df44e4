"""amd-smi and rocm-smi in the shapes of their releases: they fill gaps, and never more than that."""

import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from console.fleet.probe import smi
from console.fleet.probe.smi_values import documents, first_object, gpu_entries, number, text, whole
from console.fleet.script import Section
from console.model.facts import Driver, Gpu, Known, Throttle, Unknown

if TYPE_CHECKING:
    from tests.fleet.probe.conftest import Machine

BDF = "0000:0c:00.0"


def ask(gpu: Gpu | None = None, **said: Any) -> Gpu:
    sections = {}
    for key, value in said.items():
        name = f"smi.{key}"
        data = value if isinstance(value, bytes) else json.dumps(value).encode()
        sections[name] = Section(name, "amd-smi", 0, data)
    return smi.enrich((gpu or Gpu(bdf=BDF, device_bdf=BDF, device_id="74a1"),), sections)[0]


def known(fact: object) -> Any:
    assert isinstance(fact, Known), fact
    return fact.value


LIST = [{"gpu": 3, "bdf": "0000:0C:00.0", "hip_id": 7}]


@pytest.mark.parametrize("wrap", [lambda rows: rows, lambda rows: {"gpu_data": rows}])
def test_a_list_and_its_later_wrapper_are_the_same(wrap: Any) -> None:
    gpu = ask(list=wrap(LIST), metric=wrap([{"gpu": 3, "power": {"socket_power": {"value": 139, "unit": "W"}}}]))
    assert (known(gpu.smi_index), known(gpu.hip_id), known(gpu.power_w)) == (3, 7, 139.0)


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        (139, 139.0),
        ("139", 139.0),
        ("139 W", 139.0),
        ({"value": 139, "unit": "W"}, 139.0),
        ({"value": "139.5", "unit": "W"}, 139.5),
        ({"value": "N/A", "unit": "W"}, None),
        ({"value": 139, "unit": "C"}, None),
        ("139 C", None),
        ("N/A", None),
        (True, None),
        (None, None),
        ([139], None),
        (float("nan"), None),
        ("1e99", None),
        ({}, None),
    ],
)
def test_a_value_has_many_forms(value: Any, expected: float | None) -> None:
    assert number(value, "W") == expected


def test_whole_numbers_and_texts() -> None:
    assert (whole("0x10"), whole("7"), whole(7.5), whole("x")) == (16, 7, None, None)
    assert (text("a\x1b[31mb"), text("N/A"), text(5), text([])) == ("ab", None, "5", None)


def test_json_is_found_among_warnings_before_between_and_after() -> None:
    data = b'WARNING: User [x] is {odd\n[{"gpu": 0, "A B": 1}]\nLegend:\n * = Current\n{"GPU_DATA": [{"gpu": 1}]} tail'
    assert [entry["gpu"] for entry in gpu_entries(data)] == [0, 1]
    assert documents(b"[" * 5000) == []
    assert documents(b"no json") == []


def test_a_driver_version_and_its_rocm(shared: Path) -> None:
    data = (shared / "fixtures/amd_smi/version_rocm7.0.2.json").read_bytes()
    driver = smi.versions(Driver(), {"smi.version": Section("smi.version", "amd-smi version --json", 0, data)})
    assert (known(driver.amd_smi_version), known(driver.amd_smi_rocm)) == ("26.2.0+021c61fc", "7.0.2")


def test_missing_groups_are_said_as_such(shared: Path) -> None:
    for said in (
        b"RuntimeError: WARNING: User is missing the following required groups: render, video.",
        b"Permission needed to access required GPU device node(s):\n  - /dev/dri/card0: Permission denied",
    ):
        found = {"smi.version": Section("smi.version", "amd-smi version --json", 1, said)}
        gap = smi.versions(Driver(), found).amd_smi_version
        assert isinstance(gap, Unknown)
        assert (gap.why, "render" in gap.detail) == ("permission denied", True)


def test_an_mi210_with_the_kernels_driver_is_matched_by_what_names_it(shared: Path) -> None:
    static = (shared / "fixtures/amd_smi/static_mi210_rocm7_inbox_driver.json").read_bytes()
    gpu = ask(list=[{"gpu": 0, "bdf": BDF}], static=static)
    assert (known(gpu.bad_page_threshold), known(gpu.power_cap_max_w)) == (655, 300.0)
    assert (known(gpu.junction_slowdown_c), known(gpu.memory_shutdown_c)) == (100.0, 99.0)
    assert (known(gpu.pcie_max_width), known(gpu.pcie_max_speed_gts)) == (16, 16.0)
    assert (known(gpu.gfx), known(gpu.compute_units)) == ("gfx90a", 104)
    assert isinstance(gpu.serial_number, Known)
    assert isinstance(ask(static=static).bad_page_threshold, Unknown)  # no address and no serial: nobody's figures


def test_a_whole_metric_tree_of_rocm_7(shared: Path) -> None:
    metric = (shared / "fixtures/amd_smi/metric_2x_radeon_rocm7_gpu_data.json").read_bytes()
    gpu = ask(list=[{"gpu": 0, "bdf": BDF}], metric=metric)
    assert (known(gpu.power_w), known(gpu.busy_percent), known(gpu.memory_busy_percent)) == (214.0, 91.0, 66.0)
    assert known(gpu.sclk_mhz) == 2774
    blocks = known(gpu.ras)
    assert blocks[0].block == "umc"
    assert all(isinstance(item, Throttle) and item.active is None for item in known(gpu.throttle))


def test_the_serial_number_stands_in_where_the_address_is_for_root_alone() -> None:
    mine = Gpu(bdf=BDF, device_bdf=BDF, device_id="74a1", unique_id=Known("6f1f0a2b3c4d5e6f", "unique_id"))
    gpu = ask(mine, static=[{"gpu": 5, "asic": {"asic_serial": "0x6F1F0A2B3C4D5E6F", "oam_id": 2}}])
    assert known(gpu.oam_id) == 2


@pytest.mark.parametrize(
    "limit",
    [
        {"socket_power": {"value": 700, "unit": "W"}, "max_power": {"value": 750, "unit": "W"}},
        {"ppt0": {"socket_power_limit": "700 W", "max_power_limit": 750}, "ppt1": {"max_power_limit": "N/A"}},
    ],
)
def test_power_limits_are_flat_or_in_ppt0(limit: dict[str, Any]) -> None:
    gpu = ask(list=LIST, static=[{"gpu": 3, "limit": limit}])
    assert (known(gpu.power_cap_w), known(gpu.power_cap_max_w)) == (700.0, 750.0)


def test_only_a_violation_status_says_that_it_throttles_now() -> None:
    throttle = {
        "accumulation_counter": 3808991,
        "ppt_accumulated": 585613,
        "prochot_violation_status": "NOT ACTIVE",
        "ppt_violation_status": "ACTIVE",
        "ppt_violation_activity": {"value": 40, "unit": "%"},
        "vr_thermal_violation_status": "N/A",
        "gfx_clk_below_host_limit_power_violation_status": {"xcp_0": ["NOT ACTIVE", "ACTIVE"], "xcp_1": ["N/A"]},
        "low_utilization_violation_status": {"xcp_0": ["ACTIVE"]},
        "total_gfx_clk_below_host_limit_violation_status": {"xcp_0": ["ACTIVE"]},
    }
    gpu = ask(list=LIST, metric=[{"gpu": 3, "throttle": throttle}])
    assert {item.reason: (item.active, item.percent) for item in known(gpu.throttle)} == {
        "prochot": (False, None),
        "ppt": (True, 40.0),
        "vr_thermal": (None, None),
        "gfx_clk_below_host_limit_power": (True, None),
    }


def test_bad_pages_are_lists_or_a_sentence_and_na_is_no_answer() -> None:
    none = {"gpu": 3, "retired": "No bad pages found.", "pending": "No bad pages found.", "un_res": []}
    assert known(ask(list=LIST, pages=[none]).bad_pages).retired == 0
    some = {**none, "retired": [{"page_address": "0x1", "page_size": "0x1000", "status": "RESERVED"}]}
    assert known(ask(list=LIST, pages={"gpu_data": [some]}).bad_pages).retired == 1
    assert isinstance(ask(list=LIST, pages=[{**none, "pending": "N/A"}]).bad_pages, Unknown)


def test_links_of_a_virtual_function_that_all_look_down_say_nothing() -> None:
    up = ask(xgmi=[{"gpu": 0, "bdf": BDF, "link_status": ["U", "U", "D", "X", "SELF"]}])
    assert known(up.xgmi_link_states) == ("up", "up", "down", "disabled")
    down = ask(xgmi=[{"gpu": 0, "bdf": BDF, "link_status": ["D", "D", "D"]}])
    assert isinstance(down.xgmi_link_states, Unknown)


def test_what_sysfs_told_is_not_replaced() -> None:
    mine = Gpu(bdf=BDF, device_bdf=BDF, device_id="74a1", power_w=Known(1.0, "hwmon"))
    gpu = ask(mine, list=LIST, metric=[{"gpu": 3, "power": {"socket_power": 139}}])
    assert gpu.power_w == Known(1.0, "hwmon")


def test_a_partition_does_not_take_the_figures_of_its_device() -> None:
    part = Gpu(bdf=BDF, device_bdf=BDF, device_id="74a1", partition=3)
    gpu = ask(part, list=LIST, metric=[{"gpu": 3, "mem_usage": {"total_vram": {"value": 196592, "unit": "MB"}}}])
    assert isinstance(gpu.vram_total_bytes, Unknown)
    whole_gpu = ask(list=LIST, metric=[{"gpu": 3, "mem_usage": {"total_vram": {"value": 196592, "unit": "MB"}}}])
    assert known(whole_gpu.vram_total_bytes) == 206_141_652_992


def test_rocm_smi_fills_in_where_there_is_no_amd_smi(shared: Path) -> None:
    data = (shared / "fixtures/rocm_smi/telegraf_mi100_rocm571.json").read_bytes()
    card = first_object(data)["card0"]
    gpu = ask(Gpu(bdf=card["pci_bus"].lower(), device_id="738c"), rocm=b"WARNING: nothing\n" + data)
    assert (known(gpu.power_w), known(gpu.power_cap_w), known(gpu.vram_total_bytes)) == (39.0, 290.0, 34_342_961_152)
    assert (known(gpu.junction_c), known(gpu.vbios_version)) == (34.0, "113-D3430400-037")


def test_every_odd_output_is_read_without_a_crash(shared: Path) -> None:
    for path in (shared / "fixtures").glob("*_smi/*"):
        data = path.read_bytes()
        said: dict[str, Any] = {name.removeprefix("smi."): data for name in (*smi.COMMANDS, "smi.rocm")}
        gpu = ask(**said)
        assert all("\x1b" not in repr(getattr(gpu, field)) for field in gpu.__struct_fields__)


async def test_without_amd_smi_the_gap_says_so(mi300x: "Machine") -> None:
    facts = await mi300x.facts()
    assert isinstance(facts.gpus, Known)
    gap = facts.gpus.value[0].throttle
    assert isinstance(gap, Unknown)
    assert gap.show == ("amd-smi", "metric", "--json")
    mi300x.command("smi.list", json.dumps(LIST))
    mi300x.command("smi.metric", json.dumps({"gpu_data": [{"gpu": 3, "throttle": {"ppt_violation_status": "ACTIVE"}}]}))
    facts = await mi300x.facts()
    assert isinstance(facts.gpus, Known)
    assert known(facts.gpus.value[0].throttle) == (Throttle(reason="ppt", active=True),)
