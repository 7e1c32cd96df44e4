"""What a host contributes to the conditions of a figure."""

from collections.abc import Callable

import msgspec

from console.health.preflight import conditions
from console.model.facts import HostFacts, Known, Unknown
from console.model.launch import Need


def test_known_facts_become_conditions(facts: HostFacts, need: Need) -> None:
    seen = conditions(facts, need)
    assert (seen.gpu, seen.gpus, seen.nodes) == ("MI300X", 8, 1)
    assert (seen.compute_partition, seen.memory_partition, seen.power_cap_w) == ("SPX", "NPS1", 750.0)
    assert (seen.driver, seen.host_rocm, seen.bios_version, seen.nodes_per_socket) == ("6.8.5", "6.3.1", "1.8", 1)
    assert seen.image == need.image
    assert not seen.simulated


def test_unknown_facts_stay_unknown(need: Need) -> None:
    seen = conditions(HostFacts(host="node01", read_at_ns=1, simulated=True), need)
    assert (seen.gpu, seen.compute_partition, seen.driver, seen.os) == (None, None, None, None)
    assert seen.simulated


def test_what_gpus_do_not_share_is_not_known(
    facts: HostFacts, need: Need, change_gpus: Callable[..., HostFacts]
) -> None:
    assert conditions(change_gpus(facts, only=1, power_cap_w=Known(700.0, "x")), need).power_cap_w is None
    assert conditions(change_gpus(facts, only=1, compute_partition=Unknown("x")), need).compute_partition is None
    assert conditions(msgspec.structs.replace(facts, gpus=Known((), "x")), need).gpu is None
