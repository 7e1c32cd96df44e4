"""The play of a program: its acts at their times, which are simulated, in a world whose other half is not."""

import asyncio
import contextlib
import math

from console.lab import entry
from console.lab.acts import Exit, Meet, Program, Say, Wait
from console.lab.clock import Clock
from console.lab.logs import STDERR, Log

FOREVER = 1e9

PATIENCE_S = 20.0
"""Real seconds that a program without anything to do has at least, however fast the lab plays and near its deadline."""

LONGEST_SLEEP_S = 0.25
"""So soon a change of the lab's speed is felt."""


class Play:
    """One play. The deadline is simulated time too: neither a busy machine nor a change of speed brings it nearer."""

    def __init__(self, log: Log, clock: Clock, deadline_s: float | None) -> None:
        self._log = log
        self._clock = clock
        self._loop = asyncio.get_running_loop()
        self._started = self._loop.time()
        self._at = 0.0
        self._late = 0
        self._end = math.inf if deadline_s is None else deadline_s
        self._spare = PATIENCE_S * clock.pace()

    async def perform(self, program: Program) -> tuple[int, bool]:
        """The exit code of the program, and whether it was killed for memory."""
        for act in program:
            if isinstance(act, Say):
                self._log.write(act.stream, act.data)
            elif isinstance(act, Exit):
                return act.code, act.oom
            elif not await (self._wait(act) if isinstance(act, Wait) else self._meet(act)):
                self._log.write(STDERR, entry.mark("deadline reached", "\n"))
                return entry.DEADLINE_CODE, False
        return 0, False

    async def _wait(self, act: Wait) -> bool:
        """False when the deadline came first."""
        if act.idle:  # does not count, to a degree: whoever has something to do for it is not as fast as the lab
            granted = min(act.s, self._spare)
            self._spare -= granted
            self._end += granted
        over = self._at + act.s > self._end
        self._at = min(self._at + min(act.s, FOREVER), self._end)
        self._late = self._late + 1 if self._left() <= 0 else 0
        if self._late % 20 == 0:
            await self._sleep()
        return not over

    async def _meet(self, act: Meet) -> bool:
        """False when the deadline came first."""
        simulated_s = min(act.timeout_s, max(0.0, self._end - self._at))
        with contextlib.suppress(TimeoutError):
            await asyncio.wait_for(act.event.wait(), max(self._clock.real(simulated_s), act.least_s))
        if not act.event.is_set():
            self._at += act.timeout_s
        # those who met go on together
        self._started = self._loop.time() - self._clock.real(self._at)
        return act.event.is_set() or self._at < self._end

    def _left(self) -> float:
        """Real seconds until it is as late as the program has it."""
        return self._started + self._clock.real(self._at) - self._loop.time()

    async def _sleep(self) -> None:
        while True:
            left = max(0.0, self._left())
            await asyncio.sleep(min(left, LONGEST_SLEEP_S))
            if left <= LONGEST_SLEEP_S:
                return
