"""The whole create request of every published cell on its reference server, and where each line of it comes from.

`UPDATE_GOLDEN=1 pytest tests/runs/test_create_bodies.py` writes the golden file anew; read the difference.
"""

import json
import os
import re
from pathlib import Path
from typing import Any

import pytest

import console.workloads  # noqa: F401 - fills the registry
from console.catalog import shelf
from console.fleet.engine.body import create_body
from console.fleet.host import Host
from console.model.cell import AnyCell
from console.model.facts import Driver, Gpu, HostFacts, Known
from console.model.launch import LABEL_LAUNCH, Launch, Placement
from console.runs.compose import Owner, compose
from console.runs.placement import seat_of
from console.runs.plan import full_digest
from console.workloads.base import registry

GOLDEN = Path(__file__).parent / "golden" / "create_bodies.json"
RENDER_GID = 109

README = "ROCm/vllm docs/dev-docker/README.md at 7bb0618b: docker run and benchmark commands"
TRAINING = "ROCm docs and pytorch-training-benchmark v25.2: docker run of the training images"
MEGATRON = "ROCm docs megatron-lm-v25.5: docker run and example commands"
OWN = "ours: what makes a run survive its console and its figure traceable"

HOST_CONFIG = {
    "Init": OWN,
    "AutoRemove": OWN,
    "RestartPolicy": OWN,
    "LogConfig": OWN,
    "Privileged": README,
    "Devices": "madengine container_runner.py: /dev/kfd and one render node per GPU",
    "GroupAdd": "group ids of the host's device files; by name fails when the image lacks the group",
    "Binds": README + "; read-only, since measured runs are offline",
    "CapAdd": README,
    "SecurityOpt": README,
    "NetworkMode": README,
    "IpcMode": README,
    "ShmSize": TRAINING,
    "Ulimits": "RCCL needs locked memory: AMD system acceptance, memlock unlimited",
    "Tmpfs": OWN + "; secrets touch no disk",
}
"""Source of every key of HostConfig that may stand in a body."""

ENVIRONMENT = {
    r"HF_HUB_OFFLINE|TRANSFORMERS_OFFLINE|HF_HUB_CACHE|PYTHONUNBUFFERED": OWN + "; offline on a read-only cache",
    r"VLLM_USE_TRITON_FLASH_ATTN": README,
    r"ROCBLAS_USE_HIPBLASLT|DISABLE_ADDMM_CUDA_LT|HIP_FORCE_DEV_KERNARG|TORCH_NCCL_HIGH_PRIORITY|GPU_MAX_HW_QUEUES"
    r"|WANDB_DISABLED|HF_HOME": "MAD pytorch_train report script",
    r"NGPU|CONFIG_FILE|LOG_RANK": "torchtitan run_llama_train.sh",
    r"TEE_OUTPUT|MBS|BS|TP|TE_FP8|SEQ_LENGTH|MODEL_SIZE|TOTAL_ITERS": MEGATRON,
    r"GEMM_TUNING|PR|AC|SEQ_LEN|PAD_LEN|TRAIN_ITERS|GBS": MEGATRON,
    r"MASTER_ADDR|MASTER_PORT|NNODES|NODE_RANK": MEGATRON + ", several nodes",
    r"NCCL_DEBUG|NCCL_DEBUG_SUBSYS": OWN + "; a fallback to sockets shows in RCCL's own lines only",
    r"NCCL_SOCKET_IFNAME|GLOO_SOCKET_IFNAME|NCCL_IB_HCA|NCCL_IB_GID_INDEX": MEGATRON + ", several nodes",
}
"""Source of every environment variable, by pattern."""

FLAGS = {
    r"--(distributed-executor-backend|quantization|kv-cache-dtype|dtype|gpu-memory-utilization)": README,
    r"--(trust-remote-code|num-scheduler-steps|model|max-model-len|max-num-batched-tokens)": README,
    r"--(max-seq-len-to-capture|input-len|output-len)": README,
    r"--(tensor-parallel-size|num-prompts|max-num-seqs|output-json|batch-size|num-iters-warmup|num-iters)": README,
    r"--no-enable-chunked-prefill": "image's own parser: the published `--enable-chunked-prefill False` is refused",
    r"--(nnodes|node_rank|nproc_per_node|master_addr|master_port|batch_size|enable_fp8|num_iteration)(=.*)?": TRAINING,
    r"--(training|activation_checkpoint|metrics|model|float8|profiling)\..*": "torchtitan options",
}
"""Source of every flag of an argv, by pattern."""


def host_facts(gpus: int) -> HostFacts:
    """A reference server as far as a seat looks at it."""
    found = tuple(
        Gpu(
            bdf=f"0000:{0x05 + index * 0x20:02x}:00.0",
            device_id="74a1",
            render_node=Known(f"/dev/dri/renderD{128 + index}", "sysfs"),
            render_gid=Known(RENDER_GID, "stat"),
            vram_used_bytes=Known(283 << 20, "sysfs"),
        )
        for index in range(gpus)
    )
    return HostFacts(
        host="ref",
        read_at_ns=0,
        driver=Driver(kfd_present=Known(True, "stat"), kfd_gid=Known(RENDER_GID, "stat")),
        gpus=Known(found, "sysfs"),
        infiniband=Known(tuple(f"rdma{index}" for index in range(8)), "sysfs"),
    )


def launch_of(catalog: shelf.Catalog, cell: AnyCell) -> Launch:
    """The launch of a cell on as many reference servers as it needs."""
    image, model = catalog.image(cell.image), catalog.model(cell.model)
    workload = registry()[cell.workload]
    need = workload.need(cell, image, model)
    seats = tuple(
        seat_of(
            rank,
            Host(name=f"ref{rank}", address=f"10.0.0.{rank + 1}", model_cache="/data/huggingface"),
            host_facts(need.gpus),
            need,
            model,
        )
        for rank in range(need.nodes)
    )
    placement = Placement(seats)
    owner = Owner(run="run", attempt="attempt", attempt_try=1, operator="operator", version="version")
    return compose(
        cell,
        image,
        need,
        workload.commands(cell, image, model, placement),
        placement,
        owner,
        image_ref=image.ref,
        image_digest=full_digest(image),
    )


def bodies(catalog: shelf.Catalog) -> dict[str, Any]:
    """Every create body by matrix, cell and part. The entry script and the launch hash stand for themselves."""
    found: dict[str, Any] = {}
    for name in sorted(catalog.matrices):
        for cell in catalog.matrices[name].cells:
            for part in launch_of(catalog, cell).parts:
                body = json.loads(json.dumps(create_body(part)))
                body["Entrypoint"][2] = "ENTRY"
                body["Labels"][LABEL_LAUNCH] = "HASH"
                found[f"{name}/{cell.id}/{part.name}"] = body
    return found


@pytest.fixture(scope="module")
def composed() -> dict[str, Any]:
    """All bodies of the shipped catalog."""
    return bodies(shelf.load())


def test_every_published_cell_has_its_create_request(composed: dict[str, Any]) -> None:
    cells = {name.rsplit("/", 1)[0] for name in composed}
    assert len(cells) == 64
    if os.environ.get("UPDATE_GOLDEN") == "1":
        GOLDEN.parent.mkdir(exist_ok=True)
        GOLDEN.write_text(json.dumps(composed, indent=1, sort_keys=True) + "\n")
    golden = json.loads(GOLDEN.read_text())
    assert sorted(composed) == sorted(golden)
    for name, body in composed.items():
        assert body == golden[name], name


def test_every_line_of_a_request_has_a_source(composed: dict[str, Any]) -> None:
    for name, body in composed.items():
        assert set(body["HostConfig"]) <= set(HOST_CONFIG), name
        for pair in body["Env"]:
            variable = pair.partition("=")[0]
            assert any(re.fullmatch(pattern, variable) for pattern in ENVIRONMENT), f"{name}: {variable}"
        for word in body["Cmd"]:
            if word.startswith("--"):
                assert any(re.fullmatch(pattern, word) for pattern in FLAGS), f"{name}: {word}"


def test_no_request_leaks_or_leaves_anything_to_chance(composed: dict[str, Any]) -> None:
    for name, body in composed.items():
        assert body["Tty"] is False, name
        assert body["HostConfig"]["AutoRemove"] is False, name
        assert not any(pair.startswith(("HF_TOKEN=", "HUGGING")) for pair in body["Env"]), name
        assert body["HostConfig"]["GroupAdd"] == [str(RENDER_GID)], name
        assert [item["PathOnHost"] for item in body["HostConfig"]["Devices"]][:2] == ["/dev/kfd", "/dev/dri/renderD128"]
        assert all(bind.endswith(":ro") for bind in body["HostConfig"]["Binds"]), name
