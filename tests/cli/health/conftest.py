"""Hosts as folders: root folders of the servers the lab plays, changed as a test wants."""

from collections.abc import Callable, Mapping
from pathlib import Path

import pytest

from console.lab import roots
from console.lab.specs import KIND_BY_SERVER

SERVER = "mi300x-2x9554"

MakeRoot = Callable[..., Path]


@pytest.fixture(scope="session")
def templates(tmp_path_factory: pytest.TempPathFactory) -> Callable[[str], roots.Template]:
    """What all hosts of a kind have in common, written once."""
    made: dict[str, roots.Template] = {}

    def template(server: str) -> roots.Template:
        if server not in made:
            place = tmp_path_factory.mktemp("kinds") / server
            place.mkdir()
            roots.write_template(KIND_BY_SERVER[server], place, models=())
            made[server] = roots.Template(place)
        return made[server]

    return template


@pytest.fixture
def make_root(tmp_path: Path, templates: Callable[[str], roots.Template]) -> MakeRoot:
    """`make_root("node01", {"proc/…": text, "@commands/kernel.dmesg": "+more"})`: a leading + adds to what is there."""

    def make(name: str, changes: Mapping[str, str] | None = None, server: str = SERVER) -> Path:
        kind = KIND_BY_SERVER[server]
        root = tmp_path / "hosts" / name
        root.parent.mkdir(exist_ok=True)
        templates(server).spread(root)
        roots.write_own(kind, name, root)
        for path, text in (changes or {}).items():
            place = root / path
            before = place.read_text("utf-8") if text.startswith("+") and place.exists() else ""
            place.unlink(missing_ok=True)
            place.parent.mkdir(parents=True, exist_ok=True)
            place.write_text(before + text.removeprefix("+"), "utf-8")
        return root

    return make


@pytest.fixture
def described(home: Path) -> Path:
    """A fleet file that says what node01 to node09 should be; node01 differs on purpose."""
    path = home / "config" / "instinct" / "fleet.toml"
    path.parent.mkdir(parents=True)
    path.write_text(
        f'[defaults]\nserver = "{SERVER}"\naddress = "127.0.0.1"\nport = 1\n'
        '[hosts."node[01-09]"]\n'
        '[hosts.exempt]\naddress = "127.0.0.1"\n'
        'suppress = [{ check = "host.numa_balancing", reason = "a test rig", until = 2099-01-01 }]\n'
        '[hosts.typo]\nsuppress = [{ check = "gpu.cout", reason = "x", until = 2099-01-01 }]\n'
        "[hosts.other]\n[hosts.other.expect]\n"
        '"system.numa_balancing" = { accept = [1], level = "required", source = "own" }\n',
        encoding="utf-8",
    )
    return path
