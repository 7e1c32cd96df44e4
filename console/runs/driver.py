"""Takes one attempt from planned to done: looks, asks `step`, acts, writes down, and again."""

import asyncio
import contextlib
import time
from collections.abc import Mapping, Sequence

import msgspec

from console.model.attempt import Failure, Outcome, Phase, PhaseSeen, Signal, Stage
from console.model.events import (
    AttemptEnded,
    Claimed,
    Event,
    LaunchResolved,
    LinkChanged,
    Noticed,
    PartCreated,
    PartExited,
    PartRemoved,
    PartStarted,
    SecretGiven,
    StageEntered,
    StopAsked,
)
from console.model.launch import Launch, Part
from console.runs.claiming import claim
from console.runs.collect import collect_part
from console.runs.ending import finish
from console.runs.office import Ledger, Office
from console.runs.prepare import prepare
from console.runs.pursuit import Pursuit
from console.runs.record import record_of
from console.runs.refusal import NotRun
from console.runs.site import Observation, PartSeen, SiteError
from console.runs.stallwatch import WATCHER, StallWatch
from console.runs.step import (
    Act,
    Adopt,
    Claim,
    Collect,
    Finish,
    GiveSecrets,
    Over,
    Prepare,
    RecordExit,
    Release,
    Start,
    StopPart,
    Wait,
    step,
)
from console.runs.watching import Watch, look_before, seal
from console.store.errors import NotWritten
from console.workloads.base import WorkloadError, decode_cell

DRAIN_S = 30.0
RELEASE_PATIENCE_S = 300.0


def _stall_s(ledger: Ledger) -> float | None:
    """What the row says of stalls; a row that cannot be read is told of by whoever prepares it."""
    with contextlib.suppress(WorkloadError, msgspec.ValidationError):
        told: float | None = getattr(decode_cell(ledger.row().cell).params, "stall_s", None)
        return told
    return None


class Driver:
    """One attempt on the hosts the schedule gave it."""

    def __init__(self, office: Office, attempt: str, hosts: Sequence[str]) -> None:
        self._office = office
        self._ledger = Ledger(office, attempt)
        self._hosts = tuple(hosts)
        self._ready: set[str] = set()
        self._pursuits: dict[str, asyncio.Task[None]] = {}
        self._nudge = asyncio.Event()
        self._lost: set[str] = set()
        self._unwritten: NotWritten | None = None
        self._patience: float | None = None
        self._stall = StallWatch(office.speed, after_s=_stall_s(self._ledger))
        self._watch = Watch(self._ledger)

    async def drive(self) -> None:
        """Until nothing is left to do. Cancelling leaves the containers running and the record true.

        So does NotWritten: without a store nothing is decided any more.
        """
        try:
            while True:
                act, seen = await self._decide()
                if isinstance(act, Over) or self._gives_up(act):
                    break
                try:
                    await self._perform(act, seen)
                except SiteError as error:
                    await self._trouble(error, act)
            await self._seal()
            await self._ledger.enter(Stage.DONE)
        finally:
            await self._stop_following()
            await self._watch.close()

    async def _decide(self) -> tuple[Act, Observation]:
        if self._unwritten is not None:
            raise self._unwritten
        row = self._ledger.row()
        parts = self._office.tail.parts(row.attempt)
        record = record_of(row, parts, self._office.run_row(), self._ready)
        seen = Observation({})
        if record.launch is not None:
            seen = await self._office.site.observe(row.attempt, record.launch.parts)
            await self._note_links(seen)
            if record.claimed and record.outcome is None:
                self._follow(record.launch, seen)
                if row.stage in (Stage.STARTING, Stage.RUNNING):
                    self._watch.follow(part.host for part in record.launch.parts)
        return step(record, seen, self._office.policy), seen

    async def _perform(self, act: Act, seen: Observation) -> None:
        match act:
            case Prepare():
                await self._prepare()
            case Wait(seconds=seconds, why=why):
                await self._wait(seconds)
                if why == "running":
                    await self._watch_steps()
            case Finish():
                await finish(self._ledger, act)
            case Claim():
                await self._claim(self._launch())
            case Adopt():
                ids = {name: look.container_id for name, look in seen.parts.items()}
                await self._record_claim(self._launch(), ids)
            case Start(part=name):
                await self._start(self._part(name), seen.parts[name])
            case GiveSecrets(part=name):
                await self._give_secrets(self._part(name))
            case RecordExit(part=name):
                await self._record_exit(self._part(name), seen.parts[name])
            case StopPart(part=name, why=why):
                part = self._part(name)
                await self._ledger.tell(Noticed(f"stopping {name} on {part.host}: {why}"), part=name)
                await self._office.site.stop(part, self._office.policy.grace_s)
            case Collect(part=name):
                await self._collect(self._part(name), seen.parts[name])
            case Release():
                await self._release(self._launch())

    # -- before anything runs

    async def _prepare(self) -> None:
        hosts = tuple(self._office.hosts[name] for name in self._hosts)
        try:
            launch = await prepare(self._ledger, hosts, self._ledger.row().attempt_try)
        except NotRun as reason:
            await self._ledger.tell(AttemptEnded(outcome=Outcome.NOT_RUN, failure=reason.failure))
            return
        await self._ledger.tell(LaunchResolved(launch))

    async def _claim(self, launch: Launch) -> None:
        await self._ledger.enter(Stage.CLAIMING)
        try:
            ids = await claim(self._ledger, launch)
        except NotRun as reason:
            await self._ledger.tell(AttemptEnded(outcome=Outcome.NOT_RUN, failure=reason.failure))
            return
        await self._record_claim(launch, ids)

    async def _record_claim(self, launch: Launch, ids: Mapping[str, str]) -> None:
        ledger = self._ledger
        created = [ledger.envelope(PartCreated(part.host, ids[part.name]), part.name) for part in launch.parts]
        claimed = ledger.envelope(Claimed(launch.placement))
        await self._office.journal.append([claimed, *created, ledger.envelope(StageEntered(Stage.STARTING))])

    # -- while it runs

    async def _start(self, part: Part, look: PartSeen) -> None:
        if look.state == "created" and not any(row.started_at for row in self._office.tail.parts(self._ledger.attempt)):
            await look_before(self._ledger, self._launch())
        started_at = look.started_at if look.state == "running" else await self._office.site.start(part)
        await self._ledger.tell(PartStarted(part.host, started_at), part=part.name)
        await self._ledger.enter(Stage.RUNNING)

    async def _give_secrets(self, part: Part) -> None:
        values = self._office.hub.secrets(part.secrets)
        missing = [name for name in part.secrets if name not in values]
        if missing:
            remedy = "set HF_TOKEN, or sign in with `hf auth login`"
            raise SiteError(part.host, f"no {', '.join(missing)} to give", remedy=remedy)
        await self._office.site.give_secrets(part, values)
        await self._ledger.tell(SecretGiven(part.secrets), part=part.name)

    def _follow(self, launch: Launch, seen: Observation) -> None:
        """See to it that every running part is followed; a follower that ended is taken up again at its cursor."""
        for part in launch.parts:
            look, task = seen.parts.get(part.name), self._pursuits.get(part.name)
            if look is None or look.state not in ("running", "blocked") or (task is not None and not task.done()):
                continue
            self._pursuits[part.name] = asyncio.create_task(self._pursue(part, look.container_id))

    async def _pursue(self, part: Part, container_id: str) -> None:
        pursuit = Pursuit.of(self._ledger, part, container_id, self._on_signal)
        try:
            await pursuit.run()
        except SiteError as error:
            await self._retrying(part.host, str(error))
        except NotWritten as error:
            self._unwritten = error
        finally:
            self._nudge.set()

    def _on_signal(self, part: str, signal: Signal) -> None:
        self._stall.heard(part, signal)
        if isinstance(signal, PhaseSeen) and signal.phase is Phase.READY:
            self._ready.add(part)
            self._nudge.set()

    async def _watch_steps(self) -> None:
        """Ask for the end of an attempt that makes no steps; journaled like any other wish to stop."""
        why = self._stall.verdict()
        if why is not None and not self._ledger.stop_asked():
            await self._ledger.tell(StopAsked(WATCHER, why))

    async def _wait(self, seconds: float) -> None:
        """Until it is time to look again, or a follower has something to say; never a busy loop."""
        try:
            await asyncio.wait_for(self._nudge.wait(), seconds)
        except TimeoutError:
            return
        self._nudge.clear()
        await asyncio.sleep(min(seconds, 0.2))

    # -- when it ends

    async def _record_exit(self, part: Part, look: PartSeen) -> None:
        exited = PartExited(
            host=part.host,
            exit_code=look.exit_code if look.exit_code is not None else -1,
            out_of_memory=look.out_of_memory,
            error=look.error,
            finished_at=look.finished_at,
        )
        await self._ledger.tell(exited, part=part.name)

    async def _collect(self, part: Part, look: PartSeen) -> None:
        """The rest of the log first, then files and inspect; only then is the part collected."""
        await self._ledger.enter(Stage.COLLECTING)
        self._watch.end()
        task = self._pursuits.get(part.name)
        if task is not None:
            await asyncio.wait([task], timeout=DRAIN_S)
            task.cancel()
            await asyncio.gather(task, return_exceptions=True)
            self._pursuits.pop(part.name, None)
        rest = Pursuit.of(self._ledger, part, look.container_id, self._on_signal, live=False)
        await rest.run()
        collected = await collect_part(self._office.site, self._office.folder, self._ledger.attempt, part)
        await self._ledger.tell(collected, part=part.name)
        if not collected.log_complete:
            text = f"the stored log of {part.name} differs from the container's"
            await self._ledger.tell(Noticed(text, "warning"), part=part.name)

    async def _release(self, launch: Launch) -> None:
        await self._stop_following()
        await self._ledger.enter(Stage.RELEASING)
        await self._office.site.release(launch.attempt, sorted({part.host for part in launch.parts}))
        gone = [self._ledger.envelope(PartRemoved(part.host), part.name) for part in launch.parts]
        await self._office.journal.append(gone)

    async def _seal(self) -> None:
        """Tables of what was seen live. Without them the attempt is as it was; the plain files stay where they are."""
        if self._ledger.row().started_at_ns is None:
            return
        try:
            await asyncio.get_running_loop().run_in_executor(self._office.pool, seal, self._ledger)
        except Exception as error:  # noqa: BLE001 - whatever the table library makes of it, the attempt has ended
            await self._ledger.tell(Noticed(f"samples and readings are not sealed: {error}", "warning"))

    # -- when something is in the way

    async def _trouble(self, error: SiteError, act: Act) -> None:
        """A failed act: try again where that may help, else end the attempt with what the site said."""
        if error.retry:
            await self._retrying(error.host, str(error))
            await asyncio.sleep(self._office.policy.unreachable_poll_s)
        elif isinstance(act, (Claim, Start, GiveSecrets, Adopt)):
            failure = Failure(failure=error.failure, line=error.line, remedy=error.remedy)
            await self._ledger.tell(AttemptEnded(outcome=Outcome.FAILED, failure=failure))
        else:
            await self._ledger.tell(Noticed(str(error), "error"))
            await asyncio.sleep(self._office.policy.unreachable_poll_s)

    async def _retrying(self, host: str, detail: str) -> None:
        """Say that a host is tried again; the next look that succeeds says that it is back."""
        self._lost.add(host)
        await self._ledger.tell(LinkChanged(host, "retrying", detail))

    async def _note_links(self, seen: Observation) -> None:
        lost = {part.host for part in seen.parts.values() if part.state == "unreachable"}
        changes: list[Event] = [LinkChanged(host, "lost", seen.detail) for host in sorted(lost - self._lost)]
        changes += [LinkChanged(host, "up") for host in sorted(self._lost - lost)]
        if changes:
            await self._ledger.tell(*changes)
        if self._lost - lost:
            self._stall.start_again()
        self._lost = lost

    def _gives_up(self, act: Act) -> bool:
        """An ended attempt whose host stays away is left for `instinct clean`; its result is stored already."""
        if not isinstance(act, Wait) or self._ledger.row().outcome is None:
            return False
        if self._patience is None:
            self._patience = time.monotonic() + RELEASE_PATIENCE_S
        return time.monotonic() > self._patience

    async def _stop_following(self) -> None:
        tasks = list(self._pursuits.values())
        self._pursuits.clear()
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    def _launch(self) -> Launch:
        launch = self._ledger.row().launch
        if launch is None:
            raise RuntimeError("only an attempt with a launch has containers to act on")
        return launch

    def _part(self, name: str) -> Part:
        return next(part for part in self._launch().parts if part.name == name)
