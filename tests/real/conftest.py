"""A host made of real parts: OpenSSH on a loopback address, Docker Engine, a real vLLM, stand-ins for GPU devices.

What cannot be had without a GPU, the kernel's view of eight MI300X, is a folder that the probe reads instead of /.
"""

import os
import shutil
import socket
import stat
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

import pytest

from console.lab import roots
from console.lab.specs import lineup

CATALOG = Path(__file__).parent / "catalog"
GROUP = 109
KFD = (511, 0)
RENDER_MAJOR = 226
FIRST_RENDER = 128
START_S = 90.0
OPERATOR = "real-tester"


@dataclass
class Host:
    """One real host and a home of its own for the console that uses it."""

    folder: Path
    port: int
    fleet: Path
    env: Mapping[str, str]

    @property
    def store(self) -> Path:
        """State folder of the console."""
        return self.folder / "state"

    def argv(self, *words: str) -> list[str]:
        """The `instinct` command with this host's fleet, store and catalog."""
        where = ["--fleet", str(self.fleet), "--profiles", str(CATALOG)]
        store = [] if "--store" in words else ["--store", str(self.store)]
        return [sys.executable, "-m", "console", *words, *where, *store]

    def run(
        self, *words: str, timeout_s: float = 400, env: Mapping[str, str] | None = None
    ) -> "subprocess.CompletedProcess[str]":
        """Run an `instinct` command to its end."""
        surroundings = {**self.env, **(env or {})}
        return subprocess.run(
            self.argv(*words), capture_output=True, text=True, timeout=timeout_s, env=surroundings, check=False
        )

    def start(self, *words: str, env: Mapping[str, str] | None = None) -> "subprocess.Popen[str]":
        """Start an `instinct` command."""
        surroundings = {**self.env, **(env or {})}
        return subprocess.Popen(
            self.argv(*words), stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env=surroundings
        )


def docker(*words: str) -> "subprocess.CompletedProcess[str]":
    """The docker command on this machine's engine."""
    return subprocess.run(["docker", *words], capture_output=True, text=True, check=False, timeout=300)


def has_image(name: str) -> bool:
    """True when the engine answers and has the image."""
    return shutil.which("docker") is not None and docker("image", "inspect", name).returncode == 0


@pytest.fixture(scope="session")
def devices() -> Iterator[None]:
    """Device files as a GPU server has them, made only where there are none, and taken away again."""
    made: list[Path] = []
    wanted = [(Path("/dev/kfd"), *KFD)]
    wanted += [(Path(f"/dev/dri/renderD{n}"), RENDER_MAJOR, n) for n in range(FIRST_RENDER, FIRST_RENDER + 8)]
    if os.geteuid() == 0:
        Path("/dev/dri").mkdir(exist_ok=True)
        for path, major, minor in wanted:
            if not path.exists():
                os.mknod(path, 0o660 | stat.S_IFCHR, os.makedev(major, minor))
                os.chown(path, 0, GROUP)
                made.append(path)
    yield
    for path in made:
        path.unlink(missing_ok=True)


@pytest.fixture
def real_host(tmp_path: Path, devices: None, require_real: Callable[[bool, str], None]) -> Iterator[Host]:
    """A host behind sshd with an engine that has the real vLLM images."""
    require_real(os.geteuid() == 0, "root (for device stand-ins)")
    sshd = Path("/usr/sbin/sshd")
    require_real(sshd.exists(), "sshd")
    require_real(shutil.which("docker") is not None and docker("info").returncode == 0, "Docker Engine")
    for version in ("0.8.5", "0.32.0"):
        require_real(has_image(f"local/vllm-cpu:{version}"), f"the image local/vllm-cpu:{version}")
    root = _root(tmp_path)
    process, port = _sshd(sshd, tmp_path)
    try:
        yield Host(tmp_path, port, _fleet(tmp_path, port, root), _environment(tmp_path))
    finally:
        process.terminate()
        process.wait(60)
        left = docker("ps", "-aq", "--filter", f"label=instinct.owner={OPERATOR}").stdout.split()
        if left:
            docker("rm", "-f", *left)


def _root(folder: Path) -> Path:
    """The kernel's view of a reference server, with device files of the group the real stand-ins have."""
    root = folder / "root"
    kind = lineup(1)[0][1]
    roots.write_template(kind, root)
    roots.write_own(kind, "real", root)
    devices = ["/dev/kfd", *(f"/dev/dri/renderD{n}" for n in range(FIRST_RENDER, FIRST_RENDER + 8))]
    said = root / "@commands" / "dev.stat"
    said.parent.mkdir(exist_ok=True)
    said.write_text("".join(f"{GROUP} {path}\n" for path in devices))
    return root


def _sshd(program: Path, folder: Path) -> "tuple[subprocess.Popen[bytes], int]":
    Path("/run/sshd").mkdir(exist_ok=True)
    for name in ("host_key", "user_key"):
        subprocess.run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", str(folder / name)], check=True)
    (folder / "authorized_keys").write_text((folder / "user_key.pub").read_text())
    port = _free_port()
    config = folder / "sshd_config"
    config.write_text(
        f"ListenAddress 127.0.0.1:{port}\nHostKey {folder}/host_key\nAuthorizedKeysFile {folder}/authorized_keys\n"
        f"StrictModes no\nPidFile {folder}/sshd.pid\nPermitRootLogin yes\nUsePAM no\nPasswordAuthentication no\n"
    )
    process = subprocess.Popen([program, "-D", "-e", "-f", config], stderr=(folder / "sshd.log").open("wb"))
    until = time.monotonic() + START_S
    while b"listening" not in (folder / "sshd.log").read_bytes():
        assert process.poll() is None, (folder / "sshd.log").read_text()
        assert time.monotonic() < until, "sshd did not start"
        time.sleep(0.05)
    key = " ".join((folder / "host_key.pub").read_text().split()[:2])
    (folder / "known_hosts").write_text(f"[127.0.0.1]:{port} {key}\n")
    return process, port


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def _fleet(folder: Path, port: int, root: Path) -> Path:
    config = folder / "ssh_config"
    config.write_text(
        f"Host real01\n  HostName 127.0.0.1\n  Port {port}\n  User root\n  IdentityFile {folder}/user_key\n"
        f"  UserKnownHostsFile {folder}/known_hosts\n"
    )
    fleet = folder / "fleet.toml"
    fleet.write_text(
        f'[ssh]\nconfig = "{config}"\n\n[hosts.real01]\naddress = "real01"\nroot = "{root}"\n'
        f'docker_socket = "/var/run/docker.sock"\nserver = "mi300x-2x9554"\n'
        f'model_cache = "/data/huggingface"\nscratch = "{folder}/scratch"\n'
    )
    return fleet


def _environment(folder: Path) -> Mapping[str, str]:
    home = folder / "home"
    home.mkdir()
    kept = {name: value for name, value in os.environ.items() if name in ("PATH", "LANG", "PYTHONPATH")}
    return {**kept, "HOME": str(home), "NO_COLOR": "1", "INSTINCT_OPERATOR": OPERATOR}
