"""What a person would type for every training row: the published commands, ready to paste."""

import re
import shlex
import subprocess
import tomllib
from pathlib import Path

import pytest

from console.catalog import shelf
from console.catalog.shelf import Catalog
from console.model.cell import AnyCell
from console.model.launch import Command, Placement, Seat
from console.workloads.base import registry
from console.workloads.by_hand import typed


@pytest.fixture(scope="module")
def catalog() -> Catalog:
    return shelf.load()


def commands(catalog: Catalog, cell: AnyCell) -> tuple[Command, ...]:
    seats = tuple(Seat(rank=n, host=f"n{n}", ip=f"10.0.0.{n + 1}", interface="eth2") for n in range(cell.nodes))
    image, model = catalog.image(cell.image), catalog.model(cell.model)
    return tuple(registry()[cell.workload].commands(cell, image, model, Placement(seats)))


def by_hand(catalog: Catalog, matrix: str, cell_id: str, rank: int = 0) -> list[str]:
    [cell] = [cell for cell in catalog.matrix(matrix).cells if cell.id == cell_id]
    command = commands(catalog, cell)[rank]
    text = typed(command.argv, command.env, command.workdir)
    assert text is not None
    return text.splitlines()


def test_every_training_row_has_lines_a_shell_can_read(catalog: Catalog) -> None:
    shown = 0
    for matrix in catalog.matrices.values():
        for cell in matrix.cells:
            if cell.workload.startswith("vllm"):
                assert all(typed(one.argv, one.env, one.workdir) is None for one in commands(catalog, cell))
                continue
            for command in commands(catalog, cell):
                text = typed(command.argv, command.env, command.workdir)
                assert text is not None, cell.id
                subprocess.run(["bash", "-n", "-c", text], check=True)
                assert "hf_" not in text
                shown += 1
    assert shown == 46


def test_megatron_is_the_guides_line_on_every_node(catalog: Catalog) -> None:
    folder, note, line = by_hand(catalog, "megatron-25.5-llama", "llama-3.1-8b-fp8-2n-mbs2-gbs256-s8192", rank=1)
    assert folder == "cd /workspace/Megatron-LM"
    assert note == "# the script downloads the tokenizer of meta-llama/Llama-3.1-8B: export HF_TOKEN before"
    assert line == (
        "BS=256 GLOO_SOCKET_IFNAME=eth2 MASTER_ADDR=10.0.0.1 MASTER_PORT=6000 MBS=2 MODEL_SIZE=8 NCCL_DEBUG=INFO "
        "NCCL_DEBUG_SUBSYS=INIT,NET NCCL_SOCKET_IFNAME=eth2 NNODES=2 NODE_RANK=1 PYTHONUNBUFFERED=1 SEQ_LENGTH=8192 "
        "TEE_OUTPUT=1 TE_FP8=1 TOTAL_ITERS=50 TP=1 bash examples/llama/train_llama3.sh"
    )


def test_train_fsdp_is_the_readmes_line(catalog: Catalog) -> None:
    clone, folder, line = by_hand(catalog, "pytorch-25.5-mi300x", "llama-3.1-8b-fp8-b3-s8192")
    assert "checkout c295aaee3fe42aa72f5086640dfd745a5823b91d" in clone
    assert folder == "cd /workspace/pytorch-training-benchmark"
    assert line.endswith(
        "torchrun --nnodes=1 --node_rank=0 --nproc_per_node=8 --master_addr=0.0.0.0 --master_port=12234 "
        "./train_fsdp.py configs/llama-3.1-8b-8k.json llama --batch_size 3 --enable_fp8 True"
    )


def test_torchtitan_and_flux_are_their_guides_steps(catalog: Catalog) -> None:
    titan = by_hand(catalog, "pytorch-25.5-mi300x", "llama-3.1-70b-bf16-b4-s8192")
    assert titan[:2] == ["cd /workspace/torchtitan", "pip install -r requirements.txt"]
    _, _, program = shlex.split(titan[2], comments=True)
    compile(program, "by hand", "exec")
    assert 'snapshot_download("meta-llama/Llama-3.1-8B", revision="d04e592bb4f6' in program
    assert titan[-1].endswith("bash run_llama_train.sh")
    flux = by_hand(catalog, "pytorch-25.5-mi300x", "flux-bf16-b10")
    assert flux[-2:] == ["make download_assets  # export HF_TOKEN before", "python launcher.py"]


def test_torchtitans_settings_are_edited_as_the_set_up_edits_them(catalog: Catalog, tmp_path: Path) -> None:
    [line] = [text for text in by_hand(catalog, "pytorch-25.5-mi300x", "llama-3.1-70b-bf16-b4-s8192") if "sed " in text]
    keys = re.findall(r"s\|\^(\w+) \*=", line)
    assert keys[:3] == ["batch_size", "seq_len", "steps"]
    (tmp_path / "train_configs").mkdir()
    (tmp_path / "train_configs" / "llama3_70b.toml").write_text(
        "[all]\n" + "".join(f'{key} = "as it was"\n' for key in keys)
    )
    edit, copy = line.split(" > ")
    made = subprocess.run(["bash", "-c", edit], cwd=tmp_path, capture_output=True, check=True).stdout.decode()
    settings = tomllib.loads(made)["all"]
    assert (settings["batch_size"], settings["seq_len"], settings["steps"], settings["compile"]) == (4, 8192, 50, True)
    assert settings["tokenizer_path"].endswith("/tokenizer.model")
    assert "as it was" not in made
    assert f"CONFIG_FILE={copy} " in by_hand(catalog, "pytorch-25.5-mi300x", "llama-3.1-70b-bf16-b4-s8192")[-1]
