"""Room on disks, and the way to the container engine."""

from collections.abc import Iterable

from console.health.rules.base import Say, rule
from console.model.facts import Known, Storage, Unknown
from console.model.finding import Finding
from console.model.units import binary_size

_GIB = 1 << 30
_IMAGE_WARN, _IMAGE_FAIL = 100 * _GIB, 10 * _GIB
_SCRATCH_WARN, _SCRATCH_FAIL = 4 * _GIB, 1 * _GIB
_CACHE_WARN, _CACHE_FAIL = 200 * _GIB, 10 * _GIB


@rule(
    "docker.access",
    "docker",
    "a container engine can be used by this account",
    source="benchmarks run in containers",
    required=False,
)
def access(say: Say) -> Iterable[Finding]:
    """Socket or command that answers."""
    fact = say.facts.docker
    if isinstance(fact, Known):
        route = " ".join(fact.value.argv) or fact.value.socket
        return [say.passed(f"{fact.value.flavour} engine through {route}", evidence=fact.source)]
    if "denied" in f"{fact.why} {fact.detail}".lower():
        remedy = 'sudo usermod -aG docker "$USER"   # then sign in again, or sudo = "docker" in the fleet file'
        return [say.warned(f"the engine may not be used: {fact.why}", evidence=fact.detail, remedy=remedy)]
    return [say.unknown("a container engine", fact)]


@rule(
    "disk.images",
    "storage",
    "there is room for container images",
    detail="A benchmark image takes 30 to 60 GiB unpacked. Below 100 GiB is a warning, below 10 GiB a failure.",
    source="unpacked sizes of AMD's images",
    required=False,
)
def images(say: Say) -> Iterable[Finding]:
    """Free space of the engine's folder."""
    remedy = "docker system df; docker image prune   # remove what is not needed any more"
    return [_room(say, say.facts.docker_storage, _IMAGE_WARN, _IMAGE_FAIL, remedy)]


@rule(
    "disk.model_cache",
    "storage",
    "the model cache is there and has room",
    detail="Measured containers read models from it. Below 200 GiB is a warning, below 10 GiB a failure.",
    source="sizes of the published models, up to 400 GiB each",
    required=False,
)
def model_cache(say: Say) -> Iterable[Finding]:
    """Free space of the model cache."""
    fact = say.facts.model_cache
    if isinstance(fact, Unknown) and "fleet file" in fact.why:
        return [say.passed("no model cache is named for this host")]
    if isinstance(fact, Known) and not fact.value.exists:
        seen, remedy = (
            f"{fact.value.path} does not exist",
            f"sudo install -d {fact.value.path}   # or is it not mounted?",
        )
        return [say.failed(seen, expected="a folder", evidence=fact.source, remedy=remedy)]
    return [_room(say, fact, _CACHE_WARN, _CACHE_FAIL, "du -sh PATH/hub/*   # remove models nobody needs")]


@rule(
    "disk.scratch",
    "storage",
    "there is room for results of attempts",
    source="receipts of attempts are written there",
    required=False,
)
def scratch(say: Say) -> Iterable[Finding]:
    """Free space of the scratch folder."""
    fact = say.facts.scratch
    if isinstance(fact, Known) and not fact.value.writable:
        seen, remedy = f"{fact.value.path} cannot be written", f'sudo install -d -o "$USER" {fact.value.path}'
        return [say.warned(seen, expected="a writable folder", evidence=fact.source, remedy=remedy)]
    return [_room(say, fact, _SCRATCH_WARN, _SCRATCH_FAIL, "df -h PATH")]


def _room(say: Say, fact: Known[Storage] | Unknown, warn: int, fail: int, remedy: str) -> Finding:
    if isinstance(fact, Unknown):
        return say.unknown("free space", fact)
    place = fact.value
    if place.free_bytes is None:
        return say.unknown("free space", Unknown("not read", place.path, ("df", "-h", place.path)))
    shared = f" on {place.fs_type} {place.fs_source}" if place.shared_id else ""
    text = f"{place.path} has {binary_size(place.free_bytes)} free{shared}"
    more = {
        "expected": f"{binary_size(warn)} free",
        "evidence": fact.source,
        "remedy": remedy.replace("PATH", place.path),
    }
    if place.free_bytes < fail:
        return say.failed(text, **more)
    return say.warned(text, **more) if place.free_bytes < warn else say.passed(text, evidence=fact.source)
