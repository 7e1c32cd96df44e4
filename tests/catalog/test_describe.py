"""The data other programs read: `profiles show NAME --json` and the JSON Schemas."""

import json
import re
import tomllib
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from console.catalog.shelf import KINDS, Catalog, load, schemas, shipped_folder

Write = Callable[[str, str], Path]


@pytest.mark.parametrize("name", sorted(load().matrices))
def test_a_matrix_as_data_has_the_promised_keys(shipped: Catalog, name: str) -> None:
    matrix, data = shipped.matrix(name), shipped.describe(name)
    assert json.loads(json.dumps(data)) == data
    assert (data["schema_version"], data["name"]) == (1, name)
    assert data["image"] == shipped.image(matrix.image).ref
    assert [cell["id"] for cell in data["cells"]] == [cell.id for cell in matrix.cells]
    for described, cell in zip(data["cells"], matrix.cells, strict=True):
        assert {"id", "model", "parameters", "reference"} <= described.keys()
        assert described["model"] == cell.model
        assert described["parameters"].keys() == set(cell.params.__struct_fields__)
        assert {"value", "metric", "unit", "printed", "source", "dated", "errata"} <= described["reference"].keys()
        assert described["reference"]["set"] == "published"


def test_a_cell_as_data_is_exact(shipped: Catalog) -> None:
    data = shipped.describe("megatron-25.5-deepseek")
    (cell,) = data.pop("cells")
    assert list(data) == [
        "schema_version",
        "name",
        "title",
        "image",
        "image_name",
        "workload",
        "metric",
        "server",
        "source",
        "dated",
        "platform",
        "simulated",
        "notes",
        "columns",
    ]
    reference = cell.pop("reference")
    assert {key: reference[key] for key in ("value", "printed", "metric", "unit", "unit_printed")} == {
        "value": 10570.0,
        "printed": "10570",
        "metric": "tokens_per_s_per_gpu",
        "unit": "tok/s/GPU",
        "unit_printed": "TFLOPs/s/GPU",
    }
    assert cell.pop("parameters")["expert_parallel"] == 8
    assert cell.pop("recipe_source").startswith("AMD Megatron-LM guide")
    assert cell == {
        "id": "deepseek-v2-lite-bf16-mbs4-gbs256-s4096",
        "model": "deepseek-ai/DeepSeek-V2-Lite",
        "title": "DeepSeek-V2-Lite",
        "title_printed": "Deespeek-V2-Lite",
        "precision": "BF16",
        "workload": "megatron-deepseek",
        "image_name": "megatron-lm-v25.5-py310",
        "nodes": 1,
        "gpus_per_node": 8,
        "recipe": "exact",
        "deviations": [],
        "references": [],
    }


def test_references_beside_the_published_one_are_listed(shipped: Catalog) -> None:
    cell = shipped.describe("vllm-0.8.5-throughput")["cells"][0]
    assert cell["reference"]["value"] == 16622.2
    assert [item["set"] for item in cell["references"]] == ["release notes"] * 10
    assert cell["references"][-1]["conditions"]["engine_version"] == "0.10.0"


def test_a_cell_without_a_figure_has_no_reference(write: Write, matrix_text: str) -> None:
    cells = load([write("matrices/mine.toml", matrix_text)]).describe("mine")["cells"]
    assert cells[0]["reference"]["value"] == 1234.5
    assert cells[1]["reference"] is None


KIND_OF_FOLDER = dict(zip(KINDS, ("gpu", "server", "model", "image", "matrix", "references"), strict=True))


class Invalid(Exception):
    """The value is not of the shape, and where."""


def validate(value: Any, shape: dict[str, Any], root: dict[str, Any], path: str = "$") -> None:
    """The part of JSON Schema that is used here, read literally; anything else in a schema is an error."""
    known = {"$ref", "$schema", "$defs", "title", "description", "default", "type", "enum", "anyOf"}
    known |= {"properties", "required", "additionalProperties", "items", "minItems"}
    assert shape.keys() <= known, shape.keys() - known
    if "$ref" in shape:
        validate(value, root["$defs"][shape["$ref"].rpartition("/")[2]], root, path)
        return
    if "anyOf" in shape:
        tried = []
        for option in shape["anyOf"]:
            try:
                validate(value, option, root, path)
            except Invalid as error:
                tried.append(str(error))
            else:
                return
        raise Invalid("; ".join(tried))
    types: dict[str, type | tuple[type, ...]] = {
        "string": str,
        "integer": int,
        "number": (int, float),
        "boolean": bool,
        "array": list,
        "object": dict,
    }
    if "type" in shape and (
        shape["type"] == "null"
        or not isinstance(value, types[shape["type"]])
        or (isinstance(value, bool) and shape["type"] != "boolean")
    ):
        raise Invalid(f"{path} is no {shape['type']}")
    if "enum" in shape and value not in shape["enum"]:
        raise Invalid(f"{path} is none of {shape['enum']}")
    if isinstance(value, list):
        if len(value) < shape.get("minItems", 0):
            raise Invalid(f"{path} is too short")
        for index, item in enumerate(value):
            validate(item, shape.get("items", {}), root, f"{path}[{index}]")
    if isinstance(value, dict):
        validate_table(value, shape, root, path)


def validate_table(value: dict[str, Any], shape: dict[str, Any], root: dict[str, Any], path: str) -> None:
    properties, others = shape.get("properties", {}), shape.get("additionalProperties", True)
    for key in shape.get("required", []):
        if key not in value:
            raise Invalid(f"{path} lacks {key}")
    for key, item in value.items():
        if key in properties:
            validate(item, properties[key], root, f"{path}.{key}")
        elif others is False:
            raise Invalid(f"{path} has no {key}")
        elif isinstance(others, dict):
            validate(item, others, root, f"{path}.{key}")


def shipped_files() -> list[Path]:
    return [path for kind in KINDS for path in sorted((shipped_folder() / kind).glob("*.toml"))]


@pytest.mark.parametrize("path", shipped_files(), ids=lambda path: f"{path.parent.name}/{path.name}")
def test_every_shipped_file_has_the_shape_of_its_schema(path: Path) -> None:
    schema = schemas()[KIND_OF_FOLDER[path.parent.name]]
    validate(tomllib.loads(path.read_text(encoding="utf-8")), schema, schema)


@pytest.mark.parametrize(
    ("kind", "old", "new"),
    [
        ("matrices/vllm-0.8.5-throughput.toml", "input_len = 128", "inptu_len = 128"),
        ("matrices/vllm-0.8.5-throughput.toml", "input_len = 128", 'input_len = "128"'),
        ("matrices/vllm-0.8.5-throughput.toml", "[parameters]", "[parameters]\ntensorparallel = 8"),
        ("matrices/vllm-0.8.5-throughput.toml", 'recipe = "exact"', 'recipe = "exakt"'),
        ("references/vllm-release-notes.toml", 'unit = "sec"', ""),
        ("images/megatron-lm.toml", 'program = "megatron-lm"', 'program = "megatron"'),
        ("gpus/mi300x.toml", "fp16 = 1307.4", "fp15 = 1307.4"),
        ("servers/mi355x.toml", 'gpu = "MI355X"\n', ""),
    ],
)
def test_a_schema_refuses_what_the_loader_refuses(kind: str, old: str, new: str) -> None:
    text = (shipped_folder() / kind).read_text(encoding="utf-8")
    assert old in text
    schema = schemas()[KIND_OF_FOLDER[kind.partition("/")[0]]]
    with pytest.raises(Invalid):
        validate(tomllib.loads(text.replace(old, new, 1)), schema, schema)


def test_schemas_are_json_and_name_their_dialect() -> None:
    found = schemas()
    assert set(found) == set(KIND_OF_FOLDER.values())
    for schema in found.values():
        assert json.loads(json.dumps(schema)) == schema
        assert re.match("https://json-schema.org/", schema["$schema"])
        named = set(re.findall(r'"\$ref": "#/\$defs/([^"]+)"', json.dumps(schema)))
        assert named <= set(schema["$defs"])
