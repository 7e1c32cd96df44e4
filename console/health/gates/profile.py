"""The host beside the profile of its server. None of this blocks or spoils: AMD's own servers differ in it."""

from collections.abc import Iterable, Sequence

from console.health.check_ids import CheckId
from console.health.expectation import meets, wanted
from console.health.fact_paths import facts_at, values_shown
from console.health.gates.base import Ask, Gate
from console.model.facts import Known, Unknown
from console.model.finding import Effect, Finding, State
from console.model.profile import Expectation, ServerProfile

ELSEWHERE = frozenset(
    {
        "gpu.model",
        "gpu.compute_partition",
        "gpu.memory_partition",
        "gpu.performance_level",
        "gpu.power_cap_w",
        "system.numa_balancing",
        "driver.amdgpu_loaded",
    }
)
"""Facts that gates of their own look at."""


def against_profile(ask: Ask) -> Iterable[Finding]:
    """What the server's profile requires or advises, one finding each; what AMD published of its own, one for all."""
    if ask.server is None:
        return
    published: list[Finding] = []
    for expected in _expectations(ask.server):
        if expected.fact in ELSEWHERE:
            continue
        found = _held(ask, ask.server, expected)
        if expected.level == "published":
            published.append(found)
        else:
            yield found
    if published:
        yield _together(ask, ask.server, published)


def _expectations(server: ServerProfile) -> Sequence[Expectation]:
    """Those written out, and the plain fields of the profile where nothing is written out."""
    written = {item.fact for item in server.expect}
    fields = {
        "system.cpu": server.cpu,
        "system.nodes_per_socket": server.nodes_per_socket,
        "system.bios_version": server.bios_version,
        "system.os": server.os,
        "driver.amdgpu_version": server.driver,
        "driver.rocm_version": server.rocm,
    }
    plain = [
        Expectation(fact=fact, accept=(value,), level="published", source=server.source)
        for fact, value in fields.items()
        if value is not None and fact not in written
    ]
    return (*server.expect, *plain)


def _held(ask: Ask, server: ServerProfile, expected: Expectation) -> Finding:
    check = f"{CheckId.PROFILE}.{expected.fact}"
    source = expected.source or server.source
    placed = facts_at(ask.facts, expected.fact)
    wrong = [item for item in placed if isinstance(item.fact, Known) and not meets(item.fact.value, expected)]
    unknown = next((item.fact for item in placed if isinstance(item.fact, Unknown)), None)
    if wrong:
        return ask.failed(
            check,
            Effect.NOTE,
            f"{expected.fact} is {values_shown(expected.fact, wrong)}",
            expected=wanted(expected),
            source=source,
            remedy=f"instinct status {ask.host} --wide",
            evidence=", ".join(item.where for item in wrong if item.where),
            state=State.FAIL if expected.level == "required" else State.WARN,
        )
    if unknown is not None:
        return ask.unknown(check, Effect.NOTE, expected.fact, unknown, expected=wanted(expected), source=source)
    return ask.passed(check, f"{expected.fact} is {values_shown(expected.fact, placed)}")


def _together(ask: Ask, server: ServerProfile, found: Sequence[Finding]) -> Finding:
    """Differences from AMD's own machine in one note, so that they do not bury the others."""
    differing = [item for item in found if item.state is not State.PASS]
    if not differing:
        return ask.passed(CheckId.PUBLISHED_SERVER, f"as published for {server.title}")
    known = [item for item in differing if item.state is not State.UNKNOWN]
    return ask.failed(
        CheckId.PUBLISHED_SERVER,
        Effect.NOTE,
        "; ".join(f"{item.seen} (published {item.expected})" for item in differing),
        expected=f"as published for {server.title}; a host that differs is not wrong",
        source=server.source,
        remedy=f"instinct profiles show {server.name}",
        state=State.WARN if known else State.UNKNOWN,
    )


GATES: tuple[Gate, ...] = (against_profile,)
