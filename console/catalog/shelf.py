"""The catalog: what is shipped, and what the user's own folders add."""

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, TypeVar

import msgspec

import console
import console.workloads  # importing it registers every workload
from console.catalog.adapt import adapt
from console.catalog.describe import describe
from console.catalog.errors import BrokenProfiles, CatalogError, Problem, UnknownName, nearest
from console.catalog.extending import extend
from console.catalog.locate import KeyPath
from console.catalog.matrices import read_matrix
from console.catalog.profiles import read_gpu, read_images, read_model, read_server
from console.catalog.references import read_references
from console.catalog.rows import Shelves
from console.catalog.schemas import schemas
from console.catalog.strict import Source
from console.model.cell import Matrix, Reference
from console.model.names import image_name
from console.model.profile import GpuSpec, Image, ModelCard, ServerProfile
from console.workloads.base import registry

__all__ = ["KINDS", "Catalog", "adapt", "describe", "load", "schemas", "shipped_folder"]

KINDS = ("gpus", "servers", "models", "images", "matrices", "references")
"""The folders of a catalog, shipped or own. Other files and folders beside them are left alone."""

T = TypeVar("T")


class Catalog(msgspec.Struct, frozen=True, kw_only=True):
    """Everything that can be run and compared, by name. References by matrix name and cell id, all sets together."""

    gpus: Mapping[str, GpuSpec]
    servers: Mapping[str, ServerProfile]
    models: Mapping[str, ModelCard]
    images: Mapping[str, Image]
    matrices: Mapping[str, Matrix]
    references: Mapping[tuple[str, str], tuple[Reference, ...]]

    def matrix(self, name: str) -> Matrix:
        """A matrix by name. Raises UnknownName."""
        return _get("matrix", name, self.matrices)

    def image(self, name: str) -> Image:
        """An image by its name, reference, alias or tag; a digest after `@` is left aside. Raises UnknownName."""
        if name in self.images:
            return self.images[name]
        wanted = image_name(name).name
        for image in self.images.values():
            known = [image_name(ref).name for ref in (image.ref, *image.aliases)]
            if wanted in known or name in [ref.rpartition(":")[2] for ref in known]:
                return image
        close = nearest(name, [*self.images, *(image.ref for image in self.images.values())])
        raise UnknownName("image", name, close or self.images)

    def model(self, model_id: str) -> ModelCard:
        """A model by its id. Raises UnknownName."""
        return _get("model", model_id, self.models)

    def server(self, name: str) -> ServerProfile:
        """A server profile by name. Raises UnknownName."""
        return _get("server profile", name, self.servers)

    def gpu(self, name: str) -> GpuSpec:
        """A GPU model by name, in any case. Raises UnknownName."""
        by_case = {known.casefold(): known for known in self.gpus}
        return _get("GPU", by_case.get(name.casefold(), name), self.gpus)

    def gpu_of_device(self, device_id: str) -> GpuSpec | None:
        """The GPU model with this PCI device id (hexadecimal, with or without 0x); None when no model has it."""
        wanted = device_id.casefold().removeprefix("0x")
        for gpu in self.gpus.values():
            if wanted in gpu.device_ids or wanted in gpu.vf_device_ids:
                return gpu
        return None

    def describe(self, name: str) -> dict[str, Any]:
        """What `instinct profiles show NAME --json` prints. Raises UnknownName."""
        return describe(self.matrix(name))


def shipped_folder() -> Path:
    """Where the shipped profiles are: inside an installed package, or beside it in a checkout."""
    package = Path(console.__file__).resolve().parent
    inside = package / "_profiles"
    return inside if inside.is_dir() else package.parent / "profiles"


def load(folders: Sequence[Path] = (), *, shipped: bool = True) -> Catalog:
    """The shipped catalog with the folders' own files added, in order.

    Raises BrokenProfiles with every problem of every file: unreadable text, unknown keys, wrong types, unknown names,
    identities given twice; CatalogError when a folder is not there.
    """
    for folder in folders:
        if not folder.is_dir():
            raise CatalogError(f"{folder}: there is no such folder of profiles")
    return _Loading([shipped_folder(), *folders] if shipped else list(folders)).catalog()


class _Loading:
    """One load: records by identity, with the file each came from."""

    def __init__(self, folders: Sequence[Path]) -> None:
        self.folders = folders
        self.problems: list[Problem] = []
        self.origins: dict[tuple[str, str], tuple[str, KeyPath]] = {}

    def catalog(self) -> Catalog:
        self._misnamed_folders()
        gpus = {item.name: item for item in self._one_a_file("gpus", "GPU", read_gpu, _gpu_identities)}
        servers = {
            item.name: item
            for item in self._one_a_file("servers", "server profile", lambda s: read_server(s, gpus), _own_name)
        }
        models = {item.id: item for item in self._one_a_file("models", "model", read_model, lambda m: (("id", m.id),))}
        images = self._images()
        shelves = Shelves(registry(), images, models, servers)
        matrices = {
            item.name: item
            for item in self._one_a_file("matrices", "matrix", lambda s: self._matrix(s, shelves), _own_name)
        }
        references = self._references(matrices, images)
        if self.problems:
            raise BrokenProfiles(self.problems)
        return Catalog(
            gpus=gpus,
            servers=servers,
            models=models,
            images=images,
            matrices={name: _with_references(matrix, references) for name, matrix in matrices.items()},
            references=references,
        )

    def _matrix(self, source: Source, shelves: Shelves) -> Matrix | None:
        extend(source, self._tops)
        return read_matrix(source, shelves)

    def _tops(self) -> dict[str, dict[str, Any]]:
        """The tables of every matrix file by its name, for those that extend it. Broken files speak for themselves."""
        opened = (Source.open(path) for folder in self.folders for path in sorted((folder / "matrices").glob("*.toml")))
        return {source.data["name"]: source.data for source in opened if isinstance(source.data.get("name"), str)}

    def _sources(self, kind: str) -> Iterator[Source]:
        for folder in self.folders:
            for path in sorted((folder / kind).glob("*.toml")):
                source = Source.open(path)
                if not source.problems:
                    yield source
                self.problems += source.problems

    def _one_a_file(
        self,
        kind: str,
        word: str,
        read: Callable[[Source], T | None],
        identities: Callable[[T], Iterable[tuple[str, str]]],
    ) -> list[T]:
        found = []
        for source in self._sources(kind):
            item = read(source)
            if item is not None and self._is_new(source, word, identities(item), ()):
                found.append(item)
        return found

    def _images(self) -> dict[str, Image]:
        images = {}
        for source in self._sources("images"):
            for path, image in read_images(source):
                identities = [("name", image.name), ("ref", image.ref), *(("aliases", ref) for ref in image.aliases)]
                if self._is_new(source, "image", identities, path):
                    images[image.name] = image
        return images

    def _references(
        self, matrices: Mapping[str, Matrix], images: Mapping[str, Image]
    ) -> Mapping[tuple[str, str], tuple[Reference, ...]]:
        by_cell = {(name, cell.id): cell.references for name, matrix in matrices.items() for cell in matrix.cells}
        seen: dict[object, str] = {}
        for source in self._sources("references"):
            for found in read_references(source, matrices, images):
                first = seen.get(found.identity)
                if first is not None:
                    same = "cell, set, image, GPU, date and source"
                    source.problem(found.path, f"a second figure of the same {same}; the first is in {first}")
                    continue
                seen[found.identity] = source.file
                by_cell[found.cell] = (*by_cell.get(found.cell, ()), found.reference)
        return by_cell

    def _is_new(self, source: Source, word: str, identities: Iterable[tuple[str, str]], path: KeyPath) -> bool:
        new = True
        for key, identity in identities:
            first, first_path = self.origins.setdefault((word, identity), (source.file, path))
            if (first, first_path) != (source.file, path):
                source.problem((*path, key), f"a second {word} with {key} {identity!r}; the first is in {first}")
                new = False
        return new

    def _misnamed_folders(self) -> None:
        for folder in self.folders:
            for inside in sorted(folder.iterdir()):
                if inside.name in KINDS or not inside.is_dir() or not any(inside.glob("*.toml")):
                    continue
                close = nearest(inside.name, KINDS, 1)
                if close:
                    self.problems.append(Problem(str(inside), None, "", f"unknown folder; did you mean {close[0]}?"))


def _get(kind: str, name: str, known: Mapping[str, T]) -> T:
    if name not in known:
        raise UnknownName(kind, name, known)
    return known[name]


def _own_name(item: ServerProfile | Matrix) -> tuple[tuple[str, str], ...]:
    return (("name", item.name),)


def _gpu_identities(gpu: GpuSpec) -> tuple[tuple[str, str], ...]:
    return (
        ("name", gpu.name),
        *(("device_ids", device) for device in gpu.device_ids),
        *(("vf_device_ids", device) for device in gpu.vf_device_ids),
    )


def _with_references(matrix: Matrix, references: Mapping[tuple[str, str], tuple[Reference, ...]]) -> Matrix:
    cells = tuple(msgspec.structs.replace(cell, references=references[matrix.name, cell.id]) for cell in matrix.cells)
    return msgspec.structs.replace(matrix, cells=cells)
