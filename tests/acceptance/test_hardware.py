"""What happens to the hardware during an attempt is part of its record: reasons, figures and readings."""

from typing import TYPE_CHECKING, Any

import polars as pl
import pytest

from console.desk import readings as desk_readings
from console.desk import settings
from console.desk.settings import Options
from console.lab.faults import Fault
from console.lab.specs import lineup

if TYPE_CHECKING:
    from tests.acceptance.conftest import Kit, LabOf, Played

PLAYED = 12
MI300X = [name for name, kind in lineup(PLAYED) if kind.gpu.name == "MI300X"]
ALIKE = MI300X[-6:]
"""Hosts of one kind, fit for a job of several nodes."""
CLEAN, *TROUBLED = MI300X[:7]

SEEN = {
    "throttles": ("throttled", "socket_thermal", True),
    "power-limited": ("power_limited", "8 GPUs at the power limit", False),
    "counts-uncorrectable": ("ras_error", "0000:46:00.0: 1 uncorrectable in umc", True),
    "counts-correctable": ("ras_corrected", "0000:46:00.0: 5 correctable in gfx", False),
    "logs-fault": ("kernel_fault", "ras-athub: amdgpu 0000:46:00.0", True),
    "logs-warning": ("kernel_warning", "gpu-throttled: amdgpu 0000:46:00.0", False),
}
"""By failure of the lab: the reason it becomes, what that says, and whether it spoils the figure."""
FAULTS = dict(zip(SEEN, TROUBLED, strict=True))
HARDWARE = {kind for kind, _, _ in SEEN.values()} | {"fabric_errors", "fabric_losses", "rebooted", "unwatched"}


@pytest.fixture(scope="module")
def lab(lab_of: "LabOf") -> "Played":
    return lab_of(PLAYED, 3000.0)


@pytest.fixture(scope="module")
def rows(lab: "Played", kit: "Kit") -> dict[str, dict[str, Any]]:
    """One row on seven hosts, six of which meet with something; by host."""
    with lab.faults(*(Fault(name, host=host) for name, host in FAULTS.items())):
        done = lab.run("run", *kit.one_cell, "--hosts", ",".join([CLEAN, *TROUBLED]), "--json")
    assert done.code == 0, done.err
    return {row["hosts"][0]: row for row in done.json["rows"]}


@pytest.mark.parametrize("fault", SEEN)
def test_what_befell_a_host_is_a_reason_and_names_itself(rows: dict[str, dict[str, Any]], fault: str) -> None:
    reason, said, spoils = SEEN[fault]
    row = rows[FAULTS[fault]]
    assert row["state"] == "ok"
    assert set(row["validity"]) & HARDWARE == {reason}
    assert said in row["validity_detail"]
    assert FAULTS[fault] in row["validity_detail"]
    assert row["valid"] is not spoils
    assert (row["verdict"] == "invalid") is spoils


def test_a_host_that_nothing_befell_has_no_such_reason(rows: dict[str, dict[str, Any]]) -> None:
    assert not set(rows[CLEAN]["validity"]) & HARDWARE
    assert rows[CLEAN]["valid"]


def test_errors_of_the_fabric_spoil_the_figure_of_several_nodes(lab: "Played") -> None:
    two, row = ALIKE[:2], ("run", "megatron-25.5-llama", "--only", "nodes==2 and model~8B", "--json")
    with lab.faults(Fault("rdma-errors", host=two[1])):
        done = lab.run(*row, "--hosts", ",".join(two))
    (troubled,) = done.json["rows"]
    (clean,) = lab.run(*row, "--hosts", ",".join(two)).json["rows"]

    assert (troubled["state"], troubled["valid"]) == ("ok", False)
    assert "fabric_errors" in troubled["validity"]
    for counter in ("rdma3:1 packet_seq_err +41", "rdma3:1 symbol_error +42", "rail3 rx_crc_errors +43"):
        assert f"{two[1]} {counter}" in troubled["validity_detail"]
    assert two[0] not in troubled["validity_detail"]
    assert (clean["state"], clean["valid"]) == ("ok", True), clean["validity_detail"]
    assert not set(clean["validity"]) & HARDWARE


def test_readings_are_there_while_it_runs_and_after_and_outlive_a_killed_conductor(lab: "Played", kit: "Kit") -> None:
    store = lab.home / "store"
    asked = settings.load(Options(config=lab.home), {"INSTINCT_STORE": str(store)})
    with lab.slowly():
        process = lab.start("run", *kit.one_cell, "--hosts", CLEAN)
        run = kit.run_id(lab.meet(process, rf"on {CLEAN}: (loading|measuring)"))
        live = kit.eventually(lambda: _live(asked, store))
        process.kill()
        kit.end(process)
    assert live is not None
    before = live.gpus[0].at_ns

    resumed = lab.run("run", "--resume", run, "--json")

    (row,) = resumed.json["rows"]
    assert row["state"] == "ok", resumed.err
    ended = desk_readings.readings(asked, live.attempt)
    assert (live.live, ended.live) == (True, False)
    assert len(live.gpus) == len(ended.gpus) == 8
    first = ended.gpus[0]
    assert (first.host, first.bdf) == (CLEAN, "0000:05:00.0")
    assert [at // 1000 for at in first.at_ns[: len(before)]] == [at // 1000 for at in before]
    assert None not in first.series["power_w"][:2]
    (table,) = store.glob(f"readings/date=*/{live.attempt}.parquet")
    assert pl.read_parquet(table)["host"].unique().to_list() == [CLEAN]
    assert list(store.glob(f"samples/date=*/{live.attempt}.parquet"))
    assert not list(store.glob("attempts/*/readings.*")), "plain files go when they are sealed"


def _live(asked: settings.Settings, store: Any) -> desk_readings.AttemptReadings | None:
    """Readings of the attempt that goes on, when there are two of them."""
    for path in store.glob("attempts/*/readings.*.jsonl"):
        found = desk_readings.readings(asked, path.parent.name)
        if found.live and found.gpus and len(found.gpus[0].at_ns) >= 2:
            return found
    return None
