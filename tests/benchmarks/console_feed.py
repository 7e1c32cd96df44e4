"""The console on a made-up fleet: hosts of 8 GPUs with readings every second, running attempts, a busy log.

A program for `console_cost.py`, which starts it in a pseudo-terminal; by hand it shows the same:

    python tests/benchmarks/console_feed.py --hosts 256 --attempts 8 --log-lines 5000
"""

import argparse
import math
import tarfile
import tempfile
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import msgspec

from console.desk.fleet_board import FleetEvent, Pulse, Seen
from console.desk.settings import Options, Settings, load
from console.fleet.host import Fleet, Host
from console.model.attempt import Beat, HostReading, LogFrame, Phase, PhaseSeen, Reading, Sample, Stage
from console.model.events import AttemptPlanned, Claimed, Envelope, RunOpened, StageEntered
from console.model.facts import HostFacts, Known
from console.store.logfile import PartLog
from console.store.paths import StateFolder
from console.store.tail import Tail
from console.tui.app import Console
from console.tui.link import Answer, Ask, Batch, Deliver, Then, say
from console.tui.world import World

RECORDED = Path(__file__).resolve().parents[1] / "data" / "recorded" / "store.tar.xz"
S = 1_000_000_000
LINE = (
    b"INFO 05-21 12:00:00 [metrics.py:481] Avg prompt throughput: 1024.0 tokens/s, Avg generation throughput: %d "
    b"tokens/s, Running: 256 reqs, Swapped: 0 reqs, Pending: 12 reqs, GPU KV cache usage: 41.3%%, CPU KV cache 0.0%%\n"
)


class Made:
    """A fleet, and what it says at a second. Pure but for the unpacking of one recorded host and one recorded run."""

    def __init__(self, hosts: int, attempts: int, folder: Path) -> None:
        with tarfile.open(RECORDED) as pack:
            pack.extractall(folder, filter="data")
        store = folder / "store"
        self.settings: Settings = load(Options(fleet=folder / "fleet.toml", store=store), {})
        facts_file = sorted(store.glob("attempts/*/facts.*.json"))[0]
        self.facts = msgspec.json.decode(facts_file.read_bytes(), type=HostFacts)
        gpus = self.facts.gpus.value if isinstance(self.facts.gpus, Known) else ()
        self.bdfs = [gpu.bdf for gpu in gpus]
        self.names = [f"node{number:03d}" for number in range(1, hosts + 1)]
        self.fleet = Fleet(
            path=folder / "fleet.toml", hosts=tuple(Host(name=name, address="127.0.0.1") for name in self.names)
        )
        self.attempts = tuple(self._attempts(attempts, store)) if attempts else ()
        self.names_of_attempts = [envelope.attempt for envelope in self.attempts if envelope.attempt]

    def _attempts(self, count: int, store: Path) -> Iterator[Envelope]:
        """A run with so many attempts at work, each on a host of its own, shaped like a recorded one."""
        with Tail(StateFolder.open(store)) as tail:
            events = tail.since(0, None, 100_000)
        opened = next(item.event for item in events if isinstance(item.event, RunOpened))
        planned = next(item.event for item in events if isinstance(item.event, AttemptPlanned))
        claimed = next(item.event for item in events if isinstance(item.event, Claimed))
        now = time.time_ns()
        seat = claimed.placement.seats[0]
        yield Envelope(at_ns=now, run="bench", event=opened)
        for index, host in enumerate(self.names[:count]):
            name = f"abench{index}"
            at = msgspec.structs.replace(claimed.placement, seats=(msgspec.structs.replace(seat, host=host),))
            for event in (
                msgspec.structs.replace(planned, wish=(host,), position=index),
                Claimed(at),
                StageEntered(Stage.STARTING),
                StageEntered(Stage.RUNNING),
                PhaseSeen(now, Phase.MEASURING),
            ):
                yield Envelope(at_ns=now, run="bench", attempt=name, event=event)

    def looks(self) -> list[FleetEvent]:
        """A first look at every host."""
        now = time.time_ns()
        return [Seen(name, now, msgspec.structs.replace(self.facts, host=name)) for name in self.names]

    def beats(self, at_ns: int, hosts: Sequence[str] | None = None) -> list[FleetEvent]:
        """Readings of every GPU that all differ from those of the second before."""
        turn = at_ns // S
        made: list[FleetEvent] = []
        for number, name in enumerate(hosts if hosts is not None else self.names):
            wave = math.sin((turn + number) / 9)
            readings = tuple(
                Reading(
                    at_ns=at_ns,
                    bdf=bdf,
                    power_w=560.0 + 90 * wave + index,
                    hotspot_c=70.0 + 9 * wave + index,
                    memory_c=60.0,
                    vram_used_bytes=int((150 + 20 * wave) * 1e9),
                    busy_percent=88.0 + 11 * wave,
                    sclk_mhz=2000.0 + 60 * wave,
                    throttle=(),
                )
                for index, bdf in enumerate(self.bdfs)
            )
            host = HostReading(at_ns=at_ns, load_1m=4.0 + wave, memory_available_bytes=1 << 40)
            made.append(Pulse(name, at_ns, Beat(host, readings)))
        return made

    def samples(self, at_ns: int) -> list[Envelope]:
        """A live figure of every attempt."""
        turn = at_ns // S
        return [
            Envelope(
                at_ns=at_ns,
                run="bench",
                attempt=name,
                event=Sample(
                    at_ns=at_ns,
                    source="stat line",
                    metric="output_tokens_per_s",
                    rate=15_000.0 + 900 * math.sin(turn / 5 + index),
                    done=float(turn % 3200),
                    total=3200.0,
                    counts="prompts",
                ),
            )
            for index, name in enumerate(dict.fromkeys(self.names_of_attempts))
        ]


class MadeLink:
    """Feeds the console from a thread, as the core would: every host once a second, spread over four batches."""

    def __init__(self, made: Made, log_lines: int) -> None:
        self.settings = made.settings
        self._made = made
        self._log_lines = log_lines
        self._lock = threading.Lock()
        self._batch: list[Any] = []
        self._envelopes: list[Envelope] = []
        self._deliver: Deliver = lambda call: None
        self._woken: Callable[[], None] = lambda: None
        self._ended = threading.Event()

    def start(self, deliver: Deliver, woken: Callable[[], None]) -> None:
        """Begin."""
        self._deliver, self._woken = deliver, woken
        self._put(self._made.attempts, self._made.looks())
        threading.Thread(target=self._feed, daemon=True).start()
        if self._log_lines:
            threading.Thread(target=self._write_log, daemon=True).start()

    def _feed(self) -> None:
        quarter = 0
        while not self._ended.wait(0.25):
            now = time.time_ns()
            self._put(
                self._made.samples(now) if quarter == 0 else (), self._made.beats(now, self._made.names[quarter::4])
            )
            quarter = (quarter + 1) % 4

    def _write_log(self) -> None:
        folder = StateFolder.open(self._made.settings.store.value)
        log = PartLog(folder, self._made.names_of_attempts[0], "main")
        turn = 0
        while not self._ended.wait(0.1):
            turn += 1
            data = b"".join(LINE % (15_000 + (turn * 7 + n) % 900) for n in range(self._log_lines // 10))
            log.append([LogFrame(time.time_ns(), 1, data)])

    def _put(self, envelopes: Sequence[Envelope], fleet: Sequence[FleetEvent]) -> None:
        with self._lock:
            self._envelopes.extend(envelopes)
            self._batch.extend(fleet)
        self._deliver(self._woken)

    def take(self) -> Batch:
        """What came since."""
        with self._lock:
            batch = Batch(self._envelopes, self._batch)
            self._envelopes, self._batch = [], []
        return batch

    def ask(self, request: Ask, then: Then) -> Callable[[], None]:
        """There are no hosts to ask."""
        self._deliver(lambda: then(Answer(error="a made-up fleet answers nothing")))
        return lambda: None

    def work(self, function: Callable[[], Any], then: Then) -> Callable[[], None]:
        """In a thread, as the real one."""

        def run() -> None:
            try:
                answer = Answer(function())
            except Exception as error:  # noqa: BLE001 - as the real link does
                answer = Answer(error=say(error))
            self._deliver(lambda: then(answer))

        threading.Thread(target=run, daemon=True).start()
        return lambda: None

    def look_again(self, host: str | None = None) -> None:
        """Nothing to look at."""

    def load(self, run: str) -> None:
        """Nothing to load."""

    def forget(self, run: str) -> None:
        """Nothing is kept."""

    def close(self) -> None:
        """The end."""
        self._ended.set()


def main() -> None:
    """Show it."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--hosts", type=int, default=64)
    parser.add_argument("--attempts", type=int, default=8)
    parser.add_argument("--log-lines", type=int, default=0, help="lines a second in the first attempt's log")
    parser.add_argument("--start", default="fleet")
    given = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="instinct-bench-") as folder:
        made = Made(given.hosts, given.attempts, Path(folder))
        link = MadeLink(made, given.log_lines)
        Console(World(made.fleet), link, start=given.start).run()


if __name__ == "__main__":
    main()
