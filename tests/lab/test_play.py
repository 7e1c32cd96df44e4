"""Programs are played in simulated time: neither a busy machine nor a change of speed changes how they end."""

import asyncio
from collections.abc import Callable, Iterator

import pytest

from console.lab.acts import Act, Exit, Meet, Wait
from console.lab.clock import Clock
from console.lab.logs import Log
from console.lab.play import Play

LATE = 124


def waits(*seconds: float, idle: bool = False, between: Callable[[], None] = lambda: None) -> Iterator[Act]:
    """A program that lets these seconds pass, one after the other."""
    for each in seconds:
        yield Wait(each, idle)
        between()
    yield Exit(0)


async def played(program: Iterator[Act], clock: Clock, deadline_s: float | None) -> int:
    log = Log(clock)
    log.open()
    code, _ = await Play(log, clock, deadline_s).perform(program)
    return code


async def test_the_deadline_is_that_of_simulated_time() -> None:
    clock = Clock(1e6)
    assert await played(waits(50, 49), clock, 100) == 0
    assert await played(waits(50, 51), clock, 100) == LATE
    assert await played(waits(float("inf")), clock, 100) == LATE


async def test_idle_time_does_not_count_for_as_long_as_the_console_may_need(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("console.lab.play.PATIENCE_S", 0.01)
    clock = Clock(1e5)
    assert await played(waits(500, 500, 100, idle=True), clock, 100) == 0
    assert await played(waits(500, 500, 101, idle=True), clock, 100) == LATE
    assert await played(waits(500, 500, 100), clock, 100) == LATE


async def test_a_change_of_speed_is_felt_at_once_and_moves_no_deadline() -> None:
    clock = Clock(1e6)
    slow = asyncio.Event()

    def slow_down() -> None:
        clock.speed = 1e-6
        slow.set()

    playing = asyncio.create_task(played(waits(50, 49, between=slow_down), clock, 100))
    await slow.wait()
    await asyncio.sleep(0)
    assert not playing.done()
    clock.speed = 1e6
    assert await playing == 0


async def test_those_who_meet_in_time_go_on_and_the_others_lose_their_time() -> None:
    def meets(event: asyncio.Event) -> Iterator[Act]:
        yield Meet(event, 60)
        yield Wait(50)
        yield Exit(0 if event.is_set() else 1)

    there = asyncio.Event()
    there.set()
    assert await played(meets(there), Clock(1e6), 100) == 0
    assert await played(meets(asyncio.Event()), Clock(1e6), 200) == 1
    assert await played(meets(asyncio.Event()), Clock(1e6), 100) == LATE
    assert await played(meets(asyncio.Event()), Clock(1e6), 50) == LATE
