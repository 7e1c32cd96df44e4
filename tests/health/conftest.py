"""Composed facts of a healthy reference server, and what a cell asks of it."""

from collections.abc import Callable
from typing import Any

import msgspec
import pytest

from console.model.facts import (
    CachedModel,
    DockerAccess,
    Driver,
    Engine,
    Gpu,
    HostFacts,
    Known,
    Storage,
    System,
)
from console.model.launch import Need
from console.model.profile import Expectation, GpuSpec, ModelCard, Peak, ServerProfile

IMAGE = "rocm/vllm:rocm6.3.1_vllm_0.8.5_20250521"
MODEL = "amd/Llama-3.1-70B-Instruct-FP8-KV"


def gpu(index: int) -> Gpu:
    return Gpu(
        bdf=f"0000:{index:02x}:00.0",
        device_id="74a1",
        model=Known("AMD Instinct MI300X", "kfd"),
        compute_units=Known(304, "kfd"),
        render_node=Known(f"/dev/dri/renderD{128 + index}", "drm"),
        render_gid=Known(109, "stat"),
        vram_total_bytes=Known(196592 << 20, "sysfs"),
        vram_used_bytes=Known(283 << 20, "sysfs"),
        compute_partition=Known("SPX", "sysfs"),
        memory_partition=Known("NPS1", "sysfs"),
        power_cap_w=Known(750.0, "hwmon"),
        performance_level=Known("auto", "sysfs"),
    )


@pytest.fixture
def facts() -> HostFacts:
    return HostFacts(
        host="node01",
        read_at_ns=1,
        system=System(
            os=Known("Ubuntu 22.04.5 LTS", "/etc/os-release"),
            kernel=Known("5.15.0-130-generic", "uname"),
            cpu=Known("AMD EPYC 9554 64-Core Processor", "/proc/cpuinfo"),
            nodes_per_socket=Known(1, "sysfs"),
            numa_balancing=Known(0, "/proc/sys/kernel/numa_balancing"),
            bios_version=Known("1.8", "dmi"),
        ),
        driver=Driver(
            amdgpu_loaded=Known(True, "sysfs"),
            amdgpu_version=Known("6.8.5", "/sys/module/amdgpu/version"),
            rocm_version=Known("6.3.1", "/opt/rocm/.info/version"),
            kfd_present=Known(True, "/dev/kfd"),
            kfd_gid=Known(109, "stat"),
            kfd_process_ids=Known((), "/sys/class/kfd/kfd/proc"),
        ),
        gpus=Known(tuple(gpu(index) for index in range(8)), "kfd"),
        docker=Known(DockerAccess(flavour="system", socket="/var/run/docker.sock"), "probe"),
        engine=Known(
            Engine(
                version="27.3.1", api="1.47", storage_driver="overlay2", root_dir="/var/lib/docker", images=(IMAGE,)
            ),
            "docker info",
        ),
        docker_storage=Known(storage("/var/lib/docker", 500 << 30), "df"),
        infiniband=Known((), "sysfs"),
        model_cache=Known(storage("/data/huggingface", 900 << 30), "df"),
        scratch=Known(storage("/var/tmp/instinct", 50 << 30), "df"),
        models=Known(
            (CachedModel(model=MODEL, revision="abc", present_bytes=72 << 30, missing=(), incomplete=0),), "cache"
        ),
    )


def storage(path: str, free: int) -> Storage:
    return Storage(
        path=path,
        exists=True,
        writable=True,
        free_bytes=free,
        total_bytes=1 << 40,
        fs_type="ext4",
        fs_source="/dev/sda1",
    )


@pytest.fixture
def need() -> Need:
    return Need(
        nodes=1,
        gpus=8,
        gpu_models=("MI300X",),
        model=MODEL,
        model_bytes=73 << 30,
        image=IMAGE,
        image_bytes=40 << 30,
        vram_bytes_per_gpu=100 << 30,
    )


@pytest.fixture
def server() -> ServerProfile:
    return ServerProfile(
        name="mi300x-2x9554",
        title="8x MI300X, 2x EPYC 9554, NPS1",
        gpu="MI300X",
        gpus=8,
        cpu="AMD EPYC 9554 64-Core Processor",
        sockets=2,
        nodes_per_socket=1,
        bios_version="1.8",
        os="Ubuntu® 22.04.5 LTS",
        driver="6.8.5",
        rocm="6.3.1",
        source="AMD performance results page",
        expect=(
            Expectation(fact="gpu.count", accept=(8,)),
            Expectation(fact="gpu.vram_total_bytes", low=204_080_000_000, high=208_200_000_000),
            Expectation(fact="system.numa_balancing", accept=(0,)),
        ),
    )


@pytest.fixture
def gpu_spec() -> GpuSpec:
    return GpuSpec(
        name="MI300X",
        arch="gfx942",
        device_ids=("74a1",),
        vram_bytes=192 << 30,
        vram_type="HBM3",
        hbm_bytes_per_s=5.3e12,
        compute_units=304,
        xccs=8,
        power_w=750,
        peak_tflops=Peak(),
        xgmi_links=7,
        source="AMD data sheet",
    )


@pytest.fixture
def card() -> ModelCard:
    return ModelCard(id=MODEL, title="Llama 3.1 70B", precision="FP8", source="Hugging Face")


@pytest.fixture
def change_gpus() -> Callable[..., HostFacts]:
    """Facts with fields replaced on some GPUs: `change_gpus(facts, power_cap_w=…, only=3)`."""

    def change(facts: HostFacts, only: int | None = None, **fields: Any) -> HostFacts:
        assert isinstance(facts.gpus, Known)
        changed = tuple(
            msgspec.structs.replace(item, **fields) if only in (None, index) else item
            for index, item in enumerate(facts.gpus.value)
        )
        return msgspec.structs.replace(facts, gpus=Known(changed, facts.gpus.source))

    return change
