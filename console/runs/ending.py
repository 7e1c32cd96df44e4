"""The end of an attempt: what it measured, why it failed, what spoils it. Decided once, from what is on disk."""

from collections.abc import Mapping

import msgspec

from console.judge.validity import Collection, reasons
from console.model.attempt import Failure, FailureClass, Outcome
from console.model.cell import Conditions
from console.model.events import AttemptEnded, Noticed, PartCollected, PreflightDone
from console.model.launch import Launch
from console.runs import outcome as outcomes
from console.runs.collect import part_ends
from console.runs.office import Ledger
from console.runs.site import SiteError
from console.runs.step import Finish
from console.runs.watching import look_after, weigh


async def finish(ledger: Ledger, act: Finish) -> None:
    """Journal the end of an attempt and leave receipts. What was collected decides; `act` may overrule it."""
    row = ledger.row()
    if row.launch is None or row.started_at_ns is None:
        outcome = act.outcome or Outcome.NOT_RUN
        await ledger.tell(AttemptEnded(outcome=outcome, failure=_overruled(act, None)))
        return
    office, subject = ledger.office, ledger.subject()
    ends = part_ends(office.tail, office.folder, subject.workload, row.launch, subject.cell)
    looks = await look_after(ledger, row.launch)
    decision = outcomes.decide(row.launch, ends, looks.ahead)
    sensed = await weigh(ledger, row.launch, looks, decision.result, decision.speaker)
    under = _host_conditions(ledger)
    simulated = office.simulated or any(item.simulated for item in under.values())
    collected = Collection(
        simulated=simulated,
        image_pinned=row.launch.image_digest is not None,
        log_complete=all(item.log_complete for item in ledger.events(PartCollected)),
        hardware=sensed.reasons,
    )
    ended = AttemptEnded(
        outcome=act.outcome or decision.outcome,
        result=decision.result,
        failure=_overruled(act, decision.failure) or decision.failure,
        reasons=reasons(row.findings, decision.result, collected, subject.cell),
        conditions=outcomes.conditions(
            under,
            row.launch,
            subject.image,
            decision.result,
            nodes=subject.cell.nodes,
            simulated=simulated,
        ),
        hardware=sensed.hardware,
    )
    await ledger.tell(ended)
    await _leave_receipts(ledger, row.launch, ended)


def _overruled(act: Finish, said: Failure | None) -> Failure | None:
    """Why we ended the attempt, when it did not end by itself."""
    return None if act.outcome is None else outcomes.overruled(act.failure or FailureClass.UNKNOWN, act.why, said)


def _host_conditions(ledger: Ledger) -> Mapping[str, Conditions]:
    looks = ledger.events(PreflightDone)
    return looks[-1].conditions if looks else {}


async def _leave_receipts(ledger: Ledger, launch: Launch, ended: AttemptEnded) -> None:
    said = {"run": ledger.office.run, "attempt": ledger.attempt, "cell": launch.cell, "ended": ended}
    receipt = msgspec.json.format(msgspec.json.encode(said))
    for host in sorted({part.host for part in launch.parts}):
        try:
            await ledger.office.site.leave_receipt(host, ledger.attempt, receipt)
        except SiteError as error:
            await ledger.tell(Noticed(f"no receipt left: {error}", "warning"))
