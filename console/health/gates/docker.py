"""The Docker engine, the image, and the disk both need."""

from collections.abc import Iterable

import msgspec

from console.health.check_ids import CheckId
from console.health.gates.base import Ask, Gate
from console.model.facts import Known, Unknown
from console.model.finding import Effect, Finding
from console.model.names import image_name
from console.model.units import binary_size

SCRATCH_MIN_BYTES = 1 << 30
"""Receipts are kilobytes; below this something else is filling the file system."""


def access(ask: Ask) -> Iterable[Finding]:
    """A Docker engine that this user may talk to."""
    fact = ask.facts.docker
    if isinstance(fact, Known):
        route = " ".join(fact.value.argv) or fact.value.socket
        return [ask.passed(CheckId.DOCKER_ACCESS, f"{fact.value.flavour} Docker through {route}", fact.source)]
    found = ask.unknown(
        CheckId.DOCKER_ACCESS,
        Effect.BLOCK,
        "a Docker engine that can be reached",
        fact,
        expected="a Docker socket this user may use",
        source="benchmarks run in containers",
    )
    denied = "denied" in f"{fact.why} {fact.detail}".lower()
    if denied and not fact.show:
        remedy = 'sudo usermod -aG docker "$USER"   # then sign in again, or set sudo = "docker" in the fleet file'
        return [msgspec.structs.replace(found, remedy=remedy)]
    return [found]


def engine(ask: Ask) -> Iterable[Finding]:
    """The engine answers."""
    fact = ask.facts.engine
    if isinstance(fact, Known):
        return [ask.passed(CheckId.DOCKER_ENGINE, f"Docker {fact.value.version}", fact.source)]
    if isinstance(ask.facts.docker, Unknown):
        return []  # said by `access`
    return [
        ask.unknown(
            CheckId.DOCKER_ENGINE,
            Effect.BLOCK,
            "what the Docker engine says of itself",
            fact,
            expected="an engine that answers",
            source="benchmarks run in containers",
        )
    ]


def image(ask: Ask) -> Iterable[Finding]:
    """The image is there, or there is room to pull it."""
    if isinstance(ask.facts.engine, Unknown):
        return []  # said by `engine`
    if _has_image(ask.facts.engine.value.images, ask.image_ref):
        return [ask.passed(CheckId.IMAGE_PRESENT, f"{ask.image_ref} is there", ask.facts.engine.source)]
    size = ask.need.image_bytes
    pull = f"a pull of {binary_size(size)} unpacked comes first" if size is not None else "a pull comes first"
    absent = ask.failed(
        CheckId.IMAGE_PRESENT,
        Effect.NOTE,
        f"{ask.image_ref} is not on the host: {pull}",
        expected="the image on the host",
        source="a pull inside a run holds the host while nothing is measured",
        remedy=ask.fetch,
    )
    return [absent, *_image_disk(ask, size)]


def scratch(ask: Ask) -> Iterable[Finding]:
    """Room for receipts. A folder that is not there yet is made by the first of them where its parent is writable."""
    fact = ask.facts.scratch
    expected = f"a writable folder with {binary_size(SCRATCH_MIN_BYTES)} free"
    why = "receipts of attempts are written there"
    if isinstance(fact, Unknown):
        return [ask.unknown(CheckId.SCRATCH, Effect.NOTE, "the scratch folder", fact, expected=expected, source=why)]
    place = fact.value
    free = place.free_bytes
    if not place.writable:
        seen = f"{place.path} is not writable" if place.exists else f"{place.path} cannot be made"
        effect, remedy = Effect.BLOCK, f'sudo install -d -o "$USER" {place.path}'
    elif free is not None and free < SCRATCH_MIN_BYTES:
        seen, effect = f"{place.path} has {binary_size(free)} free", Effect.BLOCK
        remedy = f"df -h {place.path}   # then make room, or set scratch in the fleet file"
    elif free is None:
        seen, effect = f"free space of {place.path} is not known", Effect.NOTE
        remedy = f"df -h {place.path}"
    else:
        return [ask.passed(CheckId.SCRATCH, f"{place.path} has {binary_size(free)} free", fact.source)]
    return [
        ask.failed(CheckId.SCRATCH, effect, seen, expected=expected, source=why, remedy=remedy, evidence=fact.source)
    ]


def _image_disk(ask: Ask, size: int | None) -> Iterable[Finding]:
    fact = ask.facts.docker_storage
    why = "Docker unpacks the image under its own folder"
    expected = f"{binary_size(size)} free" if size is not None else "room for the image"
    if isinstance(fact, Unknown):
        what = "free space of Docker's folder"
        return [ask.unknown(CheckId.IMAGE_DISK, Effect.NOTE, what, fact, expected=expected, source=why)]
    place = fact.value
    if place.free_bytes is None or size is None:
        seen = f"whether {place.path} has room for the image"
        unsized = Unknown("free space not read" if place.free_bytes is None else "the image's size is not stated")
        return [ask.unknown(CheckId.IMAGE_DISK, Effect.NOTE, seen, unsized, expected=expected, source=why)]
    if place.free_bytes >= size:
        return [ask.passed(CheckId.IMAGE_DISK, f"{place.path} has {binary_size(place.free_bytes)} free", fact.source)]
    return [
        ask.failed(
            CheckId.IMAGE_DISK,
            Effect.BLOCK,
            f"{place.path} has {binary_size(place.free_bytes)} free",
            expected=expected,
            source=why,
            remedy="docker system df   # then remove what is not needed any more",
            evidence=fact.source,
        )
    ]


def _has_image(present: Iterable[str], wanted: str) -> bool:
    """By digest when the wanted reference carries one, else by repository and tag."""
    want = image_name(wanted)
    seen = [image_name(reference) for reference in present]
    if want.digest is None:
        return any(item.digest is None and item.name == want.name for item in seen)
    return any(item.digest == want.digest and _repository(item.name) == _repository(want.name) for item in seen)


def _repository(name: str) -> str:
    head, _, tag = name.rpartition(":")
    return head if head and "/" not in tag else name


GATES: tuple[Gate, ...] = (access, engine, image, scratch)
