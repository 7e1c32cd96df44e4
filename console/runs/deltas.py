"""What two looks at a host, before and after an attempt, say of it: reasons for or against its figure. Pure.

Error counters that grew are named with device, counter and amount. What could not be looked at is a note, never a pass.
"""

import re
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence

from console.fleet.vitals import MARK_LINES, Vitals
from console.health.kernel_log import Fault, faults
from console.model.attempt import Reason, Validity
from console.model.facts import Clock, KernelLine, RasBlock, Unknown
from console.model.finding import State
from console.model.launch import Seat
from console.model.names import pci_device
from console.model.text import clean_line
from console.runs.clocks import moved_ns

LINE_SHOWN = 160

_TROUBLE = re.compile(
    r"err|retrans|retry|drop|discard|nak|invalid|overrun|oflow|fail|crc|timeout|downed|recovery|out_of_"
    r"|retx|missed|exceeded|reset|collisions"
)
"""Counters of trouble by their names: those a cluster check of AMD's looks at, and the kernel's own of an interface."""
_LOSS = re.compile(
    r"drop|discard|nak|retrans|retx|out_of_|oflow|overrun|missed|fifo|rnr|over_err|adp_retrans|collisions"
)
"""Those that grow when the fabric is busy: packets lost or late, and asked for again."""
_USUAL = re.compile(r"cqe")
"""Those that grow whenever a job gives its queues back."""
DETAILS = 10
"""So many of a kind are named for each host."""


def changes(seat: Seat, before: Vitals | None, after: Vitals | None) -> tuple[Reason, ...]:
    """Reasons that one host gives. None stands for a look that failed."""
    host = seat.host
    if before is None or after is None:
        when = "before it started" if before is None else "after it ended"
        return (Reason(Validity.UNWATCHED, f"{host} could not be looked at {when}"),)
    if before.boot_id is not None and after.boot_id is not None and before.boot_id != after.boot_id:
        # Counters begin anew at a boot: nothing can be told from them.
        return (Reason(Validity.REBOOTED, f"{host} was restarted during the attempt"),)
    found = [
        *_gpus(seat, before, after),
        *_kernel(host, before, after),
        *_fabric(host, before, after),
        *_clock(host, before.clock, after.clock),
    ]
    return tuple(_bounded(host, found))


def _bounded(host: str, found: Sequence[Reason]) -> Iterator[Reason]:
    """The first of each kind, and how many more there are."""
    counts = Counter[Validity]()
    for reason in found:
        counts[reason.reason] += 1
        if counts[reason.reason] <= DETAILS:
            yield reason
    for kind, count in counts.items():
        if count > DETAILS:
            yield Reason(kind, f"{host}: {count - DETAILS} more")


def used(seat: Seat, bdf: str) -> bool:
    """Whether a GPU of the host is one of the attempt's; a partition counts as its device."""
    return seat.all_gpus or pci_device(bdf) in {pci_device(gpu.bdf) for gpu in seat.gpus}


def _gpus(seat: Seat, before: Vitals, after: Vitals) -> Iterator[Reason]:
    blind = []
    for bdf in before.gpus:
        if not used(seat, bdf):
            continue
        if bdf in after.asleep:
            blind.append(bdf)
            continue
        if bdf not in after.gpus:
            yield Reason(Validity.RAS_ERROR, f"{seat.host} {bdf} does not answer any more")
            continue
        old, new = before.ras.get(bdf), after.ras.get(bdf)
        if not old or not new:
            blind.append(bdf)
            continue
        yield from _ras(f"{seat.host} {bdf}", old, new)
    if blind:
        count = f"{len(blind)} GPUs" if len(blind) > 1 else f"GPU {blind[0]}"
        yield Reason(Validity.UNWATCHED, f"{seat.host}: error counters of {count}")


def _ras(where: str, before: Sequence[RasBlock], after: Sequence[RasBlock]) -> Iterator[Reason]:
    known = {block.block: block for block in before}
    for block in after:
        old = known.get(block.block)
        if old is None:
            continue
        if block.uncorrectable > old.uncorrectable:
            grown = block.uncorrectable - old.uncorrectable
            yield Reason(Validity.RAS_ERROR, f"{where}: {grown} uncorrectable in {block.block}")
        mended = max(0, block.correctable - old.correctable)
        deferred = max(0, (block.deferred or 0) - (old.deferred or 0))
        for count, kind in ((mended, "correctable"), (deferred, "deferred")):
            if count:
                yield Reason(Validity.RAS_CORRECTED, f"{where}: {count} {kind} in {block.block}")


def _kernel(host: str, before: Vitals, after: Vitals) -> Iterator[Reason]:
    if isinstance(after.kernel_log, Unknown) or isinstance(before.kernel_log, Unknown):
        yield Reason(Validity.UNWATCHED, f"{host}: kernel log")
        return
    old, new = before.kernel_log.value, after.kernel_log.value
    if old.source != new.source:
        yield Reason(Validity.UNWATCHED, f"{host}: kernel log, first from {old.source}, then from {new.source}")
        return
    fresh = _fresh(old.lines[-MARK_LINES:], new.lines)
    if fresh is None:
        yield Reason(Validity.UNWATCHED, f"{host}: kernel log, which went on by more than {len(new.lines)} lines")
        fresh = new.lines
    for fault in faults(fresh):
        fatal = fault.rule.state is State.FAIL
        yield Reason(Validity.KERNEL_FAULT if fatal else Validity.KERNEL_WARNING, f"{host}: {_told(fault)}")


def _told(fault: Fault) -> str:
    times = f" ({fault.count} times)" if fault.count > 1 else ""
    return f"{fault.rule.id}{times}: {clean_line(fault.first.text, LINE_SHOWN)}"


def _fresh(mark: Sequence[KernelLine], lines: Sequence[KernelLine]) -> Sequence[KernelLine] | None:
    """Lines after the mark, the end of the log as it was; None when the mark is not in them any more."""
    if not mark:
        return lines
    wanted = [line.raw for line in mark]
    raw = [line.raw for line in lines]
    for end in range(len(raw), len(wanted) - 1, -1):
        if raw[end - len(wanted) : end] == wanted:
            return lines[end:]
    return None


def _fabric(host: str, before: Vitals, after: Vitals) -> Iterator[Reason]:
    for old, new in ((before.ports, after.ports), (before.interfaces, after.interfaces)):
        for device in sorted(old.keys() - new.keys()):
            yield Reason(Validity.FABRIC_ERRORS, f"{host} {device} is gone")
        for device in sorted(old.keys() & new.keys()):
            for name, grown in _grown(old[device], new[device]):
                kind = Validity.FABRIC_LOSSES if _LOSS.search(name) else Validity.FABRIC_ERRORS
                yield Reason(kind, f"{host} {device} {name} +{grown}")


def _grown(before: Mapping[str, int], after: Mapping[str, int]) -> Iterable[tuple[str, int]]:
    """Counters of trouble that grew; one that became less was set back and tells what it counted since."""
    for name in sorted(before.keys() & after.keys()):
        old, new = before[name], after[name]
        grown = new - old if new >= old else new
        if grown and _TROUBLE.search(name) and not _USUAL.search(name):
            yield name, grown


def _clock(host: str, before: Clock | None, after: Clock | None) -> Iterator[Reason]:
    if (moved := moved_ns(before, after)) is not None:
        yield Reason(Validity.CLOCK_STEPPED, f"{host}: its clock moved by {moved / 1e9:+.1f} s against ours")
