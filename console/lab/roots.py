"""The root folder of a played host: /sys, /proc, /etc, /dev stand-ins, the model cache; by documented formats.

What all hosts of a kind share is written once and hard-linked; what differs is written for each. A file is only ever
replaced (`replace`), never written in place, so that a change stays with its host.
"""

import hashlib
import os
import socket
import stat
from collections.abc import Iterator, Sequence
from pathlib import Path

from console.lab import captured, cpu_files, gpu_files, hub, network
from console.lab.specs import Kind

MODELS = (
    "amd/Llama-3.1-8B-Instruct-FP8-KV",
    "amd/Llama-3.1-70B-Instruct-FP8-KV",
    "amd/Llama-3.1-405B-Instruct-FP8-KV",
)
"""Models in every host's cache from the start."""

ASSETS = ("meta-llama/Llama-3.1-8B", "black-forest-labs/FLUX.1-dev")
"""Gated repositories that training rows take tokenizer or weights from; there from the start, so no token is needed."""
DATASET = "datasets--bghira--pseudo-camera-10k"

MODEL_CACHE = "/data/huggingface"
SCRATCH = "/var/tmp/instinct"  # noqa: S108 - a folder below the played host's root
RENDER_GID, VIDEO_GID = 109, 44
SHARED = "/shared"
"""A folder that all hosts of a lab see, as a network file system."""


def replace(root: Path, path: str, data: bytes | str) -> None:
    """Write a file of a root folder as a new file, so that hard-linked twins keep theirs."""
    place = root / path.lstrip("/")
    place.parent.mkdir(parents=True, exist_ok=True)
    fresh = place.with_name(f".{place.name}.new")
    fresh.write_bytes(data.encode() if isinstance(data, str) else data)
    fresh.replace(place)


class Template:
    """A written root folder, listed once so that many hosts can be made from it cheaply."""

    def __init__(self, place: Path) -> None:
        self._place = str(place)
        self._folders: list[str] = []
        self._links: list[tuple[str, str]] = []
        self._files: list[str] = []
        for folder, folders, files in os.walk(place):
            below = os.path.relpath(folder, place)
            for name in (*folders, *files):
                path, at = f"{below}/{name}", Path(folder, name)
                if at.is_symlink():
                    self._links.append((str(at.readlink()), path))
                elif name in folders:
                    self._folders.append(path)
                else:
                    self._files.append(path)

    def spread(self, root: Path) -> None:
        """Make a root folder: folders and symbolic links anew, files as hard links. Plain strings, for speed."""
        to = str(root)
        os.mkdir(to)  # noqa: PTH102 - as above
        for path in self._folders:
            os.mkdir(f"{to}/{path}")  # noqa: PTH102 - as above
        for path in self._files:
            os.link(f"{self._place}/{path}", f"{to}/{path}")
        for target, path in self._links:
            os.symlink(target, f"{to}/{path}")  # noqa: PTH211 - as above


def write_template(kind: Kind, root: Path, models: Sequence[str] = MODELS) -> None:
    """Everything that the hosts of a kind have in common."""
    nics = network.common_files(kind.nic, kind.nodes)
    for path, text in (*_system(kind), *cpu_files.files(kind), *gpu_files.files(kind), *nics, *captured.common(kind)):
        place = root / path
        place.parent.mkdir(parents=True, exist_ok=True)
        place.write_text(text)
    cpu_files.link(kind, root)
    gpu_files.link(kind, root)
    for path in (
        SCRATCH,
        "/var/lib/docker",
        "/var/run",
        "/sys/class/kfd/kfd/proc",
        "/dev/shm",  # noqa: S108 - below the played host's root
    ):
        (root / path.lstrip("/")).mkdir(parents=True, exist_ok=True)
    (root / "opt/rocm").symlink_to(f"rocm-{kind.rocm}")
    cache = root / MODEL_CACHE.lstrip("/") / "hub"
    for model in (*models, *ASSETS):
        hub.write(cache, model)
    snapshot = cache / DATASET / "snapshots" / hub.revision_of(DATASET)
    snapshot.mkdir(parents=True)
    (snapshot / "README.md").write_text("simulated\n")


def write_own(kind: Kind, name: str, root: Path, nics: Sequence[network.Nic] = ()) -> None:
    """What only this host has: names, boot id, GPU ids, the engine's socket."""
    seed = hashlib.sha256(f"lab boot {name}".encode()).hexdigest()
    boot = f"{seed[:8]}-{seed[8:12]}-4{seed[13:16]}-a{seed[17:20]}-{seed[20:32]}"
    replace(root, "proc/sys/kernel/random/boot_id", f"{boot}\n")
    replace(root, "proc/sys/kernel/hostname", f"{name}\n")
    replace(root, "etc/hostname", f"{name}\n")
    replace(root, "etc/machine-id", f"{seed[:32]}\n")
    for path, text in (
        *gpu_files.own_files(kind, name, root),
        *network.own_files(tuple(nics)),
        *captured.own(kind, name, root, nics),
    ):
        replace(root, path, text)
    _socket_inode(root / "var/run/docker.sock")
    (root / "run").mkdir(exist_ok=True)


def _socket_inode(place: Path) -> None:
    """A file of type socket, so that tests of a shell see one; nobody listens there."""
    place.parent.mkdir(parents=True, exist_ok=True)
    try:
        os.mknod(place, 0o660 | stat.S_IFSOCK)
    except OSError:
        # without the right to make nodes: bind one, by a short way, because socket paths are limited
        folder = os.open(place.parent, os.O_RDONLY)
        try:
            with socket.socket(socket.AF_UNIX) as listener:
                listener.bind(f"/proc/self/fd/{folder}/{place.name}")
        finally:
            os.close(folder)


def _system(kind: Kind) -> Iterator[tuple[str, str]]:
    dmi = "sys/devices/virtual/dmi/id"
    values = {
        "bios_vendor": "American Megatrends International, LLC.", "bios_version": kind.bios,
        "bios_date": kind.bios_date, "sys_vendor": kind.vendor, "product_name": kind.product,
        "board_name": kind.board, "board_vendor": kind.vendor, "chassis_vendor": "instinct-lab (simulated)",
    }  # fmt: skip
    for base in (dmi, "sys/class/dmi/id"):
        for key, value in values.items():
            yield f"{base}/{key}", f"{value}\n"
    yield "etc/instinct-lab", "This host is simulated by the instinct lab.\n"
    yield (
        "etc/os-release",
        f'PRETTY_NAME="{kind.os_name}"\nNAME="Ubuntu"\nVERSION_ID="{kind.os_version}"\nID=ubuntu\nID_LIKE=debian\n'
        'VARIANT="instinct-lab (simulated)"\nVARIANT_ID=instinct-lab\n',
    )
    yield "etc/group", f"root:x:0:\nvideo:x:{VIDEO_GID}:lab\nrender:x:{RENDER_GID}:lab\ndocker:x:998:lab\n"
    yield f"opt/rocm-{kind.rocm}/.info/version", f"{kind.rocm}-48\n"
    flags = "iommu=pt amd_iommu=on pci=realloc=off numa_balancing=disable"
    yield "proc/cmdline", f"BOOT_IMAGE=/boot/vmlinuz-{kind.kernel} root=/dev/mapper/lab ro {flags}\n"
    yield "proc/sys/kernel/numa_balancing", "0\n"
    yield "proc/sys/kernel/osrelease", f"{kind.kernel}\n"
    yield "proc/version", f"Linux version {kind.kernel} (instinct-lab, simulated) #126-Ubuntu SMP\n"
    yield "proc/uptime", "864000.00 110000000.00\n"
    yield "proc/loadavg", "0.42 0.37 0.31 2/4211 90210\n"
    yield "proc/sys/vm/swappiness", "60\n"
    yield "proc/sys/kernel/dmesg_restrict", "0\n"
    yield "proc/sys/kernel/version", "#126-Ubuntu SMP Mon Jul 1 10:14:24 UTC 2024\n"
    yield "proc/self/limits", limits()
    yield (
        "proc/mounts",
        "/dev/mapper/lab / ext4 rw,relatime 0 0\n/dev/nvme1n1 /data xfs rw,noatime 0 0\n"
        "tmpfs /dev/shm tmpfs rw,nosuid,nodev 0 0\n"
        f"store.lab:/export {SHARED} nfs4 rw,relatime,vers=4.2,hard,proto=tcp 0 0\n",
    )
    total = kind.memory_bytes // 1024
    yield (
        "proc/meminfo",
        f"MemTotal:       {total} kB\nMemFree:        {total * 9 // 10} kB\nMemAvailable:   {total * 19 // 20} kB\n"
        "SwapTotal:             0 kB\nSwapFree:              0 kB\n",
    )
    yield "proc/modules", "amdgpu 16007168 0 - Live 0x0000000000000000\n"
    yield "sys/module/amdgpu/version", f"{kind.driver}\n"
    yield "sys/module/amdgpu/initstate", "live\n"
    yield "sys/module/amdgpu/srcversion", "1AB0DA517AB1E0AB51ADE00\n"
    yield "sys/kernel/mm/transparent_hugepage/enabled", "always [madvise] never\n"
    yield "sys/kernel/iommu_groups/0/type", "identity\n"
    yield "sys/class/iommu/ivhd0/devices", ""


def limits(memlock: str = "unlimited") -> str:
    """/proc/self/limits of a session."""
    rows = (
        ("Max stack size", "8388608", "unlimited", "bytes"),
        ("Max open files", "1048576", "1048576", "files"),
        ("Max locked memory", memlock, memlock, "bytes"),
    )
    head = f"{'Limit':<26}{'Soft Limit':<21}{'Hard Limit':<21}Units\n"
    return head + "".join(f"{name:<26}{soft:<21}{hard:<21}{unit:<10}\n" for name, soft, hard, unit in rows)
