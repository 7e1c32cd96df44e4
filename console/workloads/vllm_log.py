"""What every vLLM program logs, from 0.4.3 to today: engine and version, phases, stat lines, bars.

Sources of the formats are vLLM's own: `engine/metrics.py` (V0, every 5 s), `v1/metrics/loggers.py` (V1, every 10 s).
"""

import re
from collections.abc import Iterator

from console.model.attempt import Phase, PhaseSeen, Sample
from console.model.text import safe_line
from console.workloads.bars import Bar, read_bar
from console.workloads.lines import Line

_N = r"(\d{1,15}(?:\.\d{1,15})?)"
_STAT = re.compile(
    rf"Avg prompt throughput: {_N} tokens/s, Avg generation throughput: {_N} tokens/s, Running: (\d{{1,12}}) reqs"
)
_WAITING = re.compile(r"(?:Pending|Waiting): (\d{1,12}) reqs")
_KV_USAGE = re.compile(rf"KV cache usage: {_N}%")
_PREFIX_HITS = re.compile(rf"Prefix cache hit rate: (?:GPU: )?{_N}%")
_PREEMPTIONS = re.compile(r"(?:total_num_cumulative_preemption=|Preemptions: )(\d{1,12})")
_ENGINE = re.compile(r"Initializing an? (?:(V[01]) )?LLM engine \(v([^\s)]{1,80})\)")
_SERVER_VERSION = re.compile(r"vLLM API server version (\S{1,80})|█  version (\S{1,80})$")

_ORDER = {phase: number for number, phase in enumerate(Phase)}
_MARKERS: tuple[tuple[str, Phase], ...] = (
    ("Automatically detected platform", Phase.STARTING),
    ("Namespace(", Phase.STARTING),
    ("non-default args: ", Phase.STARTING),
    (" LLM engine (v", Phase.STARTING),
    ("vLLM API server version", Phase.STARTING),
    ("Time spent downloading weights", Phase.LOADING),
    (".safetensors: ", Phase.LOADING),
    ("Starting to load model", Phase.LOADING),
    ("Using model weights format", Phase.LOADING),
    ("Loading weights took", Phase.LOADING),
    ("Loading model weights took", Phase.LOADING),
    ("Model loading took", Phase.LOADING),
    ("Dynamo bytecode transform time", Phase.COMPILING),
    ("torch.compile take", Phase.COMPILING),
    ("torch.compile took", Phase.COMPILING),
    ("Capturing cudagraphs for decoding", Phase.COMPILING),
    ("Capturing the model for CUDA graphs", Phase.COMPILING),
    ("Graph capturing finished", Phase.COMPILING),
    ("init engine (profile, create kv cache, warmup model) took", Phase.WARMING_UP),
    ("Warming up...", Phase.WARMING_UP),
    ("Starting initial single prompt test run", Phase.WARMING_UP),
    ("Starting vLLM API server on ", Phase.READY),
    ("Starting vLLM server on ", Phase.READY),
    ("Application startup complete", Phase.READY),
    ("Uvicorn running on ", Phase.READY),
    ("Starting main benchmark run", Phase.MEASURING),
    (" Serving Benchmark Result ", Phase.FINISHED),
    ("Shutting down FastAPI HTTP server", Phase.FINISHED),
    ("[shutdown] API server: ", Phase.FINISHED),
)
_FINAL = ("Throughput: ", "Avg latency: ")
_BARS: tuple[tuple[str, str, Phase], ...] = (
    ("Processed prompts", "prompts", Phase.MEASURING),
    ("Profiling iterations", "iterations", Phase.MEASURING),
    ("Bench iterations", "iterations", Phase.MEASURING),
    ("Warmup iterations", "warm-up iterations", Phase.WARMING_UP),
    ("Adding requests", "prompts added", Phase.WARMING_UP),
    ("Rendering prompts", "prompts added", Phase.WARMING_UP),
    ("checkpoint shards", "shards", Phase.LOADING),
    ("Fetching", "files", Phase.LOADING),
    ("Capturing CUDA graph", "graphs", Phase.COMPILING),
)


class VllmLog:
    """Reads lines one by one; remembers what a result needs.

    Phases only go forward, each is reported once. `unlabelled` names what a bar without a label counts; None ignores
    such bars.
    """

    def __init__(self, unlabelled: str | None = None) -> None:
        self.engine: str | None = None
        self.engine_version: str | None = None
        self.preemptions = 0
        self.prefix_hit_percent = 0.0
        self.entered: dict[Phase, int] = {}
        self._phase = -1
        self._pending = _MARKERS
        self._unlabelled = unlabelled
        self._iterations = False
        self._bars: dict[str, int] = {}

    def read(self, line: Line) -> Iterator[PhaseSeen | Sample]:
        """Phases and samples of one line."""
        text = line.text
        if (bar := read_bar(text)) is not None:
            yield from self._bar(line, bar)
            return
        if "Avg generation throughput: " in text:
            yield from self._stat_line(line)
        if "LLM engine (v" in text or "version " in text:
            self._version(text)
        if "reemption" in text or "refix cache hit rate" in text:
            self._pressure(text)
        if text.startswith(_FINAL):
            yield from self._enter(line, Phase.FINISHED)
        if text.startswith("Warming up..."):
            self._iterations = True
        for needle, phase in self._pending:
            if needle in text:
                yield from self._enter(line, phase)
                break

    def _enter(self, line: Line, phase: Phase) -> Iterator[PhaseSeen]:
        if _ORDER[phase] <= self._phase:
            return
        self._phase = _ORDER[phase]
        self._pending = tuple(marker for marker in _MARKERS if _ORDER[marker[1]] > self._phase)
        self.entered[phase] = line.at_ns
        yield PhaseSeen(line.at_ns, phase, safe_line(line.text))

    def _stat_line(self, line: Line) -> Iterator[PhaseSeen | Sample]:
        match = _STAT.search(line.text)
        if match is None:
            return
        rest = line.text[match.end() :]
        waiting, usage, hits = _WAITING.search(rest), _KV_USAGE.search(rest), _PREFIX_HITS.search(rest)
        rate = float(match[2])
        if rate > 0 and not self._iterations:
            # A latency run generates in its warm-up too; its bars say when it measures.
            yield from self._enter(line, Phase.MEASURING)
        yield Sample(
            at_ns=line.at_ns,
            source="stat line",
            metric="output_tokens_per_s",
            rate=rate,
            running=int(match[3]),
            waiting=int(waiting[1]) if waiting else None,
            kv_cache_used=round(float(usage[1]) / 100, 6) if usage else None,
            prompt_tokens_per_s=float(match[1]),
            extra={"prefix_cache_hits": round(float(hits[1]) / 100, 6)} if hits else {},
        )

    def _version(self, text: str) -> None:
        if (engine := _ENGINE.search(text)) is not None:
            self.engine = engine[1] or "V0"  # releases before 0.7 had one engine and did not name it
            self.engine_version = engine[2]
        elif self.engine_version is None and (server := _SERVER_VERSION.search(text)) is not None:
            self.engine_version = server[1] or server[2]

    def _pressure(self, text: str) -> None:
        if (preempted := _PREEMPTIONS.search(text)) is not None:
            self.preemptions = max(self.preemptions, int(preempted[1]))
        if (hits := _PREFIX_HITS.search(text)) is not None:
            self.prefix_hit_percent = max(self.prefix_hit_percent, float(hits[1]))

    def _bar(self, line: Line, bar: Bar) -> Iterator[PhaseSeen | Sample]:
        counts, phase = self._kind(bar)
        if phase is not None:
            self._iterations = self._iterations or counts == "warm-up iterations"
            yield from self._enter(line, phase)
        if counts is None or self._bars.get(counts) == bar.done:
            return
        self._bars[counts] = bar.done
        speed = bar.output_tokens_per_s or None
        yield Sample(
            at_ns=line.at_ns,
            source="progress bar",
            metric="output_tokens_per_s" if speed else None,
            rate=speed,
            done=bar.done,
            total=bar.total,
            counts=counts,
            prompt_tokens_per_s=bar.prompt_tokens_per_s if speed else None,
        )
        if counts == "warm-up iterations" and bar.done == bar.total:
            # Without a terminal the measuring bar may be seen only when it ends; its start is here.
            yield from self._enter(line, Phase.MEASURING)

    def _kind(self, bar: Bar) -> tuple[str | None, Phase | None]:
        for label, counts, phase in _BARS:
            if label in bar.label:
                return counts, phase
        if bar.label == "" and self._unlabelled is not None:
            return self._unlabelled, Phase.MEASURING
        return None, None
