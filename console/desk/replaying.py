"""A run of the past played again: a clock of its own, and the events that are due by it.

The clock turns real time into time of the run at any speed; it can stand still and be set to any moment. What is due
is read from the journal as it is needed, so that a run of weeks takes no more memory than one of minutes.
"""

import threading
import time
from collections.abc import Callable, Mapping, Sequence

import msgspec

from console.desk import desk
from console.desk.errors import DeskError
from console.desk.feeds import Source
from console.desk.settings import Settings
from console.model.events import Envelope
from console.model.facts import HostFacts
from console.store import artifacts
from console.store.errors import StoreError
from console.store.paths import StateFolder
from console.store.tail import Tail

SPEEDS = (0.25, 0.5, 1.0, 2.0, 5.0, 10.0, 20.0, 50.0, 100.0, 200.0, 500.0, 1000.0)
STEP_SHARE = 0.05
"""A step back or forth is this part of the run, at least LEAST_STEP_S."""
LEAST_STEP_S = 5.0
_PAGE = 5000


def parse_speed(text: str) -> float:
    """`20x`, `20` or `0.5x` as a number. Raises DeskError unless it is above zero and at most a million."""
    try:
        speed = float(text.strip().lower().removesuffix("x"))
    except ValueError:
        speed = 0.0
    if not 0 < speed <= 1e6:
        raise DeskError(f"{text!r} is no speed: write how many times faster, as in 20x or 0.5x")
    return speed


def speed_text(speed: float) -> str:
    """`20x`, `0.5x`."""
    return f"{speed:g}x"


class ReplayClock:
    """Time of a run between its first and its last event. May be asked and steered from several threads.

    `turned` counts how often it was set to an earlier moment: whoever has followed it must then begin anew.
    """

    def __init__(
        self, begin_ns: int, end_ns: int, speed: float = 1.0, *, monotonic_ns: Callable[[], int] = time.monotonic_ns
    ) -> None:
        """It starts at once, at the beginning. Times are UTC nanoseconds."""
        self.begin_ns = begin_ns
        self.end_ns = max(begin_ns, end_ns)
        self.speed = speed
        self.paused = False
        self.turned = 0
        self._real_ns = monotonic_ns
        self._lock = threading.RLock()
        self._at_ns = begin_ns
        self._since_ns = monotonic_ns()

    def now_ns(self) -> int:
        """The moment of the run; it does not go past the last event."""
        with self._lock:
            if self.paused:
                return self._at_ns
            passed_ns = (self._real_ns() - self._since_ns) * self.speed
            return min(self.end_ns, self._at_ns + int(passed_ns))

    @property
    def at_end(self) -> bool:
        """True when everything was played."""
        return self.now_ns() >= self.end_ns

    def elapsed_s(self) -> float:
        """How far into the run."""
        return (self.now_ns() - self.begin_ns) / 1e9

    def length_s(self) -> float:
        """How long the whole run is."""
        return (self.end_ns - self.begin_ns) / 1e9

    def real_s(self, at_ns: int) -> float | None:
        """Real seconds until a moment of the run; None while it stands still."""
        with self._lock:
            return None if self.paused else max(0.0, (at_ns - self.now_ns()) / 1e9 / self.speed)

    def set_speed(self, speed: float) -> None:
        """Go on at another speed from here."""
        with self._lock:
            self._hold()
            self.speed = speed

    def faster(self) -> None:
        """The next of a few speeds."""
        self.set_speed(next((speed for speed in SPEEDS if speed > self.speed), self.speed))

    def slower(self) -> None:
        """The one before."""
        self.set_speed(next((speed for speed in reversed(SPEEDS) if speed < self.speed), self.speed))

    def toggle(self) -> None:
        """Stand still, or go on; at the end, begin anew."""
        with self._lock:
            if self.at_end:
                self.seek(self.begin_ns)
                self.paused = False
                return
            self._hold()
            self.paused = not self.paused

    def seek(self, at_ns: int) -> None:
        """To a moment of the run."""
        with self._lock:
            before_ns = self.now_ns()
            self._hold()
            self._at_ns = min(self.end_ns, max(self.begin_ns, at_ns))
            if self._at_ns < before_ns:
                self.turned += 1

    def step(self, by: int) -> None:
        """A step back (below 0) or forth; 0 goes to the end."""
        if by == 0:
            self.seek(self.end_ns)
            return
        step_s = max(LEAST_STEP_S, self.length_s() * STEP_SHARE)
        self.seek(self.now_ns() + int(by * step_s * 1e9))

    def _hold(self) -> None:
        self._at_ns, self._since_ns = self.now_ns(), self._real_ns()


class Player:
    """Gives the events of a run in their order as they become due. Blocking; for one thread at a time.

    A clock that stepped back while the run was recorded counts as standing still.
    """

    def __init__(self, source: Source, run: str) -> None:
        self._source = source
        self._run = run
        self.rewind()

    def rewind(self) -> None:
        """From the first event again."""
        self._seq = 0
        self._latest_ns = 0
        self._page: list[Envelope] = []
        self._place = 0
        self._through = False

    @property
    def next_ns(self) -> int | None:
        """When the next event is due; None after the last one."""
        self._fill()
        return max(self._latest_ns, self._page[self._place].at_ns) if self._place < len(self._page) else None

    def due(self, at_ns: int, limit: int = _PAGE) -> Sequence[Envelope]:
        """At most `limit` events that have come by then and were not given yet."""
        found: list[Envelope] = []
        while len(found) < limit and (next_ns := self.next_ns) is not None and next_ns <= at_ns:
            found.append(self._page[self._place])
            self._latest_ns = next_ns
            self._place += 1
        return found

    def _fill(self) -> None:
        if self._place < len(self._page) or self._through:
            return
        self._page, self._place = list(self._source.since(self._seq, self._run, _PAGE)), 0
        if self._page:
            self._seq = self._page[-1].seq or self._seq
        self._through = not self._page


class Recording(msgspec.Struct, frozen=True):
    """A run that can be played: its id, its hosts, and when its first and last event were."""

    run: str
    label: str
    hosts: tuple[str, ...]
    simulated: bool
    begin_ns: int
    end_ns: int


def recording(settings: Settings, run: str) -> Recording:
    """What is known of a run before it is played. `run` as in `find_run`. Raises StoreError."""
    with desk.tail(settings) as tail:
        row = tail.find_run(run)
        end_ns = row.closed_at_ns if row.closed_at_ns is not None else _last_ns(tail, row.run, row.opened_at_ns)
    return Recording(row.run, row.label, row.hosts, row.simulated, row.opened_at_ns, max(end_ns, row.opened_at_ns))


def _last_ns(tail: Tail, run: str, begin_ns: int) -> int:
    seq, latest_ns = 0, begin_ns
    while page := tail.since(seq, run, _PAGE):
        seq, latest_ns = page[-1].seq or seq, max(latest_ns, *(item.at_ns for item in page))
    return latest_ns


def facts(settings: Settings, run: str) -> Mapping[str, HostFacts]:
    """What was read of the hosts of a run before its attempts, the first look at each; only what was stored."""
    decoder = msgspec.json.Decoder(HostFacts)
    folder = desk.folder(settings)
    found: dict[str, HostFacts] = {}
    with desk.tail(settings) as tail:
        rows = sorted(tail.attempts(run), key=lambda row: row.started_at_ns or row.planned_at_ns)
    for row in rows:
        hosts = [seat.host for seat in row.placement.seats] if row.placement is not None else []
        for host in hosts:
            if host not in found and (read := _facts(folder, row.attempt, host, decoder)) is not None:
                found[host] = read
    return found


def _facts(
    folder: StateFolder, attempt: str, host: str, decoder: "msgspec.json.Decoder[HostFacts]"
) -> HostFacts | None:
    try:
        return decoder.decode(artifacts.read(folder, attempt, f"facts.{host}.json"))
    except (StoreError, msgspec.DecodeError):
        return None  # not stored, or by another release: the host is then shown without facts
