"""Before an attempt claims anything: survey its hosts, judge them, bring what is missing, resolve the launch."""

import asyncio
import time
from collections import Counter
from collections.abc import Mapping, Sequence

import msgspec

from console.fleet.host import Host
from console.health.check_ids import CheckId
from console.health.preflight import conditions
from console.model.attempt import Failure, FailureClass, Stage
from console.model.events import FetchProgress, Noticed, PreflightDone
from console.model.facts import HostFacts, with_newest_log
from console.model.launch import Launch, Need, Placement
from console.runs.compose import Owner, compose
from console.runs.fabric_check import prove
from console.runs.fabric_orders import Errand, errand
from console.runs.fetching import fetch_model
from console.runs.fitness import Job, judge_hosts
from console.runs.office import Ledger, Subject
from console.runs.placement import seats_of
from console.runs.plan import full_digest
from console.runs.refusal import NotRun, blocking, refusal
from console.runs.site import ImageSeen, SiteError
from console.store import artifacts
from console.workloads.base import WorkloadError
from console.workloads.fabric import wish_of

PROGRESS_SPACING_S = 1.0
REACH_S = 20.0
"""How long an attempt waits for a host that does not answer before it is not run."""

KERNEL_LINES_KEPT = 200

SETTLE_S = 20.0
"""GPUs of a host that just ended an attempt of ours get this long to give their memory back."""


async def prepare(ledger: Ledger, hosts: Sequence[Host], attempt_try: int) -> Launch:
    """The launch of an attempt on hosts that may run it. Raises NotRun with the reason."""
    subject = ledger.subject()
    try:
        need = subject.workload.need(subject.cell, subject.image, subject.model)
    except WorkloadError as error:
        raise NotRun(Failure(failure=FailureClass.WRONG_PARAMETERS, line=str(error))) from error
    if len(hosts) < need.nodes:
        line = f"{need.nodes} hosts are needed, {len(hosts)} are selected"
        raise NotRun(Failure(failure=FailureClass.PREFLIGHT, line=line, remedy="select more with --hosts"))
    await ledger.enter(Stage.FETCHING, "looking at the hosts")
    facts = await _fit_hosts(ledger, hosts, subject, need)
    seen = await _images(ledger, hosts, subject)
    seats = seats_of(hosts, facts, need, subject.model, wish_of(subject.cell.params))
    owner = _owner(ledger, attempt_try)
    if len(seats) > 1:
        await _prove_fabric(ledger, errand(subject, need, seats, owner, seen, facts))
    placement = Placement(seats)
    try:
        commands = subject.workload.commands(subject.cell, subject.image, subject.model, placement)
    except WorkloadError as error:
        raise NotRun(Failure(failure=FailureClass.WRONG_PARAMETERS, line=str(error))) from error
    return compose(
        subject.cell,
        subject.image,
        need,
        commands,
        placement,
        owner,
        image_ref=subject.image.ref if seen.digest else seen.id,
        image_digest=seen.digest,
    )


def _owner(ledger: Ledger, attempt_try: int) -> Owner:
    office = ledger.office
    return Owner(
        run=office.run,
        attempt=ledger.attempt,
        attempt_try=attempt_try,
        operator=office.operator,
        version=office.version,
    )


async def _prove_fabric(ledger: Ledger, of: Errand) -> None:
    """Several hosts move bytes between them before anything starts there; what does not pass ends the attempt here."""
    if not wish_of(ledger.subject().cell.params).check:
        await ledger.tell(Noticed("no bytes were moved between the hosts: --set check_fabric=false"))
        return
    made = await prove(ledger, of)
    if made.findings:
        before = ledger.events(PreflightDone)[-1]
        await ledger.tell(PreflightDone((*before.findings, *made.findings), before.conditions))
    stops = blocking(made.findings, ledger.office.request.accept)
    if stops:
        raise NotRun(refusal(stops))


async def _fit_hosts(ledger: Ledger, hosts: Sequence[Host], subject: Subject, need: Need) -> Mapping[str, HostFacts]:
    """Facts of hosts that preflight lets through; models are fetched on the way when the request says so."""
    job = Job(cell=subject.cell, image=subject.image, model=subject.model, need=need)
    until = time.monotonic() + max(SETTLE_S, ledger.office.request.busy_wait_s)
    while True:
        facts = await _survey(ledger, hosts, subject)
        findings = judge_hosts(job, hosts, facts, ledger.office.catalog)
        under = {host.name: conditions(facts[host.name], need) for host in hosts}
        stops = blocking(findings, ledger.office.request.accept)
        checks = {item.check for item in stops}
        if checks == {CheckId.MODEL_CACHED} and ledger.office.request.fetch:
            await _fetch_models(ledger, hosts, subject, facts, {item.host for item in stops})
            continue
        busy = bool(checks) and checks <= {CheckId.GPU_FREE, CheckId.GPU_CONTAINERS}
        if busy and time.monotonic() < until and not ledger.stop_asked():
            await ledger.enter(Stage.FETCHING, "waiting for the GPUs to be free")
            await asyncio.sleep(ledger.office.policy.poll_s)
            continue
        await ledger.tell(PreflightDone(findings, under))
        for host in hosts:
            kept = msgspec.json.encode(with_newest_log(facts[host.name], KERNEL_LINES_KEPT))
            artifacts.write(ledger.office.folder, ledger.attempt, f"facts.{host.name}.json", kept)
        if stops:
            raise NotRun(refusal(stops))
        return facts


async def _survey(ledger: Ledger, hosts: Sequence[Host], subject: Subject) -> Mapping[str, HostFacts]:
    models = () if subject.model.inside_image else (subject.model.id,)
    return {host.name: await _ask(ledger, host.name, models) for host in hosts}


async def _ask(ledger: Ledger, host: str, models: Sequence[str]) -> HostFacts:
    """Facts of one host; a link that breaks is given time to come back before the attempt is given up."""
    begun, patience = time.monotonic(), None
    while True:
        try:
            return await ledger.office.site.survey(host, models, light=True)
        except SiteError as error:
            patience = _patience_s(ledger, host) if patience is None else patience
            if not error.retry or time.monotonic() >= begun + patience or ledger.stop_asked():
                failure = Failure(failure=FailureClass.UNREACHABLE, line=error.line, remedy=error.remedy)
                raise NotRun(failure) from error
            await ledger.enter(Stage.FETCHING, f"waiting for {host}: {error.message}")
            await asyncio.sleep(ledger.office.policy.unreachable_poll_s)


def _patience_s(ledger: Ledger, host: str) -> float:
    """How long to wait for a host: not at all when an earlier attempt did in vain and nothing ran there since."""
    office = ledger.office
    ended = [row for row in office.tail.attempts(office.run) if row.ended_at_ns is not None]
    for row in sorted(ended, key=lambda row: row.ended_at_ns or 0, reverse=True):
        if row.placement is not None and any(seat.host == host for seat in row.placement.seats):
            return REACH_S
        failure = row.failure
        waited = failure is not None and failure.failure is FailureClass.UNREACHABLE
        if failure is not None and waited and failure.line.startswith(f"{host}: "):
            return 0.0
    return REACH_S


async def _fetch_models(
    ledger: Ledger, hosts: Sequence[Host], subject: Subject, facts: Mapping[str, HostFacts], lacking: set[str]
) -> None:
    await _images(ledger, hosts, subject)
    pace = Pace(ledger)
    done: set[str] = set()
    for host in hosts:
        cache = facts[host.name].model_cache
        shared = getattr(getattr(cache, "value", None), "shared_id", None)
        if host.name not in lacking or shared in done:
            continue
        await ledger.enter(Stage.FETCHING, f"{subject.model.id} onto {host.name}")
        try:
            async for progress in fetch_model(
                ledger.office.site, host, facts[host.name], subject.image, subject.model, ledger.office.hub
            ):
                await pace.tell(progress)
        except SiteError as error:
            raise NotRun(Failure(failure=error.failure, line=error.line, remedy=error.remedy)) from error
        if shared is not None:
            done.add(shared)


async def _images(ledger: Ledger, hosts: Sequence[Host], subject: Subject) -> ImageSeen:
    """The image on every host, pulled where it is missing; all hosts must hold the very same one."""
    site, ref = ledger.office.site, subject.image.ref
    found: dict[str, ImageSeen] = {}
    pace = Pace(ledger)
    for host in hosts:
        try:
            seen = await site.image(host.name, ref)
            if seen is None:
                await ledger.enter(Stage.FETCHING, f"{ref} onto {host.name}")
                async for progress in site.pull(host.name, ref):
                    await pace.tell(progress)
                seen = await site.image(host.name, ref)
        except SiteError as error:
            raise NotRun(Failure(failure=error.failure, line=error.line, remedy=error.remedy)) from error
        if seen is None:
            line = f"{host.name}: {ref} is not there after the pull"
            raise NotRun(Failure(failure=FailureClass.IMAGE_MISSING, line=line))
        found[host.name] = seen
    apart = images_apart(found, ref)
    if apart is not None:
        raise NotRun(apart)
    first = next(iter(found.values()))
    expected = full_digest(subject.image)
    if expected and first.digest and first.digest != expected:
        text = f"{ref} is {first.digest} here; the catalog knows it as {expected}: the tag was moved"
        await ledger.tell(Noticed(text, "warning"))
    return first


def images_apart(found: Mapping[str, ImageSeen], ref: str) -> Failure | None:
    """Why hosts that hold different images under one name run nothing together; those that most do not have are named.

    A tag moves, and a host keeps what it once pulled: it does not pull again what it has.
    """
    of = {host: seen.digest or seen.id for host, seen in sorted(found.items())}
    usual, _ = Counter(of.values()).most_common(1)[0]
    other = [host for host, image in of.items() if image != usual]
    if not other:
        return None
    line = f"hosts hold different images under {ref}: {', '.join(f'{host} {image}' for host, image in of.items())}"
    remedy = f"docker pull {ref} on {', '.join(other)}; where the tag was moved since, on every host"
    return Failure(failure=FailureClass.IMAGE_MISSING, line=line, remedy=remedy)


class Pace:
    """Fetch progress at most once a second a host, and always the last word."""

    def __init__(self, ledger: Ledger) -> None:
        self._ledger = ledger
        self._told: dict[str, float] = {}

    async def tell(self, progress: FetchProgress) -> None:
        """Journal a piece of progress when it is time."""
        now = time.monotonic()
        last = progress.total_bytes is not None and progress.done_bytes >= progress.total_bytes
        if last or now - self._told.get(progress.host, 0.0) >= PROGRESS_SPACING_S:
            self._told[progress.host] = now
            await self._ledger.tell(progress)
