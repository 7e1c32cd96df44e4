"""`vllm serve` with its /metrics, and the client `vllm bench serve` that loads it from another container."""

import argparse
import statistics
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime

from console.lab import rates, vllm_args
from console.lab.acts import Act, Exit, Surroundings, Wait, err, out, raw_err
from console.lab.vllm_offline import dying, parsed, save_result, stat_line
from console.lab.vllm_start import Ready, info, started


@dataclass
class Load:
    """What a client asks of a server. Times are simulated seconds on the host's wall clock."""

    start: float
    duration: float
    input_tokens: int
    output_tokens: int
    requests: int
    at_once: int

    def share(self, at: float) -> float:
        """How much of it is done at a time, 0 to 1."""
        return min(1.0, max(0.0, (at - self.start) / self.duration)) if self.duration else 1.0


class Server:
    """A server that is up: what its clients made it do, as metrics."""

    def __init__(self, ready: Ready, name: str) -> None:
        self.ready = ready
        self.name = name
        self.loads: list[Load] = []
        self.stopped = False

    def totals(self, at: float) -> tuple[float, float, int]:
        """Prompt tokens, generated tokens and finished requests up to a simulated time."""
        done = [(load, load.share(at)) for load in self.loads]
        return (
            sum(load.input_tokens * min(1.0, share * 1.2) for load, share in done),
            sum(load.output_tokens * share for load, share in done),
            sum(int(load.requests * share) for load, share in done),
        )

    def running(self, at: float) -> tuple[int, int]:
        """Requests running and waiting."""
        active = [load for load in self.loads if load.share(at) < 1.0]
        left = sum(load.requests - int(load.requests * load.share(at)) for load in active)
        running = min(left, sum(load.at_once for load in active))
        return running, left - running if not active or active[0].at_once < active[0].requests else 0

    def answer(self, path: str) -> tuple[int, str, bytes]:
        """GET of /metrics, /health, /version or /v1/models."""
        if path == "/health":
            return 200, "text/plain", b""
        if path == "/metrics":
            return 200, "text/plain; version=0.0.4; charset=utf-8", self._metrics().encode()
        if path == "/v1/models":
            return 200, "application/json", f'{{"object":"list","data":[{{"id":"{self.name}"}}]}}'.encode()
        return 404, "application/json", b'{"detail":"Not Found"}'

    def _metrics(self) -> str:
        """Counters advance at the simulated rate per *real* second, so that a scraper's rate is the simulated one.

        At a speed above 1 their totals are therefore short of the client's by that factor.
        """
        around = self.ready.around
        at = around.wall()
        fed, made, done = self.totals(at)
        running, waiting = self.running(at)
        speed = around.clock.pace()
        engine = 'engine="0",' if self.ready.v1 else ""
        labels = f'{{{engine}model_name="{self.name}"}}'
        kv = "kv_cache_usage_perc" if (around.vllm or ()) >= (0, 11) else "gpu_cache_usage_perc"
        usage = min(1.0, running * 1500 / max(1, self.ready.kv))
        rows = (
            ("num_requests_running", "gauge", running),
            ("num_requests_waiting", "gauge", waiting),
            (kv, "gauge", usage),
            ("num_preemptions_total", "counter", 0),
            ("prompt_tokens_total", "counter", int(fed / speed)),
            ("generation_tokens_total", "counter", int(made / speed)),
            ("request_success_total", "counter", int(done / speed)),
        )
        return "".join(
            f"# HELP vllm:{name.removesuffix('_total')} Simulated.\n# TYPE vllm:{name.removesuffix('_total')} {kind}\n"
            f"vllm:{name}{_finished(labels) if name.startswith('request_success') else labels} {float(value)}\n"
            for name, kind, value in rows
        )


def _finished(labels: str) -> str:
    return labels[:-1] + ',finished_reason="length"}'


def serve(around: Surroundings, argv: tuple[str, ...]) -> Iterator[Act]:
    """`vllm serve`: comes up, listens, prints stat lines while it has work, until it is stopped."""
    version = around.vllm or (0, 8, 5)
    for step in parsed(around, vllm_args.serve(version), argv):
        if not isinstance(step, argparse.Namespace):
            yield step
            continue
        yield from _serve(around, step, version)


def _serve(around: Surroundings, args: argparse.Namespace, version: tuple[int, ...]) -> Iterator[Act]:
    model = args.model_tag or args.model or "facebook/opt-125m"
    who = "(APIServer pid=1) " if version >= (0, 10) else ""
    yield info("api_server.py:1043", f"vLLM API server version {'.'.join(map(str, version))}", who=who)
    yield info("api_server.py:1044", f"args: {args!r}", who=who)
    if around.fault == "port-in-use" or args.port in around.ports:
        yield err(
            f"OSError: [Errno 98] error while attempting to bind on address ('0.0.0.0', {args.port}): "
            "address already in use"
        )
        yield Exit(1)
    for step in started(around, args, model):
        if isinstance(step, Ready):
            yield from _listen(around, step, args, args.served_model_name or model, who)
        else:
            yield step


def _listen(around: Surroundings, ready: Ready, args: argparse.Namespace, name: str, who: str) -> Iterator[Act]:
    server = Server(ready, name)
    yield info("api_server.py:1090", f"Starting vLLM API server on http://0.0.0.0:{args.port}", who=who)
    for route in ("/health", "/metrics", "/v1/models", "/v1/completions"):
        yield info("launcher.py:36", f"Route: {route}, Methods: GET", who=who)
    for text in ("Started server process [1]", "Waiting for application startup.", "Application startup complete."):
        yield raw_err(f"INFO:     {text}\n")
    around.ports[args.port] = server
    try:
        every = 10.0 if ready.v1 else 5.0
        before, idle = (0.0, 0.0), True
        while True:
            yield Wait(every, idle)
            at = around.wall()
            fed, made, _ = server.totals(at)
            running, waiting = server.running(at)
            rate = (made - before[1]) / every
            if rate or running or not idle:
                kv = min(1.0, running * 1500 / max(1, ready.kv))
                yield stat_line(ready, (fed - before[0]) / every, rate, running, waiting, kv, who)
            idle = not (rate or running)
            before = (fed, made)
    finally:
        server.stopped = True
        if around.ports.get(args.port) is server:
            del around.ports[args.port]


# -------------------------------------------------------------------- client


def bench(around: Surroundings, argv: tuple[str, ...], *, front: bool) -> Iterator[Act]:
    """`vllm bench serve` and benchmark_serving.py."""
    version = around.vllm or (0, 8, 5)
    for step in parsed(around, vllm_args.bench_serve(version, front=front), argv):
        if isinstance(step, argparse.Namespace):
            yield out(repr(step))
            yield from _bench(around, step, version)
        else:
            yield step


def _bench(around: Surroundings, args: argparse.Namespace, version: tuple[int, ...]) -> Iterator[Act]:
    yield Wait(3.0)
    port = args.port
    if args.base_url:
        port = int(args.base_url.rstrip("/").rpartition(":")[2])
    server = around.ports.get(port)
    yield out("Starting initial single prompt test run...")
    if not isinstance(server, Server):
        yield Wait(1.0)
        yield err(
            "ValueError: Initial test run failed - Please make sure benchmark arguments are correctly specified. "
            f"Error: aiohttp.client_exceptions.ClientConnectorError: Cannot connect to host {args.host}:{port} "
            "ssl:default [Connect call failed ('127.0.0.1', " + f"{port})]"
        )
        yield Exit(1)
        return
    yield Wait(2.0)
    yield out("Initial test run completed. Starting main benchmark run...")
    yield out(f"Traffic request rate: {args.request_rate or 'inf'}")
    yield out("Burstiness factor: 1.0 (Poisson process)")
    yield out(f"Maximum request concurrency: {args.max_concurrency}")
    run = _Figures(around, server, args)
    load = Load(around.wall(), run.duration, run.inputs, run.outputs, args.num_prompts, run.at_once)
    server.loads.append(load)
    steps = 20
    for step in range(steps):
        if not args.disable_tqdm:
            done = args.num_prompts * step // steps
            yield raw_err(f"\r{100 * step // steps:3d}%|{'█' * (step // 2):<10}| {done}/{args.num_prompts}")
        yield Wait(run.duration / steps)
        if step == steps // 2:
            yield from dying(around)
        if server.stopped:
            yield err("aiohttp.client_exceptions.ServerDisconnectedError: Server disconnected")
            yield Exit(1)
    if not args.disable_tqdm:
        yield raw_err(f"\r100%|{'█' * 10}| {args.num_prompts}/{args.num_prompts}\n")
    for line in run.table(version):
        yield out(line)
    if args.save_result:
        stamp = datetime.now(UTC).strftime("%Y%m%d-%H%M%S")
        file = args.result_filename or f"vllm-infqps-{args.model.rpartition('/')[2]}-{stamp}.json"
        yield from save_result(around, f"{args.result_dir or '.'}/{file}", run.result(version, stamp), None)
    yield Exit(0)


class _Figures:
    """What a client measures. Times are simulated; latencies follow from the rate by Little's law, with noise."""

    def __init__(self, around: Surroundings, server: Server, args: argparse.Namespace) -> None:
        ready = server.ready
        self.args = args
        prompts = args.num_prompts
        input_len, output_len = args.random_input_len or 1024, args.random_output_len or 128
        self.at_once = min(prompts, args.max_concurrency or prompts, ready.max_seqs)
        rate = 0.9 * rates.output_tokens_per_s(
            ready.model, ready.around.kind.gpu, ready.gpus, ready.engine,
            input_len=input_len, output_len=output_len, at_once=self.at_once,
        )  # fmt: skip
        self.outputs = prompts * output_len
        self.inputs = prompts * input_len + around.rng.randint(0, 4)
        self.duration = self.outputs / around.noisy(rate)
        each = self.duration * self.at_once / prompts
        prefill = input_len * self.at_once / rates.prefill_tokens_per_s(ready.model, ready.around.kind.gpu, ready.gpus)
        ttft = min(prefill, 0.5 * each)
        waits = max(0.0, self.duration - each) / 2 if not args.max_concurrency else 0.0
        self.ttfts = [1000 * around.noisy(ttft + waits, 0.2) for _ in range(200)]
        self.tpots = [1000 * around.noisy((each - ttft) / max(1, output_len - 1), 0.03) for _ in range(200)]
        self.itls = [value * around.noisy(1.0, 0.1) for value in self.tpots]
        self.e2els = [t + p * (output_len - 1) for t, p in zip(self.ttfts, self.tpots, strict=True)]

    def _groups(self) -> tuple[tuple[str, str, str, list[float]], ...]:
        return (
            ("ttft", "TTFT", "Time to First Token", self.ttfts),
            ("tpot", "TPOT", "Time per Output Token (excl. 1st token)", self.tpots),
            ("itl", "ITL", "Inter-token Latency", self.itls),
            ("e2el", "E2EL", "End-to-end Latency", self.e2els),
        )

    def table(self, version: tuple[int, ...]) -> Iterator[str]:
        """The table on stdout."""
        total = "Total token throughput (tok/s):" if version >= (0, 12) else "Total Token throughput (tok/s):"
        yield f"{' Serving Benchmark Result ':=^50}"
        rows: list[tuple[str, str]] = [("Successful requests:", str(self.args.num_prompts))]
        if version >= (0, 12):
            rows.append(("Failed requests:", "0"))
        rows += [
            ("Benchmark duration (s):", f"{self.duration:.2f}"),
            ("Total input tokens:", str(self.inputs)),
            ("Total generated tokens:", str(self.outputs)),
            ("Request throughput (req/s):", f"{self.args.num_prompts / self.duration:.2f}"),
            ("Output token throughput (tok/s):", f"{self.outputs / self.duration:.2f}"),
            (total, f"{(self.inputs + self.outputs) / self.duration:.2f}"),
        ]
        for name, text in rows:
            yield f"{name:<40} {text:<10}"
        asked = (self.args.percentile_metrics or "ttft,tpot,itl").split(",")
        for key, short, title, values in self._groups():
            if key not in asked:
                continue
            yield f"{title:-^50}"
            for word, value in (
                ("Mean", statistics.fmean(values)),
                ("Median", statistics.median(values)),
                ("P99", _p99(values)),
            ):
                yield f"{f'{word} {short} (ms):':<40} {value:<10.2f}"
        yield "=" * 50

    def result(self, version: tuple[int, ...], stamp: str) -> dict[str, object]:
        """The JSON file of `--save-result`."""
        args = self.args
        new = version >= (0, 11)
        result: dict[str, object] = {
            "date": stamp,
            "endpoint_type": getattr(args, "endpoint_type", None) or getattr(args, "backend", "vllm"),
            "label": args.label,
            "model_id": args.model,
            "tokenizer_id": args.tokenizer or args.model,
            "num_prompts": args.num_prompts,
            "request_rate": args.request_rate or "inf",
            "burstiness": 1.0,
            "max_concurrency": args.max_concurrency,
            "duration": self.duration,
            "completed": args.num_prompts,
            **({"failed": 0} if version >= (0, 12) else {}),
            "total_input_tokens": self.inputs,
            "total_output_tokens": self.outputs,
            "request_throughput": args.num_prompts / self.duration,
            "request_goodput" if new else "request_goodput:": None,
            "output_throughput": self.outputs / self.duration,
            "total_token_throughput": (self.inputs + self.outputs) / self.duration,
        }
        for key, _short, _title, values in self._groups():
            result |= {
                f"mean_{key}_ms": statistics.fmean(values),
                f"median_{key}_ms": statistics.median(values),
                f"std_{key}_ms": statistics.pstdev(values),
                f"p99_{key}_ms": _p99(values),
            }
        return result


def _p99(values: list[float]) -> float:
    return sorted(values)[int(0.99 * (len(values) - 1))]
