"""The GID index of a job comes from the tables of its RDMA devices, and is what the check of the fabric uses too."""

import pytest

from console.model.facts import Gid, HostFacts, Known, Nic, RdmaDevice, RdmaPort
from console.runs.cohort import GID, cohort
from console.runs.fabric import choose
from console.runs.gids import GidChoice, choose_gid
from console.workloads.fabric import FabricWish

V1, V2 = "IB/RoCE v1", "RoCE v2"
LINK_LOCAL = "fe80:0000:0000:0000:0000:00ff:fe00:0001"
IPV4 = "0000:0000:0000:0000:0000:ffff:0a65:000a"
IPV6 = "fd00:0001:0000:0000:0000:0000:0000:000a"

USUAL = (Gid(0, LINK_LOCAL, V1), Gid(1, LINK_LOCAL, V2), Gid(2, IPV4, V1), Gid(3, IPV4, V2))
POLLARA = (Gid(0, LINK_LOCAL, V2), Gid(1, IPV4, V2))
IPV6_FIRST = (
    Gid(0, LINK_LOCAL, V1),
    Gid(1, LINK_LOCAL, V2),
    Gid(2, IPV6, V1),
    Gid(3, IPV6, V2),
    Gid(4, IPV4, V1),
    Gid(5, IPV4, V2),
)
IPV6_ONLY = (Gid(0, LINK_LOCAL, V1), Gid(1, LINK_LOCAL, V2), Gid(2, IPV6, V1), Gid(3, IPV6, V2))
NO_ADDRESS = (Gid(0, LINK_LOCAL, V1), Gid(1, LINK_LOCAL, V2))


def port(*gids: Gid, layer: str = "Ethernet") -> RdmaPort:
    return RdmaPort(number=1, state="ACTIVE", link_layer=layer, gids=gids)


@pytest.mark.parametrize(
    ("ports", "choice"),
    [
        ({"a": port(*USUAL), "b": port(*USUAL)}, GidChoice(3)),
        ({"a": port(*POLLARA), "b": port(*POLLARA)}, GidChoice(1)),
        ({"a": port(*IPV6_FIRST), "b": port(*IPV6_FIRST)}, GidChoice(5)),
        ({"a": port(*IPV6_ONLY)}, GidChoice(3)),
        ({"a": port(*USUAL), "b": port(*USUAL), "c": port(*POLLARA)}, GidChoice(3, ("c",))),
        ({"a": port(*USUAL), "b": port(*NO_ADDRESS)}, GidChoice(3, ("b",))),
        ({"a": port(*NO_ADDRESS)}, GidChoice(3, ("a",))),
        ({"a": port()}, GidChoice(3)),
        ({"a": port(*USUAL, layer="InfiniBand")}, GidChoice(None)),
        ({"a": port(Gid(0, "2001:db8::1", V2), Gid(1, "strange", V2))}, GidChoice(0)),
        ({}, GidChoice(None)),
    ],
    ids=[
        "usual",
        "pollara",
        "ipv6 first",
        "ipv6 only",
        "one unlike",
        "one bare",
        "bare",
        "unread",
        "ib",
        "odd",
        "none",
    ],
)
def test_the_index_is_that_of_the_routed_roce_v2_entry(ports: dict[str, RdmaPort], choice: GidChoice) -> None:
    assert choose_gid(ports) == choice


def host(name: str, number: int, *gids: Gid) -> HostFacts:
    nic = Nic(name="rail0", operstate="up", speed_mbps=400_000, mtu=9000, addresses=(f"10.101.0.{number}/24",))
    device = RdmaDevice(name="ionic_0", netdevs=("rail0",), ports=(port(*gids),))
    return HostFacts(host=name, read_at_ns=0, nics=Known((nic,), "sysfs"), rdma=Known((device,), "sysfs"))


def test_it_is_found_for_each_host_and_may_be_overruled() -> None:
    hosts = [host("a", 1, *POLLARA), host("b", 2, *USUAL)]
    assert [choose(hosts)[name].gid_index for name in "ab"] == [1, 3]
    assert [choose(hosts, FabricWish(gid_index=2))[name].gid_index for name in "ab"] == [2, 2]


def test_a_device_without_an_entry_there_is_named_unless_the_row_says_which_index() -> None:
    hosts = [host("a", 1, *USUAL), host("b", 2, *NO_ADDRESS)]
    (found,) = [item for item in cohort(hosts, choose(hosts)) if item.check == GID]
    assert (found.host, found.seen) == ("b", "GID 3 is no routed RoCE v2 entry of ionic_0:1")
    asked = FabricWish(gid_index=1)
    assert [item for item in cohort(hosts, choose(hosts, asked), wish=asked) if item.check == GID] == []
