"""From what a cell asks for to the containers that serve it."""

from collections.abc import Mapping

import msgspec

from console.model.fabric import Rail
from console.model.profile import ContainerOptions

CLAIM_NAME = "instinct-claim"
"""Name of the container that holds a host, whatever GPUs it uses: the daemon's name conflict is the lock."""

LABEL = "instinct"
LABEL_RUN = "instinct.run"
LABEL_ATTEMPT = "instinct.attempt"
LABEL_CELL = "instinct.cell"
LABEL_TRY = "instinct.try"
LABEL_OWNER = "instinct.owner"
LABEL_PART = "instinct.part"
LABEL_LAUNCH = "instinct.launch"
"""Labels of every container of ours; `instinct` holds the version that made it."""


class Need(msgspec.Struct, frozen=True, kw_only=True):
    """What a cell asks of its hosts. `gpus` and bytes are per host; times are seconds.

    `model_files`: the model must be complete in the host's cache; training starts from random weights and needs none.
    `shared_folder`: the hosts must see one folder, in which one of them writes what the others read.
    """

    nodes: int
    gpus: int
    gpu_models: tuple[str, ...]
    model: str
    model_bytes: int | None
    image: str
    image_bytes: int | None
    vram_bytes_per_gpu: int | None = None
    ports: tuple[int, ...] = ()
    startup_s: float = 0.0
    measure_s: float | None = None
    deadline_s: float = 0.0
    needs_rdma: bool = False
    model_files: bool = True
    shared_folder: bool = False


class GpuSeat(msgspec.Struct, frozen=True):
    """A GPU given to an attempt: PCI address and device file."""

    bdf: str
    render_node: str


class Mount(msgspec.Struct, frozen=True):
    """A bind mount of a host path."""

    host_path: str
    path: str
    read_only: bool


class Seat(msgspec.Struct, frozen=True, kw_only=True):
    """One host of a placement. `groups` are numeric group ids of the device files on that host.

    For several nodes: `interface` and `ip` reach the other hosts, `hcas` are RDMA devices with their ports
    (`mlx5_0:1`), `gid_index` is the RoCE v2 entry of their GID tables, `provider_mounts` bring the NIC vendor's
    libraries into the container, and `shared` is a folder of a file system that all hosts of the placement see.
    `rails` are the interfaces that bytes go over, and `port` is one that nobody listens on, for a rendezvous there.
    """

    rank: int
    host: str
    gpus: tuple[GpuSeat, ...] = ()
    all_gpus: bool = True
    kfd: bool = True
    groups: tuple[int, ...] = ()
    address: str | None = None
    model_cache: str | None = None
    scratch: str | None = None
    infiniband: bool = False
    interface: str | None = None
    ip: str | None = None
    hcas: tuple[str, ...] = ()
    gid_index: int | None = None
    provider_mounts: tuple[Mount, ...] = ()
    shared: str | None = None
    rails: tuple[Rail, ...] = ()
    port: int | None = None


class Placement(msgspec.Struct, frozen=True):
    """The hosts of an attempt, in rank order."""

    seats: tuple[Seat, ...]


class Scrape(msgspec.Struct, frozen=True):
    """A Prometheus endpoint of a part on its host's loopback address, read through the connection."""

    port: int
    path: str = "/metrics"


class Command(msgspec.Struct, frozen=True, kw_only=True):
    """What one part runs. `after` names a part that must be ready first; a part that `decides` ends the attempt.

    `files` are result files inside the container, collected when it ends. `secrets` are names (`hf_token`) given
    over stdin, never in argv or env.
    """

    part: str
    seat: int
    argv: tuple[str, ...]
    env: Mapping[str, str] = {}
    files: tuple[str, ...] = ()
    after: str | None = None
    decides: bool = True
    secrets: tuple[str, ...] = ()
    scrape: Scrape | None = None
    workdir: str | None = None


class Part(msgspec.Struct, frozen=True, kw_only=True):
    """One container, fully resolved. `lead` parts carry the host's claim name."""

    name: str
    rank: int
    host: str
    container: str
    lead: bool
    image: str
    argv: tuple[str, ...]
    env: Mapping[str, str]
    labels: Mapping[str, str]
    devices: tuple[str, ...]
    groups: tuple[int, ...]
    mounts: tuple[Mount, ...]
    options: ContainerOptions
    deadline_s: int
    after: str | None
    decides: bool
    files: tuple[str, ...]
    secrets: tuple[str, ...] = ()
    scrape: Scrape | None = None
    workdir: str | None = None


class Launch(msgspec.Struct, frozen=True, kw_only=True):
    """A resolved attempt. `hash` covers everything that shapes what runs, so that two launches can be told apart."""

    attempt: str
    cell: str
    image: str
    image_digest: str | None
    placement: Placement
    parts: tuple[Part, ...]
    hash: str
