"""Fleet files from an ssh configuration and from Ansible inventories."""

import json
from pathlib import Path

import pytest

from console.fleet.host import Fleet, FleetError
from console.fleet.importing import Imported, from_ansible, from_ssh_config
from console.fleet.inventory import parse

INI = """
# comment
lone ansible_host=10.0.0.9 ansible_port=2222
[mi300x]
gpu[01:03] ansible_user=ops
[mi325x]
big-a ansible_ssh_private_key_file=~/.ssh/lab ansible_ssh_common_args='-o ProxyJump=bastion'
[rack:children]
mi300x
mi325x
[rack:vars]
ansible_port = 2200
[control]
localhost ansible_connection=local
"""


def written(imported: Imported) -> Fleet:
    return parse(imported.text("somewhere"), Path("/x/fleet.toml"))


def test_an_ssh_configuration_gives_its_aliases(tmp_path: Path) -> None:
    (tmp_path / "more").write_text("Host included\n", encoding="utf-8")
    config = tmp_path / "config"
    config.write_text(
        f"Host node01 node02\n  User ops\nHost *.lab !x\nHost = node03 # third\nInclude {tmp_path}/mo*\n"
        'Host "broken\nMatch host y\nHost wild* fine\n',
        encoding="utf-8",
    )
    imported = from_ssh_config(config)
    assert [host.name for host in imported.hosts] == ["node01", "node02", "node03", "included", "fine"]
    assert "line 6" in imported.notes[0]
    assert written(imported).host("node02").address == "node02"


def test_an_ini_inventory_gives_hosts_groups_and_their_variables(tmp_path: Path) -> None:
    path = tmp_path / "hosts"
    path.write_text(INI, encoding="utf-8")
    fleet = written(from_ansible(path))
    assert [host.name for host in fleet.hosts] == ["lone", "gpu01", "gpu02", "gpu03", "big-a", "localhost"]
    lone, gpu, big = fleet.host("lone"), fleet.host("gpu02"), fleet.host("big-a")
    assert (lone.address, lone.port, lone.groups) == ("10.0.0.9", 2222, ())
    assert (gpu.user, gpu.port, gpu.groups) == ("ops", 2200, ("mi300x", "rack"))
    assert (big.jump, str(big.identity)) == ("bastion", str(Path("~/.ssh/lab").expanduser()))
    assert fleet.host("localhost").local


def test_the_json_of_ansible_inventory_gives_the_same(tmp_path: Path) -> None:
    tree = {
        "_meta": {"hostvars": {"gpu01": {"ansible_host": "10.0.0.1", "ansible_port": 2200}}},
        "all": {"children": ["ungrouped", "mi300x"]},
        "mi300x": {"hosts": ["gpu01", "gpu02"]},
    }
    path = tmp_path / "inventory.json"
    path.write_text(json.dumps(tree), encoding="utf-8")
    fleet = written(from_ansible(path))
    assert [(host.name, host.address, host.port, host.groups) for host in fleet.hosts] == [
        ("gpu01", "10.0.0.1", 2200, ("mi300x",)),
        ("gpu02", "gpu02", None, ("mi300x",)),
    ]


def test_groups_that_contain_themselves_do_not_hang(tmp_path: Path) -> None:
    path = tmp_path / "hosts"
    path.write_text("[a]\nx\n[a:children]\nb\n[b:children]\na\n", encoding="utf-8")
    assert written(from_ansible(path)).host("x").groups == ("a", "b")


@pytest.mark.parametrize("name", ["inventory.yml", "inventory"])
def test_yaml_is_not_read_and_the_way_around_is_said(tmp_path: Path, name: str) -> None:
    path = tmp_path / name
    path.write_text("---\nall:\n  hosts:\n    a:\n", encoding="utf-8")
    with pytest.raises(FleetError, match=r"ansible-inventory -i .* --list > inventory\.json"):
        from_ansible(path)


def test_nothing_to_import_is_an_error(tmp_path: Path) -> None:
    path = tmp_path / "config"
    path.write_text("Host *\n", encoding="utf-8")
    with pytest.raises(FleetError, match="no hosts in it"):
        from_ssh_config(path)
    with pytest.raises(FleetError, match="cannot be read"):
        from_ansible(tmp_path / "none")
