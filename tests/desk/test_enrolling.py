"""Hosts into the fleet file: what is there stays, what would break it is refused."""

from pathlib import Path

import pytest

from console.desk import desk, enrolling, settings
from console.desk.errors import DeskError
from console.desk.settings import Options, Settings
from console.fleet.host import FleetError
from console.fleet.importing import ImportedHost


def load(folder: Path) -> Settings:
    return settings.load(Options(config=folder), {})


def test_the_first_host_makes_the_file_and_the_next_is_added(tmp_path: Path) -> None:
    enrolling.add_host(load(tmp_path), ImportedHost(name="node01", address="10.1.0.1", user="ops"))
    done = enrolling.add_host(load(tmp_path), ImportedHost(name="node02", address="10.1.0.2", groups=("rack2",)))

    hosts = desk.fleet(load(tmp_path)).hosts
    assert done.added == ("node02",)
    assert [(h.name, h.address, h.user, h.groups) for h in hosts] == [
        ("node01", "10.1.0.1", "ops", ()),
        ("node02", "10.1.0.2", None, ("rack2",)),
    ]


def test_what_a_person_wrote_stays_as_it_is(tmp_path: Path) -> None:
    written = '# our lab\n[defaults]\nsudo = "docker"\n\n[hosts."node[01-02]"]\naddress = "{name}.lab"\n'
    (tmp_path / "fleet.toml").write_text(written, encoding="utf-8")

    enrolling.add_host(load(tmp_path), ImportedHost(name="extra", address="extra"))

    assert (tmp_path / "fleet.toml").read_text(encoding="utf-8").startswith(written.rstrip("\n"))


def test_a_host_that_is_there_already_is_not_added_again(tmp_path: Path) -> None:
    enrolling.add_host(load(tmp_path), ImportedHost(name="node01", address="a"))

    with pytest.raises(DeskError, match="node01 is in it already"):
        enrolling.add_host(load(tmp_path), ImportedHost(name="node01", address="b"))


def test_nothing_is_written_when_the_file_would_be_wrong(tmp_path: Path) -> None:
    with pytest.raises(FleetError):
        enrolling.add_host(load(tmp_path), ImportedHost(name="node01", address="-oProxyCommand=evil"))

    assert not (tmp_path / "fleet.toml").exists()


def test_an_ssh_configuration_is_taken_over_but_for_what_is_known(tmp_path: Path) -> None:
    (tmp_path / "ssh").write_text("Host a b\n  User x\nHost *\n  Port 2222\n", encoding="utf-8")
    enrolling.add_host(load(tmp_path), ImportedHost(name="a", address="a"))

    done = enrolling.add_from_ssh_config(load(tmp_path), tmp_path / "ssh")

    assert (done.added, done.known) == (("b",), ("a",))


def test_an_ansible_inventory_brings_its_groups(tmp_path: Path) -> None:
    (tmp_path / "hosts.ini").write_text("[gpu]\nn1 ansible_host=10.0.0.1 ansible_user=ops\n", encoding="utf-8")

    enrolling.add_from_ansible(load(tmp_path), tmp_path / "hosts.ini")

    (host,) = desk.fleet(load(tmp_path)).hosts
    assert (host.name, host.address, host.user, host.groups) == ("n1", "10.0.0.1", "ops", ("gpu",))
