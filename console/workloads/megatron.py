"""Megatron-LM's example scripts: Llama on one or several nodes, DeepSeek-V2-Lite on one."""

from typing import Literal

import msgspec


class MegatronLlamaParams(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Rows of `megatron-llama`. `model_size` is in billions; `global_batch_size` counts all nodes."""

    script: Literal["train_llama2.sh", "train_llama3.sh"]
    model_size: int
    micro_batch_size: int
    global_batch_size: int
    sequence_length: int
    fp8: bool = False
    tensor_parallel: int = 1
    pipeline_parallel: int = 1
    context_parallel: int = 1
    iterations: int = 50


class MegatronDeepseekParams(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Rows of `megatron-deepseek`. The script fixes TP, PP and CP at 1, EP at 8 and sequence parallelism on."""

    micro_batch_size: int
    global_batch_size: int
    sequence_length: int
    expert_parallel: int = 8
    sequence_parallel: bool = True
    recompute: Literal["none", "sel", "full"] = "none"
    iterations: int = 50
    gemm_tuning: bool = True
    tensor_parallel: int = 1
    pipeline_parallel: int = 1
    context_parallel: int = 1
