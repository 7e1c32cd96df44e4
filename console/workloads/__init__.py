"""One module per benchmark program. Importing this package registers all of them (`base.registry`)."""

from console.workloads import command, flux, megatron, torchtitan, train_fsdp, vllm_offline, vllm_serve

__all__ = ["command", "flux", "megatron", "torchtitan", "train_fsdp", "vllm_offline", "vllm_serve"]
