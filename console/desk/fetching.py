"""Images and models onto hosts, without claiming their GPUs: hosts side by side, a shared cache only once."""

import asyncio
from collections.abc import Callable, Mapping, Sequence
from typing import Literal

import msgspec

from console.catalog.shelf import Catalog
from console.desk import desk
from console.desk.launching import hub
from console.desk.settings import Settings
from console.desk.surveying import open_site, survey
from console.fleet.host import Host
from console.model.cell import AnyCell
from console.model.events import FetchProgress
from console.model.facts import CachedModel, HostFacts, Known, value_or
from console.model.profile import Image, ModelCard
from console.runs import plan as planning
from console.runs.fetching import Hub, fetch_model
from console.runs.request import Request
from console.runs.site import Site, SiteError
from console.workloads.base import registry

OnProgress = Callable[[FetchProgress], None]


class Fetched(msgspec.Struct, frozen=True, kw_only=True):
    """What became of one image or model on one host; `detail` says why it failed or who shares it."""

    host: str
    what: Literal["image", "model"]
    name: str
    state: Literal["present", "fetched", "shared", "failed"]
    detail: str = ""


async def fetch(settings: Settings, request: Request, on_progress: OnProgress) -> tuple[Fetched, ...]:
    """Bring what the chosen cells need onto every chosen host. A failure is a row, never the end of the others."""
    fleet = desk.fleet(settings)
    catalog = desk.catalog(settings, fleet)
    hosts = desk.hosts(fleet, request.hosts)
    cells = planning.chosen_cells(request, catalog)
    pairs = [(catalog.image(cell.image), _model_to_fetch(cell, catalog)) for cell in cells]
    wanted = tuple({(image.ref, model.id): (image, model) for image, model in pairs}.values())
    models = tuple(dict.fromkeys(model.id for _, model in wanted if not model.inside_image))
    async with open_site(fleet) as site:
        seen = await survey(site, hosts, models)
        keepers = _keepers(hosts, seen.facts)
        jobs = [
            _Job(
                site,
                host,
                seen.facts[host.name],
                hub(settings, simulated=fleet.simulated),
                on_progress,
                keepers[host.name],
            ).run(wanted)
            for host in hosts
            if host.name in seen.facts
        ]
        done = await asyncio.gather(*jobs)
    lost = [
        Fetched(host=host, what="image", name=image.ref, state="failed", detail=problem)
        for host, problem in seen.problems.items()
        for image in _images(wanted)
    ]
    return (*(item for items in done for item in items), *lost)


def _model_to_fetch(cell: AnyCell, catalog: Catalog) -> ModelCard:
    """The cell's model; as one that needs no fetching when the workload never reads its files."""
    image, model = catalog.image(cell.image), catalog.model(cell.model)
    if registry()[cell.workload].need(cell, image, model).model_files:
        return model
    return msgspec.structs.replace(model, inside_image=True)


def _keepers(hosts: Sequence[Host], facts: Mapping[str, HostFacts]) -> Mapping[str, str]:
    """Which host fetches for each: the first of those that share a model cache."""
    first: dict[str, str] = {}
    keepers = {}
    for host in hosts:
        cache = facts[host.name].model_cache if host.name in facts else None
        shared = cache.value.shared_id if isinstance(cache, Known) else None
        keepers[host.name] = first.setdefault(shared, host.name) if shared else host.name
    return keepers


class _Job:
    """Everything for one host, one after the other: its disk and its network are the limit."""

    def __init__(
        self, site: Site, host: Host, facts: HostFacts, hub: Hub, on_progress: OnProgress, keeper: str
    ) -> None:
        self._site = site
        self._host = host
        self._facts = facts
        self._hub = hub
        self._on_progress = on_progress
        self._keeper = keeper

    async def run(self, wanted: Sequence[tuple[Image, ModelCard]]) -> Sequence[Fetched]:
        rows = {image.ref: await self._image(image) for image in _images(wanted)}
        found = list(rows.values())
        carriers = {model.id: (image, model) for image, model in reversed(wanted) if not model.inside_image}
        for image, model in carriers.values():
            if rows[image.ref].state == "failed":
                found.append(self._row("model", model.id, "failed", "its image is not there to fetch it with"))
            else:
                found.append(await self._model(image, model))
        return found

    async def _image(self, image: Image) -> Fetched:
        try:
            if await self._site.image(self._host.name, image.ref) is not None:
                return self._row("image", image.ref, "present")
            async for progress in self._site.pull(self._host.name, image.ref):
                self._on_progress(progress)
        except SiteError as error:
            return self._row("image", image.ref, "failed", _why(error))
        return self._row("image", image.ref, "fetched")

    async def _model(self, image: Image, model: ModelCard) -> Fetched:
        if self._cached(model):
            return self._row("model", model.id, "present")
        if self._keeper != self._host.name:
            return self._row("model", model.id, "shared", f"{self._keeper} fetches it into the same folder")
        try:
            async for progress in fetch_model(self._site, self._host, self._facts, image, model, self._hub):
                self._on_progress(progress)
        except SiteError as error:
            return self._row("model", model.id, "failed", _why(error))
        return self._row("model", model.id, "fetched")

    def _cached(self, model: ModelCard) -> bool:
        known: Sequence[CachedModel] = value_or(self._facts.models, ())
        return any(
            item.complete and item.model == model.id and model.revision in (None, item.revision) for item in known
        )

    def _row(
        self,
        what: Literal["image", "model"],
        name: str,
        state: Literal["present", "fetched", "shared", "failed"],
        detail: str = "",
    ) -> Fetched:
        return Fetched(host=self._host.name, what=what, name=name, state=state, detail=detail)


def _images(wanted: Sequence[tuple[Image, ModelCard]]) -> Sequence[Image]:
    return tuple({image.ref: image for image, _ in wanted}.values())


def _why(error: SiteError) -> str:
    return f"{error.message}; {error.remedy}" if error.remedy else error.message
