"""Output of commands of a played host, by section name: a probe reads them instead of running them under a root."""

from collections.abc import Iterator, Sequence
from pathlib import Path

from console.lab import kernel_text, network, smi
from console.lab.specs import GIB, Kind

FOLDER = "@commands"
RENDER_GID, VIDEO_GID = 109, 44
_HAS_IDS = ("smi.static", "smi.list", "smi.rocm")


def common(kind: Kind) -> Iterator[tuple[str, str]]:
    """Files that all hosts of a kind have alike."""
    for section, text in smi.common(kind):
        yield f"{FOLDER}/{section}", text
    yield f"{FOLDER}/kernel.dmesg", kernel_text.booted(kind)
    yield f"{FOLDER}/driver.dkms", dkms(kind, kind.driver)
    nodes = ["/dev/kfd", *(f"/dev/dri/renderD{128 + gpu}" for gpu in range(kind.gpus))]
    yield f"{FOLDER}/dev.stat", "".join(f"{RENDER_GID} {node}\n" for node in nodes)


def own(kind: Kind, host: str, root: Path, nics: Sequence[network.Nic]) -> Iterator[tuple[str, str]]:
    """Files with ids and addresses of one host; `root` has the common ones already."""
    for section in _HAS_IDS:
        path = f"{FOLDER}/{section}"
        yield path, smi.with_ids((root / path).read_text(), kind, host)
    yield f"{FOLDER}/net.addresses", network.ip_addresses(tuple(nics))
    yield f"{FOLDER}/host.id", account(docker=True)
    yield f"{FOLDER}/df", df()


def dkms(kind: Kind, version: str) -> str:
    """`dkms status`."""
    return f"amdgpu/{version}-2009582.{kind.os_version}, {kind.kernel}, x86_64: installed\n"


def account(*, docker: bool) -> str:
    """`id`."""
    groups = f"1000(lab),{VIDEO_GID}(video),{RENDER_GID}(render)" + (",998(docker)" if docker else "")
    return f"uid=1000(lab) gid=1000(lab) groups={groups}\n"


def df(free: int = 6 << 40) -> str:
    """`df -Pk` with so many bytes free for models and results."""
    return (
        "Filesystem     1024-blocks       Used  Available Capacity Mounted on\n"
        + _df_line("/dev/mapper/lab", 2 << 40, min(free, 1 << 40), "/")
        + _df_line("tmpfs", 1152 * GIB, 1152 * GIB, "/dev/shm")  # noqa: S108 - a name in a table
        + _df_line("store.lab:/export", 400 << 40, 212 << 40, "/shared")
        + _df_line("/dev/nvme1n1", 7 << 40, free, "/data")
    )


def _df_line(source: str, total: int, free: int, mount: str) -> str:
    used = total - free
    return f"{source} {total // 1024} {used // 1024} {free // 1024} {100 * used // total}% {mount}\n"
