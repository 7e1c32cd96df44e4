"""Launches as Docker containers on hosts reached over SSH (or on this machine)."""

import asyncio
import base64
import contextlib
from collections import defaultdict
from collections.abc import AsyncGenerator, AsyncIterator, Iterator, Mapping, Sequence

import msgspec

from console.fleet import scrape, telemetry, vitals
from console.fleet.engine import body
from console.fleet.engine import follow as streams
from console.fleet.engine.client import Engine
from console.fleet.engine.errors import EngineError, FileAbsent, FileTooLarge, ImageAbsent, NameTaken
from console.fleet.engine.frames import FrameSplitter
from console.fleet.engine.seen import ContainerSeen
from console.fleet.engine.wire import exchange
from console.fleet.host import Fleet, Host
from console.fleet.link import Link, LinkError
from console.fleet.links import Links
from console.fleet.probe.survey import survey
from console.fleet.script import assignments
from console.model.attempt import Beat, FailureClass, Gap, LogFrame
from console.model.events import Cursor, FetchProgress
from console.model.facts import HostFacts, Known, Unknown
from console.model.launch import LABEL_ATTEMPT, LABEL_CELL, LABEL_LAUNCH, LABEL_OWNER, LABEL_RUN, Launch, Part
from console.model.text import clean_line
from console.runs.site import Busy, Collected, ImageSeen, Observation, PartSeen, SiteError

RECEIPT_TIMEOUT_S = 20.0
MARKER_LINES = 20

_LEAVE_RECEIPT = """\
umask 077
FILE=$FOLDER/$ATTEMPT.json
mkdir -p "$FOLDER" && printf %s "$RECEIPT" | base64 -d >"$FILE.part" && mv "$FILE.part" "$FILE"
"""


class DockerSite:
    """The site of a fleet. Keeps connections and engine handles, nothing about attempts."""

    def __init__(self, links: Links, fleet: Fleet) -> None:
        self._links = links
        self._fleet = fleet
        self._engines: dict[str, tuple[Link, Engine]] = {}
        self._making: defaultdict[str, asyncio.Lock] = defaultdict(asyncio.Lock)

    @property
    def links(self) -> Links:
        """Its connections, for whoever asks the same hosts something else."""
        return self._links

    @property
    def fleet(self) -> Fleet:
        """The hosts it knows."""
        return self._fleet

    # -- looks

    async def survey(self, host: str, models: Sequence[str], *, light: bool = False) -> HostFacts:
        """The probe's facts and the engine's own."""
        with _translated(host):
            link = await self._links.get(host)
            facts = await survey(
                link, self._host(host), models=models, tools=not light, simulated=self._fleet.simulated
            )
        try:
            engine = await self._engine(host, facts)
            with _translated(host):
                said = await engine.engine_facts()
        except SiteError as error:
            return msgspec.structs.replace(facts, engine=Unknown("the engine did not answer", error.message))
        return msgspec.structs.replace(facts, engine=Known(said, "docker"), simulated=facts.simulated or said.simulated)

    async def vitals(self, host: str, hcas: Sequence[str], interfaces: Sequence[str], log_lines: int) -> vitals.Vitals:
        """A short look at what counts up on the host."""
        with _translated(host):
            link = await self._links.get(host)
            return await vitals.look(link, self._host(host), hcas, interfaces, log_lines=log_lines)

    async def telemetry(self, host: str) -> AsyncGenerator[Beat | Gap, None]:
        """Live readings over the host's own connection."""
        with _translated(host):
            async with contextlib.aclosing(telemetry.follow(lambda: self._links.get(host), self._host(host))) as items:
                async for item in items:
                    yield item

    async def image(self, host: str, ref: str) -> ImageSeen | None:
        """The image as the host has it; None when it is not there."""
        engine = await self._engine(host)
        with _translated(host):
            seen = await engine.image(ref)
        return None if seen is None else ImageSeen(seen.id, seen.digest)

    async def observe(self, attempt: str, parts: Sequence[Part]) -> Observation:
        """Inspect every part, all hosts at once."""
        by_host: dict[str, list[Part]] = {}
        for part in parts:
            by_host.setdefault(part.host, []).append(part)
        looks = await asyncio.gather(*(self._look(attempt, host, mine) for host, mine in by_host.items()))
        detail = "; ".join(text for _, text in looks if text)
        return Observation({look.part: look for found, _ in looks for look in found}, detail)

    async def _look(self, attempt: str, host: str, parts: Sequence[Part]) -> tuple[list[PartSeen], str]:
        try:
            engine = await self._engine(host)
            with _translated(host):
                return [await self._part_seen(engine, attempt, part) for part in parts], ""
        except SiteError as error:
            return [PartSeen(part=part.name, host=host, state="unreachable") for part in parts], str(error)

    async def _part_seen(self, engine: Engine, attempt: str, part: Part) -> PartSeen:
        seen = await engine.find(part.container)
        if seen is None or seen.labels.get(LABEL_ATTEMPT) != attempt:
            return PartSeen(part=part.name, host=part.host, state="absent")
        look = PartSeen(
            part=part.name,
            host=part.host,
            state="running",
            container_id=seen.id,
            launch_hash=seen.labels.get(LABEL_LAUNCH, ""),
            started_at=seen.started_at,
        )
        if seen.ended:
            return msgspec.structs.replace(
                look,
                state="exited",
                exit_code=seen.exit_code,
                out_of_memory=seen.out_of_memory,
                error=clean_line(seen.error),
                finished_at=seen.finished_at,
            )
        if seen.state == "created":
            return msgspec.structs.replace(look, state="created")
        if part.secrets and await _blocked(engine, seen.id):
            return msgspec.structs.replace(look, state="blocked")
        return look

    async def inspect(self, part: Part) -> bytes:
        """Inspect JSON of the container, tokens redacted."""
        engine = await self._engine(part.host)
        with _translated(part.host):
            return (await engine.inspect(part.container)).raw

    # -- acts

    async def pull(self, host: str, ref: str) -> AsyncIterator[FetchProgress]:
        """Pull an image, layer by layer."""
        engine = await self._engine(host)
        with _translated(host):
            async for progress in streams.pull(engine, ref):
                yield FetchProgress(
                    host=host,
                    what="image",
                    name=ref,
                    done_bytes=progress.done_bytes,
                    total_bytes=progress.total_bytes,
                    status=progress.status,
                )

    async def claim(self, launch: Launch) -> Mapping[str, str] | Busy:
        """Create the parts, host by host in sorted order; take back everything at the first refusal."""
        ids: dict[str, str] = {}
        made: list[tuple[Engine, str]] = []
        try:
            for part in sorted(launch.parts, key=lambda item: (item.host, not item.lead, item.name)):
                engine = await self._engine(part.host)
                try:
                    with _translated(part.host):
                        ids[part.name] = await self._create(engine, part, launch, made)
                except _Held as held:
                    await _take_back(made)
                    return _busy(part.host, held.holder)
        except SiteError:
            await _take_back(made)
            raise
        return ids

    async def _create(self, engine: Engine, part: Part, launch: Launch, made: list[tuple[Engine, str]]) -> str:
        try:
            identity = await engine.create(part.container, body.create_body(part))
        except NameTaken as taken:
            holder = taken.holder
            if holder is not None and holder.labels.get(LABEL_LAUNCH) == launch.hash:
                return holder.id  # made by an earlier try of this very claim
            raise _Held(holder) from taken
        made.append((engine, identity))
        return identity

    async def start(self, part: Part) -> str:
        """Start a created part."""
        engine = await self._engine(part.host)
        with _translated(part.host):
            return (await engine.start(part.container)).started_at

    async def give_secrets(self, part: Part, secrets: Mapping[str, str]) -> None:
        """Write the secrets to the part's stdin, in the order the part names them."""
        engine = await self._engine(part.host)
        with _translated(part.host):
            await streams.write_stdin(engine, part.container, body.secrets_input(secrets))

    async def frames(self, part: Part, after: Cursor | None, *, follow: bool) -> AsyncIterator[Sequence[LogFrame]]:
        """The container's log from a cursor on, as it grows or as it is now."""
        engine = await self._engine(part.host)
        with _translated(part.host):
            async for frames in streams.logs(engine, part.container, after, follow=follow):
                yield frames

    async def bars(self, part: Part) -> AsyncIterator[Sequence[LogFrame]]:
        """What the container prints from now on, as it prints it."""
        engine = await self._engine(part.host)
        with _translated(part.host):
            async for frames in streams.attach(engine, part.container):
                yield frames

    async def metrics(self, part: Part) -> bytes:
        """One answer of the part's endpoint, through the host's connection."""
        if part.scrape is None:
            raise SiteError(part.host, f"{part.name} has no metrics endpoint")
        with _translated(part.host):
            link = await self._links.get(part.host)
            return await scrape.get(link, part.scrape.port, part.scrape.path)

    async def read_file(self, part: Part, path: str, limit: int) -> Collected:
        """A file of the container, running or not."""
        engine = await self._engine(part.host)
        with _translated(part.host):
            try:
                return Collected(path, await engine.get_file(part.container, path, limit))
            except (FileAbsent, FileTooLarge) as error:
                return Collected(path, None, str(error))

    async def stop(self, part: Part, grace_s: float) -> None:
        """TERM, then KILL after the grace."""
        engine = await self._engine(part.host)
        with _translated(part.host):
            await engine.stop(part.container, grace_s)

    async def leave_receipt(self, host: str, attempt: str, receipt: bytes) -> None:
        """Write the receipt under the host's scratch folder."""
        folder = f"{self._host(host).scratch}/receipts"
        given = {"FOLDER": folder, "ATTEMPT": attempt, "RECEIPT": base64.b64encode(receipt).decode()}
        script = "\n".join((*assignments(given), _LEAVE_RECEIPT))
        with _translated(host):
            link = await self._links.get(host)
            done = await link.run(script.encode(), timeout_s=RECEIPT_TIMEOUT_S)
        if done.exit_code != 0:
            raise SiteError(host, f"{folder} cannot be written: {clean_line(done.stderr)}")

    async def release(self, attempt: str, hosts: Sequence[str]) -> Sequence[str]:
        """Remove what carries the attempt's label, and nothing else."""
        removed = []
        for host in hosts:
            engine = await self._engine(host)
            with _translated(host):
                for item in await engine.containers(label=f"{LABEL_ATTEMPT}={attempt}"):
                    if await engine.remove(item.id):
                        removed.append(f"{host}:{item.name}")
        return removed

    # -- how hosts are reached

    def _host(self, name: str) -> Host:
        return self._fleet.host(name)

    async def _engine(self, host: str, facts: HostFacts | None = None) -> Engine:
        """The engine handle on the host's living connection; made anew when the connection is."""
        async with self._making[host]:
            with _translated(host):
                link = await self._links.get(host)
                known = self._engines.get(host)
                if known is not None and known[0] is link and not link.closed:
                    return known[1]
                if facts is None:
                    facts = await survey(link, self._host(host), tools=False)
            if not isinstance(facts.docker, Known):
                raise SiteError(host, f"no Docker access: {facts.docker.why} {facts.docker.detail}".strip())
            engine = Engine(link, facts.docker.value)
            self._engines[host] = (link, engine)
            return engine


class _Held(Exception):
    """The claim name is taken by somebody else's container."""

    def __init__(self, holder: ContainerSeen | None) -> None:
        super().__init__("held")
        self.holder = holder


def _busy(host: str, holder: ContainerSeen | None) -> Busy:
    if holder is None:
        return Busy(host, "a container that just went away", "")
    labels = holder.labels
    if LABEL_RUN not in labels:
        return Busy(host, f"container {holder.name} of image {holder.image}", holder.created_at)
    who = labels.get(LABEL_OWNER) or "somebody"
    return Busy(host, f"{who} (run {labels[LABEL_RUN]}, {labels.get(LABEL_CELL, '?')})", holder.created_at)


async def _blocked(engine: Engine, container: str) -> bool:
    """True when the entry's last marker says that it waits for secrets."""
    target = await engine.path(f"/containers/{container}/logs", stderr=1, tail=MARKER_LINES)
    splitter = FrameSplitter()
    async with exchange(engine.dial, "GET", target) as answer:
        said = [payload async for piece in answer.pieces() for _, payload in splitter.feed(piece)]
    return body.is_blocked(b"".join(said))


async def _take_back(made: Sequence[tuple[Engine, str]]) -> None:
    for engine, identity in made:
        try:
            await engine.remove(identity)
        except (EngineError, LinkError):
            continue  # it carries our labels: `instinct clean` finds it


@contextlib.contextmanager
def _translated(host: str) -> Iterator[None]:
    """Errors of link and engine as the site's own."""
    try:
        yield
    except ImageAbsent as error:
        raise SiteError(host, error.message, remedy=error.remedy, failure=FailureClass.IMAGE_MISSING) from error
    except EngineError as error:
        raise SiteError(host, error.message, remedy=error.remedy, retry=error.retry, failure=error.failure) from error
    except LinkError as error:
        raise SiteError(
            host, error.message, remedy=error.remedy, retry=error.transport, failure=FailureClass.UNREACHABLE
        ) from error
