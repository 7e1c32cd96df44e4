"""Broken and mistaken files and names: one message with file, line or key and the nearest name; nothing is done."""

from pathlib import Path
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from tests.acceptance.conftest import Kit, Played

HOST = '[hosts.node01]\naddress = "127.0.0.1"\nport = 1\n'


@pytest.fixture
def desk(kit: "Kit", tmp_path: Path) -> "Played":
    """A home with a configuration folder; no lab is up, and nothing is asked of a host."""
    (tmp_path / "home").mkdir()
    (tmp_path / "home/config/instinct/profiles/matrices").mkdir(parents=True)
    return kit.nothing_up(tmp_path)


FLEETS = [
    ("[hosts.a\n", ["fleet.toml:1: not valid TOML"]),
    ('[hosts.a]\nadress = "x"\n', ["hosts.a.adress: unknown key; did you mean address?"]),
    ('[hosts.a]\naddress = "x"\nport = "22"\n', ["hosts.a.port: expected a whole number"]),
    ('[hosts.a]\naddress = "x"\nport = 70000\n', ["hosts.a.port"]),
    ('[host.a]\naddress = "x"\n', ["host: unknown key; did you mean hosts?"]),
    ('[hosts."a[1-"]\naddress = "x"\n', ['hosts."a[1-"']),
    (HOST + "[hosts.node01.expect]\nbios_versio = '1.8'\n", ["hosts.node01.expect.bios_versio", "bios_version"]),
    (HOST + '[hosts."node[01-02]"]\naddress = "x"\n', ["node01 is already in"]),
    ('[hosts.a]\nadress = "x"\n[hosts.b]\nprot = 1\n', ["hosts.a.adress", "hosts.b.prot"]),
]


@pytest.mark.parametrize(("text", "said"), FLEETS, ids=[item[1][0] for item in FLEETS])
@pytest.mark.parametrize("command", [["hosts", "list"], ["status"], ["plan", "vllm-0.8.5-latency"]], ids=" ".join)
def test_a_broken_fleet_file_is_named_with_line_or_key(
    desk: "Played", tmp_path: Path, text: str, said: list[str], command: list[str]
) -> None:
    file = tmp_path / "fleet.toml"
    file.write_text(text)

    done = desk.run(*command, "--fleet", file)

    assert done.code == 2
    assert done.out == ""
    assert len(done.err.splitlines()) == (2 if len(said) == 2 and said[1].startswith("hosts") else 1), done.err
    for piece in (str(file), *said):
        assert piece in done.err


CONFIGS = [
    ("fleet = \n", ["config.toml", "not TOML", "line 1"]),
    ('flet = "x"\n', ["config.toml: unknown key 'flet'; did you mean 'fleet'?"]),
    ("fleet = 3\n", ["config.toml: fleet: expected"]),
]


@pytest.mark.parametrize(("text", "said"), CONFIGS, ids=["not TOML", "unknown key", "wrong type"])
@pytest.mark.parametrize("command", ["runs", "status", "plan vllm-0.8.5-latency", "profiles list", "config show"])
def test_a_broken_configuration_is_named_by_every_command(
    desk: "Played", text: str, said: list[str], command: str
) -> None:
    (desk.home / "config/instinct/config.toml").write_text(text)

    done = desk.run(*command.split())

    assert done.code == 2
    assert done.out == ""
    assert len(done.err.splitlines()) == 1
    for piece in said:
        assert piece in done.err


PROFILES = [
    ("name = \n", ["own.toml:1: not valid TOML"]),
    ('name = "own"\ntitel = "x"\n', ["own.toml", "titel", "title"]),
    ('name = "own"\ntitle = "x"\ngroup = []\n', ["own.toml: missing key `"]),
    ('name = "vllm-0.8.5-latency"\ntitle = "x"\n', ["own.toml"]),
]


@pytest.mark.parametrize(("text", "said"), PROFILES, ids=["not TOML", "unknown key", "missing key", "duplicate"])
@pytest.mark.parametrize("command", ["plan vllm-0.8.5-latency --server mi355x", "profiles list", "profiles check"])
def test_a_broken_profile_is_named_with_line_or_key(desk: "Played", text: str, said: list[str], command: str) -> None:
    (desk.home / "config/instinct/profiles/matrices/own.toml").write_text(text)

    done = desk.run(*command.split())

    told = done.err + done.out
    assert done.code == 2
    for piece in said:
        assert piece in told
    assert "Traceback" not in told


NAMES = [
    (["plan", "vllm-0.8.5-thruput"], "no matrix is called 'vllm-0.8.5-thruput'; did you mean vllm-0.8.5-throughput"),
    (["run", "vllm-0.8.5-thruput"], "did you mean vllm-0.8.5-throughput"),
    (["fetch", "vllm-0.8.5-thruput"], "did you mean vllm-0.8.5-throughput"),
    (["plan", "vllm-0.8.5-latency", "--hosts", "nod01"], "no host 'nod01' in"),
    (["plan", "vllm-0.8.5-latency", "--hosts", "nod01"], "did you mean node01?"),
    (["status", "node1"], "did you mean node01"),
    (["plan", "vllm-0.8.5-latency", "--hosts", "@rock"], "no group 'rock'"),
    (["plan", "vllm-0.8.5-latency", "--hosts", "node*,!node01"], "selects no host of"),
    (["plan", "vllm-0.8.5-latency", "--only", "batch_size==3"], "selects none of the 32 cells"),
    (["run", "vllm-0.8.5-latency", "--only", "batch_size==3"], "selects none of the 32 cells"),
    (["plan", "vllm-0.8.5-latency", "--only", "batchsize==1"], "did you mean batch_size?"),
    (["plan", "vllm-0.8.5-latency", "--only", "batch_size=="], "column"),
    (["plan", "vllm-0.8.5-latency", "--set", "dtyp=x"], "did you mean dtype"),
    (["plan", "vllm-0.8.5-latency", "--set", "batch_size=many"], "batch_size"),
    (["plan", "vllm-0.8.5-latency", "--image", "rocm6.3.1_vllm_0.8.5"], "did you mean rocm6.3.1_vllm_0.8.5_2025"),
    (["run", "vllm-0.8.5-latency", "--accept", "host.numa"], "did you mean host.numa_balancing"),
    (["plan", "vllm-0.8.5-latency", "--server", "mi300x"], "no server profile is called 'mi300x'"),
    (["profiles", "show", "MI300Y"], "MI300"),
    (["run", "--resume", "r1"], "there are no runs"),
    (["read-log", "vllm-thruput", "x"], "vllm-throughput"),
]


@pytest.mark.parametrize(("argv", "said"), NAMES, ids=[" ".join(item[0]) for item in NAMES])
def test_an_unknown_name_or_an_empty_choice_names_the_nearest(
    desk: "Played", tmp_path: Path, argv: list[str], said: str
) -> None:
    file = tmp_path / "fleet.toml"
    file.write_text(HOST)

    fleet = [] if "read-log" in argv else ["--fleet", str(file)]
    done = desk.run(*argv, *fleet)

    assert done.code == 2
    assert done.out == ""
    assert said in done.err


def test_a_server_profile_that_is_not_there_is_told_with_the_host(desk: "Played", tmp_path: Path) -> None:
    file = tmp_path / "fleet.toml"
    file.write_text(HOST + 'server = "mi300x-2x965"\n')

    planned = desk.run("plan", "vllm-0.8.5-latency", "--fleet", file)
    checked = desk.run("config", "check", "--fleet", file)

    for done in (planned, checked):
        assert done.code == 2
        said = done.err + done.out
        assert "no server profile is called 'mi300x-2x965', which node01 is held against; did you mean" in said


def test_a_fleet_without_hosts_has_nothing_to_run_on(desk: "Played", tmp_path: Path) -> None:
    file = tmp_path / "fleet.toml"
    file.write_text("")

    planned = desk.run("plan", "vllm-0.8.5-latency", "--fleet", file)
    status = desk.run("status", "--fleet", file)

    assert planned.code == 2
    assert "host" in planned.err
    assert status.code in (0, 2)


def test_without_any_fleet_file_it_says_how_to_make_one(desk: "Played", tmp_path: Path) -> None:
    done = desk.run("status", INSTINCT_FLEET=str(tmp_path / "none.toml"))

    assert done.code == 2
    assert f"{tmp_path / 'none.toml'}: no such fleet file" in done.err
    assert "instinct hosts add" in done.err
