"""What torchtitan prints: one line a step, colours between the fields, thousands separators, figures per GPU.

Rules: MAD's script of v25.5 takes the last value; that of v25.6 and later the mean of the log's entries 30 to 39
(counted from 0). Builds before 2025 print `wps` for `tps`, some leave `tflops` out: it follows from tokens/s then.
MFU is not taken over: the program divides by one peak for all precisions, and by an A100's for GPUs it does not know.
"""

import re
from collections.abc import Iterator, Mapping

from console.model.attempt import Failure, FailureClass, MetricValue, Phase
from console.model.cell import AnyCell
from console.workloads.flops import LLAMA_3_70B, formula_reasons, tflops_per_s
from console.workloads.lines import Line
from console.workloads.numbers import NUMBER, is_nan, number
from console.workloads.steps import GIB, STEP_S, TFLOPS, TOKENS, Step, mean
from console.workloads.training_reader import Figures, TrainingReader

WARM_UP = 5
"""Steps that are shown as warming up: compilation and the allocator settle in them. The rules do not ask."""

MEAN_ENTRIES = slice(30, 40)

_STEP = re.compile(rf"\bstep:\s*(\d{{1,9}})\s+loss:\s*({NUMBER})")
_MEMORY = re.compile(rf"\bmemory:\s*({NUMBER})GiB\(({NUMBER})%\)")
_TOKENS = re.compile(rf"\b[tw]ps:\s*({NUMBER})")
_TFLOPS = re.compile(rf"\btflops:\s*({NUMBER})")
_NORM = re.compile(rf"\bgrad_norm:\s*({NUMBER})")
_STARTS = re.compile(
    r"Training starts at step \d{1,9}, with local batch size (\d{1,9}), .{0,80}?sequence length (\d{1,9}), "
    r"total steps (\d{1,9})"
)


class TorchtitanReader(TrainingReader):
    """Reads local rank 0, the only one that prints."""

    markers = (
        ("Starting job:", Phase.STARTING),
        ("Building ", Phase.LOADING),
        ("Preparing c4", Phase.LOADING),
        ("Compiling ", Phase.COMPILING),
        ("Training completed", Phase.FINISHED),
    )

    def __init__(self, cell: AnyCell | None) -> None:
        super().__init__(metric=cell.metric if cell else TFLOPS, gpus=cell.gpus_per_node if cell else None, nodes=1)
        self._params = cell.params if cell else None
        self._rule = self._params.rule if self._params else "last"
        self._total: int | None = self._params.steps if self._params else None
        self._tokens_a_step = self._params.batch_size * self._params.sequence_length if self._params else None
        self._length: int | None = self._params.sequence_length if self._params else None
        self._seen: set[int] = set()

    def total(self) -> float | None:
        """As the program says it, else as the cell asks."""
        return self._total

    def phase_of(self, step: Step) -> Phase:
        """The first steps compile."""
        return Phase.MEASURING if step.number > WARM_UP else Phase.WARMING_UP

    def read_steps(self, line: Line) -> Iterator[Step]:
        """Fields in any order, each of them optional but the step and its loss."""
        text = line.text
        if "step:" not in text or (found := _STEP.search(text)) is None or int(found[1]) in self._seen:
            return
        rest = text[found.end() :]
        rate, work, memory, norm = (pattern.search(rest) for pattern in (_TOKENS, _TFLOPS, _MEMORY, _NORM))
        tokens = number(rate[1]) if rate else None
        tflops = number(work[1]) if work else None
        if tflops is None and tokens is not None and self._length and self._params is not None:
            tflops = tflops_per_s(tokens, LLAMA_3_70B, self._length)
        used = number(memory[2]) if memory else None
        held = number(memory[1]) if memory else None
        grad_norm = number(norm[1]) if norm else None
        self._seen.add(int(found[1]))
        yield Step(
            number=int(found[1]),
            seconds=self._tokens_a_step / tokens if self._tokens_a_step and tokens else None,
            tflops=tflops,
            tokens=tokens,
            loss=number(found[2]),
            loss_is_nan=is_nan(found[2]),
            memory_used=used / 100 if used is not None else None,
            memory_bytes=held * GIB if held is not None else None,
            extra={"grad_norm": grad_norm} if grad_norm is not None else {},
        )

    def take(self, line: Line) -> None:
        """Batch, length and number of steps, as the program understood them."""
        if "Training starts at step" in line.text and (found := _STARTS.search(line.text)) is not None:
            self._tokens_a_step = int(found[1]) * int(found[2])
            self._length, self._total = int(found[2]), int(found[3])

    def figures(self, files: Mapping[str, bytes]) -> Figures:
        """One rule makes the figure, the other one stands beside it."""
        if not self.complete():
            return Figures()
        rules = {
            "last": (self.steps[-1:], f"the last step, {self.steps[-1].number}"),
            "entries 30 to 39": (self.steps[MEAN_ENTRIES], "mean of the log's entries 30 to 39"),
        }
        counted, origin = rules.pop(self._rule)
        if self._rule != "last" and len(counted) < MEAN_ENTRIES.stop - MEAN_ENTRIES.start:
            line = f"the result rule needs {MEAN_ENTRIES.stop} step lines, the log has {len(self.steps)}"
            return Figures(problem=Failure(failure=FailureClass.NO_RESULT, line=line, remedy="run more steps"))
        values = [*_values(counted, origin, "value")]
        for others, said in rules.values():
            values += _values(others, said, "other rule")
        tflops, tokens = mean([step.tflops for step in counted]), mean([step.tokens for step in counted])
        known = self._params is not None and self._length
        reasons = formula_reasons(tflops, tokens, LLAMA_3_70B, self._length or 0) if known else []
        return Figures(values=tuple(values), reasons=tuple(reasons))


def _values(counted: list[Step], origin: str, stat: str) -> Iterator[MetricValue]:
    for metric, value in (
        (TFLOPS, mean([step.tflops for step in counted])),
        (TOKENS, mean([step.tokens for step in counted])),
        (STEP_S, mean([step.seconds for step in counted])),
    ):
        if value is not None:
            yield MetricValue(metric=metric, value=value, stat=stat, origin=origin)
