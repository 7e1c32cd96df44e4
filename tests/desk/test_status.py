"""Rows of the status table: what is known of a host in words, and `unknown` where it is not."""

from typing import Any

import msgspec
import pytest

from console.desk import status, status_diff
from console.model.facts import (
    DockerAccess,
    Driver,
    Engine,
    Gpu,
    GpuContainer,
    GpuProcess,
    HostFacts,
    Known,
    RasBlock,
    System,
    Throttle,
    Unknown,
)


def known(value: Any) -> Known[Any]:
    return Known(value, "a file")


def gpu(index: int, **changes: Any) -> Gpu:
    fields: dict[str, Any] = {
        "bdf": f"0000:{index:02x}:00.0",
        "device_bdf": f"0000:{index:02x}:00.0",
        "device_id": "74a1",
        "model": known("AMD Instinct MI300X OAM"),
        "vram_total_bytes": known(192 << 30),
        "vram_used_bytes": known(1 << 30),
        "compute_partition": known("SPX"),
        "memory_partition": known("NPS1"),
        "junction_c": known(40.0 + index),
        "power_w": known(140.0),
    }
    return Gpu(**{**fields, **changes})


@pytest.fixture
def facts() -> HostFacts:
    return HostFacts(
        host="node01",
        read_at_ns=1,
        system=System(cpu=known("AMD EPYC 9654 96-Core Processor"), sockets=known(2)),
        gpus=known(tuple(gpu(index) for index in range(8))),
        docker=known(DockerAccess(flavour="system", socket="/var/run/docker.sock")),
    )


def row(facts: HostFacts) -> status.StatusRow:
    return status.row(facts.host, facts, "", None)


def test_sums_are_over_every_gpu_and_the_hottest_counts(facts: HostFacts) -> None:
    made = row(facts)
    assert (made.gpus, made.cpu, made.partition) == ("8x MI300X", "2x EPYC 9654", "SPX/NPS1")
    assert (made.vram_used_bytes, made.vram_total_bytes) == (8 << 30, 1536 << 30)
    assert (made.hottest_c, made.power_w) == (47.0, 1120.0)


def test_a_sum_with_an_unknown_part_is_unknown(facts: HostFacts) -> None:
    gpus = known((gpu(0), gpu(1, power_w=Unknown("asleep"), vram_used_bytes=Unknown("asleep"))))
    made = row(msgspec.structs.replace(facts, gpus=gpus))
    assert (made.power_w, made.vram_used_bytes) == (None, None)


def test_nothing_read_is_unknown_everywhere() -> None:
    made = row(HostFacts(host="node01", read_at_ns=1))
    texts = (made.gpus, made.cpu, made.nps, made.bios, made.os, made.kernel, made.amdgpu, made.rocm, made.docker)
    assert set(texts) == {status.UNKNOWN}


def test_power_of_partitions_is_counted_once_for_each_device(facts: HostFacts) -> None:
    parts = tuple(
        gpu(index, bdf=f"0000:{index:02x}:00.{part}", partition=part, compute_partition=known("CPX"))
        for index in range(2)
        for part in range(8)
    )
    made = row(msgspec.structs.replace(facts, gpus=known(parts)))
    assert (made.gpus, made.partition, made.power_w) == ("2x MI300X", "CPX/NPS1", 280.0)


@pytest.mark.parametrize(
    ("driver", "shown"),
    [
        (Driver(amdgpu_version=known("6.8.5")), "6.8.5"),
        (Driver(amdgpu_version=Unknown("no file"), amdgpu_flavour=known("kernel")), "of the kernel"),
        (Driver(amdgpu_version=Unknown("x"), amdgpu_loaded=known(False)), "not loaded"),
        (Driver(), status.UNKNOWN),
    ],
)
def test_the_driver_is_named_as_it_is(facts: HostFacts, driver: Driver, shown: str) -> None:
    assert row(msgspec.structs.replace(facts, driver=driver)).amdgpu == shown


def test_a_host_without_rocm_is_normal(facts: HostFacts) -> None:
    driver = Driver(rocm_version=Unknown("no ROCm on the host; benchmarks bring theirs in the container"))
    assert row(msgspec.structs.replace(facts, driver=driver)).rocm == "none"


def container(**changes: Any) -> GpuContainer:
    fields: dict[str, Any] = {"name": "x", "id": "4b", "image": "rocm/pytorch:1", "state": "running", "since": ""}
    return GpuContainer(**{**fields, **changes})


def test_what_runs_there_names_ours_others_and_processes(facts: HostFacts) -> None:
    ours = container(ours=True, owner="ann", run="r1", attempt="a1")
    engine = Engine(
        version="27.3",
        api="1.47",
        storage_driver="overlay2",
        root_dir="/x",
        gpu_containers=(ours, container(), container(state="exited", image="old")),
    )
    processes = known(
        (
            GpuProcess(pid=1, name="python3", user="bob"),
            GpuProcess(pid=2, name="python3", user="bob"),
            GpuProcess(pid=3, name="vllm", container="9f"),
        )
    )
    busy = msgspec.structs.replace(facts, engine=known(engine), driver=Driver(processes=processes))
    assert row(busy).running == "ann: a1, rocm/pytorch:1, 2x python3 (bob)"
    assert row(busy).docker == "27.3"


def test_a_gpu_row_tells_errors_and_throttling(facts: HostFacts) -> None:
    odd = gpu(
        0,
        ras=known((RasBlock(block="umc", uncorrectable=1, correctable=4),)),
        throttle=known((Throttle(reason="ppt", active=True), Throttle(reason="low_utilization", active=True))),
        pcie_width=known(16),
        pcie_speed_gts=known(32.0),
    )
    (made,) = status.gpu_rows(msgspec.structs.replace(facts, gpus=known((odd,)), simulated=True))
    assert (made.errors, made.throttle, made.link, made.simulated) == ("1/4", "ppt", "x16 32 GT/s", True)


def test_hosts_without_an_answer_come_first_and_keep_their_order(facts: HostFacts) -> None:
    other = msgspec.structs.replace(facts, host="node03")
    made = status.rows(("node01", "node02", "node03"), {"node01": facts, "node03": other}, {"node02": "refused"}, {})
    assert [item.host for item in made] == ["node02", "node01", "node03"]
    assert (made[0].state, made[0].why) == ("no answer", "refused")


def test_a_value_known_on_one_side_only_is_a_difference(facts: HostFacts) -> None:
    other = msgspec.structs.replace(facts, system=msgspec.structs.replace(facts.system, bios_version=known("1.8")))
    assert status_diff.differences(facts, other) == (status_diff.Difference("bios", status.UNKNOWN, "1.8"),)
    assert status_diff.differences(facts, facts) == ()
