"""The daily work on the embedded lab, each command in a process of its own."""

import json
import os
import re
import signal
import subprocess
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from tests.cli.conftest import Lab

ONE_CELL = ("run", "vllm-0.8.5-throughput", "--only", "model~70B and output_len==4096", "--hosts", "lab-mi300x-01")


def run_id(err: str) -> str:
    found = re.search(r"^(r[a-z0-9]+): \d+ attempts?\b", err, re.MULTILINE)
    assert found, err
    return found[1]


def test_a_run_prints_its_table_on_stdout_and_everything_else_on_stderr(fast_lab: "Lab", tmp_path: Path) -> None:
    output = tmp_path / "results.json"

    done = fast_lab.run(*ONE_CELL, "--label", "first", "-o", str(output))

    assert done.code == 0, done.err
    assert done.out.startswith("vLLM 0.8.5 throughput, MI300X (simulated")
    assert "(simulated)" in done.out
    assert ": ok: " in done.err
    rows = json.loads(output.read_text())["rows"]
    assert [(row["state"], row["simulated"], row["reference_set"]) for row in rows] == [("ok", True, "lab")]

    assert fast_lab.run("results", "first").out == done.out
    listed = json.loads(fast_lab.run("runs", "--json").out)["runs"]
    assert [(row["label"], row["state"], row["ok"]) for row in listed] == [("first", "finished", 1)]
    assert fast_lab.run("watch", "first").out == done.out
    assert "lab-mi300x-01" in fast_lab.run("compare", "first", "first").out


def test_a_detached_run_goes_on_alone_and_can_be_watched(fast_lab: "Lab") -> None:
    started = fast_lab.run(*ONE_CELL, "--detach", "--json")
    run = json.loads(started.out)["run"]

    watched = fast_lab.run("watch", run)

    assert started.code == 0, started.err
    assert re.fullmatch(r"r[a-z0-9]+", run)
    assert watched.code == 0, watched.err
    assert "(simulated)" in watched.out


def test_training_rows_run_too_and_say_what_they_measure(fast_lab: "Lab") -> None:
    done = fast_lab.run("run", "megatron-25.5-deepseek", "--hosts", "lab-mi300x-01", "--json")

    (row,) = json.loads(done.out)["rows"]
    assert done.code == 0, done.err
    assert (row["state"], row["metric"], row["simulated"]) == ("ok", "tokens_per_s_per_gpu", True)


def test_status_names_what_the_hosts_are(fast_lab: "Lab") -> None:
    done = fast_lab.run("status")

    assert done.code == 0, done.err
    assert done.out.splitlines()[0].split()[:2] == ["host", "state"]
    assert all("simulated" in line and "MI300X" in line for line in done.out.splitlines()[1:])


def test_hosts_answer_and_what_is_there_is_not_fetched(fast_lab: "Lab") -> None:
    assert fast_lab.run("hosts", "test").code == 0
    fetched = fast_lab.run("fetch", "vllm-0.8.5-throughput", "--only", "model~70B", "--json")

    states = {row["state"] for row in json.loads(fetched.out)["fetched"]}
    assert fetched.code == 0, fetched.err
    assert states <= {"present", "fetched", "shared"}


def test_host_keys_are_shown_and_trusted_by_their_fingerprint_only(fast_lab: "Lab") -> None:
    shown = fast_lab.run("hosts", "trust", "lab-mi300x-01", "--json")
    key = json.loads(shown.out)["keys"][0]
    wrong = fast_lab.run("hosts", "trust", "lab-mi300x-01", "--fingerprint", "SHA256:" + "A" * 43)
    right = fast_lab.run("hosts", "trust", "lab-mi300x-01", "--fingerprint", key["fingerprint"])

    assert (shown.code, wrong.code, right.code) == (2, 2, 0)
    assert "--fingerprint" in shown.err
    assert "none of them is the expected one" in wrong.err
    assert "lab-mi300x-01: trusted" in right.err


def until_said(process: "subprocess.Popen[str]", word: str, lab: "Lab") -> str:
    """From then on the hosts' programs stand still: they are met where they are, however slow this machine is."""
    assert process.stderr is not None
    for line in process.stderr:
        if word in line:
            lab.stand_still()
            return line
    raise AssertionError(f"{word!r} was never said")


def test_an_interrupt_stops_the_run_and_its_rows_say_so(slow_lab: "Lab") -> None:
    process = slow_lab.start(*ONE_CELL, "--label", "stopped")
    until_said(process, ": compiling", slow_lab)

    process.send_signal(signal.SIGINT)
    out, err = process.communicate(timeout=100)

    assert process.returncode == 130, err
    assert "interrupt again to leave now" in err
    assert "stopped" in out
    assert "nothing was left behind" in slow_lab.run("clean").err


def test_a_hang_up_leaves_the_run_and_resume_carries_on_with_live_figures(slow_lab: "Lab") -> None:
    process = slow_lab.start(*ONE_CELL, "--label", "left")
    until_said(process, ": compiling", slow_lab)
    slow_lab.go_on(6.0)  # far from its end when the run is taken up again
    process.send_signal(signal.SIGHUP)
    _, err = process.communicate(timeout=100)
    assert process.returncode == 130
    assert "carries on" in err

    kept = slow_lab.run("clean", "--json")
    assert [item["standing"] for item in json.loads(kept.out)["containers"]] == ["in use"]
    assert slow_lab.run("results", "left").code == 0
    process = slow_lab.start("run", "--resume", "left")
    live = until_said(process, "tok/s, mean ", slow_lab)
    slow_lab.go_on(2000.0)
    out, err = process.communicate(timeout=100)

    assert process.returncode == 0, err
    assert ": measuring: " in live
    assert "(simulated)" in out


def test_a_killed_conductor_leaves_a_run_that_stop_can_end(slow_lab: "Lab") -> None:
    process = slow_lab.start(*ONE_CELL, "--label", "killed")
    until_said(process, ": compiling", slow_lab)
    os.kill(process.pid, signal.SIGKILL)
    process.communicate(timeout=100)

    watched = slow_lab.run("watch", "killed")
    stopped = slow_lab.run("stop", "killed")

    assert watched.code == 1
    assert "nobody conducts" in watched.err
    assert stopped.code == 0, stopped.err
    states = {row["label"]: row["state"] for row in json.loads(slow_lab.run("runs", "--json").out)["runs"]}
    assert states["killed"] == "stopped"


def test_two_conductors_of_one_run_are_one_too_many(slow_lab: "Lab") -> None:
    process = slow_lab.start(*ONE_CELL, "--label", "held")
    until_said(process, ": compiling", slow_lab)

    second = slow_lab.run("run", "--resume", "held")
    process.send_signal(signal.SIGINT)
    process.communicate(timeout=100)

    assert second.code == 2
    assert "is conducted by" in second.err
