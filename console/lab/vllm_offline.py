"""The offline benchmarks: throughput and latency, as script and as `vllm bench`, of both engine generations."""

import argparse
import json
import statistics
from collections.abc import Iterator

from console.lab import bars, rates, vllm_args
from console.lab.acts import Act, Exit, Surroundings, Wait, err, out, raw_err
from console.lab.vllm_start import Ready, imported, info, started

STUB = (
    "DEPRECATED: This script has been moved to the vLLM CLI.\n\nPlease use the following command instead:\n"
    "    vllm bench "
)


def parsed(around: Surroundings, parser: vllm_args.Parser, argv: tuple[str, ...]) -> Iterator[Act | argparse.Namespace]:
    """Import, then argparse: a Namespace, or its refusal as the program's end."""
    yield from imported(around)
    try:
        yield parser.read(argv)
    except vllm_args.Refused as refused:
        yield raw_err(refused.text)
        yield Exit(refused.code)


def stub(kind: str) -> Iterator[Act]:
    """The script of a release that moved it to the command line."""
    yield Wait(0.5)
    yield out(f"{STUB}{kind}\n")
    yield Exit(1)


def save_result(
    around: Surroundings, path: str | None, value: dict[str, object], indent: int | None = 4
) -> Iterator[Act]:
    """Write the result file, or spoil it in the named way."""
    if not path or around.fault == "no-result-file":
        return
    data = json.dumps(value, indent=indent).encode()
    if around.fault == "truncated-result":
        data = data[: len(data) // 2]
    elif around.fault == "not-json":
        data = b"<html><body>502 Bad Gateway</body></html>\n"
    try:
        around.files.save(path, data)
    except OSError as error:
        yield err(f"OSError: [Errno {error.errno}] {error.strerror}: '{path}'")
        yield Exit(1)


def dying(around: Surroundings) -> Iterator[Act]:
    """Failures in the middle of measuring."""
    around.halfway()
    if around.fault == "gpu-hang":
        yield err(
            "Memory access fault by GPU node-4 (Agent handle: 0x55d0c8f3a2b0) on address 0x7f3c2a000000. "
            "Reason: Page not present or supervisor privilege."
        )
        yield Exit(134)
    if around.fault == "killed-for-memory":
        yield Exit(137, oom=True)


# -------------------------------------------------------------------- throughput


def throughput(around: Surroundings, argv: tuple[str, ...], *, front: bool) -> Iterator[Act]:
    """benchmark_throughput.py and `vllm bench throughput`."""
    version = around.vllm or (0, 8, 5)
    for step in parsed(around, vllm_args.throughput(version, front=front), argv):
        if not isinstance(step, argparse.Namespace):
            yield step
            continue
        yield from _throughput(around, step, version)


def _throughput(around: Surroundings, args: argparse.Namespace, version: tuple[int, ...]) -> Iterator[Act]:
    counted = version >= (0, 8, 3)
    input_len = getattr(args, "random_input_len", None) or args.input_len
    output_len = getattr(args, "random_output_len", None) or args.output_len
    if counted and not args.dataset_path:
        yield out("When dataset path is not set, it will default to random dataset")
    yield out(repr(args))
    if not input_len or not output_len:
        yield err("AssertionError")
        yield Exit(1)
    if counted and args.max_model_len and args.max_model_len < input_len + output_len:
        yield err(
            "AssertionError: Please ensure that max_model_len is greater than the sum of input_len and output_len."
        )
        yield Exit(1)
    yield Wait(3.0)
    if counted:
        yield info("datasets.py:328", f"Sampling input_len from [{input_len}, {input_len}]")
        yield info("datasets.py:329", f"Sampling output_len from [{output_len}, {output_len}]")
    for step in started(around, args, args.model):
        if not isinstance(step, Ready):
            yield step
            continue
        yield from _generate(step, args.num_prompts, input_len, output_len, args, counted)


def _generate(
    ready: Ready, prompts: int, input_len: int, output_len: int, args: argparse.Namespace, counted: bool
) -> Iterator[Act]:
    around = ready.around
    run = Run(ready, prompts, input_len, output_len)
    if ready.v1:
        yield raw_err(bars.bar("Adding requests", prompts, prompts, prompts / 4000) + "\n")
    yield from _measure(run)
    elapsed, out_tokens = run.elapsed, run.output_tokens
    in_tokens = prompts * input_len + (around.rng.randint(0, max(1, prompts * input_len // 100)) if counted else 0)
    total = in_tokens + out_tokens
    result: dict[str, object] = {
        "elapsed_time": elapsed,
        "num_requests": prompts,
        "total_num_tokens": total,
        "requests_per_second": prompts / elapsed,
        "tokens_per_second": total / elapsed,
    }
    if (around.vllm or ()) >= (0, 12):
        result = {"model_id": args.model, **result}
    rate = f"{prompts / elapsed:.2f} requests/s, {total / elapsed:.2f}"
    if (around.vllm or ()) < (0, 6):
        yield out(f"Throughput: {rate} tokens/s")
    else:
        yield out(f"Throughput: {rate} total tokens/s, {out_tokens / elapsed:.2f} output tokens/s")
    if counted:
        yield out(f"Total num prompt tokens:  {in_tokens}")
        yield out(f"Total num output tokens:  {out_tokens}")
    yield from save_result(around, args.output_json, result)
    if not ready.v1:
        yield info("multiproc_worker_utils.py:124", "Killing local vLLM worker processes")
    yield Wait(2.0)
    yield Exit(0)


class Run:
    """One saturated run over a set of prompts: how many tokens are out at a time, and when requests finish."""

    def __init__(self, ready: Ready, prompts: int, input_len: int, output_len: int) -> None:
        self.ready = ready
        self.prompts, self.input_len, self.output_len = prompts, input_len, output_len
        gpu, gpus = ready.around.kind.gpu, ready.gpus
        fits = max(1, ready.kv // (input_len + output_len))
        self.at_once = min(prompts, ready.max_seqs, fits)
        rate = rates.output_tokens_per_s(
            ready.model, gpu, gpus, ready.engine, input_len=input_len, output_len=output_len, at_once=self.at_once
        )
        self.output_tokens = prompts * output_len
        self.elapsed = self.output_tokens / ready.around.noisy(rate)
        prefill = prompts * input_len / rates.prefill_tokens_per_s(ready.model, gpu, gpus)
        self.prefill_s = min(prefill, 0.6 * self.elapsed)
        self.waves = -(-prompts // self.at_once)

    def progress(self, at: float) -> tuple[float, float]:
        """Prompt tokens and output tokens done by a time of the run; the rate falls by a tenth to the end."""
        fed = self.prompts * self.input_len * min(1.0, at / self.prefill_s) if self.prefill_s else 0.0
        if at <= self.prefill_s:
            return fed, 0.0
        share = min(1.0, (at - self.prefill_s) / (self.elapsed - self.prefill_s))
        return fed, self.output_tokens * (1.05 * share - 0.05 * share * share)

    def finished(self, at: float) -> int:
        """Requests that are done: whole waves."""
        if at >= self.elapsed:
            return self.prompts
        share = self.progress(at)[1] / self.output_tokens
        return min(self.prompts, int(share * self.waves + 1e-9) * self.at_once)


def stat_line(
    ready: Ready, prompt_rate: float, rate: float, running: int, waiting: int, kv: float, who: str = ""
) -> Act:
    """The engine's stat line of either generation. `kv` is a share of 1."""
    rates_text = f"Avg prompt throughput: {prompt_rate:.1f} tokens/s, Avg generation throughput: {rate:.1f} tokens/s"
    if ready.v1:
        return info(
            "loggers.py:127",
            f"Engine 000: {rates_text}, Running: {running} reqs, Waiting: {waiting} reqs, "
            f"GPU KV cache usage: {kv:.1%}, Prefix cache hit rate: 0.0%",
            who=who,
        )
    return info(
        "metrics.py:486",
        f"{rates_text}, Running: {running} reqs, Swapped: 0 reqs, Pending: {waiting} reqs, "
        f"GPU KV cache usage: {kv:.1%}, CPU KV cache usage: 0.0%.",
    )


def _measure(run: Run) -> Iterator[Act]:
    """Stat lines at their interval and the bar at each finished wave, until all requests are done."""
    ready = run.ready
    every = ready.stat_every_s
    tick = every or 5.0
    at = shown = 0.0
    done = -1
    before = (0.0, 0.0)
    preempted = ready.kv < run.prompts * (run.input_len + run.output_len) and not ready.v1
    while True:
        finished = run.finished(at)
        if finished != done:
            done = finished
            yield raw_err(_bar(run, done, at))
        if at >= run.elapsed:
            break
        pause = min(tick, run.elapsed - at)
        yield Wait(pause)
        at += pause
        if at > run.elapsed / 2:
            yield from dying(ready.around)
        if every and pause == tick:
            fed, made = run.progress(at)
            span = at - shown
            running = min(run.at_once, run.prompts - run.finished(at))
            waiting = max(0, run.prompts - run.finished(at) - running)
            within = made / run.output_tokens * run.waves % 1.0
            kv = min(1.0, running * (run.input_len + within * run.output_len) / ready.kv)
            yield stat_line(ready, (fed - before[0]) / span, (made - before[1]) / span, running, waiting, kv)
            if preempted and kv > 0.85:
                preempted = False
                yield info(
                    "scheduler.py:1754",
                    "Sequence group 12 is preempted by PreemptionMode.RECOMPUTE mode because there is not enough KV "
                    "cache space. This can affect the end-to-end performance. total_num_cumulative_preemption=1",
                    level="WARNING",
                )
            before, shown = (fed, made), at
    yield raw_err("\n")


def _bar(run: Run, done: int, at: float) -> str:
    fed = done * run.input_len / at if at else 0.0
    made = done * run.output_len / at if at else 0.0
    postfix = f"est. speed input: {fed:.2f} toks/s, output: {made:.2f} toks/s"
    return bars.bar("Processed prompts", done, run.prompts, at, postfix=postfix)


# -------------------------------------------------------------------- latency


def latency(around: Surroundings, argv: tuple[str, ...], *, front: bool) -> Iterator[Act]:
    """benchmark_latency.py and `vllm bench latency`."""
    version = around.vllm or (0, 8, 5)
    for step in parsed(around, vllm_args.latency(version, front=front), argv):
        if not isinstance(step, argparse.Namespace):
            yield step
            continue
        yield out(repr(step))
        for act in started(around, step, step.model):
            if isinstance(act, Ready):
                yield from _iterate(act, step)
            else:
                yield act


def _iterate(ready: Ready, args: argparse.Namespace) -> Iterator[Act]:
    around = ready.around
    mean = rates.latency_s(
        ready.model, around.kind.gpu, ready.gpus, ready.engine,
        batch=args.batch_size, input_len=args.input_len, output_len=args.output_len,
    )  # fmt: skip
    mean = around.noisy(mean)
    yield out(
        "SamplingParams(n=1, presence_penalty=0.0, frequency_penalty=0.0, repetition_penalty=1.0, temperature=1.0, "
        f"top_p=1.0, top_k=-1, min_p=0.0, seed=None, stop=[], ignore_eos=True, max_tokens={args.output_len})"
    )
    yield out("Warming up...")
    yield from _iterations(
        ready, "Warmup iterations", [around.noisy(mean, 0.01) for _ in range(args.num_iters_warmup)], args
    )
    title = "Profiling iterations" if (around.vllm or ()) < (0, 12) else "Bench iterations"
    times = [around.noisy(mean, 0.003) for _ in range(args.num_iters)]
    yield from _iterations(ready, title, times, args)
    average = statistics.fmean(times)
    percentiles = {percent: _percentile(times, percent) for percent in (10, 25, 50, 75, 90, 99)}
    yield out(f"Avg latency: {average} seconds")
    for percent, value in percentiles.items():
        yield out(f"{percent}% percentile latency: {value} seconds")
    result: dict[str, object] = {
        "avg_latency": average,
        "latencies": times,
        "percentiles": {str(percent): value for percent, value in percentiles.items()},
    }
    yield from save_result(around, args.output_json, result)
    yield Wait(2.0)
    yield Exit(0)


def _iterations(ready: Ready, title: str, times: list[float], args: argparse.Namespace) -> Iterator[Act]:
    total = len(times)
    yield raw_err(bars.bar(title, 0, total, 0.0))
    spent = 0.0
    since_stat = 0.0
    for done, took in enumerate(times, 1):
        left = took
        every = ready.stat_every_s
        while every and since_stat + left >= every:
            pause = every - since_stat
            yield Wait(pause)
            left -= pause
            since_stat = 0.0
            rate = args.batch_size * args.output_len / took
            kv = min(1.0, args.batch_size * (args.input_len + args.output_len * (1 - left / took)) / ready.kv)
            yield stat_line(ready, 0.0, rate, args.batch_size, 0, kv)
        yield Wait(left)
        since_stat += left
        spent += took
        if done * 2 > total and title != "Warmup iterations":
            yield from dying(ready.around)
        yield raw_err(bars.bar(title, done, total, spent))
    yield raw_err("\n")


def _percentile(values: list[float], percent: float) -> float:
    """Linear interpolation, as numpy does it."""
    ordered = sorted(values)
    place = (len(ordered) - 1) * percent / 100
    low = int(place)
    high = min(low + 1, len(ordered) - 1)
    return ordered[low] + (ordered[high] - ordered[low]) * (place - low)
