"""Settings that change what is measured: NUMA balancing, partitions, power cap, performance level, RDMA."""

from collections import Counter
from collections.abc import Iterable
from typing import Any

import msgspec

from console.health.check_ids import CheckId
from console.health.gates.base import Ask, Gate
from console.model.facts import Known, Unknown, first_unknown
from console.model.finding import Effect, Finding

WATT_TOLERANCE = 1.0


class Rule(msgspec.Struct, frozen=True, kw_only=True):
    """What every GPU of a host should say of one setting."""

    check: CheckId
    what: str
    fact: str
    accept: tuple[str, ...]
    effect: Effect
    source: str
    remedy: str


def numa_balancing(ask: Ask) -> Iterable[Finding]:
    """The kernel does not move pages while the benchmark runs. 2 (tiering) disturbs as well."""
    fact = ask.facts.system.numa_balancing
    accept = accepted(ask, "system.numa_balancing") or ("0",)
    source = "AMD's vLLM guide: the GPU might hang until the periodic balancing is finalized"
    if isinstance(fact, Unknown):
        what, expected = "NUMA balancing", " or ".join(accept)
        return [ask.unknown(CheckId.NUMA_BALANCING, Effect.NOTE, what, fact, expected=expected, source=source)]
    if str(fact.value) in accept:
        return [ask.passed(CheckId.NUMA_BALANCING, f"NUMA balancing is {fact.value}", fact.source)]
    return [
        ask.failed(
            CheckId.NUMA_BALANCING,
            Effect.SPOIL,
            f"NUMA balancing is {fact.value}",
            expected=" or ".join(accept),
            source=source,
            remedy=f"sudo sysctl -w kernel.numa_balancing={accept[0]}",
            evidence=fact.source,
        )
    ]


def compute_partition(ask: Ask) -> Iterable[Finding]:
    """Every GPU is whole, unless the server's profile says otherwise."""
    accept = accepted(ask, "gpu.compute_partition") or ("SPX",)
    rule = Rule(
        check=CheckId.COMPUTE_PARTITION,
        what="compute partition",
        fact="compute_partition",
        accept=accept,
        effect=Effect.SPOIL,
        source="the published figures are of 8 GPUs in SPX",
        remedy=f"sudo amd-smi set --gpu all --compute-partition {accept[0]}",
    )
    return _every_gpu(ask, rule)


def memory_partition(ask: Ask) -> Iterable[Finding]:
    """Memory of a GPU is one pool, unless the server's profile says otherwise."""
    accept = accepted(ask, "gpu.memory_partition") or ("NPS1",)
    rule = Rule(
        check=CheckId.MEMORY_PARTITION,
        what="memory partition",
        fact="memory_partition",
        accept=accept,
        effect=Effect.SPOIL,
        source="the published figures are of GPUs in NPS1",
        remedy=f"sudo amd-smi set --gpu all --memory-partition {accept[0]}",
    )
    return _every_gpu(ask, rule)


def performance_level(ask: Ask) -> Iterable[Finding]:
    """Clocks are left to the GPU: `perf_determinism` or a manual level caps them."""
    rule = Rule(
        check=CheckId.PERFORMANCE_LEVEL,
        what="performance level",
        fact="performance_level",
        accept=accepted(ask, "gpu.performance_level") or ("auto",),
        effect=Effect.NOTE,
        source="a fixed level caps the clocks",
        remedy="sudo amd-smi reset --gpu all --perf-determinism",
    )
    return _every_gpu(ask, rule)


def power_cap(ask: Ask) -> Iterable[Finding]:
    """No GPU is capped below its specification."""
    if not ask.gpus or ask.gpu is None or ask.need.gpus == 0:
        return
    watts = ask.gpu.power_w
    expected, source = f"{watts} W", ask.gpu.source
    unknown = first_unknown(gpu.power_cap_w for gpu in ask.gpus)
    capped = {
        gpu.bdf: gpu.power_cap_w.value
        for gpu in ask.gpus
        if isinstance(gpu.power_cap_w, Known) and gpu.power_cap_w.value < watts - WATT_TOLERANCE
    }
    if capped:
        yield ask.failed(
            CheckId.POWER_CAP,
            Effect.NOTE,
            f"power cap {min(capped.values()):g} W on {len(capped)} of {len(ask.gpus)} GPUs",
            expected=expected,
            source=source,
            remedy=f"sudo amd-smi set --gpu all --power-cap {watts}",
            evidence=", ".join(f"{bdf} {cap:g} W" for bdf, cap in capped.items()),
        )
    elif unknown is not None:
        yield ask.unknown(CheckId.POWER_CAP, Effect.NOTE, "the power cap", unknown, expected=expected, source=source)
    else:
        yield ask.passed(CheckId.POWER_CAP, f"no GPU is capped below {watts} W")


def rdma(ask: Ask) -> Iterable[Finding]:
    """A cell over several hosts has a fabric to talk over."""
    if not ask.need.needs_rdma:
        return []
    fact = ask.facts.infiniband
    expected, source = "an active InfiniBand or RoCE port", "the cell spans hosts; over TCP it would be far slower"
    if isinstance(fact, Unknown):
        return [ask.unknown(CheckId.RDMA, Effect.NOTE, "the RDMA devices", fact, expected=expected, source=source)]
    if fact.value:
        return [ask.passed(CheckId.RDMA, ", ".join(fact.value), fact.source)]
    return [
        ask.failed(
            CheckId.RDMA,
            Effect.NOTE,
            "no RDMA device",
            expected=expected,
            source=source,
            remedy="rdma link   # is the driver of the NICs loaded?",
            evidence=fact.source,
        )
    ]


def accepted(ask: Ask, fact: str) -> tuple[str, ...]:
    """What the server's profile accepts for a fact, as text; nothing when it does not speak of it."""
    if ask.server is None:
        return ()
    return tuple(str(value) for item in ask.server.expect if item.fact == fact for value in item.accept)


def _every_gpu(ask: Ask, rule: Rule) -> Iterable[Finding]:
    if not ask.gpus or ask.need.gpus == 0:
        return
    expected = " or ".join(rule.accept)
    accepted_values = {value.upper() for value in rule.accept}
    facts: dict[str, Known[Any] | Unknown] = {gpu.bdf: getattr(gpu, rule.fact) for gpu in ask.gpus}
    wrong = {
        bdf: str(fact.value)
        for bdf, fact in facts.items()
        if isinstance(fact, Known) and str(fact.value).upper() not in accepted_values
    }
    unknown = first_unknown(facts.values())
    if wrong:
        seen = ", ".join(f"{value} on {count} of {len(facts)} GPUs" for value, count in Counter(wrong.values()).items())
        yield ask.failed(
            rule.check,
            rule.effect,
            f"{rule.what} {seen}",
            expected=expected,
            source=rule.source,
            remedy=rule.remedy,
            evidence=", ".join(f"{bdf} {value}" for bdf, value in wrong.items()),
        )
    elif unknown is not None:
        yield ask.unknown(rule.check, Effect.NOTE, f"the {rule.what}", unknown, expected=expected, source=rule.source)
    else:
        yield ask.passed(rule.check, f"{rule.what} {expected} on every GPU")


GATES: tuple[Gate, ...] = (numa_balancing, compute_partition, memory_partition, power_cap, performance_level, rdma)
