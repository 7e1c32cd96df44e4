"""The engine of one host: requests by docker-py in a few shared threads, long waits as native async ones."""

import asyncio
import contextlib
import functools
import io
import re
import tarfile
from collections.abc import Callable, Iterable, Mapping
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING, Any, TypeVar
from urllib.parse import quote, urlencode

from console.fleet.engine.asking import Asking
from console.fleet.engine.dial import Dial
from console.fleet.engine.errors import (
    ContainerAbsent,
    EngineError,
    FileAbsent,
    FileTooLarge,
    ImageAbsent,
    NameTaken,
    classify,
)
from console.fleet.engine.facts import engine_record
from console.fleet.engine.seen import (
    ContainerListed,
    ContainerSeen,
    ImageSeen,
    container_from,
    image_from,
    listed_from,
)
from console.fleet.engine.wire import exchange
from console.fleet.link import Link, LinkError
from console.model import facts
from console.model.facts import DockerAccess
from console.model.launch import LABEL

if TYPE_CHECKING:  # docker-py and requests load with the first request that needs them; a survey needs none
    import docker

    from console.fleet.engine.bridge import Bridge

T = TypeVar("T")

THREADS = 8
"""Threads for requests, shared by the engines of all hosts of this process."""

PER_HOST = 2
"""Requests of one host at a time, so that a slow host cannot take every thread."""

TIMEOUT_S = 30.0
OLDEST_API = (1, 40)
NEWEST_API = (1, 45)
"""What docker-py speaks."""


@functools.cache
def _threads() -> ThreadPoolExecutor:
    return ThreadPoolExecutor(THREADS, thread_name_prefix="engine")


class Engine:
    """Requests to one engine. Every call raises EngineError, or LinkError when the host itself is out of reach.

    Belongs to the loop it is first used on. Nothing here pulls, removes or retries unless asked to.
    """

    def __init__(self, link: Link, access: DockerAccess, *, timeout_s: float = TIMEOUT_S) -> None:
        self.dial = Dial(link, access)
        self.host = link.host.name
        self._timeout_s = timeout_s
        self._turn = asyncio.Semaphore(1 if self.dial.costs_sessions else PER_HOST)
        self._first = asyncio.Lock()
        self._client: docker.APIClient | None = None
        self._bridge: Bridge | None = None
        self._api = ""

    # --- the engine itself

    async def ping(self) -> str:
        """The engine's API version; the first call of every engine, since an open channel proves nothing."""
        async with exchange(self.dial, "GET", "/_ping", head_timeout_s=self._timeout_s) as answer:
            text = await answer.text()
        if answer.status != 200 or not answer.headers.get("api-version"):
            raise EngineError(
                self.host,
                f"what answers at {self.dial.describes} is no Docker engine: {text[:80]}",
                "check docker_socket of the host in the fleet file",
                answer.status,
            )
        return answer.headers["api-version"]

    async def path(self, target: str, **query: str | int) -> str:
        """A request target of the pinned API version."""
        await self._agree()
        given = {name: value for name, value in query.items() if value != ""}
        return f"/v{self._api}{target}" + (f"?{urlencode(given)}" if given else "")

    async def version(self) -> Mapping[str, Any]:
        """The engine's `GET /version`."""
        return await self._ask(lambda client: client.version())

    async def info(self) -> Mapping[str, Any]:
        """The engine's `GET /info`."""
        return await self._ask(lambda client: client.info())

    async def engine_facts(self) -> facts.Engine:
        """What a survey wants to know of the engine: versions, root folder, images, and who can reach GPUs."""
        asking = Asking(self.dial, self._timeout_s)
        async with self._turn, contextlib.aclosing(asking):
            version = await asking.table(await self.path("/version"))
            info = await asking.table(await self.path("/info"))
            images = await asking.rows(await self.path("/images/json"))
            listed = [listed_from(item) for item in await asking.rows(await self.path("/containers/json", all=1))]
            seen = await self._look_closer(asking, listed)
        return engine_record(version, info, [image_from(image) for image in images], seen)

    async def _look_closer(self, asking: Asking, listed: Iterable[ContainerListed]) -> list[ContainerSeen]:
        """Inspect those that may hold GPUs: the list does not say which devices a container was given."""
        seen = []
        for item in listed:
            if item.state not in ("exited", "dead") or LABEL in item.labels:
                with contextlib.suppress(ContainerAbsent):  # it went away in between
                    target = await self.path(f"/containers/{quote(item.id, safe='')}/json")
                    seen.append(container_from(await asking.table(target)))
        return seen

    # --- containers

    async def containers(self, *, all: bool = True, label: str = "") -> tuple[ContainerListed, ...]:
        """Containers, also those not running; `label` is `key` or `key=value`."""
        filters = {"label": [label]} if label else {}
        found = await self._ask(lambda client: client.containers(all=all, filters=filters))
        return tuple(listed_from(item) for item in found)

    async def inspect(self, container: str) -> ContainerSeen:
        """One container by id or name. ContainerAbsent when there is none."""
        return container_from(await self._ask(lambda client: client.inspect_container(container)))

    async def find(self, container: str) -> ContainerSeen | None:
        """One container by id or name, or None."""
        try:
            return await self.inspect(container)
        except ContainerAbsent:
            return None

    async def create(self, name: str, body: Mapping[str, Any]) -> str:
        """Create a container and return its id. NameTaken tells who holds the name: that is how a host is claimed."""
        try:
            made = await self._ask(lambda client: client.create_container_from_config(dict(body), name))
        except EngineError as error:
            if re.search(r"name .*already in use", error.message):
                raise NameTaken(self.host, name, await self._holder(name)) from error
            raise
        return str(made["Id"])

    async def _holder(self, name: str) -> ContainerSeen | None:
        """Who holds a name. A container being made takes its name a moment before it can be looked at."""
        for _ in range(15):
            seen = await self.find(name)
            if seen is not None:
                return seen
            await asyncio.sleep(0.2)
        return None

    async def start(self, container: str, *, discard_if_failed: bool = False) -> ContainerSeen:
        """Start a container. A failed start leaves it behind as created; `discard_if_failed` removes that."""
        try:
            await self._ask(lambda client: client.start(container))
        except EngineError:
            if discard_if_failed:
                seen = await self.find(container)
                if seen is not None and seen.state == "created":
                    await self.remove(container)
            raise
        return await self.inspect(container)

    async def stop(self, container: str, grace_s: float) -> None:
        """TERM, and KILL after the grace, by the engine itself; returns when it ended. No thread waits meanwhile."""
        seconds = max(0, round(grace_s))
        target = await self.path(f"/containers/{quote(container, safe='')}/stop", t=seconds)
        async with exchange(self.dial, "POST", target, head_timeout_s=seconds + self._timeout_s) as answer:
            await answer.text()

    async def kill(self, container: str, signal: str = "KILL") -> bool:
        """Send a signal; False when the container does not run."""
        try:
            await self._ask(lambda client: client.kill(container, signal))
        except EngineError as error:
            if error.status == 409:
                return False
            raise
        return True

    async def remove(self, container: str) -> bool:
        """Remove a container, running or not; False when it is gone already (or just going)."""
        try:
            await self._ask(lambda client: client.remove_container(container, force=True, v=True))
        except ContainerAbsent:
            return False
        except EngineError as error:
            if error.status == 409 and "already in progress" in error.message:
                return False
            raise
        return True

    # --- images and files

    async def image(self, ref: str) -> ImageSeen | None:
        """The image as the host has it, or None. Never pulls."""
        try:
            return image_from(await self._ask(lambda client: client.inspect_image(ref)))
        except ImageAbsent:
            return None

    async def get_file(self, container: str, path: str, limit: int) -> bytes:
        """A regular file of a container, running or not, of at most `limit` bytes. Files on a tmpfs are not seen."""
        try:
            return await self._ask(lambda client: _read_file(self.host, client, container, path, limit))
        except EngineError as error:
            if error.status == 404 and not isinstance(error, ContainerAbsent | FileAbsent):
                raise FileAbsent(self.host, f"no file {path} in the container", "", 404) from error
            raise

    # --- how a question is asked

    async def close(self) -> None:
        """End every channel of requests; streams end with their own readers."""
        if self._bridge is not None:
            await self._bridge.close()
        if self._client is not None:
            self._client.close()

    async def _agree(self) -> None:
        """Settle on an API version, once."""
        async with self._first:
            if not self._api:
                self._api = self._pinned(await self.ping())

    async def _ready(self) -> "docker.APIClient":
        from console.fleet.engine.bridge import Bridge

        await self._agree()
        async with self._first:
            if self._client is None:
                self._bridge = Bridge(self.dial)
                self._client = _client(self._bridge, self._api, self._timeout_s)
            return self._client

    def _pinned(self, theirs: str) -> str:
        """The newest API both know, agreed once."""
        found = re.fullmatch(r"(\d+)\.(\d+)", theirs)
        if found is None or (int(found[1]), int(found[2])) < OLDEST_API:
            raise EngineError(
                self.host, f"the engine speaks API {theirs}, too old", "install Docker Engine 20.10 or newer"
            )
        return ".".join(map(str, min(NEWEST_API, (int(found[1]), int(found[2])))))

    async def _ask(self, question: "Callable[[docker.APIClient], T]") -> T:
        import docker.errors
        import requests.exceptions

        from console.fleet.engine.bridge import DialFailed

        client = await self._ready()
        async with self._turn:
            try:
                return await asyncio.get_running_loop().run_in_executor(_threads(), question, client)
            except DialFailed as error:
                raise self._unreached(error.cause) from error
            except docker.errors.APIError as error:
                text = str(error.explanation or error)
                raise classify(self.host, text, error.status_code) from error
            except requests.exceptions.RequestException as error:
                raise self._unreached(error) from error

    def _unreached(self, error: Exception) -> Exception:
        """The link's own error when the link broke; else what the request saw."""
        import requests.exceptions

        lost = self._bridge.lost if self._bridge is not None else None
        if isinstance(error, LinkError):
            return error
        if lost is not None:
            return lost
        # requests raises ReadTimeout for some answers that stay away and ConnectionError for others
        late = isinstance(error, requests.exceptions.Timeout | TimeoutError) or "timed out" in str(error).lower()
        said = f"did not answer within {self._timeout_s:g} s" if late else f"broke off the request ({error})"
        return EngineError(self.host, f"the engine {said}", "look again; the container may well run on", retry=True)


def _client(bridge: "Bridge", api: str, timeout_s: float) -> "docker.APIClient":
    import docker

    from console.fleet.engine.bridge import BridgeAdapter, mount

    client = docker.APIClient(base_url="unix:///bridged", version=api, timeout=timeout_s)
    client._general_configs = {}  # the operator's ~/.docker/config.json is for this machine's own engine
    mount(client, BridgeAdapter(bridge, timeout_s))
    return client


def _read_file(host: str, client: "docker.APIClient", container: str, path: str, limit: int) -> bytes:
    pieces, stat = client.get_archive(container, path, chunk_size=1 << 16)
    if stat and int(stat.get("size", 0)) > limit:
        pieces.close()
        raise FileTooLarge(host, f"{path} has {stat['size']} bytes, more than the {limit} allowed")
    tar = bytearray()
    for piece in pieces:
        tar += piece
        if len(tar) > limit + (1 << 16):  # headers and padding of one member
            pieces.close()
            raise FileTooLarge(host, f"{path} has more than the {limit} bytes allowed")
    try:
        with tarfile.open(fileobj=io.BytesIO(bytes(tar))) as archive:
            member = archive.next()
            if member is None or not tarfile.data_filter(member, "/").isreg():
                raise FileAbsent(host, f"{path} in the container is no regular file")
            content = archive.extractfile(member)
            return content.read(limit) if content is not None else b""
    except (tarfile.TarError, EOFError) as error:
        raise EngineError(host, f"the archive of {path} cannot be read ({error})", "look again", retry=True) from error
