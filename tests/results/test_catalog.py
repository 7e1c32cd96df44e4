"""The shipped catalog and the tables fit each other."""

import pytest

from console.catalog.shelf import load
from console.model.units import METRICS
from console.results.references import Shelf, references_of
from console.results.rows import parameters
from console.results.schema import RESULTS


@pytest.fixture(scope="module")
def shelf() -> Shelf:
    return load()


def test_every_published_column_is_a_column_of_the_table_or_a_parameter(shelf: Shelf) -> None:
    for matrix in shelf.matrices.values():
        for cell in matrix.cells:
            row = parameters(cell)
            for column in matrix.columns:
                assert column.key in ("printed", "title") or column.key in row, (matrix.name, column)
                assert column.key in ("printed", "title") or column.key in RESULTS.schema


def test_every_cell_finds_its_own_references(shelf: Shelf) -> None:
    for matrix in shelf.matrices.values():
        for cell in matrix.cells:
            found = references_of(cell, shelf)
            assert {item.set for item in found} >= {"published"}, (matrix.name, cell.id)
            assert all(item.metric in METRICS for item in found)
