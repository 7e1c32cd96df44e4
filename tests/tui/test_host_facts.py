"""Facts of a host for people: every field, beside what it should be, and what is said of those that are unknown."""

from collections.abc import Mapping
from typing import Any

import pytest

from console.desk.expectations import agreement, text
from console.model.facts import UNLIMITED, Driver, Gpu, GpuLink, HostFacts, Known, NumaNode, System, Unknown
from console.model.profile import Expectation
from console.tui.screens.host import facts as host_facts
from console.tui.screens.host import values as host_values
from console.tui.screens.host.facts import Entry
from console.tui.widgets.grid import text_of
from console.tui.widgets.lines import Para


def known(value: Any, source: str = "a file") -> Known[Any]:
    return Known(value, source)


def gpu(index: int, **given: Any) -> Gpu:
    bdf = f"0000:{index + 5:02x}:00.0"
    source = f"/sys/bus/pci/devices/{bdf}/"
    fields: dict[str, Any] = {
        "compute_partition": known("SPX", f"{source}current_compute_partition"),
        "power_w": known(139.0 + index, f"{source}power"),
        "serial_number": known(f"S{index}"),
    }
    return Gpu(bdf=bdf, device_bdf=bdf, device_id="74a1", **{**fields, **given})


def facts(**given: Any) -> HostFacts:
    fields: dict[str, Any] = {
        "read_at_ns": 1,
        "system": System(
            numa_balancing=known(1, "/proc/sys/kernel/numa_balancing"),
            memory_bytes=known(2 << 40),
            memlock_bytes=known(UNLIMITED),
            cmdline=known("ro iommu=pt pci=realloc=off"),
            numa=known((NumaNode(number=0, cpus=64, cpu_list="0-63"),)),
            acs_bridges=Unknown("not there", "lspci -vvv", ("sudo", "lspci", "-vvv")),
            hostname=known("node\x1b[31m01"),
        ),
        "driver": Driver(amdgpu_version=known("6.10.5")),
        "gpus": known(tuple(gpu(index) for index in range(4)), "/sys/bus/pci/devices"),
    }
    return HostFacts(host="node01", **{**fields, **given})


EXPECTED = {
    "system.numa_balancing": Expectation(fact="system.numa_balancing", accept=(0,), source="AMD vLLM guide"),
    "system.acs_bridges": Expectation(fact="system.acs_bridges", accept=(0,), level="advised"),
    "driver.amdgpu_version": Expectation(fact="driver.amdgpu_version", accept=("6.8.5",), level="published"),
    "gpu.compute_partition": Expectation(fact="gpu.compute_partition", accept=("SPX",)),
    "cmdline.pci": Expectation(fact="cmdline.pci", accept=("realloc=off",)),
}


def entries(read: HostFacts, expected: Mapping[str, Expectation] | None = None, **given: Any) -> dict[str, Entry]:
    want = EXPECTED if expected is None else expected
    return host_facts.entries(read, want, lambda item: agreement(read, item), **given)


def texts(paras: list[Para]) -> str:
    return "\n".join("".join(part for part, _ in item.spans) for item in paras)


def test_no_field_of_the_record_is_left_out() -> None:
    found = entries(facts())

    missing = {f"system.{name}" for name in System.__struct_fields__} - set(found)
    missing |= {f"driver.{name}" for name in Driver.__struct_fields__} - set(found)
    missing |= {
        f"gpu.{name}" for name in Gpu.__struct_fields__ if name not in ("bdf", "device_bdf", "partition")
    } - set(found)
    elsewhere = {"system", "driver", "gpus", "host", "read_at_ns", "simulated", "origin", "kernel_log"}
    missing |= set(HostFacts.__struct_fields__) - set(found) - elsewhere
    assert not missing


@pytest.mark.parametrize(
    ("path", "glyph", "word"),
    [
        ("system.numa_balancing", "✗", "differs"),
        ("driver.amdgpu_version", "≈", "other"),
        ("system.acs_bridges", "?", "unknown"),
        ("gpu.compute_partition", "✓", ""),
        ("cmdline.pci", "✓", ""),
    ],
)
def test_a_mark_says_how_strictly_a_difference_is_held(path: str, glyph: str, word: str) -> None:
    mark = entries(facts())[path].mark

    assert mark is not None
    assert (mark.glyph, mark.word) == (glyph, word)


def test_without_an_expectation_a_known_fact_has_no_mark() -> None:
    assert entries(facts(), {})["system.numa_balancing"].mark is None


def test_only_differences_are_left_on_request() -> None:
    assert list(entries(facts(), only_different=True)) == ["system.numa_balancing", "driver.amdgpu_version"]


def test_words_look_in_area_name_and_value() -> None:
    assert list(entries(facts(), words="memory balancing")) == ["system.numa_balancing"]
    assert "gpu.compute_partition" in entries(facts(), words="spx")


@pytest.mark.parametrize(
    ("values", "said"),
    [
        (("SPX", "SPX"), "SPX"),
        (("SPX", "DPX"), "SPX on 1, DPX on 1"),
        ((139.0, 146.0), "139 to 146"),
        (("a", "b", "c", "d"), "4 different values"),
        ((True, False), "yes on 1, no on 1"),
    ],
)
def test_the_values_of_all_gpus_fit_in_a_line(values: tuple[Any, ...], said: str) -> None:
    placed = tuple((f"0000:{index:02x}:00.0", known(value)) for index, value in enumerate(values))

    assert host_facts.summary(host_facts.Fact("gpu.x", "GPUs", "x", placed)) == said


def test_gpus_of_which_nothing_is_known_are_counted() -> None:
    placed = (("a", known("SPX")), ("b", Unknown("not read")))

    assert host_facts.summary(host_facts.Fact("gpu.x", "GPUs", "x", placed)) == "SPX, unknown on 1"


def test_an_unknown_fact_says_why_and_the_command_that_shows_it() -> None:
    said = texts(host_facts.detail(entries(facts())["system.acs_bridges"], text, "mi300x"))

    for part in ("not there lspci -vvv", "sudo lspci -vvv", "should be 0", "advised, mi300x"):
        assert part in said


def test_where_a_fact_of_gpus_was_read_is_said_once() -> None:
    found = entries(facts())

    assert host_facts.sources(found["gpu.compute_partition"].fact) == (
        "/sys/bus/pci/devices/*/current_compute_partition",
    )


def test_gpus_that_differ_are_listed_with_their_addresses() -> None:
    said = texts(host_facts.detail(entries(facts())["gpu.serial_number"], text, ""))

    assert "0000:05:00.0  S0" in said
    assert "0000:08:00.0  S3" in said


def test_a_heading_tells_what_its_area_holds() -> None:
    found = entries(facts())
    said = texts(host_facts.area(found, "\nmemory", text))

    assert "NUMA balancing is 1, should be 0" in said
    assert text_of(next(row for row in host_facts.rows(found, text) if row.key == "\nmemory").cells[1]) == "memory"


def test_gpus_that_could_not_be_read_are_one_unknown_fact() -> None:
    found = entries(facts(gpus=Unknown("no such folder")), {})

    assert [path for path in found if path.startswith("gpu")] == ["gpus"]


def test_text_of_a_host_cannot_act_on_the_terminal() -> None:
    found = entries(facts())

    assert host_facts.summary(found["system.hostname"].fact) == "node01"


def test_markdown_has_what_differs_marked() -> None:
    made = host_facts.markdown(entries(facts(), only_different=True), text, title="Facts")

    assert "| system.numa_balancing | ✗ 1 | 0 |" in made


@pytest.mark.parametrize(
    ("name", "value", "said"),
    [
        ("memory_bytes", 2 << 40, "2.0 TiB"),
        ("memlock_bytes", UNLIMITED, "unlimited"),
        ("power_cap_w", 750.0, "750 W"),
        ("junction_c", 43.0, "43 °C"),
        ("sclk_mhz", 2100, "2100 MHz"),
        ("uptime_s", 864_000.0, "10 d 0 h"),
        ("load_1m", 0.42, "0.42"),
        ("busy_percent", 99.0, "99 %"),
        ("offset_ns", 92_500_000, "92.5 ms"),
        ("smt_active", False, "no"),
        ("groups", ("video", "render"), "video, render"),
        ("dkms", (), "none"),
        ("os", "", "empty"),
        ("firmware", None, "unknown"),
    ],
)
def test_values_have_their_unit(name: str, value: Any, said: str) -> None:
    assert host_values.shown(name, value) == said


def test_a_long_list_says_how_much_more_there_is() -> None:
    assert host_values.shown("xgmi_link_states", ("up",) * 8) == "up, up, up, up, up, up and 2 more"


def test_records_are_named_or_spelled_out() -> None:
    link = GpuLink(kind="xgmi", to_node=3, to_bdf="0000:26:00.0", weight=15, max_mb_per_s=64_000)

    assert host_values.shown("links", (link, link)).startswith("2: kind xgmi, to node 3")


@pytest.mark.parametrize(
    ("name", "said"),
    [
        ("bios_version", "BIOS version"),
        ("vram_total_bytes", "VRAM total"),
        ("memory_c", "memory temperature"),
        ("load_1m", "load 1m"),
    ],
)
def test_labels_leave_the_unit_to_the_value(name: str, said: str) -> None:
    assert host_values.label(name) == said
