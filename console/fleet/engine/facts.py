"""What a survey keeps of an engine's answers. Pure."""

from collections.abc import Iterable, Mapping
from typing import Any

from console.fleet.engine.seen import ContainerSeen, ImageSeen
from console.model.facts import Engine, GpuContainer
from console.model.launch import LABEL, LABEL_ATTEMPT, LABEL_OWNER, LABEL_RUN
from console.model.text import clean_line


def engine_record(
    version: Mapping[str, Any],
    info: Mapping[str, Any],
    images: Iterable[ImageSeen],
    containers: Iterable[ContainerSeen],
) -> Engine:
    """The engine's part of the host facts. `containers` are those that may hold GPUs, and all of ours."""
    return Engine(
        version=clean_line(str(version.get("Version", ""))),
        api=clean_line(str(version.get("ApiVersion", ""))),
        storage_driver=clean_line(str(info.get("Driver", ""))),
        root_dir=clean_line(str(info.get("DockerRootDir", ""))),
        gpu_containers=tuple(gpu_container(item) for item in containers if item.gpu_access or LABEL in item.labels),
        images=tuple(sorted({name for image in images for name in (*image.tags, *image.digests)})),
        simulated=any(
            (part.get("Details") or {}).get("simulated") == "true" for part in version.get("Components") or ()
        ),
    )


def gpu_container(seen: ContainerSeen) -> GpuContainer:
    """One container that can reach GPUs, or is ours."""
    ours = LABEL in seen.labels
    return GpuContainer(
        name=clean_line(seen.name),
        id=seen.id,
        image=clean_line(seen.image),
        state=seen.state,
        since=seen.started_at or seen.created_at,
        ours=ours,
        owner=clean_line(seen.labels.get(LABEL_OWNER, "")) if ours else "",
        run=clean_line(seen.labels.get(LABEL_RUN, "")) if ours else "",
        attempt=clean_line(seen.labels.get(LABEL_ATTEMPT, "")) if ours else "",
        access=seen.gpu_access,
    )
