"""What every attempt of a run shares, and how an attempt's events get into the journal."""

from collections.abc import Mapping
from concurrent.futures import Executor
from typing import TypeVar

import msgspec

from console.catalog.shelf import Catalog
from console.fleet.host import Host
from console.model.attempt import Stage
from console.model.cell import AnyCell
from console.model.events import Envelope, Event, StageEntered
from console.model.profile import Image, ModelCard
from console.runs.fetching import Hub
from console.runs.request import Request
from console.runs.site import Site
from console.runs.step import Policy
from console.store.journal import Journal, dated
from console.store.paths import StateFolder
from console.store.records import AttemptRow, RunRow
from console.store.tail import Tail
from console.workloads.base import Workload, decode_cell, registry

E = TypeVar("E")


class Office(msgspec.Struct, frozen=True, kw_only=True):
    """The surroundings of a run."""

    run: str
    request: Request
    operator: str
    version: str
    simulated: bool
    speed: float = 1.0
    folder: StateFolder
    journal: Journal
    tail: Tail
    site: Site
    catalog: Catalog
    hosts: Mapping[str, Host]
    pool: Executor
    hub: Hub
    policy: Policy = Policy()

    def run_row(self) -> RunRow:
        """The run as the journal has it now."""
        row = self.tail.run(self.run)
        if row is None:
            raise LookupError(f"run {self.run} is not in the journal")
        return row


class Subject(msgspec.Struct, frozen=True):
    """What an attempt is about."""

    cell: AnyCell
    image: Image
    model: ModelCard
    workload: Workload


class Ledger:
    """One attempt's page in the journal: its row, and a pen for its events."""

    def __init__(self, office: Office, attempt: str) -> None:
        self.office = office
        self.attempt = attempt

    def row(self) -> AttemptRow:
        """The attempt as the journal has it now."""
        row = self.office.tail.attempt(self.attempt)
        if row is None:
            raise LookupError(f"attempt {self.attempt} is not in the journal")
        return row

    def events(self, kind: type[E]) -> tuple[E, ...]:
        """Every event of one kind that this attempt has had, oldest first."""
        found = self.office.tail.of_attempt(self.attempt, kind)
        return tuple(item.event for item in found if isinstance(item.event, kind))

    def subject(self) -> Subject:
        """Cell, image, model and workload. Raises the catalog's errors when a name is gone."""
        cell = decode_cell(self.row().cell)
        catalog = self.office.catalog
        return Subject(cell, catalog.image(cell.image), catalog.model(cell.model), registry()[cell.workload])

    def stop_asked(self) -> bool:
        """True when somebody wants this attempt, or its whole run, to end."""
        return bool(self.row().stop_asked or self.office.run_row().stop_asked)

    def envelope(self, event: Event, part: str | None = None) -> Envelope:
        """An event of this attempt, dated now."""
        return dated(self.office.run, event, self.attempt, part)

    async def tell(self, *events: Event, part: str | None = None) -> None:
        """Journal events; returns after the commit."""
        await self.office.journal.append([self.envelope(event, part) for event in events])

    async def enter(self, stage: Stage, detail: str = "") -> None:
        """Journal a stage, unless the attempt is in it already."""
        row = self.row()
        if row.stage is not stage or (detail and detail != row.detail):
            await self.tell(StageEntered(stage, detail))
