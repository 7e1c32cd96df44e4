"""The kernel log since boot: one finding for each fault class and device, and rest for those acknowledged."""

from collections.abc import Iterable, Sequence
from datetime import UTC, datetime

from console.health.kernel_log import BY_ID, Fault, faults, span
from console.health.rules.base import Say, rule
from console.model.facts import HostFacts, Known, Unknown, value_or
from console.model.finding import Ack, Finding

SLACK_NS = 60_000_000_000
"""Stamps reckoned from the time since boot drift a little against the clock."""


@rule(
    "kernel.log",
    "kernel",
    "the kernel reported no fault since boot",
    detail="Lines are told apart by fault classes: errors of the GPUs' own memory and logic (ras-…), of the driver and "
    "resets (gpu-…), of links and PCIe, of the platform, of disks and networks. Each class on each device is one "
    "finding; `instinct health ack HOST CLASS[@ADDRESS]` lets what has happened so far rest. Of lines without a time "
    "it cannot be told what is new: such a finding names a mark, made of class, text, count and boot, and "
    "`health ack HOST CLASS[@ADDRESS]#MARK` lets exactly those lines rest. Known harmless lines are left out. On "
    "Ubuntu the log needs root or the group adm; without it this check is unknown, never passed.",
    source="hardware and driver messages; see the class",
    classes=tuple(BY_ID),
)
def kernel_log(say: Say) -> Iterable[Finding]:
    """Faults of the log, dated where it can be."""
    fact = say.facts.kernel_log
    if isinstance(fact, Unknown):
        yield say.unknown("the kernel log", fact, expected="no fault since boot")
        return
    log = fact.value
    found = faults(log.lines, since_ns=None if log.this_boot else booted_ns(say.facts))
    for fault in found:
        yield _finding(say, fault, log.source)
    reach = f"{len(log.lines)} lines of {log.source}, {span(log.lines)}"
    if found:
        return
    if not log.complete:
        text = f"no fault in {reach}; older lines are lost, so what happened before is not known"
        yield say.passed(text, evidence=log.source)
        return
    yield say.passed(f"no fault in {reach}", evidence=log.source)


def _finding(say: Say, fault: Fault, source: str) -> Finding:
    ack = resting(say.facts, fault, say.case.acks)
    times = f" {fault.count} times" if fault.count > 1 else ""
    where = f" on {fault.bdf}" if fault.bdf else ""
    last = f", last {_at(fault.newest_ns)}" if fault.newest_ns is not None else ""
    evidence = f"{source}: {fault.last.raw or fault.last.text}"
    mark = mark_of(say.facts, fault)
    if mark and ack is None:
        key = f"{fault.key}#{mark}"
        evidence += f" (without a time; `instinct health ack {say.facts.host} {key}` lets it rest until it is repeated)"
    return say.finding(
        fault.rule.state,
        f"{fault.rule.id}{where}{times}{last}: {fault.rule.means}",
        about=f"{fault.rule.id}",
        expected="no such line since boot",
        source=f"kernel log, category {fault.rule.category}",
        evidence=evidence,
        remedy=_filled(fault.rule.remedy, fault.bdf),
        waived=f"acknowledged up to {_at(ack.until_ns)}: {ack.reason}" if ack else "",
    )


def resting(facts: HostFacts, fault: Fault, acks: Sequence[Ack]) -> Ack | None:
    """The acknowledgement that covers every line of a fault: by time, and by its mark where lines have none."""
    mark = mark_of(facts, fault)
    for ack in acks:
        same = ack.host == facts.host and ack.rule == fault.rule.id and ack.bdf in ("", fault.bdf)
        over = fault.newest_ns is None or fault.newest_ns <= ack.until_ns + SLACK_NS
        if same and over and mark in ("", ack.mark):
            return ack
    return None


def mark_of(facts: HostFacts, fault: Fault) -> str:
    """The mark of a fault's lines that have no time; empty where all have one."""
    return fault.mark(value_or(facts.system.boot_id, ""))


def booted_ns(facts: HostFacts) -> int | None:
    """When a host booted, on its own clock, with some slack; None where it is not known."""
    if isinstance(facts.system.uptime_s, Unknown) or not facts.read_at_ns:
        return None
    offset = facts.clock.value.offset_ns if isinstance(facts.clock, Known) else 0
    return facts.read_at_ns + offset - round(facts.system.uptime_s.value * 1e9) - SLACK_NS


def _filled(remedy: str, bdf: str) -> str:
    return remedy.replace("BDF", bdf) if bdf else remedy


def _at(at_ns: int | None) -> str:
    return "at an unknown time" if at_ns is None else datetime.fromtimestamp(at_ns / 1e9, UTC).strftime("%F %H:%MZ")
