"""Parameters of the vLLM workloads: what a row of a matrix file may say."""

import msgspec


class EngineParams(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What every vLLM row says of the engine. None leaves the flag out; lengths are tokens.

    `dtype` None takes the image's own. `extra_args` go to the engine as they are, last; `extra_env` wins over every
    other environment value.
    """

    tensor_parallel: int
    max_model_len: int | None = None
    max_num_batched_tokens: int | None = None
    max_seq_len_to_capture: int | None = None
    num_scheduler_steps: int | None = None
    gpu_memory_utilization: float = 0.9
    kv_cache_dtype: str | None = None
    quantization: str | None = None
    dtype: str | None = None
    distributed_executor: str | None = "mp"
    trust_remote_code: bool = True
    enforce_eager: bool = False
    enable_chunked_prefill: bool | None = None
    """As published; False is written in the way the image accepts it (`VllmTraits.chunked_prefill_off`)."""
    extra_args: tuple[str, ...] = ()
    extra_env: dict[str, str] = {}


class ThroughputParams(EngineParams, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Rows of `vllm-throughput`: `num_prompts` requests of `input_len` and `output_len` tokens, offline."""

    input_len: int
    output_len: int
    num_prompts: int
    max_num_seqs: int


class LatencyParams(EngineParams, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Rows of `vllm-latency`: the time of one batch, mean of `iterations` after `warmup_iterations`."""

    batch_size: int
    input_len: int
    output_len: int
    warmup_iterations: int = 3
    iterations: int = 5
    max_num_seqs: int | None = None


class ServeParams(EngineParams, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Rows of `vllm-serve`: a server and a client at `request_rate` requests/s (None: all at once)."""

    input_len: int
    output_len: int
    num_prompts: int
    max_num_seqs: int
    max_concurrency: int | None = None
    request_rate: float | None = None
    port: int = 8000
