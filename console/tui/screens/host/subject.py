"""Everything the views of the Host screen draw from, gathered once for a drawing."""

from collections.abc import Sequence

import msgspec

from console.desk.expectations import Expected
from console.desk.fleet_board import HostView
from console.desk.views import AttemptView
from console.health.report import HostHealth
from console.model.facts import HostFacts
from console.model.finding import Ack, State
from console.tui.world import World


class Subject(msgspec.Struct, frozen=True, kw_only=True):
    """One host as it is known now. `now_ns` is our clock, `host_now_ns` the host's own.

    `words` filter lists, `only_bad` leaves out what is as it should be. `expected` is None until it was read;
    `why_unexpected` says why it could not be.
    """

    view: HostView
    now_ns: int
    facts: HostFacts | None = None
    health: HostHealth | None = None
    expected: Expected | None = None
    why_unexpected: str = ""
    acks: tuple[Ack, ...] = ()
    active: tuple[AttemptView, ...] = ()
    ended: tuple[AttemptView, ...] = ()
    words: str = ""
    only_bad: bool = False
    simulated: bool = False

    @property
    def name(self) -> str:
        """The host's name."""
        return self.view.name

    @property
    def host_now_ns(self) -> int:
        """The moment on the host's clock."""
        return self.now_ns + (self.view.clock_offset_ns or 0)

    @property
    def why_empty(self) -> str:
        """Why there is nothing to show of it."""
        if self.view.state == "no answer" and self.facts is None:
            do = f"\n{self.view.remedy}" if self.view.remedy else ""
            return f"{self.name} does not answer: {self.view.why}{do}"
        if self.facts is None:
            return f"{self.name} is being asked …"
        return ""


def ended_on(world: World, host: str) -> tuple[AttemptView, ...]:
    """Attempts that ran on a host before, the newest first."""
    found = [
        view
        for run in world.board.runs()
        for view in world.board.attempts(run.run)
        if view.outcome is not None and view.started_at_ns is not None and host in view.hosts
    ]
    return tuple(sorted(found, key=lambda view: view.ended_at_ns or 0, reverse=True))


def next_bad(hosts: Sequence[HostView], current: str | None) -> str | None:
    """The next host after the current one, around the end, that is away or has findings that count."""
    names = [host.name for host in hosts]
    start = names.index(current) + 1 if current in names else 0
    for host in (*hosts[start:], *hosts[:start]):
        bad = host.state == "no answer" or host.health not in (None, State.PASS)
        if bad and host.name != current:
            return host.name
    return None
