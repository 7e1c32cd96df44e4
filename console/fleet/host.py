"""The records of a fleet file: its hosts, and what is said of all of them."""

from datetime import date
from pathlib import Path

import msgspec

from console.model.profile import Expectation

SCRATCH = "/var/tmp/instinct"  # noqa: S108 - a folder on the host, made with its own permissions


class FleetError(Exception):
    """A fleet file or a selection that cannot be used: every problem on a line of its own."""


class Suppression(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A check that is silenced on a host on purpose: with a reason, up to and including a day."""

    check: str
    reason: str
    until: date


class Host(msgspec.Struct, frozen=True, kw_only=True):
    """One host as the fleet file describes it.

    `address` is a name, an alias of the ssh configuration, or "local". `jump` is written as OpenSSH's ProxyJump
    (`[user@]host[:port]`, commas between several). `root`: facts are read under that folder of the host instead of /.
    """

    name: str
    address: str
    user: str | None = None
    port: int | None = None
    jump: str | None = None
    identity: Path | None = None
    groups: tuple[str, ...] = ()
    server: str | None = None
    model_cache: str | None = None
    scratch: str = SCRATCH
    sudo: tuple[str, ...] = ()
    """What `sudo -n` may be used for without asking: "docker", "probe". Empty: never."""
    root: str | None = None
    docker_socket: str | None = None
    expect: tuple[Expectation, ...] = ()
    suppress: tuple[Suppression, ...] = ()

    @property
    def local(self) -> bool:
        """This machine, without SSH."""
        return self.address == "local"


class SshOptions(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The `[ssh]` table of a fleet file. Times are seconds.

    A half-open connection is noticed after keepalive_s * (keepalive_count + 1).
    """

    config: str | None = None
    """An ssh configuration instead of ~/.ssh/config and /etc/ssh/ssh_config; relative to the fleet file."""
    keepalive_s: float = 5.0
    keepalive_count: int = 3
    connect_timeout_s: float = 15.0
    login_timeout_s: float = 30.0


class Fleet(msgspec.Struct, frozen=True, kw_only=True):
    """A fleet file, read and checked.

    `speed` is how many simulated seconds the lab plays in a real one; 1 for real hosts.
    `isolated` (the lab's files): nothing of the user's own SSH set-up is used, only what the file names.
    """

    path: Path
    hosts: tuple[Host, ...]
    simulated: bool = False
    speed: float = 1.0
    catalogs: tuple[Path, ...] = ()
    known_hosts: tuple[Path, ...] = ()
    ssh_config: Path | None = None
    ssh: SshOptions = SshOptions()
    isolated: bool = False

    def host(self, name: str) -> Host:
        """The host of that name; KeyError when there is none (`select` names the nearest)."""
        for host in self.hosts:
            if host.name == name:
                return host
        raise KeyError(name)
