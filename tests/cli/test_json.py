"""Every JSON object says its schema version; stdout carries nothing but data."""

import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from console.cli import printing

if TYPE_CHECKING:
    from tests.cli.conftest import RunCli

DATA = Path(__file__).parents[1] / "data" / "vllm"


@pytest.mark.parametrize(
    ("argv", "keys"),
    [
        (["config", "show"], {"settings"}),
        (["info"], {"instinct", "python", "libraries"}),
        (["profiles", "list"], {"profiles"}),
        (["profiles", "show", "vllm-0.8.5-throughput"], {"name", "image", "cells"}),
        (["profiles", "show", "mi300x-2x9654"], {"kind", "name", "gpu"}),
        (["runs"], {"runs"}),
        (["config", "path"], {"config", "exists"}),
        (["config", "check"], {"problems"}),
        (["profiles", "check"], {"problems"}),
        (["hosts", "add", "node77", "10.0.0.77"], {"fleet", "added", "known"}),
        (["health", "--explain", "all"], {"checks"}),
        (["health", "--explain", "gpu.throttle"], {"checks"}),
        (["health", "--explain", "kernel.log.gpu-reset"], {"classes"}),
        (["hosts", "list"], {"fleet", "hosts"}),
        (
            ["read-log", "vllm-throughput", str(DATA / "0.8.5" / "throughput.stdout")],
            {"phases", "samples", "result", "failure"},
        ),
    ],
    ids=lambda value: " ".join(value[:2]) if isinstance(value, list) else None,
)
def test_json_is_one_object_with_its_schema_version(
    cli: "RunCli", fleet_file: Path, argv: list[str], keys: set[str]
) -> None:
    done = cli(*argv, "--json")

    found: dict[str, Any] = json.loads(done.out)
    assert found["schema_version"] == 1
    assert keys <= set(found)
    assert done.code == 0


def test_json_holds_nothing_a_terminal_would_act_on(capsys: pytest.CaptureFixture[str]) -> None:
    said = "\x1b[2J \x9b31m \u202e \u2028 Ω"
    printing.json_object({"label": said})

    out = capsys.readouterr().out
    assert json.loads(out)["label"] == said
    assert "Ω" in out
    assert out.replace("\n", "").isprintable()


def test_a_plan_is_a_list_that_needs_no_fleet(cli: "RunCli") -> None:
    done = cli("plan", "vllm-0.8.5-throughput", "--server", "mi300x-2x9654", "--json")

    planned = json.loads(done.out)
    assert done.code == 0
    assert len(planned) == 8
    keys = {"matrix", "cell", "image", "nodes", "expected_s", "startup_s", "findings"}
    assert all(keys <= set(item) for item in planned)
    node = planned[0]["nodes"][0]
    assert {"host", "rank", "argv", "env"} <= set(node)
    assert node["argv"][:2] == ["python3", "/app/vllm/benchmarks/benchmark_throughput.py"]


def test_profiles_of_every_matrix_have_the_published_figures(cli: "RunCli") -> None:
    shown = json.loads(cli("profiles", "show", "vllm-0.8.5-throughput", "--json").out)

    first = shown["cells"][0]
    assert {"id", "model", "parameters", "reference"} <= set(first)
    assert (first["reference"]["value"], first["reference"]["metric"]) == (16622.2, "output_tokens_per_s")


def test_schemas_are_json_schemas(cli: "RunCli") -> None:
    every = json.loads(cli("profiles", "schema").out)
    one = json.loads(cli("profiles", "schema", "matrices" if "matrices" in every else sorted(every)[0]).out)

    assert every["schema_version"] == 1
    assert "$ref" in one or "properties" in one
    assert json.loads(cli("config", "schema").out)["$defs"]["ConfigFile"]["additionalProperties"] is False
