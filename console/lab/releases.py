"""The images that the lab's registry has: AMD's vLLM and training images by tag, with what is inside them.

Sizes are the lab's own round figures. Digests begin as AMD's image history prints them, so that a digest in a
reference agrees; what is not printed is made up from the tag.
"""

import hashlib
import re
from dataclasses import dataclass

GB = 1_000_000_000


@dataclass(frozen=True)
class Release:
    """What a tag holds. `vllm` is None in a training image; versions are tuples of numbers."""

    ref: str
    rocm: str
    vllm: tuple[int, ...] | None
    layers: tuple[int, ...]
    """Compressed bytes of each layer."""
    printed: str = ""
    """The digest's beginning as documents print it."""

    @property
    def digest(self) -> str:
        """The repository digest: as documented, its unknown rest made from the name."""
        made = hashlib.sha256(f"lab repository {self.ref}".encode()).hexdigest()
        return "sha256:" + self.printed + made[len(self.printed) :]

    @property
    def id(self) -> str:
        """The image id, made from the name."""
        return "sha256:" + hashlib.sha256(f"lab image {self.ref}".encode()).hexdigest()

    @property
    def size(self) -> int:
        """Unpacked bytes."""
        return 3 * sum(self.layers)

    @property
    def repository(self) -> str:
        """The reference without its tag."""
        return split_ref(self.ref)[0]


def _layers(total: int) -> tuple[int, ...]:
    shares = (0.003, 0.12, 0.31, 0.24, 0.002, 0.17, 0.11, 0.045)
    return tuple(int(total * share) for share in shares)


_VLLM = (
    ("rocm6.2_mi300_ubuntu22.04_py3.9_vllm_7c5fd50", "6.2.0", "0.4.3", "9e4dd4788a79"),
    ("rocm6.2_mi300_ubuntu20.04_py3.9_vllm_0.6.4", "6.2.1", "0.6.4", "ccbb74cc9e7a"),
    ("rocm6.3.1_mi300_ubuntu22.04_py3.12_vllm_0.6.6", "6.3.1", "0.6.6", "9a12ef62bbbe"),
    ("rocm6.3.1_instinct_vllm0.7.3_20250311", "6.3.1", "0.7.3", ""),
    ("rocm6.3.1_instinct_vllm0.7.3_20250325", "6.3.1", "0.7.3", "25245924f617"),
    ("rocm6.3.1_instinct_vllm0.8.3_20250410", "6.3.1", "0.8.3", ""),
    ("rocm6.3.1_instinct_vllm0.8.3_20250415", "6.3.1", "0.8.3", "ad9062dea348"),
    ("rocm6.3.1_vllm_0.8.5_20250513", "6.3.1", "0.8.5", "5c8b4436dd04"),
    (
        "rocm6.3.1_vllm_0.8.5_20250521", "6.3.1", "0.8.5",
        "38410c51af7208897cd8b737c9bdfc126e9bc8952d4aa6b88c85482f03092a11",
    ),
    ("rocm6.4.1_vllm_0.9.0.1_20250605", "6.4.1", "0.9.0.1", "f48beeb3d726"),
    ("rocm6.4.1_vllm_0.9.1_20250702", "6.4.1", "0.9.1", "45068a2079cb"),
    ("rocm6.4.1_vllm_0.9.1_20250715", "6.4.1", "0.9.1", "4a429705fa95"),
    ("rocm6.4.1_vllm_0.10.0_20250812", "6.4.1", "0.10.0", "4c277ad39af3"),
    ("rocm6.4.1_vllm_0.10.1_20250909", "6.4.1", "0.10.1", "1113268572e2"),
    ("rocm7.0.0_vllm_0.10.2_20251006", "7.0.0", "0.10.2", "94fd001964e1"),
    ("rocm7.0.0_vllm_0.11.1_20251103", "7.0.0", "0.11.1", "8d60429043d4"),
    ("rocm7.0.0_vllm_0.11.2_20251210", "7.0.0", "0.11.2", "e7f02dd2ce38"),
    ("rocm7.14.0_cdna_ubuntu24.04_py3.14_pytorch_2.11.0_vllm_0.23.0", "7.14", "0.23.0", ""),
    ("rocm7.14.1_cdna_ubuntu24.04_py3.14_pytorch_2.11_vllm_0.23.0", "7.14", "0.23.0", ""),
)  # fmt: skip
"""Tag, ROCm, vLLM and the digest as AMD's image history prints it, often only its beginning."""

_TRAINING_ROCM = {"v25.2": "6.3.0", "v25.3": "6.3.0", "v25.4": "6.3.0"}
"""ROCm by the version at the tag's start; 6.3.4 in v25.5."""

_TRAINING = {
    "rocm/pytorch-training:v25.5": "d47850a9b25b4a7151f796a8d24d55ea17bba545573f0d50d54d3852f96ecde5",
}


def version(text: str) -> tuple[int, ...]:
    """`0.10.1` as numbers."""
    return tuple(int(part) for part in re.findall(r"\d+", text))


REGISTRY: dict[str, Release] = {
    f"rocm/vllm:{tag}": Release(f"rocm/vllm:{tag}", rocm, version(vllm), _layers(9 * GB), printed)
    for tag, rocm, vllm, printed in _VLLM
}


def split_ref(ref: str) -> tuple[str, str]:
    """Repository and tag (or `sha256:…` digest) of a reference; the tag is `latest` when absent."""
    name, at, digest = ref.partition("@")
    head, colon, tag = name.rpartition(":")
    repository = head if colon and "/" not in tag else name
    if at:
        return repository, digest
    return repository, tag if repository != name else "latest"


def published(ref: str) -> Release | None:
    """What the lab's registry has under a reference, by tag or by digest; None when there is no such thing.

    Tags of `rocm/*` that are not in the table above are made up on the spot when they name a vLLM version or a
    training repository, so that a new matrix image needs no change here.
    """
    repository, tag = split_ref(ref)
    if tag.startswith("sha256:"):
        return next((one for one in REGISTRY.values() if (one.repository, one.digest) == (repository, tag)), None)
    name = f"{repository}:{tag}"
    if name in REGISTRY:
        return REGISTRY[name]
    if repository == "rocm/vllm" and (match := re.search(r"vllm_?v?(\d+\.\d+(?:\.\d+)*)", tag)):
        rocm = re.match(r"rocm([\d.]+)", tag)
        made = Release(name, rocm[1] if rocm else "7.0", version(match[1]), _layers(9 * GB))
    elif repository in ("rocm/pytorch-training", "rocm/megatron-lm", "rocm/primus", "rocm/jax-training"):
        rocm_inside = _TRAINING_ROCM.get(tag.partition("_")[0], "6.3.4")
        made = Release(name, rocm_inside, None, _layers(14 * GB), _TRAINING.get(name, ""))
    else:
        return None
    REGISTRY[name] = made
    return made
