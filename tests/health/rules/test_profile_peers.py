"""Hosts are held against their profile with its levels, their own exceptions, and against hosts of their kind."""

from collections.abc import Callable
from datetime import date
from typing import Any

import msgspec
import pytest

from console.health.expectation import adjusted
from console.health.report import HostHealth, Selection, Waiver, choose, judge
from console.health.rules import peers as peer_rules
from console.model.facts import HostFacts, Known, Unknown
from console.model.finding import Case, State
from console.model.profile import Expectation, GpuSpec, ServerProfile

Judge = Callable[..., HostHealth]
Change = Callable[..., HostFacts]
BIOS = Known("2.0", "dmi")


def with_level(profile: ServerProfile, level: Any, fact: str = "system.bios_version") -> ServerProfile:
    expected = Expectation(fact=fact, accept=("1.8", "1.9"), level=level, source="s")
    return adjusted(profile, (expected,))


@pytest.mark.parametrize(
    ("level", "state", "counts"),
    [("required", State.FAIL, True), ("advised", State.WARN, True), ("published", State.WARN, False)],
)
def test_the_level_of_an_expectation_decides_what_a_difference_is(
    check: Judge, change: Change, healthy: HostFacts, profile: ServerProfile, level: str, state: State, counts: bool
) -> None:
    facts = change(healthy, {"system.bios_version": BIOS})
    (found,) = check(facts, "host.bios", profile=with_level(profile, level)).findings
    assert (found.state, not found.waived) == (state, counts)
    assert found.expected == "1.8 or 1.9"


@pytest.mark.parametrize(("level", "counts"), [("required", True), ("advised", False), ("published", False)])
def test_only_what_is_required_counts_when_it_cannot_be_read(
    check: Judge, change: Change, healthy: HostFacts, profile: ServerProfile, level: str, counts: bool
) -> None:
    facts = change(healthy, {"system.bios_version": Unknown("denied")})
    health = check(facts, "host.bios", profile=with_level(profile, level))
    assert (health.state is State.UNKNOWN) is counts


def test_a_value_of_an_accepted_list_passes(check: Judge, change: Change, healthy: HostFacts) -> None:
    assert check(change(healthy, {"system.bios_version": Known("1.9", "dmi")}), "host.bios").state is State.PASS


def test_facts_no_check_knows_are_held_all_the_same(
    check: Judge, change: Change, healthy: HostFacts, profile: ServerProfile
) -> None:
    expected = adjusted(profile, (Expectation(fact="system.swappiness", high=10, source="own"),))
    facts = change(healthy, {"system.swappiness": Known(60, "sysctl")})
    found = {item.check: item.state for item in check(facts, "profile", profile=expected).findings}
    assert found["profile.system.swappiness"] is State.FAIL


def test_a_fact_nobody_has_heard_of_is_unknown(check: Judge, healthy: HostFacts, profile: ServerProfile) -> None:
    wrong = adjusted(profile, (Expectation(fact="system.biso", accept=("1",)),))
    (found,) = [i for i in check(healthy, "profile", profile=wrong).findings if i.check == "profile.system.biso"]
    assert (found.state, "no such fact" in found.seen) == (State.UNKNOWN, True)


def suppressed(facts: HostFacts, profile: ServerProfile, spec: GpuSpec, check: str, today: date) -> HostHealth:
    selection = Selection(("host.bios", "gpu.alike"))
    waiver = Waiver(check=check, reason="waits for the vendor", until=date(2026, 12, 1))
    case = Case(facts=facts, profile=with_level(profile, "required"), gpu=spec)
    return judge(case, choose(selection), selection, (waiver,), today=today)


@pytest.mark.parametrize("name", ["host.bios", "host", "host.*"])
def test_a_suppression_holds_to_its_last_day(
    change: Change, healthy: HostFacts, profile: ServerProfile, spec: GpuSpec, name: str
) -> None:
    facts = change(healthy, {"system.bios_version": BIOS})
    on = suppressed(facts, profile, spec, name, date(2026, 12, 1))
    assert on.state is State.PASS
    assert "waits for the vendor" in on.findings[0].waived
    after = suppressed(facts, profile, spec, name, date(2026, 12, 2))
    assert after.state is State.FAIL
    assert "ended on 2026-12-01" in after.findings[0].evidence


def test_a_suppression_of_something_else_does_nothing(
    change: Change, healthy: HostFacts, profile: ServerProfile, spec: GpuSpec
) -> None:
    facts = change(healthy, {"system.bios_version": BIOS})
    assert suppressed(facts, profile, spec, "gpu", date(2026, 12, 1)).state is State.FAIL


def peers(healthy: HostFacts, count: int) -> dict[str, HostFacts]:
    return {
        f"node{index:02}": msgspec.structs.replace(healthy, host=f"node{index:02}") for index in range(2, 2 + count)
    }


@pytest.mark.parametrize(
    ("value", "aspect", "seen"),
    [
        ({"system.kernel": Known("6.8.0", "uname")}, "kernel", "6.8.0"),
        ({"system.bios_version": BIOS}, "bios", "2.0"),
        ({"driver.amdgpu_version": Known("6.10.5", "sysfs")}, "amdgpu", "6.10.5"),
        ({"gpu.vbios_version": Known("113-NEW", "sysfs")}, "vbios", "113-NEW"),
        ({"system.cmdline": Known("BOOT_IMAGE=/x root=UUID=9 ro iommu=pt", "proc")}, "cmdline", "iommu=pt ro"),
        ({"system.memory_bytes": Known(2048 << 30, "meminfo")}, "memory", "2.0 TiB"),
    ],
)
def test_the_odd_one_out_is_told_what_the_others_have(
    check: Judge, change: Change, healthy: HostFacts, value: dict[str, Any], aspect: str, seen: str
) -> None:
    odd = change(healthy, value)
    (found,) = check(odd, "peers", peers=peers(healthy, 3)).findings
    assert (found.check, found.state) == (f"peers.{aspect}", State.WARN)
    assert seen in found.seen
    assert "as on 3 of 4 hosts" in found.expected


def test_hosts_that_agree_pass_though_their_disks_have_other_names(
    check: Judge, change: Change, healthy: HostFacts
) -> None:
    own_disk = change(healthy, {"system.cmdline": Known("ro root=UUID=77 iommu=pt pci=realloc=off,noats", "proc")})
    (found,) = check(own_disk, "peers", peers=peers(healthy, 3)).findings
    assert found.state is State.PASS


def test_no_majority_no_finding(check: Judge, change: Change, healthy: HostFacts) -> None:
    other = {name: change(facts, {"system.kernel": Known("6.8.0", "u")}) for name, facts in peers(healthy, 2).items()}
    split = {**other, **{f"x{name}": msgspec.structs.replace(healthy, host=f"x{name}") for name in other}}
    newer = change(healthy, {"system.kernel": Known("6.8.0", "u")})
    assert {item.state for item in check(newer, "peers", peers=split).findings} == {State.PASS}


def test_hosts_of_another_kind_are_not_peers(check: Judge, change: Change, healthy: HostFacts) -> None:
    others = {
        name: change(facts, {"system.product": Known("XE9680", "dmi"), "system.kernel": Known("6.8.0", "u")})
        for name, facts in peers(healthy, 4).items()
    }
    (found,) = check(healthy, "peers", peers=others).findings
    assert (found.state, found.waived) == (State.UNKNOWN, "no peers")


def test_what_hosts_are_compared_by_is_kept_as_long_as_their_facts(healthy: HostFacts) -> None:
    facts = msgspec.structs.replace(healthy)
    first = peer_rules.traits(facts)
    kept = len(peer_rules._TRAITS)

    assert peer_rules.traits(facts) is first
    assert peer_rules.traits(msgspec.structs.replace(healthy)) == first
    del facts
    assert len(peer_rules._TRAITS) == kept - 1
