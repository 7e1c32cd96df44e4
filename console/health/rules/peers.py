"""Agreement with the rest of the fleet: what most hosts of the same kind have."""

import weakref
from collections import Counter
from collections.abc import Callable, Iterable, Mapping

import msgspec

from console.health.rules.base import Say, rule
from console.model.facts import Gpu, HostFacts, Known, Unknown, value_or
from console.model.finding import Finding
from console.model.names import cpu_name
from console.model.units import binary_size

LEAST_PEERS = 2
"""With one other host there is no majority."""
_OWN_WORDS = ("BOOT_IMAGE=", "root=", "initrd=", "ostree=", "resume=", "crashkernel=", "hostname=", "ip=")


def _text(fact: Known[str] | Known[int] | Known[bool] | Unknown) -> str | None:
    return str(fact.value) if isinstance(fact, Known) else None


def _cmdline(facts: HostFacts) -> str | None:
    """Parameters without those that name this host's own disks."""
    fact = facts.system.cmdline
    if isinstance(fact, Unknown):
        return None
    return " ".join(sorted(word for word in fact.value.split() if not word.startswith(_OWN_WORDS)))


def _of_gpus(value: Callable[[Gpu], object]) -> Callable[[HostFacts], str | None]:
    """One value all GPUs of a host share; None where they do not, which is `gpu.alike`'s matter."""

    def read(facts: HostFacts) -> str | None:
        if isinstance(facts.gpus, Unknown):
            return None
        values = {value(gpu) for gpu in facts.gpus.value}
        only = values.pop() if len(values) == 1 else None
        return None if only is None else str(only)

    return read


def _gpu_text(name: str) -> Callable[[HostFacts], str | None]:
    def value(gpu: Gpu) -> object:
        fact = getattr(gpu, name)
        return value_or(fact, None)

    return _of_gpus(value)


def _firmware(gpu: Gpu) -> object:
    if isinstance(gpu.firmware, Unknown):
        return None
    return ", ".join(f"{item.name} {item.version}" for item in gpu.firmware.value) or None


def _memory(facts: HostFacts) -> str | None:
    fact = facts.system.memory_bytes
    return None if isinstance(fact, Unknown) else binary_size(round(fact.value / (1 << 33)) * (1 << 33))


def _count(facts: HostFacts) -> str | None:
    return None if isinstance(facts.gpus, Unknown) else str(len(facts.gpus.value))


ASPECTS: Mapping[str, Callable[[HostFacts], str | None]] = {
    "kernel": lambda facts: _text(facts.system.kernel),
    "os": lambda facts: _text(facts.system.os),
    "bios": lambda facts: _text(facts.system.bios_version),
    "cmdline": _cmdline,
    "amdgpu": lambda facts: _text(facts.driver.amdgpu_version),
    "rocm": lambda facts: _text(facts.driver.rocm_version),
    "memory": _memory,
    "smt": lambda facts: _text(facts.system.smt_active),
    "nodes_per_socket": lambda facts: _text(facts.system.nodes_per_socket),
    "iommu": lambda facts: _text(facts.system.iommu),
    "thp": lambda facts: _text(facts.system.thp),
    "governor": lambda facts: _text(facts.system.governor),
    "gpus": _count,
    "vbios": _gpu_text("vbios_version"),
    "firmware": _of_gpus(_firmware),
    "partition": _gpu_text("compute_partition"),
    "memory_partition": _gpu_text("memory_partition"),
    "power_cap": _gpu_text("power_cap_w"),
}
"""What hosts of one kind should agree in."""


def kind(facts: HostFacts) -> tuple[str, str, str]:
    """Hosts of the same product, processor and GPU are compared; others are different on purpose."""
    cpu = _text(facts.system.cpu)
    devices = "" if isinstance(facts.gpus, Unknown) else ",".join(sorted({gpu.device_id for gpu in facts.gpus.value}))
    return (_text(facts.system.product) or "", cpu_name(cpu) if cpu else "", devices)


class Traits(msgspec.Struct, frozen=True):
    """What a host is compared by: its kind, and a value for each of ASPECTS in their order."""

    kind: tuple[str, str, str]
    aspects: tuple[str | None, ...]


_TRAITS: dict[int, tuple["weakref.ref[HostFacts]", Traits]] = {}
"""Of facts that are still in use, by their identity: every host is compared with every other."""


def traits(facts: HostFacts) -> Traits:
    """What a host is compared by, reckoned once for as long as its facts are kept."""
    key = id(facts)
    kept = _TRAITS.get(key)
    if kept is not None and kept[0]() is facts:
        return kept[1]
    made = Traits(kind(facts), tuple(read(facts) for read in ASPECTS.values()))
    _TRAITS[key] = weakref.ref(facts, lambda gone: _forget(key, gone)), made
    return made


def _forget(key: int, gone: "weakref.ref[HostFacts]") -> None:
    kept = _TRAITS.get(key)
    if kept is not None and kept[0] is gone:  # else other facts have taken the place meanwhile
        del _TRAITS[key]


@rule(
    "peers",
    "peers",
    "the host agrees with most hosts of its kind",
    detail="Hosts of the same product, processor and GPU model that were looked at together. A difference warns: "
    "a job over several hosts is as good as the odd one out.",
    source="CVS preflight: the same versions on every node",
    required=False,
)
def peers(say: Say) -> Iterable[Finding]:
    """One finding for each aspect in which most others agree and this host differs."""
    mine = traits(say.facts)
    others = [
        other
        for name, facts in say.case.peers.items()
        if name != say.facts.host and (other := traits(facts)).kind == mine.kind
    ]
    if len(others) < LEAST_PEERS:
        few = Unknown("too few to compare", f"{len(others)} other hosts of this kind were looked at")
        yield say.unknown("what hosts of this kind have", few, waived="no peers")
        return
    differs = False
    for place, aspect in enumerate(ASPECTS):
        own = mine.aspects[place]
        counts = Counter(value for each in (*others, mine) if (value := each.aspects[place]) is not None)
        if own is None or not counts:
            continue
        usual, number = counts.most_common(1)[0]
        if own == usual or number <= (len(others) + 1) / 2:
            continue
        differs = True
        yield say.warned(
            f"{aspect.replace('_', ' ')} is {own}",
            about=aspect,
            expected=f"{usual}, as on {number} of {len(others) + 1} hosts",
            remedy=f"instinct status --diff HOST fleet   # {aspect.replace('_', ' ')}",
        )
    if not differs:
        yield say.passed(f"agrees with {len(others)} hosts of its kind")
