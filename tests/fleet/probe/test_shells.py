"""The same script in the shells and with the tools that hosts have, and where something hangs or is refused."""

import os
import shutil
import subprocess
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from console.fleet.host import Host
from console.fleet.local import LocalLink
from console.fleet.probe.survey import AREAS, read, script_values, survey
from console.fleet.script import by_name, compose, sections
from console.model.facts import HostFacts, Known, Unknown

if TYPE_CHECKING:
    from tests.fleet.probe.conftest import Machine

NONCE = "ab" * 16


def facts_by(shell: Sequence[str], root: Path, path: str | None = None) -> HostFacts:
    host = Host(name="node01", address="local", root=str(root))
    script = compose(AREAS, script_values(host, [], tools=True), NONCE)
    env = {**os.environ, "PATH": path or os.environ["PATH"]}
    done = subprocess.run([*shell, "-s"], input=script, capture_output=True, env=env, check=True, timeout=60)
    assert done.stderr == b""
    return read(by_name(sections(done.stdout, NONCE)), host)


@pytest.mark.parametrize("shell", [["bash"], ["bash", "--posix"], ["dash"], ["busybox", "sh"]], ids=" ".join)
def test_every_shell_reads_the_same(mi300x: "Machine", shell: list[str]) -> None:
    if shutil.which(shell[0]) is None:
        pytest.skip(f"no {shell[0]} here")
    mi300x.command("kernel.plain", "[    1.000000] amdgpu 0000:0c:00.0: x\n")
    assert facts_by(shell, mi300x.root) == facts_by(["/bin/sh"], mi300x.root)


def test_a_host_with_nothing_but_busybox_reads_the_same(mi300x: "Machine", tmp_path: Path) -> None:
    busybox = shutil.which("busybox")
    if busybox is None:
        pytest.skip("no busybox here")
    tools = tmp_path / "bin"
    tools.mkdir()
    for name in (
        "sh",
        "grep",
        "awk",
        "sed",
        "sort",
        "uniq",
        "cat",
        "tail",
        "head",
        "timeout",
        "df",
        "find",
        "id",
        "od",
    ):
        (tools / name).symlink_to(busybox)
    mi300x.write("/sys/bus/pci/devices/0000:0c:00.0/ras/umc_err_count", "ue: 1\nce: 2\nde: 3\n")
    mi300x.command("kernel.plain", "[    1.000000] amdgpu 0000:0c:00.0: x\n")
    path = f"{tools}:{os.environ['PATH']}"
    assert facts_by([str(tools / "sh")], mi300x.root, path) == facts_by(["/bin/sh"], mi300x.root)


async def test_what_is_not_read_by_the_deadline_is_unknown_and_the_rest_is_there(mi300x: "Machine") -> None:
    mi300x.command("kernel.plain", "[    1.000000] amdgpu 0000:0c:00.0: x\n")
    device = "/sys/bus/pci/devices/0000:22:00.0/power"
    mi300x.remove(f"{device}/runtime_status")
    os.mkfifo(mi300x.root / f"{device}/runtime_status".lstrip("/"))  # a driver that never answers
    host = Host(name="node01", address="local", root=str(mi300x.root))
    facts = await survey(LocalLink(host), host, deadline_s=1.5)
    assert isinstance(facts.system.kernel, Known)
    assert isinstance(facts.kernel_log, Known)
    assert isinstance(facts.gpus, Known)
    healthy, stuck, never = facts.gpus.value[:3]
    assert len(facts.gpus.value) == 8
    assert isinstance(healthy.power_w, Known)
    for gpu in (stuck, never):
        assert isinstance(gpu.model, Known)
        assert isinstance(gpu.power_w, Unknown)
        assert gpu.power_w.why == "the answer was cut off"


async def test_a_file_that_hangs_costs_the_files_after_it_and_no_other_gpu(
    mi300x: "Machine", monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("console.fleet.script.COMMAND_LIMIT_S", 1)
    device = "/sys/bus/pci/devices/0000:22:00.0"
    mi300x.remove(f"{device}/gpu_busy_percent")
    os.mkfifo(mi300x.root / f"{device}/gpu_busy_percent".lstrip("/"))
    facts = await mi300x.facts()
    assert isinstance(facts.gpus, Known)
    healthy, stuck, other = facts.gpus.value[:3]
    assert isinstance(healthy.busy_percent, Known)
    assert isinstance(other.busy_percent, Known)
    assert isinstance(stuck.busy_percent, Unknown)
    assert stuck.busy_percent.why == "did not answer in time"
    assert isinstance(stuck.ras, Unknown)


async def test_a_relative_root_is_meant_from_where_the_shell_is(
    mi300x: "Machine", monkeypatch: pytest.MonkeyPatch
) -> None:
    absolute = await mi300x.facts()
    monkeypatch.chdir(mi300x.root.parent)
    relative = await mi300x.facts(root=mi300x.root.name)
    assert (relative.gpus, relative.system) == (absolute.gpus, absolute.system)
