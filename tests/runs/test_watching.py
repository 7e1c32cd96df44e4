"""The hosts of an attempt are watched while it runs; whatever the watch meets, the attempt goes its way."""

import asyncio
from collections.abc import AsyncGenerator, Callable, Sequence
from typing import Any

import polars as pl
import pytest

from console.fleet.vitals import Vitals
from console.model.attempt import Beat, Gap, HostReading, Outcome, Reading, Validity
from console.model.events import Noticed
from console.model.facts import RasBlock
from console.runs import driver
from console.runs.conductor import conduct
from console.runs.site import SiteError
from console.store import beats, series

PATIENCE_S = 200.0
S = 1_000_000_000
LONG_RUN = 60


async def finish(bench: Any, run: str) -> Any:
    await asyncio.wait_for(conduct(bench.office(run)), PATIENCE_S)
    (row,) = bench.tail.attempts(run)
    return row


def beat(second: int, power: float = 700.0) -> Beat:
    gpu = Reading(at_ns=second * S, bdf="0000:00:00.0", power_w=power, hotspot_c=81.0, throttle=())
    return Beat(HostReading(at_ns=second * S), (gpu,), looked=second % 5 == 0)


def kinds(row: Any) -> set[Validity]:
    return {reason.reason for reason in row.reasons}


def sealed(bench: Any, attempt: str) -> list[tuple[Any, ...]]:
    path = series.sealed_readings(bench.folder, attempt)
    assert path is not None
    return pl.read_parquet(path).select("host", "power_w").rows()


async def test_a_quiet_host_leaves_readings_and_no_reason(bench: Any, make_cell: Any) -> None:
    bench.world.beats = {"n1": [beat(second) for second in range(1, 6)]}
    row = await finish(bench, await bench.open(make_cell()))
    assert row.outcome is Outcome.OK
    assert not kinds(row) & {kind for kind in Validity if kind not in (Validity.SIMULATED,)}
    assert sealed(bench, row.attempt) == [("n1", 700.0)] * 5
    assert beats.files(bench.folder, row.attempt) == {}
    assert [path.name for path in bench.folder.samples.rglob("*.parquet")] == [f"{row.attempt}.parquet"]
    names = {path.name for path in bench.folder.attempt(row.attempt).iterdir()}
    assert {"vitals.before.n1.json", "vitals.after.n1.json"} <= names
    assert [row for row in bench.tail.since(0) if isinstance(row.event, Noticed)] == []


async def test_readings_of_the_measured_time_make_the_summary(bench: Any, make_cell: Any) -> None:
    bench.world.beats = {"n1": [beat(second, 600.0 + second) for second in range(1, 4)]}
    row = await finish(bench, await bench.open(make_cell()))
    assert row.hardware is not None
    assert row.hardware.gpus == 1
    assert row.hardware.hotspot_c_max == 81.0
    assert row.hardware.power_w_max <= 603.0


async def test_an_error_counted_meanwhile_spoils_the_figure(bench: Any, make_cell: Any) -> None:
    def look(uncorrectable: int) -> Vitals:
        ras = (RasBlock(block="umc", uncorrectable=uncorrectable, correctable=0),)
        quiet = bench.world.vitals("n2", (), ())
        return Vitals(
            host="n1", read_at_ns=1, boot_id="b1", gpus=("g.0",), ras={"g.0": ras}, kernel_log=quiet.kernel_log
        )

    bench.world.looks = {"n1": [look(4), look(5)]}
    row = await finish(bench, await bench.open(make_cell()))
    assert row.outcome is Outcome.OK
    assert [(item.reason, item.detail) for item in row.reasons if item.spoils] == [
        (Validity.RAS_ERROR, "n1 g.0: 1 uncorrectable in umc")
    ]


async def test_a_host_restarted_meanwhile_spoils_the_figure(bench: Any, make_cell: Any) -> None:
    bench.world.looks = {
        "n1": [Vitals(host="n1", read_at_ns=1, boot_id="b1"), Vitals(host="n1", read_at_ns=2, boot_id="b2")]
    }
    row = await finish(bench, await bench.open(make_cell()))
    assert Validity.REBOOTED in kinds(row)


class _Broken:
    """A site on which one call does otherwise."""

    def __init__(self, site: Any, **calls: Any) -> None:
        self._site, self._calls = site, calls

    def __getattr__(self, name: str) -> Any:
        return self._calls.get(name) or getattr(self._site, name)


def breaking(bench: Any, **calls: Any) -> None:
    office = bench.office

    def made(run: str, operator: str = "me") -> Any:
        known = office(run, operator)
        return type(known)(
            **{name: getattr(known, name) for name in known.__struct_fields__ if name != "site"},
            site=_Broken(known.site, **calls),
        )

    bench.office = made


async def never_looks(host: str, hcas: Sequence[str], interfaces: Sequence[str], log_lines: int) -> Vitals:
    raise SiteError(host, "no route to host", retry=True)


async def never_reads(host: str) -> AsyncGenerator[Beat | Gap, None]:
    none: tuple[Beat, ...] = ()
    for nothing in none:
        yield nothing
    raise SiteError(host, "the loop that reads it has ended")


async def breaks_off(host: str) -> AsyncGenerator[Beat | Gap, None]:
    yield beat(1)
    yield Gap(S, "the link broke", 0.0)
    raise RuntimeError("a defect of the reader")


@pytest.mark.parametrize("reader", [never_reads, breaks_off])
async def test_readings_that_fail_cost_nothing_but_themselves(
    bench: Any, make_cell: Any, reader: Callable[[str], Any]
) -> None:
    breaking(bench, telemetry=reader)
    row = await finish(bench, await bench.open(make_cell()))
    assert (row.outcome, row.result.value()) == (Outcome.OK, pytest.approx(400.0))
    told = [item.event.text for item in bench.tail.since(0) if isinstance(item.event, Noticed)]
    assert told == (["readings broke off: RuntimeError: a defect of the reader"] if reader is breaks_off else [])


async def test_a_host_that_cannot_be_looked_at_is_noted_and_told(bench: Any, make_cell: Any) -> None:
    breaking(bench, vitals=never_looks)
    row = await finish(bench, await bench.open(make_cell()))
    assert row.outcome is Outcome.OK
    details = [item.detail for item in row.reasons if item.reason is Validity.UNWATCHED]
    assert details == ["n1 could not be looked at before it started"]
    told = [item.event.text for item in bench.tail.since(0) if isinstance(item.event, Noticed)]
    assert told == ["its error counters were not looked at: n1: no route to host"] * 2


async def test_tables_that_cannot_be_made_leave_the_attempt_and_its_files(
    bench: Any, make_cell: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    def broken(ledger: Any) -> None:
        raise RuntimeError("no room")

    monkeypatch.setattr(driver, "seal", broken)
    bench.world.beats = {"n1": [beat(1)]}
    row = await finish(bench, await bench.open(make_cell()))
    assert row.outcome is Outcome.OK
    assert beats.read(bench.folder, row.attempt) == {"n1": (beat(1),)}
    told = [item.event.text for item in bench.tail.since(0) if isinstance(item.event, Noticed)]
    assert told == ["samples and readings are not sealed: no room"]


async def test_readings_of_a_killed_conductor_and_of_the_next_one_are_sealed_together(
    bench: Any, make_cell: Any
) -> None:
    world = bench.world
    world.beats = {"n1": [beat(1), beat(2)]}
    run = await bench.open(make_cell())
    first = asyncio.create_task(conduct(bench.office(run)))
    await asyncio.wait_for(world.started.wait(), PATIENCE_S)
    for container in world.containers.values():
        container.looks_left = LONG_RUN
    (row,) = bench.tail.attempts(run)
    while len(beats.read(bench.folder, row.attempt).get("n1", ())) < 2:  # noqa: ASYNC110 - a file tells nobody
        await asyncio.sleep(0.001)
    first.cancel()
    await asyncio.gather(first, return_exceptions=True)
    world.beats = {"n1": [beat(8), beat(9)]}
    row = await finish(bench, run)
    assert row.outcome is Outcome.OK
    assert len(sealed(bench, row.attempt)) == 4
    assert Validity.UNWATCHED not in kinds(row), "the look before the start is kept"
