"""What Megatron-LM's example scripts print: iteration lines of the last rank, then a summary made from them.

Rules: the Llama scripts take the mean of the iterations 3 to N-1, the DeepSeek one of 2 to N-1. The summary's lines
look like fields of the iteration line (`throughput per GPU: 589.3` beside `throughput per GPU (TFLOP/s/GPU): 590.2`),
come on every node, are `nan`, `-nan` or empty where no iteration was printed, and are printed after a crash too: a
summary counts only when the last iteration was reached.
"""

import re
from collections.abc import Iterator, Mapping
from typing import Literal

import msgspec

from console.model.attempt import Failure, FailureClass, MetricValue, Phase
from console.model.cell import AnyCell
from console.workloads.flops import DEEPSEEK_V2_LITE_ACTIVE, Shape, formula_reasons, tflops_estimate
from console.workloads.lines import Line
from console.workloads.megatron_line import iterations
from console.workloads.numbers import NUMBER, number
from console.workloads.oneliner import OneLinerErrors
from console.workloads.result_files import differences, mismatch
from console.workloads.steps import STEP_S, TFLOPS, TOKENS, Step, mean
from console.workloads.training_reader import Figures, TrainingReader

Model = Literal["llama", "deepseek"]

DROPPED_FIRST: Mapping[Model, int] = {"llama": 2, "deepseek": 1}
"""Iterations at the start that the script's summary leaves out; the last one is left out too."""

_SUMMARY = (
    ("tflops", re.compile(rf"throughput per GPU:\s*({NUMBER})?\s*$")),
    ("milliseconds", re.compile(rf"elapsed time per iteration:\s*({NUMBER})?\s*$")),
    ("tokens", re.compile(rf"tokens/GPU/s:\s*({NUMBER})?\s*$")),
    ("memory", re.compile(rf"mem usages:\s*({NUMBER})?\s*$")),
)
_TABLE_HEAD = "EXP_NAME #Nodes Model_SIZE"
_ARGUMENT = re.compile(r"\s*(seq_length|world_size|global_batch_size) \.{2,}\s*(\d{1,12})\s*$")
_SEQUENCE = re.compile(r"--seq-length (\d{1,9})")


class Sizes(msgspec.Struct, kw_only=True):
    """What tokens/s are made of: GPUs of all nodes, tokens of a sample, samples of an iteration."""

    gpus: int | None = None
    sequence_length: int | None = None
    global_batch_size: float | None = None


class MegatronReader(TrainingReader):
    """Reads one node. Only the last rank prints iterations: the other nodes' readers have `prints` False."""

    markers = (
        ("> initializing torch distributed", Phase.STARTING),
        ("using world size:", Phase.STARTING),
        ("> building ", Phase.LOADING),
        ("building GPT model", Phase.LOADING),
        ("> number of parameters", Phase.LOADING),
        ("[before the start of training step]", Phase.WARMING_UP),
        ("[after training is done]", Phase.FINISHED),
        ("tokens/GPU/s:", Phase.FINISHED),
    )

    def __init__(self, cell: AnyCell | None, *, model: Model, shape: Shape | None = None, prints: bool = True) -> None:
        metric = TFLOPS if model == "llama" else TOKENS
        nodes = cell.nodes if cell else None
        super().__init__(
            metric=cell.metric if cell else metric,
            gpus=cell.gpus_per_node if cell else None,
            nodes=nodes,
            prints=prints,
        )
        self._model = model
        self._shape = shape
        self._total: int | None = None
        self._sizes = Sizes()
        if cell is not None:
            self._total = cell.params.iterations
            self._sizes = Sizes(
                gpus=cell.nodes * cell.gpus_per_node,
                sequence_length=cell.params.sequence_length,
                global_batch_size=cell.params.global_batch_size,
            )
        self._asked = cell is not None
        self._seen: set[int] = set()
        self._summary: dict[str, str | None] = {}
        self._table_next = False
        self._oneliner = OneLinerErrors()

    def total(self) -> float | None:
        """As the program says it, else as the cell asks."""
        return self._total

    def phase_of(self, step: Step) -> Phase:
        """The first iterations tune matrix multiplications and are left out of the summary."""
        return Phase.MEASURING if step.number > DROPPED_FIRST[self._model] else Phase.WARMING_UP

    def harmless(self, line: Line) -> bool:
        """The scripts ask `rdma` for eight links, and print a traceback where there are none."""
        return self._oneliner.swallow(line)

    def read_steps(self, line: Line) -> Iterator[Step]:
        """Iterations; tokens/s follow from batch, length and time where the line has none."""
        if "iteration" not in line.text:
            return
        for found in iterations(line.text):
            self._total = found.total
            if found.number in self._seen:
                continue
            self._seen.add(found.number)
            seconds = found.milliseconds / 1000 if found.milliseconds else None
            tokens = found.tokens if found.tokens is not None else self._tokens(seconds, found.global_batch_size)
            extra = {"skipped_iterations": found.skipped} if found.skipped else {}
            if self._model == "deepseek" and tokens is not None:
                extra["tflops_per_s_per_gpu_estimate"] = tflops_estimate(tokens, DEEPSEEK_V2_LITE_ACTIVE)
            yield Step(
                number=found.number,
                seconds=seconds,
                tflops=found.tflops if self._model == "llama" else None,
                tokens=tokens,
                loss=found.loss,
                loss_is_nan=found.loss_is_nan,
                memory_used=found.memory_used,
                extra=extra,
            )

    def take(self, line: Line) -> None:
        """The summary, in both forms, and for a log without a cell the sizes the program lists."""
        text = line.text
        if self._table_next:
            self._table_next = False
            self._read_table(text.split())
        if _TABLE_HEAD in text:
            self._table_next = True
        for name, pattern in _SUMMARY:
            if (found := pattern.match(text)) is not None:
                self._summary[name] = found[1]
        if not self._asked:
            self._read_sizes(text)

    def figures(self, files: Mapping[str, bytes]) -> Figures:
        """The mean over the counted iterations, held against the summary; nothing of a run that did not finish."""
        if not self.complete():
            return Figures(problem=None if self.steps or not self._summary else _WITHOUT_ITERATIONS)
        last = self.steps[-1].number
        counted = [step for step in self.steps if DROPPED_FIRST[self._model] < step.number < last]
        if not counted:
            line = f"the summary leaves out the first iterations and the last: of {last} none is left"
            return Figures(problem=Failure(failure=FailureClass.NO_RESULT, line=line, remedy="run more iterations"))
        seconds = mean([step.seconds for step in counted])
        own = {
            "tflops": mean([step.tflops for step in counted]),
            "milliseconds": seconds * 1000 if seconds else None,
            "tokens": self._tokens(seconds, self._sizes.global_batch_size) or mean([step.tokens for step in counted]),
        }
        printed = {name: number(self._summary.get(name)) for name, _ in _SUMMARY}
        found = differences(
            (f"{what}, in the summary and from the iterations", printed[name], own[name])
            for name, what in (("tflops", "TFLOP/s"), ("milliseconds", "ms an iteration"), ("tokens", "tokens/s"))
        )
        origin = f"mean of the iterations {counted[0].number} to {counted[-1].number}"
        values = [_value(TOKENS, printed["tokens"], own["tokens"], origin)]
        if self._model == "llama":
            values.append(_value(TFLOPS, printed["tflops"], own["tflops"], origin))
        values.append(_value(STEP_S, _thousandth(printed["milliseconds"]), seconds, origin))
        values.append(_value("gpu_memory_used", printed["memory"], mean([s.memory_used for s in counted]), origin))
        length = self._sizes.sequence_length
        reasons = formula_reasons(own["tflops"], own["tokens"], self._shape, length) if self._shape and length else []
        return Figures(
            values=tuple(value for value in values if value is not None),
            problem=mismatch(found),
            reasons=tuple(reasons),
        )

    def _tokens(self, seconds: float | None, batch: float | None) -> float | None:
        """Tokens/s per GPU as the script computes it: batch x length over time and GPUs."""
        sizes = self._sizes
        batch = batch or sizes.global_batch_size
        if not seconds or not batch or not sizes.sequence_length or not sizes.gpus:
            return None
        return batch * sizes.sequence_length / (seconds * sizes.gpus)

    def _read_table(self, words: list[str]) -> None:
        """The summary of older images: one row under its heading, tokens/s and TFLOP/s in columns 10 and 11."""
        if len(words) > 10 and all(word.isdigit() for word in words[1:9]):
            self._summary["tokens"], self._summary["tflops"] = words[9], words[10]

    def _read_sizes(self, text: str) -> None:
        if "--seq-length " in text and (option := _SEQUENCE.search(text)) is not None:
            self._sizes.sequence_length = int(option[1])
        if " ...." not in text or (found := _ARGUMENT.match(text)) is None:
            return
        if found[1] == "seq_length":
            self._sizes.sequence_length = int(found[2])
        elif found[1] == "world_size":
            self._sizes.gpus = int(found[2])
        else:
            self._sizes.global_batch_size = float(found[2])


_WITHOUT_ITERATIONS = Failure(
    failure=FailureClass.NO_RESULT,
    line="the summary is empty: iterations are printed on the last node only",
    remedy="read the log of the node with the highest rank",
)


def _thousandth(value: float | None) -> float | None:
    return value / 1000 if value is not None else None


def _value(metric: str, printed: float | None, own: float | None, origin: str) -> MetricValue | None:
    if printed is not None:
        return MetricValue(metric=metric, value=printed, origin=f"the program's summary: {origin}")
    return MetricValue(metric=metric, value=own, origin=origin) if own is not None else None
