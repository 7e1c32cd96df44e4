"""Captured output of real vLLM runs, and rows of AMD's page to plan."""

import gzip
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import msgspec
import pytest

import console.workloads
from console.model.attempt import LogFrame, Phase, PhaseSeen, Result, Sample, Signal, Symptom
from console.model.cell import Cell, Conditions, Reference
from console.model.launch import Placement, Seat
from console.model.profile import Image, ModelCard, VllmTraits
from console.workloads.base import registry

DATA = Path(__file__).resolve().parents[1] / "data" / "vllm"
RESULT = "/tmp/instinct-result.json"


@pytest.fixture
def data() -> Callable[[str], bytes]:
    """A captured file by its path below tests/data/vllm; the big ones are stored gzipped."""
    assert console.workloads.__all__

    def read(name: str) -> bytes:
        packed = DATA / f"{name}.gz"
        return gzip.decompress(packed.read_bytes()) if packed.exists() else (DATA / name).read_bytes()

    return read


class Reading(msgspec.Struct, frozen=True):
    """What a reader made of an output."""

    signals: tuple[Signal, ...]
    result: Result

    @property
    def phases(self) -> list[Phase]:
        return [signal.phase for signal in self.signals if isinstance(signal, PhaseSeen)]

    @property
    def samples(self) -> list[Sample]:
        return [signal for signal in self.signals if isinstance(signal, Sample)]

    @property
    def symptoms(self) -> list[Symptom]:
        return [signal for signal in self.signals if isinstance(signal, Symptom)]

    def stat_lines(self) -> list[Sample]:
        return [sample for sample in self.samples if sample.source == "stat line"]

    def value(self, metric: str, stat: str = "value") -> float:
        [found] = [v.value for v in self.result.values if (v.metric, v.stat, v.iteration) == (metric, stat, None)]
        return found


Read = Callable[..., Reading]


@pytest.fixture
def read() -> Read:
    """Feed output to a workload's reader: one frame per stream, or ready-made frames."""
    assert console.workloads.__all__

    def run(
        workload: str,
        output: bytes | Sequence[LogFrame],
        *,
        part: str = "main",
        cell: Cell[Any] | None = None,
        result: bytes | None = None,
        exit_code: int | None = None,
    ) -> Reading:
        frames = [LogFrame(1_000_000_000, 1, output)] if isinstance(output, bytes) else output
        reader = registry()[workload].reader(cell, part)
        signals = tuple(reader.feed(frames))
        files = {} if result is None else {RESULT: result}
        return Reading(signals, reader.close(files, exit_code))

    return run


CellMaker = Callable[..., Cell[Any]]


@pytest.fixture
def make_cell() -> CellMaker:
    """A row of a workload with the given parameters, compared with one published figure when `reference` is given."""

    def make(
        workload: str,
        *,
        model: str = "amd/Llama-3.1-70B-Instruct-FP8-KV",
        metric: str = "output_tokens_per_s",
        reference: float | None = None,
        nodes: int = 1,
        precision: str = "FP8",
        **params: object,
    ) -> Cell[Any]:
        references: tuple[Reference, ...] = ()
        if reference is not None:
            references = (
                Reference(
                    value=reference,
                    printed=str(reference),
                    metric=metric,
                    unit_printed="",
                    set="published",
                    source="AMD's page",
                    dated="2025-05-27",
                    under=Conditions(),
                ),
            )
        return Cell(
            matrix="m",
            id="row",
            workload=workload,
            model=model,
            title="row",
            precision=precision,
            image="image",
            nodes=nodes,
            gpus_per_node=8,
            metric=metric,
            params=msgspec.convert(params, registry()[workload].params),
            recipe="exact",
            references=references,
        )

    return make


@pytest.fixture
def published_image() -> Image:
    """The image of AMD's page, as facts about it say: V0, scripts, no value for --enable-chunked-prefill."""
    return Image(
        name="rocm6.3.1_vllm_0.8.5_20250521",
        ref="rocm/vllm:rocm6.3.1_vllm_0.8.5_20250521",
        program="vllm",
        source="test",
        compressed_bytes=9_400_000_000,
        vllm=VllmTraits(engine="V0", entry="script", env={"VLLM_USE_TRITON_FLASH_ATTN": "0"}),
    )


@pytest.fixture
def bench_image() -> Image:
    """A current image: V1, `vllm bench`, renamed length flags, old flags gone."""
    return Image(
        name="new",
        ref="rocm/vllm:new",
        program="vllm",
        source="test",
        vllm=VllmTraits(
            engine="V1",
            entry="bench",
            scheduler_steps=False,
            seq_len_to_capture=False,
            quantization_flag=False,
            random_length_flags=True,
            latency_kv_cache_flag=False,
            dtype="auto",
        ),
    )


@pytest.fixture
def training_image() -> Image:
    return Image(
        name="pytorch-training-v25.5", ref="rocm/pytorch-training:v25.5", program="pytorch-training", source="test"
    )


@pytest.fixture
def model_70b() -> ModelCard:
    return ModelCard(
        id="amd/Llama-3.1-70B-Instruct-FP8-KV",
        title="Llama 3.1 70B FP8",
        precision="FP8",
        source="test",
        disk_bytes=72_700_000_000,
        weights_bytes=72_700_000_000,
        kv_bytes_per_token=163_840,
        tensor_parallel=(1, 2, 4, 8),
    )


@pytest.fixture
def gated_70b(model_70b: ModelCard) -> ModelCard:
    return msgspec.structs.replace(model_70b, gated=True)


@pytest.fixture
def inside_model() -> ModelCard:
    return ModelCard(id="/models/tiny-llama", title="tiny", precision="BF16", source="test", inside_image=True)


@pytest.fixture
def one_seat() -> Placement:
    return Placement((Seat(rank=0, host="node01"),))


@pytest.fixture
def throughput_params() -> Mapping[str, object]:
    """The first row of the published throughput table."""
    return {
        "tensor_parallel": 8,
        "input_len": 128,
        "output_len": 2048,
        "num_prompts": 3200,
        "max_num_seqs": 3200,
        "max_model_len": 8192,
        "max_num_batched_tokens": 131072,
        "max_seq_len_to_capture": 131072,
        "num_scheduler_steps": 10,
        "kv_cache_dtype": "fp8",
        "quantization": "fp8",
        "enable_chunked_prefill": False,
    }
