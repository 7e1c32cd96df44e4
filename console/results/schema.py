"""The tables that other programs read: every column with its type, unit and meaning. Kept stable by version.

A column may be added without a new version; renaming one or changing its type or meaning raises SCHEMA_VERSION.
"""

from collections.abc import Mapping

import msgspec
import polars as pl

SCHEMA_VERSION = 1

TEXT = pl.String()
TEXTS = pl.List(pl.String())
WHOLE = pl.Int64()
NUMBER = pl.Float64()
FLAG = pl.Boolean()
TIME = pl.Datetime("us", "UTC")


class Column(msgspec.Struct, frozen=True):
    """One column. `unit` is empty for what has none; `metric` means the unit stands in the column `unit`."""

    name: str
    dtype: pl.DataType
    meaning: str
    unit: str = ""


class Table(msgspec.Struct, frozen=True):
    """A table: one row is `row`."""

    name: str
    row: str
    columns: tuple[Column, ...]

    @property
    def schema(self) -> pl.Schema:
        """Names and types in order."""
        return pl.Schema({column.name: column.dtype for column in self.columns})

    def document(self) -> str:
        """The table as Markdown."""
        lines = [f"### {self.name}", "", f"One row is {self.row}.", "", "| column | type | unit | meaning |"]
        lines.append("|---|---|---|---|")
        lines += [
            f"| `{column.name}` | {type_name(column.dtype)} | {column.unit} | {column.meaning} |"
            for column in self.columns
        ]
        return "\n".join(lines) + "\n"


def type_name(dtype: pl.DataType) -> str:
    """A type in words that do not depend on polars."""
    names: Mapping[pl.DataType, str] = {
        TEXT: "text",
        TEXTS: "list of text",
        WHOLE: "integer",
        NUMBER: "number",
        FLAG: "true or false",
        TIME: "UTC time",
    }
    return names[dtype]


IDENTITY = (
    Column("run", TEXT, "id of the run"),
    Column("label", TEXT, "the run's label, empty without one"),
    Column("matrix", TEXT, "name of the matrix"),
    Column("cell", TEXT, "id of the cell in its matrix"),
    Column("title", TEXT, "the model as people call it"),
    Column("title_printed", TEXT, "the model as the published table prints it, mistakes included"),
    Column(
        "hosts", TEXTS, "hosts it ran on, in rank order; for a cell that was not placed, the hosts it was meant for"
    ),
    Column("workload", TEXT, "the benchmark program"),
    Column("model", TEXT, "Hugging Face id, or path inside the image"),
)

ATTEMPT = (
    Column("attempt", TEXT, "id of the attempt"),
    Column("repeat", WHOLE, "which repeat of the cell, from 1"),
    Column("try", WHOLE, "which try of the repeat, from 1"),
    Column("state", TEXT, "`ok`, `failed`, `stopped`, `not run`; while it goes on, its stage"),
    Column("failure", TEXT, "class of the failure, or why it was not run"),
    Column("failure_line", TEXT, "the first root-cause line"),
    Column("remedy", TEXT, "what to do about it"),
)

FIGURE = (
    Column("metric", TEXT, "what `value` measures"),
    Column("unit", TEXT, "unit of `value`, `median` and `reference`"),
    Column("value", NUMBER, "the measured figure of this attempt; empty unless `state` is `ok`", "metric"),
    Column("reference", NUMBER, "the figure it is compared with", "metric"),
    Column("reference_set", TEXT, "`published`, `release notes`, `own`, `fleet median` or `lab`"),
    Column("reference_printed", TEXT, "the reference exactly as its source prints it"),
    Column("reference_unit", TEXT, "the unit exactly as its source prints it"),
    Column("reference_source", TEXT, "where the reference comes from"),
    Column("reference_dated", TEXT, "when it was published or measured"),
    Column("ratio", NUMBER, "`value` against `reference`, turned so that above 1 is better"),
    Column(
        "verdict",
        TEXT,
        "`matched`, `reproduced`, `above`, `marginal`, `below`, `unconfirmed`, `invalid`, `incomparable`, "
        "`no reference`, `failed` or `not run`: of the cell on these hosts over all its valid repeats; an attempt "
        "that has no valid figure has its own; empty while it goes on",
    ),
    Column("band", TEXT, "where `median_ratio` falls on the ladder, whatever the verdict"),
    Column("note", TEXT, "what the verdict cannot say in one word"),
    Column("repeats", WHOLE, "how many valid repeats the verdict rests on"),
    Column("median", NUMBER, "median of those repeats", "metric"),
    Column("median_ratio", NUMBER, "`median` against `reference`, turned so that above 1 is better"),
    Column("ratio_low", NUMBER, "lower end of the ratio's 95 % interval, from three repeats on"),
    Column("ratio_high", NUMBER, "upper end of the ratio's 95 % interval, from three repeats on"),
    Column("variation", NUMBER, "coefficient of variation of the repeats, from two on"),
    Column(
        "mfu_percent",
        NUMBER,
        "model FLOPs utilization of a training row: its TFLOP/s, as the program counts them, of the GPU's published "
        "dense peak for the data type; in the summary the median of the repeats",
        "%",
    ),
    Column(
        "scaling_efficiency_percent",
        NUMBER,
        "of a row on several nodes: what is left for each GPU of the figure on one node, from the one-node row of the "
        "same work among these runs",
        "%",
    ),
    Column("scaling_against", TEXT, "that one-node row: its cell, host, and run where it is another one"),
    Column("validity", TEXTS, "reasons that spoil the figure or are noted beside it"),
    Column("validity_detail", TEXT, "what was seen for each of them"),
    Column("valid", FLAG, "false when one of the reasons spoils the figure; empty without a figure"),
    Column("differences", TEXTS, "conditions in which the figure and the reference differ"),
    Column("errata", TEXTS, "what is known to be wrong or unclear in the reference's source"),
    Column("simulated", FLAG, "true when the embedded lab produced it; such figures say nothing about hardware"),
)

TIMES = (
    Column("planned_at", TIME, "when the attempt was planned"),
    Column("started_at", TIME, "when its containers were started first"),
    Column("ended_at", TIME, "when its end was decided"),
    Column("duration_s", NUMBER, "from started to ended; empty when a clock was set meanwhile", "s"),
    Column("measured_s", NUMBER, "how long the program measured, where it says so", "s"),
)

HARDWARE = (
    Column("power_w_mean", NUMBER, "mean power of all its GPUs together while the program measured", "W"),
    Column("power_w_max", NUMBER, "most power they drew at one time; with several hosts the sum of the hosts'", "W"),
    Column("hotspot_c_max", NUMBER, "highest junction temperature of any of its GPUs", "°C"),
    Column("memory_c_max", NUMBER, "highest memory temperature of any of its GPUs", "°C"),
    Column("vram_used_bytes_mean", NUMBER, "memory in use on the fullest of its GPUs, mean over time", "bytes"),
    Column("throttled_share", NUMBER, "share of the time, 0 to 1, for which the most throttled GPU was; any reason"),
)

PARAMETERS = (
    Column("precision", TEXT, "data type of the row"),
    Column("nodes", WHOLE, "hosts of the cell"),
    Column("gpus", WHOLE, "GPUs of all its hosts"),
    Column("gpus_per_node", WHOLE, "GPUs of one host"),
    Column("tensor_parallel", WHOLE, "tensor parallel size"),
    Column("pipeline_parallel", WHOLE, "pipeline parallel size"),
    Column("context_parallel", WHOLE, "context parallel size"),
    Column("expert_parallel", WHOLE, "expert parallel size"),
    Column("sequence_parallel", FLAG, "sequence parallelism"),
    Column("recompute", TEXT, "activation recomputation"),
    Column("batch_size", WHOLE, "requests of one batch, or samples of one GPU"),
    Column("input_len", WHOLE, "prompt length", "tokens"),
    Column("output_len", WHOLE, "generated length", "tokens"),
    Column("num_prompts", WHOLE, "requests of the run"),
    Column("max_num_seqs", WHOLE, "sequences the engine serves at once"),
    Column("max_concurrency", WHOLE, "requests a client keeps open at once"),
    Column("request_rate", NUMBER, "requests a client sends; empty for all at once", "req/s"),
    Column("sequence_length", WHOLE, "training sequence length", "tokens"),
    Column("micro_batch_size", WHOLE, "training micro batch size"),
    Column("global_batch_size", WHOLE, "training global batch size, all hosts"),
    Column("iterations", WHOLE, "measured iterations or training steps asked for"),
    Column("parameters", TEXT, "every other parameter, as a JSON object"),
)

PROVENANCE = (
    Column("image", TEXT, "reference of the container image"),
    Column("image_digest", TEXT, "repository digest of the image that ran"),
    Column("engine", TEXT, "engine generation, where the program has several"),
    Column("engine_version", TEXT, "version the program says it is"),
    Column("rocm", TEXT, "ROCm of the image"),
    Column("pytorch", TEXT, "PyTorch of the image"),
    Column("recipe", TEXT, "how well the published command is known: `exact`, `reconstructed` or `unknown`"),
    Column("deviations", TEXTS, "what was run otherwise than published, and why"),
    Column("gpu", TEXT, "GPU model; this and what follows is empty where the hosts differ or it is not known"),
    Column("compute_partition", TEXT, "compute partition of the GPUs"),
    Column("memory_partition", TEXT, "memory partition of the GPUs"),
    Column("power_cap_w", NUMBER, "power cap of the GPUs", "W"),
    Column("cpu", TEXT, "processor"),
    Column("nodes_per_socket", WHOLE, "NUMA nodes per socket"),
    Column("bios_version", TEXT, "BIOS version"),
    Column("os", TEXT, "operating system"),
    Column("kernel", TEXT, "kernel release"),
    Column("driver", TEXT, "amdgpu version"),
    Column("host_rocm", TEXT, "ROCm of the host"),
    Column("operator", TEXT, "who started the run"),
    Column("version", TEXT, "version of this program"),
)

RESULTS = Table(
    "results",
    "one attempt: one execution of one cell",
    IDENTITY + ATTEMPT + FIGURE + TIMES + HARDWARE + PARAMETERS + PROVENANCE,
)

_OF_CELL = tuple(
    column
    for column in (*FIGURE, *PARAMETERS, *PROVENANCE)
    if column.name not in ("value", "ratio", "validity_detail", "valid")
)

SUMMARY = Table(
    "summary",
    "one cell on its hosts, over all repeats",
    (
        *IDENTITY,
        Column("attempts", WHOLE, "attempts made"),
        Column("ok", WHOLE, "attempts with a valid figure"),
        Column("spoiled", WHOLE, "attempts whose figure does not count"),
        Column("failed", WHOLE, "attempts that failed"),
        Column("not_run", WHOLE, "attempts that were not run or were stopped"),
        Column("open", WHOLE, "attempts that still go on"),
        Column("failure", TEXT, "class of the last failure, or why it was not run"),
        Column("failure_line", TEXT, "its first root-cause line"),
        Column("remedy", TEXT, "what to do about it"),
        *_OF_CELL,
        Column("started_at", TIME, "first start"),
        Column("ended_at", TIME, "last end"),
    ),
)

METRICS = Table(
    "metrics",
    "one measured figure of one attempt: the headline, percentiles, every iteration",
    (
        Column("run", TEXT, "id of the run"),
        Column("matrix", TEXT, "name of the matrix"),
        Column("cell", TEXT, "id of the cell in its matrix"),
        Column("hosts", TEXTS, "hosts it ran on, in rank order"),
        Column("attempt", TEXT, "id of the attempt"),
        Column("repeat", WHOLE, "which repeat of the cell, from 1"),
        Column("state", TEXT, "state of the attempt"),
        Column("metric", TEXT, "what `value` measures"),
        Column("stat", TEXT, "`value`, `mean`, `median`, `p99`, …"),
        Column("iteration", WHOLE, "number of the iteration inside the program; empty for figures of the whole"),
        Column("value", NUMBER, "the figure", "metric"),
        Column("unit", TEXT, "unit of `value`"),
        Column("origin", TEXT, "how the figure came about"),
        Column("simulated", FLAG, "true when the embedded lab produced it"),
    ),
)

SAMPLES = Table(
    "samples",
    "one live figure of an attempt",
    (
        Column("run", TEXT, "id of the run"),
        Column("matrix", TEXT, "name of the matrix"),
        Column("cell", TEXT, "id of the cell in its matrix"),
        Column("attempt", TEXT, "id of the attempt"),
        Column("part", TEXT, "the container it was read from"),
        Column("at", TIME, "on the host's clock"),
        Column("source", TEXT, "`stat line`, `progress bar`, `metrics endpoint` or `iteration line`"),
        Column("metric", TEXT, "what `rate` measures"),
        Column("rate", NUMBER, "the live figure", "metric"),
        Column("done", NUMBER, "progress in `counts`"),
        Column("total", NUMBER, "the end of the progress"),
        Column("counts", TEXT, "what is counted: prompts, iterations, steps"),
        Column("running", WHOLE, "requests the engine works on"),
        Column("waiting", WHOLE, "requests that wait"),
        Column("kv_cache_used", NUMBER, "share of the key-value cache in use, 0 to 1"),
        Column("prompt_tokens_per_s", NUMBER, "prompt tokens processed", "tok/s"),
        Column("extra", TEXT, "other figures of the line, as a JSON object"),
        Column("simulated", FLAG, "true when the embedded lab produced it"),
    ),
)

TABLES = (RESULTS, SUMMARY, METRICS, SAMPLES)
