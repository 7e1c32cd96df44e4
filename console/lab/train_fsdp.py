"""`train_fsdp.py` of AMD's pytorch-training-benchmark: warming up for half of the steps, then measuring."""

import re
from collections.abc import Iterator

from console.lab import train_rates as rates
from console.lab.acts import Act, Exit, Wait, err, out
from console.lab.torchrun import Session
from console.lab.train_args import Asked

STEPS = 128
CONFIGS = {
    "llama-3.1-8b-8k.json": (rates.LLAMA3_8B, 8192),
    "llama-3.1-8b-4k.json": (rates.LLAMA3_8B, 4096),
    "mistral-7b-v0.1.json": (rates.MISTRAL_7B, 8192),
}
"""Shape and sequence length by settings file."""

_KNOWN = ("batch_size", "enable_fp8", "num_iteration", "grad_accumlate_pre_steps")


def play(session: Session, asked: Asked) -> Iterator[Act]:
    """The program on its one node; figures are per GPU."""
    name = next((word.rpartition("/")[2] for word in asked.words if word.endswith(".json")), "")
    port = asked.option("master_port", 12234)
    steps = asked.option("num_iteration", STEPS)
    unknown = [
        word for word in _own(asked) if word.startswith("--") and word.lstrip("-").partition("=")[0] not in _KNOWN
    ]
    yield from session.gather(address="localhost", port=port, total=steps)
    if unknown:
        yield err(f"train_fsdp.py: error: unrecognized arguments: {' '.join(unknown)}")
        yield from session.child_failed(2, 0)
    if name not in CONFIGS:
        yield from session.failed(f"FileNotFoundError: [Errno 2] No such file or directory: 'configs/{name}'")
    net, length = CONFIGS[name]
    fp8 = bool(re.search(r"--enable_fp8[ =](?:True|1)\b", asked.text))
    batch = asked.option("batch_size", 1)
    yield out("Initing communication")
    yield out(f"Using config configs/{name}")
    yield Wait(35.0)
    yield out(f"Loaded model on CPU with number of parameters: {net.billions:.2f}B")
    yield Wait(12.0)
    needed = rates.memory_bytes("fsdp", net, batch=batch, length=length)
    work = net.flop_per_token(length) * batch * length / 1e12
    yield out(f"GPU memory use = {needed * 0.11 / 1e6:.2f}MB")
    yield out(f"TFLOP per iteration: {work}")
    if fp8:
        yield out("PyTorch compile currently doesn't work with Transformer Engine.")
    else:
        yield out("Compiling model....")
        yield Wait(45.0)
    rate = session.noisy(rates.tflops_per_s("fsdp", net, session.around.kind.gpu, fp8=fp8, batch=batch, length=length))
    yield from _steps(session, steps, work, rate, batch * length, needed)
    session.finished = True
    yield Wait(3.0)
    yield Exit(0)


def _own(asked: Asked) -> tuple[str, ...]:
    """The words after the script's name."""
    at = next((n for n, word in enumerate(asked.words) if word.endswith("train_fsdp.py")), len(asked.words))
    return asked.words[at + 1 :]


def _steps(session: Session, steps: int, work: float, rate: float, tokens: int, needed: float) -> Iterator[Act]:
    times = []
    for index in range(steps):
        took = session.noisy(work / rate, 0.003) * (4.0 if index == 0 else 1.0)
        yield from session.step(index + 1, took, needed=needed)
        if index % 32 == 31:
            loss = "nan" if session.around.fault == "nan" and index > steps / 3 else str(11.76 - index * 0.0031)
            yield out(f"{index} {loss}")
        figures = f"TFLOP/s: {work / took}; iteration time: {took}; token per second: {tokens / took}"
        if index <= steps / 2:
            yield out(f"warming up iter: {index}/{steps / 2}; {figures}")
        else:
            times.append(took)
            yield out(f"Step: {index}; {figures}")
    mean = sum(times) / len(times) if times else float("nan")
    yield out(f"Avg token per second: {tokens / mean}")
    yield out(f"Avg iter time: {mean}")
    yield out(f"TFLOP per iteration: {work}")
    yield out(f"Avg TFLOP/s, {work / mean}")
    yield out(f"Peak memory use = {needed / 1e6:.2f}MB")
