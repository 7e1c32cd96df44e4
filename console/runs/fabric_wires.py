"""Which rail of a host leads to which rail of the next one. Pure.

Hosts stand in a ring: bytes that pass from each to the next and back have been on every rail of every host.
"""

from collections.abc import Callable, Sequence

from console.model.fabric import Rail, Wire

_RULES: tuple[Callable[[Rail, Rail], bool], ...] = (
    lambda near, far: near.network == far.network and near.device == far.device,
    lambda near, far: near.network == far.network,
    lambda near, far: near.device == far.device,
    lambda near, far: True,
)
"""Rails in one network lead to each other; where every rail has a network of its own (routed fabrics), those of one
device name do; what is left goes by its place."""


def wires(rails: Sequence[Sequence[Rail]], hosts: Sequence[str]) -> tuple[Wire, ...]:
    """The wires of a ring of hosts, each pair once. A rail that the next host has no counterpart for has none."""
    found: list[Wire] = []
    edges = [(0, 1)] if len(hosts) == 2 else [(place, (place + 1) % len(hosts)) for place in range(len(hosts))]
    for first, second in edges if len(hosts) > 1 else ():
        for near, far in _pairs(rails[first], rails[second]):
            found.append(Wire(number=len(found), first=hosts[first], second=hosts[second], from_rail=near, to_rail=far))
    return tuple(found)


def _pairs(near: Sequence[Rail], far: Sequence[Rail]) -> list[tuple[Rail, Rail]]:
    partner: dict[int, Rail] = {}
    left = list(far)
    for rule in _RULES:
        for place, rail in enumerate(near):
            if place in partner:
                continue
            match = next((other for other in left if rule(rail, other)), None)
            if match is not None:
                partner[place] = match
                left.remove(match)
    return [(rail, partner[place]) for place, rail in enumerate(near) if place in partner]
