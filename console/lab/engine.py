"""The Docker Engine stand-in of one host: what it has and does. `routes` speaks HTTP for it."""

import platform
import re
from typing import TYPE_CHECKING, Any

from console.lab.clock import rfc3339
from console.lab.containers import Container, signal_number
from console.lab.events import Events, has_label
from console.lab.http import ApiError
from console.lab.images import Images

if TYPE_CHECKING:
    from console.lab.machines import Machine

NAME = "instinct-lab (simulated)"
VERSION = "0.0-lab"
API = "1.41"
_NAME = re.compile(r"/?[a-zA-Z0-9][a-zA-Z0-9_.-]+")
IMAGE_GROUPS = frozenset({"root", "daemon", "video", "users", "audio", "disk"})
"""Groups that every image of the lab knows by name; `render` is not among them, as in AMD's."""


class Engine:
    """Images, containers and events of one host. In memory; links may come and go."""

    def __init__(self, machine: "Machine") -> None:
        self.machine = machine
        self.events = Events(machine.clock)
        self.images: Images = Images(machine.clock, machine.faults, machine.name, self._image_event)
        self.containers: dict[str, Container] = {}

    def _image_event(self, action: str, name: str) -> None:
        self.events.emit("image", action, name, {"name": name})

    def _container_event(self, container: Container, action: str, extra: dict[str, str]) -> None:
        image = str(container.body.get("Image", ""))
        self.events.emit(
            "container", action, container.id, {**container.labels, **extra, "image": image, "name": container.name}
        )

    def find(self, key: str) -> Container:
        """By id, name or a prefix of the id; ApiError 404."""
        wanted = key.removeprefix("/")
        for container in self.containers.values():
            if wanted in (container.id, container.name):
                return container
        near = [one for one in self.containers.values() if wanted and one.id.startswith(wanted)]
        if len(near) == 1:
            return near[0]
        raise ApiError(404, f"No such container: {key}")

    def create(self, name: str, body: dict[str, Any]) -> Container:
        """Create; ApiError 404 without the image, 409 when the name is taken."""
        ref = str(body.get("Image", ""))
        image = self.images.find(ref)
        if image is None:
            full = ref if "@" in ref or ":" in ref.rpartition("/")[2] else f"{ref}:latest"
            raise ApiError(404, f"No such image: {full}")
        if name and not _NAME.fullmatch(name):
            raise ApiError(400, f"Invalid container name ({name}), only [a-zA-Z0-9][a-zA-Z0-9_.-] are allowed")
        if not (body.get("Cmd") or body.get("Entrypoint")) and image.comment:
            raise ApiError(400, "No command specified")
        name = name.removeprefix("/")
        holder = next((one for one in self.containers.values() if one.name == name), None) if name else None
        if holder is not None:
            raise ApiError(
                409,
                f'Conflict. The container name "/{name}" is already in use by container "{holder.id}". You have to '
                "remove (or rename) that container to be able to reuse that name.",
            )
        container = Container(name, body, image, self.machine, self._container_event)
        container.name = name or f"lab_{container.id[:8]}"
        self.containers[container.id] = container
        self._container_event(container, "create", {})
        return container

    def start(self, container: Container) -> bool:
        """Start; False when it runs already. ApiError 500 for devices and groups that are not there."""
        if container.running:
            return False
        for group in container.host_config.get("GroupAdd") or ():
            if not str(group).isdigit() and group not in IMAGE_GROUPS:
                self._refuse(container, f"Unable to find group {group}: no matching entries in group file")
        container.start(gpus=self._gpus(container))
        return True

    def _gpus(self, container: Container) -> int:
        """GPUs a container gets: render nodes of the host it was given together with /dev/kfd."""
        given = {device.get("PathOnHost", "") for device in container.host_config.get("Devices") or ()}
        root = self.machine.root
        for path in sorted(given):
            if not (root / path.lstrip("/")).exists():
                text = f'error gathering device information while adding custom device "{path}"'
                self._refuse(container, f"{text}: no such file or directory")
        nodes = sorted((root / "dev/dri").glob("renderD*")) if (root / "dev/kfd").exists() else []
        if container.host_config.get("Privileged") or {"/dev/kfd", "/dev/dri"} <= given:
            return len(nodes)
        return sum(f"/dev/dri/{node.name}" in given for node in nodes) if "/dev/kfd" in given else 0

    def _refuse(self, container: Container, message: str) -> None:
        container.refuse(128, message)
        raise ApiError(500, message)

    async def stop(self, container: Container) -> bool:
        """SIGTERM; False when it does not run. The played programs end at once."""
        if not container.running:
            return False
        await container.signal(15)
        self._container_event(container, "stop", {})
        return True

    async def kill(self, container: Container, signal: str, shown: str) -> None:
        """A signal; ApiError 409 when it does not run."""
        number = signal_number(signal)
        if not container.running:
            raise ApiError(409, f"Cannot kill container: {shown}: Container {container.id} is not running")
        await container.signal(number)

    async def remove(self, container: Container, *, force: bool) -> None:
        """Remove; ApiError 409 while it runs, unless forced."""
        if container.running:
            if not force:
                raise ApiError(
                    409,
                    f"You cannot remove a running container {container.id}. Stop the container before attempting "
                    "removal or force remove",
                )
            await container.signal(9)
        self.containers.pop(container.id, None)
        self._container_event(container, "destroy", {})
        container.removed.set()

    def listed(self, filters: dict[str, list[str]], *, everything: bool) -> list[dict[str, Any]]:
        """Summaries, newest first."""
        everything = everything or "status" in filters
        chosen = [
            one.summary() for one in self.containers.values() if (everything or one.running) and _fits(one, filters)
        ]
        return chosen[::-1]

    async def close(self) -> None:
        """End every play."""
        for container in list(self.containers.values()):
            await container.halt()

    def version(self) -> dict[str, Any]:
        """`GET /version`."""
        kernel = self.machine.kind.kernel
        details = {"ApiVersion": API, "Arch": "amd64", "KernelVersion": kernel, "MinAPIVersion": "1.12", "Os": "linux"}
        return {
            "Platform": {"Name": NAME},
            "Components": [{"Name": NAME, "Version": VERSION, "Details": {**details, "simulated": "true"}}],
            "Version": VERSION,
            "ApiVersion": API,
            "MinAPIVersion": "1.12",
            "GitCommit": "lab",
            "GoVersion": f"python{platform.python_version()}",
            "Os": "linux",
            "Arch": "amd64",
            "KernelVersion": kernel,
            "BuildTime": "2026-01-01T00:00:00.000000000+00:00",
        }

    def info(self) -> dict[str, Any]:
        """`GET /info`."""
        kind = self.machine.kind
        states = [one.status for one in self.containers.values()]
        return {
            "ID": "LAB:SIMULATED",
            "Containers": len(states),
            "ContainersRunning": states.count("running"),
            "ContainersPaused": 0,
            "ContainersStopped": len(states) - states.count("running"),
            "Images": len(self.images.all),
            "Driver": "overlay2",
            "DriverStatus": [["Backing Filesystem", "extfs"], ["Supports d_type", "true"]],
            "Plugins": {"Log": ["json-file", "local"], "Network": ["bridge", "host"], "Volume": ["local"]},
            "SystemTime": rfc3339(self.machine.clock.stamp()),
            "LoggingDriver": "json-file",
            "CgroupDriver": "systemd",
            "CgroupVersion": "2",
            "KernelVersion": kind.kernel,
            "OperatingSystem": f"{kind.os_name} ({NAME})",
            "OSVersion": kind.os_version,
            "OSType": "linux",
            "Architecture": "x86_64",
            "NCPU": kind.cpus,
            "MemTotal": kind.memory_bytes,
            "DockerRootDir": "/var/lib/docker",
            "Name": self.machine.name,
            "Labels": ["simulated=true"],
            "ExperimentalBuild": False,
            "ServerVersion": VERSION,
            "Runtimes": {"runc": {"path": "runc"}},
            "DefaultRuntime": "runc",
            "SecurityOptions": ["name=apparmor", "name=seccomp,profile=default"],
            "Warnings": ["this is not a Docker Engine: everything here is simulated"],
        }


def _fits(container: Container, filters: dict[str, list[str]]) -> bool:
    name = f"/{container.name}"
    checks = {
        "label": lambda values: all(has_label(container.labels, one) for one in values),
        "name": lambda values: any(re.search(one, name) for one in values),
        "status": lambda values: container.status in values,
        "id": lambda values: any(container.id.startswith(one) for one in values),
        "ancestor": lambda values: any(one in (*container.image.tags, container.image.id) for one in values),
        "exited": lambda values: container.status == "exited" and str(container.exit_code) in values,
    }
    return all(checks[key](values) for key, values in filters.items() if key in checks)
