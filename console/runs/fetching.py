"""Bring images and models onto hosts without claiming GPUs: once per shared file system, resumable, checked.

A model comes through a container of the benchmark image itself; it goes on when the console leaves, and a second
console that wants the same model follows the one that is there.
"""

import asyncio
import hashlib
import json
from collections.abc import AsyncIterator, Callable, Mapping, Sequence

import msgspec

from console.fleet.host import Host
from console.model.attempt import FailureClass, LogFrame
from console.model.events import FetchProgress
from console.model.facts import HostFacts, value_or
from console.model.launch import (
    LABEL,
    LABEL_ATTEMPT,
    LABEL_LAUNCH,
    LABEL_OWNER,
    LABEL_PART,
    LABEL_RUN,
    Launch,
    Mount,
    Part,
    Placement,
)
from console.model.profile import ContainerOptions, Image, ModelCard
from console.model.text import safe_line
from console.runs import hub_program
from console.runs.site import Busy, Site, SiteError
from console.workloads.failures import classify
from console.workloads.places import MODEL_CACHE_PATH

POLL_S = 1.0
DEADLINE_S = 24 * 3600
TAIL_BYTES = 64 * 1024


class Hub(msgspec.Struct, frozen=True, kw_only=True):
    """Where models come from: another endpoint than the public one, the token when there is one, and for whom."""

    endpoint: str | None = None
    operator: str = ""
    secrets: Callable[[Sequence[str]], Mapping[str, str]] = lambda names: {}


async def fetch_model(
    site: Site, host: Host, facts: HostFacts, image: Image, model: ModelCard, hub: Hub
) -> AsyncIterator[FetchProgress]:
    """Download a model into the host's cache, yielding progress. Raises SiteError with the class of what failed."""
    if not host.model_cache:
        raise SiteError(
            host.name,
            "no model cache is configured",
            remedy='set model_cache = "/path" for it in the fleet file',
            failure=FailureClass.MODEL_INCOMPLETE,
        )
    seen = await site.image(host.name, image.ref)
    if seen is None:
        raise SiteError(host.name, f"{image.ref} is not there", failure=FailureClass.IMAGE_MISSING)
    reference = image.ref if seen.digest else seen.id
    secrets = hub.secrets(("hf_token",))
    launch = _launch(host, facts, reference, model, hub, with_token=bool(secrets))
    part = launch.parts[0]
    await _begin(site, launch, part, secrets)
    tail = b""
    while True:
        async for frames in site.frames(part, None, follow=True):
            tail = (tail + b"".join(frame.data for frame in frames))[-TAIL_BYTES:]
            for progress in _progress(host.name, model.id, frames):
                yield progress
        look = (await site.observe(launch.attempt, launch.parts)).parts[part.name]
        if look.state in ("exited", "absent"):
            break
        await asyncio.sleep(POLL_S)
    await site.release(launch.attempt, (host.name,))
    if look.state == "absent" or look.exit_code != 0:
        raise _failed(host.name, model.id, tail, look.exit_code)


async def _begin(site: Site, launch: Launch, part: Part, secrets: Mapping[str, str]) -> None:
    """Start the download, or join one that runs already."""
    look = (await site.observe(launch.attempt, launch.parts)).parts[part.name]
    if look.state == "exited":
        await site.release(launch.attempt, (part.host,))
        look = msgspec.structs.replace(look, state="absent")
    if look.state == "absent" and isinstance(await site.claim(launch), Busy):
        return  # somebody was faster with the same download: follow theirs
    # one that was made or started and then left (its console died there) is taken on from where it stands
    if look.state in ("absent", "created"):
        await site.start(part)
    if look.state in ("absent", "created", "blocked") and part.secrets:
        await site.give_secrets(part, secrets)


def _launch(host: Host, facts: HostFacts, reference: str, model: ModelCard, hub: Hub, *, with_token: bool) -> Launch:
    cache = value_or(facts.model_cache, None)
    where = cache.shared_id if cache and cache.shared_id else host.model_cache
    slug = hashlib.sha256(f"{model.id}:{where}".encode()).hexdigest()[:12]
    attempt = f"fetch-{slug}"
    env = {
        "HF_HUB_CACHE": f"{MODEL_CACHE_PATH}/hub",
        "HF_HUB_OFFLINE": "0",
        "HF_HUB_DISABLE_PROGRESS_BARS": "1",
        "HF_HUB_DISABLE_TELEMETRY": "1",
        "PYTHONUNBUFFERED": "1",
    }
    if hub.endpoint:
        env["HF_ENDPOINT"] = hub.endpoint
    part = Part(
        name="fetch",
        rank=0,
        host=host.name,
        container=f"instinct-{attempt}",
        lead=False,
        image=reference,
        argv=("python3", "-c", hub_program.SOURCE, model.id, model.revision or "main"),
        env=env,
        labels={
            LABEL: "fetch",
            LABEL_RUN: "fetch",
            LABEL_ATTEMPT: attempt,
            LABEL_PART: "fetch",
            LABEL_OWNER: hub.operator,
            LABEL_LAUNCH: slug,
        },
        devices=(),
        groups=(),
        mounts=(Mount(host.model_cache or "", MODEL_CACHE_PATH, read_only=False),),
        options=ContainerOptions(ipc_host=False, network_host=True, memlock_unlimited=False),
        deadline_s=DEADLINE_S,
        after=None,
        decides=True,
        files=(),
        secrets=("hf_token",) if with_token else (),
    )
    return Launch(
        attempt=attempt,
        cell=model.id,
        image=reference,
        image_digest=None,
        placement=Placement(()),
        parts=(part,),
        hash=slug,
    )


def _progress(host: str, model: str, frames: Sequence[LogFrame]) -> list[FetchProgress]:
    found = []
    for frame in frames:
        for line in frame.data.decode("utf-8", "replace").splitlines():
            if not line.startswith(hub_program.PROGRESS):
                continue
            try:
                said = json.loads(line.removeprefix(hub_program.PROGRESS))
                done, total = int(said["done"]), int(said["total"])
            except (ValueError, KeyError, TypeError):
                continue
            found.append(FetchProgress(host=host, what="model", name=model, done_bytes=done, total_bytes=total or None))
    return found


def _failed(host: str, model: str, tail: bytes, exit_code: int | None) -> SiteError:
    failure = classify(tail.decode("utf-8", "replace"))
    if failure is not None:
        return SiteError(host, f"{model}: {failure.line}", remedy=failure.remedy, failure=failure.failure)
    last = tail.decode("utf-8", "replace").strip().rsplit("\n", 1)[-1]
    line = safe_line(last) or f"the download ended with exit code {exit_code}"
    return SiteError(host, f"{model}: {line}", failure=FailureClass.MODEL_INCOMPLETE)
