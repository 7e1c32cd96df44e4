"""The offline vLLM benchmarks: throughput and latency, as scripts of AMD's images and as `vllm bench`."""

from collections.abc import Sequence

import msgspec

from console.model.cell import AnyCell
from console.model.launch import Command, Need, Placement
from console.model.profile import Image, ModelCard
from console.workloads.base import LogReader, register
from console.workloads.expected import reference_value, tokens_measure_s
from console.workloads.places import PART, RESULT_FILE
from console.workloads.vllm_engine import (
    benchmark_argv,
    check,
    engine_flags,
    entry_deviations,
    environment,
    flag_deviations,
    need,
    traits_of,
)
from console.workloads.vllm_latency_result import LatencyReader
from console.workloads.vllm_params import LatencyParams, ThroughputParams
from console.workloads.vllm_throughput_result import ThroughputReader


class Throughput:
    """Output tokens/s of a queue of equal requests, all handed over at once."""

    name = "vllm-throughput"
    params: type[msgspec.Struct] = ThroughputParams

    def need(self, cell: AnyCell, image: Image, model: ModelCard) -> Need:
        """The measuring time is prompts x output length over the reference rate."""
        params: ThroughputParams = cell.params
        check(cell, image, model)
        seconds = tokens_measure_s(cell, params.num_prompts, params.output_len)
        return need(cell, image, model, sequences=params.max_num_seqs, measure_s=seconds)

    def commands(self, cell: AnyCell, image: Image, model: ModelCard, at: Placement) -> Sequence[Command]:
        """One program on the one seat."""
        params: ThroughputParams = cell.params
        traits = check(cell, image, model)
        flags = engine_flags(params, traits, model)
        if traits.disable_detokenize:
            flags.append("--disable-detokenize")
        flags += traits.throughput_args
        lengths = ("--random-input-len", "--random-output-len") if traits.random_length_flags else _LENGTHS
        if traits.random_length_flags:
            flags += ["--dataset-name", "random"]
        flags += [lengths[0], str(params.input_len), lengths[1], str(params.output_len)]
        flags += ["--num-prompts", str(params.num_prompts), "--max-num-seqs", str(params.max_num_seqs)]
        return (
            Command(
                part=PART,
                seat=at.seats[0].rank,
                argv=(*benchmark_argv(traits, "throughput"), *flags, "--output-json", RESULT_FILE, *params.extra_args),
                env=environment(params, traits, model),
                files=(RESULT_FILE,),
            ),
        )

    def deviations(self, cell: AnyCell, image: Image) -> Sequence[str]:
        """Flags this image is not given, and the program where it is another."""
        traits = traits_of(image)
        return (*flag_deviations(cell, traits), *entry_deviations(cell, traits, "throughput"))

    def reader(self, cell: AnyCell | None, part: str) -> LogReader:
        """A reader of the program's output."""
        return ThroughputReader(cell)


class Latency:
    """Seconds to generate one batch, mean of several iterations after warm-ups."""

    name = "vllm-latency"
    params: type[msgspec.Struct] = LatencyParams

    def need(self, cell: AnyCell, image: Image, model: ModelCard) -> Need:
        """The measuring time is the reference latency times all iterations, warm-ups included."""
        params: LatencyParams = cell.params
        check(cell, image, model)
        latency = reference_value(cell)
        seconds = latency * (params.warmup_iterations + params.iterations) if latency else None
        return need(cell, image, model, sequences=params.max_num_seqs, measure_s=seconds)

    def commands(self, cell: AnyCell, image: Image, model: ModelCard, at: Placement) -> Sequence[Command]:
        """One program on the one seat."""
        params: LatencyParams = cell.params
        traits = check(cell, image, model)
        flags = engine_flags(params, traits, model, kv_cache=traits.latency_kv_cache_flag)
        if params.max_num_seqs is not None:
            flags += ["--max-num-seqs", str(params.max_num_seqs)]
        flags += ["--batch-size", str(params.batch_size)]
        flags += ["--input-len", str(params.input_len), "--output-len", str(params.output_len)]
        flags += ["--num-iters-warmup", str(params.warmup_iterations), "--num-iters", str(params.iterations)]
        return (
            Command(
                part=PART,
                seat=at.seats[0].rank,
                argv=(*benchmark_argv(traits, "latency"), *flags, "--output-json", RESULT_FILE, *params.extra_args),
                env=environment(params, traits, model),
                files=(RESULT_FILE,),
            ),
        )

    def deviations(self, cell: AnyCell, image: Image) -> Sequence[str]:
        """Flags this image is not given, and the program where it is another."""
        traits = traits_of(image)
        return (
            *flag_deviations(cell, traits, kv_cache=traits.latency_kv_cache_flag),
            *entry_deviations(cell, traits, "latency"),
        )

    def reader(self, cell: AnyCell | None, part: str) -> LogReader:
        """A reader of the program's output."""
        return LatencyReader(cell)


_LENGTHS = ("--input-len", "--output-len")

register(Throughput())
register(Latency())
