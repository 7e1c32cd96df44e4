"""Every row and version of AMD's page is in the catalog, value by value. The page is read here, not by the product."""

import re
from pathlib import Path

import pytest

from console.catalog.columns import column_text
from console.catalog.shelf import Catalog
from console.model.cell import Matrix

INFERENCE = re.compile(r"^(?:(?P<model>.+?) \((?P<id>amd/[^)]+)\) (?P<precision>FP8) (?P<tp>8) )?(?P<rest>[\d. ]+)$")
SECTIONS = {
    "vllm-0.8.5-throughput": "Model Precision TP Size Input Output Num Prompts Max Num Seqs Throughput (tokens/s)",
    "vllm-0.8.5-latency": "Model Precision TP Size Batch Size Input Output Latency (sec)",
    "pytorch-25.5-mi300x": "Models Precision Batch Size Sequence Length TFLOPS/s/GPU",
    "pytorch-25.5-mi325x": "Models Precision Batch Size Sequence Length TFLOPS/s/GPU",
    "megatron-25.5-llama": "Model # of nodes Sequence length MBS GBS Data Type TP PP CP TFLOPs/s/GPU",
    "megatron-25.5-deepseek": "Model # of GPUs Sequence length MBS GBS Data Type TP PP CP EP SP Recompute TFLOPs/s/GPU",
}
COUNTS = {
    "vllm-0.8.5-throughput": 8,
    "vllm-0.8.5-latency": 32,
    "pytorch-25.5-mi300x": 8,
    "pytorch-25.5-mi325x": 7,
    "megatron-25.5-llama": 8,
    "megatron-25.5-deepseek": 1,
}


@pytest.fixture(scope="module")
def page() -> str:
    path = Path(__file__).resolve().parents[3] / "shared" / "reference" / "amd-published-results.txt"
    if not path.is_file():
        pytest.skip("no copy of the published page beside the project (shared/reference)")
    return path.read_text(encoding="utf-8")


def printed_rows(page: str, name: str) -> list[list[str]]:
    """The rows below a table's heading line as lists of text, one for each column; merged model cells repeated."""
    lines = page.splitlines()
    heading = SECTIONS[name]
    starts = [number for number, line in enumerate(lines) if line.strip() == heading]
    if name == "pytorch-25.5-mi300x":
        starts = starts[:1]
    elif name == "pytorch-25.5-mi325x":
        starts = starts[1:]
    rows: list[list[str]] = []
    merged: list[str] = []
    for start in starts:
        for line in lines[start + 1 :]:
            row, merged = one_row(name, line.strip(), merged)
            if not row:
                break
            rows.append(row)
    return rows


def one_row(name: str, line: str, merged: list[str]) -> tuple[list[str], list[str]]:
    if not line or line.startswith("Sequence length"):
        return [], merged
    if name.startswith("vllm"):
        found = INFERENCE.match(line)
        assert found, line
        if found["model"]:
            merged = [f"{found['model']} ({found['id']})", found["precision"], found["tp"]]
        return merged + found["rest"].split(), merged
    if name.startswith("pytorch"):
        found = re.match(r"^(.+?) (BF16|FP8) (\d+) (\d+|-) (.+)$", line)
        assert found, line
        return list(found.groups()), merged
    return line.split(), merged


@pytest.mark.parametrize("name", list(SECTIONS))
def test_every_row_of_the_page_is_a_cell_with_every_value(page: str, shipped: Catalog, name: str) -> None:
    matrix, rows = shipped.matrix(name), printed_rows(page, name)
    assert len(rows) == len(matrix.cells) == COUNTS[name]
    for row, cell in zip(rows, matrix.cells, strict=True):
        figure, *suffix = row[-1].split(" ", 1)
        expected = [*row[:-1], figure]
        shown = [column_text(cell, column.key) for column in matrix.columns]
        assert shown[1:] == expected[1:], cell.id
        assert cell.title_printed == expected[0]
        assert cell.references[0].printed == figure
        assert cell.references[0].value == float(figure)
        assert cell.references[0].set == "published"
        if suffix:
            assert suffix == ["(FPS/GPU)*"]
            assert (cell.metric, cell.references[0].unit_printed) == ("images_per_s_per_gpu", "FPS/GPU")


def test_there_are_64_cells_on_the_page_and_in_the_catalog(page: str, shipped: Catalog) -> None:
    assert sum(len(printed_rows(page, name)) for name in SECTIONS) == 64
    assert sum(len(matrix.cells) for matrix in shipped.matrices.values()) == 64


@pytest.mark.parametrize("name", list(SECTIONS))
def test_columns_are_the_headings_of_the_page_in_order(page: str, shipped: Catalog, name: str) -> None:
    headings = " ".join(column.heading for column in shipped.matrix(name).columns)
    assert headings == SECTIONS[name]
    assert headings in page


@pytest.mark.parametrize("name", list(SECTIONS))
def test_platform_date_and_unit_are_those_of_the_page(page: str, shipped: Catalog, name: str) -> None:
    matrix = shipped.matrix(name)
    assert f"Server: {matrix.platform}" in page
    year, month, day = (int(part) for part in matrix.dated.split("-"))
    months = {4: "April", 5: "May"}
    assert re.search(rf"released on {months[month]} {day},? {year}", page)
    reference = matrix.cells[0].references[0]
    assert reference.platform == matrix.platform
    assert reference.dated == matrix.dated
    assert reference.unit_printed in SECTIONS[name]


def test_the_image_of_every_table_is_the_one_the_page_names(page: str, shipped: Catalog) -> None:
    named = re.findall(r"container ?\((rocm/[^)]+)\)", page)
    images = [shipped.image(shipped.matrix(name).image) for name in SECTIONS]
    assert len(named) == 6
    for reference, image in zip(named, images, strict=True):
        assert reference in (image.ref, *image.aliases)
        assert shipped.image(reference) is image


def test_every_row_of_the_version_tables_is_an_image_one_can_choose(page: str, shipped: Catalog) -> None:
    rows = [
        line.split(" Documentation")[0]
        for line in page.splitlines()
        if re.match(r"^\d+/\d+/\d{4} .+ Documentation Docker Hub$", line)
    ]
    assert len(rows) == 9
    by_row = {image.on_page: image for image in shipped.images.values() if image.on_page}
    assert sorted(by_row) == sorted(rows)
    for row in rows:
        date, *versions = row.split()
        image, (month, day, year) = by_row[row], date.split("/")
        assert image.released == f"{year}-{int(month):02}-{int(day):02}"
        if image.program == "vllm":
            rocm, vllm, torch = versions
            assert image.engine_version == vllm
            assert image.pytorch is not None
            assert image.pytorch.startswith(torch)
            assert image.vllm is not None
        else:
            version, rocm, torch = versions
            assert image.ref.endswith(f":v{version}")
            assert image.pytorch == torch
        assert image.rocm == rocm


def test_errata_stand_beside_the_figures(shipped: Catalog) -> None:
    def errata(matrix: Matrix, cell_id: str) -> str:
        return "\n".join(next(cell for cell in matrix.cells if cell.id == cell_id).references[0].errata)

    latency = shipped.matrix("vllm-0.8.5-latency")
    large = [cell for cell in latency.cells if cell.title == "Llama 3.1 405B"]
    assert len(large) == 16
    assert all(cell.model == "amd/Llama-3.1-405B-Instruct-FP8-KV" for cell in large)
    assert all("70B checkpoint" in "\n".join(cell.references[0].errata) for cell in large)
    assert all(cell.deviations[0].startswith("published model amd/Llama-3.1-70B") for cell in large)
    assert "70B checkpoint" not in errata(latency, "llama-3.1-70b-bs1-in128-out2048")
    assert "EPYC 9575F" in errata(latency, "llama-3.1-70b-bs1-in128-out2048")
    deepseek = shipped.matrix("megatron-25.5-deepseek").cells[0]
    assert deepseek.metric == deepseek.references[0].metric == "tokens_per_s_per_gpu"
    assert "tokens/s/GPU, not TFLOPs/s/GPU" in deepseek.references[0].errata[0]
    assert "v25.2" in errata(shipped.matrix("pytorch-25.5-mi300x"), "llama-3.1-8b-fp8-b3-s8192")
    assert "Xeon 8480+" in errata(shipped.matrix("pytorch-25.5-mi325x"), "llama-3.1-8b-fp8-b5-s8192")


def test_every_cell_says_how_well_its_recipe_is_known_and_why(shipped: Catalog) -> None:
    cells = [cell for matrix in shipped.matrices.values() for cell in matrix.cells]
    assert all(cell.recipe_source for cell in cells)
    reconstructed = {(cell.workload, cell.nodes > 1) for cell in cells if cell.recipe != "exact"}
    assert reconstructed == {("torchtitan", False), ("megatron-llama", True)}
