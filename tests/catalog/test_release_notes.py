"""The release notes' 400 figures are references of the same cells under other images."""

import csv
from collections import Counter
from pathlib import Path

import pytest

from console.catalog.shelf import Catalog
from console.model.cell import Reference

SIZES = {"70B": "amd/Llama-3.1-70B-Instruct-FP8-KV", "405B": "amd/Llama-3.1-405B-Instruct-FP8-KV"}
KINDS = {"throughput": "vllm-0.8.5-throughput", "latency": "vllm-0.8.5-latency"}
UNITS = {"output_tok/s": "output_tokens_per_s", "s": "latency_s"}


@pytest.fixture(scope="module")
def figures() -> list[dict[str, str]]:
    path = Path(__file__).resolve().parents[3] / "shared" / "reference" / "vllm-releases.csv"
    if not path.is_file():
        pytest.skip("no table of release notes' figures beside the project (shared/reference)")
    with path.open(encoding="utf-8") as file:
        return list(csv.DictReader(file))


def reference_of(catalog: Catalog, row: dict[str, str]) -> Reference:
    """The one reference of the cell with the row's parameters, dated as the row."""
    dated = f"{row['release'][:4]}-{row['release'][4:6]}-{row['release'][6:]}"
    wanted = {"input_len": row["input"], "output_len": row["output"]}
    if row["kind"] == "throughput":
        wanted |= {"num_prompts": row["num_prompts"], "max_num_seqs": row["max_num_seqs"]}
    else:
        wanted |= {"batch_size": row["batch"]}
    (cell,) = (
        cell
        for cell in catalog.matrix(KINDS[row["kind"]]).cells
        if cell.model == SIZES[row["model"]]
        and all(getattr(cell.params, key) == int(value) for key, value in wanted.items())
    )
    (found,) = (item for item in cell.references if item.set == "release notes" and item.dated == dated)
    return found


def test_all_400_figures_are_there(shipped: Catalog, figures: list[dict[str, str]]) -> None:
    assert len(figures) == 400
    seen = set()
    for row in figures:
        reference = reference_of(shipped, row)
        assert reference.value == float(row["value"]), row
        assert reference.metric == UNITS[row["unit"]]
        assert reference.under.engine_version == row["vllm"]
        assert reference.under.rocm == row["rocm"]
        seen.add(id(reference))
    assert len(seen) == 400
    notes = [item for items in shipped.references.values() for item in items if item.set == "release notes"]
    assert len(notes) == 400


def test_the_image_is_the_one_the_release_names(shipped: Catalog, figures: list[dict[str, str]]) -> None:
    for row in figures:
        reference = reference_of(shipped, row)
        named = row["image"].split(" ")[0]
        if named.startswith("rocm/vllm:"):
            assert reference.under.image == named
        else:
            assert named.startswith("rocm/vllm-dev:main@")
            assert f"rocm/vllm-dev:main at source {named.partition('@')[2]}" in "\n".join(reference.errata)


def test_the_processor_is_the_release_notes_own(shipped: Catalog, figures: list[dict[str, str]]) -> None:
    both = {"throughput": "EPYC 9554", "latency": "EPYC 9575F"}
    for row in figures:
        expected = None if "not stated" in row["cpu"] else row["cpu"]
        if "tput" in row["cpu"]:
            assert row["cpu"] == "EPYC 9554 (tput) / 9575F (lat)"
            expected = both[row["kind"]]
        assert reference_of(shipped, row).under.cpu == expected


def test_the_published_page_keeps_its_own_processor_for_the_same_figures(shipped: Catalog) -> None:
    for name in KINDS.values():
        for cell in shipped.matrix(name).cells:
            published = cell.references[0]
            (same,) = (item for item in cell.references[1:] if item.under.image == published.under.image)
            assert same.value == published.value
            assert (published.under.cpu, same.under.cpu) == ("EPYC 9554", "EPYC 9575F")


def test_every_cell_has_a_published_figure_and_ten_of_release_notes(shipped: Catalog) -> None:
    for name in KINDS.values():
        for cell in shipped.matrix(name).cells:
            assert Counter(item.set for item in cell.references) == {"published": 1, "release notes": 10}
