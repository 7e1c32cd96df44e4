"""One name for things that several sources spell differently: GPU models, processors, image references."""

import re
from typing import NamedTuple

_GPU = re.compile(r"(?<![A-Z0-9])MI[ -]?(\d{2,3}[A-Z]?)(?![A-Z0-9])", re.IGNORECASE)
_EPYC = re.compile(r"\bEPYC\s+(\w+)", re.IGNORECASE)
_HUB = ("docker.io/library/", "index.docker.io/library/", "docker.io/", "index.docker.io/", "registry-1.docker.io/")


class ImageName(NamedTuple):
    """A reference taken apart: repository and tag without Docker Hub's host name, and the digest when it has one."""

    name: str
    digest: str | None


def gpu_name(text: str) -> str:
    """`AMD Instinct MI300X OAM` and `mi300x` are both `MI300X`; other names only lose their outer blanks."""
    found = _GPU.search(text)
    return f"MI{found[1].upper()}" if found else text.strip()


def pci_device(bdf: str) -> str:
    """A PCI address without its function number: equal for all partitions of one GPU."""
    return bdf.rpartition(".")[0]


def cpu_name(text: str) -> str:
    """`AMD EPYC 9654 96-Core Processor` and `2x EPYC 9654` are both `EPYC 9654`; others only lose their blanks."""
    found = _EPYC.search(text)
    return f"EPYC {found[1].upper()}" if found else " ".join(text.split())


def image_name(reference: str) -> ImageName:
    """`docker.io/rocm/vllm:tag@sha256:…` is the name `rocm/vllm:tag` and a digest; a missing tag is `latest`."""
    name, _, digest = reference.strip().partition("@")
    for hub in _HUB:
        name = name.removeprefix(hub)
    if not digest and "/" in name and ":" not in name.rpartition("/")[2]:
        name += ":latest"
    return ImageName(name, digest or None)


def same_text(one: str, other: str) -> bool:
    """Equal for a reader: case, blanks and trademark signs do not count."""
    return _plain(one) == _plain(other)


def _plain(text: str) -> str:
    return " ".join(re.sub("[®™]", "", text).casefold().split())
