"""How a rule says what it found, and how it is registered."""

from collections.abc import Callable, Iterable, Mapping

import msgspec

from console.health.check import register
from console.health.expectation import meets, wanted
from console.health.fact_paths import facts_at, values_shown
from console.model.facts import Gpu, HostFacts, Known, Unknown, first_unknown, value_or
from console.model.finding import Case, Check, Finding, State
from console.model.profile import Expectation, Level
from console.model.text import clean_line, some

FOR_INFORMATION = "as published for information; a host that differs is not wrong"
UNREAD_ADVISED = "advised only; what cannot be read does not count"
IN_GUEST = "virtual functions: their counters are kept by the virtualisation host"


class Say(msgspec.Struct, frozen=True):
    """One check on one case: the findings it can make."""

    check: Check
    case: Case

    @property
    def facts(self) -> HostFacts:
        """What was read of the host."""
        return self.case.facts

    @property
    def gpus(self) -> tuple[Gpu, ...]:
        """Every GPU or partition; none when they could not be read."""
        return value_or(self.facts.gpus, ())

    @property
    def devices(self) -> tuple[Gpu, ...]:
        """One GPU of each device: of a partitioned one the first partition."""
        first: dict[str, Gpu] = {}
        for gpu in sorted(self.gpus, key=lambda gpu: (gpu.bdf, gpu.partition)):
            first.setdefault(gpu.device_bdf or gpu.bdf, gpu)
        return tuple(first.values())

    @property
    def in_guest(self) -> dict[str, str]:
        """What to add to an unknown when every GPU is a virtual function, whose host keeps its counters."""
        virtual = [isinstance(gpu.virtual_function, Known) and gpu.virtual_function.value for gpu in self.devices]
        return {"waived": IN_GUEST} if virtual and all(virtual) else {}

    def finding(self, state: State, seen: str, **more: str) -> Finding:
        """A finding of this check; `about` narrows its name to one subject."""
        about = more.pop("about", "")
        return Finding(
            check=f"{self.check.id}.{about}" if about else self.check.id,
            host=self.facts.host,
            state=state,
            seen=clean_line(seen, 600),
            expected=clean_line(more.get("expected", ""), 600),
            source=more.get("source", self.check.source),
            evidence=clean_line(more.get("evidence", ""), 1000),
            remedy=more.get("remedy", ""),
            waived=more.get("waived", ""),
        )

    def passed(self, seen: str, **more: str) -> Finding:
        """As it should be."""
        return self.finding(State.PASS, seen, **more)

    def warned(self, seen: str, **more: str) -> Finding:
        """Not as it should be, and work goes on."""
        return self.finding(State.WARN, seen, **more)

    def failed(self, seen: str, **more: str) -> Finding:
        """Broken, or figures would be wrong."""
        return self.finding(State.FAIL, seen, **more)

    def unknown(self, what: str, fact: Unknown, **more: str) -> Finding:
        """Could not be read: why, and the command that shows it. Counts only for a required check."""
        why = f"{fact.why}: {fact.detail}" if fact.detail else fact.why
        given = {"evidence": why, "remedy": " ".join(fact.show), **more}
        if not self.check.required:
            given.setdefault("waived", UNREAD_ADVISED)
        return self.finding(State.UNKNOWN, f"{what} is not known ({why})", **given)


Rule = Callable[[Say], Iterable[Finding]]


def rule(
    identity: str,
    area: str,
    explain: str,
    *,
    detail: str = "",
    source: str = "",
    required: bool = True,
    classes: tuple[str, ...] = (),
) -> Callable[[Rule], Rule]:
    """Register a function as a check."""

    def decorate(function: Rule) -> Rule:
        add(identity, area, explain, function, detail=detail, source=source, required=required, classes=classes)
        return function

    return decorate


def add(
    identity: str,
    area: str,
    explain: str,
    function: Rule,
    *,
    detail: str = "",
    source: str = "",
    required: bool = True,
    classes: tuple[str, ...] = (),
) -> None:
    """Register a check under its id."""
    check: Check

    def run(case: Case) -> Iterable[Finding]:
        return function(Say(check, case))

    check = Check(identity, area, explain, run, required, detail, source, classes)
    register(check)


def addresses(places: Iterable[str]) -> str:
    """PCI addresses for people: the first few, and how many more."""
    return some(place for place in places if place)


def pairs(values: Mapping[str, object]) -> str:
    """`address value` for people, the first few, and how many more."""
    return addresses(f"{place} {value}" for place, value in values.items())


def no_gpus(say: Say, what: str) -> Finding:
    """Nothing to look at: the GPUs could not be read, or there are none."""
    fact = say.facts.gpus
    why = fact if isinstance(fact, Unknown) else Unknown("no GPU is driven by amdgpu", fact.source)
    return say.unknown(what, why)


def expectation_of(say: Say, fact: str) -> Expectation | None:
    """What the server's profile says of a fact, as its host differs from it on purpose."""
    if say.case.profile is None:
        return None
    return next((item for item in say.case.profile.expect if item.fact == fact), None)


def compared(say: Say, expected: Expectation, *, remedy: str, what: str) -> Finding:
    """A fact held against an expectation: how strictly is the expectation's own level."""
    placed = facts_at(say.facts, expected.fact)
    wrong = [item for item in placed if isinstance(item.fact, Known) and not meets(item.fact.value, expected)]
    unknown = first_unknown(item.fact for item in placed)
    source = expected.source or (say.case.profile.source if say.case.profile else "") or say.check.source
    common = {"expected": wanted(expected), "source": source}
    if not placed:
        return say.unknown(what, Unknown("there is no GPU to read it of"), **common, **_unread(expected.level))
    if wrong:
        count = f" on {len(wrong)} of {len(placed)} GPUs" if len(placed) > 1 else ""
        where = addresses(item.where for item in wrong)
        sources = dict.fromkeys(item.fact.source for item in wrong if isinstance(item.fact, Known))
        return say.finding(
            State.FAIL if expected.level == "required" else State.WARN,
            f"{what} is {values_shown(expected.fact, wrong)}{count}",
            evidence=": ".join(part for part in (where, ", ".join(list(sources)[:2])) if part),
            remedy=remedy,
            waived=FOR_INFORMATION if expected.level == "published" else "",
            **common,
        )
    if unknown is not None:
        return say.unknown(what, unknown, **common, **_unread(expected.level))
    return say.passed(f"{what} is {values_shown(expected.fact, placed)}", **common)


def _unread(level: Level) -> dict[str, str]:
    if level == "required":
        return {"waived": ""}
    return {"waived": UNREAD_ADVISED if level == "advised" else FOR_INFORMATION}
