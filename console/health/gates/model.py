"""The model in the host's cache: measured containers run offline, so it must be complete before they start."""

from collections.abc import Iterable

from console.health.check_ids import CheckId
from console.health.gates.base import Ask, Gate
from console.model.facts import CachedModel, Unknown
from console.model.finding import Effect, Finding
from console.model.units import binary_size

_SOURCE = "measured containers read the cache offline"


def cached(ask: Ask) -> Iterable[Finding]:
    """Every file of the model is in the cache, at the revision its card asks for; nothing where none is needed."""
    if ask.model.inside_image or not ask.model.id or not ask.need.model_files:
        return
    expected = f"{ask.model.id} complete in the model cache"
    if isinstance(ask.facts.models, Unknown):
        yield ask.unknown(
            CheckId.MODEL_CACHED,
            Effect.BLOCK,
            f"whether {ask.model.id} is in the cache",
            ask.facts.models,
            expected=expected,
            source=_SOURCE,
        )
        return
    found = next((item for item in ask.facts.models.value if item.model == ask.model.id), None)
    if found is None or not found.complete:
        yield ask.failed(
            CheckId.MODEL_CACHED,
            Effect.BLOCK,
            _missing(ask, found),
            expected=expected,
            source=_SOURCE,
            remedy=ask.fetch,
            evidence=", ".join(found.missing[:4]) if found else ask.facts.models.source,
        )
        return
    yield ask.passed(CheckId.MODEL_CACHED, f"{ask.model.id} is complete ({binary_size(found.present_bytes)})")
    yield from _revision(ask, found)


def _revision(ask: Ask, found: CachedModel) -> Iterable[Finding]:
    wanted = ask.model.revision
    if wanted is None:
        return
    if found.revision == wanted:
        yield ask.passed(CheckId.MODEL_REVISION, f"revision {wanted}")
        return
    yield ask.failed(
        CheckId.MODEL_REVISION,
        Effect.NOTE,
        f"{ask.model.id} is at revision {found.revision}",
        expected=wanted,
        source=ask.model.source,
        remedy=ask.fetch,
    )


def _missing(ask: Ask, found: CachedModel | None) -> str:
    if found is None or (found.revision is None and found.present_bytes == 0 and found.incomplete == 0):
        text = f"{ask.model.id} is not in the cache"
    elif found.revision is None:
        text = f"{ask.model.id} has no finished revision in the cache"
    else:
        half = f", {found.incomplete} half done" if found.incomplete else ""
        text = f"{ask.model.id} lacks {len(found.missing)} files{half}"
    return text + _room(ask, found)


def _room(ask: Ask, found: CachedModel | None) -> str:
    """Whether what is missing would fit, when all three numbers are known."""
    need, cache = ask.need.model_bytes, ask.facts.model_cache
    if need is None or isinstance(cache, Unknown) or cache.value.free_bytes is None:
        return ""
    missing = max(need - (found.present_bytes if found else 0), 0)
    free = cache.value.free_bytes
    room = "which fits" if free >= missing else f"and only {binary_size(free)} are free in {cache.value.path}"
    return f": {binary_size(missing)} to fetch, {room}"


GATES: tuple[Gate, ...] = (cached,)
