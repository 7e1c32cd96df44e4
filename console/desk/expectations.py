"""What a host's facts should be, fact by fact: its server profile, and AMD's guides where that is silent."""

from collections.abc import Mapping
from typing import Any, Literal

import msgspec

from console.desk import health
from console.desk.settings import Settings
from console.fleet.host import Fleet
from console.health.expectation import meets, wanted
from console.health.fact_paths import facts_at
from console.health.rules.settings import SETTINGS
from console.model.facts import HostFacts, Known, value_or
from console.model.names import gpu_name
from console.model.profile import Expectation

Agreement = Literal["agrees", "differs", "not known"]


class Expected(msgspec.Struct, frozen=True):
    """Expectations by the path of their fact. `server` is the profile they come from, empty without one."""

    server: str = ""
    title: str = ""
    facts: Mapping[str, Expectation] = {}


def of(settings: Settings, fleet: Fleet, host: str, facts: HostFacts) -> Expected:
    """What a host is held against. Raises CatalogError, UnknownName and DeskError; reads files."""
    judging = health.Judging(settings, fleet, health.Question())
    server = judging.profile(fleet.host(host), facts)
    model = gpu_name(_model(facts))
    said = {
        item.fact: item.default
        for item in SETTINGS
        if item.default is not None and (not item.models or model in item.models)
    }
    if server is None:
        return Expected(facts=said)
    own = {item.fact: item if item.source else _sourced(item, server.source) for item in server.expect}
    return Expected(server.name, server.title, {**said, **own})


def agreement(facts: HostFacts, expected: Expectation) -> Agreement:
    """Whether a fact is as expected, of every GPU where it is one of theirs."""
    placed = [item.fact for item in facts_at(facts, expected.fact)]
    if any(isinstance(fact, Known) and not meets(fact.value, expected) for fact in placed):
        return "differs"
    return "agrees" if placed and all(isinstance(fact, Known) for fact in placed) else "not known"


def text(expected: Expectation) -> str:
    """The expectation for people."""
    return wanted(expected)


def _sourced(item: Expectation, source: str) -> Expectation:
    return msgspec.structs.replace(item, source=source)


def _model(facts: HostFacts) -> str:
    gpus: tuple[Any, ...] = value_or(facts.gpus, ())
    return gpus[0].model.value if gpus and isinstance(gpus[0].model, Known) else ""
