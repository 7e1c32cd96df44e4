"""The registry of checks and the worst of what they found."""

from collections.abc import Iterable

import pytest

from console.health import check
from console.model.facts import HostFacts
from console.model.finding import Case, Check, Finding, State


def finding(state: State) -> Finding:
    return Finding(check="x", host="node01", state=state, seen="something")


CASE = Case(facts=HostFacts(host="node01", read_at_ns=1))


def test_fail_is_worse_than_unknown_worse_than_warn_worse_than_pass() -> None:
    order = [State.PASS, State.WARN, State.UNKNOWN, State.FAIL]
    for count in range(1, 5):
        assert check.worst([finding(state) for state in order[:count]]) is order[count - 1]


def test_nothing_found_is_unknown_and_never_a_pass() -> None:
    assert check.worst([]) is State.UNKNOWN


def test_a_check_that_says_nothing_is_unknown() -> None:
    def silent(case: Case) -> Iterable[Finding]:
        return ()

    (found,) = check.evaluate([Check("host.silent", "host", "says nothing", silent)], CASE)
    assert (found.check, found.state, found.host) == ("host.silent", State.UNKNOWN, "node01")


def test_findings_come_in_the_order_of_the_checks() -> None:
    def two(case: Case) -> Iterable[Finding]:
        yield finding(State.PASS)
        yield finding(State.WARN)

    checks = [Check("a", "host", "", two), Check("b", "host", "", lambda case: [finding(State.FAIL)])]
    assert [item.state for item in check.evaluate(checks, CASE)] == [State.PASS, State.WARN, State.FAIL]


def test_an_id_is_registered_once(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(check, "_REGISTRY", {})
    rule = Check("host.once", "host", "", lambda case: ())
    assert check.register(rule) is rule
    assert check.registry() == {"host.once": rule}
    with pytest.raises(ValueError, match="registered twice"):
        check.register(rule)
