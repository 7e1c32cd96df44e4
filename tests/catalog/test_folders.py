"""A user's own folder has the shipped form, adds to it, and cannot give one identity twice."""

from collections.abc import Callable
from pathlib import Path

import pytest

from console.catalog.errors import BrokenProfiles, CatalogError, UnknownName
from console.catalog.shelf import KINDS, Catalog, load, shipped_folder

Write = Callable[[str, str], Path]

OWN = """\
set = "own"
source = "our acceptance run"

[[table]]
matrix = "vllm-0.8.5-throughput"
unit = "tok/s"
under = { gpu = "MI325X", cpu = "EPYC 9575F" }
columns = [{ image = "rocm6.3.1_vllm_0.8.5_20250521", dated = "2026-01-31" }]

[table.figures]
"llama-3.1-70b-in128-out2048-n3200" = ["20123.4"]
"""


def test_an_own_matrix_stands_beside_the_shipped_ones(write: Write, matrix_text: str, shipped: Catalog) -> None:
    catalog = load([write("matrices/mine.toml", matrix_text)])
    assert set(catalog.matrices) == {*shipped.matrices, "mine"}
    first, second = catalog.matrix("mine").cells
    assert (first.id, second.id) == ("llama-3.1-8b-in128-out128", "llama-3.1-8b-in512-out128")
    assert (first.references[0].printed, first.references[0].value) == ("1,234.5", 1234.5)
    assert first.references[0].under.gpu == "MI325X"
    assert second.references == ()
    assert first.recipe == "unknown"


def test_own_references_join_the_shipped_cell_under_their_own_conditions(write: Write, shipped: Catalog) -> None:
    catalog = load([write("references/ours.toml", OWN)])
    cell = catalog.matrix("vllm-0.8.5-throughput").cells[0]
    assert cell.references[:-1] == shipped.matrix("vllm-0.8.5-throughput").cells[0].references
    own = cell.references[-1]
    assert (own.set, own.value, own.source, own.dated) == ("own", 20123.4, "our acceptance run", "2026-01-31")
    assert own.metric == "output_tokens_per_s"
    assert (own.under.gpu, own.under.gpus, own.under.nodes) == ("MI325X", 8, 1)
    assert own.under.image == "rocm/vllm:rocm6.3.1_vllm_0.8.5_20250521"
    assert own.under.engine_version == "0.8.5"
    assert catalog.references["vllm-0.8.5-throughput", cell.id] == cell.references


def test_references_of_the_lab_are_marked_simulated(write: Write) -> None:
    catalog = load([write("references/lab.toml", OWN.replace('set = "own"', 'set = "lab"'))])
    reference = catalog.matrix("vllm-0.8.5-throughput").cells[0].references[-1]
    assert (reference.set, reference.under.simulated) == ("lab", True)


def test_a_simulated_matrix_has_lab_references(write: Write, matrix_text: str) -> None:
    text = matrix_text.replace('precision = "FP8"', 'precision = "FP8"\nsimulated = true')
    matrix = load([write("matrices/mine.toml", text)]).matrix("mine")
    assert matrix.simulated
    assert matrix.cells[0].references[0].set == "lab"
    assert matrix.cells[0].references[0].under.simulated


def test_a_row_may_name_its_own_workload(write: Write, matrix_text: str) -> None:
    row = '{ id = "lat", workload = "vllm-latency", metric = "latency_s", batch_size = 1, input_len = 8, '
    row += "output_len = 8 },"
    cell = (
        load([write("matrices/mine.toml", matrix_text.replace("rows = [", f"rows = [\n  {row}"))])
        .matrix("mine")
        .cells[0]
    )
    assert (cell.id, cell.workload, cell.params.tensor_parallel, cell.params.iterations) == (
        "lat",
        "vllm-latency",
        8,
        5,
    )


@pytest.mark.parametrize(
    ("kind", "what"),
    [
        ("gpus/mi300x.toml", "a second GPU with name 'MI300X'"),
        ("servers/mi355x.toml", "a second server profile with name 'mi355x'"),
        ("models/mistral-7b-v0.1.toml", "a second model with id 'mistralai/Mistral-7B-v0.1'"),
        ("images/megatron-lm.toml", "a second image with name 'megatron-lm-v25.5-py310'"),
        ("matrices/megatron-25.5-deepseek.toml", "a second matrix with name 'megatron-25.5-deepseek'"),
    ],
)
def test_an_identity_given_twice_is_refused_with_both_places(write: Write, kind: str, what: str) -> None:
    shipped_file = shipped_folder() / kind
    folder = write(kind, shipped_file.read_text(encoding="utf-8"))
    with pytest.raises(BrokenProfiles) as caught:
        load([folder])
    first = str(caught.value).splitlines()[0]
    assert first.startswith(f"{folder / kind}:")
    assert first.endswith(f"{what}; the first is in {shipped_file}")


def test_a_device_id_belongs_to_one_gpu(write: Write) -> None:
    text = (shipped_folder() / "gpus" / "mi355x.toml").read_text(encoding="utf-8").replace('"MI355X"', '"MI355Y"')
    with pytest.raises(BrokenProfiles, match="a second GPU with device_ids '75a3'"):
        load([write("gpus/mine.toml", text)])


def test_the_same_figure_twice_is_refused(write: Write) -> None:
    write("references/a.toml", OWN)
    folder = write("references/b.toml", OWN)
    with pytest.raises(BrokenProfiles, match=r"b\.toml:11: .*a second figure of the same cell.*a\.toml"):
        load([folder])


def test_a_later_figure_of_the_same_cell_is_another_reference(write: Write) -> None:
    write("references/a.toml", OWN)
    catalog = load([write("references/b.toml", OWN.replace("2026-01-31", "2026-02-28"))])
    own = [item for item in catalog.matrix("vllm-0.8.5-throughput").cells[0].references if item.set == "own"]
    assert [item.dated for item in own] == ["2026-01-31", "2026-02-28"]


def test_a_misspelt_folder_is_not_passed_over(write: Write, matrix_text: str) -> None:
    with pytest.raises(BrokenProfiles, match=r"matrix: unknown folder; did you mean matrices\?"):
        load([write("matrix/mine.toml", matrix_text)])


def test_other_files_of_the_configuration_folder_are_left_alone(write: Write) -> None:
    write("config.toml", "nonsense =")
    write("themes/dark.toml", "nonsense =")
    assert len(load([write("fleet.toml", "nonsense =")]).matrices) == 6


def test_a_folder_that_is_not_there_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(CatalogError, match="there is no such folder"):
        load([tmp_path / "absent"])


def test_the_shipped_catalog_can_be_left_out(write: Write) -> None:
    folder = write("models/mine.toml", 'id = "/models/tiny"\ntitle = "Tiny"\nprecision = "BF16"\nsource = "us"\n')
    catalog = load([folder], shipped=False)
    assert list(catalog.models) == ["/models/tiny"]
    assert not catalog.matrices


def test_every_shipped_folder_has_files_and_every_file_is_read(shipped: Catalog) -> None:
    folder = shipped_folder()
    counts = {kind: len(list((folder / kind).glob("*"))) for kind in KINDS}
    assert all(counts.values())
    assert len(shipped.gpus) == counts["gpus"]
    assert len(shipped.servers) == counts["servers"]
    assert len(shipped.models) == counts["models"]
    assert len(shipped.matrices) == counts["matrices"]
    for kind, names in (("gpus", shipped.gpus), ("servers", shipped.servers), ("matrices", shipped.matrices)):
        assert {path.stem for path in (folder / kind).glob("*")} == {name.lower() for name in names}


@pytest.mark.parametrize(
    ("ask", "message"),
    [
        (
            lambda c: c.matrix("vllm-0.8.5-thruput"),
            "no matrix is called 'vllm-0.8.5-thruput'; did you mean vllm-0.8.5-throughput?",
        ),
        (lambda c: c.matrix("deepseek"), "did you mean megatron-25.5-deepseek?"),
        (lambda c: c.model("llama-3.1-405b"), "did you mean amd/Llama-3.1-405B-Instruct-FP8-KV or meta-llama/"),
        (lambda c: c.server("mi300"), "did you mean mi300x-2x9554 or mi300x-2x9654"),
        (lambda c: c.gpu("H100"), "no GPU is called 'H100'; there is MI210, MI250X"),
        (lambda c: c.image("rocm/vllm:rocm6.3.1_vllm_0.8.5"), "did you mean rocm/vllm:rocm6.3.1_vllm_0.8.5_20250521"),
    ],
)
def test_an_unknown_name_brings_the_nearest(shipped: Catalog, ask: Callable[[Catalog], object], message: str) -> None:
    with pytest.raises(UnknownName) as caught:
        ask(shipped)
    assert message in str(caught.value)


@pytest.mark.parametrize(
    "name",
    [
        "rocm6.3.1_vllm_0.8.5_20250521",
        "rocm/vllm:rocm6.3.1_vllm_0.8.5_20250521",
        "docker.io/rocm/vllm:rocm6.3.1_vllm_0.8.5_20250521",
        "rocm/vllm:rocm6.3.1_vllm_0.8.5_20250521@sha256:38410c51af7208897cd8b737c9bdfc126e9bc8952d4aa6b88c85482f03092a11",
    ],
)
def test_an_image_goes_by_name_tag_and_reference(shipped: Catalog, name: str) -> None:
    assert shipped.image(name).name == "rocm6.3.1_vllm_0.8.5_20250521"


def test_a_gpu_is_found_by_any_of_its_device_ids(shipped: Catalog) -> None:
    ids = ("74a1", "0x74A1", "74b5", "74a5", "75a3", "740f", "ffff")
    found = [shipped.gpu_of_device(device) for device in ids]
    assert [gpu.name if gpu else None for gpu in found] == [
        "MI300X",
        "MI300X",
        "MI300X",
        "MI325X",
        "MI355X",
        "MI210",
        None,
    ]
    assert shipped.gpu("mi300x") is shipped.gpus["MI300X"]
