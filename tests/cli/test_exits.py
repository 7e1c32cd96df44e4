"""Errors end with one clear message on stderr, nothing on stdout, and the code of their kind."""

import importlib
import json
import socket
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from console.cli import exits
from console.cli.exits import EXPECTED, Exit
from console.cli.main import run

if TYPE_CHECKING:
    from tests.cli.conftest import RunCli


@pytest.mark.parametrize(("module", "name", "code"), EXPECTED, ids=[name for _, name, _ in EXPECTED])
def test_every_expected_error_exists(module: str, name: str, code: Exit) -> None:
    found = getattr(importlib.import_module(module), name)

    assert issubclass(found, Exception)
    assert code in (Exit.CELL, Exit.USAGE, Exit.CONNECT)


def test_an_error_nobody_planned_for_has_no_code() -> None:
    assert exits.code_of(ZeroDivisionError()) is None
    assert exits.code_of(KeyboardInterrupt()) is Exit.INTERRUPTED


@pytest.mark.parametrize(
    ("argv", "said"),
    [
        (["plann"], "Did you mean 'plan'"),
        (["plan"], "Missing argument 'MATRIX...'"),
        (["plan", "vllm-0.8.5-latency", "--repeat", "0"], "--repeat"),
        (["plan", "vllm-0.8.5-latency", "--if-busy", "perhaps"], "'perhaps' is not skip, wait or wait=TIME"),
        (["plan", "vllm-0.8.5-latency", "--until", "25:00"], "'25:00' is not a time of day"),
        (["plan", "vllm-0.8.5-latency", "--set", "dtype"], "'dtype' is not KEY=VALUE"),
        (["plan", "vllm-0.8.5-latency"], "no such fleet file"),
        (["plan", "vllm-0.8.5-latancy", "--server", "mi355x"], "vllm-0.8.5-latency"),
        (["plan", "vllm-0.8.5-latency", "--server", "mi300"], "no server profile is called 'mi300'"),
        (["plan", "vllm-0.8.5-latency", "--server", "mi300x-2x9654", "--only", "batch_size==3"], "batch_size==3"),
        (["plan", "vllm-0.8.5-latency", "--server", "mi300x-2x9654", "--only", "batch_size=="], "column"),
        (["run"], "name a matrix to run, or give --resume RUN"),
        (["run", "x", "--resume", "last"], "it takes no matrices"),
        (["run", "--resume", "last", "--hosts", "node01"], "it takes no --hosts"),
        (["run", "--resume", "last", "--repeat", "1"], "it takes no --repeat"),
        (["run", "--resume", "last", "--all-or-none"], "it takes no --all-or-none"),
        (["plan", "vllm-0.8.5-latency", "--only", " "], "it is empty; leave it out"),
        (["plan", "vllm-0.8.5-latency", "--server", "mi355x", "--accept", "xyzzy"], "there is "),
        (["plan", "vllm-0.8.5-latency", "--server", "mi355x", "--image", "x"], "rocm6.3.1_vllm_0.8.5_20250521"),
        (["plan", "vllm-0.8.5-latency", "--server", "mi355x", "--set", "x=1"], "gpu_memory_utilization"),
        (["run", "x", "-o", "table.doc"], "known endings"),
        (["run", "x", "-o", "nowhere/table.csv"], "there is no folder"),
        (["export", "last", "-o", "table.xml"], "known endings"),
        (["results", "last"], "there are no runs"),
        (["watch"], "there are no runs"),
        (["stop", "r1"], "there are no runs"),
        (["read-log", "vllm-thruput", "-"], "unknown workload 'vllm-thruput'"),
        (["read-log", "vllm-throughput", "absent.log"], "absent.log: cannot be read"),
        (["profiles", "show", "mi300y"], "mi300y"),
        (["profiles", "show", "mi355x", "--profiles", "nowhere"], "no such profile folder"),
        (["hosts", "list", "--fleet", "absent.toml"], "absent.toml: no such fleet file"),
        (["hosts", "add"], "name one host"),
        (["config", "show", "--config", "absent.toml"], "absent.toml: no such configuration file"),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, list) else None,
)
def test_bad_requests_end_with_two_and_say_what_is_wrong(cli: "RunCli", argv: list[str], said: str) -> None:
    done = cli(*argv)

    assert done.code == Exit.USAGE
    assert said in done.err
    assert done.out == ""
    assert "Traceback" not in done.err


def test_a_broken_fleet_file_names_its_line(cli: "RunCli", fleet_file: Path) -> None:
    fleet_file.write_text('[hosts.a]\naddress = "x"\nport = \n', encoding="utf-8")

    done = cli("hosts", "list")

    assert done.code == Exit.USAGE
    assert "fleet.toml" in done.err
    assert "fleet.toml:3: " in done.err


def test_an_unknown_host_is_told_with_those_there_are(cli: "RunCli", fleet_file: Path) -> None:
    done = cli("plan", "vllm-0.8.5-latency", "--hosts", "node1")

    assert done.code == Exit.USAGE
    assert "node01" in done.err


@pytest.mark.parametrize(
    "argv",
    [
        ["hosts", "list", ""],
        ["hosts", "test", ""],
        ["status", " "],
        ["clean", ""],
        ["plan", "vllm-0.8.5-latency", "--hosts", ""],
        ["run", "vllm-0.8.5-latency", "--hosts", ","],
        ["health", ""],
    ],
    ids=" ".join,
)
def test_a_variable_that_was_never_set_does_not_mean_the_whole_fleet(
    cli: "RunCli", fleet_file: Path, argv: list[str]
) -> None:
    done = cli(*argv)

    assert done.code == (3 if argv[0] == "health" else Exit.USAGE)
    assert done.err.startswith("instinct: the selection of hosts is empty"), done.err
    assert done.out == ""


def test_a_matrix_named_twice_is_planned_once(cli: "RunCli") -> None:
    done = cli("plan", "vllm-0.8.5-throughput", "vllm-0.8.5-throughput", "--server", "mi300x-2x9654", "--json")

    assert len(json.loads(done.out)) == 8


def test_hosts_that_cannot_be_reached_end_with_three_and_are_named(cli: "RunCli", home: Path) -> None:
    with socket.socket() as closed:
        closed.bind(("127.0.0.1", 0))
        port = closed.getsockname()[1]
    fleet = home / "fleet.toml"
    fleet.write_text(f'[hosts.node01]\naddress = "127.0.0.1"\nport = {port}\n', encoding="utf-8")

    test = cli("hosts", "test", "--fleet", fleet)
    plan = cli("plan", "vllm-0.8.5-latency", "--only", "batch_size==1", "--fleet", fleet)
    status = cli("status", "--fleet", fleet, "--json")

    assert (test.code, plan.code, status.code) == (Exit.CONNECT,) * 3
    assert "node01" in test.out
    assert "instinct: node01: " in plan.err
    assert "block reachable" in plan.out
    assert '"node01"' in status.out


def test_an_interrupt_ends_with_130(cli: "RunCli", monkeypatch: pytest.MonkeyPatch) -> None:
    def interrupted(*_: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr("console.cli.framework.Front.settings", interrupted)

    assert cli("config", "path").code == Exit.INTERRUPTED


def test_an_error_nobody_planned_for_is_not_hidden(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(*_: object) -> None:
        raise ZeroDivisionError

    monkeypatch.setattr("console.cli.framework.Front.settings", broken)

    with pytest.raises(ZeroDivisionError):
        run(["config", "path"])


def test_a_reader_that_leaves_costs_no_traceback(home: Path) -> None:
    producer = subprocess.Popen(
        [sys.executable, "-m", "console", "profiles", "show", "vllm-0.8.5-latency", "--json"],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
    )
    assert producer.stdout is not None
    producer.stdout.close()
    assert producer.stderr is not None
    err = producer.stderr.read()

    assert b"Traceback" not in err
    assert producer.wait(timeout=30) == Exit.CELL


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="no /dev/full here")
def test_output_that_finds_no_room_is_one_message(home: Path) -> None:
    with Path("/dev/full").open("wb") as full:
        argv = [sys.executable, "-m", "console", "profiles", "list"]
        done = subprocess.run(argv, stdout=full, stderr=subprocess.PIPE, text=True, check=False)

    assert done.returncode == Exit.CELL
    assert done.stderr == "instinct: stdout: No space left on device\n"


@pytest.mark.parametrize("closed", ["1", "2"])
def test_a_closed_stream_is_no_error_and_gives_its_number_to_no_file(home: Path, closed: str) -> None:
    shell = f'exec "$0" -m console profiles list {closed}>&-'
    done = subprocess.run(["sh", "-c", shell, sys.executable], capture_output=True, text=True, check=False)

    assert done.returncode == 0, done.stderr
    assert done.stderr == ""
    assert done.stdout.startswith("kind ") or closed == "1"
