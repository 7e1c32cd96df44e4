"""What a server, GPU, image or model should be: the records of the files under `profiles/`.

Sizes are bytes, bandwidths bytes/s, powers watts, peaks TFLOP/s (dense). Every record names its source.
"""

from typing import Literal

import msgspec

Level = Literal["required", "advised", "published"]
"""How strictly an expectation is held; `published` only says what AMD's page names for its own server."""


class Expectation(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """One fact a server profile speaks about: accepted values, or a range, with a level and a source.

    `fact` is the path of the value in `HostFacts` (`system.numa_balancing`, `driver.amdgpu_version`); `gpu.` stands
    for each GPU (`gpu.compute_partition`), `gpu.count` for their number. `low` and `high` belong to the range.
    """

    fact: str
    accept: tuple[str | int | float | bool, ...] = ()
    low: float | None = None
    high: float | None = None
    level: Level = "required"
    source: str = ""


class ServerProfile(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A kind of server. `simulated` marks a profile that belongs to the lab."""

    name: str
    title: str
    gpu: str
    gpus: int
    cpu: str
    sockets: int
    source: str
    nodes_per_socket: int | None = None
    bios_version: str | None = None
    os: str | None = None
    driver: str | None = None
    rocm: str | None = None
    memory_bytes: int | None = None
    expect: tuple[Expectation, ...] = ()
    notes: tuple[str, ...] = ()


class Peak(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Dense peak of one GPU by data type, TFLOP/s; None where the type is not supported or not published."""

    fp64: float | None = None
    fp32: float | None = None
    tf32: float | None = None
    fp16: float | None = None
    bf16: float | None = None
    fp8: float | None = None
    int8: float | None = None
    fp6: float | None = None
    fp4: float | None = None


class GpuSpec(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Specification of one GPU model. `device_ids` are PCI ids in hex without 0x, virtual functions apart."""

    name: str
    arch: str
    device_ids: tuple[str, ...]
    vf_device_ids: tuple[str, ...] = ()
    vram_bytes: int
    vram_type: str
    hbm_bytes_per_s: float
    compute_units: int
    xccs: int
    power_w: int
    peak_tflops: Peak
    xgmi_links: int
    source: str
    notes: tuple[str, ...] = ()


class ContainerOptions(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """How AMD's documents start the containers of an image, as data. Groups are resolved to host ids later."""

    ipc_host: bool = True
    network_host: bool = True
    shm_bytes: int | None = None
    privileged: bool = False
    cap_add: tuple[str, ...] = ()
    security_opt: tuple[str, ...] = ()
    infiniband: bool = False
    memlock_unlimited: bool = True
    source: str = ""


class VllmTraits(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """How a vLLM image wants to be called; flags come and go between releases, so they are data."""

    engine: Literal["V0", "V1"]
    entry: Literal["script", "bench"]
    chunked_prefill_off: tuple[str, ...] = ()
    scheduler_steps: bool = True
    seq_len_to_capture: bool = True
    quantization_flag: bool = True
    dtype: str = "float16"
    disable_detokenize: bool = False
    random_length_flags: bool = False
    serve_entry: Literal["script", "bench"] = "bench"
    """The client: `vllm bench serve`, or `benchmark_serving.py` of images whose vLLM has no `bench` command."""
    serve_client: tuple[str, ...] = ("--backend", "vllm")
    serve_server: tuple[str, ...] = ()
    throughput_args: tuple[str, ...] = ()
    """Further arguments of the throughput benchmark in this image's published recipe."""
    latency_kv_cache_flag: bool = True
    """False where the image's published latency recipe leaves `--kv-cache-dtype` out."""
    env: dict[str, str] = {}


class Image(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A container image one can choose. `digest` is the full repository digest, or a documented prefix of it."""

    name: str
    ref: str
    aliases: tuple[str, ...] = ()
    """Other references the same image is published under."""
    program: Literal["vllm", "pytorch-training", "megatron-lm", "other"]
    source: str
    digest: str | None = None
    released: str | None = None
    rocm: str | None = None
    engine_version: str | None = None
    pytorch: str | None = None
    python: str | None = None
    compressed_bytes: int | None = None
    unpacked_bytes: int | None = None
    container: ContainerOptions = ContainerOptions()
    vllm: VllmTraits | None = None
    workdir: str | None = None
    notes: tuple[str, ...] = ()
    on_page: str | None = None
    """The row of AMD's 'previous versions' table this image stands for, as printed there."""


class ModelCard(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A model. `id` is its Hugging Face repository, or a path inside the image when `inside_image` is set."""

    id: str
    title: str
    precision: str
    source: str
    disk_bytes: int | None = None
    weights_bytes: int | None = None
    kv_bytes_per_token: int | None = None
    tensor_parallel: tuple[int, ...] = ()
    gated: bool = False
    inside_image: bool = False
    revision: str | None = None
    notes: tuple[str, ...] = ()
