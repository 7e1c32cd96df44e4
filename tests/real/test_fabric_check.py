"""The check of a fabric as it is: its program in containers of a real engine, bytes over loopback addresses.

Two containers on the host's network stand for two hosts, each with addresses of its own. RDMA needs hardware; a
stand-in for perftest shows that its result is asked for and told.
"""

import os
import subprocess
from collections.abc import Callable, Mapping
from pathlib import Path

import msgspec
import pytest

import console.workloads  # noqa: F401 - fills the registry
from console.catalog import shelf
from console.fleet.engine.body import shell_line
from console.model.fabric import FabricProof, Rail
from console.model.finding import Effect
from console.model.launch import Mount, Seat
from console.model.profile import ContainerOptions
from console.runs.compose import Owner
from console.runs.fabric_orders import Errand, errand
from console.runs.fabric_report import FOLDER, RAILS, VERBS, proof
from console.runs.office import Subject
from console.runs.site import ImageSeen
from console.workloads.base import registry

pytestmark = [pytest.mark.real, pytest.mark.timeout(300)]

IMAGE = "local/vllm-cpu:0.32.0"
PERFTEST = """#!/bin/sh
# stands for ib_write_bw: no device here can do RDMA
case "$*" in *127.*) printf ' #bytes #iterations BW peak BW average\\n 65536 1000 391.2 388.7 0.74\\n' ;; esac
"""


def rails(host: int, dead: bool) -> tuple[Rail, ...]:
    """Three rails on the loopback interface; the last may be on an interface that is not there."""
    return tuple(
        Rail(
            interface="gone0" if dead and number == 3 else "lo",
            address=f"127.0.{host}.{number}",
            network=f"127.0.0.{number}/32",
            device=f"rdma{number}:1",
        )
        for number in (1, 2, 3)
    )


def of(image_id: str, folders: tuple[Path, Path], *, dead: bool = False) -> Errand:
    """The check of a published two-node row, on two seats of this machine."""
    catalog = shelf.load()
    cell = next(cell for cell in catalog.matrix("megatron-25.5-llama").cells if cell.nodes == 2)
    options = ContainerOptions(ipc_host=False, network_host=True, memlock_unlimited=False)
    image = msgspec.structs.replace(catalog.image(cell.image), ref=IMAGE, container=options, workdir=None)
    workload = registry()[cell.workload]
    subject = Subject(cell, image, catalog.model(cell.model), workload)
    seats = tuple(
        Seat(rank=rank, host=f"real{rank}", rails=rails(rank + 1, dead and rank == 1), shared=str(folders[rank]))
        for rank in (0, 1)
    )
    need = workload.need(cell, image, subject.model)
    owner = Owner(run="real", attempt=f"real{os.getpid()}", attempt_try=1, operator="real-tester", version="0")
    return errand(subject, need, seats, owner, ImageSeen(image_id, None), {})


def run(of_check: Errand, *, mount: Mount | None = None) -> FabricProof:
    """Every container at once, as a person would start them; what they printed is read as the conductor reads it."""
    running: dict[str, subprocess.Popen[bytes]] = {}
    for part in of_check.launch.parts:
        named = msgspec.structs.replace(
            part,
            container=f"instinct-real-check-{os.getpid()}-{part.rank}",
            mounts=(*part.mounts, *((mount,) if mount else ())),
        )
        line = shell_line(named).replace("docker run", "docker run --rm", 1)
        running[part.host] = subprocess.Popen(["sh", "-c", line], stdout=subprocess.PIPE, stderr=subprocess.PIPE)
    outputs: Mapping[str, bytes] = {host: process.communicate(timeout=120)[0] for host, process in running.items()}
    return proof(of_check, outputs)


@pytest.fixture
def image_id(require_real: Callable[[bool, str], None]) -> str:
    """The image's own id, as the conductor pins what no registry knows."""
    asked = ["docker", "image", "inspect", "--format", "{{.Id}}", IMAGE]
    try:
        done = subprocess.run(asked, capture_output=True, text=True, check=False, timeout=60)
    except FileNotFoundError:
        require_real(False, "Docker Engine")
        raise
    require_real(done.returncode == 0, f"the image {IMAGE}")
    return done.stdout.strip()


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A folder of the host that containers write into as root."""
    place = tmp_path / "shared"
    place.mkdir()
    return place


def test_real_bytes_pass_on_every_rail_and_a_file_is_seen_by_all(image_id: str, folder: Path) -> None:
    made = run(of(image_id, (folder, folder)))

    assert [(item.wire.number, item.error) for item in made.wires] == [(0, ""), (1, ""), (2, "")]
    assert all(item.there_bytes == item.back_bytes == 4 << 20 for item in made.wires)
    assert all(item.seconds is not None and item.seconds > 0 for item in made.wires)
    assert made.findings == ()
    assert "shared folder seen by all" in made.text
    assert list(folder.iterdir()) == []


def test_a_dead_rail_and_folders_that_are_not_one_are_found_by_themselves(image_id: str, tmp_path: Path) -> None:
    folders = (tmp_path / "one", tmp_path / "other")
    for place in folders:
        place.mkdir()

    made = run(of(image_id, folders, dead=True))

    assert [bool(item.error) for item in made.wires] == [False, False, True]
    by_check = {check: [item for item in made.findings if item.check == check] for check in (RAILS, FOLDER)}
    (dead,) = by_check[RAILS]
    assert (dead.host, dead.effect) == ("real1", Effect.BLOCK)
    assert "gone0 127.0.2.3 and lo 127.0.1.3 of real0: No such device" in dead.seen
    assert {item.host for item in by_check[FOLDER]} == {"real0", "real1"}
    assert "files that real1 wrote are not there" in by_check[FOLDER][0].seen
    assert all(list(place.iterdir()) == [] for place in folders)


def test_devices_that_no_library_opens_and_a_perftest_that_is_there_are_told(
    image_id: str, folder: Path, tmp_path: Path
) -> None:
    tool = tmp_path / "ib_write_bw"
    tool.write_text(PERFTEST)
    tool.chmod(0o755)
    plain = of(image_id, (folder, folder))
    text = {part.host: part.argv[3].replace('"devices":[]', '"devices":["rdma1"]') for part in plain.launch.parts}
    parts = tuple(msgspec.structs.replace(part, argv=(*part.argv[:3], text[part.host])) for part in plain.launch.parts)
    asked = msgspec.structs.replace(
        plain,
        launch=msgspec.structs.replace(plain.launch, parts=parts),
        devices={"real0": ("rdma1",), "real1": ("rdma1",)},
    )

    made = run(asked, mount=Mount(str(tool), "/usr/bin/ib_write_bw", read_only=True))

    assert {item.check for item in made.findings} == {VERBS}
    assert "cannot open rdma1" in made.findings[0].seen
    assert [item.rdma_gbps for item in made.wires] == [388.7, 388.7, 388.7]
    assert "RDMA writes at 389 to 389 Gb/s" in made.text
