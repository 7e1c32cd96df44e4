"""The servers the lab plays, in its own words: processor, BIOS, GPU, counts and sizes. Figures are the lab's own."""

from collections.abc import Sequence
from dataclasses import dataclass

from console.lab.network import BROADCOM, CONNECTX, NicKind

GIB = 1 << 30
MIB = 1 << 20


@dataclass(frozen=True)
class GpuKind:
    """One GPU model. `rate` scales the lab's fictional speeds; 1.0 is the MI300X."""

    name: str
    device_id: str
    vram_bytes: int
    power_w: int
    mem_clock_mhz: int
    product: str
    vbios: str
    rate: float
    compute_units: int = 304
    clock_mhz: int = 2100
    gfx: int = 90402


MI300X = GpuKind("MI300X", "74a1", 196592 * MIB, 750, 1300, "AMD Instinct MI300X OAM", "113-M3000100-102", 1.0)
MI325X = GpuKind("MI325X", "74a5", 262128 * MIB, 1000, 1500, "AMD Instinct MI325X OAM", "113-M3250101-100", 1.15)
MI355X = GpuKind(
    "MI355X", "75a3", 294896 * MIB, 1400, 2000, "AMD Instinct MI355X OAM", "113-M3550101-100", 1.9, 256, 2400, 90500
)


@dataclass(frozen=True)
class Kind:
    """One server model; `server` names the console's profile for it."""

    server: str
    gpu: GpuKind
    gpus: int
    cpu: str
    cores: int
    sockets: int
    nodes_per_socket: int
    bios: str
    bios_date: str
    vendor: str
    product: str
    board: str
    kernel: str
    os_name: str
    os_version: str
    driver: str
    rocm: str
    memory_bytes: int
    nic: NicKind = BROADCOM
    family: int = 25
    model: int = 17

    @property
    def cpus(self) -> int:
        """Logical processors; SMT is off on these servers."""
        return self.cores * self.sockets

    @property
    def nodes(self) -> int:
        """NUMA nodes."""
        return self.sockets * self.nodes_per_socket


_SMC = ("Supermicro", "AS -8125GS-TNMR2", "H13DSG-O-CPU-D")
_JAMMY = ("Ubuntu 22.04.5 LTS", "22.04")

KINDS: tuple[Kind, ...] = (
    Kind(
        "mi300x-2x9554", MI300X, 8, "AMD EPYC 9554 64-Core Processor", 64, 2, 1, "1.8", "05/15/2024",
        *_SMC, "5.15.0-116-generic", *_JAMMY, "6.8.5", "6.3.1", 2305 * GIB,
    ),
    Kind(
        "mi300x-2x9654", MI300X, 8, "AMD EPYC 9654 96-Core Processor", 96, 2, 2, "5.27", "11/20/2024",
        "Lab Machines", "LM-8X300", "LM-8X300-MB", "5.15.0-116-generic", *_JAMMY, "6.10.5", "6.3.0", 2305 * GIB,
        CONNECTX,
    ),
    Kind(
        "mi325x-2x9654", MI325X, 8, "AMD EPYC 9654 96-Core Processor", 96, 2, 2, "5.27", "11/20/2024",
        "Lab Machines", "LM-8X325", "LM-8X325-MB", "5.15.0-116-generic", *_JAMMY, "6.9.5", "6.3.0", 3072 * GIB,
        CONNECTX,
    ),
    Kind(
        "mi355x", MI355X, 8, "AMD EPYC 9575F 64-Core Processor", 64, 2, 1, "1.4", "06/30/2025",
        "Lab Machines", "LM-8X355", "LM-8X355-MB", "6.8.0-79-generic", "Ubuntu 24.04.3 LTS", "24.04", "6.14.14",
        "7.0.2", 3072 * GIB, CONNECTX, 26, 2,
    ),
)  # fmt: skip

KIND_BY_SERVER = {kind.server: kind for kind in KINDS}


def lineup(count: int, servers: Sequence[str] = ()) -> tuple[tuple[str, Kind], ...]:
    """Names and kinds of so many hosts, numbered by GPU. `servers`: these kinds in turn. KeyError for an unknown one.

    Else two MI300X kinds and the MI325X in turn; from 12 hosts on, the hosts 7 to 12 are all of AMD's training kind,
    so that there are a job's eight alike.
    """
    seen: dict[str, int] = {}
    hosts = []
    for index in range(count):
        kind = KINDS[index % 3]
        if servers:
            kind = KIND_BY_SERVER[servers[index % len(servers)]]
        elif 6 <= index < 12 <= count:
            kind = KIND_BY_SERVER["mi300x-2x9654"]
        gpu = kind.gpu.name.lower()
        seen[gpu] = seen.get(gpu, 0) + 1
        hosts.append((f"lab-{gpu}-{seen[gpu]:02d}", kind))
    return tuple(hosts)
