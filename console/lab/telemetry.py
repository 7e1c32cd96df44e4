"""What the sensors of a played host show: idle, or the load of the programs that run, about once a second.

Hosts without programs cost nothing. The files are made this host's own at the first load and then rewritten in place,
so that a reader always finds a whole first line.
"""

import asyncio
import contextlib
import math
import os
import random
from collections.abc import Mapping
from pathlib import Path

from console.lab import gpu_files, roots
from console.lab.specs import GIB, Kind

EVERY_S = 1.0
WARMS_IN_S = 20.0
"""Real seconds in which most of a GPU's warming up is done."""

CYCLES, THROTTLED_CYCLES = 100, 37
"""By how much the counter of cycles goes on from one writing to the next, and that of a reason to throttle."""

LOAD_USED = 0.9
"""The part of its memory a busy GPU holds."""


class Sensors:
    """Sensor files of one host. `foreign` GPUs are somebody else's, `extra_c` are degrees on top by GPU, `throttling`
    the reason why a GPU throttles; `throttling_now` the same until nothing runs any more."""

    def __init__(self, kind: Kind, root: Path, seed: str) -> None:
        self.foreign: set[int] = set()
        self.extra_c: dict[int, int] = {}
        self.throttling: dict[int, str] = {}
        self.throttling_now: dict[int, str] = {}
        self._kind, self._root = kind, root
        self._rng = random.Random(seed)  # noqa: S311 - noise of readings
        self._held = 0
        self._since = 0.0
        self._task: asyncio.Task[None] | None = None
        self._own = False
        self._cycles = 0
        self._counted: dict[tuple[int, str], int] = {}

    def load(self, gpus: int) -> None:
        """So many GPUs are busy from now on."""
        before, self._held = self._held, gpus
        if not before and gpus:
            self._since = asyncio.get_running_loop().time()
            self._task = asyncio.create_task(self._follow(), name="lab sensors")
        elif before and not gpus and self._task is not None:
            self._task.cancel()
            self._task = None
        if not gpus:
            self.throttling_now.clear()
        self.show()

    async def _follow(self) -> None:
        while True:
            await asyncio.sleep(EVERY_S)
            self.show()

    def show(self) -> None:
        """Write every file as of now; counters go on by one look's worth."""
        warm = 0.0
        self._cycles += CYCLES
        for gpu in range(self._held):
            reason = self._reason(gpu)
            if reason:
                self._counted[gpu, reason] = self._counted.get((gpu, reason), 0) + THROTTLED_CYCLES
        if self._held:
            warm = 1 - math.exp(-(asyncio.get_running_loop().time() - self._since) / WARMS_IN_S)
        for gpu in range(self._kind.gpus):
            for path, text in self._gpu(gpu, busy=gpu < self._held, warm=warm).items():
                self._write(path, text)
        load = 0.42 + 1.1 * self._held
        self._write("proc/loadavg", f"{load:.2f} {load * 0.9:.2f} {load * 0.6:.2f} {2 + self._held}/4211 90210\n")
        self._own = True

    def _reason(self, gpu: int) -> str:
        return self.throttling_now.get(gpu) or self.throttling.get(gpu, "")

    def _gpu(self, gpu: int, *, busy: bool, warm: float) -> Mapping[str, str]:
        spec, noise = self._kind.gpu, self._rng.gauss(0.0, 1.0)
        foreign = gpu in self.foreign
        used = int(spec.vram_bytes * LOAD_USED) if busy else 150 * GIB if foreign else gpu_files.IDLE_USED
        watts = spec.power_w * (0.93 + 0.01 * noise) if busy else gpu_files.idle_power_w(gpu) + 0.4 * noise
        hot = self.extra_c.get(gpu, 0)
        junction = gpu_files.idle_junction_c(gpu) + hot + (30 * warm if busy else 0)
        memory = 36 + gpu % 4 + (25 * warm if busy else 0)
        clock = spec.clock_mhz * (0.82 if self._reason(gpu) else 0.93) if busy else gpu_files.IDLE_SCLK_MHZ
        mclk = spec.mem_clock_mhz if busy else gpu_files.IDLE_MCLK_MHZ
        device, hwmon = gpu_files.device(gpu), gpu_files.sensors(gpu)
        node = f"{gpu_files.TOPOLOGY}/nodes/{self._kind.nodes + gpu}"
        return {
            f"{device}/mem_info_vram_used": f"{used}\n",
            f"{node}/mem_banks/0/used_memory": f"{used}\n",
            f"{device}/gpu_busy_percent": f"{round(98 + min(2.0, abs(noise))) if busy else 97 if foreign else 0}\n",
            f"{device}/mem_busy_percent": f"{round(58 + 3 * noise) if busy else 0}\n",
            f"{device}/pp_dpm_sclk": gpu_files.pp_dpm((500, round(clock), spec.clock_mhz), 1),
            f"{device}/pp_dpm_mclk": gpu_files.pp_dpm((900, spec.mem_clock_mhz), 1 if busy else 0),
            f"{device}/gpu_metrics": self._metrics(gpu),
            f"{hwmon}/power1_input": f"{round(watts)}000000\n",
            f"{hwmon}/temp2_input": f"{round(junction)}000\n",
            f"{hwmon}/temp3_input": f"{round(memory)}000\n",
            f"{hwmon}/freq1_input": f"{round(clock)}000000\n",
            f"{hwmon}/freq2_input": f"{round(mclk)}000000\n",
        }

    def _metrics(self, gpu: int) -> str:
        """What gpu_metrics says of a GPU now."""
        return gpu_files.metrics(self._cycles, [self._counted.get((gpu, reason), 0) for reason in gpu_files.REASONS])

    def _write(self, path: str, text: str) -> None:
        place = self._root / path
        data = text.encode("latin-1")
        if not self._own:
            if place.parent.is_dir():
                roots.replace(self._root, path, data)
            return
        with contextlib.suppress(FileNotFoundError):
            handle = os.open(place, os.O_WRONLY)
            try:
                os.write(handle, data)
                os.ftruncate(handle, len(data))
            finally:
                os.close(handle)
