"""Which conditions differ between a figure and a reference, key by key, and whether that forbids comparing them."""

import math
import re
from collections.abc import Callable, Iterable, Mapping
from typing import Literal

from console.model.cell import Conditions, KeyDifference, Reference
from console.model.names import cpu_name, gpu_name, image_name, same_text
from console.model.profile import Image

Strength = Literal["must", "should", "noted"]

MUST = ("gpu", "gpus", "nodes", "compute_partition")
"""Must agree, like the image (or, where a reference names none, the engine version) and whether it is simulated."""
SHOULD = ("memory_partition", "power_cap_w", "engine", "pytorch", "rocm")
"""Named beside the verdict; the figures stay comparable."""
NOTED = ("cpu", "bios_version", "nodes_per_socket", "kernel", "os", "driver", "host_rocm")
"""AMD's own reference servers differ in these; they never make a figure incomparable."""

NO_NAMES: Mapping[str, str] = {}


def known_names(images: Iterable[Image]) -> Mapping[str, str]:
    """Every name of every image record (its own, its reference, its aliases) to the record's name."""
    return {
        name: image.name
        for image in images
        for name in (image.name, *(image_name(ref).name for ref in (image.ref, *image.aliases)))
    }


def differences(
    measured: Conditions, reference: Reference, images: Mapping[str, str] = NO_NAMES
) -> tuple[KeyDifference, ...]:
    """What differs, must-agree keys first.

    What the reference does not state is no difference. What is not known of the measured side is one: without it a
    must-agree key cannot be said to agree. `images` are names of images as `known_names` gives them.
    """
    found = [_difference(key, "must", measured, reference.under) for key in MUST]
    found.append(_image(measured, reference.under, images))
    found.append(_simulated(measured, reference))
    found += [_difference(key, "should", measured, reference.under) for key in SHOULD]
    found += [_difference(key, "noted", measured, reference.under) for key in NOTED]
    return tuple(item for item in found if item is not None)


def comparable(found: Iterable[KeyDifference]) -> bool:
    """True when no must-agree key differs or is unknown."""
    return not any(item.strength == "must" for item in found)


def same_world(measured: Conditions, reference: Reference) -> bool:
    """A simulated figure belongs to the lab's reference set, and only to it; a real one to all the others."""
    return measured.simulated == (reference.set == "lab")


def sentence(item: KeyDifference) -> str:
    """One difference for people: `image: measured A, reference B`."""
    if item.measured is None:
        return f"{item.key}: unknown, reference {item.reference}"
    return f"{item.key}: measured {item.measured}, reference {item.reference}"


def same_version(one: str, other: str) -> bool:
    """True when one is the other or continues it: `0.8.5` is `0.8.5+rocm631`, `2.7` is `2.7.0`; `0.8` is not `0.80`."""
    first, second = _version_parts(one), _version_parts(other)
    shorter = min(len(first), len(second))
    return shorter > 0 and first[:shorter] == second[:shorter]


def same_digest(one: str, other: str) -> bool:
    """Digests agree when one begins with the other: some documents print only the first characters."""
    first, second = _hex(one), _hex(other)
    return min(len(first), len(second)) >= 7 and (first.startswith(second) or second.startswith(first))


def _version_parts(text: str) -> list[str]:
    return [part for part in re.split(r"[.+_-]", text.strip().lower().removeprefix("v")) if part]


def _hex(digest: str) -> str:
    return re.sub(r"^sha256[:-]", "", digest.strip().lower())


def _same_watts(one: float, other: float) -> bool:
    return math.isclose(one, other, abs_tol=0.5)


_SAME: Mapping[str, Callable[..., bool]] = {
    "gpu": lambda one, other: gpu_name(one) == gpu_name(other),
    "cpu": lambda one, other: cpu_name(one) == cpu_name(other),
    "power_cap_w": _same_watts,
    "pytorch": same_version,
    "rocm": same_version,
    "host_rocm": same_version,
}


def _difference(key: str, strength: Strength, measured: Conditions, reference: Conditions) -> KeyDifference | None:
    seen, stated = getattr(measured, key), getattr(reference, key)
    if stated is None:
        return None
    if seen is None:
        return KeyDifference(key, strength, None, _text(stated))
    if key in _SAME:
        same = _SAME[key](seen, stated)
    else:
        same = same_text(seen, stated) if isinstance(stated, str) else bool(seen == stated)
    return None if same else KeyDifference(key, strength, _text(seen), _text(stated))


def _image(measured: Conditions, reference: Conditions, images: Mapping[str, str]) -> KeyDifference | None:
    """The image decides when the reference names one; the engine's version only stands in for an unnamed image.

    Digests win over names: a mirror's name with the same digest agrees, a tag that has moved does not. An engine's
    own version string is not held against the release a page names, because AMD's images carry development builds.
    The lab's images only bear the names of real ones, so their digests say nothing.
    """
    seen_digest, stated_digest = _digest(measured), _digest(reference)
    if seen_digest and stated_digest and not measured.simulated:
        if same_digest(seen_digest, stated_digest):
            return None
        return KeyDifference("image_digest", "must", seen_digest, stated_digest)
    if reference.image is not None:
        if measured.image is None:
            return KeyDifference("image", "must", None, reference.image)
        same = _known_as(measured.image, images) == _known_as(reference.image, images)
        return None if same else KeyDifference("image", "must", measured.image, reference.image)
    if reference.engine_version is not None:
        if measured.engine_version is None:
            return KeyDifference("engine_version", "must", None, reference.engine_version)
        if not same_version(measured.engine_version, reference.engine_version):
            return KeyDifference("engine_version", "must", measured.engine_version, reference.engine_version)
    return None


def _digest(conditions: Conditions) -> str | None:
    if conditions.image_digest:
        return conditions.image_digest.rpartition("@")[2]
    return image_name(conditions.image).digest if conditions.image else None


def _known_as(image: str, images: Mapping[str, str]) -> str:
    name = image_name(image).name
    return images.get(image, images.get(name, name))


def _simulated(measured: Conditions, reference: Reference) -> KeyDifference | None:
    if same_world(measured, reference):
        return None
    return KeyDifference("simulated", "must", _text(measured.simulated), _text(reference.set == "lab"))


def _text(value: object) -> str:
    if isinstance(value, bool):
        return "yes" if value else "no"
    return f"{value:g}" if isinstance(value, float) else str(value)
