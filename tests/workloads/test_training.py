"""Training rows: their commands, time and deviations are planned; running them is refused."""

from collections.abc import Callable
from typing import Any

import msgspec
import pytest

from console.model.launch import Placement, Seat
from console.model.profile import Image, ModelCard
from console.workloads.base import WorkloadError, registry
from console.workloads.flops import (
    LLAMA_2_7B,
    LLAMA_3_8B,
    LLAMA_3_70B,
    MISTRAL_7B,
    Shape,
    flop_per_token,
    tokens_per_s,
)

MakeCell = Callable[..., Any]
TFLOPS = "tflops_per_s_per_gpu"
LLAMA_8B = {
    "script": "train_llama3.sh",
    "model_size": 8,
    "micro_batch_size": 2,
    "global_batch_size": 128,
    "sequence_length": 8192,
    "fp8": True,
}


@pytest.mark.parametrize(
    ("shape", "length", "gflop"),
    [
        (LLAMA_3_8B, 8192, 57.913),
        (LLAMA_3_8B, 4096, 51.470),
        (LLAMA_3_70B, 8192, 481.435),
        (MISTRAL_7B, 8192, 44.273),
        (LLAMA_2_7B, 4096, 46.085),
    ],
)
def test_operations_per_token_agree_with_amds_programs(shape: Shape, length: int, gflop: float) -> None:
    assert flop_per_token(shape, length) / 1e9 == pytest.approx(gflop, rel=1e-5)


def test_tokens_per_second_agree_with_a_real_megatron_log() -> None:
    assert tokens_per_s(590.2, LLAMA_2_7B, 4096) == pytest.approx(256 * 4096 / 10.2358 / 8, rel=1e-3)


def test_train_fsdp_runs_torchrun_in_its_checkout(
    make_cell: MakeCell, training_image: Image, model_70b: ModelCard, one_seat: Placement
) -> None:
    fsdp = registry()["train-fsdp"]
    row = {"architecture": "llama", "config": "configs/llama-3.1-8b-4k.json", "batch_size": 6, "sequence_length": 4096}
    cell = make_cell("train-fsdp", metric=TFLOPS, reference=735.44, **row, fp8=True)
    [command] = fsdp.commands(cell, training_image, model_70b, one_seat)
    assert " ".join(command.argv) == (
        "torchrun --nnodes=1 --node_rank=0 --nproc_per_node=8 --master_addr=0.0.0.0 --master_port=12234 "
        "./train_fsdp.py configs/llama-3.1-8b-4k.json llama --batch_size 6 --enable_fp8 True"
    )
    assert command.workdir == "/workspace/pytorch-training-benchmark"
    assert command.env["ROCBLAS_USE_HIPBLASLT"] == "1"
    need = fsdp.need(cell, training_image, model_70b)
    assert need.measure_s == pytest.approx(128 * 1.720, rel=1e-3)
    bf16 = make_cell("train-fsdp", metric=TFLOPS, **row, steps=64)
    [command] = fsdp.commands(bf16, training_image, model_70b, one_seat)
    assert command.argv[-4:] == ("--batch_size", "6", "--num_iteration", "64")
    assert "v25.2" in fsdp.deviations(cell, training_image)[0]
    assert fsdp.deviations(bf16, training_image) == ()


def test_mistral_counts_its_attention_window(make_cell: MakeCell, training_image: Image, model_70b: ModelCard) -> None:
    row = {"architecture": "mistral", "config": "configs/mistral-7b-v0.1.json", "batch_size": 3}
    cell = make_cell("train-fsdp", metric=TFLOPS, reference=483.17, **row, sequence_length=8192)
    need = registry()["train-fsdp"].need(cell, training_image, model_70b)
    assert need.measure_s == pytest.approx(128 * 2.252, rel=1e-3)


def test_torchtitan_gets_the_published_settings_as_overrides(
    make_cell: MakeCell, training_image: Image, model_70b: ModelCard, one_seat: Placement
) -> None:
    titan = registry()["torchtitan"]
    cell = make_cell("torchtitan", metric=TFLOPS, reference=426.79, batch_size=4, sequence_length=8192, steps=50)
    [command] = titan.commands(cell, training_image, model_70b, one_seat)
    assert command.argv[:4] == (
        "bash",
        "-c",
        'pip install -r requirements.txt && exec bash run_llama_train.sh "$@"',
        "run_llama_train.sh",
    )
    assert " ".join(command.argv[4:]).startswith("--training.batch_size 4 --training.seq_len 8192 --training.steps 50")
    assert (command.workdir, command.secrets) == ("/workspace/torchtitan", ("hf_token",))
    assert titan.need(cell, training_image, model_70b).measure_s == pytest.approx(50 * 36.96, rel=1e-3)
    assert "overrides" in titan.deviations(cell, training_image)[0]


def test_flux_runs_the_launchers_own_configuration_only(
    make_cell: MakeCell, training_image: Image, model_70b: ModelCard, one_seat: Placement
) -> None:
    flux = registry()["flux"]
    cell = make_cell("flux", metric="images_per_s_per_gpu", reference=4.51, batch_size=10)
    [command] = flux.commands(cell, training_image, model_70b, one_seat)
    assert command.argv[-1].endswith("exec python launcher.py")
    assert command.workdir == "/workspace/FluxBenchmark"
    assert flux.need(cell, training_image, model_70b).measure_s == pytest.approx(100 * (10 + 1) / 4.51)
    with pytest.raises(WorkloadError, match="batch 1 and 10"):
        flux.commands(make_cell("flux", batch_size=4), training_image, model_70b, one_seat)


def test_megatron_on_one_node_is_the_published_line(
    make_cell: MakeCell, training_image: Image, model_70b: ModelCard, one_seat: Placement
) -> None:
    llama = registry()["megatron-llama"]
    cell = make_cell("megatron-llama", metric=TFLOPS, reference=697.91, **LLAMA_8B)
    [command] = llama.commands(cell, training_image, model_70b, one_seat)
    assert command.argv == ("bash", "examples/llama/train_llama3.sh")
    published = "TEE_OUTPUT=1 MBS=2 BS=128 TP=1 TE_FP8=1 SEQ_LENGTH=8192 MODEL_SIZE=8 TOTAL_ITERS=50"
    assert command.env == {**dict(pair.split("=") for pair in published.split()), "PYTHONUNBUFFERED": "1"}
    assert (command.part, command.workdir) == ("main", "/workspace/Megatron-LM")
    need = llama.need(cell, training_image, model_70b)
    assert need.measure_s == pytest.approx(50 * 10.88, rel=1e-3)
    assert (need.ports, need.needs_rdma) == ((), False)
    assert llama.deviations(cell, training_image) == ()


def test_megatron_on_four_nodes_has_ranks_a_master_and_a_last_node_that_decides(
    make_cell: MakeCell, training_image: Image, model_70b: ModelCard
) -> None:
    llama = registry()["megatron-llama"]
    cell = make_cell(
        "megatron-llama", metric=TFLOPS, reference=686.74, nodes=4, **{**LLAMA_8B, "global_batch_size": 512}
    )
    seats = tuple(Seat(rank=n, host=f"node{n}", address=f"10.0.0.{n}", interface=f"eth{n}") for n in range(4))
    commands = llama.commands(cell, training_image, model_70b, Placement(seats))
    assert [command.part for command in commands] == ["rank0", "rank1", "rank2", "rank3"]
    assert [command.decides for command in commands] == [False, False, False, True]
    assert [command.env["NODE_RANK"] for command in commands] == ["0", "1", "2", "3"]
    assert {command.env["MASTER_ADDR"] for command in commands} == {"10.0.0.0"}
    assert {command.env["NNODES"] for command in commands} == {"4"}
    assert commands[2].env["NCCL_SOCKET_IFNAME"] == commands[2].env["GLOO_SOCKET_IFNAME"] == "eth2"
    need = llama.need(cell, training_image, model_70b)
    assert need.measure_s == pytest.approx(50 * 11.05, rel=1e-3)
    assert (need.ports, need.needs_rdma, need.nodes) == ((6000,), True, 4)
    assert "ens51np0" in llama.deviations(cell, training_image)[0]
    with pytest.raises(WorkloadError, match="asks for 4 nodes and was placed on 1"):
        llama.commands(cell, training_image, model_70b, Placement(seats[:1]))


def test_seats_without_an_address_are_reached_by_name(
    make_cell: MakeCell, training_image: Image, model_70b: ModelCard
) -> None:
    cell = make_cell("megatron-llama", metric=TFLOPS, nodes=2, **{**LLAMA_8B, "pipeline_parallel": 2})
    seats = Placement((Seat(rank=0, host="a"), Seat(rank=1, host="b")))
    commands = registry()["megatron-llama"].commands(cell, training_image, model_70b, seats)
    assert commands[1].env["MASTER_ADDR"] == "a"
    assert commands[1].env["PP"] == "2"
    assert "NCCL_SOCKET_IFNAME" not in commands[1].env


def test_deepseek_is_the_published_line(
    make_cell: MakeCell, training_image: Image, model_70b: ModelCard, one_seat: Placement
) -> None:
    deepseek = registry()["megatron-deepseek"]
    row = {"micro_batch_size": 4, "global_batch_size": 256, "sequence_length": 4096}
    cell = make_cell("megatron-deepseek", metric="tokens_per_s_per_gpu", reference=10570, precision="BF16", **row)
    [command] = deepseek.commands(cell, training_image, model_70b, one_seat)
    assert command.argv == ("bash", "examples/deepseek_v2/train_deepseekv2.sh")
    published = "GEMM_TUNING=1 PR=bf16 MBS=4 GBS=256 AC=none SEQ_LEN=4096 PAD_LEN=4096 TRAIN_ITERS=50"
    assert command.env == {**dict(pair.split("=") for pair in published.split()), "PYTHONUNBUFFERED": "1"}
    need = deepseek.need(cell, training_image, model_70b)
    assert need.measure_s == pytest.approx(50 * 12.40, rel=1e-3)
    for change in ({"tensor_parallel": 2}, {"expert_parallel": 4}, {"sequence_parallel": False}, {"nodes": 2}):
        with pytest.raises(WorkloadError):
            deepseek.need(make_cell("megatron-deepseek", **{**row, **change}), training_image, model_70b)


@pytest.mark.parametrize("name", ["train-fsdp", "torchtitan", "flux", "megatron-llama", "megatron-deepseek"])
def test_training_rows_are_listed_and_not_run(name: str) -> None:
    workload = registry()[name]
    assert workload.name == name
    assert not workload.runnable
    with pytest.raises(WorkloadError, match=r"not supported by this version.*instinct plan"):
        workload.reader(None, "main")
    with pytest.raises(msgspec.ValidationError, match="unknown field"):
        msgspec.convert({"colour": 1}, workload.params)


@pytest.mark.parametrize("name", ["train-fsdp", "torchtitan", "flux"])
def test_one_node_programs_refuse_more(
    name: str, make_cell: MakeCell, training_image: Image, model_70b: ModelCard
) -> None:
    params: dict[str, dict[str, object]] = {
        "train-fsdp": {"architecture": "llama", "config": "c", "batch_size": 1, "sequence_length": 1},
        "torchtitan": {"batch_size": 1, "sequence_length": 1},
        "flux": {"batch_size": 10},
    }
    with pytest.raises(WorkloadError, match="runs on one node"):
        registry()[name].need(make_cell(name, nodes=2, **params[name]), training_image, model_70b)
