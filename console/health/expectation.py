"""Whether a value is what a profile expects of it."""

from collections.abc import Callable, Mapping, Sequence

import msgspec

from console.model.facts import UNLIMITED
from console.model.names import cpu_name, gpu_name, same_text
from console.model.profile import Expectation, ServerProfile
from console.model.units import binary_size

_NAMES: Mapping[str, Callable[[str], str]] = {"system.cpu": cpu_name, "gpu.model": gpu_name}


def meets(value: object, expected: Expectation) -> bool:
    """True when the value is one of those accepted, or inside the range; text is compared as a reader would."""
    if expected.accept:
        return any(_equal(expected.fact, value, wanted) for wanted in expected.accept)
    if isinstance(value, bool) or not isinstance(value, int | float):
        return False
    above = expected.low is None or value >= expected.low
    return above and (expected.high is None or value <= expected.high)


def wanted(expected: Expectation) -> str:
    """The expectation for people: `1.8 or 1.9`, `742.5 to 757.5`, `at least 8`."""
    if expected.accept:
        return " or ".join(shown(expected.fact, value) for value in expected.accept)
    low, high = shown(expected.fact, expected.low), shown(expected.fact, expected.high)
    if expected.low is None:
        return f"at most {high}"
    return f"at least {low}" if expected.high is None else f"{low} to {high}"


def shown(fact: str, value: object) -> str:
    """A value of a fact for people; what is named bytes is written in binary units."""
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, int | float) and fact.endswith("_bytes"):
        return "unlimited" if value == UNLIMITED else binary_size(value)
    return f"{value:g}" if isinstance(value, float) else str(value)


def adjusted(server: ServerProfile, own: Sequence[Expectation]) -> ServerProfile:
    """The profile as one host differs from it on purpose: its own expectations replace those of the same fact."""
    named = {item.fact for item in own}
    kept = tuple(item for item in server.expect if item.fact not in named)
    return msgspec.structs.replace(server, expect=(*kept, *own))


def _equal(fact: str, value: object, other: object) -> bool:
    if fact.startswith("cmdline.") and isinstance(value, str):
        return str(other) in (value, *value.split(","))  # `pci=realloc=off,noats` says realloc=off
    if fact == "driver.rocm_version" and isinstance(value, str):
        return str(other) in (value, value.partition("-")[0])  # 6.3.1-48 is a build of 6.3.1
    if isinstance(value, str) and isinstance(other, str):
        name = _NAMES.get(fact, str)
        return same_text(name(value), name(other))
    return isinstance(value, bool) is isinstance(other, bool) and value == other
