"""Every published training row: the console's own commands, played in the lab, read by the console's own readers."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from console.catalog import shelf
from console.catalog.shelf import Catalog
from console.lab import reference
from console.lab.containers import Container
from console.lab.up import Lab
from console.model.attempt import LogFrame, Result
from console.model.cell import AnyCell
from console.model.launch import Placement, Seat
from console.workloads.base import registry

TRAINING = ("train-fsdp", "torchtitan", "flux", "megatron-llama", "megatron-deepseek")


def shipped() -> Iterator[AnyCell]:
    for matrix in shelf.load().matrices.values():
        yield from (cell for cell in matrix.cells if cell.workload in TRAINING)


@pytest.fixture(scope="module")
def catalog(tmp_path_factory: pytest.TempPathFactory) -> Catalog:
    """The shipped catalog with the lab's references."""
    folder = tmp_path_factory.mktemp("profiles")
    (folder / "references").mkdir()
    (folder / "references/lab.toml").write_text(reference.document())
    return shelf.load((folder,))


async def play(lab: Lab, catalog: Catalog, cell: AnyCell) -> Result:
    """Start every part on its host and read the one that decides, the last."""
    workload, image = registry()[cell.workload], catalog.image(cell.image)
    hosts = list(lab.machines.values())[: cell.nodes]
    seats = []
    for rank, machine in enumerate(hosts):
        machine.engine.images.preload(image.ref)
        nics = lab.fabric.nics(machine.name)
        hcas = tuple(f"{nic.rdma}:1" for nic in nics if nic.rdma)
        seats.append(
            Seat(rank=rank, host=machine.name, ip=nics[1].address, interface=nics[1].name, hcas=hcas, gid_index=3)
        )
    commands = workload.commands(cell, image, catalog.model(cell.model), Placement(tuple(seats)))
    containers: list[Container] = []
    for command in commands:
        engine = hosts[command.seat].engine
        body = {
            "Image": image.ref,
            "Cmd": list(command.argv),
            "Env": [f"{name}={value}" for name, value in command.env.items()],
            "WorkingDir": command.workdir or "",
            "HostConfig": {"Privileged": True, "Binds": ["/data/huggingface:/models-cache:ro"]},
        }
        containers.append(engine.create("", body))
    for container in containers:
        container.machine.engine.start(container)
    for container in containers:
        await container.ended.wait()
        assert container.exit_code == 0
    reader, last = workload.reader(cell, commands[-1].part), containers[-1]
    reader.feed([LogFrame(entry.at_ns, entry.stream, entry.data) for entry in last.log.entries])
    files = {path: data for path in commands[-1].files if (data := last.files.read(path)) is not None}
    assert set(files) == set(commands[-1].files)
    return reader.close(files, last.exit_code)


@pytest.mark.parametrize("matrix", sorted({cell.matrix for cell in shipped()}))
async def test_every_training_row_ends_at_the_labs_own_figure(folder: Path, catalog: Catalog, matrix: str) -> None:
    server = catalog.matrix(matrix).server
    assert server is not None
    gpu = catalog.server(server).gpu
    async with Lab(folder / "lab", hosts=8, speed=50_000.0, servers=(server,)) as lab:
        for cell in catalog.matrix(matrix).cells:
            result = await play(lab, catalog, cell)
            assert (cell.id, result.failure, result.reasons) == (cell.id, None, ())
            assert result.headline == cell.metric
            expected = next(one for one in cell.references if one.set == "lab" and one.under.gpu == gpu)
            value = result.value()
            assert value is not None
            # some references stand off on purpose
            assert 0.85 < value / expected.value < 1.15
