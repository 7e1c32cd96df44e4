"""One probe of one host: a single script in a single session, and everything but the engine's own word out of it."""

import time
from collections.abc import Mapping, Sequence

import msgspec

from console.fleet.host import Host
from console.fleet.link import ChannelRefused, CommandFailed, Link
from console.fleet.probe import gpu, host, software, storage
from console.fleet.script import Section, by_name, clock, compose, new_nonce, sections
from console.model.facts import Clock, DockerAccess, HostFacts, Known, Unknown
from console.model.text import clean_line

AREAS = (host.AREA, gpu.AREA, software.AREA, storage.AREA)
TIMEOUT_S = 90.0


async def survey(
    link: Link, of: Host, *, models: Sequence[str] = (), simulated: bool = False, timeout_s: float = TIMEOUT_S
) -> HostFacts:
    """Facts of a host, `engine` excepted. Raises LinkError classes; what cannot be read is unknown, with why.

    `models` are the repository ids to look for in the model cache. `simulated`: the fleet file says it is the lab's.
    """
    nonce = new_nonce()
    script = compose(AREAS, _values(of, models), nonce)
    sent = time.time_ns()
    done = await link.run(script, timeout_s=timeout_s)
    received = time.time_ns()
    found = by_name(sections(done.stdout, nonce))
    if not found:
        said = clean_line(done.stderr or done.stdout) or f"exit {done.exit_code}"
        raise CommandFailed(
            of.name, f"the probe did not run: {said}", "does the account have a shell?", exit_code=done.exit_code
        )
    facts = read(found, of, models, simulated=simulated, read_at_ns=received)
    offset = clock(found, sent, received)
    return msgspec.structs.replace(
        facts,
        clock=Known(offset, "date") if offset is not None else _no_clock(of),
        docker=await _checked(link, facts.docker, found),
    )


def read(
    found: Mapping[str, Section], of: Host, models: Sequence[str] = (), *, simulated: bool = False, read_at_ns: int = 0
) -> HostFacts:
    """Facts from the sections of a probe. Pure: the same for a live host, a capture and a test."""
    graphics = gpu.parse(found)
    places = storage.parse(found)
    unset = Unknown("no model_cache in the fleet file", f"[hosts.{of.name}]")
    return HostFacts(
        host=of.name,
        read_at_ns=read_at_ns,
        system=host.parse(found),
        driver=graphics.driver,
        gpus=graphics.gpus,
        docker=software.parse(found),
        docker_storage=places.docker_storage,
        infiniband=graphics.infiniband,
        model_cache=places.model_cache if of.model_cache else unset,
        scratch=places.scratch,
        models=storage.cached_models(found, models) if of.model_cache else unset,
        simulated=simulated,
    )


def _values(of: Host, models: Sequence[str]) -> dict[str, str]:
    folders = dict.fromkeys(folder for model in models if (folder := storage.folder_of(model)) is not None)
    return {
        "ROOT": (of.root or "").rstrip("/"),
        "SOCKET": of.docker_socket or "",
        "SUDO_DOCKER": "yes" if "docker" in of.sudo else "",
        "SCRATCH": of.scratch,
        "MODEL_CACHE": (of.model_cache or "").rstrip("/"),
        "MODELS": " ".join(folders),
    }


def _no_clock(of: Host) -> Known[Clock] | Unknown:
    if of.root:
        return Unknown("facts are read from a folder, which has no clock", of.root)
    return Unknown("the host's date prints no nanoseconds", "", ("date", "+%s%N"))


async def _checked(
    link: Link, access: Known[DockerAccess] | Unknown, found: Mapping[str, Section]
) -> Known[DockerAccess] | Unknown:
    """Try the channel itself: the SSH server may forbid sockets, and then a docker command on the host stands in."""
    if isinstance(access, Unknown) or access.value.argv:
        return access
    try:
        _, writer = await link.open_unix(access.value.socket)
    except ChannelRefused as error:
        if error.reason == "forwarding" and software.has_command(found):
            return Known(msgspec.structs.replace(access.value, argv=software.DIAL), "docker system dial-stdio")
        return Unknown(error.message, error.remedy, ("docker", "version"))
    writer.close()
    return access
