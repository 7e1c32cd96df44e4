"""The kernel log as a check: faults by class and device, rest for what was acknowledged, honesty about gaps."""

import re
from collections.abc import Callable
from typing import Any

import msgspec

from console.health.report import HostHealth, Selection, choose, judge
from console.model.facts import HostFacts, Unknown
from console.model.finding import Ack, Case, Finding, State

Judge = Callable[..., HostHealth]
Change = Callable[..., HostFacts]
RESET = "amdgpu 0000:0f:00.0: amdgpu: GPU reset begin!"


def found(check: Judge, facts: HostFacts, **case: Any) -> tuple[Finding, ...]:
    return check(facts, "kernel.log", **case).findings


def test_a_fault_carries_its_line_its_class_and_its_device(
    check: Judge, change: Change, healthy: HostFacts, make: Any
) -> None:
    (fault,) = found(check, change(healthy, {"kernel_log": make.log("boot", RESET)}))
    assert (fault.check, fault.state) == ("kernel.log.gpu-reset", State.FAIL)
    assert "0000:0f:00.0" in fault.seen
    assert fault.evidence == f"dmesg: [1.0] {RESET}"


def test_warnings_stay_warnings(check: Judge, change: Change, healthy: HostFacts, make: Any) -> None:
    log = make.log("amdgpu: Runlist is getting oversubscribed. Expect reduced ROCm performance.")
    assert check(change(healthy, {"kernel_log": log}), "kernel").state is State.WARN


def test_a_log_that_cannot_be_read_is_unknown(check: Judge, change: Change, healthy: HostFacts) -> None:
    denied = Unknown("permission denied", "dmesg", ("sudo", "dmesg"))
    (fault,) = found(check, change(healthy, {"kernel_log": denied}))
    assert (fault.state, fault.remedy, fault.waived) == (State.UNKNOWN, "sudo dmesg", "")


def test_a_class_asked_for_by_name_passes_where_the_log_has_none_of_it(
    check: Judge, change: Change, healthy: HostFacts, make: Any
) -> None:
    clean = check(healthy, "kernel.log.gpu-lost")
    assert (clean.state, [item.check for item in clean.findings]) == (State.PASS, ["kernel.log"])
    others = check(change(healthy, {"kernel_log": make.log(RESET)}), "kernel.log.gpu-lost")
    assert (others.state, [item.check for item in others.findings]) == (State.PASS, ["kernel.log.gpu-lost"])
    denied = change(healthy, {"kernel_log": Unknown("permission denied", "dmesg", ("sudo", "dmesg"))})
    (unread,) = check(denied, "kernel.log.gpu-lost").findings
    assert (unread.state, unread.remedy) == (State.UNKNOWN, "sudo dmesg")


def test_a_log_with_nothing_but_what_is_left_out_passes(change: Change, healthy: HostFacts, make: Any) -> None:
    selection = Selection(("kernel",), ("kernel.log.gpu-reset",))
    facts = change(healthy, {"kernel_log": make.log(RESET)})
    assert judge(Case(facts=facts), choose(selection), selection).state is State.PASS


def test_a_log_that_lost_its_beginning_says_so(check: Judge, change: Change, healthy: HostFacts, make: Any) -> None:
    (passed,) = found(check, change(healthy, {"kernel_log": make.log("fine", complete=False)}))
    assert (passed.state, "older lines are lost" in passed.seen) == (State.PASS, True)


def test_an_acknowledged_fault_rests_until_it_happens_again(
    check: Judge, change: Change, healthy: HostFacts, make: Any
) -> None:
    ack = Ack(host="node01", rule="gpu-reset", bdf="0000:0f:00.0", until_ns=1000 * 10**9, reason="module replaced")
    once = change(healthy, {"kernel_log": make.log(RESET)})
    (fault,) = found(check, once, acks=(ack,))
    assert "module replaced" in fault.waived
    assert check(once, "kernel", acks=(ack,)).state is State.PASS
    again = change(healthy, {"kernel_log": make.log(*[RESET] * 100)})
    assert check(again, "kernel", acks=(ack,)).state is State.FAIL


def undated(make: Any, *texts: str) -> Any:
    log = make.log(*texts).value
    lines = tuple(msgspec.structs.replace(line, at_ns=None, raw=line.text) for line in log.lines)
    return make.known(msgspec.structs.replace(log, lines=lines))


def marked(fault: Finding) -> Ack:
    """The acknowledgement that the finding itself names."""
    match = re.search(r"health ack node01 ([a-z-]+)@(\S+)#([0-9a-f]{10})`", fault.evidence)
    assert match is not None, fault.evidence
    return Ack(host="node01", rule=match[1], bdf=match[2], mark=match[3], until_ns=10**18, reason="module replaced")


def test_a_line_without_a_time_rests_by_its_mark_only(
    check: Judge, change: Change, healthy: HostFacts, make: Any
) -> None:
    facts = change(healthy, {"kernel_log": undated(make, RESET)})
    by_time = Ack(host="node01", rule="gpu-reset", until_ns=10**18, reason="x")
    (fault,) = found(check, facts, acks=(by_time,))
    (rests,) = found(check, facts, acks=(by_time, marked(fault)))

    assert fault.waived == ""
    assert "module replaced" in rests.waived
    assert "health ack" not in rests.evidence


def test_a_marked_fault_counts_again_when_it_is_repeated_or_followed(
    check: Judge, change: Change, healthy: HostFacts, make: Any
) -> None:
    ack = marked(found(check, change(healthy, {"kernel_log": undated(make, "boot", RESET)}))[0])

    def state(*texts: str, **changes: Any) -> State:
        facts = change(healthy, {"kernel_log": undated(make, *texts), **changes})
        return check(facts, "kernel", acks=(ack,)).state

    assert state(RESET) is State.PASS, "older lines that left the log change nothing"
    assert state(RESET, "fine") is State.PASS
    assert state(RESET, RESET) is State.FAIL
    assert state(RESET, f"{RESET} Source: 2") is State.FAIL
    assert state(RESET, **{"system.boot_id": make.known("another boot")}) is State.FAIL


def test_dated_lines_after_a_marked_one_count(check: Judge, change: Change, healthy: HostFacts, make: Any) -> None:
    first = undated(make, RESET)
    ack = marked(found(check, change(healthy, {"kernel_log": first}))[0])
    both = msgspec.structs.replace(first.value, lines=(*make.log(RESET).value.lines, *first.value.lines))
    facts = change(healthy, {"kernel_log": make.known(both)})
    early = msgspec.structs.replace(ack, until_ns=1)

    assert check(facts, "kernel", acks=(ack,)).state is State.PASS
    assert check(facts, "kernel", acks=(early,)).state is State.FAIL


def test_an_acknowledgement_holds_for_its_host_class_and_device_only(
    check: Judge, change: Change, healthy: HostFacts, make: Any
) -> None:
    facts = change(healthy, {"kernel_log": make.log(RESET)})
    for other in ({"host": "node02"}, {"rule": "gpu-hang"}, {"bdf": "0000:1f:00.0"}):
        fields: dict[str, Any] = {"host": "node01", "rule": "gpu-reset", "bdf": "", "until_ns": 10**13, "reason": "x"}
        assert check(facts, "kernel", acks=(Ack(**{**fields, **other}),)).state is State.FAIL
    everywhere = Ack(host="node01", rule="gpu-reset", until_ns=10**13, reason="x")
    assert check(facts, "kernel", acks=(everywhere,)).state is State.PASS


def test_earlier_boots_do_not_count(check: Judge, change: Change, healthy: HostFacts, make: Any) -> None:
    by_time = make.log(RESET, this_boot=False)
    lately = change(healthy, {"kernel_log": by_time, "system.uptime_s": make.known(60.0)})
    assert check(lately, "kernel").state is State.PASS, "the line is older than the boot"
    long_ago = change(healthy, {"kernel_log": by_time, "system.uptime_s": make.known(1900.0)})
    assert check(long_ago, "kernel").state is State.FAIL


def test_one_class_can_be_asked_for(check: Judge, change: Change, healthy: HostFacts, make: Any) -> None:
    facts = change(healthy, {"kernel_log": make.log(RESET, "ACPI Error: x")})
    assert [item.check for item in check(facts, "kernel.log.acpi").findings] == ["kernel.log.acpi"]
