"""The command lines of vLLM's programs by version: what each one takes, and how it refuses the rest."""

import argparse
from collections.abc import Sequence
from typing import NoReturn

ENGINE_VALUES = """
tokenizer hf-config-path revision code-revision tokenizer-revision tokenizer-mode load-format download-dir
config-format dtype max-model-len distributed-executor-backend pipeline-parallel-size data-parallel-size
block-size gpu-memory-utilization swap-space kv-cache-dtype num-gpu-blocks-override cpu-offload-gb
quantization rope-scaling rope-theta hf-token hf-overrides max-seq-len-to-capture limit-mm-per-prompt
max-lora-rank max-loras device served-model-name max-num-batched-tokens max-num-seqs num-scheduler-steps
scheduling-policy compilation-config override-generation-config generation-config max-logprobs seed task
model-impl guided-decoding-backend speculative-config kv-transfer-config preemption-mode attention-backend
scheduler-delay-factor
"""

ENGINE_SWITCHES = """
trust-remote-code enforce-eager disable-custom-all-reduce disable-log-stats enable-expert-parallel
calculate-kv-scales disable-sliding-window enable-lora disable-async-output-proc async-scheduling
disable-cascade-attn enable-sleep-mode skip-tokenizer-init disable-log-requests enable-log-requests
use-tqdm-on-load
"""

STORE_BOOLEAN = ("enable-chunked-prefill", "enable-prefix-caching", "multi-step-stream-outputs")
"""Flags that took `True` or `False` as a value up to 0.8.3 and became `--x/--no-x` later."""

GONE: dict[str, tuple[int, ...]] = {
    "num-scheduler-steps": (0, 10, 2),
    "max-seq-len-to-capture": (0, 11),
    "preemption-mode": (0, 11),
    "scheduler-delay-factor": (0, 11),
    "swap-space": (0, 23),
    "disable-log-requests": (0, 23),
    "device": (0, 11),
}
"""The version from which a flag is no longer known."""

SINCE: dict[str, tuple[int, ...]] = {
    "compilation-config": (0, 6, 6),
    "enable-expert-parallel": (0, 8, 3),
    "async-scheduling": (0, 10),
    "enable-log-requests": (0, 10, 2),
    "attention-backend": (0, 11),
    "disable-cascade-attn": (0, 8, 3),
    "generation-config": (0, 7),
}


class Refused(Exception):
    """argparse ended the program: the text for stderr and the exit code."""

    def __init__(self, text: str, code: int) -> None:
        super().__init__(text)
        self.text = text
        self.code = code


class Parser(argparse.ArgumentParser):
    """argparse that raises instead of leaving; accepts underscores in flag names as vLLM's parser does."""

    front = ""
    """Usage and program name as the `vllm` command line prints them, when it is that."""

    def error(self, message: str) -> NoReturn:
        """Raise what argparse would print."""
        if self.front:
            usage = "usage: vllm [-h] [-v] {chat,complete,serve,bench,collect-env,run-batch} ...\n"
            raise Refused(f"{usage}vllm: error: {message}\n", 2)
        raise Refused(f"{self.format_usage()}{self.prog}: error: {message}\n", 2)

    def exit(self, status: int = 0, message: str | None = None) -> NoReturn:
        """Raise what argparse would print."""
        raise Refused(message or "", status)

    def read(self, argv: Sequence[str]) -> argparse.Namespace:
        """Parse; Refused on anything unknown."""
        plain = []
        for one in argv:
            if one.startswith("--"):
                flag, equals, value = one.partition("=")
                plain.append(flag.replace("_", "-") + equals + value)
            else:
                plain.append({"-tp": "--tensor-parallel-size", "-pp": "--pipeline-parallel-size"}.get(one, one))
        return self.parse_args(plain)


def _parser(prog: str, front: bool) -> Parser:
    parser = Parser(prog=prog, allow_abbrev=False, add_help=False)
    parser.front = "vllm" if front else ""
    return parser


def _engine(parser: Parser, version: tuple[int, ...]) -> None:
    def known(flag: str) -> bool:
        return version < GONE.get(flag, (99,)) and version >= SINCE.get(flag, ())

    integers = {"max-model-len", "max-num-batched-tokens", "max-num-seqs", "num-scheduler-steps", "seed", "block-size"}
    for flag in filter(known, ENGINE_VALUES.split()):
        kind = int if flag in integers else float if flag == "gpu-memory-utilization" else str
        parser.add_argument(f"--{flag}", type=kind)
    parser.add_argument("--tensor-parallel-size", type=int, default=1)
    switches = list(filter(known, ENGINE_SWITCHES.split()))
    if version <= (0, 8, 3):
        for flag in STORE_BOOLEAN:
            parser.add_argument(f"--{flag}", nargs="?", const="True", choices=("True", "False", "true", "false"))
        for flag in switches:
            parser.add_argument(f"--{flag}", action="store_true")
    else:
        for flag in (*STORE_BOOLEAN, *switches):
            parser.add_argument(f"--{flag}", action=argparse.BooleanOptionalAction)


def _values(parser: Parser, text: str, kind: type = str) -> None:
    for flag in text.split():
        parser.add_argument(f"--{flag}", type=kind)


def _switches(parser: Parser, text: str) -> None:
    for flag in text.split():
        parser.add_argument(f"--{flag}", action="store_true")


def throughput(version: tuple[int, ...], *, front: bool) -> Parser:
    """benchmark_throughput.py or `vllm bench throughput`."""
    parser = _parser("benchmark_throughput.py", front)
    parser.add_argument("--backend", default="vllm")
    _values(parser, "dataset dataset-path output-json lora-path hf-max-batch-size")
    parser.add_argument("--input-len", type=int)
    parser.add_argument("--output-len", type=int)
    parser.add_argument("--n", type=int, default=1)
    parser.add_argument("--num-prompts", type=int, default=1000)
    _switches(parser, "async-engine disable-frontend-multiprocessing disable-detokenize profile")
    if version >= (0, 8, 3):
        _values(parser, "dataset-name random-range-ratio prefix-len hf-subset hf-split")
    if version >= (0, 10):
        _values(parser, "random-input-len random-output-len random-prefix-len", int)
    parser.add_argument("--model", default="facebook/opt-125m")
    _engine(parser, version)
    return parser


def latency(version: tuple[int, ...], *, front: bool) -> Parser:
    """benchmark_latency.py or `vllm bench latency`."""
    parser = _parser("benchmark_latency.py", front)
    parser.add_argument("--input-len", type=int, default=32)
    parser.add_argument("--output-len", type=int, default=128)
    parser.add_argument("--batch-size", type=int, default=8)
    parser.add_argument("--n", type=int, default=1)
    parser.add_argument("--num-iters-warmup", type=int, default=10)
    parser.add_argument("--num-iters", type=int, default=30)
    _values(parser, "output-json profile-result-dir")
    _switches(parser, "use-beam-search profile")
    if version >= (0, 8, 3):
        _switches(parser, "disable-detokenize")
    parser.add_argument("--model", default="facebook/opt-125m")
    _engine(parser, version)
    return parser


def serve(version: tuple[int, ...]) -> Parser:
    """`vllm serve MODEL`."""
    parser = _parser("vllm serve", True)
    parser.add_argument("model_tag", nargs="?")
    parser.add_argument("--model")
    parser.add_argument("--host")
    parser.add_argument("--port", type=int, default=8000)
    _values(parser, "uvicorn-log-level api-key chat-template root-path max-log-len response-role")
    _switches(parser, "disable-uvicorn-access-log disable-frontend-multiprocessing enable-auto-tool-choice")
    _engine(parser, version)
    return parser


def bench_serve(version: tuple[int, ...], *, front: bool) -> Parser:
    """benchmark_serving.py or `vllm bench serve`."""
    parser = _parser("benchmark_serving.py", front)
    if not front or version >= (0, 9, 2):
        parser.add_argument("--backend", default="vllm")
    if front:
        parser.add_argument("--endpoint-type", default="openai-comp")
    _values(parser, "base-url endpoint dataset-name dataset-path tokenizer served-model-name label request-rate")
    _values(parser, "percentile-metrics metric-percentiles result-dir result-filename logprobs temperature")
    _values(parser, "random-input-len random-output-len random-prefix-len seed ready-check-timeout-sec", int)
    _values(parser, "burstiness random-range-ratio", float)
    parser.add_argument("--host", default="127.0.0.1")
    parser.add_argument("--port", type=int, default=8000)
    parser.add_argument("--num-prompts", type=int, default=1000)
    parser.add_argument("--max-concurrency", type=int)
    parser.add_argument("--metadata", nargs="*")
    parser.add_argument("--goodput", nargs="+")
    _switches(parser, "use-beam-search trust-remote-code disable-tqdm profile save-result save-detailed append-result")
    _switches(parser, "ignore-eos")
    parser.add_argument("--model", required=True)
    return parser
