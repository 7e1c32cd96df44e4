"""What stands between the console and a host is told per host, with what to do; the other hosts are not touched."""

import json
import shutil
import socket
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import asyncssh
import pytest

from console.runs import prepare

if TYPE_CHECKING:
    from tests.acceptance.conftest import Kit, LabOf, Played, Ran

PLAYED = "lab-mi300x-01"


class OwnFleet:
    """A fleet file and an ssh configuration written by hand, for hosts of the lab and for hosts that are not there."""

    def __init__(self, lab: "Played", folder: Path) -> None:
        self.lab = lab
        self.file = folder / "fleet.toml"
        self.ssh = folder / "ssh_config"
        self.root = lab.lab.folder / "hosts" / PLAYED
        self.port = lab.lab.port(PLAYED)
        self.key = lab.lab.folder / "id_ed25519"
        self.user_known_hosts = lab.home / ".ssh" / "known_hosts"
        self.user_known_hosts.parent.mkdir(mode=0o700, exist_ok=True)
        shutil.copy(lab.lab.folder / "known_hosts", self.user_known_hosts)
        self.configure("")

    def configure(self, first: str) -> None:
        """An ssh configuration with these lines first."""
        self.ssh.write_text(f"{first}\nHost *\n  User lab\n  IdentityFile {self.key}\n  IdentitiesOnly yes\n")

    def impatient(self, name: str, port: int) -> None:
        """An ssh configuration with this host, which is given up within a second of silence; the others are not."""
        self.configure(f"Host {name}\n  HostName 127.0.0.1\n  Port {port}\n  ConnectTimeout 1\n")

    def hosts(self, **tables: str) -> None:
        """A fleet of `good`, which is a host of the lab, and these."""
        good = (
            f'[hosts.good]\naddress = "127.0.0.1"\nport = {self.port}\nroot = "{self.root}"\n'
            'model_cache = "/data/huggingface"\nserver = "mi300x-2x9554"\n'
        )
        more = "".join(f"[hosts.{name}]\n{table}\n" for name, table in tables.items())
        self.file.write_text(f'[ssh]\nconfig = "{self.ssh}"\n{good}{more}')

    def run(self, *argv: str) -> "Ran":
        """A command on this fleet."""
        return self.lab.run(*argv, "--fleet", self.file)


@pytest.fixture(scope="module")
def lab(lab_of: "LabOf") -> "Played":
    return lab_of(1, 3000.0)


@pytest.fixture
def own(lab: "Played", tmp_path: Path) -> OwnFleet:
    shutil.rmtree(lab.home / "state", ignore_errors=True)
    return OwnFleet(lab, tmp_path)


@pytest.fixture
def silent() -> Iterator[int]:
    """A port that takes connections and never says a word."""
    with socket.socket() as listening:
        listening.bind(("127.0.0.1", 0))
        listening.listen(8)
        yield int(listening.getsockname()[1])


@pytest.fixture
def closed() -> Iterator[int]:
    """A port nothing listens on, nor does anybody else while the test runs."""
    with socket.socket() as held:
        held.bind(("127.0.0.1", 0))
        yield int(held.getsockname()[1])


def problem_of(done: "Ran", host: str) -> str:
    """The one message about a host on stderr."""
    lines = [line for line in done.err.splitlines() if line.startswith(f"instinct: {host}: ")]
    assert len(lines) == 1, done.err
    return lines[0]


@pytest.mark.parametrize(
    ("line", "said"),
    [
        ("Port notaport", "Port"),
        ('HostName "127.0.0.1', "a quotation mark is not closed"),
        ("ConnectTimeout soon", "ConnectTimeout"),
    ],
)
def test_a_bad_line_of_ssh_config_touches_only_its_host(own: OwnFleet, kit: "Kit", line: str, said: str) -> None:
    own.configure(f"Host bad\n  {line}")
    own.hosts(bad="")

    status = own.run("status", "--json")
    plan = own.run("plan", *kit.one_cell, "--json")

    assert status.code == plan.code == 3
    assert [facts["host"] for facts in status.json["hosts"]] == ["good"]
    for done in (status, plan):
        message = problem_of(done, "bad")
        assert f"{own.ssh} line 2: " in message
        assert said in message
        assert "correct that line" in message
    found = {item["hosts"][0]: [each["effect"] for each in item["findings"]] for item in plan.json}
    assert "block" not in found["good"]
    assert "block" in found["bad"]


def test_a_run_over_a_broken_and_a_sound_host_measures_the_sound_one(own: OwnFleet, kit: "Kit") -> None:
    own.configure("Host bad\n  Port notaport")
    own.hosts(bad="")

    done = own.run("run", *kit.one_cell, "--json")

    rows = {row["hosts"][0]: row for row in done.json["rows"]}
    assert done.code == 1, done.err
    assert rows["good"]["state"] == "ok"
    assert (rows["bad"]["state"], rows["bad"]["failure"]) == ("not run", "unreachable")
    assert rows["bad"]["remedy"] == "correct that line; other hosts are not affected"


def test_figures_of_the_lab_are_simulated_whatever_the_fleet_file_says(own: OwnFleet, kit: "Kit") -> None:
    own.hosts()

    done = own.run("run", *kit.one_cell, "--json")

    (row,) = done.json["rows"]
    assert done.code == 0, done.err
    assert row["simulated"] is True
    assert "simulated" in row["validity"]
    assert row["reference_set"] is None
    assert row["verdict"] == "no reference"
    assert "simulated" in own.run("results").out
    assert next(iter(own.run("runs", "--json").json["runs"]))["simulated"] is True


def test_an_unreachable_host_is_told_apart_by_what_happened(
    own: OwnFleet, silent: int, closed: int, tmp_path: Path
) -> None:
    stranger = tmp_path / "stranger"
    asyncssh.generate_private_key("ssh-ed25519").write_private_key(str(stranger))
    stranger.chmod(0o600)
    own.impatient("silent", silent)
    own.hosts(
        silent="",
        closed=f'address = "127.0.0.1"\nport = {closed}',
        nameless='address = "no-such-host.invalid"',
        stranger=f'address = "127.0.0.1"\nport = {own.port}\nidentity = "{stranger}"',
        lostkey=f'address = "127.0.0.1"\nport = {own.port}\nidentity = "{tmp_path / "none"}"',
    )

    done = own.run("status", "--json")
    test = own.run("hosts", "test", "--json")

    assert done.code == test.code == 3
    assert [facts["host"] for facts in done.json["hosts"]] == ["good"]
    said = {host: problem_of(done, host) for host in ("silent", "closed", "nameless", "stranger", "lostkey")}
    assert "took the connection and then said nothing; is sshd hung?" in said["silent"]
    assert f"nothing listens on 127.0.0.1:{closed}; is sshd running there" in said["closed"]
    assert "does not resolve" in said["nameless"]
    assert "check its address in the fleet file" in said["nameless"]
    assert "user lab was not let in; check the key" in said["stranger"]
    assert "is not there; correct it in the fleet file" in said["lostkey"]
    assert done.json["problems"] == {host: text.split(": ", 2)[2] for host, text in said.items()}
    assert [row["host"] for row in test.json["hosts"] if row["docker"]] == ["good"]


def test_a_host_that_never_answers_is_a_row_and_the_others_are_measured(
    own: OwnFleet, kit: "Kit", silent: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(prepare, "REACH_S", 0.5)
    own.impatient("silent", silent)
    own.hosts(silent="")

    done = own.run("run", kit.one_cell[0], "--only", "model~70B and output_len in (2000, 4096)", "--json")

    rows = {(row["hosts"][0], row["output_len"]): row for row in done.json["rows"]}
    assert done.code == 1, done.err
    assert {key: row["state"] for key, row in rows.items()} == {
        ("good", 2000): "ok",
        ("good", 4096): "ok",
        ("silent", 2000): "not run",
        ("silent", 4096): "not run",
    }
    assert rows["silent", 4096]["failure"] == "unreachable"


def test_an_unknown_host_key_is_refused_until_it_is_trusted(own: OwnFleet) -> None:
    own.user_known_hosts.unlink()
    own.hosts()

    refused = own.run("status")
    shown = own.run("hosts", "trust", "good", "--json").json["keys"]
    wrong = own.run("hosts", "trust", "good", "--fingerprint", "SHA256:" + "A" * 43)
    still = own.run("status")
    trusted = own.run("hosts", "trust", "good", "--fingerprint", shown[0]["fingerprint"])
    accepted = own.run("status")

    message = problem_of(refused, "good")
    assert refused.code == 3
    assert shown[0]["fingerprint"] in message
    assert "instinct hosts trust good" in message
    assert (wrong.code, still.code) == (2, 3)
    assert (trusted.code, accepted.code) == (0, 0)
    assert not own.user_known_hosts.exists(), "keys go to a file of our own"


def test_a_changed_host_key_is_refused_and_trust_does_not_replace_it(own: OwnFleet, kit: "Kit") -> None:
    other = asyncssh.generate_private_key("ssh-ed25519").export_public_key("openssh").decode().split()
    own.user_known_hosts.write_text(f"[127.0.0.1]:{own.port} {other[0]} {other[1]}\n")
    own.hosts()

    status = own.run("status")
    run = own.run("run", *kit.one_cell, "--json")
    shown = own.run("hosts", "trust", "good", "--json").json["keys"]
    trust = own.run("hosts", "trust", "good", "--fingerprint", shown[0]["fingerprint"])

    message = problem_of(status, "good")
    assert (status.code, run.code) == (3, 3)
    assert "changed" in message or "differs" in message or "another" in message
    assert str(own.user_known_hosts) in message
    (row,) = run.json["rows"]
    assert (row["state"], row["failure"]) == ("not run", "unreachable")
    assert row["remedy"]
    assert trust.code != 0
    assert "good: " in trust.err
    assert own.run("status").code == 3


def test_a_user_without_docker_is_told_how_to_get_it(lab_of: "LabOf", kit: "Kit") -> None:
    from console.lab.faults import Fault

    denied = lab_of(1, 3000.0, [Fault("no-docker-permission")])

    status = denied.run("status", "--json")
    done = denied.run("run", *kit.one_cell, "--json")

    (facts,) = status.json["hosts"]
    (row,) = done.json["rows"]
    assert status.code == 0, "the host itself answers"
    assert "docker" in json.dumps(facts["docker"])
    assert done.code == 1
    assert (row["state"], row["failure"]) == ("not run", "docker")
    assert row["failure_line"].startswith(f"{PLAYED}: ")
    assert "docker" in row["remedy"]
