"""The lab as a whole: hosts in one process, a fleet file that names them, and the controls that tests use."""

import asyncio
import contextlib
import fcntl
import shutil
import tempfile
from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import TextIO

import asyncssh

from console.lab import reference, roots
from console.lab.clock import Clock
from console.lab.faults import HOST_FAULTS, Fault, Faults
from console.lab.machines import Machine
from console.lab.network import nics_of
from console.lab.rendezvous import Fabric
from console.lab.specs import KIND_BY_SERVER, Kind, lineup
from console.lab.sshd import USER, Sshd

MAX_HOSTS = 256
MARKER = ".instinct-lab"


class LabError(Exception):
    """A lab that cannot be started there: why, and what to do."""


class Lab:
    """A fleet of played servers on loopback.

    `folder` is filled anew: `fleet.toml`, keys, `profiles/` with the lab's reference set, `faults.toml`, and `hosts/`
    with the root folders. `speed` is simulated seconds per real second. `faults` are written to `faults.toml`, which
    may be edited while the lab is up. `seed` decides the noise of the figures. `servers` are the kinds of server to
    play, in turn (a job of eight nodes: `hosts=8, servers=("mi300x-2x9654",)`); without it the lab chooses. With
    `shared_cache` the fleet file names a model cache on the network file system that all hosts have at `/shared`.
    """

    def __init__(
        self,
        folder: Path,
        hosts: int = 6,
        speed: float = 60.0,
        faults: Sequence[Fault] = (),
        seed: int = 1,
        *,
        servers: Sequence[str] = (),
        shared_cache: bool = False,
    ) -> None:
        if not 1 <= hosts <= MAX_HOSTS:
            raise ValueError(f"a lab has 1 to {MAX_HOSTS} hosts, not {hosts}")
        if unknown := set(servers) - set(KIND_BY_SERVER):
            known = ", ".join(KIND_BY_SERVER)
            raise ValueError(f"the lab plays no server {', '.join(sorted(unknown))}; it plays {known}")
        self.folder = folder.resolve()
        self.fleet_file = self.folder / "fleet.toml"
        self.clock = Clock(speed)
        self._given = tuple(faults)
        self._faults = Faults(self.folder / "faults.toml")
        self._seed = seed
        self._lineup = lineup(hosts, servers)
        self._shared_cache = shared_cache
        self.fabric = Fabric()
        self.machines: dict[str, Machine] = {}
        self._sshds: dict[str, Sshd] = {}
        self._lock: TextIO | None = None

    async def start(self) -> Path:
        """Make the folder, start every host, and return the path of the fleet file. LabError when it may not."""
        self._take_folder()
        for stale in ("hosts", "profiles", "shared"):
            shutil.rmtree(self.folder / stale, ignore_errors=True)
        (self.folder / "profiles/references").mkdir(parents=True)
        (self.folder / "profiles/references/lab.toml").write_text(reference.document())
        self._faults.write(self._given)
        self._faults.current()
        await asyncio.to_thread(self._build)
        client_keys = self._write_client_key()
        known = []
        for name, machine in self.machines.items():
            host_key = asyncssh.generate_private_key("ssh-ed25519")
            sshd = Sshd(machine, host_key, client_keys)
            self._sshds[name] = sshd
            await sshd.start()
            public = host_key.export_public_key("openssh").decode().split()
            known.append(f"[127.0.0.1]:{sshd.port} {public[0]} {public[1]}\n")
            if self._faults.has("no-boot", name):
                await sshd.fall_silent()
        (self.folder / "known_hosts").write_text("".join(known))
        self.fleet_file.write_text(self._fleet())
        return self.fleet_file

    async def stop(self) -> None:
        """End every container, connection and process. The folder stays."""
        for machine in self.machines.values():
            await machine.engine.close()
        for sshd in self._sshds.values():
            await sshd.stop()
        self._sshds.clear()
        if self._lock is not None:
            self._lock.close()
            self._lock = None

    async def __aenter__(self) -> "Lab":
        await self.start()
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.stop()

    # ---------------------------------------------------------------- controls

    def port(self, host: str) -> int:
        """The port a host listens on. KeyError for a name that is none."""
        return self._sshds[host].port

    def drop_links(self, host: str | None = None) -> None:
        """Cut all connections, or those of one host, as a broken network does. Containers go on, hosts stay up."""
        for name, sshd in self._sshds.items():
            if host in (None, name):
                sshd.drop()

    async def unplug(self, host: str) -> None:
        """Cut a host's connections and refuse new ones until `plug`. Containers go on."""
        await self._sshds[host].fall_silent()

    async def plug(self, host: str) -> None:
        """Let an unplugged host listen again on its old port."""
        await self._sshds[host].start()

    def set_faults(self, faults: Sequence[Fault]) -> None:
        """Replace the faults; those of hosts are given to them at once, and never taken back."""
        before = self._faults.current()
        self._faults.write(faults)
        for machine in self.machines.values():
            for fault in faults:
                if fault not in before and fault.name in HOST_FAULTS and fault.matches(fault.name, machine.name, ""):
                    machine.afflict(fault.name)

    # ---------------------------------------------------------------- parts

    def _take_folder(self) -> None:
        """A folder of somebody else's is never emptied, and one folder serves one lab at a time."""
        self.folder.mkdir(parents=True, exist_ok=True)
        marker = self.folder / MARKER
        if not marker.exists() and any(self.folder.iterdir()):
            raise LabError(f"{self.folder} is not empty and not a lab's; choose a new folder")
        lock = marker.open("a")
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError as error:
            lock.close()
            raise LabError(f"a lab is already up in {self.folder}; choose another folder") from error
        self._lock = lock

    def _build(self) -> None:
        with tempfile.TemporaryDirectory(prefix=".template-", dir=self.folder) as scratch:
            (self.folder / "hosts").mkdir()
            for shared in ("cache", "huggingface/hub"):
                (self.folder / "shared" / shared).mkdir(parents=True)
            for index, (name, kind) in enumerate(self._lineup):
                self.fabric.add(name, nics_of(kind.nic, name, index))
            templates: dict[str, roots.Template] = {}
            counts = Counter(kind.server for _, kind in self._lineup)
            for name, kind in self._lineup:
                machine = self._machine(name, kind)
                if counts[kind.server] > 1 and kind.server not in templates:
                    place = Path(scratch) / kind.server
                    roots.write_template(kind, place)
                    templates[kind.server] = roots.Template(place)
                machine.build(templates.get(kind.server))
                self.machines[name] = machine

    def _machine(self, name: str, kind: Kind) -> Machine:
        machine = Machine(name, kind, self.folder / "hosts" / name, self.clock, self._faults, self._seed, self.fabric)
        machine.shared = self.folder / "shared"
        return machine

    def _write_client_key(self) -> Path:
        key = asyncssh.generate_private_key("ssh-ed25519", comment="instinct lab")
        private = self.folder / "id_ed25519"
        with contextlib.suppress(FileNotFoundError):
            private.unlink()
        private.touch(mode=0o600)
        key.write_private_key(str(private))
        public = self.folder / "id_ed25519.pub"
        key.write_public_key(str(public))
        return public

    def _fleet(self) -> str:
        cache = f"{roots.SHARED}/huggingface" if self._shared_cache else roots.MODEL_CACHE
        head = (
            "# Written by the instinct lab. Every host here is simulated.\n"
            f'[lab]\nsimulated = true\nspeed = {self.clock.speed}\nprofiles = "profiles"\n'
            'known_hosts = "known_hosts"\nidentity = "id_ed25519"\n\n'
            f'[defaults]\nuser = "{USER}"\naddress = "127.0.0.1"\nmodel_cache = "{cache}"\n'
            f'scratch = "{roots.SCRATCH}"\n'
        )
        hosts = [
            f'\n[hosts."{name}"]\nport = {self._sshds[name].port}\nserver = "{kind.server}"\n'
            f'groups = ["{kind.gpu.name.lower()}"]\nroot = "{self.machines[name].root}"\n'
            for name, kind in self._lineup
        ]
        return head + "".join(hosts)
