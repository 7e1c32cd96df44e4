"""What is imported when. Heavy libraries wait until a command needs them."""

import subprocess
import sys
from pathlib import Path

import pytest

HEAVY = {"polars", "asyncssh", "docker", "rich", "cryptography", "requests"}


def loaded_after(statement: str, home: Path) -> set[str]:
    code = f"import sys\n{statement}\nprint('\\n' + ' '.join(name for name in sys.modules if '.' not in name))"
    env = {"HOME": str(home), "XDG_STATE_HOME": str(home / "state"), "XDG_CONFIG_HOME": str(home / "config")}
    done = subprocess.run([sys.executable, "-c", code], env=env, text=True, capture_output=True, check=True, timeout=60)
    return set(done.stdout.splitlines()[-1].split())


def test_the_version_is_answered_without_any_library(tmp_path: Path) -> None:
    statement = "sys.argv = ['instinct', '--version']\nfrom console.__main__ import main\nmain()"
    loaded = loaded_after(statement, tmp_path)

    assert loaded & (HEAVY | {"click", "msgspec", "platformdirs", "asyncio", "json"}) == set()


def test_the_command_line_itself_needs_no_heavy_library(tmp_path: Path) -> None:
    assert loaded_after("import console.cli.main", tmp_path) & HEAVY == set()


def test_the_overview_imports_no_command(tmp_path: Path) -> None:
    statement = (
        "from console.cli.main import run\nrun(['--help'])\n"
        "assert not [name for name in sys.modules if name.startswith('console.cli.commands.')]"
    )
    assert "click" in loaded_after(statement, tmp_path)


@pytest.mark.parametrize(
    "argv",
    [
        ["config", "show"],
        ["config", "schema"],
        ["info"],
        ["profiles", "list"],
        ["profiles", "show", "vllm-0.8.5-latency", "--json"],
        ["runs"],
        ["hosts", "list", "--help"],
        ["run", "--help"],
    ],
    ids=" ".join,
)
def test_commands_that_ask_no_host_and_make_no_table_load_nothing_heavy(argv: list[str], tmp_path: Path) -> None:
    statement = f"from console.cli.main import run\nassert run({argv!r}) == 0"

    assert loaded_after(statement, tmp_path) & HEAVY == set()


def test_a_look_at_hosts_asks_their_engines_without_docker_py(tmp_path: Path) -> None:
    loaded = loaded_after(
        "import console.desk.surveying_status, console.desk.status_look, console.desk.looking", tmp_path
    )

    assert "asyncssh" in loaded
    assert loaded & {"docker", "requests", "urllib3", "polars", "rich"} == set()
