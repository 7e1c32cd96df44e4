"""Facts of a host by area, each beside what it should be. Pure: a walk over the record, whatever it holds."""

from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from typing import Any, Literal, NamedTuple

import msgspec

from console.health.fact_paths import facts_at
from console.model.facts import Driver, Gpu, HostFacts, Known, System, Unknown
from console.model.profile import Expectation
from console.model.text import Clean, clean_line
from console.tui.marks import Mark, Role
from console.tui.screens.host.values import UNITS, label, shown
from console.tui.widgets.grid import Cell, Column, Row
from console.tui.widgets.lines import BLANK, Para, labelled, para

COLUMNS = (
    Column("mark", "", 9),
    Column("fact", "fact", 22),
    Column("value", "is", 26, grow=3),
    Column("expected", "should be", 16, grow=1, rank=1),
    Column("source", "read from", 20, grow=2, rank=2),
)
DIFFERS: Mapping[str, Mark] = {
    "required": Mark("✗", "differs", "fail"),
    "advised": Mark("▲", "differs", "warn"),
    "published": Mark("≈", "other", "dim"),
}
"""By how strictly it is held; what is published for AMD's own server is only compared."""
AGREES = Mark("✓", "", "ok")
UNKNOWN = Mark("?", "unknown", "unknown")

_AREAS: Mapping[str, tuple[str, ...]] = {
    "board": ("product", "vendor", "board", "bios_version", "bios_vendor", "bios_date", "iommu", "acs_bridges"),
    "processor": (
        *("cpu", "cpu_family", "sockets", "cores", "cores_per_socket", "cpus_online", "cpus_present", "smt_active"),
        *("smt_control", "boost", "governor", "cpufreq_driver", "c_states", "c2_disabled", "load_1m"),
    ),
    "memory": (
        *("memory_bytes", "memory_available_bytes", "numa_nodes", "nodes_per_socket", "numa", "numa_balancing"),
        *("thp", "swappiness"),
    ),
    "system": (),
    "limits": ("memlock_bytes", "open_files", "stack_bytes", "groups", "user"),
}
"""Where the facts of the system stand; a name that is in none of these stands under `system`."""
_REST: Mapping[str, tuple[str, ...]] = {
    "network": ("rdma", "infiniband", "nics", "providers", "listening"),
    "storage": ("shared_memory", "model_cache", "scratch", "docker_storage", "models"),
    "docker": ("docker", "engine"),
}
_NOT_SHOWN = frozenset({"system", "driver", "gpus", "host", "read_at_ns", "simulated", "origin", "kernel_log"})
_GPU_PLAIN = ("device_id",)

Value = Known[Any] | Unknown
Agreement = Literal["agrees", "differs", "not known"]


class Fact(NamedTuple):
    """One line: a fact of the host, or the same fact of every GPU with the address of each."""

    path: str
    area: str
    name: str
    values: tuple[tuple[str, Value], ...]


def walk(facts: HostFacts) -> Iterator[Fact]:
    """Every fact, area by area. A field nobody thought of here appears too, under its record."""
    placed = {name: area for area, names in _AREAS.items() for name in names}
    for area, names in _AREAS.items():
        own = names or tuple(name for name in System.__struct_fields__ if name not in placed)
        yield from (Fact(f"system.{name}", area, name, (("", getattr(facts.system, name)),)) for name in own)
    for name in Driver.__struct_fields__:
        yield Fact(f"driver.{name}", "driver", name, (("", getattr(facts.driver, name)),))
    yield from _gpus(facts)
    known = {name for names in _REST.values() for name in names} | _NOT_SHOWN
    other = tuple(name for name in HostFacts.__struct_fields__ if name not in known)
    for area, names in (*_REST.items(), ("other", other)):
        yield from (Fact(name, area, name, (("", getattr(facts, name)),)) for name in names)


def _gpus(facts: HostFacts) -> Iterator[Fact]:
    if isinstance(facts.gpus, Unknown):
        yield Fact("gpus", "GPUs", "gpus", (("", facts.gpus),))
        return
    gpus, source = facts.gpus.value, facts.gpus.source
    devices = {gpu.device_bdf or gpu.bdf for gpu in gpus}
    yield Fact("gpu.count", "GPUs", "count", (("", Known(len(devices), source)),))
    for name in Gpu.__struct_fields__:
        if not gpus or name in ("bdf", "partition", "device_bdf"):
            continue
        values = [(gpu.bdf, getattr(gpu, name)) for gpu in gpus]
        if isinstance(values[0][1], Known | Unknown):
            yield Fact(f"gpu.{name}", "GPUs", name, tuple(values))
        elif name in _GPU_PLAIN:
            yield Fact(f"gpu.{name}", "GPUs", name, tuple((bdf, Known(value, source)) for bdf, value in values))


class Entry(NamedTuple):
    """A fact with what is expected of it."""

    fact: Fact
    expected: Expectation | None
    agreement: Agreement | None

    @property
    def differs(self) -> bool:
        """It is not what it should be."""
        return self.agreement == "differs"

    @property
    def mark(self) -> Mark | None:
        """How it stands; None where nothing is expected of what is known."""
        if self.expected is not None and self.differs:
            return DIFFERS[self.expected.level]
        if any(isinstance(value, Unknown) for _, value in self.fact.values):
            return UNKNOWN
        return AGREES if self.agreement == "agrees" else None


def entries(
    facts: HostFacts,
    expected: Mapping[str, Expectation],
    agree: Callable[[Expectation], Agreement],
    *,
    only_different: bool = False,
    words: str = "",
) -> dict[str, Entry]:
    """Facts by their path, in the order of their areas; last what is expected of no field, as a kernel parameter."""
    found: dict[str, Entry] = {}
    for fact in walk(facts):
        want = expected.get(fact.path)
        found[fact.path] = Entry(fact, want, agree(want) if want is not None else None)
    for path, want in expected.items():
        if path not in found:
            values = tuple((item.where, item.fact) for item in facts_at(facts, path))
            found[path] = Entry(Fact(path, "expected beside these", path, values), want, agree(want))
    kept = found if not only_different else {path: item for path, item in found.items() if item.differs}
    wanted = words.lower().split()
    return {path: item for path, item in kept.items() if all(word in _searched(item) for word in wanted)}


def rows(found: Mapping[str, Entry], wanted: Callable[[Expectation], str]) -> list[Row]:
    """A row for each, under a heading for each area."""
    made: list[Row] = []
    area = ""
    for path, item in found.items():
        if item.fact.area != area:
            area = item.fact.area
            made.append(Row(f"\n{area}", ("", (area, "accent"))))
        mark = item.mark
        text = wanted(item.expected) if item.expected is not None else ""
        role: Role = mark.role if mark is not None and item.differs else ""
        cells: tuple[Cell, ...] = (
            (mark.text.rstrip(), mark.role) if mark is not None else "",
            label(item.fact.name),
            (summary(item.fact), role or ("dim" if mark is UNKNOWN else "")),
            (clean_line(text), role or "dim"),
            (next(iter(sources(item.fact)), ""), "dim"),
        )
        made.append(Row(path, cells))
    return made


def area(found: Mapping[str, Entry], key: str, wanted: Callable[[Expectation], str]) -> list[Para]:
    """What a heading stands for: how many facts, how many are unknown, and those that differ."""
    own = [item for item in found.values() if f"\n{item.fact.area}" == key]
    held = sum(item.expected is not None for item in own)
    made = [para(key.strip(), "bold"), para(f"{len(own)} facts; something is expected of {held}", "dim"), BLANK]
    for item in own:
        if item.differs and item.expected is not None:
            mark = DIFFERS[item.expected.level]
            text = f"{label(item.fact.name)} is {summary(item.fact)}, should be {clean_line(wanted(item.expected))}"
            made.append(Para(((f"{mark.glyph} ", mark.role), (text, "")), 2))
    lost = [label(item.fact.name) for item in own if item.mark is UNKNOWN]
    if lost:
        made.append(Para(((f"{UNKNOWN.glyph} not known: ", UNKNOWN.role), (", ".join(lost), "dim")), 2))
    return made


def summary(fact: Fact) -> Clean:
    """The value in one line; of GPUs what they have in common, or how far they differ."""
    known = [value.value for _, value in fact.values if isinstance(value, Known)]
    unknown = [value for _, value in fact.values if isinstance(value, Unknown)]
    if not fact.values:
        return Clean("")
    if not known:
        return clean_line(f"{unknown[0].why}{f': {unknown[0].detail}' if unknown[0].detail else ''}")
    texts = Counter(shown(fact.name, value) for value in known)
    lost = f", unknown on {len(unknown)}" if unknown else ""
    if len(texts) == 1:
        return Clean(next(iter(texts)) + lost)
    if all(isinstance(value, int | float) and not isinstance(value, bool) for value in known):
        return Clean(f"{shown(fact.name, min(known))} to {shown(fact.name, max(known))}{lost}")
    if len(texts) <= 3:
        return Clean(", ".join(f"{text} on {count}" for text, count in texts.most_common()) + lost)
    return Clean(f"{len(texts)} different values{lost}")


def sources(fact: Fact) -> tuple[Clean, ...]:
    """Where it was read, without the address where there are many."""
    found = dict.fromkeys(
        clean_line(value.source.replace(bdf, "*") if bdf and len(fact.values) > 1 else value.source)
        for bdf, value in fact.values
        if isinstance(value, Known)
    )
    return tuple(found)


def detail(item: Entry, wanted: Callable[[Expectation], str], server: str) -> list[Para]:
    """One fact in full: of each GPU, part by part, where it was read or how to see it, and what it should be."""
    fact = item.fact
    made = [Para(((clean_line(fact.path), "bold"), (f"   {UNITS.get(fact.name, '')}", "dim")))]
    if item.expected is not None:
        mark = item.mark
        role: Role = mark.role if mark is not None else ""
        made.append(labelled("should be", clean_line(wanted(item.expected), 600), role))
        level = f"{item.expected.level}, {server or 'AMD’s guides'}: {item.expected.source}"
        made.append(labelled("because", clean_line(level, 600), "dim"))
    made += _values(fact)
    for source in sources(fact)[:3]:
        made.append(labelled("read from", source, "dim"))
    for why in dict.fromkeys(value for _, value in fact.values if isinstance(value, Unknown)):
        made.append(labelled("unknown", clean_line(f"{why.why} {why.detail}".strip(), 600), "unknown"))
        if why.show:
            made.append(labelled("to see it", clean_line(" ".join(why.show), 600), "accent"))
    return made


def _values(fact: Fact) -> Iterable[Para]:
    texts = {text for _, value in fact.values if isinstance(value, Known) for text in (shown(fact.name, value.value),)}
    if len(fact.values) > 1 and len(texts) > 1:
        yield BLANK
        for bdf, value in fact.values:
            yield labelled(
                clean_line(bdf),
                shown(fact.name, value.value) if isinstance(value, Known) else f"unknown: {clean_line(value.why)}",
                "" if isinstance(value, Known) else "unknown",
                width=14,
            )
        return
    first = next((value.value for _, value in fact.values if isinstance(value, Known)), None)
    if first is None:
        return
    if isinstance(first, tuple) and first and isinstance(first[0], msgspec.Struct):
        yield labelled("is", f"{len(first)}:")
        yield from (para(f"  {shown('', part)}", hang=4) for part in first)
        return
    yield labelled("is", shown(fact.name, first, 2000))


def markdown(found: Mapping[str, Entry], wanted: Callable[[Expectation], str], *, title: str) -> str:
    """The facts as a Markdown table."""
    lines = [title, "", "| fact | is | should be |", "| --- | --- | --- |"]
    for path, item in found.items():
        text = wanted(item.expected) if item.expected is not None else ""
        mark = f"{item.mark.glyph} " if item.mark is not None and item.differs else ""
        cells: Sequence[str] = (path, f"{mark}{summary(item.fact)}", text)
        lines.append("| " + " | ".join(cell.replace("|", "\\|") for cell in cells) + " |")
    return "\n".join(lines) + "\n"


def _searched(item: Entry) -> str:
    return f"{item.fact.area} {item.fact.path} {label(item.fact.name)} {summary(item.fact)}".lower()
