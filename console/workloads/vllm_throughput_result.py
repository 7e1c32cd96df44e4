"""What `benchmark_throughput.py` and `vllm bench throughput` report.

The line `Throughput: R requests/s, T total tokens/s, O output tokens/s` and the counted totals below it (releases from
0.8.3) stand beside the result file, whose `tokens_per_second` is the total of prompt and output tokens.
"""

import re
from collections.abc import Mapping

from console.model.attempt import Failure, FailureClass, MetricValue
from console.model.cell import AnyCell
from console.workloads.lines import Line
from console.workloads.result_files import Numbers, differences, load, mismatch, no_file
from console.workloads.vllm_params import ThroughputParams
from console.workloads.vllm_reader import Figures, VllmReader, short_output

_N = r"(\d{1,15}(?:\.\d{1,15})?)"
_THROUGHPUT = re.compile(rf"^Throughput: {_N} requests/s, {_N} (?:total )?tokens/s(?:, {_N} output tokens/s)?")
_TOTAL = re.compile(r"^Total num (prompt|output) tokens:\s+(\d{1,15})")
_REQUIRED = ("elapsed_time", "num_requests", "total_num_tokens")


class ThroughputReader(VllmReader):
    """Reads an offline throughput run; the headline is counted output tokens over elapsed time."""

    def __init__(self, cell: AnyCell | None) -> None:
        super().__init__(
            headline=cell.metric if cell else "output_tokens_per_s",
            file_expected=cell is not None,
        )
        self._params: ThroughputParams | None = cell.params if cell else None
        self._requests: float | None = None
        self._total: float | None = None
        self._output: float | None = None
        self._counted: dict[str, int] = {}

    def take(self, line: Line) -> None:
        """Keep the throughput line and the totals; the last of each counts."""
        if line.text.startswith("Throughput: ") and (match := _THROUGHPUT.match(line.text)):
            self._requests, self._total = float(match[1]), float(match[2])
            self._output = float(match[3]) if match[3] else None
        elif line.text.startswith("Total num ") and (total := _TOTAL.match(line.text)):
            self._counted[total[1]] = int(total[2])

    def figures(self, files: Mapping[str, bytes]) -> Figures:
        """Join the printed line, the counted totals and the result file."""
        loaded = load(files, _REQUIRED)
        file = loaded if isinstance(loaded, Numbers) else None
        elapsed = file.values["elapsed_time"] if file else None
        if elapsed is not None and elapsed <= 0:
            return Figures(values=self._printed(), problem=mismatch((f"elapsed time: {elapsed:g} s",)))
        output = self._counted.get("output")
        counted = output / elapsed if elapsed and output is not None else None
        prompts = self._prompts()
        if isinstance(loaded, Failure):
            problem: Failure | None = loaded
        elif file is None and self.file_expected:
            problem = no_file()
        else:
            problem = mismatch(self._contradictions(file, counted, prompts)) or self._without_output(counted)
        length = self._params.output_len if self._params else self._asked_length()
        return Figures(
            values=(*self._values(file, counted), *self._counts()),
            problem=problem,
            reasons=short_output(output, prompts, length),
            seconds=elapsed,
        )

    def _prompts(self) -> int | None:
        return self._params.num_prompts if self._params else self.asked.get("num_prompts")

    def _asked_length(self) -> int | None:
        return self.asked.get("output_len") or self.asked.get("random_output_len")

    def _contradictions(self, file: Numbers | None, counted: float | None, prompts: int | None) -> tuple[str, ...]:
        if file is None:
            return ()
        have = file.values
        per_second = 1 / have["elapsed_time"]
        both = sum(self._counted.values()) if len(self._counted) == 2 else None
        return differences(
            (
                ("output tokens/s, counted and printed", counted, self._output),
                ("total tokens/s, from the file and printed", have["total_num_tokens"] * per_second, self._total),
                ("total tokens/s in the file", have["total_num_tokens"] * per_second, have.get("tokens_per_second")),
                ("requests/s, from the file and printed", have["num_requests"] * per_second, self._requests),
                ("total tokens, from the file and counted", have["total_num_tokens"], both),
                ("requests, from the file and asked for", have["num_requests"], prompts),
            )
        )

    def _without_output(self, counted: float | None) -> Failure | None:
        """Old releases print one figure, the total: nothing says how much of it was output."""
        if counted is not None or self._output is not None or (self._total is None and not self.file_expected):
            return None
        return Failure(
            failure=FailureClass.NO_RESULT,
            line="only total tokens/s are known: this vLLM prints no output tokens/s and counts no output tokens"
            if self._total is not None
            else "the log has no Throughput line, and the result file knows total tokens only",
            remedy="choose an image with vLLM 0.6.4 or newer for output tokens/s",
        )

    def _values(self, file: Numbers | None, counted: float | None) -> tuple[MetricValue, ...]:
        if file is None:
            return self._printed()
        have, values = file.values, []
        if counted is not None:
            values.append(
                MetricValue(
                    metric="output_tokens_per_s",
                    value=counted,
                    origin="counted output tokens over the elapsed time of the result file",
                )
            )
        elif self._output is not None:
            values.append(_printed("output_tokens_per_s", self._output))
        elapsed = have["elapsed_time"]
        pairs = (
            ("total_tokens_per_s", have["total_num_tokens"] / elapsed),
            ("requests_per_s", have["num_requests"] / elapsed),
            ("elapsed_s", elapsed),
            ("requests", have["num_requests"]),
        )
        values += [MetricValue(metric=metric, value=value, origin="result file") for metric, value in pairs]
        return tuple(values)

    def _printed(self) -> tuple[MetricValue, ...]:
        pairs = (
            ("output_tokens_per_s", self._output),
            ("total_tokens_per_s", self._total),
            ("requests_per_s", self._requests),
        )
        return tuple(_printed(metric, value) for metric, value in pairs if value is not None)

    def _counts(self) -> tuple[MetricValue, ...]:
        return tuple(
            MetricValue(metric=f"{kind}_tokens", value=float(self._counted[kind]), origin="counted by the program")
            for kind in ("prompt", "output")
            if kind in self._counted
        )


def _printed(metric: str, value: float) -> MetricValue:
    return MetricValue(metric=metric, value=value, origin="printed by the program")
