"""Training rows: their commands on one and several nodes, their times and deviations; the formula between units."""

from collections.abc import Callable
from typing import Any

import msgspec
import pytest

from console.catalog import shelf
from console.model.attempt import Validity
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
    formula_reasons,
    mfu,
    tflops_per_s,
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
    assert command.argv[:2] == ("bash", "-c")
    assert " ".join(command.argv[4:7]) == (
        "/workspace/pytorch-training-benchmark https://github.com/AMD-AIG-AIMA/pytorch-training-benchmark "
        "c295aaee3fe42aa72f5086640dfd745a5823b91d"
    )
    assert " ".join(command.argv[7:]) == (
        "torchrun --nnodes=1 --node_rank=0 --nproc_per_node=8 --master_addr=0.0.0.0 --master_port=12234 "
        "./train_fsdp.py configs/llama-3.1-8b-4k.json llama --batch_size 6 --enable_fp8 True"
    )
    assert (command.workdir, command.secrets) == ("/workspace", ())
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


def test_torchtitan_gets_the_published_settings_in_a_copy_of_its_file(
    make_cell: MakeCell, training_image: Image, gated_70b: ModelCard, one_seat: Placement
) -> None:
    titan = registry()["torchtitan"]
    cell = make_cell("torchtitan", metric=TFLOPS, reference=426.79, batch_size=4, sequence_length=8192, steps=50)
    [command] = titan.commands(cell, training_image, gated_70b, one_seat)
    assert command.argv[4:8] == (
        "meta-llama/Llama-3.1-8B",
        "d04e592bb4f6aa9cfee91e2e20afa771667e1d4b",
        "/tmp/instinct-tokenizer",
        "original/tokenizer.model",
    )
    settings = dict(pair.split("=") for pair in command.argv[8:])
    assert (settings["batch_size"], settings["seq_len"], settings["steps"]) == ("4", "8192", "50")
    assert (settings["tensor_parallel_degree"], settings["data_parallel_shard_degree"]) == ("1", "8")
    assert (settings["mode"], settings["compile"], settings["dataset"]) == ('"full"', "true", '"c4_test"')
    assert (command.workdir, command.secrets) == ("/workspace/torchtitan", ("hf_token",))
    assert titan.need(cell, training_image, gated_70b).measure_s == pytest.approx(50 * 36.96, rel=1e-3)
    assert "published by editing the image's toml" in titan.deviations(cell, training_image)[0]


def test_flux_runs_the_launchers_own_configuration_only(
    make_cell: MakeCell, training_image: Image, model_70b: ModelCard, one_seat: Placement
) -> None:
    flux = registry()["flux"]
    cell = make_cell("flux", metric="images_per_s_per_gpu", reference=4.51, batch_size=10)
    [command] = flux.commands(cell, training_image, model_70b, one_seat)
    assert command.argv[5:] == ("bghira/pseudo-camera-10k", "python", "launcher.py")
    assert command.env["HF_HOME"] == "/workspace/huggingface"
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
    assert command.argv[4:7] == (
        "examples/llama/train_llama3.sh",
        "meta-llama/Llama-3.1-8B",
        "d04e592bb4f6aa9cfee91e2e20afa771667e1d4b",
    )
    published = "TEE_OUTPUT=1 MBS=2 BS=128 TP=1 TE_FP8=1 SEQ_LENGTH=8192 MODEL_SIZE=8 TOTAL_ITERS=50"
    assert command.env == {**dict(pair.split("=") for pair in published.split()), "PYTHONUNBUFFERED": "1"}
    assert (command.part, command.workdir) == ("main", "/workspace/Megatron-LM")
    need = llama.need(cell, training_image, model_70b)
    assert need.measure_s == pytest.approx(50 * 10.88, rel=1e-3)
    assert (need.ports, need.needs_rdma) == ((), False)
    assert llama.deviations(cell, training_image) == ()


def four_seats() -> Placement:
    """Hosts as facts describe them."""
    return Placement(
        tuple(
            Seat(
                rank=n,
                host=f"node{n}",
                address=f"node{n}.lab",
                interface=f"eth{n}",
                ip=f"10.0.0.{n + 1}",
                hcas=("bnxt_re0:1", f"bnxt_re{n + 1}:1"),
                gid_index=3,
                shared="/nfs/instinct",
            )
            for n in range(4)
        )
    )


def test_megatron_on_four_nodes_has_ranks_a_master_and_its_fabric_from_facts(
    make_cell: MakeCell, training_image: Image, model_70b: ModelCard
) -> None:
    llama = registry()["megatron-llama"]
    cell = make_cell(
        "megatron-llama", metric=TFLOPS, reference=686.74, nodes=4, **{**LLAMA_8B, "global_batch_size": 512}
    )
    commands = llama.commands(cell, training_image, model_70b, four_seats())
    assert [command.part for command in commands] == ["rank0", "rank1", "rank2", "rank3"]
    assert all(command.decides for command in commands), "a rank that ends first may not stop the last, which reports"
    assert [command.env["NODE_RANK"] for command in commands] == ["0", "1", "2", "3"]
    assert {command.env["MASTER_ADDR"] for command in commands} == {"10.0.0.1"}
    assert {command.env["NNODES"] for command in commands} == {"4"}
    assert commands[2].env["NCCL_SOCKET_IFNAME"] == commands[2].env["GLOO_SOCKET_IFNAME"] == "eth2"
    assert commands[2].env["NCCL_IB_HCA"] == "bnxt_re0:1,bnxt_re3:1"
    assert {command.env["NCCL_IB_GID_INDEX"] for command in commands} == {"3"}
    assert {command.env["DATA_CACHE_PATH"] for command in commands} == {"/instinct-shared/megatron-cache"}
    assert commands[0].env["NCCL_DEBUG"] == "INFO"
    assert commands[0].env["NCCL_DEBUG_SUBSYS"] == "INIT,NET"
    need = llama.need(cell, training_image, model_70b)
    assert need.measure_s == pytest.approx(50 * 11.05, rel=1e-3)
    assert (need.ports, need.needs_rdma, need.nodes) == ((6000,), True, 4)
    assert any("ens51np0" in text for text in llama.deviations(cell, training_image))
    with pytest.raises(WorkloadError, match="asks for 4 nodes and was placed on 1"):
        llama.commands(cell, training_image, model_70b, Placement(four_seats().seats[:1]))


def test_what_is_set_for_a_run_wins_over_facts(
    make_cell: MakeCell, training_image: Image, model_70b: ModelCard
) -> None:
    llama = registry()["megatron-llama"]
    chosen = {"interface": "bond0", "hcas": "mlx5_0:1", "gid_index": 1, "master_address": "192.0.2.1", "port": 29500}
    cell = make_cell("megatron-llama", metric=TFLOPS, nodes=4, **LLAMA_8B, **chosen)
    assert llama.need(cell, training_image, model_70b).ports == (29500,)
    for command in llama.commands(cell, training_image, model_70b, four_seats()):
        assert command.env["NCCL_SOCKET_IFNAME"] == command.env["GLOO_SOCKET_IFNAME"] == "bond0"
        assert (command.env["NCCL_IB_HCA"], command.env["NCCL_IB_GID_INDEX"]) == ("mlx5_0:1", "1")
        assert (command.env["MASTER_ADDR"], command.env["MASTER_PORT"]) == ("192.0.2.1", "29500")


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
    assert command.argv[4:6] == ("examples/deepseek_v2/train_deepseekv2.sh", "deepseek-ai/DeepSeek-V2-Lite")
    assert command.secrets == (), "its model is free for all"
    published = "GEMM_TUNING=1 PR=bf16 MBS=4 GBS=256 AC=none SEQ_LEN=4096 PAD_LEN=4096 TRAIN_ITERS=50"
    assert command.env == {**dict(pair.split("=") for pair in published.split()), "PYTHONUNBUFFERED": "1"}
    need = deepseek.need(cell, training_image, model_70b)
    assert need.measure_s == pytest.approx(50 * 12.40, rel=1e-3)
    for change in ({"tensor_parallel": 2}, {"expert_parallel": 4}, {"sequence_parallel": False}, {"nodes": 2}):
        with pytest.raises(WorkloadError):
            deepseek.need(make_cell("megatron-deepseek", **{**row, **change}), training_image, model_70b)


TRAINING = ("train-fsdp", "torchtitan", "flux", "megatron-llama", "megatron-deepseek")


@pytest.mark.parametrize("name", TRAINING)
def test_every_training_program_can_be_read_and_knows_its_parameters(name: str) -> None:
    workload = registry()[name]
    assert workload.name == name
    assert workload.reader(None, "main").feed(()) == []
    with pytest.raises(msgspec.ValidationError, match="unknown field"):
        msgspec.convert({"colour": 1}, workload.params)


def test_all_24_published_rows_have_a_command_for_every_node_without_a_token_in_it() -> None:
    catalog = shelf.load()
    rows = [cell for matrix in catalog.matrices.values() for cell in matrix.cells if cell.workload in TRAINING]
    assert len(rows) == 24
    for cell in rows:
        seats = tuple(Seat(rank=n, host=f"n{n}", ip=f"10.0.0.{n}") for n in range(cell.nodes))
        image, model = catalog.image(cell.image), catalog.model(cell.model)
        commands = registry()[cell.workload].commands(cell, image, model, Placement(seats))
        assert [command.seat for command in commands] == list(range(cell.nodes)), cell.id
        for command in commands:
            assert command.argv[:2] == ("bash", "-c")
            assert not registry()[cell.workload].need(cell, image, model).model_files
            assert all("HF_TOKEN" not in name for name in command.env), cell.id
            asks = model.gated and cell.workload != "train-fsdp"  # which trains on synthetic tokens
            assert command.secrets == (("hf_token",) if asks else ()), cell.id


def test_mfu_is_a_part_of_the_published_peak_of_that_precision() -> None:
    gpu = shelf.load().gpu("MI300X")
    assert mfu(697.91, gpu, "FP8") == pytest.approx(697.91 / 2614.9)
    assert mfu(542.94, gpu, "BF16") == pytest.approx(542.94 / 1307.4)
    assert mfu(542.94, gpu, "INT1") is None


def test_tflops_and_tokens_of_one_program_must_belong_together() -> None:
    assert formula_reasons(589.33, 12786.9, LLAMA_2_7B, 4096) == []
    assert formula_reasons(711.90, 12557.27, LLAMA_3_8B, 8192) == [], "a published table of AMD's own is 2 % off"
    [reason] = formula_reasons(589.33 * 0.93, 12786.9, LLAMA_2_7B, 4096)
    assert reason.reason is Validity.RESULT_MISMATCH
    assert reason.spoils
    assert "42.86 GFLOP per token, AMD's tables 46.08" in reason.detail
    assert formula_reasons(None, 12786.9, LLAMA_2_7B, 4096) == []
    assert tflops_per_s(tokens_per_s(590.0, LLAMA_2_7B, 4096), LLAMA_2_7B, 4096) == pytest.approx(590.0)


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
