"""A cell that cannot run or does not end well is a row: its class, its host, what to do; the others are not touched."""

from typing import TYPE_CHECKING, Any

import pytest

from console.lab.faults import Fault
from console.lab.specs import lineup
from console.runs import prepare

if TYPE_CHECKING:
    from tests.acceptance.conftest import Kit, LabOf, Played

FAULTS = ("no-docker-permission", "no-image", "model-incomplete", "kfd-missing", "busy-gpu", "disk-full", "no-boot")
"""Failures that hosts have from the start."""
PLAYED = 14
SOUND, OTHER, *REST = [name for name, kind in lineup(PLAYED) if kind.gpu.name == "MI300X"]
"""Two sound hosts; programs of the other one are given failures by tests."""
BROKEN = dict(zip(FAULTS, REST, strict=False))
ALL = ",".join((SOUND, OTHER, *BROKEN.values()))


@pytest.fixture(scope="module")
def lab(lab_of: "LabOf") -> "Played":
    assert len(BROKEN) == len(FAULTS)
    return lab_of(PLAYED, 3000.0, [Fault(name, host=host) for name, host in BROKEN.items()])


SERVED = """
name = "served"
title = "Llama served"
workload = "vllm-serve"
image = "rocm6.3.1_vllm_0.8.5_20250521"
metric = "output_tokens_per_s"
unit = "tokens/s"
source = "ours"
dated = "2026-01-01"
platform = "ours"
server = "mi300x-2x9554"
gpus_per_node = 8
recipe = "exact"
recipe_source = "ours"
cell_id = "in{input_len}-out{output_len}"
columns = [{ heading = "Input", key = "input_len" }]

[parameters]
tensor_parallel = 8

[[group]]
model = "amd/Llama-3.1-70B-Instruct-FP8-KV"
title = "Llama 3.1 70B"
precision = "FP8"
rows = [{ input_len = 128, output_len = 128, num_prompts = 50, max_num_seqs = 50 }]
"""

PROGRAMS = [
    ("dies-at-once", "python_error", "ImportError", "log"),
    ("oom", "out_of_memory_gpu", "HIP out of memory", "gpu_memory_utilization"),
    ("killed-for-memory", "out_of_memory_host", "killed it for memory", "memory"),
    ("gpu-hang", "gpu_fault", "Memory access fault by GPU", "kernel log"),
    ("no-result-file", "no_result", "no result file", "log"),
    ("truncated-result", "bad_result", "is cut off", "log"),
    ("not-json", "bad_result", "is not JSON", "log"),
    ("hang", "deadline", "did not end within its deadline", "hang"),
]


@pytest.mark.parametrize(("fault", "failure", "line", "remedy"), PROGRAMS, ids=[item[0] for item in PROGRAMS])
def test_a_program_that_does_not_end_well_is_a_failed_row(
    lab: "Played", kit: "Kit", fault: str, failure: str, line: str, remedy: str
) -> None:
    with lab.faults(Fault(fault, host=OTHER)):
        done = lab.run("run", *kit.one_cell, "--hosts", f"{SOUND},{OTHER}", "--json")

    rows = {row["hosts"][0]: row for row in done.json["rows"]}
    sound, broken = rows[SOUND], rows[OTHER]
    assert done.code == 1, done.err
    assert (sound["state"], sound["hosts"]) == ("ok", [SOUND])
    assert sound["value"] > 0
    assert (broken["state"], broken["failure"], broken["verdict"]) == ("failed", failure, "failed")
    assert line in broken["failure_line"]
    assert remedy in broken["remedy"]
    assert broken["hosts"] == [OTHER]
    assert broken["value"] is None
    assert f"on {OTHER}: failed: {failure}" in done.err
    assert lab.containers() == {}


def test_what_was_measured_before_a_failure_stays_measured(lab: "Played", kit: "Kit") -> None:
    with lab.faults(Fault("gpu-hang", when="--output-len 4096")):
        done = lab.run(
            "run", kit.one_cell[0], "--only", "model~70B and output_len in (2000, 4096)", "--hosts", SOUND, "--json"
        )

    rows = {row["output_len"]: row for row in done.json["rows"]}
    assert done.code == 1, done.err
    assert {length: row["state"] for length, row in rows.items()} == {2000: "ok", 4096: "failed"}
    assert rows[2000]["value"] > 0


def test_a_taken_port_is_a_failed_row_of_both_parts(lab: "Played", kit: "Kit", serve_matrix: str) -> None:
    with lab.faults("port-in-use"):
        done = lab.run("run", serve_matrix, "--hosts", SOUND, "--json", INSTINCT_PROFILES=str(lab.home / "own"))

    (row,) = done.json["rows"]
    assert done.code == 1, done.err
    assert (row["state"], row["failure"]) == ("failed", "port_in_use")
    assert row["remedy"]
    assert lab.containers() == {}


@pytest.fixture(scope="module")
def serve_matrix(lab: "Played") -> str:
    """A matrix of the user's own with one row of the client-server kind."""
    folder = lab.home / "own" / "matrices"
    folder.mkdir(parents=True)
    (folder / "served.toml").write_text(SERVED)
    return "served"


@pytest.fixture
def impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    """Hosts that do not answer, and GPUs that stay busy, are given up soon."""
    monkeypatch.setattr(prepare, "REACH_S", 0.5)
    monkeypatch.setattr(prepare, "SETTLE_S", 0.5)


PULLS = [
    ("pull-denied", "image_pull", "pull access denied", "docker login"),
    ("no-space", "disk_full", "no space left on device", "free space"),
    ("no-network", "image_pull", "Temporary failure in name resolution", "docker load"),
]


@pytest.mark.parametrize(("fault", "failure", "line", "remedy"), PULLS, ids=[item[0] for item in PULLS])
def test_an_image_that_cannot_be_pulled_is_a_row_that_was_not_run(
    lab: "Played", kit: "Kit", fault: str, failure: str, line: str, remedy: str
) -> None:
    with lab.faults(fault):
        done = lab.run("run", *kit.one_cell, "--hosts", SOUND, "--image", kit.another_image, "--json")
        fetched = lab.run("fetch", *kit.one_cell, "--hosts", SOUND, "--image", kit.another_image, "--json")

    (row,) = done.json["rows"]
    assert done.code == 1, done.err
    assert (row["state"], row["failure"]) == ("not run", failure)
    assert row["failure_line"].startswith(f"{SOUND}: ")
    assert line in row["failure_line"]
    assert remedy in row["remedy"]
    assert row["remedy"] not in row["failure_line"]
    image = fetched.json["fetched"][0]
    assert fetched.code == 1
    assert (image["host"], image["state"]) == (SOUND, "failed")
    assert remedy in image["detail"]


@pytest.mark.usefixtures("impatient")
def test_hosts_that_may_not_run_a_row_say_why_and_the_sound_one_runs_it(lab: "Played", kit: "Kit") -> None:
    with lab.faults("no-network"):
        done = lab.run("run", *kit.one_cell, "--hosts", ALL, "--json")

    rows: dict[str, dict[str, Any]] = {row["hosts"][0]: row for row in done.json["rows"]}
    by_fault = {fault: rows[host] for fault, host in BROKEN.items()}
    assert done.code == 1, done.err
    assert rows[SOUND]["state"] == rows[OTHER]["state"] == "ok"
    assert {fault: (row["state"], row["failure"]) for fault, row in by_fault.items()} == {
        "no-docker-permission": ("not run", "docker"),
        "no-image": ("not run", "image_pull"),
        "model-incomplete": ("not run", "model_incomplete"),
        "kfd-missing": ("not run", "no_kfd"),
        "busy-gpu": ("not run", "gpu_in_use"),
        "disk-full": ("not run", "disk_full"),
        "no-boot": ("not run", "unreachable"),
    }
    for fault, host in BROKEN.items():
        assert by_fault[fault]["failure_line"].startswith(f"{host}: "), by_fault[fault]["failure_line"]
        assert by_fault[fault]["remedy"], fault
    assert "docker" in by_fault["no-docker-permission"]["remedy"]
    assert "instinct fetch" in by_fault["model-incomplete"]["remedy"]
    assert rows[SOUND]["simulated"]
    assert lab.containers() == {}


def test_plan_shows_the_same_obstacles_before_anything_is_started(lab: "Played", kit: "Kit") -> None:
    done = lab.run("plan", *kit.one_cell, "--hosts", ALL, "--json")

    found = {item["hosts"][0]: {each["check"] for each in item["findings"]} for item in done.json}
    assert done.code == 3, "one host of the fleet could not be reached"
    assert "docker.access" in found[BROKEN["no-docker-permission"]]
    assert "image.present" in found[BROKEN["no-image"]]
    assert "model.complete" in found[BROKEN["model-incomplete"]]
    assert "kfd.present" in found[BROKEN["kfd-missing"]]
    assert "gpu.free" in found[BROKEN["busy-gpu"]]
    assert "reachable" in found[BROKEN["no-boot"]]
    assert not found[SOUND] & {"docker.access", "image.present", "model.complete", "kfd.present", "gpu.free"}
    assert lab.containers() == {}


def test_hosts_test_tells_docker_apart_from_ssh(lab: "Played") -> None:
    done = lab.run("hosts", "test", ALL, "--json")

    rows = {row["host"]: row for row in done.json["hosts"]}
    assert done.code == 3
    denied, away = rows[BROKEN["no-docker-permission"]], rows[BROKEN["no-boot"]]
    assert (denied["connected"], denied["docker"]) == ("yes", None)
    assert "docker" in denied["problem"]
    assert (away["connected"], away["docker"]) == ("no", None)
    assert "nothing listens" in away["problem"]
    assert rows[SOUND]["docker"]


@pytest.mark.usefixtures("impatient")
def test_a_run_on_hosts_nobody_reaches_ends_with_three(lab: "Played", kit: "Kit") -> None:
    away = BROKEN["no-boot"]

    done = lab.run("run", *kit.one_cell, "--hosts", away, "--json")

    (row,) = done.json["rows"]
    assert done.code == 3, done.err
    assert (row["state"], row["failure"], row["hosts"]) == ("not run", "unreachable", [away])
    assert f"instinct: {away}: nothing listens on" in done.err


@pytest.mark.usefixtures("impatient")
def test_spread_rows_go_to_the_hosts_that_may_run_them(lab: "Played", kit: "Kit") -> None:
    argv = (kit.one_cell[0], "--only", "model~70B", "--place", "spread", "--hosts", ALL, "--json")
    planned = lab.run("plan", *argv)
    done = lab.run("run", *argv)

    rows = done.json["rows"]
    assert done.code == 0, done.err
    assert len(rows) == 4
    assert {row["hosts"][0] for row in rows} <= {SOUND, OTHER, BROKEN["no-image"]}
    for item in planned.json:
        left_out = {each["host"] for each in item["findings"] if each["check"] == "hosts"}
        assert set(item["hosts"]) == {SOUND, OTHER, BROKEN["no-image"]}
        assert left_out == set(BROKEN.values()) - {BROKEN["no-image"]}
