"""Live hosts over SSH: one dead host delays nobody, a look is repeated, a host becomes a bundle."""

import json
import socket
import subprocess
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from tests.cli.conftest import Lab, RunCli


def test_a_silent_host_is_unknown_at_the_deadline_and_the_others_are_checked(fast_lab: "Lab", tmp_path: Path) -> None:
    with socket.socket() as silent:
        silent.bind(("127.0.0.1", 0))
        silent.listen()  # accepts by the kernel's queue and never says a word
        port = silent.getsockname()[1]
        fleet = fast_lab.fleet.with_name("silent.toml")
        fleet.write_text(
            f"{fast_lab.fleet.read_text('utf-8')}\n[hosts.silent]\nport = {port}\n[hosts.gone]\nport = 1\n"
            "[ssh]\nconnect_timeout_s = 300\nlogin_timeout_s = 300\n",
            "utf-8",
        )
        for seconds in (6, 20, 60):  # as long as this machine needs for the hosts that answer
            done = fast_lab.run("health", "--fleet", str(fleet), "--json", "--deadline", f"{seconds}s")
            hosts = {host["host"]: host for host in json.loads(done.out)["hosts"]}
            if all(host["answered"] for name, host in hosts.items() if name.startswith("lab-")):
                break
    assert {name: host["answered"] for name, host in hosts.items()} == {
        "lab-mi300x-01": True,
        "lab-mi300x-02": True,
        "silent": False,
        "gone": False,
    }
    assert hosts["silent"]["findings"][0]["seen"] == f"not finished within {seconds} s"
    assert (hosts["silent"]["state"], hosts["gone"]["state"]) == ("unknown", "fail")
    assert hosts["lab-mi300x-01"]["simulated"]
    assert done.code == 2


def test_a_sound_simulated_fleet_passes(fast_lab: "Lab") -> None:
    done = fast_lab.run("health")
    assert done.code == 0, done.out
    assert "2 hosts: 2 pass, simulated" in done.err


def test_a_look_is_repeated_over_the_same_connections(fast_lab: "Lab") -> None:
    done = fast_lab.run("status", "--watch", "--every", "0.5", "--rounds", "3")
    assert done.code == 0
    assert done.out.count("lab-mi300x-01") == 3


def test_a_host_becomes_a_bundle_that_tells_the_same(fast_lab: "Lab", tmp_path: Path) -> None:
    path = tmp_path / "node.tar.gz"
    done = fast_lab.run("capture", "lab-mi300x-01", "-o", str(path))
    assert done.code == 0, done.err
    assert path.stat().st_mode & 0o777 == 0o600
    live = json.loads(fast_lab.run("status", "lab-mi300x-01", "--json").out)["rows"][0]
    kept = json.loads(fast_lab.run("status", "--bundle", str(path), "--json").out)["rows"][0]
    same = ("gpus", "cpu", "bios", "os", "kernel", "amdgpu", "rocm", "partition", "vram_total_bytes", "health")
    assert {key: kept[key] for key in same} == {key: live[key] for key in same}
    assert fast_lab.run("health", "--bundle", str(path), "--skip", "kernel").code == 0


def test_a_redacted_bundle_names_no_host(fast_lab: "Lab", tmp_path: Path) -> None:
    path = tmp_path / "node.tar.gz"
    fast_lab.run("capture", "lab-mi300x-01", "-o", str(path), "--redact")
    row = json.loads(fast_lab.run("status", "--bundle", str(path), "--json").out)["rows"][0]
    assert (row["host"], row["gpus"]) == ("host", "8x MI300X")
    unpacked = subprocess.run(["tar", "xzOf", str(path)], capture_output=True, check=True).stdout
    assert b"lab-mi300x-01" not in unpacked


def test_a_bundle_of_two_hosts_is_refused(fast_lab: "Lab", tmp_path: Path) -> None:
    done = fast_lab.run("capture", "lab-mi300x-*", "-o", str(tmp_path / "x.tar.gz"))
    assert done.code == 2
    assert "2 hosts" in done.err


def test_what_is_no_bundle_is_refused(cli: "RunCli", described: Path, tmp_path: Path) -> None:
    path = tmp_path / "x.tar.gz"
    path.write_bytes(b"not a tar")
    assert cli("health", "--bundle", path).code == 3
    assert cli("status", "--bundle", path).code == 2
