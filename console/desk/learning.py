"""A server profile from what most of a real fleet's hosts have, and who differs from it.

A learned profile says what is, not what should be: its author looks it over before it becomes the measure.
"""

import json
from collections import Counter
from collections.abc import Callable, Mapping, Sequence

import msgspec

from console.catalog.profiles import read_server
from console.catalog.shelf import Catalog
from console.catalog.strict import Source
from console.desk.errors import DeskError
from console.desk.health import gpu_spec
from console.health.expectation import meets, shown, wanted
from console.health.fact_paths import facts_at
from console.health.rules.peers import kind
from console.model.facts import HostFacts, Known
from console.model.names import cpu_name
from console.model.profile import Expectation, Level, ServerProfile

_TOLERANCE = 0.01

_LEARNED: Mapping[str, Level] = {
    "gpu.count": "required",
    "gpu.model": "required",
    "gpu.vram_total_bytes": "required",
    "gpu.compute_partition": "required",
    "gpu.memory_partition": "required",
    "gpu.power_cap_w": "required",
    "gpu.performance_level": "advised",
    "gpu.vbios_version": "advised",
    "system.numa_balancing": "required",
    "system.nodes_per_socket": "required",
    "system.smt_active": "advised",
    "system.iommu": "advised",
    "system.thp": "advised",
    "system.governor": "advised",
    "system.c2_disabled": "advised",
    "system.bios_version": "advised",
    "system.os": "advised",
    "system.kernel": "advised",
    "driver.amdgpu_loaded": "required",
    "driver.amdgpu_version": "advised",
    "driver.rocm_version": "advised",
    "rdma.active": "required",
}
"""What is learned, and how strictly it is held: what changes figures is required, what only should agree is advised."""

_RANGES: Mapping[str, float] = {"gpu.vram_total_bytes": _TOLERANCE, "gpu.power_cap_w": _TOLERANCE}


class Deviation(msgspec.Struct, frozen=True):
    """A host that differs from what was learned."""

    host: str
    fact: str
    seen: str
    expected: str


class Learned(msgspec.Struct, frozen=True, kw_only=True):
    """A profile, its text as a file of `profiles/servers/`, the hosts it was learned of, and what does not fit it.

    `others` are hosts of another kind (product, processor, GPU): they want a profile of their own.
    """

    profile: ServerProfile
    toml: str
    hosts: tuple[str, ...]
    deviations: tuple[Deviation, ...]
    others: tuple[str, ...]
    unsettled: tuple[str, ...]
    """Facts on which no majority agrees; they are not in the profile."""


def learn(catalog: Catalog, facts: Mapping[str, HostFacts], name: str | None = None, *, dated: str) -> Learned:
    """Of the largest group of hosts of one kind. Raises DeskError when nothing can be learned."""
    if not facts:
        raise DeskError("no host answered: there is nothing to learn from")
    kinds = Counter(kind(each) for each in facts.values())
    usual_kind = kinds.most_common(1)[0][0]
    group = {host: each for host, each in facts.items() if kind(each) == usual_kind}
    first = next(iter(group.values()))
    spec = gpu_spec(catalog, first)
    if spec is None:
        raise DeskError(f"{first.host}: its GPUs could not be read or are in no catalog; is amdgpu loaded?")
    expect, unsettled = _expectations(group)
    counted = next((item for item in expect if item.fact == "gpu.count"), None)
    sockets = _majority([each.system.sockets for each in group.values()]) or 2
    cpu = str(_majority([each.system.cpu for each in group.values()]) or "any")
    short = cpu_name(cpu).removeprefix("EPYC ").lower().replace(" ", "-")
    profile = ServerProfile(
        name=name or f"{spec.name.lower()}-{sockets}x{short}-learned",
        title=f"{counted.accept[0] if counted else '?'}x {spec.name}, {sockets}x {cpu_name(cpu)}, as found",
        gpu=spec.name,
        gpus=int(counted.accept[0]) if counted else 8,
        cpu=cpu,
        sockets=int(sockets),
        memory_bytes=_memory(group),
        source=f"learned of {len(group)} hosts on {dated}",
        expect=expect,
    )
    deviations = [item for host, each in group.items() for item in _deviations(host, each, expect)]
    text = to_toml(profile)
    _checked(text, catalog)
    return Learned(
        profile=profile,
        toml=text,
        hosts=tuple(group),
        deviations=tuple(deviations),
        others=tuple(host for host in facts if host not in group),
        unsettled=unsettled,
    )


def to_toml(profile: ServerProfile) -> str:
    """A profile as a file of `profiles/servers/`."""
    lines = ["# Learned from hosts as they are; look it over before it becomes what they should be."]
    for key in ("name", "title", "gpu", "gpus", "cpu", "sockets", "memory_bytes", "source"):
        value = getattr(profile, key)
        if value is not None:
            lines.append(f"{key} = {_toml(value)}")
    lines.append("expect = [")
    for item in profile.expect:
        parts = [f"fact = {_toml(item.fact)}"]
        if item.accept:
            parts.append(f"accept = [{', '.join(map(_toml, item.accept))}]")
        parts += [f"{key} = {_toml(getattr(item, key))}" for key in ("low", "high") if getattr(item, key) is not None]
        parts += [f"level = {_toml(item.level)}"] if item.level != "required" else []
        lines.append(f"  {{ {', '.join(parts)}, source = {_toml(item.source)} }},")
    return "\n".join([*lines, "]", ""])


def _expectations(group: Mapping[str, HostFacts]) -> tuple[tuple[Expectation, ...], tuple[str, ...]]:
    expect: list[Expectation] = []
    unsettled: list[str] = []
    for fact, level in _LEARNED.items():
        values = [_value(each, fact) for each in group.values()]
        counts = Counter(value for value in values if value is not None)
        if not counts:
            continue
        usual, number = counts.most_common(1)[0]
        if number <= len(group) / 2:
            unsettled.append(fact)
            continue
        source = f"{number} of {len(group)} hosts"
        spread = _RANGES.get(fact)
        if spread is not None and isinstance(usual, int | float):
            digits = 1 if usual < 1e6 else None
            low, high = round(usual * (1 - spread), digits), round(usual * (1 + spread), digits)
            expect.append(Expectation(fact=fact, low=low, high=high, level=level, source=source))
        elif not (fact == "rdma.active" and usual == 0):
            expect.append(Expectation(fact=fact, accept=(usual,), level=level, source=source))
    return tuple(expect), tuple(unsettled)


def _value(facts: HostFacts, path: str) -> str | int | float | bool | None:
    """What a host has; of GPUs what most of them have."""
    counts = Counter(item.fact.value for item in facts_at(facts, path) if isinstance(item.fact, Known))
    return counts.most_common(1)[0][0] if counts else None


def _majority(found: Sequence[object]) -> str | int | None:
    counts = Counter(fact.value for fact in found if isinstance(fact, Known))
    return counts.most_common(1)[0][0] if counts else None


def _memory(group: Mapping[str, HostFacts]) -> int | None:
    """The size most hosts come near to, in whole GiB: the kernel keeps a little of it."""
    sizes = [
        round(fact.value / (1 << 30)) for each in group.values() if isinstance(fact := each.system.memory_bytes, Known)
    ]
    return Counter(sizes).most_common(1)[0][0] << 30 if sizes else None


def _deviations(host: str, facts: HostFacts, expect: Sequence[Expectation]) -> list[Deviation]:
    found = []
    for item in expect:
        wrong = [
            placed
            for placed in facts_at(facts, item.fact)
            if isinstance(placed.fact, Known) and not meets(placed.fact.value, item)
        ]
        if wrong:
            values = dict.fromkeys(shown(item.fact, each.fact.value) for each in wrong if isinstance(each.fact, Known))
            where = f" on {len(wrong)} GPUs" if wrong[0].where else ""
            found.append(Deviation(host, item.fact, ", ".join(values) + where, wanted(item)))
    return found


_QUOTE: Callable[[str], str] = json.dumps


def _toml(value: object) -> str:
    if isinstance(value, bool):
        return "true" if value else "false"
    return _QUOTE(value) if isinstance(value, str) else str(value)


def _checked(text: str, catalog: Catalog) -> None:
    """What is written must be readable again."""
    source = Source("learned profile", text)
    if read_server(source, catalog.gpus) is None or source.problems:
        raise DeskError("; ".join(str(problem) for problem in source.problems) or "the learned profile is not readable")
