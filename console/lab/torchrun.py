"""torchrun on a played node: how a job comes together, how its steps go, and how it fails."""

import asyncio
import math
import random
from collections.abc import Iterator
from datetime import UTC, datetime

from console.lab import nccl
from console.lab.acts import Act, Exit, Meet, Surroundings, Wait, err, out
from console.lab.network import Nic
from console.lab.rendezvous import Job
from console.lab.specs import GIB
from console.lab.train_rates import FITS

RENDEZVOUS_S = 900.0
"""torchrun's own patience, in simulated seconds."""

PATIENCE_S = 20.0
"""Real seconds a rank waits for the others at least, however fast the lab plays."""

STALL_S = 30.0
"""Real seconds that a stalled job stands still at least, whatever its deadline: long enough to be met in its stall."""

STOPS = {"rank-dies": 0.35, "stall": 0.4, "hang": 0.0, "gpu-hang": 0.5, "killed-for-memory": 0.5, "oom": 0.0}
"""The part of the steps after which a failure ends or freezes a node."""


def stamp() -> str:
    """`MMDD HH:MM:SS.ffffff` as torch's C++ logger has it."""
    return datetime.now(UTC).strftime("%m%d %H:%M:%S.%f")


class Session:
    """One node's torchrun: `program` the script it starts, `watchdog_s` the time a collective may take."""

    def __init__(self, around: Surroundings, program: str) -> None:
        self.around = around
        self.program = program
        self.host = around.host
        self.rng: random.Random = around.rng
        self.nodes, self.rank, self.gpus = 1, 0, max(1, around.gpus)
        self.watchdog_s = 600.0
        self.total = 1
        self.finished = False
        self.sockets = False
        self._job: Job | None = None
        self._port = 0
        self._listens = False

    @property
    def world(self) -> int:
        """Ranks of all nodes."""
        return self.nodes * self.gpus

    @property
    def last(self) -> bool:
        """Whether the job's last rank is here."""
        return self.rank == self.nodes - 1

    def noisy(self, value: float, spread: float = 0.004) -> float:
        """As `Surroundings.noisy`, but the same on every node of the job."""
        return value * (1 + spread * max(-3.0, min(3.0, self.rng.gauss(0.0, 1.0))))

    def close(self) -> None:
        """The program is over, however it ended."""
        if self._listens:
            self.around.fabric.unlisten(self.host, self._port)
        if self._job is not None:
            self._job.leave(self.rank, finished=self.finished)

    # ---------------------------------------------------------------- coming together

    def gather(self, *, address: str, port: int, total: int, nodes: int = 1, rank: int = 0) -> Iterator[Act]:
        """Start the ranks and bring them together; returns when the communicator stands, else ends the program."""
        self.nodes, self.rank, self.total, self._port = nodes, rank, total, port
        around = self.around
        yield Wait(4.0)
        yield err(
            f"W{stamp()} 140 torch/distributed/run.py:792] \nW{stamp()} 140 torch/distributed/run.py:792] "
            "*****************************************\n"
            f"W{stamp()} 140 torch/distributed/run.py:792] Setting OMP_NUM_THREADS environment variable for each "
            "process to be 1 in default, to avoid your system being overloaded, please further tune the variable for "
            "optimal performance in your application as needed. \n"
            f"W{stamp()} 140 torch/distributed/run.py:792] *****************************************"
        )
        if around.fault == "dies-at-once":
            yield from self.failed("ImportError: libamdhip64.so.6: cannot open shared object file: No such file")
        if not around.gpus:
            yield from self.failed("RuntimeError: No HIP GPUs are available")
        yield Wait(9.0)
        yield from self._listen(address)
        if nodes > 1:
            yield from self._meet(address)
        else:
            yield from self._communicator(
                nccl.found(around.env, self._nics, self._up, master=address, nodes=1, rdma=False)
            )

    @property
    def _nics(self) -> tuple[Nic, ...]:
        return self.around.fabric.nics(self.host)

    @property
    def _up(self) -> dict[str, bool]:
        """RDMA devices by whether their port is active, as the host's files say now."""
        return {
            nic.rdma: "ACTIVE" in self.around.host_file(f"/sys/class/infiniband/{nic.rdma}/ports/1/state")
            for nic in self._nics
            if nic.rdma
        }

    def _listen(self, address: str) -> Iterator[Act]:
        owner = self.around.fabric.owner(address, self.host)
        if self.rank != 0 or owner != self.host:
            return
        if self.around.fault != "port-in-use" and self.around.fabric.listen(self.host, self._port):
            self._listens = True
            return
        yield err(
            "torch.distributed.DistNetworkError: The server socket has failed to listen on any local network address. "
            f"port: {self._port}, useIpv6: false, code: -98, name: EADDRINUSE, message: address already in use"
        )
        yield Exit(1)

    def _meet(self, address: str) -> Iterator[Act]:
        around, fabric = self.around, self.around.fabric
        owner = fabric.owner(address, self.host)
        if owner is None and not fabric.is_address(address):
            yield Wait(60.0)
            yield err(
                f"[W{stamp()} socket.cpp:759] [c10d] The IPv6 network addresses of ({address}, {self._port}) cannot be "
                "retrieved (gai error: -2 - Name or service not known)."
            )
            yield err(self._no_client(address))
            yield Exit(1)
        if owner is None:
            yield Wait(RENDEZVOUS_S)
            yield err(self._no_client(address))
            yield Exit(1)
        network = nccl.found(around.env, self._nics, self._up, master=address, nodes=self.nodes, rdma=around.rdma)
        gloo = around.env.get("GLOO_SOCKET_IFNAME", "")
        bad_gloo = bool(gloo) and gloo not in {nic.name for nic in (*self._nics, nccl.LOOPBACK)}
        misled = around.fault == "wrong-interface"
        broken = bool(network.error) or bad_gloo or network.loopback or misled
        job = fabric.join(
            self.host, owner or "", self._port,
            rank=self.rank, nodes=self.nodes, seed=around.seed, stops=0 if broken else self._stops_at(),
        )  # fmt: skip
        self._job = job
        job.stalls = job.stalls or around.fault == "stall"
        job.slow = job.slow or around.fault == "socket-fallback" or not network.devices
        yield Meet(job.ready, RENDEZVOUS_S, PATIENCE_S)
        if not job.ready.is_set():
            yield err(self._nobody(address, job, fabric.listening(owner or "", self._port)))
            yield Exit(1)
        self.rng = random.Random(job.seed)  # noqa: S311 - noise that is the same on every node
        yield Wait(6.0)
        if bad_gloo:
            text = f"ifa != nullptr. Unable to find address for: {gloo}"
            yield from self.failed(f"RuntimeError: [enforce fail at gloo/transport/tcp/device.cc:84] {text}")
        if misled or network.error:
            text = network.error or "Bootstrap : no socket interface found"
            yield err(nccl.warning(self.host, text))
            kind, what = "ncclInternalError: Internal check failed.", "internal error"
            if "completion" in text:
                kind = "ncclRemoteError: A call failed possibly due to a network error or a remote process exiting."
                what = "remote process exited or there was a network error"
            yield from self.failed(
                "torch.distributed.DistBackendError: NCCL error in: torch/csrc/distributed/c10d/NCCLUtils.cpp:77, "
                f"{what}, NCCL version 2.22.3\n{kind}\nLast error:\n{text}"
            )
        self.sockets = job.slow
        yield from self._communicator(network)

    def _communicator(self, network: nccl.Network) -> Iterator[Act]:
        debug = self.around.env.get("NCCL_DEBUG", "").upper()
        if debug in ("INFO", "TRACE"):
            for text in nccl.lines(
                self.host, self.around.env, network,
                rank=self.rank, nodes=self.nodes, gpus=self.gpus, sockets=self.sockets,
            ):  # fmt: skip
                yield out(text)
        if debug and self.around.host_file("/proc/sys/kernel/numa_balancing").strip() not in ("", "0"):
            text = "NUMA auto balancing enabled which can lead to variability in the RCCL performance!"
            yield out(nccl.warning(self.host, f'{text} Disable by "sudo sysctl kernel.numa_balancing=0"'))
        if network.loopback or (self._job is not None and self._job.stuck(self.rank, 0)):
            yield from self.hung()
        yield Wait(3.0)
        if debug in ("INFO", "TRACE"):
            for text in nccl.channels(
                self.host, rank=self.rank, nodes=self.nodes, gpus=self.gpus, sockets=self.sockets
            ):
                yield out(text)

    def _no_client(self, address: str) -> str:
        return (
            "torch.distributed.DistNetworkError: The client socket has timed out after "
            f"{RENDEZVOUS_S * 1000:.0f}ms while trying to connect to ({address}, {self._port})."
        )

    def _nobody(self, address: str, job: Job, listening: bool) -> str:
        if not listening:
            return self._no_client(address)
        return (
            f"torch.distributed.DistStoreError: Timed out after {RENDEZVOUS_S + 1:.0f} seconds waiting for clients. "
            f"{len(job.hosts)}/{self.nodes} clients joined."
        )

    # ---------------------------------------------------------------- steps

    def _stops_at(self) -> float:
        share = STOPS.get(self.around.fault)
        return math.inf if share is None else max(1, math.ceil(share * self.total))

    def step(self, number: int, seconds: float, *, needed: float = 0.0) -> Iterator[Act]:
        """One step with its collective. `needed`: bytes a GPU has to hold; the first step finds out."""
        fault = self.around.fault
        if number >= self._stops_at():
            yield Wait(seconds * 0.4)
            yield from self._stop(fault, needed)
        if number == 1 and needed > FITS * self.around.kind.gpu.vram_bytes:
            yield from self.out_of_memory(needed)
        if self._stuck(number):
            yield from self.hung()
        if number == self.total // 2:
            self.around.halfway()
        yield Wait(seconds)
        if self._stuck(number):
            yield from self.hung()

    def _stuck(self, number: int) -> bool:
        return self._job is not None and self._job.stuck(self.rank, number)

    def _stop(self, fault: str, needed: float) -> Iterator[Act]:
        if fault == "oom":
            yield from self.out_of_memory(max(needed, 1.02 * self.around.kind.gpu.vram_bytes))
        if fault == "hang":
            yield Wait(math.inf)
        if fault == "stall":
            yield from self.hung()
        if fault == "killed-for-memory":
            yield Exit(137, oom=True)
        if fault == "gpu-hang":
            yield err(
                "Memory access fault by GPU node-7 (Agent handle: 0x55d0c8f3a2b0) on address 0x7f3c2a000000. "
                "Reason: Page not present or supervisor privilege."
            )
            yield from self.child_failed(-6)
        yield from self.child_failed(-9)

    def hung(self) -> Iterator[Act]:
        """Wait in a collective for a rank that will not come, until the watchdog ends it."""
        stalls = self.around.fault == "stall" or (self._job is not None and self._job.stalls)
        yield Meet(asyncio.Event(), self.watchdog_s, STALL_S if stalls else 0.0)
        ms = int(self.watchdog_s * 1000)
        for local in range(self.gpus):
            rank = self.rank * self.gpus + local
            yield err(
                f"[rank{rank}]:[E{stamp()} ProcessGroupNCCL.cpp:632] [Rank {rank}] Watchdog caught collective "
                f"operation timeout: WorkNCCL(SeqNum=1841, OpType=ALLREDUCE, NumelIn=16777216, NumelOut=16777216, "
                f"Timeout(ms)={ms}) ran for {ms + 12 + local} milliseconds before timing out."
            )
        yield from self.child_failed(-6)

    def out_of_memory(self, needed: float) -> Iterator[Act]:
        """torch's words for a GPU that is full."""
        whole = self.around.kind.gpu.vram_bytes / GIB
        held = min(needed / GIB, whole) - 3.1
        yield from self.failed(
            f"torch.OutOfMemoryError: HIP out of memory. Tried to allocate 7.83 GiB. GPU 3 has a total capacity of "
            f"{whole:.2f} GiB of which {whole - held - 1.6:.2f} GiB is free. Of the allocated memory {held:.2f} GiB is "
            "allocated by PyTorch, and 1.21 GiB is reserved by PyTorch but unallocated. If reserved but unallocated "
            "memory is large try setting PYTORCH_HIP_ALLOC_CONF=expandable_segments:True to avoid fragmentation.",
            local=3,
        )

    def failed(self, text: str, local: int = 0) -> Iterator[Act]:
        """A rank ends with a traceback, and torchrun reports it."""
        rank = self.rank * self.gpus + local
        yield err(f"[rank{rank}]: Traceback (most recent call last):")
        yield err(f'[rank{rank}]:   File "{self.program}", line 212, in <module>')
        for line in text.splitlines():
            yield err(f"[rank{rank}]: {line}")
        yield from self.child_failed(1, local)

    def child_failed(self, code: int, local: int = 3) -> Iterator[Act]:
        """torchrun's table about the rank that ended first."""
        local %= self.gpus
        pid, rank = 1234 + local, self.rank * self.gpus + local
        yield Wait(1.0)
        yield err(
            f"W{stamp()} 140 torch/distributed/elastic/multiprocessing/api.py:897] Sending process {pid + 1} closing "
            f"signal SIGTERM\nE{stamp()} 140 torch/distributed/elastic/multiprocessing/api.py:869] failed "
            f"(exitcode: {code}) local_rank: {local} (pid: {pid}) of binary: /opt/conda/envs/py_3.10/bin/python"
        )
        yield Wait(2.0)
        name = {-9: "Signal 9 (SIGKILL)", -6: "Signal 6 (SIGABRT)"}.get(code)
        said = (
            f"{name} received by PID {pid}"
            if name
            else "To enable traceback see: https://pytorch.org/docs/stable/elastic/errors.html"
        )
        at = datetime.now(UTC).strftime("%Y-%m-%d_%H:%M:%S")
        yield err(
            'Traceback (most recent call last):\n  File "/opt/conda/envs/py_3.10/bin/torchrun", line 8, in <module>\n'
            "    sys.exit(main())\n"
            "torch.distributed.elastic.multiprocessing.errors.ChildFailedError: \n"
            + "=" * 60
            + f"\n{self.program} FAILED\n"
            + "-" * 60
            + "\nFailures:\n  <NO_OTHER_FAILURES>\n"
            + "-" * 60
            + "\nRoot Cause (first observed failure):\n[0]:\n"
            f"  time      : {at}\n  host      : {self.host}\n  rank      : {rank} (local_rank: {local})\n"
            f"  exitcode  : {code} (pid: {pid})\n  error_file: <N/A>\n  traceback : {said}\n" + "=" * 60
        )
        yield Exit(1)
