"""Faults of a host's kernel log: by class and device, with their lines, and which of them rest. Pure."""

from collections.abc import Mapping, Sequence
from types import MappingProxyType
from typing import NamedTuple

from console.health.kernel_log import Fault, classify, device_of, faults, span
from console.health.rules.kernel import booted_ns, resting
from console.model.facts import HostFacts, KernelLine, Unknown
from console.model.finding import Ack
from console.model.text import clean_line
from console.tui import marks
from console.tui.marks import Role, Span
from console.tui.remedies import named
from console.tui.widgets.grid import Cell, Column, Row
from console.tui.widgets.lines import BLANK, Para, labelled, para
from console.tui.words import ago, utc

COLUMNS = (
    Column("state", "state", 9),
    Column("class", "fault", 18),
    Column("device", "device", 9),
    Column("times", "times", 5, right=True),
    Column("last", "last", 20, rank=1),
    Column("ago", "ago", 12, rank=2),
    Column("means", "means", 20, grow=1),
)
LINES_SHOWN = 12


class Faults(NamedTuple):
    """The faults of a log, and their lines in order by the fault's key."""

    faults: tuple[Fault, ...] = ()
    lines: Mapping[str, Sequence[KernelLine]] = MappingProxyType({})


def read(facts: HostFacts | None) -> Faults:
    """The faults of this boot. A log of thousands of lines takes some tens of milliseconds."""
    if facts is None or isinstance(facts.kernel_log, Unknown):
        return Faults()
    log = facts.kernel_log.value
    since_ns = None if log.this_boot else booted_ns(facts)
    found = faults(log.lines, since_ns=since_ns)
    lines: dict[str, list[KernelLine]] = {fault.key: [] for fault in found}
    for line in log.lines:
        if since_ns is not None and line.at_ns is not None and line.at_ns < since_ns:
            continue
        rule = classify(line)
        if rule is not None:
            bdf = device_of(line.text)
            lines[f"{rule.id}@{bdf}" if bdf else rule.id].append(line)
    return Faults(found, lines)


def rows(found: Faults, facts: HostFacts, acks: Sequence[Ack], now_ns: int) -> list[Row]:
    """One for each fault, those that rest last; `now_ns` is the host's clock."""
    made = [(resting(facts, fault, acks), fault) for fault in found.faults]
    return [row(fault, ack, now_ns) for ack, fault in sorted(made, key=lambda item: item[0] is not None)]


def row(fault: Fault, ack: Ack | None, now_ns: int) -> Row:
    """A fault."""
    rests: Role = "dim" if ack is not None else ""
    mark = marks.HEALTH[fault.rule.state]
    state: Span = (f"{mark.glyph} rests", "dim") if ack is not None else mark.span
    last = fault.newest_ns
    cells: tuple[Cell, ...] = (
        state,
        (fault.rule.id, rests),
        (clean_line(fault.bdf.removeprefix("0000:")), rests),
        (str(fault.count), rests),
        (utc(last) if last is not None else "no time told", "dim"),
        (ago(last, now_ns) if last is not None else "", "dim"),
        (fault.rule.means, rests),
    )
    return Row(fault.key, cells)


def detail(fault: Fault, host: str, lines: Sequence[KernelLine], ack: Ack | None, key: str) -> list[Para]:
    """What a fault means, what to do, and its newest lines; `key` lets it rest."""
    mark = marks.HEALTH[fault.rule.state]
    where = f" on {clean_line(fault.bdf)}" if fault.bdf else ""
    made = [
        Para((mark.span, (f"  {fault.rule.id}{where}", "bold"), (f"  {fault.rule.category}", "dim")), 2),
        labelled("means", fault.rule.means),
        labelled("remedy", clean_line(named(remedy(fault), host), 600), "accent"),
    ]
    if ack is not None:
        made.append(labelled("rests", clean_line(f"up to {utc(ack.until_ns)}: {ack.reason}", 600), "dim"))
    else:
        made.append(labelled("dealt?", f"{key} lets what has happened so far rest, until it happens again", "dim"))
    made.append(BLANK)
    left = len(lines) - LINES_SHOWN
    if left > 0:
        made.append(para(f"… {left} older lines of it", "dim"))
    made += [para(clean_line(line.raw or line.text, 2000), hang=2) for line in lines[-LINES_SHOWN:]]
    return made


def remedy(fault: Fault) -> str:
    """The step for a person, with the device's address in it."""
    return fault.rule.remedy.replace("BDF", fault.bdf) if fault.bdf else fault.rule.remedy


def why_none(facts: HostFacts | None) -> str:
    """Why there is no fault to show; of a log that could not be read how to read it."""
    if facts is None:
        return "The host has not been looked at yet."
    log = facts.kernel_log
    if isinstance(log, Unknown):
        show = f"\nto see it: {' '.join(log.show)}" if log.show else ""
        return f"The kernel log could not be read: {clean_line(f'{log.why} {log.detail}')}{clean_line(show)}"
    reach = f"No fault in {len(log.value.lines)} lines of {clean_line(log.value.source)},\n{span(log.value.lines)}."
    return reach if log.value.complete else f"{reach}\nOlder lines are lost: what happened before is not known."
