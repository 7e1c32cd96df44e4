"""What one full look at 64 hosts costs the client, side by side with parallel ssh, clush and ansible's setup module.

    python tests/benchmarks/fleet_status.py --peers FOLDER [--rounds 2] [--gpus]

The hosts are 64 loopback addresses of this machine behind real sshd, so their own work is part of every wall time and
never of the CPU time, which is what the client process and all it started used. See README.md beside this file.
"""

import argparse
import asyncio
import ctypes
import getpass
import json
import os
import resource
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path

import msgspec

from console.fleet.inventory import load
from console.fleet.links import Links
from console.fleet.probe.survey import AREAS, script_values, survey
from console.fleet.script import compose, new_nonce, sections

HOSTS = tuple(f"127.0.10.{n}" for n in range(1, 65))
PER_SSHD = 16
"""OpenSSH listens on at most 16 addresses."""
SSHD = Path("/usr/sbin/sshd")
PARALLEL = str(len(HOSTS))
START_S = 20.0
LIMIT_S = 600.0
PEERS = {"clush": "ClusterShell", "ansible": "ansible-core"}
"""Command and the package it comes from."""
PR_SET_CHILD_SUBREAPER = 36
OLD_KEX = ("-o", "KexAlgorithms=curve25519-sha256")
SELF = (sys.executable, str(Path(__file__).resolve()))


class Pass(msgspec.Struct, frozen=True):
    """One pass of our client over all hosts."""

    wall_s: float
    cpu_s: float
    answered: int


class Cost(msgspec.Struct, frozen=True):
    """What a command took: wall time to its end; user and system time of it and everything it started."""

    wall_s: float
    cpu_s: float
    exit_code: int


class Row(msgspec.Struct, frozen=True):
    """One line of the table; `cost` None: `note` says why it was not measured."""

    what: str
    cost: Cost | None
    answered: int = 0
    note: str = ""
    client: bool = True


# --- the hosts


class Site(msgspec.Struct, frozen=True):
    """The folder in which keys, configuration, scripts and answers lie."""

    folder: Path

    @property
    def ssh_config(self) -> Path:
        return self.folder / "ssh_config"

    @property
    def fleet(self) -> Path:
        return self.folder / "fleet.toml"

    @property
    def env(self) -> Mapping[str, str]:
        """Surroundings of every client: no agent, no configuration of the person, nothing written to their home."""
        kept = {name: os.environ[name] for name in ("PATH", "PYTHONPATH") if name in os.environ}
        home = str(self.folder / "home")
        return {
            **kept,
            "HOME": home,
            "LC_ALL": "C.UTF-8",
            "NO_COLOR": "1",
            "ANSIBLE_CONFIG": str(self.folder / "ansible.cfg"),
            "ANSIBLE_HOME": f"{home}/ansible",
            "ANSIBLE_REMOTE_TMP": f"{home}/remote",
            "ANSIBLE_SSH_CONTROL_PATH_DIR": str(self.folder / "cp"),
            "ANSIBLE_TIMEOUT": "60",
        }

    def answers(self) -> Path:
        """A new empty folder."""
        return Path(tempfile.mkdtemp(dir=self.folder, prefix="answers-"))


@contextmanager
def hosts(*, gpus: bool) -> Iterator[Site]:
    """Start the servers and write what clients need to reach them; end them and take all of it away."""
    if os.geteuid() == 0:
        Path("/run/sshd").mkdir(exist_ok=True)
    with tempfile.TemporaryDirectory(prefix="fleet-") as name:
        site = Site(Path(name))
        (site.folder / "home").mkdir()
        for key in ("host_key", "user_key"):
            subprocess.run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", str(site.folder / key)], check=True)
        port = _free_port(HOSTS[0])
        _write_client_files(site, port, _reference_root(site.folder) if gpus else None)
        servers: list[subprocess.Popen[bytes]] = []
        try:
            for first in range(0, len(HOSTS), PER_SSHD):
                servers.append(_sshd(site.folder, HOSTS[first : first + PER_SSHD], port, first))
            for address, server in zip(HOSTS[::PER_SSHD], servers, strict=True):
                _await_server(server, address, port)
            yield site
        finally:
            for server in servers:
                for pid in (*_children(server.pid), server.pid):
                    _end(pid)
                server.wait()


def _sshd(folder: Path, addresses: Sequence[str], port: int, number: int) -> "subprocess.Popen[bytes]":
    listen = "".join(f"ListenAddress {address}:{port}\n" for address in addresses)
    config = folder / f"sshd_config_{number}"
    config.write_text(
        f"{listen}HostKey {folder}/host_key\nAuthorizedKeysFile {folder}/user_key.pub\nPidFile none\nStrictModes no\n"
        "PermitRootLogin yes\nUsePAM no\nPasswordAuthentication no\nMaxStartups 200\nPrintMotd no\nLogLevel ERROR\n"
        # an empty home: what the account's shell reads at start (pyenv, conda) is not what is measured
        f"Subsystem sftp internal-sftp\nSetEnv HOME={folder}/home\n",
        encoding="utf-8",
    )
    return subprocess.Popen([SSHD, "-D", "-e", "-f", config], stderr=(folder / "sshd.log").open("ab"))


def _await_server(server: "subprocess.Popen[bytes]", address: str, port: int) -> None:
    until = time.monotonic() + START_S
    while server.poll() is None and time.monotonic() < until:
        try:
            socket.create_connection((address, port), timeout=1).close()
        except OSError:
            time.sleep(0.05)
        else:
            return
    raise SystemExit(f"sshd did not start on {address}:{port}")


def _write_client_files(site: Site, port: int, root: Path | None) -> None:
    folder = site.folder
    key = " ".join((folder / "host_key.pub").read_text().split()[:2])
    (folder / "known_hosts").write_text("".join(f"[{address}]:{port} {key}\n" for address in HOSTS))
    site.ssh_config.write_text(
        f"Host 127.0.10.*\n  Port {port}\n  User {getpass.getuser()}\n  IdentityFile {folder}/user_key\n"
        f"  IdentitiesOnly yes\n  UserKnownHostsFile {folder}/known_hosts\n  GlobalKnownHostsFile /dev/null\n"
        "  StrictHostKeyChecking yes\n  BatchMode yes\n  LogLevel ERROR\n"
    )
    base = f'root = "{root}"\n' if root else ""
    tables = "".join(f'[hosts.b{n:02}]\naddress = "{address}"\n' for n, address in enumerate(HOSTS, 1))
    site.fleet.write_text(f'[ssh]\nconfig = "{site.ssh_config}"\n[defaults]\n{base}scratch = "{folder}"\n{tables}')
    python = shutil.which("python3", path=os.defpath) or sys.executable
    (folder / "inventory").write_text(
        "".join(f"{address}\n" for address in HOSTS)
        + f"[all:vars]\nansible_python_interpreter={python}\nansible_ssh_common_args='-F {site.ssh_config}'\n"
    )
    (folder / "ansible.cfg").touch()
    (folder / "names").write_text("".join(f"{address}\n" for address in HOSTS))


def _reference_root(folder: Path) -> Path:
    """Files of a server with eight MI300X, as the lab lays them out."""
    from console.lab import roots
    from console.lab.specs import lineup

    kind, root = lineup(1)[0][1], folder / "root"
    roots.write_template(kind, root)
    roots.write_own(kind, "bench", root)
    return root


def _free_port(address: str) -> int:
    with socket.socket() as probe:
        probe.bind((address, 0))
        return int(probe.getsockname()[1])


def _children(pid: int) -> list[int]:
    try:
        return [int(child) for child in Path(f"/proc/{pid}/task/{pid}/children").read_text().split()]
    except OSError:
        return []


def _end(pid: int) -> None:
    try:
        os.kill(pid, signal.SIGTERM)
    except ProcessLookupError:
        return


# --- measuring


def measure(site: Site, argv: Sequence[str], stdin: Path | None = None, stdout: Path | None = None) -> Cost:
    """Run a client in a process of its own that adopts what it leaves behind, so that no CPU time gets lost."""
    told = site.folder / "cost.json"
    told.unlink(missing_ok=True)
    with (stdin or Path(os.devnull)).open("rb") as given, (stdout or Path(os.devnull)).open("wb") as out:
        subprocess.run(
            [*SELF, "--measure", str(told), "--", *argv],
            stdin=given,
            stdout=out,
            stderr=(site.folder / "stderr").open("ab"),
            env=site.env,
            timeout=LIMIT_S,
            check=True,
        )
    return msgspec.json.decode(told.read_bytes(), type=Cost)


def measured(told: Path, argv: Sequence[str]) -> None:
    """The process that `measure` starts: ssh's shared connections outlive ansible, and are ended and counted here."""
    ctypes.CDLL(None, use_errno=True).prctl(PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0)
    began = time.monotonic()
    code = subprocess.run(argv, check=False).returncode
    wall = time.monotonic() - began
    while left := _children(os.getpid()):
        for pid in left:
            _end(pid)
        os.waitpid(-1, 0)
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    told.write_bytes(msgspec.json.encode(Cost(wall, used.ru_utime + used.ru_stime, code)))


# --- our own client


async def look(fleet_file: Path, passes: int) -> list[Pass]:
    """Survey every host, the first time over new connections and then over the same ones."""
    fleet = load(fleet_file)
    links = Links(fleet, own_keys=fleet_file.parent / "own_keys")
    done = []

    async def one(name: str) -> None:
        host = fleet.host(name)
        await survey(await links.get(name), host)

    for _ in range(passes):
        began, used = time.monotonic(), time.process_time()
        found = await asyncio.gather(*(one(host.name) for host in fleet.hosts), return_exceptions=True)
        for error in filter(None, found):
            print(error, file=sys.stderr)
        done.append(Pass(time.monotonic() - began, time.process_time() - used, found.count(None)))
    await links.close()
    return done


def ours(site: Site) -> list[Row]:
    """Cold: the whole process, from the start of the interpreter. Warm: the second pass of another process."""
    told = site.folder / "passes.json"

    def run(passes: int) -> tuple[Cost, list[Pass]]:
        cost = measure(site, [*SELF, "--client", str(site.fleet), "--passes", str(passes)], stdout=told)
        return cost, msgspec.json.decode(told.read_bytes(), type=list[Pass])

    cold, first = run(1)
    _, (_, warm) = run(2)
    inside = Cost(first[0].wall_s, first[0].cpu_s, 0)
    return [
        Row("this survey, cold (whole process)", cold, first[0].answered),
        Row("  of it without interpreter start", inside, first[0].answered),
        Row("this survey, warm (kept connections)", Cost(warm.wall_s, warm.cpu_s, 0), warm.answered),
    ]


def command(site: Site) -> Row:
    """What a person types, the engine's own word, findings and the table included."""
    said = site.folder / "status.json"
    argv = [sys.executable, "-m", "console", "status", "--fleet", str(site.fleet), "--json"]
    cost = measure(site, argv, stdout=said)
    try:
        answered = len(json.loads(said.read_text())["hosts"])
    except (ValueError, KeyError, TypeError):
        return Row("instinct status --json", None, note=f"failed with exit {cost.exit_code}")
    return Row("instinct status --json", cost, answered)


# --- the peers


class Script(msgspec.Struct, frozen=True):
    """The script that the survey sends, and how to see that an answer to it is whole."""

    path: Path
    nonce: str

    def count(self, answers: Path) -> int:
        """How many files of a folder are whole answers."""
        found = (sections(file.read_bytes(), self.nonce) for file in answers.iterdir())
        return sum(any(section.name == "clock.end" for section in each) for each in found)


def the_script(site: Site) -> Script:
    nonce = new_nonce()
    path = site.folder / "script.sh"
    host = load(site.fleet).hosts[0]
    path.write_bytes(compose(AREAS, script_values(host, (), tools=True), nonce))
    return Script(path, nonce)


def _each(site: Site, script: Script, what: str, words: Sequence[str], *, client: bool = True) -> Row:
    """Run words once a host, all at once; `$1` is the host, the script is on stdin."""
    answers = site.answers()
    line = f'exec {" ".join(words)} < "{script.path}" > "{answers}/$1"'
    cost = measure(site, ["xargs", "-P", PARALLEL, "-n", "1", "sh", "-c", line, "sh"], stdin=site.folder / "names")
    return Row(what, cost, script.count(answers), client=client)


def bare(site: Site, script: Script) -> Row:
    return _each(site, script, "the hosts' own work: script without SSH", ["/bin/sh", "-s"], client=False)


def ssh(site: Site, script: Script) -> Row:
    words = ["ssh", "-F", str(site.ssh_config), '"$1"', "/bin/sh", "-s"]
    return _each(site, script, "ssh, xargs -P64, same script", words)


def ssh_old_kex(site: Site, script: Script) -> Row:
    words = ["ssh", "-F", str(site.ssh_config), *OLD_KEX, '"$1"', "/bin/sh", "-s"]
    return _each(site, script, "  with curve25519 only", words)


def clush(site: Site, script: Script, program: str) -> Row:
    answers = site.answers()
    options = ["-q", "-f", PARALLEL, "-t", "60", "-u", "0", "-o", f"-F {site.ssh_config}", "--outdir", str(answers)]
    cost = measure(site, [program, *options, "-w", ",".join(HOSTS), "/bin/sh", "-s"], stdin=script.path)
    return Row("clush -f 64, same script", cost, script.count(answers))


def ansible(site: Site, program: str, *, pipelining: bool) -> Row:
    said = site.folder / "ansible.out"
    switch = ["env", f"ANSIBLE_PIPELINING={pipelining}"]
    argv = [*switch, program, "all", "-i", str(site.folder / "inventory"), "-f", PARALLEL, "-m", "setup"]
    cost = measure(site, argv, stdout=said)
    answered = said.read_text(errors="replace").count("| SUCCESS")
    return Row("  with pipelining" if pipelining else "ansible -m setup -f 64", cost, answered)


def install(folder: Path) -> dict[str, str]:
    """Programs of the peers by name, installed when their folder is not there; what cannot be had is left out."""
    pip = folder / "bin" / "pip"
    if not pip.exists():
        subprocess.run([sys.executable, "-m", "venv", str(folder)], check=True)
        for package in PEERS.values():
            subprocess.run([pip, "install", "-q", "--disable-pip-version-check", package], check=False)
    return {name: str(folder / "bin" / name) for name in PEERS if (folder / "bin" / name).exists()}


# --- one run


def round_of(site: Site, peers: Mapping[str, str]) -> list[Row]:
    """Everything once, one after the other."""
    script = the_script(site)
    rows = [*ours(site), command(site), bare(site, script), ssh(site, script), ssh_old_kex(site, script)]
    steps: dict[str, Callable[[str], list[Row]]] = {
        "clush": lambda program: [clush(site, script, program)],
        "ansible": lambda program: [ansible(site, program, pipelining=each) for each in (False, True)],
    }
    for name, step in steps.items():
        rows += step(peers[name]) if name in peers else [Row(name, None, note="absent")]
    return rows


def table(rows: Sequence[Row]) -> Iterator[str]:
    """Lines of text; ratios are to the first row."""
    first = rows[0].cost
    yield f"{'':40} {'wall s':>8} {'CPU s':>8} {'wall x':>8} {'CPU x':>8}  answered"
    for row in rows:
        if row.cost is None or first is None:
            yield f"{row.what:40} {row.note}"
            continue
        ratio = f"{row.cost.cpu_s / first.cpu_s:8.1f}" if row.client else f"{'(hosts)':>8}"
        figures = f"{row.cost.wall_s:8.2f} {row.cost.cpu_s:8.2f} {row.cost.wall_s / first.wall_s:8.1f} {ratio}"
        yield f"{row.what:40} {figures}  {row.answered}/{PARALLEL}"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--peers", type=Path, help="virtual environment with clush and ansible; made when absent")
    parser.add_argument("--rounds", type=int, default=1, help="measure everything that many times")
    parser.add_argument("--gpus", action="store_true", help="hosts show files of an 8x MI300X server, not this machine")
    parser.add_argument("--client", type=Path, help=argparse.SUPPRESS)
    parser.add_argument("--passes", type=int, default=1, help=argparse.SUPPRESS)
    parser.add_argument("--measure", type=Path, help=argparse.SUPPRESS)
    parser.add_argument("argv", nargs="*", help=argparse.SUPPRESS)
    asked = parser.parse_args()
    if asked.measure:
        return measured(asked.measure, asked.argv)
    if asked.client:
        return print(msgspec.json.encode(asyncio.run(look(asked.client, asked.passes))).decode())
    if not SSHD.exists():
        parser.error(f"OpenSSH's server ({SSHD}) is absent")
    peers = install(asked.peers.absolute()) if asked.peers else {}
    print(f"{PARALLEL} loopback hosts share {os.cpu_count()} cores with the client: wall times include the hosts' work")
    with hosts(gpus=asked.gpus) as site:
        for number in range(1, asked.rounds + 1):
            load_average = " ".join(f"{each:.1f}" for each in os.getloadavg())
            print(f"\nround {number} of {asked.rounds}, load average before it: {load_average}", flush=True)
            print("\n".join(table(round_of(site, peers))), flush=True)
    return None


if __name__ == "__main__":
    main()
