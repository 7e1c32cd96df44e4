"""The shipped catalog and the tables fit each other."""

import msgspec
import pytest

from console.catalog.shelf import load
from console.judge.comparability import known_names
from console.judge.verdict import Measured, Verdict, judge
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


def test_a_figure_equal_to_the_page_under_its_conditions_is_matched(shelf: Shelf) -> None:
    for matrix in shelf.matrices.values():
        if matrix.simulated:
            continue
        for cell in matrix.cells:
            published = next(item for item in cell.references if item.set == "published")
            measured = Measured(
                metric=cell.metric,
                values=(published.value, published.value),
                conditions=msgspec.structs.replace(published.under, cpu="another", bios_version="9.9"),
                recipe=cell.recipe,
            )
            judgement = judge(measured, references_of(cell, shelf), images=known_names(shelf.images.values()))
            assert (judgement.verdict, judgement.reference) == (Verdict.MATCHED, published), cell.id
