"""A matrix, a server profile and references of the user's own, in their configuration folder."""

from pathlib import Path
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from tests.acceptance.conftest import LabOf, Played

MATRIX = """
name = "ours"
title = "Our throughput"
workload = "vllm-throughput"
image = "rocm6.3.1_vllm_0.8.5_20250521"
metric = "output_tokens_per_s"
unit = "tok/s"
source = "ours"
dated = "2026-01-31"
platform = "our racks"
server = "our-server"
gpus_per_node = 8
recipe = "exact"
recipe_source = "our runbook"
cell_id = "{title}-in{input_len}-out{output_len}"
columns = [{ heading = "Model", key = "title" }, { heading = "Output", key = "output_len" }]

[parameters]
tensor_parallel = 8
max_num_seqs = 64
num_prompts = 64

[[group]]
model = "amd/Llama-3.1-70B-Instruct-FP8-KV"
title = "Llama 3.1 70B"
precision = "FP8"
rows = [{ input_len = 128, output_len = 128 }, { input_len = 128, output_len = 256 }]
"""
SERVER = """
name = "our-server"
title = "Our eight MI300X"
gpu = "MI300X"
gpus = 8
cpu = "AMD EPYC 9554 64-Core Processor"
sockets = 2
source = "our acceptance sheet"
expect = [{ fact = "system.bios_version", accept = ["1.7"], source = "our acceptance sheet" }]
"""
REFERENCES = """
set = "{set}"
source = "our own acceptance run"
[[table]]
matrix = "ours"
unit = "tok/s"
under = {{ gpu = "MI300X" }}
columns = [{{ image = "rocm6.3.1_vllm_0.8.5_20250521", dated = "2026-01-31" }}]
[table.figures]
"llama-3.1-70b-in128-out128" = ["1000.0"]
"""
HOST = "lab-mi300x-01"


@pytest.fixture(scope="module")
def lab(lab_of: "LabOf") -> "Played":
    return lab_of(1, 3000.0)


@pytest.fixture
def folder(lab: "Played") -> Path:
    """The user's folder of profiles with a matrix, a server and a reference."""
    place = lab.home / "config/instinct/profiles"
    for kind, name, text in (
        ("matrices", "ours", MATRIX),
        ("servers", "our-server", SERVER),
        ("references", "ours", REFERENCES.format(set="own")),
    ):
        (place / kind).mkdir(parents=True, exist_ok=True)
        (place / kind / f"{name}.toml").write_text(text)
    return place


@pytest.mark.usefixtures("folder")
def test_they_stand_beside_the_shipped_ones(lab: "Played") -> None:
    checked = lab.run("profiles", "check")
    listed = lab.run("profiles", "list").out
    shown = lab.run("profiles", "show", "ours", "--json").json
    server = lab.run("profiles", "show", "our-server", "--json").json

    assert checked.code == 0, checked.err + checked.out
    assert "ours" in listed
    assert "vllm-0.8.5-throughput" in listed
    assert [cell["id"] for cell in shown["cells"]] == ["llama-3.1-70b-in128-out128", "llama-3.1-70b-in128-out256"]
    assert shown["cells"][0]["reference"]["value"] == 1000.0
    assert shown["cells"][1]["reference"] is None
    assert server["title"] == "Our eight MI300X"


@pytest.mark.usefixtures("folder")
def test_they_are_planned_on_paper_and_run_on_a_host(lab: "Played", tmp_path: Path) -> None:
    paper = lab.run("plan", "ours", "--server", "our-server", "--json")
    fleet = tmp_path / "fleet.toml"
    fleet.write_text(
        lab.fleet.read_text()
        .replace('server = "mi300x-2x9554"', 'server = "our-server"')
        .replace('= "profiles"', f'= "{lab.lab.folder}/profiles"')
        .replace('= "known_hosts"', f'= "{lab.lab.folder}/known_hosts"')
        .replace('= "id_ed25519"', f'= "{lab.lab.folder}/id_ed25519"')
    )
    planned = lab.run("plan", "ours", "--fleet", fleet, "--json")
    done = lab.run("run", "ours", "--fleet", fleet, "--json")

    assert paper.code == 0, paper.err
    assert [item["nodes"][0]["argv"][:2] for item in paper.json] == [
        ["python3", "/app/vllm/benchmarks/benchmark_throughput.py"]
    ] * 2
    notes = [each for each in planned.json[0]["findings"] if each["check"] == "profile.system.bios_version"]
    assert [(note["effect"], note["expected"]) for note in notes] == [("note", "1.7")]
    assert done.code == 0, done.err
    assert [row["state"] for row in done.json["rows"]] == ["ok", "ok"]
    assert {row["verdict"] for row in done.json["rows"]} == {"no reference"}, (
        "a simulated figure is not held against it"
    )


def test_a_reference_of_the_labs_world_is_compared(lab: "Played", folder: Path) -> None:
    (folder / "references/ours.toml").write_text(REFERENCES.format(set="lab"))

    rows = lab.run("run", "ours", "--json").json["rows"]

    by_length = {row["output_len"]: row for row in rows}
    assert by_length[128]["reference"] == 1000.0
    assert by_length[128]["ratio"] == pytest.approx(by_length[128]["value"] / 1000.0)
    assert by_length[256]["reference"] is None


ERRORS = [
    ("matrices", MATRIX.replace("title = ", "titel = ", 1), ["matrices/ours.toml", "titel", "did you mean title"]),
    ("matrices", MATRIX.replace("gpus_per_node = 8", 'gpus_per_node = "8"'), ["ours.toml", "gpus_per_node", "number"]),
    ("matrices", MATRIX.replace("output_len = 256", "output_len = 128"), ["ours.toml", "llama-3.1-70b-in128-out128"]),
    ("matrices", MATRIX.replace("num_prompts = 64", ""), ["ours.toml", "num_prompts"]),
    (
        "matrices",
        MATRIX.replace('unit = "tok/s"', "").replace("output_len = 256", 'output_len = 256, printed = "9"'),
        ["ours.toml", "unit"],
    ),
    ("matrices", MATRIX.replace("20250521", "20250522"), ["ours.toml", "rocm6.3.1_vllm_0.8.5_20250522", "20250521"]),
    ("matrices", MATRIX.replace("vllm-throughput", "vllm-thruput"), ["ours.toml", "vllm-thruput", "vllm-throughput"]),
    ("matrices", MATRIX.replace("amd/Llama-3.1-70B-", "amd/Llama-3.1-71B-"), ["ours.toml", "71B", "70B"]),
    ("matrices", MATRIX.replace('server = "our-server"', 'server = "our-servers"'), ["ours.toml", "our-server"]),
    ("servers", SERVER.replace("MI300X", "MI300Y"), ["our-server.toml", "MI300Y", "MI300X"]),
    ("servers", SERVER.replace("bios_version", "bios_versio"), ["our-server.toml", "bios_versio"]),
    ("references", REFERENCES.format(set="own").replace("out128", "out129"), ["ours.toml", "out129", "out128"]),
    ("references", REFERENCES.format(set="mine"), ["references/ours.toml", "set"]),
    ("references", REFERENCES.format(set="own").replace('"1000.0"', "1000.0"), ["references/ours.toml"]),
    ("references", REFERENCES.format(set="own").replace('"1000.0"', '"fast"'), ["references/ours.toml", "fast"]),
]


@pytest.mark.parametrize(("kind", "text", "said"), ERRORS, ids=[" ".join(item[2]) for item in ERRORS])
def test_a_mistake_in_them_is_exact(lab: "Played", folder: Path, kind: str, text: str, said: list[str]) -> None:
    name = {"matrices": "ours", "servers": "our-server", "references": "ours"}[kind]
    (folder / kind / f"{name}.toml").write_text(text)

    checked = lab.run("profiles", "check")
    planned = lab.run("plan", "ours", "--server", "mi300x-2x9554")

    for done in (checked, planned):
        assert done.code == 2, done.out + done.err
        for piece in said:
            assert piece in done.out + done.err
        assert "Traceback" not in done.err
    assert lab.run("runs").code == 0, "runs of the past do not need the catalog"
