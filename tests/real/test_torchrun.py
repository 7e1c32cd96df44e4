"""A real torchrun over real hosts: containers of one engine, each with an sshd and an engine of its own.

Every host has its own network address, container engine and file system; only the kernel is shared. What the job
prints has the form of Megatron-LM's iteration line, on the last rank alone.
"""

import contextlib
import json
import os
import re
import shutil
import subprocess
import sys
import tarfile
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from io import BytesIO
from pathlib import Path

import pytest

from console.model.attempt import FailureClass, Outcome, Sample
from console.store.paths import StateFolder
from console.store.records import AttemptRow
from console.store.tail import Tail

pytestmark = [pytest.mark.real, pytest.mark.timeout(900)]

TORCH = "local/vllm-cpu:0.32.0"
CATALOG = Path(__file__).parent / "catalog"
HOSTS = ("node-a", "node-b")
PATIENCE_S = 240.0
STEP = re.compile(r"iteration\s+(\d+)/\s*\d+ \|.*elapsed time per iteration \(ms\): ([\d.]+) .*GPU\): ([\d.]+) ")

ENGINE = "dockerd --bridge=none --iptables=false --ip6tables=false --ip-masq=false"
FILL = f"""\
{ENGINE} >/var/log/dockerd.log 2>&1 & engine=$!
for _ in $(seq 300); do docker info >/dev/null 2>&1 && break; sleep 0.2; done
docker load || {{ cat /var/log/dockerd.log; exit 1; }}
kill $engine; wait $engine
# What an engine writes in place belongs to it alone; the rest is only ever replaced and may be shared by links.
cd /var/lib/docker && rm -rf containerd network volumes buildkit tmp runtimes swarm trust
"""
NODE = f"""\
mkdir -p /run/sshd
{ENGINE} >/var/log/dockerd.log 2>&1 &
exec /usr/sbin/sshd -D -e -f /node/sshd_config
"""
RIGHTS = (
    *("--cap-add", "SYS_ADMIN", "--cap-add", "NET_ADMIN", "--cap-add", "SYS_PTRACE", "--cap-add", "DAC_READ_SEARCH"),
    *("--security-opt", "seccomp=unconfined", "--security-opt", "apparmor=unconfined"),
    *("--security-opt", "systempaths=unconfined", "--device-cgroup-rule", "a *:* rwm", "--cgroupns", "host"),
    *("-v", "/sys/fs/cgroup:/sys/fs/cgroup:rw", "-v", "/usr:/usr:ro", "-v", "/etc:/etc:ro"),
)
"""What an engine inside a container needs; not `--privileged`, which asks for more than some machines may give."""


def docker(*words: str, stdin: bytes | None = None) -> str:
    """A docker command on this machine's engine; its stdout. Raises AssertionError with what it said."""
    done = subprocess.run(["docker", *words], input=stdin, capture_output=True, check=False, timeout=300)
    assert done.returncode == 0, f"docker {' '.join(words[:6])}: {done.stderr.decode()}"
    return done.stdout.decode().strip()


class Nodes:
    """Two containers that are hosts."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.prefix = f"instinct-node-{os.getpid()}"
        self.image = f"{self.prefix}:test"

    def name(self, host: str) -> str:
        """The container that plays a host."""
        return f"{self.prefix}-{host}"

    def up(self) -> None:
        """Containers with sshd and an engine that has the image, ready for connections."""
        self._keys()
        docker("import", "-", self.image, stdin=_skeleton())
        first, *others = (f"{self.name(host)}-data" for host in HOSTS)
        self._fill(first)
        for other in others:
            source, target = (_mountpoint(docker("volume", "create", name)) for name in (first, other))
            subprocess.run(["cp", "-al", f"{source}/.", target], check=True)
        for host in HOSTS:
            mounts = ("-v", f"{self.folder}:/node:ro", "-v", f"{self.name(host)}-data:/var/lib/docker")
            named = ("--name", self.name(host), "--hostname", host, "-p", "127.0.0.1::22")
            docker("run", "-d", *named, *RIGHTS, *mounts, self.image, "sh", "-c", NODE)
        for host in HOSTS:
            self._wait(host)

    def down(self) -> None:
        """Take everything away again, whatever was made of it."""
        for host in HOSTS:
            for words in (("rm", "-f", "-v", self.name(host)), ("volume", "rm", "-f", f"{self.name(host)}-data")):
                subprocess.run(["docker", *words], capture_output=True, check=False, timeout=60)
        subprocess.run(["docker", "rmi", self.image], capture_output=True, check=False, timeout=60)

    def on(self, host: str, *argv: str) -> str:
        """A command on a host, as somebody else there would give it."""
        return docker("exec", self.name(host), *argv)

    def port(self, host: str) -> int:
        """Where its sshd is reached from here."""
        return int(docker("port", self.name(host), "22").splitlines()[0].rpartition(":")[2])

    def _keys(self) -> None:
        for name in ("host_key", "user_key"):
            subprocess.run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", str(self.folder / name)], check=True)
        shutil.copy(self.folder / "user_key.pub", self.folder / "authorized_keys")
        (self.folder / "sshd_config").write_text(
            "HostKey /node/host_key\nAuthorizedKeysFile /node/authorized_keys\nStrictModes no\n"
            "PermitRootLogin yes\nUsePAM no\nPasswordAuthentication no\n"
        )

    def _fill(self, volume: str) -> None:
        mounts = ("-v", f"{volume}:/var/lib/docker")
        name = self.name(HOSTS[0])  # `down` knows it
        fill = ["docker", "run", "-i", "--rm", "--name", name, *RIGHTS, *mounts, self.image, "sh", "-c", FILL]
        save = subprocess.Popen(["docker", "save", TORCH], stdout=subprocess.PIPE)
        try:
            done = subprocess.run(fill, stdin=save.stdout, capture_output=True, check=False, timeout=600)
        finally:
            save.kill()
            save.wait()
        assert done.returncode == 0, (done.stdout + done.stderr).decode()

    def _wait(self, host: str) -> None:
        def ready() -> bool:
            asked = ["docker", "exec", self.name(host), "docker", "image", "inspect", TORCH]
            return subprocess.run(asked, capture_output=True, check=False).returncode == 0

        until(ready, f"an engine with the image on {host}")


def _skeleton() -> bytes:
    """Folders to mount on, and the links that lead into /usr."""
    packed = BytesIO()
    with tarfile.open(fileobj=packed, mode="w") as tar:
        folders = ("usr", "etc", "var/lib/docker", "var/log", "var/tmp", "run", "tmp", "root", "proc", "sys", "dev")
        for name in ("var", "var/lib", *folders, "node"):
            entry = tarfile.TarInfo(name)
            entry.type, entry.mode = tarfile.DIRTYPE, 0o1777 if name.endswith("tmp") else 0o755
            tar.addfile(entry)
        for link in ("bin", "sbin", "lib", "lib64"):
            entry = tarfile.TarInfo(link)
            entry.type, entry.linkname = tarfile.SYMTYPE, f"usr/{link}"
            tar.addfile(entry)
    return packed.getvalue()


def _mountpoint(volume: str) -> str:
    return docker("volume", "inspect", "--format", "{{.Mountpoint}}", volume)


def until(condition: Callable[[], object], what: str) -> None:
    """Wait for something that another process brings about."""
    end = time.monotonic() + PATIENCE_S
    while not condition():
        assert time.monotonic() < end, f"never: {what}"
        time.sleep(0.2)


@pytest.fixture(scope="module")
def nodes(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Nodes]:
    """The hosts of all tests here; filling an engine with a big image takes a while."""
    made = Nodes(tmp_path_factory.mktemp("nodes"))
    try:
        made.up()
        yield made
    finally:
        made.down()


class Console:
    """The `instinct` command with the two hosts as its fleet."""

    def __init__(self, folder: Path, nodes: Nodes) -> None:
        self.folder, self.nodes = folder, nodes
        self.store = folder / "state"
        key = " ".join((nodes.folder / "host_key.pub").read_text().split()[:2])
        ports = {host: nodes.port(host) for host in HOSTS}
        known, config, fleet = (folder / name for name in ("known_hosts", "ssh_config", "fleet.toml"))
        known.write_text("".join(f"[127.0.0.1]:{port} {key}\n" for port in ports.values()))
        config.write_text(
            "".join(
                f"Host {host}\n  HostName 127.0.0.1\n  Port {port}\n  User root\n"
                f"  IdentityFile {nodes.folder}/user_key\n  UserKnownHostsFile {known}\n"
                for host, port in ports.items()
            )
        )
        fleet.write_text(f'[ssh]\nconfig = "{config}"\n\n' + "".join(f"[hosts.{host}]\n" for host in HOSTS))
        (folder / "home").mkdir()

    def popen(self, *words: str) -> "subprocess.Popen[str]":
        """Start an `instinct` command."""
        where = ["--fleet", str(self.folder / "fleet.toml"), "--profiles", str(CATALOG), "--store", str(self.store)]
        kept = {name: value for name, value in os.environ.items() if name in ("PATH", "LANG", "PYTHONPATH")}
        env = {**kept, "HOME": str(self.folder / "home"), "NO_COLOR": "1"}
        argv = [sys.executable, "-m", "console", *words, *where]
        return subprocess.Popen(argv, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env=env)

    def run(self, *words: str) -> tuple[int, str, str]:
        """Run one to its end: exit code, stdout, stderr."""
        process = self.popen(*words)
        out, err = process.communicate(timeout=600)
        return process.returncode, out, err

    @property
    def tail(self) -> Tail:
        """The console's journal."""
        return Tail(StateFolder.open(self.store))

    def attempts(self) -> Mapping[str, AttemptRow]:
        """The attempts of the newest run by cell."""
        return {row.cell_id: row for row in self.tail.attempts(self.tail.find_run("last").run)}

    def log(self, row: AttemptRow, part: str) -> str:
        """What was collected of a part's output."""
        return (self.store / "attempts" / row.attempt / f"{part}.log").read_text()

    def left(self) -> Mapping[str, str]:
        """Containers on the hosts, running or not."""
        return {host: self.nodes.on(host, "docker", "ps", "-a", "--format", "{{.Names}}") for host in HOSTS}


@pytest.fixture
def console(request: pytest.FixtureRequest, tmp_path: Path, require_real: Callable[[bool, str], None]) -> Console:
    """A console of its own for each test, over the shared hosts."""
    require_real(os.geteuid() == 0, "root (for an engine inside a container)")
    require_real(Path("/usr/sbin/sshd").exists(), "sshd")
    engine = shutil.which("dockerd") is not None and shutil.which("docker") is not None
    answers = engine and subprocess.run(["docker", "info"], capture_output=True, check=False).returncode == 0
    require_real(answers, "Docker Engine")
    seen = subprocess.run(["docker", "image", "inspect", TORCH], capture_output=True, check=False)
    require_real(seen.returncode == 0, f"the image {TORCH}")
    return Console(tmp_path, request.getfixturevalue("nodes"))


def figures(row: AttemptRow) -> Mapping[str, float]:
    """The figures of a whole run by metric."""
    assert row.outcome is Outcome.OK, row.failure
    assert row.result is not None
    return {item.metric: item.value for item in row.result.values}


def steps_of(log: str) -> Sequence[tuple[int, float, float]]:
    """Number, milliseconds and TFLOP/s of each iteration of a log."""
    return [(int(number), float(ms), float(work)) for number, ms, work in STEP.findall(log)]


def test_one_and_two_hosts_run_and_their_last_rank_makes_the_figures(console: Console) -> None:
    code, out, err = console.run("run", "real-torchrun", "--only", "not id~long", "--place", "spread", "--json")
    assert code == 0, err + out
    one, two = (console.attempts()[name] for name in ("gloo-1n", "gloo-2n"))
    for row, part in ((one, "main"), (two, "rank1")):
        steps = steps_of(console.log(row, part))
        assert [number for number, _, _ in steps] == list(range(1, 41))
        counted = steps[2:-1]  # as Megatron-LM's summary counts them
        found = figures(row)
        mean = sum(work for _, _, work in counted) / len(counted)
        assert found["tflops_per_s_per_rank"] == pytest.approx(mean, rel=1e-2)
        step_s = sum(ms for _, ms, _ in counted) / len(counted) / 1000
        assert found["tokens_per_s_per_rank"] == pytest.approx(64 / step_s, rel=1e-2)
        live = [item.event for item in console.tail.of_attempt(row.attempt, Sample)]
        assert [item.done for item in live if isinstance(item, Sample)] == [number for number, _, _ in steps]
    assert steps_of(console.log(two, "rank0")) == [], "the first rank prints no iterations"
    assert "rank 3 of 4, node 1" in console.log(two, "rank1")
    _over_the_bridge(console, two)
    assert set(console.left().values()) == {""}

    rows = {row["cell"]: row for row in json.loads(out)["rows"]}
    assert rows["gloo-2n"]["hosts"] == list(HOSTS)
    assert (rows["gloo-2n"]["gpus"], rows["gloo-2n"]["simulated"]) == (0, False)
    alone, both = (figures(row)["tflops_per_s_per_rank"] for row in (one, two))
    assert rows["gloo-2n"]["scaling_efficiency_percent"] == pytest.approx(100 * both / alone)
    assert rows["gloo-2n"]["scaling_against"].startswith("gloo-1n on node-")
    file = console.store / "attempts" / two.attempt / "rank1.log"
    code, out, err = console.run("read-log", "megatron-llama", str(file), "--json")
    assert code == 0, err
    assert "tflops_per_s_per_gpu" in out


def _over_the_bridge(console: Console, row: AttemptRow) -> None:
    """The ranks met on the interface that both hosts really share."""
    assert row.launch is not None
    address = console.nodes.on(HOSTS[0], "hostname", "-I").split()[0]
    for part in row.launch.parts:
        assert (part.env["MASTER_ADDR"], part.env["GLOO_SOCKET_IFNAME"]) == (address, "eth0")
        assert part.devices == ()


@pytest.mark.parametrize("host", HOSTS)
def test_a_rank_whose_container_is_killed_ends_the_attempt(console: Console, host: str) -> None:
    row = _interrupted(console, lambda: console.nodes.on(host, "docker", "kill", "instinct-claim"))
    assert row.failure is not None
    assert row.failure.failure is FailureClass.KILLED, row.failure
    assert row.failure.line.startswith(f"rank{HOSTS.index(host)} on {host}: "), row.failure
    assert "killed" in row.failure.line
    _both_collected(console, row)


def test_a_rank_whose_process_is_killed_ends_the_attempt(console: Console) -> None:
    row = _interrupted(console, lambda: _kill_worker(console.nodes, HOSTS[1]))
    assert row.failure is not None
    assert row.failure.failure is FailureClass.RANK_DIED
    assert row.failure.line.startswith("rank1 on node-b: "), row.failure
    assert "failed (exitcode: -9)" in row.failure.line
    _both_collected(console, row)


def _interrupted(console: Console, act: Callable[[], object]) -> AttemptRow:
    """The long row, with something done to it while it makes steps."""
    process = console.popen("run", "real-torchrun", "--only", "id~long", "--json")

    def stepping() -> bool:
        assert process.poll() is None, process.communicate()
        with contextlib.suppress(Exception):  # no run yet
            [row] = console.attempts().values()
            return len(console.tail.of_attempt(row.attempt, Sample)) > 3
        return False

    until(stepping, "steps")
    act()
    out, err = process.communicate(timeout=300)
    assert process.returncode == 1, err + out
    [row] = console.attempts().values()
    assert row.outcome is Outcome.FAILED
    return row


def _kill_worker(nodes: Nodes, host: str) -> None:
    found = nodes.on(host, "docker", "top", "instinct-claim", "-o", "pid,args")
    workers = [
        line.split()[0]
        for line in found.splitlines()
        if "python3 -u -c" in line and "torch.distributed.run" not in line
    ]
    assert len(workers) == 2, found
    nodes.on(host, "kill", "-9", workers[-1])


def _both_collected(console: Console, row: AttemptRow) -> None:
    """Both ranks' logs and inspects are here, the other rank was ended, and nothing is left on the hosts."""
    for part in ("rank0", "rank1"):
        assert "initializing torch distributed" in console.log(row, part)
        assert (console.store / "attempts" / row.attempt / f"{part}.inspect.json").stat().st_size
    assert all(item.collected for item in console.tail.parts(row.attempt))
    assert set(console.left().values()) == {""}
