"""torchtitan's `run_llama_train.sh`: Llama 3.1 70B; one coloured line a step from local rank 0."""

from collections.abc import Iterator
from datetime import UTC, datetime

from console.lab import train_rates as rates
from console.lab.acts import Act, Exit, Wait, err
from console.lab.specs import GIB
from console.lab.torchrun import Session
from console.lab.train_args import Asked

RED, GREEN, YELLOW, BLUE, CYAN, MAGENTA, RESET = (f"\033[{code}m" for code in (31, 32, 33, 34, 36, 35, 39))
PEAK_TFLOPS = 1300.0
"""What the program divides by, whatever the precision."""


def play(session: Session, asked: Asked) -> Iterator[Act]:
    """The program on its one node."""
    around, net = session.around, rates.LLAMA3_70B
    batch, length = asked.option("batch_size", 1), asked.option("seq_len", 8192)
    steps, every = asked.option("steps", 50), asked.option("log_freq", 1)
    yield from session.gather(address="localhost", port=29500, total=steps)
    needed = rates.memory_bytes("titan", net, batch=batch, length=length)
    vram = around.kind.gpu.vram_bytes
    yield _says("Starting job: Llama 3 70B training")
    yield _says("Building 1-D device mesh with ['dp_shard'], [8]")
    yield _says(f"GPU capacity: {around.kind.gpu.product} (0) with {vram / GIB:.2f}GiB memory")
    yield Wait(6.0)
    yield _says("Building tiktoken tokenizer locally from the tokenizer file")
    yield _says("TikTokenizer built: #words 128256, BOS ID 128000, EOS ID 128001")
    yield _says("Preparing c4_test dataset from tests/assets/c4_test")
    yield Wait(20.0)
    yield _says(f"Building llama3 70B with TransformerModelArgs(dim={net.hidden}, n_layers={net.layers})")
    yield _says(f"{BLUE}Model llama3 70B {RED}size: {net.parameters:,} total parameters{RESET}")
    yield _says("Applied full activation checkpointing to the model")
    yield _says("Compiling each TransformerBlock with torch.compile")
    yield _says("Applied FSDP to the model")
    yield Wait(25.0)
    yield _says(f"CUDA memory usage for model: {needed * 0.22 / GIB:.2f}GiB({22 * needed / vram:.2f}%)")
    yield _says(
        f"Training starts at step 1, with local batch size {batch}, global batch size {batch * session.gpus}, sequence "
        f"length {length}, total steps {steps} (warmup 10)"
    )
    rate = session.noisy(rates.tflops_per_s("titan", net, around.kind.gpu, fp8=False, batch=batch, length=length))
    by_token = net.flop_per_token(length) / 1e12
    for number in range(1, steps + 1):
        tflops = session.noisy(rate, 0.003) / (3.2 if number == 1 else 1.0)
        yield from session.step(number, batch * length * by_token / tflops, needed=needed)
        if number % every and number != 1:
            continue
        nan = around.fault == "nan" and number > steps / 3
        loss = float("nan") if nan else 12.2 * 0.985**number + 0.4 * session.rng.random()
        yield _says(
            f"{RED}step: {number:2}  {GREEN}loss: {loss:7.4f}  {YELLOW}memory: {needed / GIB:5.2f}GiB"
            f"({100 * needed / vram:.2f}%)  {BLUE}tps: {round(tflops / by_token):,}  {CYAN}tflops: {tflops:,.2f}  "
            f"{MAGENTA}mfu: {100 * tflops / PEAK_TFLOPS:.2f}%{RESET}"
        )
    session.finished = True
    yield _says("Sleeping 2 seconds for other ranks to complete")
    yield Wait(2.0)
    yield _says("Training completed")
    yield Exit(0)


def _says(text: str) -> Act:
    at = datetime.now(UTC).strftime("%Y-%m-%d %H:%M:%S,%f")[:-3]
    return err(f"[rank0]:[titan] {at} - root - INFO - {text}")
