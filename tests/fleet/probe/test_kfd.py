"""KFD topologies captured on real machines, read as the probe's grep prints them."""

import tarfile
from pathlib import Path

from console.fleet.probe.kfd import KfdNode, bdf_of, kfd_nodes
from console.fleet.script import Section


def nodes_of(archive: Path) -> list[KfdNode]:
    lines: list[str] = []
    with tarfile.open(archive) as tar:
        for member in tar:
            if member.isfile() and member.name.endswith("/properties") and "/nodes/" in member.name:
                path = member.name.split("/nodes/")[1]
                if path.count("/") not in (1, 3) or (path.count("/") == 3 and "mem_banks" not in path):
                    continue
                file = tar.extractfile(member)
                text = file.read().decode() if file is not None else ""
                lines += [f"{path}:{line}" for line in text.splitlines()]
    return kfd_nodes(Section("gpu.kfd", "", 0, "\n".join(lines).encode()))


def test_an_mi300x_in_cpx_mode_shows_partitions_of_38_units(shared: Path) -> None:
    nodes = nodes_of(shared / "fixtures/kfd/kfd_topology_mi300_cpx_2xEPYC.tar.gz")
    assert len(nodes) == 63
    assert {node.compute_units for node in nodes} == {38}
    devices = {node.bdf.rpartition(".")[0] for node in nodes}
    assert len(devices) == len({node.unique_id for node in nodes}) == 8
    assert len({node.bdf for node in nodes}) == len({node.render_minor for node in nodes}) == 63


def test_eight_mi210_are_eight_whole_gpus(shared: Path) -> None:
    nodes = nodes_of(shared / "fixtures/kfd/kfd_topology_mi210_8gpu_xgmi_pcie.tar.gz")
    assert [node.compute_units for node in nodes] == [104] * 8
    assert len({node.unique_id for node in nodes}) == 8


def test_a_location_is_bus_device_and_function() -> None:
    assert bdf_of(2560, 0) == "0000:0a:00.0"
    assert bdf_of(2561, 0) == "0000:0a:00.1"
    assert bdf_of(0xC1 << 8 | 2 << 3, 1) == "0001:c1:02.0"
