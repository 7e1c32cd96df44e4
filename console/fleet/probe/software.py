"""How the container engine of a host is reached: which socket the user may open, or which command stands in for it."""

from collections.abc import Mapping

from console.fleet.probe.reading import Table, lines
from console.fleet.script import Area, Section
from console.model.facts import DockerAccess, Known, Unknown

DIAL = ("docker", "system", "dial-stdio")
"""The command that joins stdin and stdout to the engine's socket."""

SCRIPT = r"""
# socket PATH: `=PATH ok` when the user may open it, `=PATH denied` or `=PATH other` when not, `!PATH absent`
socket() {
  if [ ! -e "$ROOT$1" ]; then printf '!%s absent\n' "$1"
  elif [ -n "$ROOT" ]; then  # a stand-in file: only its mode says something
    case $(ls -ld "$ROOT$1") in
      ?---------*) printf '=%s denied\n' "$1" ;;
      *) printf '=%s ok\n' "$1"; usable=yes ;;
    esac
  elif [ ! -S "$1" ]; then printf '=%s other\n' "$1"
  elif [ -r "$1" ] && [ -w "$1" ]; then printf '=%s ok\n' "$1"; usable=yes
  else printf '=%s denied\n' "$1"
  fi
}
begin docker 'sockets of container engines'
usable=
if [ -n "$SOCKET" ]; then
  if [ -n "$ROOT" ]; then printf '=%s ok\n' "$SOCKET"; usable=yes; else socket "$SOCKET"; fi
else
  if [ -z "$ROOT" ] && [ -n "$DOCKER_HOST" ]; then
    printf '=DOCKER_HOST %s\n' "$DOCKER_HOST"
    case $DOCKER_HOST in unix://*) socket "${DOCKER_HOST#unix://}" ;; esac
  fi
  own=/run/user/$(id -u)
  for path in /var/run/docker.sock "$own/docker.sock" /run/podman/podman.sock "$own/podman/podman.sock"; do
    socket "$path"
  done
fi
if [ -z "$ROOT" ] && command -v docker >/dev/null 2>&1; then printf '+docker\n'; fi
end docker 0
if [ -z "$usable" ] && [ -z "$SOCKET" ]; then
  output docker.context docker context inspect --format '{{.Endpoints.docker.Host}}'
fi
if [ -z "$usable" ] && [ "$SUDO_DOCKER" = yes ]; then
  output docker.sudo sudo -n docker version --format '{{.Server.Version}}'
fi
"""


def parse(found: Mapping[str, Section]) -> Known[DockerAccess] | Unknown:
    """The first way that works; unknown with the exact reason, and what would be tried by hand, when none does."""
    table = Table(found.get("docker"))
    if table.cut:
        return Unknown("the answer was cut off", "docker sockets", ("docker", "version"))
    sockets = {path: table.raw(path) for path in table.values if path.startswith("/")}
    for path, state in sockets.items():
        if state == "ok":
            return Known(DockerAccess(flavour=_flavour(path), socket=path), path)
    sudo = found.get("docker.sudo")
    denied = [path for path, state in sockets.items() if state == "denied"]
    if sudo is not None and sudo.ok and sudo.data.strip():
        socket = denied[0] if denied else "/var/run/docker.sock"
        return Known(
            DockerAccess(flavour="docker", socket=socket, argv=("sudo", "-n", *DIAL)), "sudo -n docker version"
        )
    return _why_not(table, found, denied)


def has_command(found: Mapping[str, Section]) -> bool:
    """Whether the docker command is on the host, to stand in where the SSH server forbids sockets."""
    return "docker" in Table(found.get("docker")).names


def _why_not(table: Table, found: Mapping[str, Section], denied: list[str]) -> Unknown:
    sudo = found.get("docker.sudo")
    if denied:
        detail = f'the user may not open {denied[0]}; add it to the group docker, or allow sudo = "docker"'
        if sudo is not None and not sudo.why:
            said = " ".join(line for line in lines(found, "docker.sudo") if line)[:200]
            detail += f"; sudo said: {said}"
        return Unknown("permission denied", detail, ("ls", "-l", denied[0]))
    remote = table.raw("DOCKER_HOST") or ""
    context = next((line for line in lines(found, "docker.context") if "://" in line), "")
    for place, address in (("$DOCKER_HOST", remote), ("its docker context", context)):
        if address and not address.startswith("unix:///var/run/docker.sock"):
            detail = f"{place} names {address}; set docker_socket in the fleet file if a socket there is meant"
            return Unknown("no socket of an engine that can be used", detail, ("docker", "context", "inspect"))
    return Unknown("no container engine", "no docker or podman socket on the host", ("docker", "version"))


def _flavour(path: str) -> str:
    if "podman" in path:
        return "podman"
    return "rootless" if path.startswith("/run/user/") else "docker"


AREA = Area("software", SCRIPT, parse)
