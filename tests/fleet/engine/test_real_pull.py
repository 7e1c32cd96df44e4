"""Pulls from a small registry of the test's own, by a real Docker Engine."""

import asyncio
import gzip
import hashlib
import io
import json
import os
import subprocess
import tarfile
from collections.abc import AsyncIterator, Callable

import pytest

from console.fleet.engine.client import Engine
from console.fleet.engine.errors import EngineError
from console.fleet.engine.follow import pull
from console.fleet.link import LinkLost
from console.model.attempt import FailureClass

pytestmark = pytest.mark.real

Sh = Callable[..., subprocess.CompletedProcess[str]]


def digest(data: bytes) -> str:
    return "sha256:" + hashlib.sha256(data).hexdigest()


def a_layer(size: int) -> tuple[bytes, str]:
    """A layer of one random file, compressed, and the digest of its content."""
    packed = io.BytesIO()
    with tarfile.open(fileobj=packed, mode="w") as tar:
        entry = tarfile.TarInfo(os.urandom(8).hex())
        entry.size = size
        tar.addfile(entry, io.BytesIO(os.urandom(size)))
    return gzip.compress(packed.getvalue(), 1), digest(packed.getvalue())


class Registry:
    """One image of two layers under any name, tag `1`; counts what is asked for, and can hold back its second half."""

    def __init__(self) -> None:
        self.layers = [a_layer(3_000_000), a_layer(1_000_000)]
        layers = {"type": "layers", "diff_ids": [content for _, content in self.layers]}
        config = json.dumps({"architecture": "amd64", "os": "linux", "config": {}, "rootfs": layers}).encode()
        self.blobs = {digest(blob): blob for blob in (config, *(layer for layer, _ in self.layers))}
        kind = "application/vnd.docker."
        self.manifest = json.dumps(
            {
                "schemaVersion": 2,
                "mediaType": kind + "distribution.manifest.v2+json",
                "config": {
                    "mediaType": kind + "container.image.v1+json",
                    "size": len(config),
                    "digest": digest(config),
                },
                "layers": [
                    {"mediaType": kind + "image.rootfs.diff.tar.gzip", "size": len(layer), "digest": digest(layer)}
                    for layer, _ in self.layers
                ],
            }
        ).encode()
        self.go_on = asyncio.Event()
        self.go_on.set()
        self.halfway = asyncio.Event()

    @property
    def size(self) -> int:
        return sum(len(layer) for layer, _ in self.layers)

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        first = await reader.read(1)
        if first == b"\x16":  # the engine tries TLS first
            writer.close()
            return
        head = (first + await reader.readuntil(b"\r\n\r\n")).decode()
        method, path, _ = head.split("\r\n")[0].split(" ")
        status, kind, body = self._answer(path)
        writer.write(
            f"HTTP/1.1 {status}\r\nContent-Type: {kind}\r\nContent-Length: {len(body)}\r\n"
            f"Docker-Content-Digest: {digest(body)}\r\nConnection: close\r\n\r\n".encode()
        )
        if method != "HEAD":
            writer.write(body[: len(body) // 2])
            await writer.drain()
            if len(body) > 500_000:
                self.halfway.set()
                await self.go_on.wait()
            writer.write(body[len(body) // 2 :])
        writer.close()

    def _answer(self, path: str) -> tuple[str, str, bytes]:
        if path == "/v2/":
            return "200 OK", "application/json", b"{}"
        kind, name = path.split("/")[-2:]
        if kind == "manifests" and name in ("1", digest(self.manifest)):
            return "200 OK", "application/vnd.docker.distribution.manifest.v2+json", self.manifest
        if kind == "blobs" and name in self.blobs:
            return "200 OK", "application/octet-stream", self.blobs[name]
        unknown = {"errors": [{"code": "MANIFEST_UNKNOWN", "message": "manifest unknown"}]}
        return "404 Not Found", "application/json", json.dumps(unknown).encode()


@pytest.fixture
async def registry(sh: Sh) -> AsyncIterator[tuple[Registry, str]]:
    """The registry, and the name of its image."""
    made = Registry()
    server = await asyncio.start_server(made.serve, "127.0.0.1", 0)
    port = server.sockets[0].getsockname()[1]
    name = f"127.0.0.1:{port}/it/{os.urandom(4).hex()}"
    yield made, name
    made.go_on.set()
    server.close()
    for image in set(sh("docker", "images", "-q", "--no-trunc", name).stdout.split()):
        sh("docker", "rmi", "-f", image)


async def test_a_pull_tells_its_bytes_and_leaves_the_image_with_its_digest(
    engine: Engine, registry: tuple[Registry, str]
) -> None:
    served, name = registry
    assert await engine.image(f"{name}:1") is None
    told = [progress async for progress in pull(engine, f"{name}:1")]
    assert (told[-1].done_bytes, told[-1].total_bytes) == (served.size, served.size)
    assert told[-1].status == "2 layers in place"
    seen = await engine.image(f"{name}:1")
    assert seen is not None
    assert seen.digest == digest(served.manifest)
    assert await engine.image(f"{name}@{seen.digest}") == seen


async def test_an_image_is_pulled_by_its_digest(engine: Engine, registry: tuple[Registry, str]) -> None:
    served, name = registry
    ref = f"{name}@{digest(served.manifest)}"
    async for _ in pull(engine, ref):
        pass
    assert await engine.image(ref) is not None


async def test_a_tag_the_registry_does_not_have(engine: Engine, registry: tuple[Registry, str]) -> None:
    _, name = registry
    with pytest.raises(EngineError) as refused:
        await anext(pull(engine, f"{name}:none"))
    assert refused.value.failure is FailureClass.IMAGE_PULL
    assert not refused.value.retry


async def test_a_registry_that_is_not_there(engine: Engine) -> None:
    with pytest.raises(EngineError) as refused:
        await anext(pull(engine, "127.0.0.1:1/it/none:1"))
    assert refused.value.failure is FailureClass.IMAGE_PULL
    assert refused.value.retry


async def test_a_pull_that_is_cut_off_can_be_repeated(
    engine: Engine, registry: tuple[Registry, str], cut: Callable[[], None], mend: Callable[[], None]
) -> None:
    served, name = registry
    served.go_on.clear()

    pulling = asyncio.ensure_future(pull_all(engine, name))
    await served.halfway.wait()
    cut()
    with pytest.raises(LinkLost):
        await pulling
    mend()
    assert await engine.image(f"{name}:1") is None
    served.go_on.set()
    await pull_all(engine, name)
    assert await engine.image(f"{name}:1") is not None


async def pull_all(engine: Engine, name: str) -> None:
    async for _ in pull(engine, f"{name}:1"):
        pass
