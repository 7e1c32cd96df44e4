"""Names of the preflight checks: what `--accept` takes, and what stored findings are recognised by."""

from enum import StrEnum


class CheckId(StrEnum):
    """One name per preflight check: area and what is looked at."""

    DOCKER_ACCESS = "docker.access"
    DOCKER_ENGINE = "docker.engine"
    KFD = "kfd.present"
    GROUPS = "gpu.groups"
    GPU_PRESENT = "gpu.present"
    GPU_MODEL = "gpu.model"
    GPU_COUNT = "gpu.count"
    GPU_ALIKE = "gpu.alike"
    GPU_MEMORY = "gpu.memory"
    GPU_FREE = "gpu.free"
    GPU_CONTAINERS = "gpu.containers"
    COMPUTE_PARTITION = "gpu.compute_partition"
    MEMORY_PARTITION = "gpu.memory_partition"
    POWER_CAP = "gpu.power_cap"
    PERFORMANCE_LEVEL = "gpu.performance_level"
    NUMA_BALANCING = "host.numa_balancing"
    RDMA = "host.rdma"
    PROFILE = "profile"
    """Followed by the path of the fact: `profile.system.bios_version`."""
    PUBLISHED_SERVER = "profile.published"
    IMAGE_PRESENT = "image.present"
    IMAGE_DISK = "disk.image"
    MODEL_CACHED = "model.complete"
    MODEL_REVISION = "model.revision"
    SCRATCH = "disk.scratch"
