"""What there is to run, as a front that chooses gets it."""

from pathlib import Path

import pytest

from console.catalog.errors import BadChange, CatalogError
from console.desk import matrices
from console.desk.settings import Options, Settings, load
from console.fleet.host import Fleet, Host
from console.runs.request import Request

THROUGHPUT = "vllm-0.8.5-throughput"


@pytest.fixture(scope="module")
def settings(tmp_path_factory: pytest.TempPathFactory) -> Settings:
    place = tmp_path_factory.mktemp("desk")
    return load(Options(config=place, store=place / "store"), {})


@pytest.fixture(scope="module")
def shelf(settings: Settings) -> matrices.Shelf:
    hosts = (
        Host(name="a", address="a", server="mi300x-2x9654"),
        Host(name="b", address="b", server="mi325x-2x9654"),
        Host(name="c", address="c"),
    )
    return matrices.shelf(settings, Fleet(path=Path("fleet.toml"), hosts=hosts))


def entry(shelf: matrices.Shelf, name: str = THROUGHPUT) -> matrices.Entry:
    found = shelf.entry(name)
    assert found is not None
    return found


def test_every_shipped_matrix_is_there_with_its_gpu_and_the_hosts_that_have_it(shelf: matrices.Shelf) -> None:
    assert {item.matrix.name for item in shelf.entries} == set(shelf.catalog.matrices)
    assert {item.kind for item in shelf.entries} == {"published"}
    assert (entry(shelf).gpu, entry(shelf).hosts) == ("MI300X", ("a",))
    assert entry(shelf, "pytorch-25.5-mi325x").hosts == ("b",)
    assert shelf.entry("no-such") is None


def test_images_are_those_its_program_lives_in_the_newest_first(shelf: matrices.Shelf) -> None:
    images = entry(shelf).images
    assert {image.program for image in images} == {"vllm"}
    dated = [image.released or "" for image in images]
    assert dated == sorted(dated, reverse=True)


def test_a_published_row_reads_as_printed_and_shorter_by_our_own_title(shelf: matrices.Shelf) -> None:
    printed = matrices.published(entry(shelf).matrix)[0]
    assert printed == ["Llama 3.1 70B (amd/Llama-3.1-70B-Instruct-FP8-KV)", "FP8", "8", "128", "2048", "3200", "3200",
                       "16622.2"]  # fmt: skip
    assert matrices.published(entry(shelf).matrix, short=True)[0][0] == "Llama 3.1 70B"


def test_rows_are_selected_by_expressions_and_a_typo_is_an_error(shelf: matrices.Shelf) -> None:
    matrix = entry(shelf).matrix
    assert len(matrices.selected(matrix, "model~70B and output_len==2048")) == 2
    assert matrices.selected(matrix, "") == {cell.id for cell in matrix.cells}
    with pytest.raises(CatalogError, match="did you mean model"):
        matrices.selected(matrix, "modl~70B")


def test_a_row_on_paper_has_its_command_and_says_what_differs(shelf: matrices.Shelf) -> None:
    found = entry(shelf)
    asked = Request(matrices=(THROUGHPUT,), image="rocm6.4.1_vllm_0.9.1_20250715", hosts="nobody", repeat=9)
    planned = matrices.on_paper(shelf.catalog, found.matrix, found.matrix.cells[0].id, asked)
    assert planned is not None
    assert planned.launch is not None
    assert "--num-prompts" in planned.launch.parts[0].argv
    assert any(text.startswith("published image ") for text in planned.cell.deviations)
    wrong = Request(matrices=(THROUGHPUT,), image="megatron-lm-v25.5-py310")
    with pytest.raises(BadChange):
        matrices.on_paper(shelf.catalog, found.matrix, found.matrix.cells[0].id, wrong)


def test_an_empty_store_has_no_past(settings: Settings) -> None:
    assert matrices.latest(settings, THROUGHPUT) == {}
