"""What `benchmark_latency.py` and `vllm bench latency` report: seconds of every timed batch, mean and percentiles."""

import re
from collections.abc import Mapping

from console.model.attempt import Failure, MetricValue
from console.model.cell import AnyCell
from console.workloads.lines import Line
from console.workloads.result_files import Numbers, bad_file, differences, load, mismatch, no_file
from console.workloads.vllm_params import LatencyParams
from console.workloads.vllm_reader import Figures, VllmReader

_N = r"(\d{1,15}(?:\.\d{1,20})?(?:e-?\d{1,3})?)"
_AVERAGE = re.compile(rf"^Avg latency: {_N} seconds")
_PERCENTILE = re.compile(rf"^(\d{{1,3}})% percentile latency: {_N} seconds")


class LatencyReader(VllmReader):
    """Reads a latency run; the headline is the mean of the timed iterations, all of which are kept."""

    def __init__(self, cell: AnyCell | None) -> None:
        super().__init__(headline=cell.metric if cell else "latency_s", file_expected=cell is not None)
        self._params: LatencyParams | None = cell.params if cell else None
        self._average: float | None = None
        self._percentiles: dict[str, float] = {}

    def take(self, line: Line) -> None:
        """Keep the average and the percentiles."""
        if line.text.startswith("Avg latency: ") and (match := _AVERAGE.match(line.text)):
            self._average = float(match[1])
        elif "% percentile latency: " in line.text and (percentile := _PERCENTILE.match(line.text)):
            self._percentiles[percentile[1]] = float(percentile[2])

    def figures(self, files: Mapping[str, bytes]) -> Figures:
        """The mean of the file's iterations, held against its own average and the printed one."""
        loaded = load(files, lists=("latencies",))
        if not isinstance(loaded, Numbers):
            problem = loaded if isinstance(loaded, Failure) else (no_file() if self.file_expected else None)
            return Figures(values=self._printed(), problem=problem)
        latencies = loaded.lists["latencies"]
        if min(latencies) <= 0:
            return Figures(values=self._printed(), problem=bad_file("has no usable latencies"))
        mean = sum(latencies) / len(latencies)
        asked = self._params.iterations if self._params else self.asked.get("num_iters")
        found = differences(
            (
                ("average latency (s), of the iterations and in the file", mean, loaded.values.get("avg_latency")),
                ("average latency (s), of the iterations and printed", mean, self._average),
                ("iterations, in the file and asked for", float(len(latencies)), asked),
            ),
            rounding=1e-6,
        )
        origin = f"mean of {len(latencies)} iterations in the result file"
        return Figures(
            values=(
                MetricValue(metric="latency_s", value=mean, stat="mean", origin=origin),
                *_iterations(latencies),
                *_percentiles(loaded.nested.get("percentiles", {}) or self._percentiles, "result file"),
            ),
            problem=mismatch(found),
            seconds=sum(latencies),
        )

    def _printed(self) -> tuple[MetricValue, ...]:
        if self._average is None:
            return ()
        mean = MetricValue(metric="latency_s", value=self._average, stat="mean", origin="printed by the program")
        return (mean, *_percentiles(self._percentiles, "printed by the program"))


def _iterations(latencies: tuple[float, ...]) -> tuple[MetricValue, ...]:
    return tuple(
        MetricValue(metric="latency_s", value=value, iteration=number, origin="result file")
        for number, value in enumerate(latencies)
    )


def _percentiles(values: Mapping[str, float], origin: str) -> tuple[MetricValue, ...]:
    return tuple(
        MetricValue(metric="latency_s", value=value, stat=f"p{name}", origin=origin)
        for name, value in values.items()
        if name.isdecimal() and len(name) <= 3
    )
