"""One container: its record, its life from created to exited, and the play of its program."""

import asyncio
import hashlib
import random
import secrets
import shlex
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from console.lab import entry, programs
from console.lab.acts import Program, Surroundings
from console.lab.clock import ZERO_TIME, Clock, rfc3339
from console.lab.fabric_check import is_check
from console.lab.files import Files, MountPoint
from console.lab.http import ApiError
from console.lab.images import Image
from console.lab.logs import STDERR, Log
from console.lab.play import PATIENCE_S, Play

if TYPE_CHECKING:
    from console.lab.machines import Machine

Emit = Callable[["Container", str, dict[str, str]], None]

SIGNALS = {"HUP": 1, "INT": 2, "QUIT": 3, "KILL": 9, "USR1": 10, "USR2": 12, "TERM": 15}


def signal_number(text: str) -> int:
    """`SIGTERM`, `TERM` or `15` as a number; ApiError 400 otherwise."""
    if text.isdigit():
        return int(text)
    number = SIGNALS.get(text.upper().removeprefix("SIG"))
    if number is None:
        raise ApiError(400, f"Invalid signal: {text}")
    return number


class Container:
    """A container of one host. `emit(container, action, extra)` reports its events."""

    def __init__(self, name: str, body: dict[str, Any], image: Image, machine: "Machine", emit: Emit) -> None:
        self.id = secrets.token_hex(32)
        self.name = name
        self.body = body
        self.image = image
        self.machine = machine
        self.clock: Clock = machine.clock
        self.created_ns = self.clock.stamp()
        self.host_config: dict[str, Any] = dict(body.get("HostConfig") or {})
        self.mounts = self._mounts()
        tmpfs = tuple((self.host_config.get("Tmpfs") or {}).keys())
        workdir = body.get("WorkingDir") or image.workdir or "/"
        self.files = Files(machine.root, self.mounts, tmpfs, workdir)
        self.log = Log(self.clock)
        self.stdin: asyncio.Queue[bytes] = asyncio.Queue()
        self.status = "created"
        self.exit_code = 0
        self.oom = False
        self.error = ""
        self.started_ns: int | None = None
        self.finished_ns: int | None = None
        self.ended = asyncio.Event()
        self.next_exit = asyncio.Event()
        self.removed = asyncio.Event()
        self._emit = emit
        self._task: asyncio.Task[None] | None = None
        self._signal = 0
        self._pid = 0

    @property
    def running(self) -> bool:
        """Whether its program runs."""
        return self.status == "running"

    @property
    def labels(self) -> dict[str, str]:
        """The labels it was created with."""
        return dict(self.body.get("Labels") or {})

    @property
    def env(self) -> dict[str, str]:
        """The image's environment with the container's own over it."""
        pairs = [*self.image.env, *(self.body.get("Env") or ())]
        return {key: value for key, _, value in (pair.partition("=") for pair in pairs)}

    def _mounts(self) -> tuple[MountPoint, ...]:
        found = []
        for bind in self.host_config.get("Binds") or ():
            source, target, *mode = bind.split(":")
            place = self.machine.root / source.lstrip("/")
            if not place.exists():  # the engine makes a folder of the source of a bind that is not there
                place.mkdir(parents=True)
            found.append(MountPoint(source, target, "ro" in ",".join(mode).split(",")))
        for mount in self.host_config.get("Mounts") or ():
            if mount.get("Type") != "bind":
                continue
            if not (self.machine.root / mount["Source"].lstrip("/")).exists():
                text = f"bind source path does not exist: {mount['Source']}"
                raise ApiError(400, f'invalid mount config for type "bind": {text}')
            found.append(MountPoint(mount["Source"], mount["Target"], bool(mount.get("ReadOnly"))))
        return tuple(found)

    # ---------------------------------------------------------------- life

    def start(self, *, gpus: int, play: Callable[[Surroundings], Program | None] = programs.find) -> None:
        """Start the program. ApiError as the engine refuses: a program that is not there, in its own words."""
        plan = entry.entry_of(self._effective())
        around = self._surroundings(plan.argv, gpus)
        program = play(around)
        if program is None and not plan.wrapped:
            name = plan.argv[0] if plan.argv else ""
            text = (
                "failed to create shim task: OCI runtime create failed: runc create failed: unable to start container "
                f'process: exec: "{name}": executable file not found in $PATH: unknown'
            )
            self.refuse(127, text)
            raise ApiError(400, text)
        self.status, self.error, self.exit_code, self.oom = "running", "", 0, False
        self.started_ns, self.finished_ns = self.clock.stamp(), None
        self.ended.clear()
        self._signal = 0
        self._pid = 4000 + int(self.id[:4], 16)
        self.log.open()
        self.machine.occupy(self._pid, gpus, self.id)
        self._emit(self, "start", {})
        self._task = asyncio.create_task(self._run(plan, program, around), name=f"lab {self.name}")

    def _effective(self) -> dict[str, Any]:
        cmd = self.body.get("Cmd") or (None if self.body.get("Entrypoint") else ["/bin/bash"])
        return {**self.body, "Cmd": cmd}

    def refuse(self, code: int, error: str) -> None:
        """A start that failed: the container stays as created, with the error in its state."""
        self.exit_code, self.error = code, error

    def _surroundings(self, argv: tuple[str, ...], gpus: int) -> Surroundings:
        text = " ".join((self.image.tags or [self.image.id])[:1] + list(argv))
        asked = self.env.get("INSTINCT_LAB_FAULT") or self.labels.get("instinct-lab.fault", "")
        seed = f"{self.machine.seed} {self.machine.name} {self.machine.turn(text)} {text}"
        looked_at = " ".join((text, *(f"{key}={value}" for key, value in self.env.items())))
        return Surroundings(
            argv=argv,
            env=self.env,
            host=self.machine.name,
            kind=self.machine.kind,
            vllm=self.image.vllm,
            rocm=self.image.rocm,
            gpus=gpus,
            files=self.files,
            clock=self.clock,
            rng=random.Random(hashlib.sha256(seed.encode()).digest()),  # noqa: S311 - noise that can be repeated
            # the check before a job is not the program that faults of programs mean
            fault="" if is_check(argv) else self.machine.faults.program(self.machine.name, looked_at, asked),
            ports=self.machine.ports,
            wall=self.machine.wall,
            fabric=self.machine.fabric,
            image=self.image.repository,
            rdma=self._has_rdma(),
            seed=f"{self.machine.seed} {text}",
            host_file=self.machine.read,
            disturb=self.machine.afflict,
            afflicted=lambda name, host: self.machine.faults.has(name, host, looked_at),
        )

    def _has_rdma(self) -> bool:
        """Whether it was given the host's RDMA devices, one by one, as a folder or by privilege."""
        given = [device.get("PathOnHost", "") for device in self.host_config.get("Devices") or ()]
        asked = self.host_config.get("Privileged") or any(path.startswith("/dev/infiniband") for path in given)
        return bool(asked) and (self.machine.root / "dev/infiniband").is_dir()

    async def _run(self, plan: entry.Entry, program: Program | None, around: Surroundings) -> None:
        code, oom = 1, False
        try:
            refused = await self._enter(plan, around) if plan.wrapped else None
            if refused is not None:
                code = refused
            elif program is None:
                name = plan.argv[0] if plan.argv else ""
                self.log.write(STDERR, f"instinct: 1: exec: {name}: not found\n".encode())
                code = 127
            else:
                code, oom = await Play(self.log, self.clock, plan.deadline_s).perform(program)
        except asyncio.CancelledError:
            code = 128 + self._signal
        finally:
            close = getattr(program, "close", None)
            if close is not None:
                close()
            self._end(code, oom)

    async def _enter(self, plan: entry.Entry, around: Surroundings) -> int | None:
        """What the console's entry script does before the program; an exit code when it does not come to it."""
        if plan.secrets:
            self.log.write(STDERR, entry.mark("waiting for secrets"))
            left = None if plan.deadline_s is None else max(self.clock.real(plan.deadline_s), PATIENCE_S)
            try:
                token = await entry.receive(self.stdin, left)
            except TimeoutError:
                self.log.write(STDERR, entry.mark("deadline reached", "\n"))
                return entry.DEADLINE_CODE
            if token is None:
                self.log.write(STDERR, entry.mark("secrets did not come"))
                return entry.NO_SECRETS_CODE
            around.token = token
            self.log.write(STDERR, entry.mark("secrets received"))
        self.log.write(STDERR, entry.mark("started"))
        return None

    def _end(self, code: int, oom: bool) -> None:
        self.machine.free(self._pid)
        self.status, self.exit_code, self.oom = "exited", code, oom
        self.finished_ns = self.clock.stamp()
        self.log.close()
        if oom:
            self._emit(self, "oom", {})
        self._emit(self, "die", {"exitCode": str(code)})
        self.ended.set()
        self.next_exit.set()
        self.next_exit = asyncio.Event()

    async def signal(self, number: int) -> None:
        """Deliver a signal; the played programs end at TERM, INT, HUP, QUIT and KILL, and ignore others."""
        self._emit(self, "kill", {"signal": str(number)})
        if number not in (1, 2, 3, 9, 15):
            return
        self._signal = number
        await self.halt()

    async def halt(self) -> None:
        """End the play and wait until it is over."""
        task, self._task = self._task, None
        if task is not None and not task.done():
            task.cancel()
            await asyncio.wait((task,))
            if not self.ended.is_set():
                # cancelled before its first step
                self._end(128 + self._signal, False)

    # ---------------------------------------------------------------- record

    def state(self) -> dict[str, Any]:
        """The `State` of inspect."""
        return {
            "Status": self.status,
            "Running": self.running,
            "Paused": False,
            "Restarting": False,
            "OOMKilled": self.oom,
            "Dead": False,
            "Pid": self._pid if self.running else 0,
            "ExitCode": self.exit_code,
            "Error": self.error,
            "StartedAt": rfc3339(self.started_ns) if self.started_ns else ZERO_TIME,
            "FinishedAt": rfc3339(self.finished_ns) if self.finished_ns else ZERO_TIME,
        }

    def _command(self) -> list[str]:
        effective = self._effective()
        return [*(effective.get("Entrypoint") or ()), *(effective.get("Cmd") or ())]

    def inspect(self) -> dict[str, Any]:
        """`GET /containers/{id}/json`: state, and everything as it was given."""
        command = self._command()
        given = {key: value for key, value in self.body.items() if key not in ("HostConfig", "NetworkingConfig")}
        config = {
            "Hostname": self.id[:12], "Domainname": "", "User": "", "AttachStdin": False, "AttachStdout": False,
            "AttachStderr": False, "Tty": False, "OpenStdin": False, "StdinOnce": False, "Volumes": None,
            "WorkingDir": "", "OnBuild": None, **given,
            "Env": [f"{key}={value}" for key, value in self.env.items()],
            "Cmd": self._effective().get("Cmd"), "Entrypoint": self.body.get("Entrypoint") or None,
            "Labels": self.labels, "Image": self.body.get("Image", ""),
        }  # fmt: skip
        host_config = {
            "Binds": None, "LogConfig": {"Type": "json-file", "Config": {}}, "NetworkMode": "default",
            "PortBindings": None, "RestartPolicy": {"Name": "", "MaximumRetryCount": 0}, "AutoRemove": False,
            "CapAdd": None, "CapDrop": None, "GroupAdd": None, "IpcMode": "private", "Privileged": False,
            "SecurityOpt": None, "ShmSize": 67108864, "Runtime": "runc", "Memory": 0, "NanoCpus": 0, "Devices": None,
            "Ulimits": None, **self.host_config,
        }  # fmt: skip
        return {
            "Id": self.id,
            "Created": rfc3339(self.created_ns),
            "Path": command[0] if command else "",
            "Args": command[1:],
            "State": self.state(),
            "Image": self.image.id,
            "LogPath": f"/var/lib/docker/containers/{self.id}/{self.id}-json.log",
            "Name": f"/{self.name}",
            "RestartCount": 0,
            "Driver": "overlay2",
            "Platform": "linux",
            "HostConfig": host_config,
            "GraphDriver": {"Data": {}, "Name": "overlay2"},
            "Mounts": self._mounts_seen(),
            "Config": config,
            "NetworkSettings": {"Ports": {}, "Networks": {host_config["NetworkMode"]: {}}},
        }

    def _mounts_seen(self) -> list[dict[str, Any]]:
        return [
            {
                "Type": "bind",
                "Source": mount.source,
                "Destination": mount.target,
                "Mode": "ro" if mount.read_only else "",
                "RW": not mount.read_only,
                "Propagation": "rprivate",
            }
            for mount in self.mounts
        ]

    def summary(self) -> dict[str, Any]:
        """An item of `GET /containers/json`."""
        text = {"created": "Created", "running": "Up"}.get(self.status, f"Exited ({self.exit_code})")
        return {
            "Id": self.id,
            "Names": [f"/{self.name}"],
            "Image": self.body.get("Image", ""),
            "ImageID": self.image.id,
            "Command": shlex.join(self._command()),
            "Created": self.created_ns // 1_000_000_000,
            "Ports": [],
            "Labels": self.labels,
            "State": self.status,
            "Status": text,
            "HostConfig": {"NetworkMode": self.host_config.get("NetworkMode", "default")},
            "NetworkSettings": {"Networks": {}},
            "Mounts": self._mounts_seen(),
        }
