"""What exactly is run, for AMD's published image and for a current one, and what the host must offer."""

from collections.abc import Callable, Mapping
from typing import Any

import msgspec
import pytest

from console.model.launch import Placement, Scrape
from console.model.profile import ContainerOptions, Image, ModelCard
from console.workloads.base import WorkloadError, decode_cell, registry
from console.workloads.vllm_engine import traits_of

MakeCell = Callable[..., Any]
LATENCY_ROW = {
    "tensor_parallel": 8,
    "batch_size": 16,
    "input_len": 2048,
    "output_len": 2048,
    "kv_cache_dtype": "fp8",
    "quantization": "fp8",
}
SERVE_ROW = {
    "tensor_parallel": 8,
    "input_len": 128,
    "output_len": 2048,
    "num_prompts": 3200,
    "max_num_seqs": 3200,
    "max_concurrency": 256,
    "kv_cache_dtype": "fp8",
}


def test_the_published_throughput_row_on_the_published_image(
    make_cell: MakeCell,
    published_image: Image,
    model_70b: ModelCard,
    one_seat: Placement,
    throughput_params: Mapping[str, object],
) -> None:
    cell = make_cell("vllm-throughput", reference=16622.2, **throughput_params)
    [command] = registry()["vllm-throughput"].commands(cell, published_image, model_70b, one_seat)
    assert " ".join(command.argv) == (
        "python3 /app/vllm/benchmarks/benchmark_throughput.py --distributed-executor-backend mp --quantization fp8 "
        "--kv-cache-dtype fp8 --dtype float16 --gpu-memory-utilization 0.9 --trust-remote-code "
        "--num-scheduler-steps 10 --model amd/Llama-3.1-70B-Instruct-FP8-KV --max-model-len 8192 "
        "--max-num-batched-tokens 131072 --max-seq-len-to-capture 131072 --tensor-parallel-size 8 "
        "--input-len 128 --output-len 2048 --num-prompts 3200 --max-num-seqs 3200 "
        "--output-json /tmp/instinct-result.json"
    )
    assert command.env == {
        "HF_HUB_OFFLINE": "1",
        "TRANSFORMERS_OFFLINE": "1",
        "PYTHONUNBUFFERED": "1",
        "HF_HUB_CACHE": "/models-cache/hub",
        "VLLM_USE_TRITON_FLASH_ATTN": "0",
    }
    assert (command.part, command.seat, command.decides, command.after) == ("main", 0, True, None)
    assert command.files == ("/tmp/instinct-result.json",)
    assert command.secrets == ()


def test_the_published_latency_row_on_the_published_image(
    make_cell: MakeCell, published_image: Image, model_70b: ModelCard, one_seat: Placement
) -> None:
    cell = make_cell("vllm-latency", metric="latency_s", **LATENCY_ROW)
    [command] = registry()["vllm-latency"].commands(cell, published_image, model_70b, one_seat)
    assert " ".join(command.argv) == (
        "python3 /app/vllm/benchmarks/benchmark_latency.py --distributed-executor-backend mp --quantization fp8 "
        "--kv-cache-dtype fp8 --dtype float16 --gpu-memory-utilization 0.9 --trust-remote-code "
        "--model amd/Llama-3.1-70B-Instruct-FP8-KV --tensor-parallel-size 8 --batch-size 16 --input-len 2048 "
        "--output-len 2048 --num-iters-warmup 3 --num-iters 5 --output-json /tmp/instinct-result.json"
    )


def test_the_same_rows_on_a_current_image_leave_out_what_it_does_not_know(
    make_cell: MakeCell,
    bench_image: Image,
    model_70b: ModelCard,
    one_seat: Placement,
    throughput_params: Mapping[str, object],
) -> None:
    cell = make_cell("vllm-throughput", **throughput_params)
    [command] = registry()["vllm-throughput"].commands(cell, bench_image, model_70b, one_seat)
    assert " ".join(command.argv) == (
        "vllm bench throughput --distributed-executor-backend mp --kv-cache-dtype fp8 --dtype auto "
        "--gpu-memory-utilization 0.9 --trust-remote-code --model amd/Llama-3.1-70B-Instruct-FP8-KV "
        "--max-model-len 8192 --max-num-batched-tokens 131072 --tensor-parallel-size 8 --dataset-name random "
        "--random-input-len 128 --random-output-len 2048 --num-prompts 3200 --max-num-seqs 3200 "
        "--output-json /tmp/instinct-result.json"
    )
    latency = make_cell("vllm-latency", metric="latency_s", **LATENCY_ROW)
    [command] = registry()["vllm-latency"].commands(latency, bench_image, model_70b, one_seat)
    assert command.argv[:3] == ("vllm", "bench", "latency")
    assert "--kv-cache-dtype" not in command.argv
    assert "--input-len" in command.argv


def test_image_recipes_add_their_own_flags(
    make_cell: MakeCell, published_image: Image, model_70b: ModelCard, one_seat: Placement
) -> None:
    traits = msgspec.structs.replace(
        traits_of(published_image),
        chunked_prefill_off=("--enable-chunked-prefill", "False"),
        disable_detokenize=True,
        throughput_args=("--disable-custom-all-reduce",),
    )
    image = msgspec.structs.replace(published_image, vllm=traits)
    params = {"tensor_parallel": 1, "input_len": 1, "output_len": 1, "num_prompts": 1, "max_num_seqs": 1}
    extra = {
        "enable_chunked_prefill": False,
        "enforce_eager": True,
        "dtype": "bfloat16",
        "distributed_executor": None,
        "trust_remote_code": False,
        "gpu_memory_utilization": 0.85,
        "extra_args": ["--seed", "1"],
        "extra_env": {"VLLM_USE_TRITON_FLASH_ATTN": "1", "X": "y"},
    }
    cell = make_cell("vllm-throughput", **params, **extra)
    [command] = registry()["vllm-throughput"].commands(cell, image, model_70b, one_seat)
    line = " ".join(command.argv)
    assert line.startswith(
        "python3 /app/vllm/benchmarks/benchmark_throughput.py --dtype bfloat16 --gpu-memory-utilization 0.85 "
        "--enable-chunked-prefill False --model"
    )
    assert "--enforce-eager --disable-detokenize --disable-custom-all-reduce" in line
    assert line.endswith("--output-json /tmp/instinct-result.json --seed 1")
    assert command.env["VLLM_USE_TRITON_FLASH_ATTN"] == "1"
    assert command.env["X"] == "y"


def test_a_server_and_the_client_that_decides(
    make_cell: MakeCell, published_image: Image, model_70b: ModelCard, one_seat: Placement
) -> None:
    traits = msgspec.structs.replace(
        traits_of(published_image),
        serve_server=("--disable-log-requests",),
        serve_client=("--endpoint-type", "openai-comp"),
    )
    image = msgspec.structs.replace(published_image, vllm=traits)
    cell = make_cell("vllm-serve", **SERVE_ROW)
    server, client = registry()["vllm-serve"].commands(cell, image, model_70b, one_seat)
    assert " ".join(server.argv) == (
        "vllm serve amd/Llama-3.1-70B-Instruct-FP8-KV --host 127.0.0.1 --port 8000 --distributed-executor-backend mp "
        "--kv-cache-dtype fp8 --dtype float16 --gpu-memory-utilization 0.9 --trust-remote-code "
        "--tensor-parallel-size 8 --max-num-seqs 3200 --disable-log-requests"
    )
    assert (server.part, server.decides, server.after, server.scrape) == ("server", False, None, Scrape(8000))
    assert " ".join(client.argv) == (
        "vllm bench serve --endpoint-type openai-comp --model amd/Llama-3.1-70B-Instruct-FP8-KV --host 127.0.0.1 "
        "--port 8000 --trust-remote-code --dataset-name random --random-input-len 128 --random-output-len 2048 "
        "--ignore-eos --request-rate inf --num-prompts 3200 --max-concurrency 256 "
        "--percentile-metrics ttft,tpot,itl,e2el --save-result --result-dir /tmp "
        "--result-filename instinct-result.json"
    )
    assert (client.part, client.decides, client.after) == ("client", True, "server")
    assert client.files == ("/tmp/instinct-result.json",)


def test_a_client_at_a_given_rate_from_an_image_with_scripts(
    make_cell: MakeCell, published_image: Image, model_70b: ModelCard, one_seat: Placement
) -> None:
    traits = msgspec.structs.replace(traits_of(published_image), serve_entry="script")
    image = msgspec.structs.replace(published_image, vllm=traits)
    cell = make_cell("vllm-serve", **{**SERVE_ROW, "request_rate": 4.5, "max_concurrency": None, "port": 8123})
    server, client = registry()["vllm-serve"].commands(cell, image, model_70b, one_seat)
    assert client.argv[:4] == ("python3", "/app/vllm/benchmarks/benchmark_serving.py", "--backend", "vllm")
    assert "--request-rate 4.5" in " ".join(client.argv)
    assert "--max-concurrency" not in client.argv
    assert registry()["vllm-serve"].need(cell, image, model_70b).ports == (8123,)
    assert server.scrape == Scrape(8123)


def test_a_model_inside_the_image_is_its_path_and_needs_no_cache(
    make_cell: MakeCell,
    published_image: Image,
    inside_model: ModelCard,
    one_seat: Placement,
    throughput_params: Mapping[str, object],
) -> None:
    cell = make_cell("vllm-throughput", **throughput_params)
    [command] = registry()["vllm-throughput"].commands(cell, published_image, inside_model, one_seat)
    assert "--model /models/tiny-llama" in " ".join(command.argv)
    assert "HF_HUB_CACHE" not in command.env
    need = registry()["vllm-throughput"].need(cell, published_image, inside_model)
    assert (need.model_bytes, need.vram_bytes_per_gpu) == (None, None)


def test_the_time_a_row_takes_comes_from_its_reference(
    make_cell: MakeCell, published_image: Image, model_70b: ModelCard, throughput_params: Mapping[str, object]
) -> None:
    throughput = registry()["vllm-throughput"]
    cell = make_cell("vllm-throughput", reference=16622.2, **throughput_params)
    need = throughput.need(cell, published_image, model_70b)
    assert need.measure_s == pytest.approx(394, abs=1)
    assert (need.nodes, need.gpus, need.image, need.image_bytes) == (1, 8, published_image.ref, 9_400_000_000)
    assert need.measure_s is not None
    assert need.deadline_s >= need.startup_s + need.measure_s + 3600
    assert need.startup_s > 403 * 0.8
    latency = make_cell("vllm-latency", metric="latency_s", reference=22.690, **LATENCY_ROW)
    assert registry()["vllm-latency"].need(latency, published_image, model_70b).measure_s == pytest.approx(8 * 22.690)
    unknown = throughput.need(make_cell("vllm-throughput", **throughput_params), published_image, model_70b)
    assert unknown.measure_s is None
    assert unknown.deadline_s > 3600


def test_the_vram_a_row_needs_fits_what_is_known_of_the_published_rows(
    make_cell: MakeCell, published_image: Image, model_70b: ModelCard, throughput_params: Mapping[str, object]
) -> None:
    mi300x = 191.98 * 2**30
    throughput = registry()["vllm-throughput"]
    for tensor_parallel in (1, 8):
        cell = make_cell("vllm-throughput", **{**throughput_params, "tensor_parallel": tensor_parallel})
        assert 0 < (throughput.need(cell, published_image, model_70b).vram_bytes_per_gpu or 0) < mi300x
    big = msgspec.structs.replace(model_70b, weights_bytes=410_000_000_000, kv_bytes_per_token=258_048)
    needs = {}
    for tensor_parallel in (1, 2, 4, 8):
        cell = make_cell("vllm-throughput", **{**throughput_params, "tensor_parallel": tensor_parallel})
        needs[tensor_parallel] = throughput.need(cell, published_image, big).vram_bytes_per_gpu or 0
    assert needs[4] < mi300x < needs[2]


def test_deviations_say_published_running_because(
    make_cell: MakeCell, published_image: Image, bench_image: Image, throughput_params: Mapping[str, object]
) -> None:
    throughput = registry()["vllm-throughput"]
    cell = make_cell("vllm-throughput", reference=16622.2, **throughput_params)
    said = throughput.deviations(cell, published_image)
    assert [text.split(",")[0] for text in said] == [
        "published --enable-chunked-prefill False",
        "published with benchmark_throughput.py of vLLM v0.6.5",
    ]
    said = throughput.deviations(cell, bench_image)
    assert [text.split(",")[0] for text in said] == [
        "published --enable-chunked-prefill False",
        "published --num-scheduler-steps 10",
        "published --max-seq-len-to-capture 131072",
        "published --quantization fp8",
        "published benchmark_throughput.py",
    ]
    assert all(", running " in text and ", because " in text for text in said)
    latency = make_cell("vllm-latency", metric="latency_s", reference=22.69, **LATENCY_ROW)
    kept = registry()["vllm-latency"].deviations(latency, bench_image)
    assert any(text.startswith("published --kv-cache-dtype fp8, running without it") for text in kept)
    own = make_cell("vllm-throughput", tensor_parallel=1, input_len=1, output_len=1, num_prompts=1, max_num_seqs=1)
    assert throughput.deviations(own, bench_image) == ()


def test_rows_that_cannot_run_are_refused_with_the_contradiction(
    make_cell: MakeCell,
    published_image: Image,
    training_image: Image,
    model_70b: ModelCard,
    one_seat: Placement,
    throughput_params: Mapping[str, object],
) -> None:
    throughput = registry()["vllm-throughput"]
    for changes, words in (
        ({"tensor_parallel": 16}, "tensor parallel size 16 needs more than 8 GPUs"),
        ({"tensor_parallel": 3}, "runs with tensor parallel size 1, 2, 4, 8"),
        ({"nodes": 2}, "run on one node"),
    ):
        cell = make_cell("vllm-throughput", **{**throughput_params, **changes})
        with pytest.raises(WorkloadError, match=words):
            throughput.need(cell, published_image, model_70b)
    cell = make_cell("vllm-throughput", **throughput_params)
    with pytest.raises(WorkloadError, match="has no vLLM"):
        throughput.commands(cell, training_image, model_70b, one_seat)
    apart = msgspec.structs.replace(published_image, container=ContainerOptions(network_host=False))
    with pytest.raises(WorkloadError, match="network"):
        registry()["vllm-serve"].commands(make_cell("vllm-serve", **SERVE_ROW), apart, model_70b, one_seat)


def test_journaled_cells_come_back_with_the_parameters_of_their_workload(
    make_cell: MakeCell, throughput_params: Mapping[str, object]
) -> None:
    for cell in (
        make_cell("vllm-throughput", **throughput_params),
        make_cell("vllm-latency", metric="latency_s", **LATENCY_ROW),
        make_cell("vllm-serve", **SERVE_ROW),
    ):
        assert decode_cell(msgspec.json.encode(cell)) == cell


@pytest.mark.parametrize("name", ["vllm-throughput", "vllm-latency", "vllm-serve"])
def test_unknown_parameters_are_refused(name: str) -> None:
    with pytest.raises(msgspec.ValidationError, match="unknown field"):
        msgspec.convert({"tensor_paralel": 8}, registry()[name].params)
