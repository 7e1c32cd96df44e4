"""A fold of the live fleet feed into what screens show. No IO, no clock: the same events give the same board.

A front owns one board, applies what its feed yields, and asks for frozen views as often as it draws. A view is made
when it is asked for and kept until the host changes. Everything kept is bounded.
"""

from collections.abc import Iterable, Sequence

import msgspec

from console.desk import fleet_fold as fold
from console.desk.fleet_events import Asking, FleetEvent, Missing, Pulse, Seen, Silent
from console.desk.fleet_history import GpuHistory, History
from console.desk.fleet_views import GpuLive, HealthCounts, HostState, HostView
from console.fleet.host import Host
from console.health.report import HostHealth
from console.model.facts import HostFacts

__all__ = [
    "Asking",
    "FleetBoard",
    "FleetEvent",
    "FleetTotals",
    "GpuHistory",
    "GpuLive",
    "HealthCounts",
    "History",
    "HostState",
    "HostView",
    "Missing",
    "Pulse",
    "Seen",
    "Silent",
]

HISTORY_S = 600


class FleetTotals(msgspec.Struct, frozen=True):
    """The fleet in numbers. `up` counts simulated hosts too; power is the sum over what is known, None for nothing."""

    hosts: int = 0
    up: int = 0
    asking: int = 0
    stale: int = 0
    missing: int = 0
    failing: int = 0
    """Hosts that answered and whose health is a failure."""
    warned: int = 0
    gpus: int = 0
    busy_gpus: int = 0
    """At least half busy."""
    power_w: float | None = None
    simulated: bool = False
    """Some host is the lab's."""


class FleetBoard:
    """Every host of a choice, in its order. `history_s` is how many seconds of readings are kept of each."""

    def __init__(self, hosts: Sequence[Host], history_s: int = HISTORY_S) -> None:
        self._hosts = {host.name: fold.HostFold(host, history_s) for host in hosts}
        self._views: tuple[HostView, ...] | None = None

    def apply(self, events: Iterable[FleetEvent]) -> frozenset[str]:
        """Fold events in, oldest first; the hosts whose view changed. Hosts that are not on the board are ignored."""
        changed = set()
        for event in events:
            host = self._hosts.get(event.host)
            if host is not None:
                host.apply(event)
                changed.add(event.host)
        if changed:
            self._views = None
        return frozenset(changed)

    def hosts(self) -> tuple[HostView, ...]:
        """Every host, in the order given."""
        if self._views is None:
            self._views = tuple(host.view() for host in self._hosts.values())
        return self._views

    def host(self, name: str) -> HostView | None:
        """One host; None for a name that is not on the board."""
        found = self._hosts.get(name)
        return found.view() if found else None

    def facts(self, name: str) -> HostFacts | None:
        """What the last look read; None before the first one."""
        found = self._hosts.get(name)
        return found.facts if found else None

    def health(self, name: str) -> HostHealth | None:
        """The last verdict; None before the first one."""
        found = self._hosts.get(name)
        return found.health if found else None

    def history(self, name: str) -> History:
        """A copy of a host's last minutes (all NaN before the first reading). Raises KeyError for a strange name."""
        return self._hosts[name].history()

    def totals(self) -> FleetTotals:
        """The fleet in numbers, from the views."""
        views = self.hosts()
        states = [view.state for view in views]
        gpus = [gpu for view in views if view.state != "no answer" for gpu in view.gpus]
        powers = [gpu.power_w for gpu in gpus if gpu.power_w is not None]
        return FleetTotals(
            hosts=len(views),
            up=states.count("up") + states.count("simulated"),
            asking=states.count("asking"),
            stale=states.count("stale"),
            missing=states.count("no answer"),
            failing=sum(view.counts.failed > 0 and view.state != "no answer" for view in views),
            warned=sum(view.counts.warned > 0 and view.counts.failed == 0 for view in views),
            gpus=len(gpus),
            busy_gpus=sum(gpu.busy_percent is not None and gpu.busy_percent >= 50 for gpu in gpus),
            power_w=sum(powers) if powers else None,
            simulated=any(view.simulated for view in views),
        )
