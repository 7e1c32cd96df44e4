"""What an engine says of its containers and images, as records."""

from collections.abc import Mapping
from typing import Any

import msgspec

from console.model.text import redact

_NEVER = "0001-01-01T00:00:00Z"


class ContainerSeen(msgspec.Struct, frozen=True, kw_only=True):
    """One `inspect`. Times are the daemon's RFC 3339 text, "" when it has not happened.

    `state` is the engine's word: created, running, paused, restarting, removing, exited, dead.
    """

    id: str
    name: str
    image: str
    image_id: str
    state: str
    exit_code: int
    out_of_memory: bool
    error: str
    created_at: str
    started_at: str
    finished_at: str
    labels: Mapping[str, str]
    tty: bool
    open_stdin: bool
    gpu_access: str
    """How it can reach GPUs: "devices", "device request", "privileged", or "" when it cannot."""
    raw: bytes
    """The engine's JSON, tokens in it redacted."""

    @property
    def ended(self) -> bool:
        """It ran and ended; only then the exit code means anything."""
        return self.state in ("exited", "dead") and self.finished_at != ""


class ContainerListed(msgspec.Struct, frozen=True, kw_only=True):
    """One line of the list of containers. `created_s` is seconds since 1970 on the daemon's clock."""

    id: str
    name: str
    image: str
    state: str
    created_s: int
    labels: Mapping[str, str]


class ImageSeen(msgspec.Struct, frozen=True, kw_only=True):
    """An image on a host: local id, tags, and the repository digests it came from (none for a local build)."""

    id: str
    tags: tuple[str, ...]
    digests: tuple[str, ...]
    size_bytes: int

    @property
    def digest(self) -> str | None:
        """The `sha256:…` of the first repository digest."""
        return self.digests[0].rpartition("@")[2] if self.digests else None


class EngineEvent(msgspec.Struct, frozen=True, kw_only=True):
    """Something that happened to a container: `create`, `start`, `die`, `oom`, `destroy`, …; the daemon's clock."""

    at_ns: int
    action: str
    container_id: str
    name: str
    attributes: Mapping[str, str]


def container_from(answer: Mapping[str, Any]) -> ContainerSeen:
    """From the JSON of `GET /containers/{id}/json`."""
    state = answer.get("State") or {}
    config = answer.get("Config") or {}
    return ContainerSeen(
        id=answer["Id"],
        name=str(answer.get("Name", "")).lstrip("/"),
        image=config.get("Image", ""),
        image_id=answer.get("Image", ""),
        state=state.get("Status", ""),
        exit_code=int(state.get("ExitCode") or 0),
        out_of_memory=bool(state.get("OOMKilled")),
        error=redact(state.get("Error") or ""),
        created_at=_time(answer.get("Created")),
        started_at=_time(state.get("StartedAt")),
        finished_at=_time(state.get("FinishedAt")),
        labels=config.get("Labels") or {},
        tty=bool(config.get("Tty")),
        open_stdin=bool(config.get("OpenStdin")),
        gpu_access=gpu_access(answer.get("HostConfig") or {}),
        raw=redact(msgspec.json.format(msgspec.json.encode(answer)).decode()).encode(),
    )


def listed_from(answer: Mapping[str, Any]) -> ContainerListed:
    """From one entry of `GET /containers/json`."""
    names = answer.get("Names") or [""]
    return ContainerListed(
        id=answer["Id"],
        name=str(names[0]).lstrip("/"),
        image=answer.get("Image", ""),
        state=answer.get("State", ""),
        created_s=int(answer.get("Created") or 0),
        labels=answer.get("Labels") or {},
    )


def image_from(answer: Mapping[str, Any]) -> ImageSeen:
    """From the JSON of an image, of its own or in a list."""
    return ImageSeen(
        id=answer["Id"],
        tags=tuple(sorted(tag for tag in answer.get("RepoTags") or () if not tag.startswith("<none>"))),
        digests=tuple(sorted(item for item in answer.get("RepoDigests") or () if not item.startswith("<none>"))),
        size_bytes=int(answer.get("Size") or 0),
    )


def gpu_access(host_config: Mapping[str, Any]) -> str:
    """How a container of this HostConfig can reach AMD GPUs; "" when it cannot."""
    for device in host_config.get("Devices") or ():
        path = str(device.get("PathOnHost", ""))
        if path == "/dev" or path.startswith(("/dev/kfd", "/dev/dri")) or device.get("PathInContainer") == "/dev/kfd":
            return "devices"
    if host_config.get("DeviceRequests"):
        return "device request"
    return "privileged" if host_config.get("Privileged") else ""


def _time(text: Any) -> str:
    return "" if text in (None, _NEVER) else str(text)
