"""One played host: its root folder, its engine, what its GPUs are busy with, and the failures it starts with."""

import asyncio
import shutil
from pathlib import Path

from console.lab import captured, gpu_files, health, roots
from console.lab.acts import Endpoint
from console.lab.clock import Clock, HostClock
from console.lab.engine import Engine
from console.lab.faults import HOST_FAULTS, Faults
from console.lab.rendezvous import Fabric
from console.lab.specs import Kind
from console.lab.telemetry import LOAD_USED, Sensors

PRELOADED = "rocm/vllm:rocm6.3.1_vllm_0.8.5_20250521"
"""The image every host has from the start; others are pulled."""

TOOLS = "@commands/bin"
"""Below a host's root folder: programs that its sessions find before those of this machine."""


class Machine:
    """A host of the lab. `seed` and the order of its programs decide the noise."""

    def __init__(
        self, name: str, kind: Kind, root: Path, clock: Clock, faults: Faults, seed: int, fabric: Fabric | None = None
    ) -> None:
        self.name = name
        self.kind = kind
        self.root = root
        self.clock = HostClock(clock)
        self.faults = faults
        self.seed = seed
        self.fabric = fabric or Fabric()
        self.ports: dict[int, Endpoint] = {}
        self.docker_allowed = True
        self.shared: Path | None = None
        self.sensors = Sensors(kind, root, f"{seed} {name}")
        self._turns: dict[str, int] = {}
        self._busy: dict[int, int] = {}
        self.engine: Engine = Engine(self)

    def wall(self) -> float:
        """Simulated seconds on this host's wall clock."""
        return asyncio.get_running_loop().time() * self.clock.pace()

    def turn(self, text: str) -> int:
        """How often this command line was started here before."""
        self._turns[text] = self._turns.get(text, -1) + 1
        return self._turns[text]

    def build(self, template: roots.Template | None) -> None:
        """Make the root folder, from its kind's template if there is one, and give it the faults it starts with.

        `shared` is the folder that stands for the network file system of all hosts, when there is one.
        """
        if template is None:
            roots.write_template(self.kind, self.root)
        else:
            template.spread(self.root)
        roots.write_own(self.kind, self.name, self.root, self.fabric.nics(self.name))
        if self.shared is not None:
            (self.root / roots.SHARED.lstrip("/")).symlink_to(self.shared, target_is_directory=True)
        if not self.faults.has("no-image", self.name):
            self.engine.images.preload(PRELOADED)
        for fault in HOST_FAULTS:
            if self.faults.has(fault, self.name):
                self.afflict(fault)

    def afflict(self, fault: str) -> None:
        """Give the host one of the failures that show in its root folder. KeyError for a name that is none."""
        health.afflict(self, fault)

    def tick(self) -> None:
        """A session begins: what `date` prints in it."""
        text = f"{self.clock.stamp()}\n"
        for section in ("clock.begin", "clock.end"):
            self.replace(f"{captured.FOLDER}/{section}", text)

    def set_ahead(self, seconds: int) -> None:
        """Its clock is set, for stamps of its engine and for whatever a session asks `date`."""
        self.clock.ahead_ns = seconds * 1_000_000_000
        tool = self.root / TOOLS / "date"
        tool.parent.mkdir(parents=True, exist_ok=True)
        tool.write_text(f'#!/bin/sh\nexec /bin/date -d "{seconds} seconds" "$@"\n')
        tool.chmod(0o755)

    @property
    def path(self) -> str:
        """PATH of its sessions."""
        return f"{self.root}/{TOOLS}:/usr/local/bin:/usr/bin:/bin:/usr/sbin:/sbin"

    def read(self, path: str) -> str:
        """A file of this host, empty when there is none."""
        try:
            return (self.root / path.lstrip("/")).read_text()
        except OSError:
            return ""

    def replace(self, path: str, data: bytes | str) -> None:
        """Write a file of this host's root folder; other hosts keep theirs."""
        roots.replace(self.root, path, data)

    @property
    def hub(self) -> Path:
        """The model cache of this host alone."""
        return self.root / roots.MODEL_CACHE.lstrip("/") / "hub"

    # ---------------------------------------------------------------- GPUs

    def occupy(self, pid: int, gpus: int, container: str) -> None:
        """A container's program holds GPUs: it shows in KFD's process list, in used memory, load and heat."""
        if not gpus or not (self.root / "dev/kfd").exists():
            return
        self._busy[pid] = gpus
        used = int(self.kind.gpu.vram_bytes * LOAD_USED)
        for gpu in range(gpus):
            self.replace(f"sys/class/kfd/kfd/proc/{pid}/vram_{gpu_files.kfd_id(self.name, gpu)}", f"{used}\n")
        self.replace(f"proc/{pid}/comm", "python3\n")
        self.replace(f"proc/{pid}/status", "Name:\tpython3\nUid:\t0\t0\t0\t0\n")
        self.replace(f"proc/{pid}/cgroup", f"0::/system.slice/docker-{container}.scope\n")
        self.sensors.load(max(self._busy.values()))

    def free(self, pid: int) -> None:
        """The program ended."""
        if self._busy.pop(pid, None) is not None:
            shutil.rmtree(self.root / f"sys/class/kfd/kfd/proc/{pid}", ignore_errors=True)
            shutil.rmtree(self.root / f"proc/{pid}", ignore_errors=True)
            self.sensors.load(max(self._busy.values(), default=0))
