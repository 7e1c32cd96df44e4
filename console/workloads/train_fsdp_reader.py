"""What `train_fsdp.py` prints, and MAD's `train_llama.py`, which came from it. All figures are per GPU.

Rule of the published figures: the FLOP of one iteration over the mean iteration time of the second half of the steps
(`Step:` lines; the first half are printed as `warming up iter:`). The result line is `Avg TFLOP/s, X` with a comma in
train_fsdp.py and with a colon in train_llama.py.
"""

import re
from collections.abc import Iterator, Mapping

from console.model.attempt import MetricValue, Phase
from console.model.cell import AnyCell
from console.workloads.flops import LLAMA_3_8B, MISTRAL_7B, Shape, formula_reasons
from console.workloads.lines import Line
from console.workloads.numbers import NUMBER, is_nan, number
from console.workloads.result_files import differences, mismatch
from console.workloads.steps import STEP_S, TFLOPS, TOKENS, Step, mean
from console.workloads.training_reader import Figures, TrainingReader

_FSDP = re.compile(
    rf"(?:warming up iter: (?P<warm>\d{{1,9}})/(?P<half>[\d.]{{1,12}})|Step: (?P<step>\d{{1,9}})); "
    rf"TFLOP/s: (?P<tflops>{NUMBER}); iteration time: (?P<seconds>{NUMBER}); token per second: (?P<tokens>{NUMBER})"
)
_LLAMA = re.compile(
    rf"\[(?P<kind>Warmup|Test)\] Step: (?P<step>\d{{1,9}})/(?P<total>\d{{1,9}}); TFLOP/s: (?P<tflops>{NUMBER}); "
    rf"iter time: (?P<seconds>{NUMBER}); tokens/s: (?P<tokens>{NUMBER})"
)
_LOSS = re.compile(rf"(\d{{1,9}}) ({NUMBER})")
_RESULTS = (
    ("tokens", re.compile(rf"Avg token per second:\s*({NUMBER})")),
    ("seconds", re.compile(rf"Avg iter time:\s*({NUMBER})")),
    ("tflops", re.compile(rf"Avg TFLOP/s[,:]\s*({NUMBER})")),
    ("memory", re.compile(rf"Peak memory use = ({NUMBER})MB")),
    ("tflop_a_step", re.compile(rf"TFLOP per iteration:\s*({NUMBER})")),
)


class TrainFsdpReader(TrainingReader):
    """Reads rank 0 of the one node. The steps that count are those the program says it measures."""

    markers = (
        ("Initing communication", Phase.STARTING),
        ("Using config ", Phase.STARTING),
        ("Loaded model on CPU", Phase.LOADING),
        ("Compiling model", Phase.COMPILING),
        ("Avg token per second", Phase.FINISHED),
        ("Avg TFLOP/s", Phase.FINISHED),
    )

    def __init__(self, cell: AnyCell | None) -> None:
        super().__init__(metric=cell.metric if cell else TFLOPS, gpus=cell.gpus_per_node if cell else None, nodes=1)
        self._params = cell.params if cell else None
        self._total: int | None = self._params.steps if self._params else None
        self._measured: set[int] = set()
        self._seen: set[int] = set()
        self._losses: dict[int, tuple[float | None, bool]] = {}
        self._printed: dict[str, str] = {}

    def total(self) -> float | None:
        """As the program says it, else as the cell asks."""
        return self._total

    def phase_of(self, step: Step) -> Phase:
        """The program's own word."""
        return Phase.MEASURING if step.number in self._measured else Phase.WARMING_UP

    def complete(self) -> bool:
        """The averages are printed by a program that made all steps."""
        return "tflops" in self._printed or super().complete()

    def read_steps(self, line: Line) -> Iterator[Step]:
        """Progress bars draw a step again and again, and the log file repeats it: the first counts."""
        text = line.text
        if "TFLOP/s: " not in text:
            if text[:1].isdigit() and (loss := _LOSS.fullmatch(text)) is not None:
                self._losses[int(loss[1])] = (number(loss[2]), is_nan(loss[2]))
            return
        found = _FSDP.search(text)
        if found is not None:
            index = int(found["warm"] or found["step"])
            counts, at = found["step"] is not None, index + 1
            if found["half"] is not None and (half := number(found["half"])) is not None:
                self._total = round(2 * half)
        elif (found := _LLAMA.search(text)) is not None:
            index = at = int(found["step"])
            counts = found["kind"] == "Test"
            self._total = int(found["total"])
        else:
            return
        if at in self._seen:
            return
        self._seen.add(at)
        if counts:
            self._measured.add(at)
        loss_value, loss_is_nan = self._losses.pop(index, (None, False))
        yield Step(
            number=at,
            seconds=number(found["seconds"]),
            tflops=number(found["tflops"]),
            tokens=number(found["tokens"]),
            loss=loss_value,
            loss_is_nan=loss_is_nan,
        )

    def take(self, line: Line) -> None:
        """Keep the averages and the peak memory; the last of each counts."""
        if "Avg " not in line.text and "Peak memory" not in line.text and "TFLOP per iter" not in line.text:
            return
        for name, pattern in _RESULTS:
            if (found := pattern.search(line.text)) is not None:
                self._printed[name] = found[1]

    def figures(self, files: Mapping[str, bytes]) -> Figures:
        """The printed averages, held against the steps they are made of and against the formula."""
        tflops, tokens, seconds = (number(self._printed.get(name)) for name in ("tflops", "tokens", "seconds"))
        counted = [step for step in self.steps if step.number in self._measured]
        own_seconds = mean([step.seconds for step in counted]) if self.complete() else None
        work = self._work(counted)
        own_tflops = work / own_seconds if work and own_seconds else None
        found = differences(
            (
                ("TFLOP/s, printed and from the steps", tflops, own_tflops),
                ("seconds a step, printed and from the steps", seconds, own_seconds),
            ),
            rounding=0.005,
        )
        values = [
            _value(TFLOPS, tflops, own_tflops),
            _value(TOKENS, tokens, None),
            _value(STEP_S, seconds, own_seconds),
        ]
        if (memory := number(self._printed.get("memory"))) is not None:
            values.append(MetricValue(metric="gpu_memory_bytes", value=memory * 1e6, stat="max", origin=_PRINTED))
        shape = self._shape()
        reasons = formula_reasons(tflops, tokens, shape, self._params.sequence_length) if shape and self._params else []
        return Figures(
            values=tuple(value for value in values if value is not None),
            problem=mismatch(found),
            reasons=tuple(reasons),
        )

    def _work(self, counted: list[Step]) -> float | None:
        """TFLOP of one step: as printed before the run, else as its lines imply."""
        printed = number(self._printed.get("tflop_a_step"))
        if printed is not None:
            return printed
        return mean([step.tflops * step.seconds if step.tflops and step.seconds else None for step in counted])

    def _shape(self) -> Shape | None:
        if self._params is None:
            return None
        return LLAMA_3_8B if self._params.architecture == "llama" else MISTRAL_7B


_PRINTED = "printed by the program: the second half of the steps"
_COUNTED = "from the step lines: the second half of the steps"


def _value(metric: str, printed: float | None, counted: float | None) -> MetricValue | None:
    if printed is not None:
        return MetricValue(metric=metric, value=printed, origin=_PRINTED)
    return MetricValue(metric=metric, value=counted, origin=_COUNTED) if counted is not None else None
