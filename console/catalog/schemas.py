"""JSON Schemas of the profile files, for editors and other programs. The TOML files have these shapes."""

from typing import Any

import msgspec

from console.catalog.profiles import ImageFile
from console.catalog.references import ReferenceFile
from console.catalog.rows import MatrixFile, RowHead
from console.model.profile import GpuSpec, ModelCard, ServerProfile
from console.workloads.base import registry

DIALECT = "https://json-schema.org/draft/2020-12/schema"


def schemas() -> dict[str, dict[str, Any]]:
    """The schema of every kind of file, by the name of the kind."""
    plain: dict[str, type[msgspec.Struct]] = {
        "gpu": GpuSpec,
        "server": ServerProfile,
        "model": ModelCard,
        "image": ImageFile,
        "references": ReferenceFile,
    }
    found = {name: {"$schema": DIALECT, **msgspec.json.schema(record)} for name, record in plain.items()}
    found["matrix"] = _matrix()
    plain_json: dict[str, dict[str, Any]] = msgspec.json.decode(msgspec.json.encode(found))
    return plain_json


def _matrix() -> dict[str, Any]:
    """Groups and rows also carry the parameters of the workloads, which the record of the file does not list."""
    workloads = registry()
    records: list[type[msgspec.Struct]] = [MatrixFile, RowHead, *(workloads[name].params for name in sorted(workloads))]
    (top, head, *params), parts = msgspec.json.schema_components(records, ref_template="#/$defs/{name}")
    parameters: dict[str, Any] = {}
    for reference in params:
        for name, shape in _part(parts, reference)["properties"].items():
            known = parameters.setdefault(name, [])
            shape = {key: value for key, value in shape.items() if key != "default"}
            if shape not in known:
                known.append(shape)
    shapes = {name: known[0] if len(known) == 1 else {"anyOf": known} for name, known in parameters.items()}
    columns = _part(parts, head)["properties"]
    row = {"type": "object", "properties": {**columns, **shapes}, "additionalProperties": False}
    shared = {name: shape for name, shape in columns.items() if name not in ("id", "printed")}
    rows = {"type": "array", "items": {"$ref": "#/$defs/Row"}, "minItems": 1}
    group = {
        "type": "object",
        "properties": {**shared, **shapes, "rows": rows},
        "required": ["rows"],
        "additionalProperties": False,
    }
    file = _part(parts, top)
    file["properties"]["group"] = {"type": "array", "items": {"$ref": "#/$defs/Group"}, "minItems": 1}
    file["properties"]["parameters"] = {"type": "object", "properties": shapes, "additionalProperties": False}
    spread = {RowHead.__name__, *(record.__name__ for record in records[2:])}
    used = {name: part for name, part in parts.items() if name not in spread}
    return {"$schema": DIALECT, **top, "$defs": {**used, "Group": group, "Row": row}}


def _part(parts: dict[str, Any], reference: dict[str, Any]) -> dict[str, Any]:
    part: dict[str, Any] = parts[reference["$ref"].rpartition("/")[2]]
    return part
