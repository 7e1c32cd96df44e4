"""One played host: its root folder, its engine, what its GPUs are busy with, and the failures it starts with."""

import asyncio
import shutil
from collections.abc import Callable
from pathlib import Path

from console.lab import hub, roots
from console.lab.acts import Endpoint
from console.lab.clock import Clock
from console.lab.engine import Engine
from console.lab.faults import HOST_FAULTS, Faults
from console.lab.specs import GIB, MIB, Kind

FOREIGN_PID = 31337
PRELOADED = "rocm/vllm:rocm6.3.1_vllm_0.8.5_20250521"
"""The image every host has from the start; others are pulled."""


class Machine:
    """A host of the lab. `seed` and the order of its programs decide the noise."""

    def __init__(self, name: str, kind: Kind, root: Path, clock: Clock, faults: Faults, seed: int) -> None:
        self.name = name
        self.kind = kind
        self.root = root
        self.clock = clock
        self.faults = faults
        self.seed = seed
        self.ports: dict[int, Endpoint] = {}
        self.docker_allowed = True
        self._turns: dict[str, int] = {}
        self._busy: dict[int, int] = {}
        self.engine = Engine(self)

    def wall(self) -> float:
        """Simulated seconds on this host's wall clock."""
        return asyncio.get_running_loop().time() * self.clock.speed

    def turn(self, text: str) -> int:
        """How often this command line was started here before."""
        self._turns[text] = self._turns.get(text, -1) + 1
        return self._turns[text]

    def build(self, template: roots.Template | None) -> None:
        """Make the root folder, from its kind's template if there is one, and give it the faults it starts with."""
        if template is None:
            roots.write_template(self.kind, self.root)
        else:
            template.spread(self.root)
        roots.write_own(self.kind, self.name, self.root)
        self._write_commands()
        if not self.faults.has("no-image", self.name):
            self.engine.images.preload(PRELOADED)
        for fault in HOST_FAULTS:
            if self.faults.has(fault, self.name):
                self.afflict(fault)

    def afflict(self, fault: str) -> None:
        """Give the host one of the failures that show in its root folder. KeyError for a name that is none."""
        acts: dict[str, Callable[[], object]] = {
            "no-docker-permission": self._lock_docker,
            "kfd-missing": self._unload_driver,
            "numa-balancing": lambda: self.replace("proc/sys/kernel/numa_balancing", "1\n"),
            "busy-gpu": self._foreign_process,
            "model-missing": lambda: shutil.rmtree(self._hub),
            "model-incomplete": self._cut_models,
            "disk-full": lambda: self._write_commands(free=512 * MIB),
            "no-image": self.engine.images.all.clear,
            "no-boot": lambda: None,
        }
        acts[fault]()

    def replace(self, path: str, data: bytes | str) -> None:
        """Write a file of this host's root folder; other hosts keep theirs."""
        roots.replace(self.root, path, data)

    @property
    def _hub(self) -> Path:
        return self.root / roots.MODEL_CACHE.lstrip("/") / "hub"

    # ---------------------------------------------------------------- GPUs

    def occupy(self, pid: int, gpus: int) -> None:
        """A container's program holds GPUs: it shows in KFD's process list, in used memory and load."""
        if gpus and (self.root / "dev/kfd").exists():
            self._busy[pid] = gpus
            (self.root / f"sys/class/kfd/kfd/proc/{pid}").mkdir(parents=True, exist_ok=True)
            self._show_load()

    def free(self, pid: int) -> None:
        """The program ended."""
        if self._busy.pop(pid, None) is not None:
            shutil.rmtree(self.root / f"sys/class/kfd/kfd/proc/{pid}", ignore_errors=True)
            self._show_load()

    def _show_load(self) -> None:
        held = max(self._busy.values(), default=0)
        for gpu in range(self.kind.gpus):
            used = int(self.kind.gpu.vram_bytes * 0.9) if gpu < held else 283 * MIB
            device = f"sys/bus/pci/devices/{roots.bdf(gpu)}"
            self.replace(f"{device}/mem_info_vram_used", f"{used}\n")
            self.replace(f"{device}/gpu_busy_percent", "100\n" if gpu < held else "0\n")
            power = self.kind.gpu.power_w * 940_000 if gpu < held else 139_000_000 + gpu * 1_000_000
            self.replace(f"{device}/hwmon/hwmon{gpu + 3}/power1_input", f"{power}\n")

    # ---------------------------------------------------------------- faults

    def _lock_docker(self) -> None:
        self.docker_allowed = False
        (self.root / "var/run/docker.sock").chmod(0)

    def _unload_driver(self) -> None:
        for path in ("dev/kfd", "dev/dri", "sys/class/kfd", "sys/module/amdgpu"):
            place = self.root / path
            if place.is_dir():
                shutil.rmtree(place)
            else:
                place.unlink()
        for gpu in range(self.kind.gpus):
            (self.root / f"sys/bus/pci/devices/{roots.bdf(gpu)}/driver").unlink()

    def _foreign_process(self) -> None:
        proc = self.root / f"sys/class/kfd/kfd/proc/{FOREIGN_PID}"
        proc.mkdir(parents=True)
        self.replace(f"proc/{FOREIGN_PID}/comm", "someone-elses\n")
        device = f"sys/bus/pci/devices/{roots.bdf(0)}"
        self.replace(f"{device}/mem_info_vram_used", f"{150 * GIB}\n")
        self.replace(f"{device}/gpu_busy_percent", "97\n")

    def _cut_models(self) -> None:
        for model in roots.MODELS:
            shards = hub.shard_names(model)
            base = self._hub / hub.folder(model)
            link = base / "snapshots" / hub.revision_of(model) / shards[min(1, len(shards) - 1)]
            blob = link.resolve()
            link.unlink()
            blob.rename(blob.with_name(f"{blob.name}.incomplete"))

    # ---------------------------------------------------------------- commands

    def _write_commands(self, free: int = 6 << 40) -> None:
        """Output of commands that a probe reads instead of running them under a root folder, by section name."""
        for name, text in commands(self, free).items():
            self.replace(f"@commands/{name}", text)


def commands(machine: Machine, free: int) -> dict[str, str]:
    """Captured output by section name."""
    groups = f"1000(lab),{roots.VIDEO_GID}(video),{roots.RENDER_GID}(render),998(docker)"
    if machine.faults.has("no-docker-permission", machine.name):
        groups = groups.removesuffix(",998(docker)")
    nodes = ["/dev/kfd", *(f"/dev/dri/renderD{128 + gpu}" for gpu in range(machine.kind.gpus))]
    return {
        "host.id": f"uid=1000(lab) gid=1000(lab) groups={groups}\n",
        "dev.stat": "".join(f"{roots.RENDER_GID} {node}\n" for node in nodes),
        "df": _DF_HEAD + _df_line("/dev/mapper/lab", 2 << 40, min(free, 1 << 40), "/")
        + _df_line("/dev/nvme1n1", 7 << 40, free, "/data"),
    }  # fmt: skip


_DF_HEAD = "Filesystem     1024-blocks       Used  Available Capacity Mounted on\n"


def _df_line(source: str, total: int, free: int, mount: str) -> str:
    used = total - free
    return f"{source} {total // 1024} {used // 1024} {free // 1024} {100 * used // total}% {mount}\n"
