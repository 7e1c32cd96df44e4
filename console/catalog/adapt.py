"""A cell otherwise than its matrix says: under another image, or with changed parameters."""

import hashlib
import re
import shlex
import types
import typing
from collections.abc import Mapping
from typing import Any, Literal, Protocol, get_args, get_origin

import msgspec

from console.catalog.errors import BadChange, UnknownName, suggestion
from console.catalog.strict import fields_of
from console.model.cell import AnyCell, Matrix, Reference
from console.model.profile import Image

INCIDENTAL = frozenset(
    {
        *("port", "iterations", "warmup_iterations", "steps"),
        *("interface", "hcas", "gid_index", "master_address"),
    }
)
"""Parameters that say how long or where something is measured, not what: changing one keeps the cell's identity."""

PROGRAMS: Mapping[str, str] = {
    "vllm-throughput": "vllm",
    "vllm-latency": "vllm",
    "vllm-serve": "vllm",
    "train-fsdp": "pytorch-training",
    "torchtitan": "pytorch-training",
    "flux": "pytorch-training",
    "megatron-llama": "megatron-lm",
    "megatron-deepseek": "megatron-lm",
}
"""The kind of image each workload lives in."""


class Shelf(Protocol):
    """What is asked of the catalog here."""

    @property
    def matrices(self) -> Mapping[str, Matrix]:
        """Matrices by name."""

    @property
    def references(self) -> Mapping[tuple[str, str], tuple[Reference, ...]]:
        """References by matrix name and cell id."""

    def image(self, name: str) -> Image:
        """An image by name or reference."""


def adapt(catalog: Shelf, cell: AnyCell, image: str | None, changes: Mapping[str, str]) -> AnyCell:
    """The cell under another image and with changed parameters; every change is a deviation that says so.

    A change of what is measured gives the cell another id (`…+max_num_seqs=512`), and only references of that id
    stay. Under another image the references stay: their conditions name the image each belongs to. Values are text
    as typed (`8`, `true`, `none`; lists as shell words, tables as `name=value` words, which change only what they
    name). Raises UnknownName and BadChange.
    """
    if image is not None:
        cell = _under(catalog, cell, image)
    return _changed(catalog, cell, changes) if changes else cell


def _under(catalog: Shelf, cell: AnyCell, name: str) -> AnyCell:
    record = catalog.image(name)
    if record.name == cell.image:
        return cell
    program = PROGRAMS.get(cell.workload)
    if program is not None and record.program != program:
        raise BadChange(f"{cell.id}: {cell.workload} needs a {program} image, {record.name} is one of {record.program}")
    base = _base(catalog, cell)
    kept = tuple(item for item in cell.deviations if not item.startswith("published image "))
    if base is not None and base.image == record.name:
        return msgspec.structs.replace(cell, image=record.name, deviations=kept)
    published = catalog.image(base.image if base else cell.image)
    said = f"published image {published.ref}, running {record.ref}, because it was chosen for this run"
    return msgspec.structs.replace(cell, image=record.name, deviations=(*kept, said))


def _changed(catalog: Shelf, cell: AnyCell, changes: Mapping[str, str]) -> AnyCell:
    base = _base(catalog, cell) or cell
    record: type[msgspec.Struct] = type(cell.params)
    fields = fields_of(record)
    values = {}
    for name, text in changes.items():
        if name not in fields:
            raise UnknownName(f"parameter of {cell.workload}", name, fields)
        value = _parsed(name, text, fields[name].annotation)
        values[name] = getattr(cell.params, name) | value if isinstance(value, dict) else value
    try:
        params = msgspec.structs.replace(cell.params, **values)
    except (ValueError, TypeError) as error:
        raise BadChange(f"{cell.id}: {error}") from error
    different = sorted(name for name in fields if getattr(params, name) != getattr(base.params, name))
    identity = [name for name in different if name not in INCIDENTAL]
    changed_id = base.id.partition("+")[0] + "".join(f"+{name}={_shown(getattr(params, name))}" for name in identity)
    kept = tuple(item for item in cell.deviations if not any(item.startswith(f"published {name} ") for name in fields))
    said = tuple(
        f"published {name} {_words(getattr(base.params, name))}, running {_words(getattr(params, name))}, because it "
        "was set for this run"
        for name in different
    )
    parallel = getattr(params, "tensor_parallel", None)
    follows = cell.nodes == 1 and cell.gpus_per_node == getattr(cell.params, "tensor_parallel", None)
    return msgspec.structs.replace(
        cell,
        id=changed_id,
        params=params,
        gpus_per_node=parallel if follows and parallel else cell.gpus_per_node,
        references=catalog.references.get((cell.matrix, changed_id), ()),
        deviations=kept + said,
    )


def _base(catalog: Shelf, cell: AnyCell) -> AnyCell | None:
    """The cell as its matrix has it, whatever was changed since."""
    matrix = catalog.matrices.get(cell.matrix)
    wanted = cell.id.partition("+")[0]
    return next((item for item in matrix.cells if item.id == wanted), None) if matrix else None


def _parsed(name: str, text: str, annotation: Any) -> Any:
    """Typed text as a value of a parameter."""
    optional = get_origin(annotation) in (types.UnionType, typing.Union) and type(None) in get_args(annotation)
    if optional and text.strip().lower() in ("none", "null", ""):
        return None
    raw: Any = text
    if get_origin(annotation) is tuple:
        raw = shlex.split(text)
    elif get_origin(annotation) is dict:
        raw = dict(word.partition("=")[::2] for word in shlex.split(text))
    if annotation is bool and text.strip().lower() in ("on", "off", "yes", "no"):
        raw = text.strip().lower() in ("on", "yes")
    try:
        value = msgspec.convert(raw, annotation, strict=False)
    except msgspec.ValidationError as error:
        raise BadChange(f"{name}={text}: {_wanted(annotation, text)}") from error
    if isinstance(value, int | float) and value < 0:
        raise BadChange(f"{name}={text}: it cannot be negative")  # they are lengths, counts, shares and ports
    return value


def _wanted(annotation: Any, text: str) -> str:
    inner = next((item for item in get_args(annotation) if item is not type(None)), annotation)
    kind = annotation if get_origin(annotation) not in (types.UnionType, typing.Union) else inner
    if get_origin(kind) is Literal:
        return f"it takes {', '.join(map(str, get_args(kind)))}{suggestion(text, map(str, get_args(kind)))}"
    words = {int: "a whole number", float: "a number", bool: "true or false"}
    return f"it takes {words.get(kind, str(kind))}"


def _words(value: object) -> str:
    if value is None:
        return "none"
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, tuple):
        return shlex.join(map(str, value)) or "nothing"
    if isinstance(value, dict):
        return shlex.join(f"{key}={item}" for key, item in sorted(value.items())) or "nothing"
    return str(value)


def _shown(value: object) -> str:
    """A value as part of an id: plain characters only, told apart by a few hexadecimal digits where that loses some."""
    text = _words(value)
    plain = re.sub(r"[^A-Za-z0-9._-]+", "_", text)[:40]
    return plain if plain == text else f"{plain}~{hashlib.sha256(text.encode()).hexdigest()[:4]}"
