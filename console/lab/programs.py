"""Which program a command line means. What the lab cannot play says so and exits with 64."""

import re
from collections.abc import Callable, Iterator

from console.lab import fabric_check, hub, training, vllm_offline, vllm_serve
from console.lab.acts import Act, Exit, Program, Say, Surroundings, Wait, err, out

NOT_PLAYED = 64

_SCRIPT = re.compile(r"(?:.*/)?benchmark_(throughput|latency|serving)\.py")
_PREFIX = re.compile(rb"((?:INFO|WARNING) \d\d-\d\d \d\d:\d\d:\d\d) \[([\w.]+:\d+)\] ")
_TOOLS = ("vllm", "hf", "huggingface-cli", "torchrun", "tune", "bash", "sh", "python", "python3")


def find(around: Surroundings) -> Program | None:
    """The program's play; None when there is no such executable in the image."""
    argv = around.argv
    if not argv:
        return None
    name = argv[0].rpartition("/")[2]
    if name in _SMALL:
        return _SMALL[name](around)
    checked = fabric_check.find(around)
    if checked is not None:
        return checked
    trained = training.find(around)
    if trained is not None:
        return trained
    download = hub.download_program(around)
    if download is not None:
        return download
    if around.vllm is not None and (play := _vllm(around, name)) is not None:
        return _unbracketed(play) if around.vllm < (0, 8) else play
    return _not_played(" ".join(argv)) if name in _TOOLS else None


def _unbracketed(play: Program) -> Program:
    """Log lines as vLLM wrote them before 0.8: `INFO 08-20 02:39:37 metrics.py:411] …`."""
    for act in play:
        yield act._replace(data=_PREFIX.sub(rb"\1 \2] ", act.data)) if isinstance(act, Say) else act


def _vllm(around: Surroundings, name: str) -> Program | None:
    argv = around.argv
    version = around.vllm or ()
    if name in ("python", "python3"):
        rest = argv[1:] if argv[1:2] != ("-u",) else argv[2:]
        if rest[:2] == ("-m", "vllm.entrypoints.openai.api_server"):
            return vllm_serve.serve(around, rest[2:])
        if rest[:3] == ("-m", "vllm.entrypoints.cli.main", "bench"):
            return _bench(around, rest[3:])
        script = _SCRIPT.fullmatch(rest[0]) if rest else None
        if script is None:
            return None
        kind = {"serving": "serve"}.get(script[1], script[1])
        if version >= (0, 11):
            return vllm_offline.stub(kind)
        return _benchmark(around, kind, rest[1:], front=False)
    if name != "vllm":
        return None
    if argv[1:2] == ("serve",):
        return vllm_serve.serve(around, argv[2:])
    if argv[1:2] == ("bench",):
        return _bench(around, argv[2:])
    return None


def _bench(around: Surroundings, rest: tuple[str, ...]) -> Program:
    if (around.vllm or ()) < (0, 8, 5):
        return _no_bench()
    kind = rest[0] if rest else ""
    if kind not in ("throughput", "latency", "serve"):
        return _not_played(f"vllm bench {kind}")
    return _benchmark(around, kind, rest[1:], front=True)


def _benchmark(around: Surroundings, kind: str, rest: tuple[str, ...], *, front: bool) -> Program:
    if kind == "throughput":
        return vllm_offline.throughput(around, rest, front=front)
    if kind == "latency":
        return vllm_offline.latency(around, rest, front=front)
    return vllm_serve.bench(around, rest, front=front)


def _no_bench() -> Iterator[Act]:
    yield Wait(9.0)
    yield err("usage: vllm [-h] [-v] {chat,complete,serve} ...")
    yield err("vllm: error: argument subparser: invalid choice: 'bench' (choose from 'chat', 'complete', 'serve')")
    yield Exit(2)


def _not_played(text: str) -> Iterator[Act]:
    yield err(f"instinct-lab (simulated): this program is not played: {text[:200]}")
    yield Exit(NOT_PLAYED)


def _echo(around: Surroundings) -> Iterator[Act]:
    yield out(" ".join(around.argv[1:]))


def _sleep(around: Surroundings) -> Iterator[Act]:
    text = around.argv[1] if len(around.argv) > 1 else "0"
    yield Wait(float("inf") if text == "infinity" else float(text))


def _count(around: Surroundings) -> Iterator[Act]:
    """`lab-count N [PAUSE]`: numbered lines on stdout, each tenth on stderr; for tests of log readers."""
    pause = float(around.argv[2]) if len(around.argv) > 2 else 0.0
    for number in range(int(around.argv[1])):
        yield err(f"line {number}") if number % 10 == 9 else out(f"line {number}")
        yield Wait(pause)


def _true(around: Surroundings) -> Iterator[Act]:
    yield Exit(0)


def _false(around: Surroundings) -> Iterator[Act]:
    yield Exit(1)


_SMALL: dict[str, Callable[[Surroundings], Program]] = {
    "echo": _echo,
    "sleep": _sleep,
    "lab-count": _count,
    "true": _true,
    "false": _false,
}
