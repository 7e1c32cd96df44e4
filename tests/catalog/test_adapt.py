"""A cell under another image or with changed parameters: its id, references and deviations."""

from collections.abc import Callable, Mapping
from pathlib import Path

import pytest

from console.catalog.errors import BadChange, CatalogError, UnknownName
from console.catalog.shelf import Catalog, adapt, load
from console.model.cell import AnyCell

Write = Callable[[str, str], Path]

PUBLISHED = "rocm6.3.1_vllm_0.8.5_20250521"
NEWER = "rocm6.4.1_vllm_0.10.0_20250812"


@pytest.fixture
def cell(shipped: Catalog) -> AnyCell:
    return shipped.matrix("vllm-0.8.5-throughput").cells[0]


def test_nothing_asked_is_the_cell_itself(shipped: Catalog, cell: AnyCell) -> None:
    assert adapt(shipped, cell, None, {}) is cell
    assert adapt(shipped, cell, f"rocm/vllm:{PUBLISHED}", {}) is cell


def test_another_image_keeps_id_and_references_and_says_so(shipped: Catalog, cell: AnyCell) -> None:
    other = adapt(shipped, cell, f"rocm/vllm:{NEWER}", {})
    assert (other.id, other.image, other.params) == (cell.id, NEWER, cell.params)
    assert other.references == cell.references
    assert other.deviations == (
        f"published image rocm/vllm:{PUBLISHED}, running rocm/vllm:{NEWER}, because it was chosen for this run",
    )
    assert adapt(shipped, other, PUBLISHED, {}) == cell


def test_an_image_of_another_program_is_refused(shipped: Catalog, cell: AnyCell) -> None:
    with pytest.raises(BadChange, match=r"vllm-throughput needs a vllm image, megatron-lm-v25.4 is one of megatron-lm"):
        adapt(shipped, cell, "rocm/megatron-lm:v25.4", {})


def test_an_unknown_image_brings_the_nearest(shipped: Catalog, cell: AnyCell) -> None:
    with pytest.raises(UnknownName, match=r"did you mean rocm6\.3\.1_vllm_0.8.5_20250521"):
        adapt(shipped, cell, "rocm6.3.1_vllm_0.8.5_20250520", {})


@pytest.mark.parametrize(
    ("changes", "suffix"),
    [
        ({"max_num_seqs": "512"}, "+max_num_seqs=512"),
        ({"num_prompts": "64", "max_num_seqs": "64"}, "+max_num_seqs=64+num_prompts=64"),
        ({"num_scheduler_steps": "none"}, "+num_scheduler_steps=none"),
        ({"enforce_eager": "yes"}, "+enforce_eager=true"),
        ({"gpu_memory_utilization": "0.85"}, "+gpu_memory_utilization=0.85"),
        ({"kv_cache_dtype": "auto"}, "+kv_cache_dtype=auto"),
        ({"extra_args": "--seed 3"}, "+extra_args=--seed_3~dd97"),
        ({"extra_args": "--seed  '4 5'"}, "+extra_args=--seed_4_5_~9bb8"),
        ({"extra_env": "A=1 B=2"}, "+extra_env=A_1_B_2~4a84"),
    ],
)
def test_a_change_of_what_is_measured_changes_the_id_and_drops_the_references(
    shipped: Catalog, cell: AnyCell, changes: Mapping[str, str], suffix: str
) -> None:
    other = adapt(shipped, cell, None, changes)
    assert other.id.startswith(cell.id)
    assert other.id.removeprefix(cell.id).split("~")[0] == suffix.split("~")[0]
    assert ("~" in other.id) == ("~" in suffix)
    assert other.references == ()
    assert len(other.deviations) == len(changes)


def test_values_that_look_alike_in_an_id_stay_apart(shipped: Catalog, cell: AnyCell) -> None:
    ids = {adapt(shipped, cell, None, {"extra_args": text}).id for text in ("--a b", "--a_b", "--a=b", "--a 'b '")}
    assert len(ids) == 4


def test_values_are_typed_by_the_workload(shipped: Catalog, cell: AnyCell) -> None:
    changes = {"extra_args": "--seed '4 5'", "extra_env": "A=1 B=x=y", "max_model_len": "none", "enforce_eager": "off"}
    params = adapt(shipped, cell, None, changes).params
    assert params.extra_args == ("--seed", "4 5")
    assert params.extra_env == {"A": "1", "B": "x=y"}
    assert params.max_model_len is None
    assert params.enforce_eager is False


def test_a_deviation_says_published_running_and_why(shipped: Catalog, cell: AnyCell) -> None:
    assert adapt(shipped, cell, None, {"max_num_seqs": "512"}).deviations == (
        "published max_num_seqs 3200, running 512, because it was set for this run",
    )


def test_changes_add_up_and_can_be_taken_back(shipped: Catalog, cell: AnyCell) -> None:
    first = adapt(shipped, cell, NEWER, {"max_num_seqs": "512"})
    second = adapt(shipped, first, None, {"num_prompts": "64"})
    assert second.id == f"{cell.id}+max_num_seqs=512+num_prompts=64"
    assert len(second.deviations) == 3
    back = adapt(shipped, second, PUBLISHED, {"max_num_seqs": "3200", "num_prompts": "3200"})
    assert back == cell


def test_setting_what_is_already_so_changes_nothing(shipped: Catalog, cell: AnyCell) -> None:
    assert adapt(shipped, cell, None, {"max_num_seqs": "3200"}) == cell


def test_how_long_is_measured_is_no_part_of_the_identity(shipped: Catalog) -> None:
    cell = shipped.matrix("vllm-0.8.5-latency").cells[0]
    shorter = adapt(shipped, cell, None, {"iterations": "2", "warmup_iterations": "1"})
    assert shorter.id == cell.id
    assert shorter.references == cell.references
    assert shorter.params.iterations == 2
    assert len(shorter.deviations) == 2


def test_what_the_matrix_deviates_in_stays(shipped: Catalog) -> None:
    cell = shipped.matrix("vllm-0.8.5-latency").cells[-1]
    assert cell.deviations[0].startswith("published model amd/Llama-3.1-70B")
    changed = adapt(shipped, cell, NEWER, {"batch_size": "3"})
    assert changed.deviations[0] == cell.deviations[0]
    assert len(changed.deviations) == 3


def test_fewer_gpus_follow_the_tensor_parallel_size(shipped: Catalog, cell: AnyCell) -> None:
    assert adapt(shipped, cell, None, {"tensor_parallel": "4"}).gpus_per_node == 4
    megatron = shipped.matrix("megatron-25.5-llama").cells[0]
    assert adapt(shipped, megatron, None, {"tensor_parallel": "2"}).gpus_per_node == 8


@pytest.mark.parametrize(
    ("key", "value", "message"),
    [
        ("max_num_seq", "1", "no parameter of vllm-throughput is called 'max_num_seq'; did you mean max_num_seqs?"),
        ("max_num_seqs", "many", "max_num_seqs=many: it takes a whole number"),
        ("max_model_len", "8k", "max_model_len=8k: it takes a whole number"),
        ("max_num_seqs", "-5", "max_num_seqs=-5: it cannot be negative"),
        ("gpu_memory_utilization", "most", "gpu_memory_utilization=most: it takes a number"),
        ("enforce_eager", "maybe", "enforce_eager=maybe: it takes true or false"),
    ],
)
def test_a_wrong_change_is_named(shipped: Catalog, cell: AnyCell, key: str, value: str, message: str) -> None:
    with pytest.raises(CatalogError) as caught:
        adapt(shipped, cell, None, {key: value})
    assert str(caught.value) == message


def test_a_choice_names_its_values(shipped: Catalog) -> None:
    cell = shipped.matrix("megatron-25.5-deepseek").cells[0]
    with pytest.raises(BadChange, match="recompute=ful: it takes none, sel, full; did you mean full"):
        adapt(shipped, cell, None, {"recompute": "ful"})


def test_own_references_of_a_changed_cell_are_found_again(write: Write, shipped: Catalog, cell: AnyCell) -> None:
    text = f"""\
set = "own"
source = "ours"
[[table]]
matrix = "vllm-0.8.5-throughput"
unit = "tok/s"
under = {{ gpu = "MI300X" }}
columns = [{{ image = "{PUBLISHED}", dated = "2026-01-31" }}]
[table.figures]
"{cell.id}+max_num_seqs=512" = ["9999.9"]
"""
    catalog = load([write("references/ours.toml", text)])
    base = catalog.matrix(cell.matrix).cells[0]
    assert base.references == cell.references
    changed = adapt(catalog, base, None, {"max_num_seqs": "512"})
    assert [item.printed for item in changed.references] == ["9999.9"]
