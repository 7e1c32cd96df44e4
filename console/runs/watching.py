"""The hosts of an attempt under watch: a look before it starts and one after it ended, live readings in between.

Nothing of this may end or delay an attempt: looks are short and may fail, readings come from tasks of their own.
"""

import asyncio
import contextlib
from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime

import msgspec

from console.fleet.vitals import LOG_LINES, MARK_LINES, Vitals, shares
from console.model.attempt import Gap, Reason, Result
from console.model.events import Noticed
from console.model.facts import Known, Unknown
from console.model.launch import Launch, Seat
from console.runs import clocks
from console.runs.deltas import changes
from console.runs.office import Ledger
from console.runs.sensed import Sensed, measured, sense
from console.runs.site import SiteError
from console.store import artifacts, beats
from console.store.errors import StoreError

RETRY_S = 10.0
LOOK_S = 25.0
"""How long a look may take, connecting to the host included."""
LINES_KEPT = 100

_VITALS = msgspec.json.Decoder(Vitals)


class Watch:
    """Live readings of an attempt's hosts, one task each; kept in the attempt's folder until they are sealed."""

    def __init__(self, ledger: Ledger) -> None:
        self._ledger = ledger
        self._tasks: dict[str, asyncio.Task[None]] = {}
        self._over = False

    def follow(self, hosts: Iterable[str]) -> None:
        """See to it that these hosts are read from now on, until `end`."""
        for host in set() if self._over else set(hosts) - self._tasks.keys():
            self._tasks[host] = asyncio.create_task(self._read(host), name=f"readings {host}")

    def end(self) -> None:
        """Read no further; what still has to close does so on its own time."""
        self._over = True
        for task in self._tasks.values():
            task.cancel()

    async def close(self) -> None:
        """End, and wait until everything is closed."""
        self.end()
        for ended in await asyncio.gather(*self._tasks.values(), return_exceptions=True):
            if isinstance(ended, Exception):
                text = f"readings broke off: {type(ended).__name__}: {ended}"
                await self._ledger.tell(Noticed(text, "warning"))
        self._tasks.clear()

    async def _read(self, host: str) -> None:
        office = self._ledger.office
        file = beats.BeatFile(office.folder, self._ledger.attempt, host)
        try:
            while True:
                why, again = "the readings ended", True
                try:
                    async with contextlib.aclosing(office.site.telemetry(host)) as items:
                        async for item in items:
                            file.append(item)
                except SiteError as error:
                    why, again = error.message, error.retry
                file.append(Gap(None, why, RETRY_S))
                if not again:
                    return  # a refused sign-in is not tried again and again
                await asyncio.sleep(RETRY_S)
        except StoreError as error:
            await self._ledger.tell(Noticed(f"readings of {host} are not kept: {error}", "warning"))
        finally:
            file.close()


async def look_before(ledger: Ledger, launch: Launch) -> None:
    """Look at every host of a launch that is about to start, all at once, and keep what was seen."""
    for host, seen in (await _look(ledger, launch.placement.seats, MARK_LINES)).items():
        artifacts.write(ledger.office.folder, ledger.attempt, _name("before", host), msgspec.json.encode(seen))


class Looks(msgspec.Struct, frozen=True):
    """Both looks at every host of a launch; None for one that failed. `ahead`: their clocks beside ours, see clocks."""

    of: Mapping[str, tuple[Vitals | None, Vitals | None]]
    ahead: Mapping[str, int]


async def look_after(ledger: Ledger, launch: Launch) -> Looks:
    """Look at every host again, and keep what was seen beside what was seen before."""
    seats = launch.placement.seats
    after = await _look(ledger, seats, LOG_LINES)
    for host, seen in after.items():
        artifacts.write(ledger.office.folder, ledger.attempt, _name("after", host), msgspec.json.encode(_short(seen)))
    looks = {seat.host: (_kept(ledger, seat.host), after.get(seat.host)) for seat in seats}
    return Looks(looks, clocks.ahead_of_ours((host, *pair) for host, pair in looks.items()))


async def weigh(ledger: Ledger, launch: Launch, looks: Looks, result: Result | None, speaker: str) -> Sensed:
    """What happened to the hosts meanwhile. `result` is of the part `speaker`, on whose host's clock it measured."""
    span = measured(result, _started_ns(ledger, speaker))
    seats = launch.placement.seats
    host = next((part.host for part in launch.parts if part.name == speaker), "")
    ahead = clocks.beside(looks.ahead, host) if len(seats) > 1 else {}
    found: list[Reason] = []
    between = {}
    for seat in seats:
        old, new = looks.of[seat.host]
        found += changes(seat, old, new)
        if old is not None and new is not None and old.boot_id == new.boot_id:
            between[seat.host] = shares(old, new)
    if span is not None:
        found += clocks.unknown([seat.host for seat in seats], ahead, host)
        if text := clocks.told(ahead, host):
            await ledger.tell(Noticed(text))
    sensed = await asyncio.get_running_loop().run_in_executor(
        ledger.office.pool,
        lambda: sense(seats, beats.read(ledger.office.folder, ledger.attempt), span, between, ahead),
    )
    return Sensed(sensed.hardware, (*sensed.reasons, *found))


def _started_ns(ledger: Ledger, part: str) -> int | None:
    """When a part's container was started, as the engine of its host says."""
    for row in ledger.office.tail.parts(ledger.attempt):
        with contextlib.suppress(ValueError):
            if row.part == part:
                return int(datetime.fromisoformat(row.started_at).timestamp() * 1e9)
    return None


def _short(seen: Vitals) -> Vitals:
    """A look as it is kept: with the last lines of the kernel's log."""
    log = seen.kernel_log
    if isinstance(log, Unknown):
        return seen
    end = msgspec.structs.replace(log.value, lines=log.value.lines[-LINES_KEPT:], complete=False)
    return msgspec.structs.replace(seen, kernel_log=Known(end, log.source))


def seal(ledger: Ledger) -> None:
    """Samples and readings of an ended attempt to Parquet; the plain files go when that is done. Raises StoreError."""
    # polars takes a while to load, and no attempt waits for it before it has ended
    from console.store import series

    folder, attempt = ledger.office.folder, ledger.attempt
    kept = beats.read(folder, attempt)
    readings = {
        host: [reading for item in items if not isinstance(item, Gap) for reading in item.gpus]
        for host, items in kept.items()
    }
    series.seal(folder, attempt, readings)
    beats.discard(folder, attempt)


async def _look(ledger: Ledger, seats: Sequence[Seat], log_lines: int) -> Mapping[str, Vitals]:
    """What could be seen of each host; a look that failed is noticed and left out."""
    several = len(seats) > 1  # one host alone moves nothing over the fabric
    looks = await asyncio.gather(*(_look_at(ledger, seat, log_lines, fabric=several) for seat in seats))
    return {seat.host: seen for seat, seen in zip(seats, looks, strict=True) if seen is not None}


async def _look_at(ledger: Ledger, seat: Seat, log_lines: int, *, fabric: bool) -> Vitals | None:
    interfaces = (seat.interface,) if fabric and seat.interface is not None else ()
    try:
        async with asyncio.timeout(LOOK_S):
            hcas = seat.hcas if fabric else ()
            return await ledger.office.site.vitals(seat.host, hcas, interfaces, log_lines)
    except SiteError as error:
        why = error.line
    except TimeoutError:
        why = f"{seat.host}: no answer within {LOOK_S:.0f} s"
    await ledger.tell(Noticed(f"its error counters were not looked at: {why}", "warning"))
    return None


def _name(when: str, host: str) -> str:
    return f"vitals.{when}.{host}.json"


def _kept(ledger: Ledger, host: str) -> Vitals | None:
    try:
        return _VITALS.decode(artifacts.read(ledger.office.folder, ledger.attempt, _name("before", host)))
    except (StoreError, msgspec.DecodeError):
        return None
