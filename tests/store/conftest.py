"""A state folder of its own for every test, and makers of envelopes."""

from collections.abc import Callable, Iterator
from pathlib import Path

import msgspec
import pytest

from console.model.attempt import Sample
from console.model.events import AttemptPlanned, Envelope, Event, RunOpened
from console.store.journal import Journal
from console.store.paths import StateFolder
from console.store.tail import Tail

Maker = Callable[..., Envelope]


@pytest.fixture
def folder(tmp_path: Path) -> StateFolder:
    return StateFolder.open(tmp_path / "state")


@pytest.fixture
def journal(folder: StateFolder) -> Iterator[Journal]:
    with Journal(folder) as journal:
        yield journal


@pytest.fixture
def tail(folder: StateFolder) -> Iterator[Tail]:
    with Tail(folder) as tail:
        yield tail


@pytest.fixture
def at() -> Maker:
    """An envelope of run r1, attempt a1, part p, unless said otherwise."""

    def make(
        event: Event, at_ns: int = 1, run: str | None = "r1", attempt: str | None = "a1", part: str | None = "p"
    ) -> Envelope:
        return Envelope(at_ns=at_ns, event=event, run=run, attempt=attempt, part=part)

    return make


@pytest.fixture
def sample(at: Maker) -> Callable[..., Envelope]:
    """A sample whose figure is the given number."""

    def make(number: int, **where: str | None) -> Envelope:
        event = Sample(at_ns=number, source="stat line", metric="output_tokens_per_s", rate=float(number))
        return at(event, at_ns=number, **where)

    return make


@pytest.fixture
def opened() -> Maker:
    """The opening of a run."""

    def make(run: str = "r1", label: str = "", at_ns: int = 1) -> Envelope:
        event = RunOpened(
            label=label, matrices=("m",), hosts=("n1",), operator="o", version="0", attempts=1, simulated=False
        )
        return Envelope(at_ns=at_ns, run=run, event=event)

    return make


@pytest.fixture
def planned() -> Maker:
    """The planning of an attempt."""

    def make(attempt: str = "a1", run: str = "r1", position: int = 0) -> Envelope:
        event = AttemptPlanned(
            matrix="m",
            cell_id="c1",
            workload="w",
            cell=msgspec.Raw(b'{"id":"c1"}'),
            wish=("n1",),
            repeat=1,
            attempt_try=1,
            expected_s=60.0,
            startup_s=5.0,
            position=position,
        )
        return Envelope(at_ns=2, run=run, attempt=attempt, event=event)

    return make
