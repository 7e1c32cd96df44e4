"""A part as the request that creates its container, and as a line a person can paste. Pure."""

import shlex
from collections.abc import Mapping, Sequence
from typing import Any

from console.fleet.engine.entry import (
    ENTRY,
    SECRETS_FOLDER,
    entry_arguments,
    is_blocked,
    secrets_input,
)
from console.model.launch import Part

__all__ = ["ENTRY", "create_body", "hand_line", "is_blocked", "secrets_input", "shell_line"]

LOG_OPTIONS = {"max-size": "200m", "max-file": "5"}
"""Set on every container: the driver's default keeps everything for ever, and small files lose lines when followed."""

_FORBIDDEN_ENV = ("HF_TOKEN", "HUGGING_FACE_HUB_TOKEN", "HUGGINGFACE_HUB_TOKEN")
_TMPFS = "rw,noexec,nosuid,nodev,size=64k,mode=1777"


def create_body(part: Part) -> dict[str, Any]:
    """The whole body of `POST /containers/create` for a part; its name goes into the query.

    Nothing is left to the engine's defaults that could differ between hosts and matter. Raises ValueError for a part
    that would put a token into its environment, or whose paths the engine would read otherwise than meant.
    """
    for name in _FORBIDDEN_ENV:
        if name in part.env:
            raise ValueError(f"{name} may not stand in the environment of {part.container}; give it as a secret")
    body: dict[str, Any] = {
        "Image": part.image,
        "Entrypoint": ["/bin/sh", "-c", ENTRY, *entry_arguments(part.deadline_s, part.secrets)],
        "Cmd": list(part.argv),
        "Env": sorted(f"{name}={value}" for name, value in part.env.items()),
        "Labels": dict(sorted(part.labels.items())),
        "Tty": False,
        "AttachStdin": False,
        "AttachStdout": False,
        "AttachStderr": False,
        "OpenStdin": bool(part.secrets),
        "StdinOnce": False,  # a delivery that was cut off must leave stdin open for the next
        "StopSignal": "SIGTERM",
        "HostConfig": _host_config(part),
    }
    if part.workdir:
        body["WorkingDir"] = part.workdir
    return body


def _host_config(part: Part) -> dict[str, Any]:
    options = part.options
    config: dict[str, Any] = {
        "Init": True,
        "AutoRemove": False,
        "RestartPolicy": {"Name": "no"},
        "LogConfig": {"Type": "json-file", "Config": dict(LOG_OPTIONS)},
        "Privileged": options.privileged,
        "Devices": [_device(device) for device in part.devices],
        "GroupAdd": [str(group) for group in part.groups],
        "Binds": [_bind(mount.host_path, mount.path, mount.read_only) for mount in part.mounts],
        "CapAdd": list(options.cap_add),
        "SecurityOpt": list(options.security_opt),
        "NetworkMode": "host" if options.network_host else "default",
    }
    if options.ipc_host:
        config["IpcMode"] = "host"
    if options.shm_bytes is not None:
        config["ShmSize"] = options.shm_bytes
    if options.memlock_unlimited:
        config["Ulimits"] = [{"Name": "memlock", "Soft": -1, "Hard": -1}]
    if part.secrets:
        config["Tmpfs"] = {SECRETS_FOLDER: _TMPFS}
    return config


def _device(text: str) -> dict[str, str]:
    """`/dev/x`, or `/host/path:/dev/x` as of docker's --device."""
    host, _, inside = text.partition(":")
    return {"PathOnHost": host, "PathInContainer": inside or host, "CgroupPermissions": "rwm"}


def _bind(host_path: str, path: str, read_only: bool) -> str:
    for one in (host_path, path):
        if not one.startswith("/") or ":" in one:
            raise ValueError(f"{one} cannot be mounted: not an absolute path without colons")
    return f"{host_path}:{path}:{'ro' if read_only else 'rw'}"


def shell_line(part: Part, *, entry: bool = True) -> str:
    """A command for a person's shell that starts the same container, in the foreground.

    Secrets are taken from $HF_TOKEN of that shell, over stdin. Without `entry` it is short to read: the program alone,
    with no deadline of its own.
    """
    body = create_body(part)
    words = ["docker", "run", "--name", part.container, *_options(body)]
    if not entry:
        token = ["-e", "HF_TOKEN"] if part.secrets else []
        return shlex.join([*words, *token, "--entrypoint", part.argv[0], part.image, *part.argv[1:]])
    feed = ""
    if part.secrets:
        feed = "printf '\\nbegin\\nhf_token %s\\nend\\n' \"$HF_TOKEN\" | "
        words.insert(2, "-i")
        words += ["--tmpfs", f"{SECRETS_FOLDER}:{_TMPFS}"]
    shell, *script = body["Entrypoint"]
    return feed + shlex.join([*words, "--entrypoint", shell, part.image, *script, *part.argv])


def hand_line(part: Part, argv: Sequence[str] | None = None) -> str:
    """What a person would type on the host: the options that matter to the program, without labels, limits of logs and
    what else a run adds. With `argv` that program, without the part's environment: for a shell to work in.

    A token is taken from $HF_TOKEN of the person's shell. The name is the one that holds the host against other runs.
    """
    body = create_body(part)
    words = ["docker", "run", "--rm", *(("-it",) if argv is not None else ()), "--name", part.container]
    words += _devices_and_rights(body["HostConfig"])
    words += _each("-e", body["Env"]) if argv is None else []
    words += ["-w", body["WorkingDir"]] if "WorkingDir" in body else []
    words += ["-e", "HF_TOKEN"] if part.secrets else []
    program, *rest = part.argv if argv is None else argv
    return shlex.join([*words, "--entrypoint", program, part.image, *rest])


def _options(body: Mapping[str, Any]) -> list[str]:
    """The options of `docker run` that say what the body says, in the order of AMD's own commands."""
    host = body["HostConfig"]
    words: list[str] = ["--init", "--restart", host["RestartPolicy"]["Name"], "--stop-signal", body["StopSignal"]]
    words += _devices_and_rights(host)
    words += ["--log-driver", host["LogConfig"]["Type"]]
    words += _each("--log-opt", [f"{name}={value}" for name, value in host["LogConfig"]["Config"].items()])
    words += _each("--label", [f"{name}={value}" for name, value in body["Labels"].items()])
    words += _each("-e", body["Env"])
    words += ["-w", body["WorkingDir"]] if "WorkingDir" in body else []
    return words


def _devices_and_rights(host: Mapping[str, Any]) -> list[str]:
    words = _each("--device", [_device_text(device) for device in host["Devices"]])
    words += _each("--group-add", host["GroupAdd"])
    words += ["--privileged"] if host["Privileged"] else []
    words += _each("--cap-add", host["CapAdd"])
    words += _each("--security-opt", host["SecurityOpt"])
    words += ["--network", host["NetworkMode"]]
    words += ["--ipc", host["IpcMode"]] if "IpcMode" in host else []
    words += ["--shm-size", f"{host['ShmSize']}b"] if "ShmSize" in host else []
    words += _each("--ulimit", [f"{item['Name']}={item['Soft']}:{item['Hard']}" for item in host.get("Ulimits", ())])
    words += _each("-v", host["Binds"])
    return words


def _each(option: str, values: Sequence[str]) -> list[str]:
    return [word for value in values for word in (option, value)]


def _device_text(device: Mapping[str, str]) -> str:
    same = device["PathOnHost"] == device["PathInContainer"]
    return device["PathOnHost"] if same else f"{device['PathOnHost']}:{device['PathInContainer']}"
