"""What a front may ask of the rooms. Joins them, holds no state, returns values."""

import functools
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any

import msgspec

from console.catalog.errors import CatalogError, suggestion
from console.desk.errors import DeskError
from console.desk.settings import Settings, key_problems
from console.fleet import inventory
from console.fleet.host import Fleet, FleetError, Host
from console.store.paths import StateFolder
from console.store.records import RunRow
from console.store.tail import Tail

if TYPE_CHECKING:
    from console.catalog import shelf
    from console.model.profile import GpuSpec


def fleet(settings: Settings) -> Fleet:
    """The fleet file in force. Raises DeskError when there is none, FleetError when it cannot be used."""
    path = settings.fleet.value
    if not path.is_file():
        raise DeskError(
            f"{path}: no such fleet file; write it, fill it with `instinct hosts add`, or give --fleet FILE"
        )
    return inventory.load(path)


def hosts(fleet: Fleet, selection: str | None) -> tuple[Host, ...]:
    """The chosen hosts, every host when nothing is said. Raises FleetError on an unknown name or an empty choice."""
    return fleet.hosts if selection is None else inventory.select(fleet, selection)


def catalog(settings: Settings, fleet: Fleet | None = None) -> "shelf.Catalog":
    """Shipped profiles, the user's, and those a fleet file brings (the lab's do). Raises CatalogError, DeskError."""
    folders = [*settings.profiles.value, *(fleet.catalogs if fleet else ())]
    for folder in folders:
        if not folder.is_dir():
            raise DeskError(f"{folder}: no such profile folder")
    import console.workloads  # noqa: F401 - importing it fills the registry that the catalog checks rows against
    from console.catalog import shelf

    return shelf.load(folders)


def check_servers(fleet: Fleet, catalog: "shelf.Catalog") -> None:
    """A host held against a profile that is not there would be held against nothing. Raises DeskError."""
    wrong: dict[str, list[str]] = {}
    for host in fleet.hosts:
        if host.server is not None and host.server not in catalog.servers:
            wrong.setdefault(host.server, []).append(host.name)
    if wrong:
        raise DeskError(
            "\n".join(
                f"{fleet.path}: no server profile is called {name!r}, which {of[0]}"
                + (f" and {len(of) - 1} more" if of[1:] else "")
                + f" is held against{suggestion(name, catalog.servers)}"
                for name, of in wrong.items()
            )
        )


def fleet_catalog(settings: Settings) -> "shelf.Catalog":
    """As `catalog`, with what the fleet file brings when there is a fleet file."""
    return catalog(settings, fleet(settings) if settings.fleet.value.is_file() else None)


def gpu_specs(settings: Settings) -> Callable[[], "Mapping[str, GpuSpec]"]:
    """GPU specifications by name, loaded when they are asked for first."""
    return functools.cache(lambda: fleet_catalog(settings).gpus)


def profile(catalog: "shelf.Catalog", name: str) -> dict[str, Any]:
    """One entry of any kind, as plain data; a matrix in the form other programs rely on. Raises UnknownName."""
    from console.catalog import shelf

    if name in catalog.matrices:
        return shelf.describe(catalog.matrices[name])
    for kind, entries in (
        ("server", catalog.servers),
        ("gpu", catalog.gpus),
        ("image", catalog.images),
        ("model", catalog.models),
    ):
        if name in entries:
            return {"kind": kind, **msgspec.to_builtins(entries[name])}
    return shelf.describe(catalog.matrix(name))


def profile_problems(settings: Settings) -> tuple[str, ...]:
    """What is wrong with the profiles, one line each."""
    try:
        fleet_catalog(settings)
    except (CatalogError, DeskError) as error:
        return tuple(str(error).splitlines())
    except FleetError:
        return ()  # the fleet file is not a profile; `config check` speaks of it
    return ()


def problems(settings: Settings) -> tuple[str, ...]:
    """What is wrong with the keys, the fleet file and the profiles, one line each; the configuration has been read."""
    found = [*key_problems(settings)]
    if settings.fleet.value.is_file() or settings.fleet.origin != "default":
        try:
            read = fleet(settings)
        except (FleetError, DeskError) as error:
            found += str(error).splitlines()
        else:
            found += _server_problems(settings, read)
    return (*found, *profile_problems(settings))


def _server_problems(settings: Settings, fleet: Fleet) -> list[str]:
    try:
        check_servers(fleet, catalog(settings, fleet))
    except CatalogError:
        return []  # told as a problem of the profiles
    except DeskError as error:
        return str(error).splitlines()
    return []


def profile_schemas() -> dict[str, dict[str, Any]]:
    """JSON Schemas of the profile files by kind."""
    from console.catalog import shelf

    return shelf.schemas()


def folder(settings: Settings) -> StateFolder:
    """The state folder, made when absent. Raises StoreError where a journal would not be safe."""
    return StateFolder.open(settings.store.value)


def tail(settings: Settings) -> Tail:
    """A reader of the journal. Raises StoreError."""
    return Tail(folder(settings))


def runs(settings: Settings) -> tuple[RunRow, ...]:
    """Every run in the store, newest first."""
    with_runs = tail(settings).runs()
    return tuple(sorted(with_runs, key=lambda row: row.opened_at_ns, reverse=True))
