"""Take the hosts of a launch, as long as the request is willing to wait for who holds them."""

import asyncio
import time
from collections.abc import Mapping

from console.model.attempt import Failure, FailureClass
from console.model.events import ClaimRefused
from console.model.launch import Launch
from console.runs.office import Ledger
from console.runs.refusal import NotRun
from console.runs.site import Busy


async def claim(ledger: Ledger, launch: Launch) -> Mapping[str, str]:
    """Container ids of every part, created and not started. Raises NotRun when a host stays held, SiteError."""
    until = time.monotonic() + ledger.office.request.busy_wait_s
    told = None
    while isinstance(answer := await ledger.office.site.claim(launch), Busy):
        if answer != told:
            await ledger.tell(ClaimRefused(answer.host, answer.holder, answer.since))
            told = answer
        if time.monotonic() >= until or ledger.stop_asked():
            raise NotRun(
                Failure(
                    failure=FailureClass.HOST_BUSY,
                    line=f"{answer.host} is held by {answer.holder} since {answer.since}",
                    remedy="wait for it with --if-busy wait; what a dead run left is removed by `instinct clean`",
                )
            )
        await _rest(ledger)
    return answer


async def _rest(ledger: Ledger) -> None:
    """Until hosts are asked again, or somebody wants this to end."""
    policy = ledger.office.policy
    until = time.monotonic() + policy.busy_poll_s
    while (left := until - time.monotonic()) > 0 and not ledger.stop_asked():  # noqa: ASYNC110 - the journal is told by polling
        await asyncio.sleep(min(left, policy.poll_s))
