"""The light archive checks a host that has Python 3.10, no network and nothing installed."""

import ast
import importlib.util
import json
import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType

import pytest

ROOT = Path(__file__).resolve().parents[2]
NEWER = {
    "asyncio": {"TaskGroup", "Runner", "Barrier"},
    "contextlib": {"chdir"},
    "enum": {"ReprEnum", "verify", "global_enum", "member", "nonmember"},
    "hashlib": {"file_digest"},
    "itertools": {"batched"},
    "typing": {"Self", "Never", "LiteralString", "assert_never", "Required", "NotRequired", "Unpack", "override"},
}
"""What came after 3.10 and the entry of the archive does not fill in."""
BUILTINS = {"ExceptionGroup", "BaseExceptionGroup"}


def builder() -> ModuleType:
    spec = importlib.util.spec_from_file_location("light_archive", ROOT / "tools" / "light_archive.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def python310() -> str | None:
    """A Python 3.10: named by PYTHON3_10, on the path, or one that pyenv keeps."""
    kept = sorted(
        Path(os.environ.get("PYENV_ROOT", Path("~/.pyenv").expanduser())).glob("versions/3.10*/bin/python3.10")
    )
    for each in (os.environ.get("PYTHON3_10"), *map(str, kept), shutil.which("python3.10")):
        if each and subprocess.run([each, "-c", "pass"], capture_output=True, check=False).returncode == 0:
            return each
    return None


def loaded() -> Iterator[Path]:
    """The modules of this package that the check of this machine, a bundle's and the status table import."""
    code = (
        "import contextlib, io, sys\nfrom console.cli.main import run\n"
        "with contextlib.redirect_stdout(io.StringIO()), contextlib.redirect_stderr(io.StringIO()):\n"
        "    run(['health', '--local', '--format', 'junit'])\n    run(['health', '--local'])\n"
        "    run(['health', 'ack', '--list'])\n    run(['profiles', 'list'])\n"
        "import console.desk.status_look, console.cli.status_text, console.cli.commands.status\n"
        "print('\\n'.join(m.__file__ for n, m in sys.modules.items() if n.startswith('console') and m.__file__))\n"
    )
    env = {"PATH": "/usr/bin:/bin", "HOME": "/nonexistent"}
    done = subprocess.run([sys.executable, "-c", code], env=env, text=True, capture_output=True, check=True, timeout=60)
    yield from (Path(line) for line in done.stdout.splitlines())


def too_new(tree: ast.AST) -> Iterator[str]:
    for node in ast.walk(tree):
        if isinstance(node, ast.ImportFrom) and node.module in NEWER:
            yield from (alias.name for alias in node.names if alias.name in NEWER[node.module])
        elif isinstance(node, ast.Attribute) and isinstance(node.value, ast.Name):
            if node.attr in NEWER.get(node.value.id, ()):
                yield f"{node.value.id}.{node.attr}"
        elif isinstance(node, ast.Name) and node.id in BUILTINS:
            yield node.id


def test_what_the_light_commands_import_is_python_310() -> None:
    files = list(loaded())
    assert len(files) > 80
    found = {
        str(file.relative_to(ROOT)): names
        for file in files
        if (names := list(too_new(ast.parse(file.read_text("utf-8"), feature_version=(3, 10)))))
    }
    assert found == {}


@pytest.fixture(scope="module")
def archive(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The archive for Python 3.10, unpacked."""
    folder = tmp_path_factory.mktemp("light")
    try:
        top: Path = builder().build(folder, pythons=("3.10",))
    except subprocess.CalledProcessError as error:
        pytest.skip(f"no package index answers, so the archive cannot be made: {error}")
    return top


def run_bare(archive: Path, home: Path, *argv: str) -> "subprocess.CompletedProcess[str]":
    python = python310()
    if python is None:
        pytest.skip("no Python 3.10 here; name one with PYTHON3_10")
    env = {"PATH": "/usr/bin:/bin", "HOME": str(home), "INSTINCT_PYTHON": python}
    alone = ["unshare", "--net"] if os.geteuid() == 0 and shutil.which("unshare") else []
    command = [*alone, str(archive / "instinct"), *argv]
    return subprocess.run(command, env=env, text=True, capture_output=True, timeout=60, check=False)


def test_a_host_with_python_310_and_no_network_is_checked(archive: Path, tmp_path: Path) -> None:
    done = run_bare(archive, tmp_path, "health", "--local", "--json", "--deadline", "20s")
    report = json.loads(done.stdout)
    assert done.returncode == report["exit_code"]
    (host,) = report["hosts"]
    assert host["answered"]
    assert {"host.memory", "gpu.count", "disk.scratch"} <= {finding["check"] for finding in host["findings"]}


@pytest.mark.parametrize("form", ["table", "junit", "prometheus", "nagios"])
def test_every_form_is_printed_there(archive: Path, tmp_path: Path, form: str) -> None:
    done = run_bare(archive, tmp_path, "health", "--local", "--only", "host.memory", "--format", form)
    assert done.returncode == 0, done.stderr
    assert "Traceback" not in done.stderr


def test_what_the_archive_leaves_out_is_named(archive: Path, tmp_path: Path) -> None:
    fleet = tmp_path / "fleet.toml"
    fleet.write_text('[hosts.node01]\naddress = "127.0.0.1"\n', "utf-8")
    done = run_bare(archive, tmp_path, "health", "--fleet", str(fleet))
    assert done.returncode == 3
    assert "asyncssh, which the light archive leaves out" in done.stderr


def test_a_python_it_has_no_libraries_for_is_named(archive: Path, tmp_path: Path) -> None:
    env = {"PATH": "/usr/bin:/bin", "INSTINCT_PYTHON": sys.executable}
    done = subprocess.run([str(archive / "instinct")], env=env, text=True, capture_output=True, check=False, timeout=30)
    tag = f"cp{sys.version_info[0]}{sys.version_info[1]}"
    assert (done.returncode, f"no libraries for {tag}" in done.stderr) == (3, True)
