"""The fleet file: what it may say, what it must not, and whom a selection means."""

from pathlib import Path

import pytest

from console.fleet.host import SCRATCH, Fleet, FleetError
from console.fleet.inventory import find_fleet_file, load, parse, select
from console.fleet.ranges import RangeError, expand
from console.model.profile import Expectation

DESIGN = """
[defaults]
server = "mi300x-2x9654"
model_cache = "/data/huggingface"
scratch = "/var/tmp/instinct"
sudo = "never"

[hosts."node[01-40]"]
address = "{name}.lab"
groups = ["rack2"]

[hosts.node41]
address = "10.1.0.41"
server = "mi325x-2x9654"
root = "/captures/node41"
sudo = ["docker", "probe"]
[hosts.node41.expect]
bios_version = ["1.8", "1.9"]
numa_balancing = 0
power_cap_w = { low = 700.0, high = 750.0, level = "advised" }
[[hosts.node41.suppress]]
check = "host.bios"
reason = "waits for the vendor"
until = 2027-01-31

[hosts.here]
address = "local"
"""
PATH = Path("/etc/lab/fleet.toml")


@pytest.fixture
def fleet() -> Fleet:
    return parse(DESIGN, PATH)


def problems(text: str) -> list[str]:
    with pytest.raises(FleetError) as caught:
        parse(text, PATH)
    return str(caught.value).splitlines()


def test_ranges_defaults_and_own_values_make_hosts(fleet: Fleet) -> None:
    assert len(fleet.hosts) == 42
    node = fleet.host("node07")
    assert (node.address, node.server, node.groups) == ("node07.lab", "mi300x-2x9654", ("rack2",))
    assert (node.model_cache, node.scratch, node.sudo) == ("/data/huggingface", SCRATCH, ())
    last = fleet.host("node41")
    assert (last.server, last.root, last.sudo) == ("mi325x-2x9654", "/captures/node41", ("docker", "probe"))
    assert last.expect == (
        Expectation(fact="system.bios_version", accept=("1.8", "1.9")),
        Expectation(fact="system.numa_balancing", accept=(0,)),
        Expectation(fact="gpu.power_cap_w", low=700.0, high=750.0, level="advised"),
    )
    assert (last.suppress[0].check, last.suppress[0].until.isoformat()) == ("host.bios", "2027-01-31")
    assert fleet.host("here").local
    assert not fleet.simulated
    assert not fleet.isolated


def test_a_host_without_an_address_is_reached_by_its_name() -> None:
    assert parse("[hosts.gpu1]\n", PATH).host("gpu1").address == "gpu1"


def test_the_labs_file_is_marked_simulated_and_uses_nothing_of_the_users_own() -> None:
    fleet = parse(
        '[lab]\nsimulated = true\nprofiles = "profiles"\nknown_hosts = "keys"\nidentity = "id"\n[hosts.a]\n', PATH
    )
    assert fleet.simulated
    assert fleet.isolated
    assert fleet.catalogs == (Path("/etc/lab/profiles"),)
    assert fleet.known_hosts == (Path("/etc/lab/keys"),)
    assert fleet.hosts[0].identity == Path("/etc/lab/id")


def test_ssh_options_have_their_own_table() -> None:
    fleet = parse('[ssh]\nconfig = "ssh_config"\nkeepalive_s = 10\n[hosts.a]\n', PATH)
    assert fleet.ssh_config == Path("/etc/lab/ssh_config")
    assert (fleet.ssh.keepalive_s, fleet.ssh.keepalive_count) == (10, 3)


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("[hosts.a]\nadress = 'x'\n", ["fleet.toml", "hosts.a.adress", "unknown key", "address"]),
        ("[host.a]\n", ["host", "unknown key", "hosts"]),
        ("[hosts.a]\nport = '22'\n", ["hosts.a.port", "expected a whole number"]),
        ("[hosts.a]\nport = 70000\n", ["hosts.a.port", "not between 1 and 65535"]),
        ("[hosts.a]\nsudo = 'always'\n", ["hosts.a.sudo", "never, docker, probe"]),
        ("[hosts.a]\nscratch = 'relative'\n", ["hosts.a.scratch", "not an absolute path"]),
        ("[hosts.a]\naddress = '-oProxyCommand=x'\n", ["hosts.a.address", "is not a host name"]),
        ("[hosts.a]\naddress = '{host}.lab'\n", ["only {name} is filled in"]),
        ("[hosts.a]\njump = 'a b'\n", ["hosts.a.jump", "user@"]),
        ("[hosts.'a b']\n", ["'a b' is no host name"]),
        ("[hosts.'n[1-3]']\n[hosts.n2]\n", ["n2 is already in [hosts.n[1-3]]"]),
        ("[hosts.'n[3-1]']\n", ["runs backwards"]),
        ("[hosts.a.expect]\ncpu = { lo = 1 }\n", ["hosts.a.expect.cpu.lo", "low"]),
        ("[[hosts.a.suppress]]\ncheck = 'x'\n", ["missing key `reason`"]),
        ("[defaults]\nmodel_cash = '/x'\n[hosts.a]\n", ["defaults.model_cash", "model_cache"]),
        ("[hosts.a\n", ["not valid TOML", "fleet.toml:1"]),
        ("hosts = 3\n", ["hosts", "expected a table"]),
    ],
)
def test_every_mistake_names_file_key_and_what_was_meant(text: str, said: list[str]) -> None:
    message = "\n".join(problems(text))
    for piece in said:
        assert piece in message


def test_all_mistakes_are_told_at_once() -> None:
    assert len(problems("[defaults]\nx = 1\n[hosts.a]\ny = 2\n[hosts.b]\nport = 0\n[ssh]\nz = 1\n")) == 4


def test_a_file_that_is_not_there_says_what_to_do(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path))
    with pytest.raises(FleetError, match="--fleet FILE"):
        find_fleet_file()
    with pytest.raises(FleetError, match="no such fleet file"):
        find_fleet_file(tmp_path / "other.toml")
    (tmp_path / "instinct").mkdir()
    (tmp_path / "instinct" / "fleet.toml").write_text("[hosts.a]\n", encoding="utf-8")
    assert load(find_fleet_file()).hosts[0].name == "a"


@pytest.mark.parametrize(
    ("pattern", "names"),
    [
        ("node[1-3,7]", ["node1", "node2", "node3", "node7"]),
        ("n[08-10]", ["n08", "n09", "n10"]),
        ("r[1-2]g[0-1]", ["r1g0", "r1g1", "r2g0", "r2g1"]),
        ("plain", ["plain"]),
        ("n[5]x", ["n5x"]),
    ],
)
def test_ranges(pattern: str, names: list[str]) -> None:
    assert list(expand(pattern)) == names


@pytest.mark.parametrize("pattern", ["n[1-", "n]1[", "n[a-b]", "n[]", "n[1-99999]", "n[1-4096][1-4096]", "n[3-1]"])
def test_ranges_that_cannot_be_read(pattern: str) -> None:
    with pytest.raises(RangeError):
        expand(pattern)


@pytest.mark.parametrize(
    ("expr", "names"),
    [
        ("node41", ["node41"]),
        ("node03,node01", ["node03", "node01"]),
        ("node[01-03,07]", ["node01", "node02", "node03", "node07"]),
        ("node4*", ["node40", "node41"]),
        ("@rack2,!node[04-40]", ["node01", "node02", "node03"]),
        ("!@rack2", ["node41", "here"]),
        ("node01, node01 ,node0[1-2]", ["node01", "node02"]),
        ("@rack?,!node0*,!node[10-40],here", ["here"]),
    ],
)
def test_selections(fleet: Fleet, expr: str, names: list[str]) -> None:
    assert [host.name for host in select(fleet, expr)] == names


def test_no_selection_means_every_host(fleet: Fleet) -> None:
    assert len(select(fleet)) == len(select(fleet, "*")) == 42


@pytest.mark.parametrize(
    ("expr", "said"),
    [
        ("nod41", "node41"),
        ("@rack3", "rack2"),
        ("node[38-43]", "node42"),
        ("gpu*", "no host 'gpu\\*'"),
        ("node01,!node01", "selects no host"),
        ("node[1", "not closed"),
    ],
)
def test_selections_that_mean_nobody_are_errors_with_the_nearest_names(fleet: Fleet, expr: str, said: str) -> None:
    with pytest.raises(FleetError, match=said):
        select(fleet, expr)


def test_a_fleet_without_hosts_says_so() -> None:
    with pytest.raises(FleetError, match="no hosts in it"):
        select(parse("", PATH))


def test_expectations_may_name_a_fact_without_its_area(tmp_path: Path) -> None:
    text = (
        '[hosts.a]\naddress = "x"\n[hosts.a.expect]\nbios_version = ["1.8", "1.9"]\n'
        'driver.rocm_version = "6.3.1"\n"cmdline.pci" = "realloc=off"\n'
    )

    (host,) = parse(text, tmp_path / "fleet.toml").hosts

    assert [(item.fact, item.accept) for item in host.expect] == [
        ("system.bios_version", ("1.8", "1.9")),
        ("driver.rocm_version", ("6.3.1",)),
        ("cmdline.pci", ("realloc=off",)),
    ]


def test_an_expectation_of_no_known_fact_is_a_problem_with_the_nearest_name(tmp_path: Path) -> None:
    with pytest.raises(FleetError, match=r"hosts\.a\.expect\.bios_versio: .*system\.bios_version"):
        parse('[hosts.a]\naddress = "x"\n[hosts.a.expect]\nbios_versio = "1.8"\n', tmp_path / "fleet.toml")
