"""Makes `store.tar.xz` anew: two runs of the lab, with a host that is away, a bad one and a cell that fails.

Run it as `python tests/data/recorded/make.py` after a change of what the journal or the lab says; pictures of the
screens change with it.
"""

import asyncio
import os
import shutil
import sqlite3
import subprocess
import sys
import tarfile
import tempfile
from pathlib import Path

from console.lab.faults import Fault
from console.lab.up import Lab

HERE = Path(__file__).resolve().parent
FAULTS = [
    Fault("numa-balancing", "lab-mi300x-02"),
    Fault("pcie-width", "lab-mi300x-02"),
    Fault("log-gpu-reset", "lab-mi300x-02"),
    Fault("ras-correctable", "lab-mi300x-03"),
    Fault("no-boot", "lab-mi300x-05"),
    Fault("oom", when="405B"),
]
RUNS = (
    (150, "night", ("vllm-0.8.5-throughput", "vllm-0.8.5-latency"),
     "(input_len==128 and num_prompts==3200) or (batch_size<=2 and model~70B)"),
    (60, "now", ("vllm-0.8.5-throughput", "pytorch-25.5-mi300x", "megatron-25.5-llama"),
     "num_prompts==2000 or batch_size==10 or architecture=='mistral' or "
     "(global_batch_size==256 and micro_batch_size==2)"),
)  # fmt: skip


async def main() -> None:
    """Run and pack."""
    with tempfile.TemporaryDirectory(prefix="instinct-recording-") as base:
        folder, store = Path(base) / "lab", Path(base) / "store"
        for speed, label, matrices, only in RUNS:
            lab = Lab(folder, hosts=5, speed=speed, servers=("mi300x-2x9654",), faults=FAULTS)
            fleet = await lab.start()
            try:
                await asyncio.to_thread(run, fleet, store, label, matrices, only)
            finally:
                await lab.stop()
        with sqlite3.connect(store / "journal.sqlite") as journal:
            journal.execute("PRAGMA wal_checkpoint(TRUNCATE)")
            journal.execute("PRAGMA journal_mode=DELETE")
        shutil.rmtree(store / "locks", ignore_errors=True)
        with tarfile.open(HERE / "store.tar.xz", "w:xz", preset=9) as pack:
            pack.add(store, "store")
            pack.add(folder / "profiles", "profiles")  # the references the lab is judged by


def run(fleet: Path, store: Path, label: str, matrices: tuple[str, ...], only: str) -> None:
    """One run, to its end."""
    argv = [sys.executable, "-m", "console", "run", *matrices, "--fleet", str(fleet), "--store", str(store)]
    argv += ["--place", "spread", "--fetch", "--if-busy", "wait", "--accept", "host.numa_balancing"]
    env = {**os.environ, "INSTINCT_OPERATOR": "ann@desk"}
    subprocess.run([*argv, "--label", label, "--only", only], env=env, check=False, stdout=subprocess.DEVNULL)


if __name__ == "__main__":
    asyncio.run(main())
