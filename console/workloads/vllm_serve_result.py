"""What the client `vllm bench serve` (and `benchmark_serving.py` before it) reports, and what the server's log says.

The table and the result file use milliseconds; results here are seconds.
"""

import re
from collections.abc import Iterator, Mapping

from console.model.attempt import Failure, FailureClass, MetricValue, Phase, Reason, Result, Validity
from console.model.cell import AnyCell
from console.workloads.lines import Line
from console.workloads.result_files import Numbers, differences, load, mismatch, no_file
from console.workloads.vllm_params import ServeParams
from console.workloads.vllm_reader import Figures, VllmReader, short_output

_ROW = re.compile(r"^([A-Z][A-Za-z0-9 -]{3,40}(?:\([A-Za-z/]{1,8}\))?):\s+(\d{1,15}(?:\.\d{1,15})?)$")
_TABLE = {
    "successful requests": "completed",
    "failed requests": "failed",
    "benchmark duration (s)": "duration",
    "total input tokens": "total_input_tokens",
    "total generated tokens": "total_output_tokens",
    "request throughput (req/s)": "request_throughput",
    "output token throughput (tok/s)": "output_throughput",
    "total token throughput (tok/s)": "total_token_throughput",
}
"""Rows of the table, in lower case (releases differ in theirs), by the key of the same figure in the file."""

_TIMES = {"ttft": "ttft_s", "tpot": "tpot_s", "itl": "itl_s", "e2el": "e2el_s"}
_STATS = ("mean", "median", "std", "p99")
_REQUIRED = ("duration", "completed", "total_output_tokens")
_PLAIN = (
    ("requests_per_s", "request_throughput"),
    ("elapsed_s", "duration"),
    ("requests", "completed"),
    ("prompt_tokens", "total_input_tokens"),
    ("output_tokens", "total_output_tokens"),
)


class ClientReader(VllmReader):
    """Reads the client; the headline is output tokens/s over the benchmark's duration."""

    def __init__(self, cell: AnyCell | None) -> None:
        super().__init__(
            headline=cell.metric if cell else "output_tokens_per_s",
            file_expected=cell is not None,
            unlabelled="requests",
        )
        self._params: ServeParams | None = cell.params if cell else None
        self._table: dict[str, float] = {}

    def take(self, line: Line) -> None:
        """Keep the rows of the final table."""
        if ":  " not in line.text or (row := _ROW.match(line.text)) is None:
            return
        name = row[1].lower()
        if name in _TABLE:
            self._table[_TABLE[name]] = float(row[2])
            return
        stat, _, rest = name.partition(" ")
        what = rest.removesuffix(" (ms)")
        if stat in _STATS and what in _TIMES and rest.endswith(" (ms)"):
            self._table[f"{stat}_{what}_ms"] = float(row[2])

    def figures(self, files: Mapping[str, bytes]) -> Figures:
        """The result file held against the table; the table alone for a log made by hand."""
        loaded = load(files, _REQUIRED)
        file = loaded if isinstance(loaded, Numbers) else None
        have = file.values if file else self._table
        origin = "result file" if file else "printed by the program"
        failed = self._failed(have)
        if isinstance(loaded, Failure):
            problem: Failure | None = loaded
        elif file is None and self.file_expected:
            problem = no_file()
        else:
            problem = mismatch(self._contradictions(file)) or self._nothing_done(have)
        completed = have.get("completed")
        length = self._params.output_len if self._params else self.asked.get("random_output_len")
        return Figures(
            values=tuple(_values(have, failed, origin)),
            problem=problem,
            reasons=(
                *self._unserved(failed, have),
                *short_output(have.get("total_output_tokens"), completed, length),
            ),
            seconds=have.get("duration"),
        )

    def _failed(self, have: Mapping[str, float]) -> float | None:
        """Failed requests: stated by new releases, else what is missing to the number asked for."""
        if "failed" in have:
            return have["failed"]
        asked = have.get("num_prompts") or (self._params.num_prompts if self._params else self.asked.get("num_prompts"))
        return asked - have["completed"] if asked and "completed" in have else None

    def _unserved(self, failed: float | None, have: Mapping[str, float]) -> Iterator[Reason]:
        if failed:
            yield Reason(
                Validity.FAILED_REQUESTS, f"{failed:.0f} requests failed, {have.get('completed', 0):.0f} were answered"
            )

    def _contradictions(self, file: Numbers | None) -> tuple[str, ...]:
        if file is None or file.values["duration"] <= 0:
            return () if file is None else (f"duration: {file.values['duration']:g} s",)
        have, table = file.values, self._table
        rate = have["total_output_tokens"] / have["duration"]
        return differences(
            (
                ("output tokens/s, counted and in the file", rate, have.get("output_throughput")),
                ("output tokens/s, counted and printed", rate, table.get("output_throughput")),
                ("requests, in the file and printed", have["completed"], table.get("completed")),
            )
        )

    def _nothing_done(self, have: Mapping[str, float]) -> Failure | None:
        if have.get("completed") != 0:
            return None
        return Failure(
            failure=FailureClass.NO_RESULT,
            line="no request was answered",
            remedy="look at the server's log for its first error",
        )


class ServerReader(VllmReader):
    """Reads the server, which decides nothing: its result has no figures, and a failure only when it broke."""

    def __init__(self, cell: AnyCell | None) -> None:
        super().__init__(headline=cell.metric if cell else "output_tokens_per_s", file_expected=False)

    def take(self, line: Line) -> None:
        """The server prints no result."""

    def figures(self, files: Mapping[str, bytes]) -> Figures:
        """The server writes no file."""
        return Figures()

    def conclude(self, figures: Figures, exit_code: int | None) -> Result:
        """Fail only when it broke by itself."""
        return self.as_server(super().conclude(figures, exit_code), exit_code)


class EitherReader(ClientReader):
    """Reads a log made by hand of which nobody said whether it is the server's or the client's."""

    def __init__(self) -> None:
        super().__init__(None)

    def conclude(self, figures: Figures, exit_code: int | None) -> Result:
        """A log of an engine that became ready and printed no table is a server's."""
        result = super().conclude(figures, exit_code)
        server = Phase.READY in self.log.entered and not self._table
        return self.as_server(result, exit_code) if server else result


def _values(have: Mapping[str, float], failed: float | None, origin: str) -> Iterator[MetricValue]:
    seconds = have.get("duration")
    for metric, tokens, printed in (
        ("output_tokens_per_s", have.get("total_output_tokens"), have.get("output_throughput")),
        ("total_tokens_per_s", None, have.get("total_token_throughput")),
    ):
        if tokens is not None and seconds is not None and seconds > 0 and origin == "result file":
            yield MetricValue(metric=metric, value=tokens / seconds, origin="counted output tokens over the duration")
        elif printed is not None:
            yield MetricValue(metric=metric, value=printed, origin=origin)
    for metric, key in _PLAIN:
        if key in have:
            yield MetricValue(metric=metric, value=have[key], origin=origin)
    if failed is not None:
        yield MetricValue(metric="failed_requests", value=failed, origin=origin)
    for what, metric in _TIMES.items():
        for stat in _STATS:
            key = f"{stat}_{what}_ms"
            if key in have:
                yield MetricValue(metric=metric, value=have[key] / 1000, stat=stat, origin=origin)
