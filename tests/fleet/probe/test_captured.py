"""Trees captured on real servers, read by the same script; skipped where the shared captures are absent."""

import re
import tarfile
from pathlib import Path
from typing import TYPE_CHECKING, Any

from console.fleet.capture import facts_from
from console.fleet.host import Host
from console.fleet.local import LocalLink
from console.fleet.probe.kfd import KfdNode, kfd_links, kfd_nodes, xgmi_peers
from console.fleet.probe.survey import ask
from console.fleet.script import by_name
from console.model.facts import GpuLink, Known

if TYPE_CHECKING:
    from tests.fleet.probe.conftest import Machine


async def topology(archive: Path, root: Path) -> tuple[list[KfdNode], dict[int, tuple[GpuLink, ...]]]:
    with tarfile.open(archive) as tar:
        for member in tar:
            file = tar.extractfile(member) if member.isfile() else None
            if file is not None and "/nodes/" in member.name:
                place = root / "sys/class/kfd/kfd/topology/nodes" / member.name.split("/nodes/")[1]
                place.parent.mkdir(parents=True, exist_ok=True)
                place.write_bytes(file.read())
    host = Host(name="captured", address="local", root=str(root))
    found = by_name((await ask(LocalLink(host), host)).sections)
    nodes = kfd_nodes(found.get("gpu.kfd"))
    links = kfd_links(found.get("gpu.links"), nodes)
    assert links is not None
    return nodes, links


async def test_eight_mi210_are_two_hives_of_four(shared: Path, tmp_path: Path) -> None:
    nodes, links = await topology(shared / "fixtures/kfd/kfd_topology_mi210_8gpu_xgmi_pcie.tar.gz", tmp_path)
    assert [(node.compute_units, node.gfx) for node in nodes] == [(104, "gfx90a")] * 8
    assert {xgmi_peers(links[node.number]) for node in nodes} == {3}
    assert len({node.hive_id for node in nodes}) == 2


async def test_an_mi300x_server_in_cpx_mode_reaches_seven_other_gpus(shared: Path, tmp_path: Path) -> None:
    nodes, links = await topology(shared / "fixtures/kfd/kfd_topology_mi300_cpx_2xEPYC.tar.gz", tmp_path)
    assert {(node.compute_units, node.gfx, node.xccs) for node in nodes} == {(38, "gfx942", 1)}
    assert {xgmi_peers(links[node.number]) for node in nodes} == {7}
    assert len({node.hive_id for node in nodes}) == 1
    assert {link.kind for link in links[nodes[0].number]} == {"pcie", "xgmi"}


async def test_a_drm_device_of_a_workstation_is_read_without_a_pci_bus(shared: Path, tmp_path: Path) -> None:
    text = (shared / "fixtures/host/procfs_sysfs_drm_card0_amdgpu.ttar.txt").read_text()
    for match in re.finditer(r"^Path: (\S+)\nLines: (\d+)\n((?:.*\n)*?)(?=Mode: |# ttar|\Z)", text, re.MULTILINE):
        place = tmp_path / "root" / "sys" / match.group(1).partition("sys/")[2]
        place.parent.mkdir(parents=True, exist_ok=True)
        place.write_text("\n".join(match.group(3).split("\n")[: int(match.group(2))]) + "\n")
    facts = facts_from(tmp_path / "root")
    assert isinstance(facts.gpus, Known), facts.gpus
    (gpu,) = facts.gpus.value

    def known(fact: object) -> Any:
        assert isinstance(fact, Known), fact
        return fact.value

    assert (known(gpu.vram_total_bytes), known(gpu.vram_used_bytes)) == (8573157376, 1490378752)
    assert (known(gpu.pcie_width), known(gpu.pcie_max_width)) == (16, 16)
    assert (known(gpu.pcie_speed_gts), known(gpu.busy_percent)) == (8.0, 4.0)
    assert known(gpu.unique_id) == "0123456789abcdef"


async def test_a_live_folder_and_its_bundle_say_the_same(mi300x: "Machine") -> None:
    live = await mi300x.facts()
    folder = facts_from(mi300x.root, of=Host(name="node01", address="local"))
    assert (folder.system, folder.driver, folder.gpus, folder.kernel_log) == (
        live.system,
        live.driver,
        live.gpus,
        live.kernel_log,
    )
    assert folder.origin == str(mi300x.root)
