"""Before minutes are spent on several hosts: bytes are really moved between them, and what came of it is written down.

What was proven holds for the attempts of a run that use the same hosts in the same way, for a while.
"""

import asyncio
import contextlib
import time
from collections.abc import Mapping

from console.model.attempt import Failure, Stage
from console.model.events import FabricChecked, Noticed
from console.model.fabric import FabricProof
from console.model.finding import Effect
from console.model.launch import Part
from console.runs.claiming import claim
from console.runs.fabric_orders import DEADLINE_S, Errand
from console.runs.fabric_report import proof
from console.runs.office import Ledger
from console.runs.refusal import NotRun
from console.runs.site import SiteError

PROVEN_FOR_S = 3600.0
"""Older proofs are made anew: cables and switches change while a run goes on for days."""

RELEASE_S = 20.0


async def prove(ledger: Ledger, errand: Errand) -> FabricProof:
    """The proof of an errand: of an earlier attempt of this run, or made now. Raises NotRun, and SiteError to retry."""
    known = _known(ledger, errand.key)
    if known is not None:
        await ledger.tell(Noticed(f"as checked before in this run: {known.text}"))
        return known
    hosts = sorted({part.host for part in errand.launch.parts})
    await ledger.enter(Stage.FETCHING, f"moving bytes between {len(hosts)} hosts")
    # nothing else of this attempt is there yet: what is, a check that was cut off left behind
    await _release(ledger, errand, hosts)
    try:
        await claim(ledger, errand.launch)
        outputs = await _run(ledger, errand)
    except SiteError as error:
        if error.retry:
            raise
        raise NotRun(Failure(failure=error.failure, line=error.line, remedy=error.remedy)) from error
    finally:
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(RELEASE_S):
                await _release(ledger, errand, hosts)
    made = proof(errand, outputs)
    await ledger.tell(FabricChecked(made), Noticed(made.text, "warning" if made.findings else "info"))
    return made


def _known(ledger: Ledger, key: str) -> FabricProof | None:
    """What an earlier attempt of the run proved of the same; what stood in its way is tried again."""
    oldest = time.time_ns() - int(PROVEN_FOR_S * 1e9)
    for envelope in reversed(ledger.office.tail.of_run(ledger.office.run, FabricChecked)):
        event = envelope.event
        if not isinstance(event, FabricChecked) or event.proof.key != key or envelope.at_ns < oldest:
            continue
        return None if any(item.effect is not Effect.NOTE for item in event.proof.findings) else event.proof
    return None


async def _run(ledger: Ledger, errand: Errand) -> Mapping[str, bytes]:
    """Start every host's part and read what it prints until it ends."""
    parts = errand.launch.parts
    await asyncio.gather(*(ledger.office.site.start(part) for part in parts))
    said = await asyncio.gather(*(_output(ledger, errand, part) for part in parts))
    return {part.host: output for part, output in zip(parts, said, strict=True)}


async def _output(ledger: Ledger, errand: Errand, part: Part) -> bytes:
    """All that a part printed; the end of the stream alone is not the end of the program."""
    site = ledger.office.site
    until = time.monotonic() + 2 * DEADLINE_S
    while True:
        output = b""
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(2 * DEADLINE_S):
                async for frames in site.frames(part, None, follow=True):
                    output += b"".join(frame.data for frame in frames)
        look = (await site.observe(errand.launch.attempt, (part,))).parts[part.name]
        if look.state in ("exited", "absent") or time.monotonic() > until:
            return output
        await asyncio.sleep(min(0.5, ledger.office.policy.poll_s))


async def _release(ledger: Ledger, errand: Errand, hosts: list[str]) -> None:
    """Remove the check's containers; what cannot be removed carries our labels, and `instinct clean` finds it."""
    for answer in await asyncio.gather(
        *(ledger.office.site.release(errand.launch.attempt, (host,)) for host in hosts), return_exceptions=True
    ):
        if isinstance(answer, SiteError):
            await ledger.tell(Noticed(str(answer), "warning"))
        elif isinstance(answer, BaseException):
            raise answer
