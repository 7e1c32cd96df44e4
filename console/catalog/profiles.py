"""Files of `gpus/`, `servers/`, `models/` (one record each) and `images/` (what images share once, then each image)."""

import re
from collections.abc import Iterator, Mapping
from typing import Any, Literal

import msgspec

from console.catalog.errors import suggestion
from console.catalog.locate import KeyPath
from console.catalog.strict import Source
from console.health.fact_paths import known_paths
from console.model.profile import ContainerOptions, GpuSpec, Image, ModelCard, ServerProfile, VllmTraits

_DIGEST = re.compile(r"sha256:[0-9a-f]{7,64}")


class ImageEntry(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """One `[[image]]`. Its own `container` or `vllm` table replaces the file's; see `Image` for the rest."""

    name: str
    ref: str
    aliases: tuple[str, ...] = ()
    source: str | None = None
    digest: str | None = None
    released: str | None = None
    rocm: str | None = None
    engine_version: str | None = None
    pytorch: str | None = None
    python: str | None = None
    compressed_bytes: int | None = None
    unpacked_bytes: int | None = None
    container: ContainerOptions | None = None
    vllm: VllmTraits | None = None
    workdir: str | None = None
    notes: tuple[str, ...] = ()
    on_page: str | None = None


class ImageFile(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A file of `images/`: images of one program, with what they share."""

    program: Literal["vllm", "pytorch-training", "megatron-lm", "other"]
    source: str
    container: ContainerOptions = ContainerOptions()
    vllm: VllmTraits | None = None
    image: tuple[ImageEntry, ...]


def read_gpu(source: Source) -> GpuSpec | None:
    """The GPU model of a file."""
    return source.record(source.data, GpuSpec)


def read_model(source: Source) -> ModelCard | None:
    """The model of a file."""
    return source.record(source.data, ModelCard)


def read_server(source: Source, gpus: Mapping[str, GpuSpec]) -> ServerProfile | None:
    """The server profile of a file; its GPU has to be known, and so has every fact it expects something of."""
    server = source.record(source.data, ServerProfile)
    if server is None:
        return None
    before = len(source.problems)
    if server.gpu not in gpus:
        source.problem(("gpu",), f"no GPU is called {server.gpu!r}{suggestion(server.gpu, gpus)}")
    facts = known_paths()
    for index, item in enumerate(server.expect):
        if item.fact not in facts and not item.fact.startswith("cmdline."):
            said = f"no fact of a host is called {item.fact!r}{suggestion(item.fact, facts)}"
            source.problem(("expect", index, "fact"), said)
    return server if len(source.problems) == before else None


def read_images(source: Source) -> Iterator[tuple[KeyPath, Image]]:
    """The images of a file, each with its place in it."""
    file = source.record(source.data, ImageFile)
    if file is None:
        return
    for index, entry in enumerate(file.image):
        path: KeyPath = ("image", index)
        if entry.digest is not None and not _DIGEST.fullmatch(entry.digest):
            source.problem((*path, "digest"), f"{entry.digest!r} is not sha256: and 7 to 64 hexadecimal digits")
            continue
        traits = entry.vllm or file.vllm
        if file.program == "vllm" and traits is None:
            source.problem(path, "missing table `vllm`: how this image wants to be called")
            continue
        shared: dict[str, Any] = {
            "source": entry.source or file.source,
            "container": entry.container or file.container,
            "vllm": traits,
        }
        own: dict[str, Any] = {name: getattr(entry, name) for name in entry.__struct_fields__ if name not in shared}
        yield path, Image(**own, **shared, program=file.program)
