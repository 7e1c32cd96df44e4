"""A world without SSH or Docker: hosts with containers that live in memory, and a site that acts on it.

It can freeze at any act, before or after its effect, as a process does that is killed there.
"""

import asyncio
import functools
import hashlib
import json
from collections.abc import AsyncGenerator, AsyncIterator, Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, cast

import msgspec
import pytest

import console.workloads  # noqa: F401 - fills the registry
from console.catalog.shelf import Catalog
from console.fleet.host import Host
from console.fleet.vitals import Vitals
from console.model.attempt import Beat, Gap, LogFrame
from console.model.cell import AnyCell, Cell, Conditions, Reference
from console.model.events import Cursor, FetchProgress
from console.model.facts import DockerAccess as Access
from console.model.facts import Driver, Engine, Gpu, HostFacts, KernelLine, KernelLog, Known, Storage, System
from console.model.launch import LABEL_ATTEMPT, LABEL_LAUNCH, LABEL_OWNER, Launch, Part
from console.model.profile import Image, ModelCard, VllmTraits
from console.model.resume import Resume
from console.runs.conductor import open_run
from console.runs.fetching import Hub
from console.runs.office import Office
from console.runs.plan import Plan, PlannedAttempt
from console.runs.request import Request
from console.runs.site import Busy, Collected, ImageSeen, Observation, PartSeen, SiteError
from console.runs.step import Policy
from console.store.journal import Journal
from console.store.paths import StateFolder
from console.store.tail import Tail
from console.workloads.places import RESULT_FILE
from console.workloads.vllm_params import ThroughputParams

SECOND = 1_000_000_000
DIGEST = "sha256:" + "a" * 64
QUIET = Known(KernelLog(source="dmesg", lines=(KernelLine(text="up", raw="[1.0] up"),), complete=True), "dmesg")
THROUGHPUT = "Throughput: 2.00 requests/s, 600.00 total tokens/s, 400.00 output tokens/s\n"
LOG = (
    b"INFO 05-21 10:15:00 [__init__.py:239] Automatically detected platform rocm.\n",
    b"INFO 05-21 10:15:01 [llm_engine.py:240] Initializing a V0 LLM engine (v0.8.6.dev315) with config: x\n",
    b"INFO 05-21 10:15:30 [metrics.py:486] Avg prompt throughput: 0.0 tokens/s, Avg generation throughput: 390.1 "
    b"tokens/s, Running: 10 reqs, Swapped: 0 reqs, Pending: 0 reqs, GPU KV cache usage: 6.5%, CPU KV cache usage: "
    b"0.0%.\n",
    THROUGHPUT.encode(),
    b"Total num prompt tokens:  1000\n",
    b"Total num output tokens:  2000\n",
)
RESULT = json.dumps(
    {
        "elapsed_time": 5.0,
        "num_requests": 10,
        "total_num_tokens": 3000,
        "requests_per_second": 2.0,
        "tokens_per_second": 600.0,
    }
).encode()


@dataclass
class Container:
    """A container of the world: how often it was started, and how many looks it still runs for."""

    id: str
    host: str
    name: str
    labels: Mapping[str, str]
    part: Part
    state: str = "created"
    starts: int = 0
    looks_left: int = 3
    exit_code: int = 0
    log: list[LogFrame] = field(default_factory=list)


@dataclass
class World:
    """Hosts and their containers. `freeze_at` is the number of the act at which the observer is killed."""

    hosts: tuple[str, ...]
    containers: dict[tuple[str, str], Container] = field(default_factory=dict)
    history: list[Container] = field(default_factory=list)
    acts: int = 0
    freeze_at: int | None = None
    freeze_after: bool = False
    frozen: asyncio.Event = field(default_factory=asyncio.Event)
    started: asyncio.Event = field(default_factory=asyncio.Event)
    unreachable: set[str] = field(default_factory=set)
    busy_gpus: set[str] = field(default_factory=set)
    receipts: list[str] = field(default_factory=list)
    exit_codes: dict[str, int] = field(default_factory=dict)
    result: bytes | None = RESULT
    lines: Sequence[bytes] = LOG
    start_error: SiteError | None = None
    beats: dict[str, Sequence[Beat | Gap]] = field(default_factory=dict)
    looks: dict[str, list[Vitals]] = field(default_factory=dict)
    """What looks at a host see, one after the other; a host without any is seen with nothing wrong."""

    def vitals(self, host: str, hcas: Sequence[str], interfaces: Sequence[str]) -> Vitals:
        """The next look at a host."""
        left = self.looks.get(host)
        return left.pop(0) if left else Vitals(host=host, read_at_ns=1, boot_id="b1", kernel_log=QUIET)

    async def act(self, effect: Callable[[], Any], host: str | None = None) -> Any:
        """Do something, or be killed just before or just after it."""
        self.acts += 1
        due = self.freeze_at is not None and self.acts >= self.freeze_at
        if due and not self.freeze_after:
            await self.die()
        if host in self.unreachable:
            raise SiteError(str(host), "no route to host", retry=True)
        await asyncio.sleep(0)
        answer = effect()
        if due:
            await self.die()
        return answer

    async def die(self) -> None:
        """Never come back."""
        self.frozen.set()
        await asyncio.Event().wait()

    def tick(self, container: Container) -> None:
        """One look at a running container brings it nearer to its end."""
        if container.state != "running":
            return
        container.looks_left -= 1
        if container.looks_left <= 0:
            container.state = "exited"
            container.exit_code = self.exit_codes.get(container.part.host, 0)


class FakeSite:
    """A site over the world; a new one after every crash, since it remembers nothing."""

    def __init__(self, world: World) -> None:
        self.world = world

    def _find(self, part: Part) -> Container | None:
        return self.world.containers.get((part.host, part.container))

    async def survey(self, host: str, models: Sequence[str], *, light: bool = False) -> HostFacts:
        facts: HostFacts = await self.world.act(lambda: facts_of(self.world, host), host)
        return facts

    async def vitals(self, host: str, hcas: Sequence[str], interfaces: Sequence[str], log_lines: int) -> Vitals:
        seen: Vitals = await self.world.act(lambda: self.world.vitals(host, hcas, interfaces), host)
        return seen

    async def telemetry(self, host: str) -> AsyncGenerator[Beat | Gap, None]:
        for item in self.world.beats.get(host, ()):
            yield item
        await asyncio.sleep(3600)

    async def image(self, host: str, ref: str) -> ImageSeen | None:
        seen: ImageSeen = await self.world.act(lambda: ImageSeen(DIGEST, DIGEST), host)
        return seen

    async def pull(self, host: str, ref: str) -> AsyncIterator[FetchProgress]:
        yield FetchProgress(host=host, what="image", name=ref, done_bytes=1, total_bytes=1)

    async def claim(self, launch: Launch) -> Mapping[str, str] | Busy:
        ids = {}
        for part in sorted(launch.parts, key=lambda item: item.host):
            made = await self.world.act(functools.partial(self._make, part), part.host)
            if made.labels.get(LABEL_LAUNCH) != launch.hash:  # another was quicker: an engine refuses the name
                return Busy(part.host, made.labels.get(LABEL_OWNER, "?"), "2026-01-01T00:00:00Z")
            ids[part.name] = made.id
        return ids

    def _make(self, part: Part) -> Container:
        found = self._find(part)
        if found is not None:
            return found
        identity = hashlib.sha256(f"{part.labels[LABEL_ATTEMPT]}{part.name}".encode()).hexdigest()[:12]
        made = Container(identity, part.host, part.container, part.labels, part)
        self.world.containers[(part.host, part.container)] = made
        self.world.history.append(made)
        return made

    async def observe(self, attempt: str, parts: Sequence[Part]) -> Observation:
        looks = {}
        for part in parts:
            try:
                looks[part.name] = await self.world.act(functools.partial(self._look, attempt, part), part.host)
            except SiteError:
                looks[part.name] = PartSeen(part=part.name, host=part.host, state="unreachable")
        return Observation(looks)

    def _look(self, attempt: str, part: Part) -> PartSeen:
        found = self._find(part)
        if found is None or found.labels[LABEL_ATTEMPT] != attempt:
            return PartSeen(part=part.name, host=part.host, state="absent")
        self.world.tick(found)
        return PartSeen(
            part=part.name,
            host=part.host,
            state=cast(Any, found.state),
            container_id=found.id,
            launch_hash=found.labels[LABEL_LAUNCH],
            exit_code=found.exit_code if found.state == "exited" else None,
            started_at="2026-01-01T00:00:01Z",
            finished_at="2026-01-01T00:01:00Z",
        )

    async def start(self, part: Part) -> str:
        if self.world.start_error is not None:
            raise self.world.start_error
        await self.world.act(lambda: self._start(part), part.host)
        return "2026-01-01T00:00:01Z"

    def _start(self, part: Part) -> None:
        container = self._find(part)
        assert container is not None
        if container.state != "created":
            raise SiteError(part.host, "started twice")
        container.state = "running"
        container.starts += 1
        self.world.started.set()
        container.log = [LogFrame((index + 1) * SECOND, 1, line) for index, line in enumerate(self.world.lines)]

    async def give_secrets(self, part: Part, secrets: Mapping[str, str]) -> None:
        await self.world.act(lambda: None, part.host)

    async def frames(self, part: Part, after: Cursor | None, *, follow: bool) -> AsyncIterator[Sequence[LogFrame]]:
        container = await self.world.act(lambda: self._find(part), part.host)
        resume = Resume(after)
        for frame in list(container.log if container else ()):
            fresh = resume.fresh([frame])
            if fresh:
                yield await self.world.act(functools.partial(list, fresh), part.host)

    async def bars(self, part: Part) -> AsyncIterator[Sequence[LogFrame]]:
        await asyncio.sleep(3600)
        yield []

    async def metrics(self, part: Part) -> bytes:
        raise SiteError(part.host, "nothing listens")

    async def read_file(self, part: Part, path: str, limit: int) -> Collected:
        data = self.world.result if path == RESULT_FILE else None
        found: Collected = await self.world.act(lambda: Collected(path, data, "" if data else "absent"), part.host)
        return found

    async def inspect(self, part: Part) -> bytes:
        found: bytes = await self.world.act(lambda: b"{}", part.host)
        return found

    async def stop(self, part: Part, grace_s: float) -> None:
        def end() -> None:
            container = self._find(part)
            if container is not None and container.state == "running":
                container.state, container.exit_code = "exited", 143

        await self.world.act(end, part.host)

    async def leave_receipt(self, host: str, attempt: str, receipt: bytes) -> None:
        await self.world.act(lambda: self.world.receipts.append(attempt), host)

    async def release(self, attempt: str, hosts: Sequence[str]) -> Sequence[str]:
        removed = []
        for key, container in list(self.world.containers.items()):
            if container.labels[LABEL_ATTEMPT] == attempt and key[0] in hosts:
                await self.world.act(functools.partial(self.world.containers.pop, key, None), key[0])
                removed.append(key[1])
        return removed


def facts_of(world: World, host: str) -> HostFacts:
    """A healthy host with two GPUs; one of `busy_gpus` has its VRAM full."""
    used = 180 << 30 if host in world.busy_gpus else 300 << 20
    gpus = tuple(
        Gpu(
            bdf=f"0000:{index:02x}:00.0",
            device_id="74a1",
            model=Known("AMD Instinct MI300X", "t"),
            render_node=Known(f"/dev/dri/renderD{128 + index}", "t"),
            render_gid=Known(109, "t"),
            vram_total_bytes=Known(192 << 30, "t"),
            vram_used_bytes=Known(used, "t"),
            compute_partition=Known("SPX", "t"),
            memory_partition=Known("NPS1", "t"),
            performance_level=Known("auto", "t"),
            power_cap_w=Known(750.0, "t"),
        )
        for index in range(2)
    )
    storage = Storage(
        path="/x",
        exists=True,
        writable=True,
        free_bytes=1 << 42,
        total_bytes=1 << 43,
        fs_type="ext4",
        fs_source="/dev/a",
    )
    return HostFacts(
        host=host,
        read_at_ns=1,
        system=System(boot_id=Known("b1", "t"), numa_balancing=Known(0, "t")),
        driver=Driver(
            amdgpu_loaded=Known(True, "t"),
            kfd_present=Known(True, "t"),
            kfd_gid=Known(109, "t"),
            kfd_process_ids=Known((), "t"),
        ),
        gpus=Known(gpus, "t"),
        docker=Known(Access(flavour="docker", socket="/s"), "t"),
        engine=Known(
            Engine(version="28", api="1.47", storage_driver="overlay2", root_dir="/d", images=(IMAGE.ref,)), "t"
        ),
        docker_storage=Known(storage, "t"),
        scratch=Known(storage, "t"),
        model_cache=Known(storage, "t"),
        models=Known((), "t"),
    )


IMAGE = Image(
    name="test",
    ref="rocm/vllm:test",
    program="vllm",
    source="test",
    engine_version="0.8.5",
    vllm=VllmTraits(engine="V0", entry="script"),
)
MODEL = ModelCard(id="/models/tiny", title="tiny", precision="fp16", source="test", inside_image=True)


def _cell(name: str = "row", nodes: int = 1) -> AnyCell:
    """A throughput row of ten prompts with a published figure."""
    reference = Reference(
        value=380.0,
        printed="380.0",
        metric="output_tokens_per_s",
        unit_printed="tokens/s",
        set="published",
        source="test",
        dated="2025-05-27",
        under=Conditions(gpu="MI300X", gpus=2, image=IMAGE.ref, engine="V0"),
    )
    return Cell(
        matrix="test",
        id=name,
        workload="vllm-throughput",
        model=MODEL.id,
        title="tiny",
        precision="fp16",
        image=IMAGE.name,
        nodes=nodes,
        gpus_per_node=2,
        metric="output_tokens_per_s",
        params=ThroughputParams(
            tensor_parallel=2, input_len=100, output_len=200, num_prompts=10, max_num_seqs=10, distributed_executor="mp"
        ),
        recipe="exact",
        references=(reference,),
    )


class _Shelf:
    """As much of a catalog as a conductor asks for."""

    servers: Mapping[str, Any] = {}
    gpus: Mapping[str, Any] = {}

    def image(self, name: str) -> Image:
        return IMAGE

    def model(self, name: str) -> ModelCard:
        return MODEL

    def gpu_of_device(self, device_id: str) -> None:
        return None


@dataclass
class Bench:
    """A store, a world, and the means to run a conductor over them."""

    folder: StateFolder
    world: World
    journal: Journal
    tail: Tail
    pool: ThreadPoolExecutor
    policy: Policy = field(
        default_factory=lambda: Policy(grace_s=0, poll_s=0.001, unreachable_poll_s=0.001, busy_poll_s=0.001)
    )

    async def open(self, *cells: AnyCell, operator: str = "me", **request: Any) -> str:
        """Open a run of cells on every host of the world."""
        asked = Request(matrices=("test",), **request)
        hosts = self.world.hosts
        wishes = [hosts] if asked.place == "spread" else [(host,) for host in hosts]
        attempts = tuple(
            PlannedAttempt(
                cell=cell, image=IMAGE, model=MODEL, hosts=wish, repeat=1, need=None, launch=None, findings=()
            )
            for cell in cells
            for wish in wishes
        )
        return await open_run(Plan(asked, attempts), self.journal, operator=operator, version="0", simulated=False)

    def site(self) -> FakeSite:
        """A site that knows nothing yet."""
        return FakeSite(self.world)

    def office(self, run: str, operator: str = "me") -> Office:
        """Everything a conductor needs, with a site that knows nothing yet."""
        row = self.tail.find_run(run)
        return Office(
            run=run,
            request=msgspec.json.decode(row.plan, type=Request),
            operator=operator,
            version="0",
            simulated=False,
            folder=self.folder,
            journal=self.journal,
            tail=self.tail,
            site=FakeSite(self.world),
            catalog=cast(Catalog, _Shelf()),
            hosts={name: Host(name=name, address=name) for name in self.world.hosts},
            pool=self.pool,
            hub=Hub(),
            policy=self.policy,
        )


@pytest.fixture
def bench(tmp_path: Path) -> Any:
    """A bench with one host; set `bench.world.hosts` for more."""
    folder = StateFolder.open(tmp_path / "state")
    journal, pool = Journal(folder), ThreadPoolExecutor(2)
    yield Bench(folder, World(hosts=("n1",)), journal, Tail(folder), pool)
    journal.close()
    pool.shutdown()


@pytest.fixture
def make_cell() -> Callable[..., AnyCell]:
    """Makes rows of a test matrix by name."""
    return _cell
