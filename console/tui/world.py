"""Everything the screens draw from, in the screens' thread: folds of what the link brought. No IO."""

import time
from collections.abc import Callable, Container, Sequence
from typing import TYPE_CHECKING

import msgspec

from console.desk.board import Board
from console.desk.fleet_board import FleetBoard
from console.desk.views import AttemptView, RunView
from console.model.attempt import Stage
from console.tui.link import Batch

if TYPE_CHECKING:
    from console.fleet.host import Fleet

Clock = Callable[[], int]

KEPT_RUNS = 30
"""So many closed runs stay in memory; older ones are read again when somebody looks at them."""


class Changes(msgspec.Struct, frozen=True):
    """Whose views changed since the last drawing. Screens compare it with what they show."""

    hosts: frozenset[str] = frozenset()
    attempts: frozenset[str] = frozenset()
    runs: frozenset[str] = frozenset()
    time: bool = False
    """Only the clock moved on: times and countdowns may differ."""


class World:
    """What is known now. `clock` is UTC in nanoseconds: a replay's or a test's own clock in place of the machine's."""

    def __init__(
        self,
        fleet: "Fleet | None" = None,
        *,
        why_no_fleet: str = "",
        read_only: bool = False,
        clock: Clock = time.time_ns,
        replaying: bool = False,
    ) -> None:
        self.fleet_file = fleet
        self.why_no_fleet = why_no_fleet
        self.read_only = read_only
        self.replaying = replaying
        self.clock = clock
        self.board = Board()
        self.fleet = FleetBoard(fleet.hosts if fleet else ())
        self.problem: str | None = None
        self.in_lab = fleet is not None and fleet.simulated

    @property
    def simulated(self) -> bool:
        """True in the lab: every figure on every screen is made up."""
        if self.in_lab or self.fleet.totals().simulated:
            return True
        return any(run.simulated for run in self.open_runs())

    def apply(self, batch: Batch) -> Changes:
        """Fold a batch in."""
        self.problem = batch.problem or self.problem
        if batch.afresh:
            self.board = Board()
            self.fleet = FleetBoard(self.fleet_file.hosts if self.fleet_file else ())
        attempts = self.board.apply(batch.envelopes)
        runs = frozenset(envelope.run for envelope in batch.envelopes if envelope.run is not None)
        return Changes(hosts=self.fleet.apply(batch.fleet), attempts=attempts, runs=runs, time=batch.afresh)

    def forget(self, keep: Container[str]) -> Sequence[str]:
        """Let go of the oldest closed runs when there are many; returns them. What is in `keep` stays."""
        closed = [run.run for run in self.board.runs() if run.closed_at_ns is not None and run.run not in keep]
        surplus = closed[: max(0, len(closed) - KEPT_RUNS)]
        for run in surplus:
            self.board.forget(run)
        return surplus

    def active(self) -> list[AttemptView]:
        """Attempts at work now, in every open run, in the order they were planned."""
        return [
            view
            for run in self.board.runs()
            if run.closed_at_ns is None
            for view in self.board.attempts(run.run)
            if view.outcome is None and view.stage is not Stage.PLANNED
        ]

    def on_host(self, host: str) -> list[AttemptView]:
        """Attempts at work on a host now."""
        return [view for view in self.active() if view.placed and host in view.hosts]

    def open_runs(self) -> list[RunView]:
        """Runs that are not closed."""
        return [run for run in self.board.runs() if run.closed_at_ns is None]
