"""The user's ssh configuration: read as OpenSSH reads it, and one bad line hurts only the hosts it is about."""

from pathlib import Path

import asyncssh
import pytest

from console.fleet.host import Fleet
from console.fleet.link import ConfigError
from console.fleet.sshconfig import Settings, Target, config_files, resolve


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("HOME", str(tmp_path))
    (tmp_path / ".ssh").mkdir()
    return tmp_path


def settings(home: Path, text: str, address: str = "node01", **more: object) -> Settings:
    path = home / ".ssh" / "config"
    path.write_text(text, encoding="utf-8")
    fleet = Fleet(path=home / "fleet.toml", hosts=(), ssh_config=path)
    return resolve(fleet, Target(name=address, address=address, **more))  # type: ignore[arg-type]  # fields of Target


def test_an_alias_gives_host_name_port_user_and_jump(home: Path) -> None:
    found = settings(
        home, "Host node01\n  Hostname 10.0.0.1\n  Port 2222\n  User ops\n  ProxyJump j1,me@j2:23\n  HostKeyAlias n1\n"
    )
    assert (found.host, found.port, found.user, found.key_name) == ("10.0.0.1", 2222, "ops", "n1")
    assert found.jumps == ("j1", "me@j2:23")


def test_the_fleet_file_is_stronger_than_the_configuration(home: Path) -> None:
    found = settings(home, "Host *\n  Port 2222\n  User ops\n  ProxyJump j1\n", user="root", port=22, jump="none")
    assert (found.port, found.user, found.jumps) == (22, "root", ())


@pytest.mark.parametrize(("text", "seconds"), [("1m", 60), ("90", 90), ("1m30s", 90), ("1H", 3600)])
def test_times_may_be_written_as_openssh_takes_them(home: Path, text: str, seconds: float) -> None:
    assert (
        settings(home, f"Host *\n  ConnectTimeout {text}\n  ServerAliveInterval {text}\n").connect_timeout_s == seconds
    )


@pytest.mark.parametrize("line", ["ConnectTimeout soon", "Port ssh", 'IdentityFile "~/.ssh/id', "Compression maybe"])
def test_a_bad_line_is_an_error_of_its_own_host_with_file_and_line(home: Path, line: str) -> None:
    text = f"Host node01\n  {line}\nHost node02\n  User ops\n"
    with pytest.raises(ConfigError, match=r"node01: ssh configuration: .*\.ssh/config line 2: "):
        settings(home, text, "node01")
    assert settings(home, text, "node02").user == "ops"


def test_a_condition_asyncssh_does_not_know_skips_its_block_with_a_note(home: Path) -> None:
    found = settings(home, "Match sessiontype shell\n  User wrong\nHost node01\n  User ops\n")
    assert found.user == "ops"
    assert "line 1" in found.notes[0]


def test_an_identity_file_that_cannot_be_used_is_skipped_with_a_note_as_openssh_does(home: Path) -> None:
    key = asyncssh.generate_private_key("ssh-ed25519")
    key.write_private_key(home / ".ssh" / "good")
    key.write_private_key(home / ".ssh" / "locked", "pkcs8-pem", passphrase="secret")
    (home / ".ssh" / "junk").write_text("junk", encoding="utf-8")
    names = ("none", "locked", "junk", "good")
    found = settings(home, "Host *\n" + "".join(f"  IdentityFile ~/.ssh/{name}\n" for name in names))
    assert found.client_keys == (str(home / ".ssh" / "good"),)
    assert [note.split(" ", 2)[2] for note in found.notes] == [
        "cannot be read (No such file or directory): skipped",
        "is encrypted (add it to the agent with ssh-add): skipped",
        "is no private key: skipped",
    ]


def test_with_identities_only_the_public_half_names_the_key_of_the_agent(home: Path) -> None:
    asyncssh.generate_private_key("ssh-ed25519").write_public_key(home / ".ssh" / "hardware.pub")
    found = settings(home, "Host *\n  IdentitiesOnly yes\n  IdentityFile ~/.ssh/hardware\n")
    assert found.client_keys == (str(home / ".ssh" / "hardware.pub"),)


def test_an_identity_the_fleet_file_names_must_be_there(home: Path) -> None:
    with pytest.raises(ConfigError, match=r"identity .* is not there"):
        settings(home, "", identity=home / "nope")


@pytest.mark.parametrize("value", ["/dev/null", "none"])
def test_no_user_known_hosts_never_means_no_checking(home: Path, value: str) -> None:
    found = settings(home, f"Host *\n  UserKnownHostsFile {value}\n  StrictHostKeyChecking no\n")
    assert found.known_hosts == (Path("/etc/ssh/ssh_known_hosts"), Path("/etc/ssh/ssh_known_hosts2"))
    assert any("keys OpenSSH saw are not on record" in note for note in found.notes)


def test_the_users_and_the_systems_records_count_unless_others_are_named(home: Path) -> None:
    assert settings(home, "").known_hosts[0] == home / ".ssh" / "known_hosts"
    named = settings(home, f"Host *\n  UserKnownHostsFile {home}/a {home}/b\n  GlobalKnownHostsFile {home}/c\n")
    assert named.known_hosts == (home / "a", home / "b", home / "c")


def test_an_isolated_fleet_reads_nothing_of_the_users(home: Path) -> None:
    (home / ".ssh" / "config").write_text("Host *\n  Port 1\n", encoding="utf-8")
    fleet = Fleet(path=home / "fleet.toml", hosts=(), isolated=True, known_hosts=(home / "keys",))
    assert config_files(fleet) == []
    found = resolve(fleet, Target(name="a", address="127.0.0.1"))
    assert (found.port, found.known_hosts, found.client_keys) == (22, (home / "keys",), ())
    assert config_files(Fleet(path=home / "fleet.toml", hosts=()))[0] == home / ".ssh" / "config"


def test_a_host_name_that_is_none_is_refused(home: Path) -> None:
    with pytest.raises(ConfigError, match="is no host name"):
        settings(home, "Host node01\n  Hostname -oProxyCommand=x\n")
