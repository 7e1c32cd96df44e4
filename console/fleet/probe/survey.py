"""One probe of one host: a single script in a single session, and everything but the engine's own word out of it."""

import asyncio
import contextlib
import time
from collections.abc import Mapping, Sequence

import msgspec

from console.fleet.host import Host
from console.fleet.link import ChannelRefused, CommandFailed, Completed, Link
from console.fleet.probe import acs, driver, gpu, host, kernel_log, kfd, net, smi, software, storage
from console.fleet.script import Area, Section, by_name, clock, compose, new_nonce, sections
from console.model.facts import Clock, DockerAccess, HostFacts, Known, Unknown
from console.model.text import clean_line

GRAPHICS = Area("gpu", kfd.SCRIPT + driver.SCRIPT + gpu.SCRIPT, lambda found: found)
AREAS = (host.AREA, software.AREA, storage.AREA, net.AREA, kernel_log.AREA, GRAPHICS, smi.AREA, acs.AREA)
"""In order: what cannot hang first, then the log that tells why something hangs, then what may."""
TIMEOUT_S = 90.0


class Answer(msgspec.Struct, frozen=True):
    """The raw answer of a probe: its sections, and our clock before and after."""

    sections: tuple[Section, ...]
    sent_ns: int
    received_ns: int


async def ask(
    link: Link,
    of: Host,
    *,
    models: Sequence[str] = (),
    tools: bool = True,
    timeout_s: float = TIMEOUT_S,
    deadline_s: float | None = None,
) -> Answer:
    """Run the script of the probe. With `deadline_s`, what had arrived by then is the answer instead of TimedOut."""
    nonce = new_nonce()
    script = compose(AREAS, script_values(of, models, tools=tools), nonce)
    sent = time.time_ns()
    if deadline_s is None:
        done = await link.run(script, timeout_s=timeout_s)
    else:
        done = await _until(link, script, deadline_s)
    received = time.time_ns()
    found = sections(done.stdout, nonce)
    if not found and deadline_s is None:
        said = clean_line(done.stderr or done.stdout) or f"exit {done.exit_code}"
        raise CommandFailed(
            of.name, f"the probe did not run: {said}", "does the account have a shell?", exit_code=done.exit_code
        )
    return Answer(found, sent, received)


async def _until(link: Link, script: bytes, deadline_s: float) -> Completed:
    output = bytearray()
    with contextlib.suppress(TimeoutError, CommandFailed):
        async with asyncio.timeout(deadline_s):
            reader, writer = await link.open_command(("/bin/sh", "-s"))
            try:
                writer.write(script)
                await writer.drain()
                while data := await reader.read(1 << 16):
                    output += data
            finally:
                writer.close()
    return Completed(bytes(output), b"", 0)


async def survey(
    link: Link,
    of: Host,
    *,
    models: Sequence[str] = (),
    simulated: bool = False,
    timeout_s: float = TIMEOUT_S,
    tools: bool = True,
    deadline_s: float | None = None,
) -> HostFacts:
    """Facts of a host, `engine` excepted. Raises LinkError classes; what cannot be read is unknown, with why.

    `models` are the repository ids to look for in the model cache. `simulated`: the fleet file says it is the lab's.
    `tools=False` leaves amd-smi and rocm-smi out, which take a second a piece. `deadline_s`: never raises TimedOut;
    what has not been read by then is unknown.
    """
    answer = await ask(link, of, models=models, tools=tools, timeout_s=timeout_s, deadline_s=deadline_s)
    found = by_name(answer.sections)
    facts = read(found, of, models, simulated=simulated, read_at_ns=answer.received_ns)
    offset = clock(found, answer.sent_ns, answer.received_ns)
    return msgspec.structs.replace(
        facts,
        clock=Known(offset, "date") if offset is not None else _no_clock(of),
        docker=await _checked(link, facts.docker, found),
    )


def read(
    found: Mapping[str, Section], of: Host, models: Sequence[str] = (), *, simulated: bool = False, read_at_ns: int = 0
) -> HostFacts:
    """Facts from the sections of a probe. Pure: the same for a live host, a capture and a test."""
    nodes = kfd.kfd_nodes(found.get("gpu.kfd"))
    drivers = driver.parse(found, {node.gpu_id: node.bdf for node in nodes if node.gpu_id})
    graphics = gpu.parse(found, drivers.amdgpu_loaded, nodes)
    gpus = graphics.gpus
    if isinstance(gpus, Known):
        gpus = Known(smi.enrich(gpus.value, found), gpus.source)
    network = net.parse(found)
    places = storage.parse(found)
    unset = Unknown("no model_cache in the fleet file", f"[hosts.{of.name}]")
    return HostFacts(
        host=of.name,
        read_at_ns=read_at_ns,
        system=msgspec.structs.replace(host.parse(found), acs_bridges=acs.parse(found)),
        driver=smi.versions(drivers, found),
        gpus=gpus,
        other_gpus=graphics.others,
        docker=software.parse(found),
        docker_storage=places.docker_storage,
        infiniband=network.infiniband,
        rdma=network.rdma,
        nics=network.nics,
        providers=network.providers,
        listening=network.listening,
        kernel_log=kernel_log.parse(found),
        model_cache=places.model_cache if of.model_cache else unset,
        scratch=places.scratch,
        shared_memory=places.shared_memory,
        models=storage.cached_models(found, models) if of.model_cache else unset,
        simulated=simulated,
    )


def script_values(of: Host, models: Sequence[str], *, tools: bool) -> dict[str, str]:
    """What the script of the probe is given for a host, as variables."""
    folders = dict.fromkeys(folder for model in models if (folder := storage.folder_of(model)) is not None)
    return {
        "ROOT": (of.root or "").rstrip("/"),
        "SOCKET": of.docker_socket or "",
        "SUDO_DOCKER": "yes" if "docker" in of.sudo else "",
        "SUDO_PROBE": "yes" if "probe" in of.sudo else "",
        "TOOLS": "yes" if tools else "",
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
