"""How a row asks a vLLM engine to start: flags by image, environment, deviations, and what it needs of a host.

Flags come and go between releases; which of them an image knows is data (`VllmTraits`).
"""

from collections.abc import Iterator, Mapping

from console.model.cell import AnyCell
from console.model.launch import Need
from console.model.profile import Image, ModelCard, VllmTraits
from console.workloads.base import WorkloadError
from console.workloads.places import offline_env
from console.workloads.vllm_params import EngineParams

SCRIPTS = "/app/vllm/benchmarks"
"""Where AMD's images of 2024 and 2025 keep the benchmark scripts."""

_GIB = 1 << 30
_READ_BYTES_PER_S = 1.5e9
_BASE_STARTUP_S = 90.0
_CAPTURE_S = 0.9
_COMPILE_S = 90.0
_LEAST_STARTUP_DEADLINE_S = 3600.0
_DEFAULT_SEQUENCES = 256
_V1_CAPTURE_SIZES = 67


def traits_of(image: Image) -> VllmTraits:
    """The image's vLLM traits. Raises WorkloadError for an image of another program."""
    if image.vllm is None:
        raise WorkloadError(
            f'image {image.name} has no vLLM: choose one of program "vllm", or add a [vllm] table to its profile'
        )
    return image.vllm


def benchmark_argv(traits: VllmTraits, kind: str) -> tuple[str, ...]:
    """The program: `benchmark_<kind>.py` of the image, or `vllm bench <kind>`."""
    if traits.entry == "script":
        return ("python3", f"{SCRIPTS}/benchmark_{kind}.py")
    return ("vllm", "bench", kind)


def engine_flags(params: EngineParams, traits: VllmTraits, model: ModelCard, *, kv_cache: bool = True) -> list[str]:
    """Flags of the engine in the order of AMD's command line. `kv_cache` False leaves `--kv-cache-dtype` out."""
    flags: list[str] = []
    if params.distributed_executor:
        flags += ["--distributed-executor-backend", params.distributed_executor]
    if params.quantization and traits.quantization_flag:
        flags += ["--quantization", params.quantization]
    if params.kv_cache_dtype and kv_cache:
        flags += ["--kv-cache-dtype", params.kv_cache_dtype]
    flags += ["--dtype", params.dtype or traits.dtype]
    flags += ["--gpu-memory-utilization", f"{params.gpu_memory_utilization:g}"]
    if params.trust_remote_code:
        flags.append("--trust-remote-code")
    if params.num_scheduler_steps is not None and traits.scheduler_steps:
        flags += ["--num-scheduler-steps", str(params.num_scheduler_steps)]
    if params.enable_chunked_prefill is False:
        flags += traits.chunked_prefill_off
    elif params.enable_chunked_prefill:
        flags.append("--enable-chunked-prefill")
    flags += ["--model", model.id]
    if params.max_model_len is not None:
        flags += ["--max-model-len", str(params.max_model_len)]
    if params.max_num_batched_tokens is not None:
        flags += ["--max-num-batched-tokens", str(params.max_num_batched_tokens)]
    if params.max_seq_len_to_capture is not None and traits.seq_len_to_capture:
        flags += ["--max-seq-len-to-capture", str(params.max_seq_len_to_capture)]
    flags += ["--tensor-parallel-size", str(params.tensor_parallel)]
    if params.enforce_eager:
        flags.append("--enforce-eager")
    return flags


def environment(params: EngineParams, traits: VllmTraits, model: ModelCard) -> Mapping[str, str]:
    """Offline and unbuffered, then the image's recipe, then the row's own."""
    return {**offline_env(model), **traits.env, **params.extra_env}


def check(cell: AnyCell, image: Image, model: ModelCard) -> VllmTraits:
    """The traits of an image that can serve the cell. Raises WorkloadError naming the contradiction."""
    params: EngineParams = cell.params
    traits = traits_of(image)
    if cell.nodes != 1:
        raise WorkloadError(f"{cell.id}: vLLM rows run on one node, this one asks for {cell.nodes}")
    if params.tensor_parallel > cell.gpus_per_node:
        raise WorkloadError(
            f"{cell.id}: tensor parallel size {params.tensor_parallel} needs more than {cell.gpus_per_node} GPUs"
        )
    if model.tensor_parallel and params.tensor_parallel not in model.tensor_parallel:
        sizes = ", ".join(str(size) for size in model.tensor_parallel)
        raise WorkloadError(f"{cell.id}: {model.id} runs with tensor parallel size {sizes}")
    return traits


def need(
    cell: AnyCell,
    image: Image,
    model: ModelCard,
    *,
    sequences: int | None,
    measure_s: float | None,
    ports: tuple[int, ...] = (),
) -> Need:
    """What the host must offer. `sequences` is the number of concurrent sequences the engine prepares for."""
    params: EngineParams = cell.params
    startup = startup_s(params, traits_of(image), model, sequences)
    return Need(
        nodes=cell.nodes,
        gpus=cell.gpus_per_node,
        gpu_models=(),
        model=model.id,
        model_bytes=None if model.inside_image else model.disk_bytes,
        image=image.ref,
        image_bytes=image.unpacked_bytes or image.compressed_bytes,
        vram_bytes_per_gpu=vram_bytes_per_gpu(params, model),
        ports=ports,
        startup_s=startup,
        measure_s=measure_s,
        deadline_s=max(_LEAST_STARTUP_DEADLINE_S, 4 * startup) + (4 * 3600.0 if measure_s is None else 4 * measure_s),
    )


def startup_s(params: EngineParams, traits: VllmTraits, model: ModelCard, sequences: int | None) -> float:
    """Seconds until it generates. An assumption, no source measures it: import and set-up 90 s, weights read cold
    at 1.5 GB/s, graph capture 0.9 s a shape (34 shapes took 30 s in a public log), 90 s more for a compiling engine.
    """
    seconds = _BASE_STARTUP_S + (model.disk_bytes or 0) / _READ_BYTES_PER_S
    if params.enforce_eager:
        return seconds
    if traits.engine == "V1":
        return seconds + _COMPILE_S + _V1_CAPTURE_SIZES * _CAPTURE_S
    return seconds + (3 + (sequences or _DEFAULT_SEQUENCES) / 8) * _CAPTURE_S


def vram_bytes_per_gpu(params: EngineParams, model: ModelCard) -> int | None:
    """The least VRAM to start: weights, one longest request, and activations (assumed 8 GiB at 64 Ki batched tokens
    or more, else 2 GiB), inside gpu_memory_utilization. None when the model's weight size is not known.
    """
    if model.weights_bytes is None:
        return None
    request = (model.kv_bytes_per_token or 0) * (params.max_model_len or 0)
    activations = (8 if (params.max_num_batched_tokens or 0) >= 65536 else 2) * _GIB
    share = (model.weights_bytes + request) / params.tensor_parallel
    return int((share + activations) / params.gpu_memory_utilization)


def flag_deviations(cell: AnyCell, traits: VllmTraits, *, kv_cache: bool = True) -> Iterator[str]:
    """Flags of the row that this image is not given, one sentence each."""
    params: EngineParams = cell.params
    unknown = "because the recipe of this image has no such flag"
    if params.enable_chunked_prefill is False and traits.chunked_prefill_off != ("--enable-chunked-prefill", "False"):
        running = " ".join(traits.chunked_prefill_off) or "without it"
        because = "this image refuses a value for that flag"
        if not traits.chunked_prefill_off:
            because += "; its V1 engine prefills in chunks" if traits.engine == "V1" else "; it is off there by default"
        yield f"published --enable-chunked-prefill False, running {running}, because {because}"
    if params.num_scheduler_steps is not None and not traits.scheduler_steps:
        yield f"published --num-scheduler-steps {params.num_scheduler_steps}, running without it, {unknown}"
    if params.max_seq_len_to_capture is not None and not traits.seq_len_to_capture:
        yield f"published --max-seq-len-to-capture {params.max_seq_len_to_capture}, running without it, {unknown}"
    if params.quantization and not traits.quantization_flag:
        yield (
            f"published --quantization {params.quantization}, running without it, because the recipe of this image "
            "leaves it to the checkpoint, which declares its own"
        )
    if params.kv_cache_dtype and not kv_cache:
        yield (
            f"published --kv-cache-dtype {params.kv_cache_dtype}, running without it, because the latency recipe of "
            "this image has none"
        )


def entry_deviations(cell: AnyCell, traits: VllmTraits, kind: str) -> Iterator[str]:
    """The program itself, where figures of AMD's page are what the row is compared with."""
    if not any(reference.set in ("published", "release notes") for reference in cell.references):
        return
    if traits.entry == "bench":
        yield (
            f"published benchmark_{kind}.py, running vllm bench {kind}, because the recipe of this image does; the "
            "scripts moved there"
        )
    else:
        yield (
            f"published with benchmark_{kind}.py of vLLM v0.6.5, running the image's own script of that name, because "
            "the published command names that path"
        )
