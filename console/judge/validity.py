"""What spoils a figure, or is noted beside it: decided once, when an attempt is collected, and stored with it."""

from collections.abc import Iterable, Mapping, Sequence

import msgspec

from console.health.preflight import CheckId
from console.model.attempt import Reason, Result, Validity
from console.model.cell import AnyCell
from console.model.finding import Effect, Finding, State

FROM_CHECK: Mapping[str, Validity] = {
    CheckId.NUMA_BALANCING: Validity.NUMA_BALANCING_ON,
    CheckId.COMPUTE_PARTITION: Validity.WRONG_PARTITION,
    CheckId.MEMORY_PARTITION: Validity.WRONG_PARTITION,
    CheckId.GPU_FREE: Validity.GPU_IN_USE,
    CheckId.GPU_CONTAINERS: Validity.GPU_IN_USE,
    CheckId.POWER_CAP: Validity.POWER_CAP,
    CheckId.PERFORMANCE_LEVEL: Validity.PERF_DETERMINISM,
}
"""The reason a preflight finding becomes when its attempt is run all the same."""


class Collection(msgspec.Struct, frozen=True, kw_only=True):
    """What was seen of an attempt while it ran and when it was collected.

    `image_pinned` is False when no repository digest says which image ran. `hardware` is what the hosts' own sensors,
    counters and logs tell of that time.
    """

    simulated: bool
    image_pinned: bool
    log_complete: bool = True
    hardware: tuple[Reason, ...] = ()


def reasons(
    findings: Iterable[Finding], result: Result | None, collected: Collection, cell: AnyCell
) -> tuple[Reason, ...]:
    """Every reason once, in a fixed order: what spoils first, then what is noted.

    `findings` are those the attempt was started with; one that spoils was accepted by whoever started it, and the
    figure stays spoiled. What a finding could not read is no reason.
    """
    found = [
        *(_of_finding(item) for item in findings if item.state in (State.WARN, State.FAIL)),
        *(result.reasons if result else ()),
        *_of_collection(collected),
        *_of_cell(cell),
    ]
    return _merged([item for item in found if item is not None])


def _of_finding(finding: Finding) -> Reason | None:
    detail = f"{finding.host}: {finding.seen}"
    known = FROM_CHECK.get(finding.check)
    if finding.effect is Effect.NOTE:
        # A note never spoils, whatever reason its check stands for.
        return Reason(known, detail) if known is not None and not Reason(known).spoils else None
    if known is not None and Reason(known).spoils:
        return Reason(known, detail)
    return Reason(Validity.ACCEPTED_FINDING, f"{finding.check} on {detail}")


def _of_collection(collected: Collection) -> list[Reason]:
    found = list(collected.hardware)
    if not collected.log_complete:
        found.append(Reason(Validity.LOG_GAP, "the stored log is not the whole log of the container"))
    if not collected.image_pinned:
        found.append(Reason(Validity.IMAGE_UNPINNED, "the image has no repository digest on its host"))
    if collected.simulated:
        found.append(Reason(Validity.SIMULATED, "measured on the embedded lab"))
    return found


def _of_cell(cell: AnyCell) -> list[Reason]:
    found = [Reason(Validity.RECIPE_CHANGED, change) for change in cell.deviations]
    if cell.recipe != "exact":
        found.append(Reason(Validity.RECIPE_RECONSTRUCTED, cell.recipe_source or f"recipe {cell.recipe}"))
    return found


def _merged(found: Sequence[Reason]) -> tuple[Reason, ...]:
    """One reason per kind, details joined in the order they came, spoiling kinds first."""
    details: dict[Validity, list[str]] = {}
    for item in found:
        known = details.setdefault(item.reason, [])
        if item.detail and item.detail not in known:
            known.append(item.detail)
    order = list(Validity)
    kinds = sorted(details, key=lambda kind: (not Reason(kind).spoils, order.index(kind)))
    return tuple(Reason(kind, "; ".join(details[kind])) for kind in kinds)
