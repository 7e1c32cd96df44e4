"""Different spellings of one thing are one name; different things stay apart."""

import pytest

from console.model.names import cpu_name, gpu_name, image_name, same_text

DIGEST = "sha256:" + "a" * 64


@pytest.mark.parametrize(
    ("text", "name"),
    [
        ("AMD Instinct MI300X OAM", "MI300X"),
        ("mi300x", "MI300X"),
        ("AMD_Instinct_MI300X_OAM", "MI300X"),
        ("AMD Instinct MI325X", "MI325X"),
        ("MI300A", "MI300A"),
        ("MI210", "MI210"),
        (" Radeon Pro W7900 ", "Radeon Pro W7900"),
    ],
)
def test_gpu_models(text: str, name: str) -> None:
    assert gpu_name(text) == name


@pytest.mark.parametrize(
    ("text", "name"),
    [
        ("AMD EPYC 9654 96-Core Processor", "EPYC 9654"),
        ("2x EPYC 9575F", "EPYC 9575F"),
        ("INTEL(R) XEON(R) PLATINUM 8480+", "INTEL(R) XEON(R) PLATINUM 8480+"),
        ("AMD  Instinct MI300A   Accelerator", "AMD Instinct MI300A Accelerator"),
    ],
)
def test_processors(text: str, name: str) -> None:
    assert cpu_name(text) == name


@pytest.mark.parametrize(
    ("reference", "name", "digest"),
    [
        ("docker.io/rocm/vllm:tag", "rocm/vllm:tag", None),
        ("rocm/vllm", "rocm/vllm:latest", None),
        (f"rocm/vllm@{DIGEST}", "rocm/vllm", DIGEST),
        (f"rocm/vllm:tag@{DIGEST}", "rocm/vllm:tag", DIGEST),
        ("registry:5000/rocm/vllm", "registry:5000/rocm/vllm:latest", None),
        ("vllm-0.8.5", "vllm-0.8.5", None),
    ],
)
def test_image_references(reference: str, name: str, digest: str | None) -> None:
    assert image_name(reference) == (name, digest)


def test_text_is_equal_for_a_reader() -> None:
    assert same_text("Ubuntu® 22.04.5  LTS", "ubuntu 22.04.5 lts")
    assert not same_text("Ubuntu 22.04.5 LTS", "Ubuntu 22.04.4 LTS")
