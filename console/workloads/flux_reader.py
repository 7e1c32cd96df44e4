"""What FluxBenchmark's launcher and its runs print. Figures are per GPU; `fps` are images per second.

Rule of the published figure: the mean of a run without its first five steps, as the launcher's summary has it; of the
runs, that of the row's batch size, which is the last one. A step belongs to the run whose batch its figures make
(images/s x seconds): the launcher's lines and its runs' log files do not arrive in one order.
"""

import csv
import re
from collections.abc import Iterator, Mapping

from console.model.attempt import MetricValue, Phase
from console.model.cell import AnyCell
from console.workloads.lines import Line
from console.workloads.numbers import NUMBER, is_nan, number
from console.workloads.places import RESULT_FILE
from console.workloads.result_files import differences, mismatch
from console.workloads.steps import IMAGES, STEP_S, TFLOPS, Step, mean
from console.workloads.training_reader import Figures, TrainingReader

WARM_UP = 5
"""Steps at the start of each run that the launcher's summary leaves out."""

SUMMARY = "/workspace/FluxBenchmark/outputs/runs/sweep_000/runs_summary.csv"
BATCHES = (1, 10)
"""The batch sizes of the launcher's own configuration, one run each."""

_STEP = re.compile(r"\bStep (\d{1,9}): \{([^{}]{1,2000})\}?")
_FIELD = re.compile(rf"'([\w/ ]{{1,40}})': ({NUMBER})")
_RUNS = re.compile(r"Total runs to execute: (\d{1,4})")
_RUN_ENDED = re.compile(r"\bRun (\d{1,4}) completed successfully!")
_FPS = ("avg_fps_gpu", "avg_fps")
_BATCH = ("train_batch_size", "batch_size", "train_args.train_batch_size")


class FluxReader(TrainingReader):
    """Reads the launcher's output, with the log files of its runs mixed in."""

    markers = (
        ("Total runs to execute:", Phase.STARTING),
        ("Starting run ", Phase.LOADING),
        ("All runs completed", Phase.FINISHED),
    )

    def __init__(self, cell: AnyCell | None) -> None:
        super().__init__(metric=cell.metric if cell else IMAGES, gpus=cell.gpus_per_node if cell else None, nodes=1)
        self._params = cell.params if cell else None
        self._runs: int | None = len(BATCHES) if cell else None
        self._batches: list[int] = []
        self._of: dict[int, set[int]] = {}
        self._steps_of: dict[int, list[Step]] = {}
        self._succeeded: set[int] = set()
        self._done = 0.0

    def total(self) -> float | None:
        """Steps of all runs."""
        return float(self._runs * self._params.iterations) if self._runs and self._params else None

    def done(self, step: Step) -> float:
        """Steps of the runs before, and of this one."""
        return self._done

    def phase_of(self, step: Step) -> Phase:
        """Only the run of the row's batch size counts, and not its first steps."""
        batch = self._batches[-1] if self._batches else 0
        counts = batch == (self._params.batch_size if self._params else batch)
        return Phase.MEASURING if counts and len(self._of.get(batch, ())) > WARM_UP else Phase.WARMING_UP

    def complete(self) -> bool:
        """The launcher says that every run succeeded, or the run of the row's batch size made all its steps."""
        if self._runs and len(self._succeeded) >= self._runs:
            return True
        steps = self._counted_run()
        return bool(steps) and self._params is not None and len(steps) >= self._params.iterations - 1

    def read_steps(self, line: Line) -> Iterator[Step]:
        """A step that the launcher repeats from its log file is taken once."""
        if "Step " not in line.text or (found := _STEP.search(line.text)) is None:
            return
        fields = dict(_FIELD.findall(found[2]))
        fps = number(fields.get("fps_gpu"))
        seconds = number(fields.get("step_time_total", fields.get("step_time")))
        at = int(found[1])
        batch = round(fps * seconds) if fps and seconds else (self._batches[-1] if self._batches else 0)
        seen = self._of.setdefault(batch, set())
        if at in seen or "fps_gpu" not in fields:
            return
        seen.add(at)
        if batch not in self._batches:
            self._batches.append(batch)
        before = sum(len(self._of[other]) for other in self._batches if other != batch)
        self._done = float(before + len(seen))
        loss = fields.get("step_loss")
        step = Step(
            number=at,
            seconds=seconds,
            tflops=number(fields.get("tflops/s")) or None,  # 0.0: not counted, under torch.compile
            images=fps,
            loss=number(loss),
            loss_is_nan=is_nan(loss),
            extra={"batch_size": float(batch)} if batch else {},
            # then the model is loaded again; steps may be counted from 2 on
            pause=self._params is not None and len(seen) >= self._params.iterations - 1,
        )
        self._steps_of.setdefault(batch, []).append(step)
        yield step

    def take(self, line: Line) -> None:
        """How many runs there will be, and which of them succeeded."""
        if "completed successfully!" in line.text and (ended := _RUN_ENDED.search(line.text)) is not None:
            self._succeeded.add(int(ended[1]))
        if "Total runs to execute:" in line.text and (found := _RUNS.search(line.text)) is not None:
            self._runs = int(found[1])

    def figures(self, files: Mapping[str, bytes]) -> Figures:
        """The launcher's summary, held against the steps of the same run."""
        counted = self._counted_run()
        after = counted[WARM_UP:]
        own = mean([step.images for step in after]) if self.complete() else None
        data = files.get(SUMMARY, files.get(RESULT_FILE))  # the latter: given by hand with a log
        printed = _summary(data, self._batch()) if self.complete() else None
        found = differences((("images/s, in the summary and from the steps", printed, own),))
        work, seconds = mean([step.tflops for step in after]), mean([step.seconds for step in after])
        origin = f"mean of batch {self._batch()} without its first {WARM_UP} steps"
        values = [
            _value(IMAGES, printed, f"{origin}, from the launcher's summary") or _value(IMAGES, own, origin),
            _value(TFLOPS, work, origin),
            _value(STEP_S, seconds, origin),
        ]
        self.steps = counted
        return Figures(values=tuple(value for value in values if value is not None), problem=mismatch(found))

    def _batch(self) -> int | None:
        if self._params is not None:
            return int(self._params.batch_size)
        return self._batches[-1] if self._batches else None

    def _counted_run(self) -> list[Step]:
        batch = self._batch()
        return self._steps_of.get(batch, []) if batch is not None else []


def _value(metric: str, value: float | None, origin: str) -> MetricValue | None:
    return MetricValue(metric=metric, value=value, origin=origin) if value is not None else None


def _summary(data: bytes | None, batch: int | None) -> float | None:
    """Images/s of the row for that batch size, else of the last row; None for anything that is no such table."""
    if not data:
        return None
    try:
        rows = list(csv.DictReader(data.decode("utf-8", "replace").splitlines()))
    except csv.Error:
        return None
    for name in _BATCH:
        of_batch = [row for row in rows if number(row.get(name)) == batch]
        if of_batch:
            rows = of_batch
            break
    if not rows:
        return None
    return next((value for name in _FPS if (value := number(rows[-1].get(name))) is not None), None)
