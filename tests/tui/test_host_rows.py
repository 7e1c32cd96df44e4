"""Findings, GPUs, kernel log, readings and work of a host, as rows and details."""

import math
from array import array
from typing import Any

import pytest

from console.desk.fleet_board import GpuHistory, GpuLive, History, HostView
from console.desk.status import GpuRow
from console.health.expectation import shown
from console.health.report import HostHealth
from console.health.rules.kernel import resting
from console.model.facts import (
    UNLIMITED,
    Clock,
    Driver,
    Engine,
    GpuContainer,
    GpuProcess,
    HostFacts,
    KernelLine,
    KernelLog,
    Known,
    System,
    Unknown,
)
from console.model.finding import Ack, Finding, State
from console.tui.remedies import command
from console.tui.screens.host import findings as host_findings
from console.tui.screens.host import gpus as host_gpus
from console.tui.screens.host import kernel as host_kernel
from console.tui.screens.host import telemetry as host_telemetry
from console.tui.screens.host import work as host_work
from console.tui.screens.host.subject import Subject, next_bad
from console.tui.screens.host.tabs import tabs
from console.tui.screens.host.telemetry import METRICS
from console.tui.widgets.grid import Column, Row, text_of
from console.tui.widgets.lines import Para

S = 1_000_000_000
NOW = 1_800_000_000 * S


def finding(check: str, state: State = State.FAIL, **given: Any) -> Finding:
    return Finding(check=check, host="node01", state=state, seen=given.pop("seen", f"{check} seen"), **given)


def health(*findings: Finding) -> HostHealth:
    return HostHealth(host="node01", findings=findings, state=State.FAIL)


def texts(paras: list[Para]) -> str:
    return "\n".join("".join(text for text, _ in item.spans) for item in paras)


def cell(columns: tuple[Column, ...], row: Row, name: str) -> str:
    return text_of(row.cells[[column.key for column in columns].index(name)]).strip()


# -- findings


def test_findings_that_count_come_first_then_the_waived_then_what_passed() -> None:
    found = host_findings.keyed(
        health(
            finding("a", State.PASS),
            finding("b", State.WARN),
            finding("c", State.FAIL, waived="on purpose"),
            finding("d", State.FAIL),
            finding("e", State.UNKNOWN),
        )
    )

    assert list(found) == ["d", "e", "b", "c", "a"]


def test_several_findings_of_one_check_have_rows_of_their_own() -> None:
    found = host_findings.keyed(health(finding("kernel.log.x", seen="one"), finding("kernel.log.x", seen="two")))

    assert list(found) == ["kernel.log.x", "kernel.log.x#2"]


def test_only_what_counts_is_left_on_request_and_words_filter() -> None:
    given = health(finding("a.one"), finding("a.two", waived="on purpose"), finding("b.three", State.PASS))

    assert list(host_findings.keyed(given, only_bad=True)) == ["a.one"]
    assert list(host_findings.keyed(given, words="purpose")) == ["a.two"]


def test_a_finding_in_full_names_all_it_rests_on() -> None:
    item = finding(
        "host.x", expected="0", source="a guide", evidence="/proc/x", remedy="instinct capture HOST -o b   # first"
    )
    said = texts(host_findings.detail(item, "explained", "more"))

    for part in ("explained", "host.x seen", "0", "a guide", "/proc/x", "instinct capture node01", "more"):
        assert part in said


def test_what_is_pasted_of_a_remedy_is_the_command_alone() -> None:
    assert command("instinct capture HOST -o b.tar.gz   # for the vendor", "n1") == "instinct capture n1 -o b.tar.gz"


def test_a_limit_that_is_not_set_is_called_so_in_findings() -> None:
    assert shown("system.memlock_bytes", UNLIMITED) == "unlimited"
    assert shown("system.memlock_bytes", 64 << 20) == "64.0 MiB"


def test_findings_for_a_ticket_are_marked_when_simulated() -> None:
    made = host_findings.markdown([finding("host.x", remedy="mend HOST")], "node01", simulated=True)

    assert "(simulated)" in made
    assert "`mend node01`" in made


# -- kernel log


def kernel(*lines: tuple[int, str], complete: bool = True, this_boot: bool = True) -> HostFacts:
    made = tuple(KernelLine(text=text, raw=f"raw {text}", at_ns=NOW - ago * S, level="err") for ago, text in lines)
    log = KernelLog(source="dmesg", lines=made, complete=complete, this_boot=this_boot)
    return HostFacts(
        host="node01",
        read_at_ns=NOW,
        system=System(uptime_s=Known(1000.0, "/proc/uptime")),
        clock=Known(Clock(0, 0), "date"),
        kernel_log=Known(log, "dmesg"),
    )


READ = HostFacts(host="node01", read_at_ns=NOW)
RESET = "amdgpu 0000:46:00.0: amdgpu: GPU reset begin!"
AER = "amdgpu 0000:46:00.0: PCIe Bus Error: severity=Uncorrected (Fatal), type=Transaction Layer"


def test_faults_are_counted_by_class_and_device_with_their_lines() -> None:
    found = host_kernel.read(kernel((90, RESET), (60, RESET), (30, AER)))
    rows = host_kernel.rows(found, READ, (), NOW)

    by_class = {cell(host_kernel.COLUMNS, row, "class"): row for row in rows}
    reset = by_class["gpu-reset"]
    assert cell(host_kernel.COLUMNS, reset, "times") == "2"
    assert cell(host_kernel.COLUMNS, reset, "device") == "46:00.0"
    assert cell(host_kernel.COLUMNS, reset, "ago") == "1 min 00 s"
    assert [line.text for line in found.lines[reset.key]] == [RESET, RESET]


def test_faults_of_an_earlier_boot_do_not_count() -> None:
    found = host_kernel.read(kernel((5000, RESET), (60, AER), this_boot=False))

    assert all(fault.rule.id != "gpu-reset" for fault in found.faults)
    assert found.faults


def test_an_acknowledged_fault_rests_until_it_happens_again() -> None:
    found = host_kernel.read(kernel((600, RESET)))
    fault = found.faults[0]
    ack = Ack(host="node01", rule="gpu-reset", bdf="0000:46:00.0", until_ns=NOW - 300 * S, reason="replaced")

    assert resting(READ, fault, (ack,)) is ack
    assert resting(HostFacts(host="node02", read_at_ns=1), fault, (ack,)) is None
    again = host_kernel.read(kernel((600, RESET), (10, RESET))).faults[0]
    assert resting(READ, again, (ack,)) is None


def test_faults_that_rest_stand_last_and_say_so() -> None:
    found = host_kernel.read(kernel((600, RESET), (600, AER)))
    ack = Ack(host="node01", rule=found.faults[0].rule.id, until_ns=NOW, reason="dealt with")
    rows = host_kernel.rows(found, READ, (ack,), NOW)

    assert "rests" in cell(host_kernel.COLUMNS, rows[-1], "state")
    assert "rests" not in cell(host_kernel.COLUMNS, rows[0], "state")


def test_a_fault_in_full_has_its_newest_lines_and_how_to_let_it_rest() -> None:
    found = host_kernel.read(kernel(*((1000 - second, RESET) for second in range(20))))
    said = texts(host_kernel.detail(found.faults[0], "node01", found.lines[found.faults[0].key], None, "x"))

    assert "8 older lines" in said
    assert said.count("raw amdgpu") == host_kernel.LINES_SHOWN
    assert "x lets what has happened so far rest" in said


@pytest.mark.parametrize(
    ("read", "said"),
    [
        (None, "not been looked at"),
        (kernel((5, "all is well")), "No fault in 1 lines of dmesg"),
        (kernel((5, "all is well"), complete=False), "Older lines are lost"),
        (
            HostFacts(host="n", read_at_ns=1, kernel_log=Unknown("denied", "", ("sudo", "dmesg"))),
            "to see it: sudo dmesg",
        ),
    ],
)
def test_an_empty_list_of_faults_says_what_was_read(read: HostFacts | None, said: str) -> None:
    assert said in host_kernel.why_none(read)


# -- GPUs


def live(index: int = 0, **given: Any) -> GpuLive:
    fields: dict[str, Any] = {"busy_percent": 53.0, "power_w": 612.0, "power_cap_w": 750.0, "junction_c": 71.0}
    fields |= {"vram_used_bytes": 96 << 30, "vram_total_bytes": 192 << 30, "throttle": ()}
    return GpuLive(index=index, bdf=f"0000:{index + 5:02x}:00.0", **{**fields, **given})


def test_a_gpu_shows_its_live_figures_and_what_it_is() -> None:
    part = GpuRow(host="n", bdf="0000:05:00.0", model="MI300X", errors="2/7", partition="SPX/NPS1", link="x16 32 GT/s")
    row = host_gpus.rows((live(),), (part,), {})[0]

    assert cell(host_gpus.COLUMNS, row, "power") == "612/750 W"
    assert cell(host_gpus.COLUMNS, row, "vram").endswith("96.0 GiB")
    assert cell(host_gpus.COLUMNS, row, "errors") == "✗ 2/7"
    assert cell(host_gpus.COLUMNS, row, "link") == "x16 32 GT/s"


def test_what_is_not_known_of_a_gpu_is_not_a_zero() -> None:
    row = host_gpus.rows((live(busy_percent=None, power_w=None, throttle=None, sclk_mhz=None),), (), {})[0]

    for name in ("busy", "power", "throttle", "clock"):
        assert "?" in cell(host_gpus.COLUMNS, row, name)


def test_partitions_stand_under_their_device() -> None:
    parts = [
        GpuRow(host="n", bdf=f"0000:05:00.{number}", model="MI300X", vram_total_bytes=96 << 30) for number in range(2)
    ]
    rows = host_gpus.rows((live(),), parts, {part.bdf: "0000:05:00.0" for part in parts})

    assert [cell(host_gpus.COLUMNS, row, "bdf") for row in rows] == ["05:00.0", "05:00.1"]
    assert cell(host_gpus.COLUMNS, rows[1], "busy") == "part 2"
    assert len({row.key for row in rows}) == 2


# -- readings


def history(*powers: float) -> History:
    nan = array("f", [math.nan] * len(powers))
    figures = dict.fromkeys(("busy_percent", "vram_used_bytes", "junction_c", "sclk_mhz", "throttle"), nan)
    gpu = GpuHistory(index=3, bdf="0000:65:00.0", power_w=array("f", powers), **figures)
    times = array("q", [NOW - (len(powers) - 1 - place) * S for place in range(len(powers))])
    return History(times, nan, nan, (gpu,))


POWER = next(metric for metric in METRICS if metric.name == "power_w")
BUSY = next(metric for metric in METRICS if metric.name == "busy_percent")


def test_a_strip_keeps_every_peak_and_every_gap() -> None:
    figures = [0.0] * 50 + [700.0] + [0.0] * 49 + [math.nan] * 100
    strip = host_telemetry.stretch(figures, 20)

    assert len(strip) == 20
    assert max(value for value in strip if not math.isnan(value)) == 700.0
    assert all(math.isnan(value) for value in strip[10:])


def test_few_readings_fill_the_strip() -> None:
    assert host_telemetry.stretch([1.0, 2.0], 6) == [1.0, 1.0, 1.0, 2.0, 2.0, 2.0]
    assert host_telemetry.stretch([], 6) == []


def test_a_row_of_readings_has_now_least_mean_and_most() -> None:
    row = host_telemetry.rows(history(100.0, 300.0, math.nan, 200.0), POWER, (live(),), 120)[0]
    columns = host_telemetry.columns(120)

    assert [cell(columns, row, name) for name in ("now", "least", "mean", "most")] == [
        "200 W",
        "100 W",
        "200 W",
        "300 W",
    ]


def test_readings_that_broke_off_have_no_now() -> None:
    row = host_telemetry.rows(history(100.0, math.nan), POWER, (), 120)[0]

    assert cell(host_telemetry.columns(120), row, "now") == "?"


def test_a_metric_that_was_never_told_leaves_its_row_empty() -> None:
    row = host_telemetry.rows(history(100.0, 200.0), BUSY, (), 120)[0]

    assert cell(host_telemetry.columns(120), row, "now") == ""
    assert cell(host_telemetry.columns(120), row, "strip") == ""


def test_curves_are_named_by_gpu_and_may_be_one_alone() -> None:
    assert list(host_telemetry.series(history(1.0), POWER)) == ["GPU 3"]
    assert host_telemetry.series(history(1.0), POWER, "0000:05:00.0") == {}
    assert host_telemetry.times_s(history(1.0, 2.0), NOW) == [-1.0, 0.0]


def test_the_limit_of_power_is_the_cap() -> None:
    assert host_telemetry.limit((live(), live(1, power_cap_w=525.0)), POWER) == 750.0
    assert host_telemetry.limit((), POWER) is None


# -- work


def working(**given: Any) -> HostFacts:
    engine = Engine(version="27", api="1.46", storage_driver="overlay2", root_dir="/var/lib/docker", **given)
    process = GpuProcess(pid=77, name="python3", user="eve", vram_bytes=1 << 40, gpus=("0000:05:00.0",))
    return HostFacts(
        host="node01", read_at_ns=NOW, engine=Known(engine, "docker"), driver=Driver(processes=Known((process,), "kfd"))
    )


def test_containers_and_processes_of_others_are_told() -> None:
    container = GpuContainer(
        name="train\x1b[2J", id="c1", image="rocm/pytorch", state="running", since="2026-01-01T00:00:00Z"
    )
    stopped = GpuContainer(name="old", id="c2", image="x", state="exited", since="")
    read = working(gpu_containers=(container, stopped))
    rows = host_work.rows((), (), read, NOW)

    assert [row.key for row in rows] == ["container c1", "process 77"]
    assert cell(host_work.COLUMNS, rows[0], "name") == "train  rocm/pytorch"
    assert cell(host_work.COLUMNS, rows[0], "whose") == "someone else"
    assert cell(host_work.COLUMNS, rows[1], "doing") == "holds 1.0 TiB of 0000:05:00.0"
    assert "ps -o pid,user,lstart,args -p 77" in texts(host_work.detail("process 77", (), (), read))


def test_an_empty_list_of_work_says_whether_that_is_known() -> None:
    dark = HostFacts(host="n", read_at_ns=1, driver=Driver(processes=Unknown("no permission")))

    assert "not been looked at" in host_work.why_none(None)
    assert "no permission" in host_work.why_none(dark)
    assert "Nothing runs" in host_work.why_none(
        HostFacts(host="n", read_at_ns=1, driver=Driver(processes=Known((), "kfd")))
    )


# -- the screen's own


def test_tabs_tell_what_there_is_to_see() -> None:
    faults = (
        finding("kernel.log.gpu-reset"),
        finding("kernel.log.ras", waived="acknowledged"),
        finding("kernel.log", State.PASS),
    )
    subject = Subject(view=HostView(name="node01", state="up"), now_ns=NOW, health=health(*faults))
    badges = {tab.id: tab.badge[0] for tab in tabs(subject, lambda key: key[-1])}

    assert badges == {"findings": "", "facts": "", "gpus": "", "telemetry": "", "kernel": "✗1", "work": ""}


def test_the_next_bad_host_is_searched_around_the_end() -> None:
    hosts = (
        HostView(name="a", state="no answer"),
        HostView(name="b", state="up", health=State.PASS),
        HostView(name="c", state="up", health=State.WARN),
        HostView(name="d", state="asking"),
    )

    assert next_bad(hosts, "a") == "c"
    assert next_bad(hosts, "c") == "a"
    assert next_bad(hosts[1:2], "b") is None


def test_a_host_without_facts_says_why_there_is_nothing() -> None:
    gone = HostView(name="a", state="no answer", why="connection refused", remedy="is sshd running?")  # type: ignore[arg-type]

    assert "connection refused" in Subject(view=gone, now_ns=NOW).why_empty
    assert "being asked" in Subject(view=HostView(name="a"), now_ns=NOW).why_empty
