"""From `import vllm` to a ready engine: lines, bars and pauses of both engine generations, and how it fails there."""

import argparse
import os
from collections.abc import Iterator
from dataclasses import dataclass

from console.lab import bars, hub, rates
from console.lab.acts import Act, Exit, Surroundings, Wait, err, now, out, raw_err
from console.lab.specs import GIB

MAX_POSITIONS = 131072


@dataclass(frozen=True)
class Ready:
    """An engine that came up. `kv` is its cache in tokens; `name` the row of the lab's speed table."""

    model: rates.Model
    engine: str
    v1: bool
    gpus: int
    kv: int
    max_len: int
    max_seqs: int
    around: Surroundings

    @property
    def stat_every_s(self) -> float | None:
        """Simulated seconds between stat lines of an offline run; V1 printed none before 0.11."""
        if not self.v1:
            return 5.0
        return 10.0 if (self.around.vllm or ()) >= (0, 11) else None


def info(place: str, text: str, *, who: str = "", level: str = "INFO") -> Act:
    """A line of vLLM's logger."""
    return out(f"{who}{level} {now()} [{place}] {text}")


def uses_v1(version: tuple[int, ...], env: dict[str, str] | os._Environ[str], args: argparse.Namespace) -> bool:
    """V1 is the default from 0.9.1 on; multi-step scheduling and VLLM_USE_V1=0 lead back to V0 while it exists."""
    if version >= (0, 11):
        return True
    if env.get("VLLM_USE_V1") == "0" or (getattr(args, "num_scheduler_steps", None) or 1) > 1:
        return False
    return version >= (0, 9, 1) or env.get("VLLM_USE_V1") == "1"


def imported(around: Surroundings) -> Iterator[Act]:
    """Python starts and imports vLLM."""
    yield Wait(9.0)
    if around.fault == "dies-at-once":
        yield err("Traceback (most recent call last):")
        yield err('  File "/usr/local/lib/python3.12/dist-packages/vllm/__init__.py", line 3, in <module>')
        yield err("ImportError: libamdhip64.so.6: cannot open shared object file: No such file or directory")
        yield Exit(1)
    yield info("__init__.py:239", "Automatically detected platform rocm.")
    yield Wait(4.0)


def started(around: Surroundings, args: argparse.Namespace, model_name: str) -> Iterator[Act | Ready]:
    """Everything up to `init engine`; ends with the Ready record, or with an Exit when it failed."""
    model = rates.model_of(model_name)
    version = around.vllm or (0, 8, 5)
    steps = getattr(args, "num_scheduler_steps", None) or 1
    if around.env.get("VLLM_USE_V1") == "1" and steps > 1 and version < (0, 10, 2):
        yield err("NotImplementedError: VLLM_USE_V1=1 is not supported with --num-scheduler-steps.")
        yield Exit(1)
    v1 = uses_v1(version, dict(around.env), args)
    yield from hub.present(around, model_name)
    yield from _config(around, args, model, v1, steps)
    tp = args.tensor_parallel_size or 1
    yield from _devices(around, tp)
    core = f"(EngineCore_DP0 pid={300 + tp}) " if v1 and version >= (0, 10) else ""
    yield info("core.py:58" if v1 else "llm_engine.py:243", _initializing(args, model_name, version, v1), who=core)
    yield Wait(8.0)
    backend = "Using Triton Attention backend on V1 engine." if v1 else "Using ROCmFlashAttention backend."
    for rank in range(tp):
        yield info("rocm.py:226", backend, who=_worker(rank, v1, version))
    for rank in range(tp):
        yield info("utils.py:1055", "Found nccl from library librccl.so.1", who=_worker(rank, v1, version))
        yield info("pynccl.py:69", "vLLM is using nccl==2.21.5", who=_worker(rank, v1, version))
    yield Wait(5.0)
    yield from _weights(around, model, tp, v1, version)
    kv = rates.kv_tokens(model, around.kind.gpu, tp, args.gpu_memory_utilization or 0.9)
    max_len = args.max_model_len or MAX_POSITIONS
    yield from _memory(around, args, model, tp, kv, max_len, v1, core)
    max_seqs = args.max_num_seqs or (1024 if v1 else 256)
    yield from _graphs(args, max_seqs, tp, v1, version, core)
    if around.fault == "hang":
        yield Wait(float("inf"))
    yield Ready(model, rates.engine_of(version, v1), v1, tp, kv, max_len, max_seqs, around)


def _worker(rank: int, v1: bool, version: tuple[int, ...]) -> str:
    if not v1:
        return "" if rank == 0 else f"\x1b[1;36m(VllmWorkerProcess pid={620 + rank})\x1b[0;0m "
    if version >= (0, 10):
        return f"(Worker_TP{rank} pid={620 + rank}) "
    return f"(VllmWorker rank={rank} pid={620 + rank}) "


def _initializing(args: argparse.Namespace, name: str, version: tuple[int, ...], v1: bool) -> str:
    shown = ".".join(str(part) for part in version)
    return (
        f"Initializing a {'V1' if v1 else 'V0'} LLM engine (v{shown}+lab) with config: model='{name}', "
        f"speculative_config=None, tokenizer='{name}', dtype={args.dtype or 'auto'}, "
        f"max_seq_len={args.max_model_len or MAX_POSITIONS}, tensor_parallel_size={args.tensor_parallel_size}, "
        f"quantization={args.quantization}, kv_cache_dtype={args.kv_cache_dtype or 'auto'}, simulated=True"
    )


def _config(around: Surroundings, args: argparse.Namespace, model: rates.Model, v1: bool, steps: int) -> Iterator[Act]:
    yield Wait(4.0)
    yield info("config.py:717", "This model supports multiple tasks: {'generate', 'embed'}. Defaulting to 'generate'.")
    if args.max_model_len and args.max_model_len > MAX_POSITIONS:
        yield err(
            f"ValueError: User-specified max_model_len ({args.max_model_len}) is greater than the derived "
            f"max_model_len (max_position_embeddings={MAX_POSITIONS} or model_max_length=None in model's config.json)."
        )
        yield Exit(1)
    if steps > 1 and not v1:
        yield info(
            "arg_utils.py:1658",
            "--num-scheduler-steps is not supported by the V1 Engine. Falling back to V0. We recommend to remove "
            "--num-scheduler-steps from your config in favor of the V1 Engine.",
            level="WARNING",
        )
    elif not v1 and (0, 8) <= (around.vllm or ()) < (0, 9, 1):
        text = "rocm is experimental on VLLM_USE_V1=1. Falling back to V0 Engine."
        yield info("arg_utils.py:1658", text, level="WARNING")
    if not args.max_model_len and not v1:
        yield info(
            "arg_utils.py:1720",
            f"The model has a long context length ({MAX_POSITIONS}). This may cause OOM during the initial memory "
            "profiling phase, or result in low performance due to small KV cache size.",
            level="WARNING",
        )


def _devices(around: Surroundings, tp: int) -> Iterator[Act]:
    if around.gpus == 0:
        yield err("RuntimeError: No HIP GPUs are available")
        yield Exit(1)
    if tp > around.gpus:
        yield err(
            f"AssertionError: please set tensor_parallel_size ({tp}) to less than max local gpu count ({around.gpus})"
        )
        yield Exit(1)


def _weights(around: Surroundings, model: rates.Model, tp: int, v1: bool, version: tuple[int, ...]) -> Iterator[Act]:
    gpu = around.kind.gpu
    for rank in range(tp):
        yield info("model_runner.py:1134", f"Starting to load model {model.name}...", who=_worker(rank, v1, version))
    yield info("weight_utils.py:265", "Using model weights format ['*.safetensors']")
    per_gpu = model.weights_bytes / tp / GIB
    whole, shards = rates.load_s(model), model.shards
    too_big = per_gpu > gpu.vram_bytes / GIB * 0.95
    yield raw_err(bars.shards(0, shards, 0.0))
    for done in range(1, shards + 1):
        yield Wait(whole / shards)
        if (around.fault == "oom" or too_big) and done * 2 >= shards:
            yield from _out_of_memory(around, v1)
        if shards <= 30 or done % (shards // 20) == 0 or done == shards:
            yield raw_err(bars.shards(done, shards, whole * done / shards))
    yield raw_err("\n")
    for rank in range(tp):
        who = _worker(rank, v1, version)
        yield info("loader.py:458", f"Loading weights took {whole:.2f} seconds", who=who)
        memory = f"Model loading took {per_gpu:.4f} GiB and {whole + 1.3:.6f} seconds"
        yield info("model_runner.py:1166", memory, who=who)


def _out_of_memory(around: Surroundings, v1: bool) -> Iterator[Act]:
    capacity = around.kind.gpu.vram_bytes / GIB
    text = (
        f"torch.OutOfMemoryError: HIP out of memory. Tried to allocate 512.00 MiB. GPU 0 has a total capacity of "
        f"{capacity:.2f} GiB of which 164.00 MiB is free. Of the allocated memory {capacity - 2:.2f} GiB is allocated "
        "by PyTorch, and 312.51 MiB is reserved by PyTorch but unallocated."
    )
    yield err("Traceback (most recent call last):")
    yield err('  File "/usr/local/lib/python3.12/dist-packages/vllm/worker/model_runner.py", line 1140, in load_model')
    yield err(text)
    secondary = (
        "RuntimeError: Engine core initialization failed. See root cause above. Failed core proc(s): {}"
        if v1
        else "ERROR Worker VllmWorkerProcess pid 621 died, exit code: -15"
    )
    yield Wait(2.0)
    yield err(secondary)
    yield Exit(1)


def _memory(
    around: Surroundings,
    args: argparse.Namespace,
    model: rates.Model,
    tp: int,
    kv: int,
    max_len: int,
    v1: bool,
    who: str,
) -> Iterator[Act]:
    yield Wait(9.0)
    total, share = around.kind.gpu.vram_bytes / GIB, args.gpu_memory_utilization or 0.9
    room = max(0, kv) * model.kv_bytes_per_token / tp / GIB
    if not v1:
        yield info(
            "worker.py:287",
            f"Memory profiling takes 8.44 seconds\r\n{'INFO ' + now()} [worker.py:287] the current vLLM instance can "
            f"use total_gpu_memory ({total:.2f}GiB) x gpu_memory_utilization ({share:.2f}) = {total * share:.2f}GiB\r\n"
            f"{'INFO ' + now()} [worker.py:287] model weights take {model.weights_bytes / tp / GIB:.2f}GiB; "
            "non_torch_memory takes 2.91GiB; PyTorch activation peak memory takes 9.04GiB; the rest of the memory "
            f"reserved for KV Cache is {room:.2f}GiB.",
        )
    if kv <= 0:
        yield err("ValueError: No available memory for the cache blocks. Try increasing `gpu_memory_utilization`.")
        yield Exit(1)
    if max_len > kv:
        text = (
            f"ValueError: To serve at least one request with the models's max seq len ({max_len}), "
            f"({max_len * model.kv_bytes_per_token / tp / GIB:.2f} GiB KV cache is needed, which is larger than the "
            f"available KV cache memory ({room:.2f} GiB)."
            if v1
            else f"ValueError: The model's max seq len ({max_len}) is larger than the maximum number of tokens that "
            f"can be stored in KV cache ({kv}). Try increasing `gpu_memory_utilization` or decreasing `max_model_len`."
        )
        yield err(text)
        yield Exit(1)
    if v1:
        yield info("gpu_worker.py:227", f"Available KV cache memory: {room:.2f} GiB", who=who)
        yield info("kv_cache_utils.py:716", f"GPU KV cache size: {kv:,} tokens", who=who)
        text = f"Maximum concurrency for {max_len:,} tokens per request: {kv / max_len:.2f}x"
        yield info("kv_cache_utils.py:720", text, who=who)
    else:
        blocks = kv // 16
        cpu = int(4 * GIB * tp / model.kv_bytes_per_token / 16)
        yield info("executor_base.py:112", f"# rocm blocks: {blocks}, # CPU blocks: {cpu}")
        text = f"Maximum concurrency for {max_len} tokens per request: {kv / max_len:.2f}x"
        yield info("executor_base.py:117", text)


def _graphs(
    args: argparse.Namespace, max_seqs: int, tp: int, v1: bool, version: tuple[int, ...], who: str
) -> Iterator[Act]:
    if v1 and not args.enforce_eager:
        yield Wait(4.0)
        yield info("backends.py:519", "Dynamo bytecode transform time: 3.54 s", who=who)
        yield Wait(30.0)
        yield info("monitor.py:34", "torch.compile takes 33.81 s in total", who=who)
    took = 0.0
    if not args.enforce_eager:
        shapes = 67 if v1 else 3 + (max_seqs + 7) // 8
        title = "Capturing CUDA graphs (mixed prefill-decode, FULL)" if v1 else "Capturing CUDA graph shapes"
        each = 0.35
        if not v1:
            text = (
                "Capturing cudagraphs for decoding. This may lead to unexpected consequences if the model is not "
                "static. If out-of-memory error occurs during cudagraph capture, consider decreasing "
                "`gpu_memory_utilization`."
            )
            for rank in range(tp):
                yield info("model_runner.py:1442", text, who=_worker(rank, v1, version))
        yield raw_err(bars.bar(title, 0, shapes, 0.0))
        stride = max(1, shapes // 12)
        for done in range(stride, shapes + stride, stride):
            done = min(done, shapes)
            yield Wait(each * stride)
            yield raw_err(bars.bar(title, done, shapes, each * done))
        yield raw_err("\n")
        took = each * shapes
        for rank in range(tp):
            text = f"Graph capturing finished in {took:.0f} secs, took 0.36 GiB"
            yield info("model_runner.py:1598", text, who=_worker(rank, v1, version))
    place = "core.py:171" if v1 else "llm_engine.py:437"
    whole = 14.0 + took + (34.0 if v1 else 0.0)
    yield info(place, f"init engine (profile, create kv cache, warmup model) took {whole:.2f} seconds", who=who)
    yield Wait(1.0)
