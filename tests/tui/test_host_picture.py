"""The picture of a server, and the text widget it is shown in."""

from typing import Any

import pytest
from textual.app import App, ComposeResult

from console.desk.fleet_board import GpuLive
from console.model.facts import Gpu, GpuLink, HostFacts, Known, Nic, NumaNode, RdmaDevice, RdmaPort, System, Unknown
from console.tui.widgets.lines import BLANK, Lines, Para, labelled, para, wrap
from console.tui.widgets.topology import devices, picture, reach


def bdf(index: int, part: int = 0) -> str:
    return f"0000:{index + 5:02x}:00.{part}"


def gpus(count: int = 8, parts: int = 1, without: tuple[tuple[int, int], ...] = ()) -> tuple[Gpu, ...]:
    """Devices on two nodes, each linked to all others but those of `without`; partitions share their device's links."""
    made = []
    for index in range(count):
        others = [other for other in range(count) if other != index and (index, other) not in without]
        links = tuple(GpuLink(kind="xgmi", to_node=other, to_bdf=bdf(other)) for other in others)
        for part in range(parts):
            inside = [bdf(index, other) for other in range(parts) if other != part]
            inner = tuple(GpuLink(kind="xgmi", to_node=90, to_bdf=one, same_device=True) for one in inside)
            made.append(
                Gpu(
                    bdf=bdf(index, part),
                    device_bdf=bdf(index),
                    device_id="74a1",
                    partition=part,
                    numa_node=Known(index * 2 // count, "sysfs"),
                    oam_id=Known(index, "sysfs"),
                    compute_partition=Known("CPX" if parts > 1 else "SPX", "sysfs"),
                    links=Known((*links, *inner) if not part else inner, "kfd"),
                    hive_id=Known("cafe", "sysfs"),
                )
            )
    return tuple(made)


def server(found: tuple[Gpu, ...], **given: Any) -> HostFacts:
    nodes = tuple(NumaNode(number=n, cpus=96, cpu_list=f"{96 * n}-{96 * n + 95}") for n in range(2))
    system = System(sockets=Known(2, "cpuinfo"), numa=Known(nodes, "sysfs"), cores_per_socket=Known(96, "cpuinfo"))
    nics = (
        Nic(name="rail0", operstate="up", speed_mbps=400_000, physical=True, numa_node=1),
        Nic(name="docker0", operstate="up", physical=False),
    )
    port = RdmaPort(number=1, state="DOWN")
    rdma = (RdmaDevice(name="bnxt_re0", ports=(port,), netdevs=("rail0",), numa_node=1),)
    fields: dict[str, Any] = {"system": system, "gpus": Known(found, "sysfs")}
    fields |= {"nics": Known(nics, "sysfs"), "rdma": Known(rdma, "sysfs")}
    return HostFacts(host="node01", read_at_ns=1, **{**fields, **given})


def drawn(facts: HostFacts, width: int = 118, live: tuple[GpuLive, ...] = ()) -> list[str]:
    return ["".join(text for text, _ in item.spans) for item in picture(facts, live, width)]


def test_gpus_and_adapters_stand_under_their_sockets() -> None:
    lines = drawn(server(gpus()))
    left, right = zip(*((line[:57], line[59:]) for line in lines if line.startswith("│")), strict=True)

    assert "socket 0, 96 cores" in lines[0]
    assert "socket 1, 96 cores" in lines[0]
    assert [index for index in range(8) if any(f"GPU {index}" in line for line in left)] == [0, 1, 2, 3]
    assert any("rail0  400 Gb/s  bnxt_re0 ✗ DOWN" in line for line in right)
    assert not any("docker0" in line for line in lines)


@pytest.mark.parametrize("width", [118, 78, 50, 40])
def test_no_line_is_wider_than_its_room(width: int) -> None:
    assert max(
        len(line)
        for line in drawn(
            server(
                gpus(),
            ),
            width,
        )
        if line.startswith(("│", "╭", "╰"))
    ) <= max(width, 40)


def test_where_room_is_short_sockets_stand_below_each_other() -> None:
    tops = [line for line in drawn(server(gpus()), 78) if line.startswith("╭")]

    assert len(tops) == 2


def test_a_full_mesh_is_told_as_one() -> None:
    lines = drawn(server(gpus()))

    assert any("all to all, each of 8 GPUs reaches 7 others, one hive cafe" in line for line in lines)
    rows = [line for line in lines if line.rstrip().endswith("00.0") and "●" in line and "GPU" not in line]
    assert len(rows) == 8
    assert all(row.count("●") == 7 for row in rows)


def test_a_missing_way_is_counted_and_marked_where_it_is() -> None:
    facts = server(gpus(without=((2, 5), (5, 2))))
    lines = drawn(facts)

    assert any("2 of 56 ways between GPUs are missing" in line for line in lines)
    assert reach(devices(facts)).get((2, 5)) is None
    assert reach(devices(facts))[2, 4] == "xgmi"


def test_partitions_are_taken_together_as_their_device() -> None:
    facts = server(gpus(parts=8))
    lines = drawn(facts)

    assert len(devices(facts)) == 8
    assert any("GPU 0  05:00.0  OAM 0  8 parts CPX" in line for line in lines)
    assert any("each of 8 GPUs reaches 7 others" in line for line in lines)


def test_pcie_alone_is_not_called_a_mesh() -> None:
    made = []
    for number in range(2):
        link = GpuLink(kind="pcie", to_node=1, to_bdf=bdf(1 - number))
        made.append(Gpu(bdf=bdf(number), device_id="74a1", links=Known((link,), "kfd")))

    assert any("no links between the GPUs" in line for line in drawn(server(tuple(made))))


def test_links_that_could_not_be_read_are_not_called_missing() -> None:
    made = tuple(Gpu(bdf=bdf(n), device_id="74a1", links=Unknown("no kfd")) for n in range(2))
    lines = drawn(server(made))

    assert any("not known: no kfd" in line for line in lines)
    assert not any("missing" in line for line in lines)


def test_gpus_of_an_unknown_node_still_appear() -> None:
    made = tuple(Gpu(bdf=bdf(n), device_id="74a1", numa_node=Known(-1, "sysfs")) for n in range(2))

    assert any("NUMA node not known" in line for line in drawn(server(made)))


def test_memory_without_processors_belongs_to_its_nearest_socket() -> None:
    nodes = (
        NumaNode(number=0, cpus=24, distances=(10, 32, 12, 40)),
        NumaNode(number=1, cpus=24, distances=(32, 10, 40, 12)),
        NumaNode(number=2, cpus=0, distances=(12, 40, 10, 50)),
        NumaNode(number=3, cpus=0, distances=(40, 12, 50, 10)),
    )
    facts = server(gpus(2), system=System(sockets=Known(2, "cpuinfo"), numa=Known(nodes, "sysfs")))
    lines = [line for line in drawn(facts) if "NUMA" in line]

    sides = ["\n".join(line[:57] for line in lines), "\n".join(line[59:] for line in lines)]
    assert ["NUMA 0" in side and "NUMA 2  no CPUs" in side for side in sides] == [True, False]
    assert ["NUMA 1" in side and "NUMA 3  no CPUs" in side for side in sides] == [False, True]


def test_live_figures_stand_beside_the_gpu() -> None:
    live = (GpuLive(index=0, bdf=bdf(0), busy_percent=99.0, power_w=698.0, junction_c=103.0),)

    assert any("█ 698 W 103 °C" in line for line in drawn(server(gpus()), live=live))


def test_a_host_whose_gpus_could_not_be_read_says_so() -> None:
    assert drawn(server((), gpus=Unknown("not there", "/sys/bus/pci")))[0].startswith("The GPUs could not be read")


# -- the text widget


def lines_of(item: Para, width: int) -> list[str]:
    return ["".join(text for text, _ in line).rstrip() for line in wrap(item, width)]


def test_later_lines_stand_under_the_text_of_a_label() -> None:
    assert lines_of(labelled("seen", "one two three four", width=6), 16) == ["seen  one two", "      three four"]


def test_a_word_too_long_for_a_line_is_broken_not_lost() -> None:
    made = lines_of(para("x " + "a" * 25 + " y"), 10)

    assert all(len(line) <= 10 for line in made)
    assert "".join(made).replace(" ", "") == "x" + "a" * 25 + "y"


def test_roles_survive_wrapping() -> None:
    made = wrap(Para((("good ", "ok"), ("bad bad bad", "fail"))), 9)

    assert made[0][0] == ("good ", "ok")
    assert {role for line in made for _, role in line} == {"ok", "fail"}


def test_a_picture_is_cut_never_wrapped() -> None:
    assert len(wrap(Para((("x" * 50, ""),), keep=True), 10)) == 1
    assert wrap(BLANK, 10) == [()]


class Shown(App[None]):
    """One text."""

    def compose(self) -> ComposeResult:
        """It."""
        yield Lines()


async def test_a_long_text_is_scrolled_by_keys_and_another_subject_begins_at_its_top() -> None:
    app = Shown()
    async with app.run_test(size=(40, 10)) as pilot:
        text = app.query_one(Lines)
        text.show([para(f"line {number}") for number in range(50)])
        text.focus()
        await pilot.pause()
        await pilot.press("end")
        await pilot.pause()
        assert text.scroll_offset.y == 40

        text.show([para("other"), *[para(f"line {number}") for number in range(50)]], top=True)
        await pilot.pause()
        assert text.scroll_offset.y == 0
        assert text.text.startswith("other\nline 0")


async def test_a_text_is_wrapped_anew_for_another_size() -> None:
    app = Shown()
    async with app.run_test(size=(60, 10)) as pilot:
        text = app.query_one(Lines)
        text.show([para("word " * 20)])
        await pilot.pause()
        before = text.virtual_size.height
        await pilot.resize_terminal(30, 10)
        await pilot.pause()
        assert text.virtual_size.height > before
