"""The images of one host: lookup by name, digest or id, pull with per-layer progress, import, removal."""

import asyncio
import hashlib
import json
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass, field
from typing import Any

from console.lab.clock import Clock, rfc3339
from console.lab.faults import Faults
from console.lab.http import ApiError
from console.lab.releases import Release, published, split_ref

PULL_BYTES_PER_S = 400e6
"""Simulated network speed of a pull, shared by its layers."""
EXTRACT_BYTES_PER_S = 900e6


@dataclass
class Image:
    """One image of the host. `vllm` is the version inside, for the programs."""

    id: str
    tags: list[str]
    digests: list[str]
    size: int
    created_ns: int
    layers: tuple[str, ...]
    vllm: tuple[int, ...] | None = None
    rocm: str = ""
    env: list[str] = field(default_factory=list)
    comment: str = ""

    @property
    def repository(self) -> str:
        """Its repository, by its first tag or digest; empty for an image without either."""
        return split_ref((self.tags or self.digests or [""])[0])[0]

    @property
    def workdir(self) -> str:
        """Where its programs start, as AMD's images have it."""
        if self.vllm:
            return "/app"
        return {"pytorch-training": "/workspace", "megatron-lm": "/workspace/Megatron-LM"}.get(
            self.repository.rpartition("/")[2], ""
        )

    def summary(self) -> dict[str, Any]:
        """An item of `GET /images/json`."""
        return {
            "Containers": -1,
            "Created": self.created_ns // 1_000_000_000,
            "Id": self.id,
            "Labels": {"simulated": "true"},
            "ParentId": "",
            "RepoDigests": self.digests or None,
            "RepoTags": self.tags or None,
            "SharedSize": -1,
            "Size": self.size,
            "VirtualSize": self.size,
        }

    def inspect(self) -> dict[str, Any]:
        """`GET /images/{name}/json`."""
        config = {
            "Hostname": "",
            "User": "",
            "Env": self.env,
            "Cmd": None if self.comment else ["/bin/bash"],
            "WorkingDir": self.workdir,
            "Entrypoint": None,
            "Labels": {"simulated": "true"},
        }
        return {
            "Id": self.id,
            "RepoTags": self.tags,
            "RepoDigests": self.digests,
            "Parent": "",
            "Comment": self.comment,
            "Created": rfc3339(self.created_ns),
            "DockerVersion": "0.0-lab",
            "Author": "",
            "Config": config,
            "Architecture": "amd64",
            "Os": "linux",
            "Size": self.size,
            "VirtualSize": self.size,
            "GraphDriver": {"Data": {}, "Name": "overlay2"},
            "RootFS": {"Type": "layers", "Layers": list(self.layers)},
            "Metadata": {"LastTagTime": rfc3339(self.created_ns)},
        }


BAKED_ENV = (
    "PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin",
    "RAY_EXPERIMENTAL_NOSET_ROCR_VISIBLE_DEVICES=1",
    "TOKENIZERS_PARALLELISM=false",
    "SAFETENSORS_FAST_GPU=1",
    "VLLM_WORKER_MULTIPROC_METHOD=spawn",
    "HIP_FORCE_DEV_KERNARG=1",
)


def of_release(release: Release, created_ns: int) -> Image:
    """The image that a pull of a release leaves behind."""
    layers = tuple("sha256:" + hashlib.sha256(f"{release.ref} {n}".encode()).hexdigest() for n in range(8))
    return Image(
        id=release.id,
        tags=[release.ref],
        digests=[f"{release.repository}@{release.digest}"],
        size=release.size,
        created_ns=created_ns,
        layers=layers,
        vllm=release.vllm,
        rocm=release.rocm,
        env=list(BAKED_ENV if release.vllm else BAKED_ENV[:1]),
    )


class Images:
    """The image store of one host. `on_event(action, name)` hears of pulls, imports and removals."""

    def __init__(self, clock: Clock, faults: Faults, host: str, on_event: Callable[[str, str], None]) -> None:
        self._clock = clock
        self._faults = faults
        self._host = host
        self._on_event = on_event
        self.all: dict[str, Image] = {}

    def preload(self, ref: str) -> None:
        """Have a registry image from the start. KeyError when the registry has no such thing."""
        release = published(ref)
        if release is None:
            raise KeyError(ref)
        self.all[release.id] = of_release(release, self._clock.stamp())

    def find(self, name: str) -> Image | None:
        """By reference, repository digest, id or a prefix of the id."""
        if "@" in name:
            repository, digest = split_ref(name)
            return next((one for one in self.all.values() if f"{repository}@{digest}" in one.digests), None)
        repository, tag = split_ref(name)
        for one in self.all.values():
            if f"{repository}:{tag}" in one.tags:
                return one
        plain = name.removeprefix("sha256:")
        if len(plain) >= 4 and all(letter in "0123456789abcdef" for letter in plain):
            return next((one for one in self.all.values() if one.id.removeprefix("sha256:").startswith(plain)), None)
        return None

    def get(self, name: str) -> Image:
        """As `find`; ApiError 404 in the engine's words."""
        found = self.find(name)
        if found is None:
            repository, tag = split_ref(name)
            full = name if "@" in name else f"{repository}:{tag}"
            raise ApiError(404, f"no such image: {name}: No such image: {full}")
        return found

    def listed(self, filters: dict[str, list[str]]) -> list[dict[str, Any]]:
        """Summaries, filtered by `reference` and `label`."""
        wanted = filters.get("reference", [])
        labels = filters.get("label", [])
        return [
            one.summary()
            for one in self.all.values()
            if (not wanted or any(self.find(ref) is one or split_ref(ref)[0] in _names(one) for ref in wanted))
            and all(label in ("simulated", "simulated=true") for label in labels)
        ]

    def remove(self, name: str) -> list[dict[str, str]]:
        """Untag and delete; the engine's list of what went."""
        image = self.get(name)
        del self.all[image.id]
        self._on_event("delete", image.id)
        return [*({"Untagged": ref} for ref in (*image.tags, *image.digests)), {"Deleted": image.id}]

    def import_tar(self, repository: str, tag: str, data: bytes, size: int) -> Image:
        """`docker import`: one image from an archive, known by its bytes; nothing of it is kept."""
        digest = hashlib.sha256(data).hexdigest()
        name = f"{repository}:{tag or 'latest'}"
        for other in self.all.values():
            other.tags = [known for known in other.tags if known != name]
        vllm = published(f"rocm/vllm:{tag}") if repository.endswith("vllm") else None
        image = Image(
            id=f"sha256:{digest}",
            tags=[name] if repository else [],
            digests=[],
            size=size,
            created_ns=self._clock.stamp(),
            layers=(f"sha256:{digest}",),
            vllm=vllm.vllm if vllm else None,
            comment="Imported from -",
        )
        self.all[image.id] = image
        self._on_event("import", image.id)
        return image

    async def pull(self, repository: str, tag: str) -> AsyncIterator[bytes]:
        """Progress of a pull, one JSON object a line. ApiError before the first line when the registry refuses."""
        ref = f"{repository}@{tag}" if tag.startswith("sha256:") else f"{repository}:{tag or 'latest'}"
        release = self._admitted(ref)
        return self._pulling(ref, tag, release)

    def _admitted(self, ref: str) -> Release:
        repository, tag = split_ref(ref)
        if self._faults.take("no-network", self._host, ref):
            lookup = "dial tcp: lookup registry.lab.invalid: Temporary failure in name resolution"
            raise ApiError(500, f'Get "https://registry.lab.invalid/v2/": {lookup}')
        release = None if self._faults.take("pull-denied", self._host, ref) else published(ref)
        if release is not None:
            return release
        if repository.startswith("rocm/") and not self._faults.has("pull-denied", self._host, ref):
            shown = f"{repository}:{tag}" if not tag.startswith("sha256:") else f"{repository}@{tag}"
            raise ApiError(404, f"manifest for {shown} not found: manifest unknown: manifest unknown")
        raise ApiError(
            404,
            f"pull access denied for {repository}, repository does not exist or may require 'docker login': "
            "denied: requested access to the resource is denied",
        )

    async def _pulling(self, ref: str, tag: str, release: Release) -> AsyncIterator[bytes]:
        repository = release.repository
        ids = [hashlib.sha256(f"{release.ref} {n}".encode()).hexdigest()[:12] for n in range(len(release.layers))]
        yield _line(f"Pulling from {repository}", tag or "latest")
        fresh = release.id not in self.all
        if not fresh:
            for layer in ids:
                yield _line("Already exists", layer)
        else:
            for layer in ids:
                yield _line("Pulling fs layer", layer)
            for layer in ids[3:]:
                yield _line("Waiting", layer)
            no_space = self._faults.take("no-space", self._host, ref)
            for n, (layer, size) in enumerate(zip(ids, release.layers, strict=True)):
                async for piece in self._one_layer(layer, size):
                    yield piece
                if no_space and n == 2:
                    text = f"failed to register layer: write /usr/lib/lab/{layer}: no space left on device"
                    yield _json({"errorDetail": {"message": text}, "error": text})
                    return
            self.all[release.id] = of_release(release, self._clock.stamp())
            self._on_event("pull", release.ref)
        yield _json({"status": f"Digest: {release.digest}"})
        yield _json({"status": f"Status: {'Downloaded newer image' if fresh else 'Image is up to date'} for {ref}"})

    async def _one_layer(self, layer: str, size: int) -> AsyncIterator[bytes]:
        for status, speed, done in (
            ("Downloading", PULL_BYTES_PER_S, ("Verifying Checksum", "Download complete")),
            ("Extracting", EXTRACT_BYTES_PER_S, ("Pull complete",)),
        ):
            steps = 1 if size < 100_000_000 else 10
            for step in range(1, steps + 1):
                await asyncio.sleep(self._clock.real(size / steps / speed))
                yield _line(status, layer, (size * step // steps, size))
            for word in done:
                yield _line(word, layer)


def _names(image: Image) -> set[str]:
    return {split_ref(ref)[0] for ref in image.tags}


def _json(value: dict[str, Any]) -> bytes:
    return json.dumps(value, separators=(",", ":")).encode() + b"\r\n"


def _line(status: str, layer: str, progress: tuple[int, int] | None = None) -> bytes:
    detail: dict[str, int] = {"current": progress[0], "total": progress[1]} if progress else {}
    value: dict[str, Any] = {"status": status, "progressDetail": detail, "id": layer}
    if progress:
        bar = "=" * (50 * progress[0] // progress[1])
        value["progress"] = f"[{bar + '>' if len(bar) < 50 else bar:<50}]  {progress[0]}B/{progress[1]}B"
    return _json(value)
