"""A server with nothing wrong raises nothing; what is not read is never a pass."""

from collections.abc import Callable

from console.health.report import HostHealth, checks
from console.model.facts import HostFacts
from console.model.finding import State

Judge = Callable[..., HostHealth]


def test_a_server_with_nothing_wrong_raises_nothing(check: Judge, healthy: HostFacts) -> None:
    health = check(healthy)
    assert [item for item in health.findings if item.state is not State.PASS and not item.waived] == []
    assert health.state is State.PASS


def test_it_passes_without_a_profile_too(check: Judge, healthy: HostFacts) -> None:
    health = check(healthy, profile=None)
    assert health.state is State.PASS
    (about_profile,) = [item for item in health.findings if item.check == "profile"]
    assert (about_profile.state, "name one" in about_profile.waived) == (State.UNKNOWN, True)


def test_every_check_says_something(check: Judge, healthy: HostFacts) -> None:
    said = {item.check for item in check(healthy).findings}
    for name in checks():
        assert any(item == name or item.startswith(f"{name}.") for item in said), name


def test_nothing_that_was_not_read_passes(check: Judge) -> None:
    nothing = HostFacts(host="node01", read_at_ns=1)
    health = check(nothing)
    passed = [item.check for item in health.findings if item.state is State.PASS]
    assert passed == []
    assert health.state is State.UNKNOWN


def test_nothing_that_was_not_read_passes_without_a_profile(check: Judge) -> None:
    nothing = HostFacts(host="node01", read_at_ns=1)
    passed = [item for item in check(nothing, profile=None, gpu=None).findings if item.state is State.PASS]
    assert passed == []


def test_only_required_checks_count_as_unknown(check: Judge) -> None:
    nothing = HostFacts(host="node01", read_at_ns=1)
    counting = {item.check for item in check(nothing).findings if item.state is State.UNKNOWN and not item.waived}
    advised = {name for name, each in checks().items() if not each.required}
    assert "kernel.log" in counting
    assert not counting & advised


def test_every_check_explains_itself() -> None:
    for name, each in checks().items():
        assert each.explain, name
        assert each.source, name
        assert not each.explain.endswith("."), name
