"""A small matrix, a shelf that has it, and a journal to plan and end attempts in."""

from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

import msgspec
import pytest

from console.model.attempt import (
    Failure,
    FailureClass,
    Hardware,
    MetricValue,
    Outcome,
    Reason,
    Result,
    Sample,
    Stage,
    Validity,
)
from console.model.cell import AnyCell, Cell, Column, Conditions, Matrix, Reference
from console.model.events import AttemptEnded, AttemptPlanned, Claimed, Envelope, Event, RunOpened, StageEntered
from console.model.launch import Placement, Seat
from console.model.profile import GpuSpec, Image, Peak
from console.store.journal import Journal
from console.store.paths import StateFolder
from console.store.tail import Tail

IMAGE = "rocm/vllm:rocm6.3.1_vllm_0.8.5_20250521"
S = 1_000_000_000
T0 = 1_763_798_400 * S  # 2025-11-22T08:00:00Z

WARM = Hardware(from_ns=T0, to_ns=T0 + S, gpus=8, power_w_mean=5612.5, power_w_max=5904.0, hotspot_c_max=83.0)


MI300X = GpuSpec(
    name="MI300X",
    arch="gfx942",
    device_ids=("74a1",),
    vram_bytes=206_158_430_208,
    vram_type="HBM3",
    hbm_bytes_per_s=5.3e12,
    compute_units=304,
    xccs=8,
    power_w=750,
    xgmi_links=7,
    peak_tflops=Peak(bf16=1307.4, fp8=2614.9),
    source="data sheet",
)


class Params(msgspec.Struct, frozen=True, kw_only=True):
    tensor_parallel: int
    input_len: int
    output_len: int
    num_prompts: int
    quantization: str | None = None


UNDER = Conditions(gpu="MI300X", gpus=8, nodes=1, compute_partition="SPX", image=IMAGE)


def reference(printed: str, **fields: Any) -> Reference:
    given: dict[str, Any] = {
        "value": float(printed),
        "printed": printed,
        "metric": "output_tokens_per_s",
        "unit_printed": "tokens/s",
        "set": "published",
        "source": "AMD performance results page",
        "dated": "2025-05-27",
        "under": UNDER,
        "errata": ("counts output tokens only",),
    }
    return Reference(**{**given, **fields})


def make_cell(output_len: int, printed: str, **fields: Any) -> AnyCell:
    given: dict[str, Any] = {
        "matrix": "vllm-throughput",
        "id": f"70b-out{output_len}",
        "workload": "vllm-throughput",
        "model": "amd/Llama-3.1-70B-Instruct-FP8-KV",
        "title": "Llama 3.1 70B",
        "title_printed": "Llama 3.1 70B (amd/Llama-3.1-70B-Instruct-FP8-KV)",
        "precision": "FP8",
        "image": "vllm-0.8.5",
        "nodes": 1,
        "gpus_per_node": 8,
        "metric": "output_tokens_per_s",
        "params": Params(tensor_parallel=8, input_len=128, output_len=output_len, num_prompts=1500, quantization="fp8"),
        "recipe": "exact",
        "references": (reference(printed), reference(str(float(printed) / 10), set="lab", source="fiction", errata=())),
    }
    return Cell(**{**given, **fields})


class Shelf(msgspec.Struct, frozen=True, kw_only=True):
    """What a catalog offers to the tables."""

    matrices: Mapping[str, Matrix]
    images: Mapping[str, Image]
    gpus: Mapping[str, GpuSpec]
    references: Mapping[tuple[str, str], tuple[Reference, ...]]


@pytest.fixture
def matrix() -> Matrix:
    return Matrix(
        name="vllm-throughput",
        title="vLLM 0.8.5 throughput, MI300X",
        workload="vllm-throughput",
        image="vllm-0.8.5",
        metric="output_tokens_per_s",
        source="AMD performance results page",
        dated="2025-05-27",
        platform="as published",
        server="mi300x-2x9554",
        columns=(
            Column(heading="Model", key="title"),
            Column(heading="Precision", key="precision"),
            Column(heading="TP Size", key="tensor_parallel"),
            Column(heading="Input", key="input_len"),
            Column(heading="Output", key="output_len"),
            Column(heading="Throughput (tokens/s)", key="printed"),
        ),
        cells=(make_cell(2048, "16622.2"), make_cell(4096, "13779.8"), make_cell(8192, "8356.5")),
    )


def shelf_of(matrix: Matrix) -> Shelf:
    return Shelf(
        matrices={matrix.name: matrix},
        images={"vllm-0.8.5": Image(name="vllm-0.8.5", ref=IMAGE, program="vllm", source="page")},
        gpus={"MI300X": MI300X},
        references={(matrix.name, cell.id): cell.references for cell in matrix.cells},
    )


@pytest.fixture
def shelf(matrix: Matrix) -> Shelf:
    return shelf_of(matrix)


class Book:
    """Writes runs as a conductor would: planned, started, ended."""

    def __init__(self, folder: StateFolder) -> None:
        self.journal = Journal(folder)
        self.tail = Tail(folder)
        self._count = 0

    def close(self) -> None:
        self.journal.close()
        self.tail.close()

    def tell(self, event: Event, at_ns: int = T0, run: str = "r1", attempt: str | None = None) -> None:
        part = "main" if isinstance(event, Sample) else None
        self.journal.append_now([Envelope(at_ns=at_ns, event=event, run=run, attempt=attempt, part=part)])

    def open(self, run: str = "r1", *, simulated: bool = False, label: str = "") -> str:
        opened = RunOpened(
            label=label,
            matrices=("vllm-throughput",),
            hosts=("node01",),
            operator="ana",
            version="1.0",
            attempts=1,
            simulated=simulated,
        )
        self.tell(opened, run=run)
        return run

    def plan(
        self, cell: AnyCell, *, run: str = "r1", host: str = "node01", repeat: int = 1, attempt_try: int = 1
    ) -> str:
        self._count += 1
        attempt = f"a{self._count}"
        planned = AttemptPlanned(
            matrix=cell.matrix,
            cell_id=cell.id,
            workload=cell.workload,
            cell=msgspec.Raw(msgspec.json.encode(cell)),
            wish=(host,),
            repeat=repeat,
            attempt_try=attempt_try,
            expected_s=None,
            startup_s=0.0,
            position=self._count,
        )
        self.tell(planned, run=run, attempt=attempt)
        return attempt

    def start(self, attempt: str, *, run: str = "r1", host: str = "node01") -> None:
        self.tell(Claimed(Placement((Seat(rank=0, host=host),))), run=run, attempt=attempt)
        self.tell(StageEntered(Stage.STARTING), at_ns=T0 + 60 * S, run=run, attempt=attempt)

    def end(self, attempt: str, value: float | None = None, *, run: str = "r1", **fields: Any) -> None:
        values = () if value is None else (MetricValue(metric="output_tokens_per_s", value=value),)
        given: dict[str, Any] = {
            "outcome": Outcome.OK if value is not None else Outcome.FAILED,
            "result": Result(headline="output_tokens_per_s", values=values),
            "conditions": msgspec.structs.replace(UNDER, image_digest="sha256:" + "a" * 64, cpu="EPYC 9654"),
            "hardware": WARM if values else None,
        }
        self.tell(AttemptEnded(**{**given, **fields}), at_ns=T0 + 660 * S, run=run, attempt=attempt)

    def measure(
        self, cell: AnyCell, value: float, *, run: str = "r1", host: str = "node01", repeat: int = 1, **fields: Any
    ) -> str:
        attempt = self.plan(cell, run=run, host=host, repeat=repeat)
        self.start(attempt, run=run, host=host)
        self.end(attempt, value, run=run, **fields)
        return attempt

    def fail(self, cell: AnyCell, *, run: str = "r1", repeat: int = 1, line: str = "HIP out of memory") -> str:
        attempt = self.plan(cell, run=run, repeat=repeat)
        self.start(attempt, run=run)
        failure = Failure(failure=FailureClass.OUT_OF_MEMORY_GPU, line=line, remedy="free the GPUs")
        self.end(attempt, run=run, failure=failure, result=None)
        return attempt

    def refuse(
        self,
        cell: AnyCell,
        *,
        run: str = "r1",
        host: str = "node01",
        repeat: int = 1,
        line: str = "node01: NUMA balancing is 1",
    ) -> str:
        attempt = self.plan(cell, run=run, host=host, repeat=repeat)
        failure = Failure(failure=FailureClass.PREFLIGHT, line=line)
        ended = AttemptEnded(outcome=Outcome.NOT_RUN, failure=failure)
        self.tell(ended, at_ns=T0 + S, run=run, attempt=attempt)
        return attempt


@pytest.fixture
def book(tmp_path: Path) -> Iterator[Book]:
    made = Book(StateFolder.open(tmp_path / "state"))
    yield made
    made.close()


@pytest.fixture
def mixed(book: Book, matrix: Matrix) -> Book:
    """A real run with a matched cell (two repeats, one spoiled third), a failed one, and one that was not run."""
    first, second, third = matrix.cells
    book.open()
    book.measure(first, 16600.0, repeat=1)
    book.measure(first, 16500.0, repeat=2)
    spoiled = (Reason(Validity.THROTTLED, "0000:05:00.0 power"), Reason(Validity.POWER_CAP, "600 W"))
    book.measure(first, 9000.0, repeat=3, reasons=spoiled)
    book.fail(second, line="=cmd|' /C calc'!A0 \x1b[31mHIP out of memory\u202e hf_abcdefghijklmnop")
    book.refuse(third)
    return book


@pytest.fixture
def golden() -> Callable[[str, bytes], None]:
    """Compare with a file under `golden/` beside the tests, byte by byte."""
    folder = Path(__file__).parent / "golden"

    def compare(name: str, data: bytes) -> None:
        assert data.decode() == (folder / name).read_bytes().decode()

    return compare
