"""Megatron-LM's example scripts: Llama on one or several nodes, DeepSeek-V2-Lite on one.

Iteration lines come from the last rank alone; every rank tells its memory once; a summary ends every node's output,
without figures on all but the last one.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime

from console.lab import train_rates as rates
from console.lab.acts import Act, Exit, Say, Wait, err, out
from console.lab.torchrun import Session
from console.lab.train_args import Asked

NETS = {
    ("llama2", 7): rates.LLAMA2_7B,
    ("llama3", 8): rates.LLAMA3_8B,
    ("llama3", 70): rates.LLAMA3_70B,
}
SLOW = {"llama": (5.0, 1.6), "deepseek": (5.0,)}
"""How much longer the first iterations take: they tune matrix multiplications."""


@dataclass(frozen=True)
class Plan:
    """A run's sizes as the script's environment gives them."""

    model: str
    net: rates.Net | None
    micro: int
    batch: int
    length: int
    iterations: int
    fp8: bool
    tuning: bool

    @property
    def deepseek(self) -> bool:
        """Whether it is train_deepseekv2.sh."""
        return self.net is None


def play(session: Session, asked: Asked) -> Iterator[Act]:
    """A script on one node of the job."""
    env = session.around.env
    session.watchdog_s = 7200.0
    if asked.kind == "deepseek":
        plan: Plan | None = _deepseek(session)
    else:
        plan = _llama(session, asked.kind)
    if plan is None:
        yield out("Model size not supported.")
        yield Exit(1)
        return
    quiet = env.get("TEE_OUTPUT", "1") == "0"
    yield from _run(session, plan, quiet=quiet, wrapped=bool(asked.script))


def _number(session: Session, name: str, default: int) -> int:
    text = session.around.env.get(name, "")
    return int(text) if text.isdigit() else default


def _llama(session: Session, kind: str) -> Plan | None:
    net = NETS.get((kind, _number(session, "MODEL_SIZE", 70)))
    if net is None:
        return None
    return Plan(
        model=net.name,
        net=net,
        micro=_number(session, "MBS", 2),
        batch=_number(session, "BS", 8),
        length=_number(session, "SEQ_LENGTH", 2048 if kind == "llama3" else 4096),
        iterations=_number(session, "TOTAL_ITERS", 10),
        fp8=session.around.env.get("TE_FP8", "0") == "1",
        tuning=session.around.env.get("GEMM_TUNING", "1") == "1",
    )


def _deepseek(session: Session) -> Plan:
    return Plan(
        model="DeepSeek-V2-Lite",
        net=None,
        micro=_number(session, "MBS", 4),
        batch=_number(session, "GBS", 256),
        length=_number(session, "SEQ_LEN", 2048),
        iterations=_number(session, "TRAIN_ITERS", 50),
        fp8=session.around.env.get("PR", "bf16") == "fp8",
        tuning=session.around.env.get("GEMM_TUNING", "0") == "1",
    )


def _run(session: Session, plan: Plan, *, quiet: bool, wrapped: bool) -> Iterator[Act]:
    env, log = session.around.env, bytearray()
    nodes = 1 if plan.deepseek else _number(session, "NNODES", 1)
    rank = 0 if plan.deepseek else _number(session, "NODE_RANK", 0)
    if plan.deepseek:
        address, port = "localhost", 20000 + session.rng.randrange(20000)
    else:
        address = env.get("MASTER_ADDR", "localhost")
        port = _number(session, "MASTER_PORT", 6000 if plan.model.startswith("llama3") else 6020)
    if not any(nic.rdma for nic in session.around.fabric.nics(session.host)) or not session.around.rdma:
        # the script's one-liner for NCCL_IB_HCA; harmless
        yield err('Traceback (most recent call last):\n  File "<string>", line 1, in <module>')
        yield err("IndexError: list index out of range")
    played = Played(session, plan)
    ended = None
    for act in played.acts(address=address, port=port, nodes=nodes, rank=rank):
        if isinstance(act, Exit):
            ended = act
            break
        if quiet and isinstance(act, Say):
            log += act.data
        else:
            yield act
    if ended is not None and ended.oom:
        yield ended
    if quiet:
        folder = env.get("LOG_DIR") or f"experiment/{nodes}nodes_rank{rank}_train_{env.get('MODEL_SIZE', '')}B"
        session.around.files.save(f"{folder}/output_{env.get('EXP_NAME', 'perf')}.log", bytes(log))
    for line in played.summary():
        yield out(line)
    session.finished = ended is None
    # `torchrun … | tee log` hides how torchrun ended, unless a wrapper kept its code
    yield Exit(ended.code if ended is not None and wrapped else 0)


class Played:
    """One node's part of a run."""

    def __init__(self, session: Session, plan: Plan) -> None:
        self.session, self.plan = session, plan
        self.done: list[tuple[float, float]] = []
        """Milliseconds and TFLOP/s of each iteration."""
        self.used = 0.0

    def acts(self, *, address: str, port: int, nodes: int, rank: int) -> Iterator[Act]:
        """Everything up to the summary."""
        session, plan = self.session, self.plan
        yield from session.gather(address=address, port=port, total=plan.iterations, nodes=nodes, rank=rank)
        yield from self._head()
        needed = self._needed()
        self.used = needed / session.around.kind.gpu.vram_bytes
        mean = session.noisy(self._seconds())
        slow = SLOW["deepseek" if plan.deepseek else "llama"] if plan.tuning else (2.0,)
        for number in range(1, plan.iterations + 1):
            took = session.noisy(mean, 0.002) * (slow[number - 1] if number <= len(slow) else 1.0)
            yield from session.step(number, took, needed=needed)
            self.done.append((took * 1000, self._tflops(took)))
            if session.last:
                yield out(self._iteration(number, took))
            if number == 1:
                yield from self._memory(needed)
        yield out(f"[after training is done] datetime: {_now()} ")
        yield Wait(4.0)

    def _needed(self) -> float:
        plan, vram = self.plan, self.session.around.kind.gpu.vram_bytes
        if plan.net is None:
            return 0.43 * vram + 2.1e6 * plan.micro * plan.length
        return rates.memory_bytes("megatron", plan.net, batch=plan.micro, length=plan.length)

    def _seconds(self) -> float:
        session, plan = self.session, self.plan
        gpu = session.around.kind.gpu
        if plan.net is None:
            tokens = rates.DEEPSEEK_TOKENS_PER_S * gpu.rate
        else:
            tflops = rates.tflops_per_s(
                "megatron", plan.net, gpu, fp8=plan.fp8, batch=plan.micro, length=plan.length, nodes=session.nodes
            )
            tokens = tflops * 1e12 / plan.net.flop_per_token(plan.length)
        if session.sockets and session.nodes > 1:
            tokens *= rates.SOCKETS
        return plan.batch * plan.length / (tokens * session.world)

    def _tflops(self, seconds: float) -> float:
        plan = self.plan
        if plan.net is None:
            return 0.0
        return plan.net.flop_per_token(plan.length) * plan.batch * plan.length / (seconds * self.session.world) / 1e12

    def _head(self) -> Iterator[Act]:
        session, plan = self.session, self.plan
        if session.rank == 0:
            yield out(
                f"using world size: {session.world}, data-parallel size: {session.world}, context-parallel size: 1, "
                "hierarchical context-parallel sizes: None, tensor-model-parallel size: 1, "
                "pipeline-model-parallel size: 1"
            )
            yield out("------------------------ arguments ------------------------")
            for name, value in (
                ("global_batch_size", plan.batch),
                ("micro_batch_size", plan.micro),
                ("seq_length", plan.length),
                ("train_iters", plan.iterations),
                ("world_size", session.world),
            ):
                yield out(f"  {name} {'.' * (47 - len(name))} {value}")
            yield out("-------------------- end of arguments ---------------------")
            yield out("> initializing torch distributed ...")
        yield Wait(8.0)
        if session.rank == 0:
            size = plan.net.parameters if plan.net else 15_706_484_224
            yield out("building GPT model ...")
            yield out(f" > number of parameters on (tensor, pipeline) model parallel rank (0, 0): {size}")
            yield out("> building train, validation, and test datasets ...")
        yield Wait(25.0)
        yield out(f"[before the start of training step] datetime: {_now()} ")

    def _iteration(self, number: int, seconds: float) -> str:
        session, plan = self.session, self.plan
        nan = session.around.fault == "nan" and number > plan.iterations / 5
        loss = "nan" if nan else f"{1.19e1 * 0.99**number:.6E}"
        fields = [
            f"iteration {number:8d}/{plan.iterations:8d}",
            f"consumed samples: {number * plan.batch:12d}",
            f"elapsed time per iteration (ms): {seconds * 1000:.1f}",
        ]
        if not plan.deepseek:
            fields.append(f"mem usages: {self.used:.4f}")
            fields.append(f"throughput per GPU (TFLOP/s/GPU): {self._tflops(seconds):.1f}")
        fields += [f"learning rate: {1e-4:.6E}", f"global batch size: {plan.batch:5d}", f"lm loss: {loss}"]
        if plan.deepseek:
            fields.append("load_balancing_loss: 1.041E+00")
        norm = "nan" if nan else f"{1.3 + 0.5 * session.rng.random():.3f}"
        fields += [
            "loss scale: 1.0",
            f"grad norm: {norm}",
            "number of skipped iterations:   0",
            f"number of nan iterations: {int(nan):3d}",
        ]
        return f" [{_now()}] " + " | ".join(fields) + " |"

    def _memory(self, needed: float) -> Iterator[Act]:
        """Every rank of the node; two of them write without waiting for each other's line end."""
        first = self.session.rank * self.session.gpus
        for local in range(self.session.gpus):
            text = (
                f"[Rank {first + local}] (after 1 iterations) memory (MB) | allocated: {needed * 0.46 / 1e6:.3f} | "
                f"max allocated: {needed * 0.93 / 1e6:.3f} | reserved: {needed * 0.98 / 1e6:.1f} | "
                f"max reserved: {needed * 0.98 / 1e6:.1f}"
            )
            yield Say(text.encode() + (b"" if local == 2 else b"\n"))

    def summary(self) -> Iterator[str]:
        """What the script itself adds at the end, from the iteration lines of its log."""
        plan, session = self.plan, self.session
        if plan.deepseek:
            kept = [round(ms, 1) for ms, _ in self.done[1:-1]]
            if kept:
                mean = sum(kept) / len(kept)
                yield f"elapsed time per iteration: {mean}"
                yield f"tokens/GPU/s: {plan.batch * plan.length * 1000 / mean / session.world:.6f}"
            return
        kept_both = self.done[2:-1] if session.last else []
        if not kept_both:
            yield "throughput per GPU: nan"
            yield "elapsed time per iteration: nan"
            yield "tokens/GPU/s: "
            yield "mem usages: nan"
            return
        # the script reads the rounded figures of the lines
        mean = sum(round(ms, 1) for ms, _ in kept_both) / len(kept_both)
        yield f"throughput per GPU: {sum(round(tflops, 1) for _, tflops in kept_both) / len(kept_both)}"
        yield f"elapsed time per iteration: {mean}"
        yield f"tokens/GPU/s: {plan.batch * plan.length * 1000 / mean / session.world:.6f}"
        yield f"mem usages: {round(self.used, 4)}"


def _now() -> str:
    return datetime.now(UTC).strftime("%Y-%m-%d %H:%M:%S")
