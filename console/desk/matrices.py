"""What there is to run, for a front that chooses: matrices with what they are about, images, past figures."""

from collections.abc import Mapping, Sequence
from typing import Literal

import msgspec

from console.catalog import selection
from console.catalog.adapt import PROGRAMS
from console.catalog.columns import column_text
from console.catalog.shelf import Catalog
from console.desk import desk
from console.desk.settings import Settings
from console.desk.sheet_views import Figure
from console.fleet.host import Fleet
from console.model.cell import AnyCell, Matrix
from console.model.profile import Image
from console.runs import plan as planning
from console.runs.plan import PlannedAttempt
from console.runs.request import Request

Kind = Literal["published", "own", "lab"]

RUNS_READ = 8
"""The latest runs of a matrix that are read for its past figures."""


class Entry(msgspec.Struct, frozen=True, kw_only=True):
    """A matrix one may run, and the GPU model its figures are of. `hosts` of the fleet file have that model."""

    matrix: Matrix
    kind: Kind
    gpu: str
    hosts: tuple[str, ...] = ()
    images: tuple[Image, ...] = ()
    """Images its program lives in, the newest first."""

    def cell(self, name: str) -> AnyCell | None:
        """A cell by its id."""
        return next((cell for cell in self.matrix.cells if cell.id == name), None)


class Shelf(msgspec.Struct, frozen=True):
    """Every matrix in force, the published ones first, by source."""

    catalog: Catalog
    entries: tuple[Entry, ...]

    def entry(self, matrix: str) -> Entry | None:
        """One of them."""
        return next((entry for entry in self.entries if entry.matrix.name == matrix), None)


def shelf(settings: Settings, fleet: Fleet | None) -> Shelf:
    """What the profiles in force offer this fleet. Raises CatalogError with every problem of the files, DeskError."""
    catalog = desk.catalog(settings, fleet)
    entries = [_entry(matrix, catalog, fleet) for matrix in catalog.matrices.values()]
    order = {"published": 0, "own": 1, "lab": 2}
    return Shelf(catalog, tuple(sorted(entries, key=lambda entry: (order[entry.kind], entry.matrix.source))))


def _entry(matrix: Matrix, catalog: Catalog, fleet: Fleet | None) -> Entry:
    published = any(item.set == "published" for cell in matrix.cells for item in cell.references)
    gpu = catalog.servers[matrix.server].gpu
    known = {name: server.gpu for name, server in catalog.servers.items()}
    programs = {PROGRAMS.get(cell.workload) for cell in matrix.cells} - {None}
    images = [image for image in catalog.images.values() if not programs or image.program in programs]
    return Entry(
        matrix=matrix,
        kind="lab" if matrix.simulated else "published" if published else "own",
        gpu=gpu,
        hosts=tuple(host.name for host in fleet.hosts if known.get(host.server or "") == gpu) if fleet else (),
        images=tuple(sorted(images, key=lambda image: image.released or "", reverse=True)),
    )


def selected(matrix: Matrix, expression: str) -> frozenset[str]:
    """Ids of the cells an expression holds for, in the grammar of `--only`. Raises CatalogError."""
    return frozenset(cell.id for cell in selection.select(matrix.cells, expression))


def published(matrix: Matrix, *, short: bool = False) -> Sequence[Sequence[str]]:
    """The texts of the published table: a row per cell, in its columns, mistakes included; `short`: our own titles."""
    return [
        [
            (cell.title_printed if column.key == "title" and not short else "") or column_text(cell, column.key)
            for column in matrix.columns
        ]
        for cell in matrix.cells
    ]


def on_paper(catalog: Catalog, matrix: Matrix, cell: str, request: Request) -> PlannedAttempt | None:
    """One cell as it would run on the matrix' own kind of server, nobody asked. Raises the errors of plan and catalog.

    None when the request does not mean the cell.
    """
    only = f"id == {cell}"
    paper = msgspec.structs.replace(request, hosts=None, server=matrix.server, only=only, repeat=1, accept=())
    return next(iter(planning.make(paper, catalog, (), {}).attempts), None)


def latest(settings: Settings, matrix: str) -> Mapping[str, Sequence[Figure]]:
    """The newest figures of each cell, one for each set of hosts, from the latest runs of a matrix; newest first.

    Loads the table library. Raises StoreError, CatalogError, ResultsError.
    """
    from console.desk import sheets

    with desk.tail(settings) as tail:
        rows = sorted(tail.runs(), key=lambda row: row.opened_at_ns, reverse=True)
    names = [row.run for row in rows if matrix in row.matrices][:RUNS_READ]
    if not names:
        return {}
    age = {run: place for place, run in enumerate(names)}
    sheet = next((item for item in sheets.read(settings, names).sheets if item.matrix == matrix), None)
    found: dict[str, dict[tuple[str, ...], Figure]] = {}
    for figure in sorted(sheet.figures if sheet is not None else (), key=lambda item: age[item.run]):
        found.setdefault(figure.cell, {}).setdefault(figure.hosts, figure)
    return {cell: tuple(by_hosts.values()) for cell, by_hosts in found.items()}
