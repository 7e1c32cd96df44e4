"""From a request to a conducted run: plan, open, conduct here or detached."""

import asyncio
import os
import subprocess
import sys
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import msgspec

from console import __version__
from console.desk import desk, token
from console.desk.errors import DeskError
from console.desk.settings import Settings
from console.desk.surveying import Ask, Surveyed, survey, use_site
from console.fleet.host import Fleet, Host
from console.runs import conductor
from console.runs import plan as planning
from console.runs.docker_site import DockerSite
from console.runs.fetching import Hub
from console.runs.office import Office
from console.runs.plan import Plan
from console.runs.request import Request
from console.store.journal import Journal
from console.store.paths import make_private
from console.store.records import RunRow
from console.store.tail import Tail

WORKERS = 4
POLL_S = 0.1


class Planned(msgspec.Struct, frozen=True, kw_only=True):
    """A plan, and the look at the hosts it rests on; nobody was asked for a plan on paper."""

    plan: Plan
    surveyed: Surveyed
    simulated: bool
    speed: float = 1.0


async def make_plan(
    settings: Settings,
    request: Request,
    *,
    ask: Ask | None = None,
    site: DockerSite | None = None,
    looking: Callable[[], object] = lambda: None,
) -> Planned:
    """Survey the hosts a request means and plan it on them; with `server`, plan on paper and ask nobody.

    `looking` is called when everything asked for was understood and hosts are asked. Raises the errors of the catalog,
    the fleet file and the plan.
    """
    if request.server is not None:
        catalog = desk.fleet_catalog(settings)
        return Planned(plan=planning.make(request, catalog, (), {}), surveyed=Surveyed({}, {}), simulated=False)
    fleet = desk.fleet(settings)
    catalog = desk.catalog(settings, fleet)
    desk.check_servers(fleet, catalog)
    hosts = desk.hosts(fleet, request.hosts)
    cells = planning.chosen_cells(request, catalog)
    cards = (catalog.model(cell.model) for cell in cells)
    models = tuple(dict.fromkeys(card.id for card in cards if not card.inside_image))
    looking()
    async with use_site(fleet, site, ask) as used:
        seen = await survey(used, hosts, models)
    plan = planning.make(request, catalog, hosts, seen.answers)
    simulated = fleet.simulated or any(facts.simulated for facts in seen.facts.values())
    return Planned(plan=plan, surveyed=seen, simulated=simulated, speed=fleet.speed)


def plan_json(plan: Plan) -> list[dict[str, Any]]:
    """The plan as other programs read it."""
    return planning.as_json(plan)


async def open_run(settings: Settings, planned: Planned) -> str:
    """Journal a run and its attempts; its id. Raises StoreError."""
    async with _journal(settings) as journal:
        return await conductor.open_run(
            planned.plan,
            journal,
            operator=settings.operator.value,
            version=__version__,
            simulated=planned.simulated,
            speed=planned.speed,
        )


async def conduct(settings: Settings, run: str, *, site: DockerSite | None = None) -> None:
    """Bring a run to its end from this process. Cancelling leaves its containers running for a later `conduct`.

    Raises RunHeld when another process conducts it, DeskError when the fleet file lacks one of its hosts.
    """
    folder = desk.folder(settings)
    fleet = desk.fleet(settings)
    catalog = desk.catalog(settings, fleet)
    with Tail(folder) as tail, ThreadPoolExecutor(WORKERS, thread_name_prefix="conduct") as pool:
        row = tail.find_run(run)
        hosts = _hosts_of(row, fleet)
        async with _journal(settings) as journal, use_site(fleet, site) as used:
            await conductor.conduct(
                Office(
                    run=row.run,
                    request=msgspec.json.decode(row.plan, type=Request),
                    operator=settings.operator.value,
                    version=__version__,
                    simulated=fleet.simulated or row.simulated,
                    speed=fleet.speed,
                    folder=folder,
                    journal=journal,
                    tail=tail,
                    site=used,
                    catalog=catalog,
                    hosts=hosts,
                    pool=pool,
                    hub=hub(settings, simulated=fleet.simulated or row.simulated),
                )
            )


LAB_TOKEN = "lab-placeholder-token"  # noqa: S105 - opens nothing; a real one never goes to the lab


def hub(settings: Settings, *, simulated: bool) -> Hub:
    """Where models come from: HF_ENDPOINT when it is set; secrets are looked up at the moment they are asked for.

    The lab is given a placeholder, never the operator's own token.
    """

    def secrets(names: Sequence[str]) -> Mapping[str, str]:
        if "hf_token" not in names:
            return {}
        if simulated:
            return {"hf_token": LAB_TOKEN}
        found = token.find(settings)
        return {"hf_token": found.reveal()} if found is not None else {}

    endpoint = os.environ.get("HF_ENDPOINT") or None
    return Hub(endpoint=endpoint, operator=settings.operator.value, secrets=secrets)


def detach(settings: Settings, run: str) -> "subprocess.Popen[bytes]":
    """Start a conductor that outlives this process and its terminal; what it says goes to a file of the store."""
    argv = [sys.executable, "-m", "console", "run", "--resume", run, "--conductor"]
    argv += ["--store", str(settings.store.value), "--fleet", str(settings.fleet.value)]
    if settings.config.origin != "default":
        file = settings.config.value
        argv += ["--config", str(file if file.is_file() else file.parent)]
    for folder in settings.profiles.value:
        argv += ["--profiles", str(folder)]
    with conductor_log(settings, run).open("ab") as log:
        return subprocess.Popen(
            argv,
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=log,
            start_new_session=True,
            cwd="/",
            env={**os.environ, "INSTINCT_OPERATOR": settings.operator.value},
        )


def conductor_log(settings: Settings, run: str) -> Path:
    """Where a detached conductor writes what it has to say."""
    return make_private(desk.folder(settings).root / "conductors") / f"{run}.log"


async def wait_for_conductor(settings: Settings, run: str, process: "subprocess.Popen[bytes]") -> None:
    """Come back when the detached process conducts the run. Raises DeskError with its last words when it ended.

    One that ended since another was quicker is no trouble: the run is conducted.
    """
    lock = desk.folder(settings).run_lock(run)
    with desk.tail(settings) as tail:
        while True:
            ended = process.poll() is not None  # asked first: what it did before its end is in the journal then
            row = tail.find_run(run)
            if row.conductor_pid == process.pid:
                return
            if ended:
                if lock.holder() is not None:
                    return
                said = conductor_log(settings, run).read_text("utf-8", "replace").strip().splitlines()
                why = said[-1].removeprefix("instinct: ") if said else "it said nothing"
                raise DeskError(f"the conductor of {run} ended at once: {why}; then `instinct run --resume {run}`")
            await asyncio.sleep(POLL_S)


async def wait_for_end(settings: Settings, run: str) -> None:
    """Come back when the run is closed, or nobody conducts it any more."""
    folder = desk.folder(settings)
    with Tail(folder) as tail:
        while True:
            if tail.find_run(run).closed_at_ns is not None or folder.run_lock(run).holder() is None:
                return
            await asyncio.sleep(POLL_S)


def _hosts_of(row: RunRow, fleet: Fleet) -> Mapping[str, Host]:
    known = {host.name: host for host in fleet.hosts}
    missing = [name for name in row.hosts if name not in known]
    if missing:
        raise DeskError(
            f"{fleet.path}: no host {', '.join(missing)}, which run {row.run} is on; name its fleet file with --fleet"
        )
    return {name: known[name] for name in row.hosts}


@asynccontextmanager
async def _journal(settings: Settings) -> AsyncIterator[Journal]:
    journal = Journal(desk.folder(settings))
    try:
        yield journal
    finally:
        journal.close()
