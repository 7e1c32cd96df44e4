"""What other programs rely on: JSON shapes, the table of results in every format, and nothing but data on stdout."""

import csv
import io
import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

import polars as pl
import pytest

if TYPE_CHECKING:
    from tests.acceptance.conftest import Kit, LabOf, Played

HOST = "lab-mi300x-01"
MATRICES = {
    "vllm-0.8.5-throughput": 8,
    "vllm-0.8.5-latency": 32,
    "pytorch-25.5-mi300x": 8,
    "pytorch-25.5-mi325x": 7,
    "megatron-25.5-llama": 8,
    "megatron-25.5-deepseek": 1,
}
COLUMNS = {
    *("run", "matrix", "cell", "hosts", "model", "repeat", "state", "failure", "metric", "unit", "value", "reference"),
    *("reference_set", "ratio", "verdict", "validity", "simulated", "started_at", "ended_at", "image", "image_digest"),
    *("tensor_parallel", "input_len", "output_len", "num_prompts", "max_num_seqs"),
}


@pytest.fixture(scope="module")
def lab(lab_of: "LabOf") -> "Played":
    return lab_of(1, 3000.0)


@pytest.fixture(scope="module")
def measured(lab: "Played", kit: "Kit") -> dict[str, Path]:
    """One run with a measured and a failed row, in every format by ending."""
    from console.lab.faults import Fault

    files = {ending: lab.home / f"table.{ending}" for ending in ("parquet", "csv", "json", "ndjson", "md")}
    outputs = [word for file in files.values() for word in ("-o", str(file))]
    only = "model~70B and output_len in (2000, 4096)"
    with lab.faults(Fault("oom", when="--output-len 4096")):
        done = lab.run("run", kit.one_cell[0], "--only", only, "--label", "measured", *outputs)
    assert done.code == 1, done.err
    return files


@pytest.mark.parametrize(("name", "count"), MATRICES.items())
def test_profiles_show_has_the_cells_of_the_page_with_their_references(lab: "Played", name: str, count: int) -> None:
    done = lab.run("profiles", "show", name, "--json")

    shown = done.json
    assert (done.code, done.err) == (0, "")
    assert shown["schema_version"] == 1
    assert (shown["name"], len(shown["cells"])) == (name, count)
    assert isinstance(shown["image"], str)
    for cell in shown["cells"]:
        assert {"id", "model", "parameters", "reference"} <= cell.keys()
        assert isinstance(cell["parameters"], dict)
        assert {"value", "metric", "unit"} <= cell["reference"].keys()
        assert cell["reference"]["value"] > 0
    assert len({cell["id"] for cell in shown["cells"]}) == count


def plan_item(item: dict[str, Any]) -> None:
    assert {"matrix", "cell", "image", "nodes", "expected_s", "startup_s", "findings"} <= item.keys()
    assert isinstance(item["findings"], list)
    for node in item["nodes"]:
        assert {"host", "rank", "argv", "env"} <= node.keys()
        assert all(isinstance(word, str) for word in node["argv"])
        assert all(isinstance(value, str) for value in node["env"].values())


@pytest.mark.parametrize(("name", "count"), MATRICES.items())
def test_a_plan_on_paper_is_a_list_and_needs_no_fleet(lab: "Played", name: str, count: int) -> None:
    server = "mi325x-2x9654" if "mi325x" in name else "mi300x-2x9654"

    done = lab.run("plan", name, "--server", server, "--json", INSTINCT_FLEET="/nowhere/fleet.toml")

    assert done.code == 0, done.err
    assert [item["cell"] for item in done.json] == [
        cell["id"] for cell in lab.run("profiles", "show", name, "--json").json["cells"]
    ]
    assert len(done.json) == count
    for item in done.json:
        plan_item(item)
        assert item["nodes"], item["findings"]
        assert sorted({node["rank"] for node in item["nodes"]}) == list(range(len(item["nodes"])))


def test_a_plan_on_hosts_has_the_same_form_and_names_them(lab: "Played", kit: "Kit") -> None:
    done = lab.run("plan", *kit.one_cell, "--json")

    (item,) = done.json
    plan_item(item)
    (node,) = item["nodes"]
    assert done.code == 0, done.err
    assert (node["host"], node["rank"]) == (HOST, 0)
    assert node["argv"][:2] == ["python3", "/app/vllm/benchmarks/benchmark_throughput.py"]
    assert node["argv"][node["argv"].index("--output-len") + 1] == "4096"
    assert item["expected_s"] > 0
    assert item["startup_s"] > 0


def test_every_format_has_the_same_rows_and_the_columns_relied_on(measured: dict[str, Path]) -> None:
    parquet = pl.read_parquet(measured["parquet"])
    rows = json.loads(measured["json"].read_text())
    lines = [json.loads(line) for line in measured["ndjson"].read_text().splitlines()]
    table = list(csv.DictReader(io.StringIO(measured["csv"].read_text())))

    assert rows["schema_version"] == 1
    for columns in (parquet.columns, rows["rows"][0], lines[0], table[0]):
        assert set(columns) >= COLUMNS
    assert parquet.height == len(rows["rows"]) == len(lines) == len(table) == 2
    assert lines == rows["rows"]
    assert parquet.schema["hosts"] == pl.List(pl.String)
    assert parquet.schema["validity"] == pl.List(pl.String)
    assert parquet.schema["started_at"] == pl.Datetime("us", "UTC")
    assert parquet["value"].to_list() == [row["value"] for row in rows["rows"]]
    assert [row["value"] for row in table] == ["" if row["value"] is None else f"{row['value']}" for row in lines]


def test_a_measured_row_and_a_failed_one_say_what_they_are(measured: dict[str, Path]) -> None:
    rows = {row["output_len"]: row for row in json.loads(measured["json"].read_text())["rows"]}

    ok, failed = rows[2000], rows[4096]
    assert ok["hosts"] == failed["hosts"] == [HOST]
    assert (ok["metric"], ok["unit"], ok["reference_set"]) == ("output_tokens_per_s", "tok/s", "lab")
    assert ok["ratio"] == pytest.approx(ok["value"] / ok["reference"])
    assert (ok["state"], ok["failure"], failed["state"], failed["failure"]) == (
        "ok",
        None,
        "failed",
        "out_of_memory_gpu",
    )
    assert (failed["value"], failed["ratio"], failed["verdict"]) == (None, None, "failed")
    assert ok["image_digest"].startswith("sha256:")
    assert ok["started_at"].endswith("Z")
    assert ok["started_at"] < ok["ended_at"]
    assert (ok["simulated"], failed["simulated"]) == (True, True)
    assert (ok["input_len"], ok["num_prompts"], ok["tensor_parallel"]) == (500, 2000, 8)


def test_markdown_has_the_columns_of_the_page_then_measured_ratio_and_verdict(measured: dict[str, Path]) -> None:
    lines = measured["md"].read_text().splitlines()

    head = next(line for line in lines if line.startswith("| Model"))
    names = [name.strip() for name in head.strip("|").split("|")]
    assert names[:8] == [
        "Model", "Precision", "TP Size", "Input", "Output", "Num Prompts", "Max Num Seqs", "Throughput (tokens/s)",
    ]  # fmt: skip
    assert [name for name in names if name in ("Measured", "Ratio", "Verdict")] == ["Measured", "Ratio", "Verdict"]
    assert any("out_of_memory_gpu" in line for line in lines)
    assert "simulated" in measured["md"].read_text()


def test_export_writes_what_run_wrote(lab: "Played", measured: dict[str, Path], tmp_path: Path) -> None:
    for ending, file in measured.items():
        again = tmp_path / f"again.{ending}"
        done = lab.run("export", "measured", "-o", again)
        assert done.code == 0, done.err
        if ending != "parquet":
            assert again.read_bytes() == file.read_bytes()


LOG = b"""\
INFO 05-28 10:00:00 [gpu_executor.py:1] # GPU blocks: 100
Processed prompts: 100%|##########| 10/10 [00:10<00:00,  1.00it/s]
Throughput: 1.00 requests/s, 228.00 total tokens/s, 128.00 output tokens/s
"""


def test_read_log_has_phases_samples_result_and_failure(lab: "Played", tmp_path: Path) -> None:
    good, bad = tmp_path / "good.log", tmp_path / "bad.log"
    good.write_bytes(LOG)
    bad.write_bytes(b"Traceback (most recent call last):\ntorch.OutOfMemoryError: HIP out of memory.\n")

    read, failed = (lab.run("read-log", "vllm-throughput", file, "--json") for file in (good, bad))

    assert read.code == 0, read.err
    for done in (read, failed):
        assert {"schema_version", "phases", "samples", "result", "failure"} <= done.json.keys()
    values = {item["metric"]: item["value"] for item in read.json["result"]["values"]}
    assert values["output_tokens_per_s"] == 128.0
    assert read.json["failure"] is None
    assert failed.code == 1
    assert failed.json["failure"]["failure"] == "out_of_memory_gpu"


DATA = [
    ["status", "--json"],
    ["hosts", "list", "--json"],
    ["hosts", "test", "--json"],
    ["runs", "--json"],
    ["results", "--json"],
    ["compare", "last", "last", "--json"],
    ["config", "show", "--json"],
    ["info", "--json"],
    ["profiles", "list", "--json"],
    ["clean", "--json"],
    ["fetch", "vllm-0.8.5-throughput", "--only", "model~70B and output_len==4096", "--json"],
]


@pytest.mark.usefixtures("measured")
@pytest.mark.parametrize("argv", DATA, ids=" ".join)
def test_json_is_one_document_with_its_schema_version(lab: "Played", argv: list[str]) -> None:
    done = lab.run(*argv)

    assert done.code == 0, done.err
    assert isinstance(done.json, dict)
    assert done.json["schema_version"] == 1


@pytest.mark.usefixtures("measured")
def test_a_process_prints_data_on_stdout_and_the_rest_on_stderr(lab: "Played", kit: "Kit") -> None:
    done = kit.end(lab.start("run", *kit.one_cell, "--json"))
    shown = kit.end(lab.start("results"))

    assert (done.code, shown.code) == (0, 0)
    assert [row["state"] for row in done.json["rows"]] == ["ok"]
    assert "1 attempt" in done.err
    assert shown.err == ""
    assert shown.out.startswith("vLLM 0.8.5 throughput, MI300X (simulated")
    assert "\x1b" not in done.err + shown.out
