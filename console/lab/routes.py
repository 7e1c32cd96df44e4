"""The Docker Engine API, version 1.41, over one host's engine stand-in."""

import asyncio
import contextlib
import json
import re
import tarfile
from collections.abc import AsyncIterator, Awaitable, Callable

from console.lab.clock import parse_since
from console.lab.containers import Container
from console.lab.engine import API, Engine
from console.lab.http import Answer, ApiError, Hijack, Reader, Reply, Request, Stream, Writer
from console.lab.logs import STDERR, STDOUT, frame

_VERSIONED = re.compile(r"/v(\d+)\.(\d+)(/.*)")
Call = Callable[[Engine, Request, str], Awaitable[Answer]]


async def answer(engine: Engine, request: Request) -> Answer:
    """Answer one request; ApiError in the engine's form for everything it refuses."""
    path = request.path
    if match := _VERSIONED.fullmatch(path):
        if (int(match[1]), int(match[2])) > tuple(int(part) for part in API.split(".")):
            asked = f"{match[1]}.{match[2]}"
            raise ApiError(400, f"client version {asked} is too new. Maximum supported API version is {API}")
        path = match[3]
    for method, pattern, call in _ROUTES:
        found = pattern.fullmatch(path)
        if found and request.method in method:
            return await call(engine, request, found[1] if pattern.groups else "")
    raise ApiError(404, "page not found")


def _filters(request: Request) -> dict[str, list[str]]:
    """Filters in either of Docker's two forms: lists, or objects of true."""
    text = request.query.get("filters") or "{}"
    try:
        given = json.loads(text)
        return {key: [str(value) for value in values] for key, values in given.items()}
    except (ValueError, AttributeError, TypeError) as error:
        raise ApiError(400, f"invalid filter: {text}") from error


def _since(request: Request, name: str) -> int | None:
    try:
        return parse_since(request.query.get(name))
    except ValueError as error:
        raise ApiError(400, f"invalid value for {name}: {error}") from error


async def _ping(engine: Engine, request: Request, _: str) -> Answer:
    return Reply(body=b"OK", headers=[("Content-Type", "text/plain; charset=utf-8"), ("Cache-Control", "no-cache")])


async def _version(engine: Engine, request: Request, _: str) -> Answer:
    return Reply(value=engine.version())


async def _info(engine: Engine, request: Request, _: str) -> Answer:
    return Reply(value=engine.info())


async def _events(engine: Engine, request: Request, _: str) -> Answer:
    chunks = engine.events.stream(_filters(request), _since(request, "since"), _since(request, "until"))
    return Stream(chunks, "application/json")


# -------------------------------------------------------------------- images


async def _images(engine: Engine, request: Request, _: str) -> Answer:
    return Reply(value=engine.images.listed(_filters(request)))


async def _image(engine: Engine, request: Request, name: str) -> Answer:
    return Reply(value=engine.images.get(name).inspect())


async def _image_remove(engine: Engine, request: Request, name: str) -> Answer:
    image = engine.images.get(name)
    users = [one for one in engine.containers.values() if one.image.id == image.id]
    if users and not request.flag("force"):
        text = f"container {users[0].id[:12]} is using its referenced image {image.id[7:19]}"
        raise ApiError(409, f'conflict: unable to remove repository reference "{name}" (must force) - {text}')
    return Reply(value=engine.images.remove(name))


async def _image_create(engine: Engine, request: Request, _: str) -> Answer:
    source = request.query.get("fromSrc")
    if source is not None:
        name, _colon, in_name = request.query.get("repo", "").partition(":")
        image = engine.images.import_tar(name, request.query.get("tag", "") or in_name, request.body, request.size)
        return Stream(_once(json.dumps({"status": image.id}).encode() + b"\r\n"), "application/json")
    name = request.query.get("fromImage", "")
    tag = request.query.get("tag", "")
    if "@" in name:
        name, _at, tag = name.partition("@")
    elif ":" in name.rpartition("/")[2]:
        name, _colon, tag = name.rpartition(":")
    return Stream(await engine.images.pull(name, tag or "latest"), "application/json")


async def _image_load(engine: Engine, request: Request, _: str) -> Answer:
    image = engine.images.import_tar("lab/loaded", "latest", request.body, request.size)
    return Stream(_once(json.dumps({"stream": f"Loaded image ID: {image.id}\n"}).encode()), "application/json")


async def _once(data: bytes) -> AsyncIterator[bytes]:
    yield data


# -------------------------------------------------------------------- containers


async def _containers(engine: Engine, request: Request, _: str) -> Answer:
    found = engine.listed(_filters(request), everything=request.flag("all"))
    limit = int(request.query.get("limit") or 0)
    return Reply(value=found[:limit] if limit > 0 else found)


async def _create(engine: Engine, request: Request, _: str) -> Answer:
    container = engine.create(request.query.get("name", ""), request.json())
    return Reply(201, {"Id": container.id, "Warnings": []})


async def _inspect(engine: Engine, request: Request, key: str) -> Answer:
    return Reply(value=engine.find(key).inspect())


async def _start(engine: Engine, request: Request, key: str) -> Answer:
    return Reply(204 if engine.start(engine.find(key)) else 304)


async def _stop(engine: Engine, request: Request, key: str) -> Answer:
    return Reply(204 if await engine.stop(engine.find(key)) else 304)


async def _kill(engine: Engine, request: Request, key: str) -> Answer:
    await engine.kill(engine.find(key), request.query.get("signal") or "KILL", key)
    return Reply(204)


async def _remove(engine: Engine, request: Request, key: str) -> Answer:
    await engine.remove(engine.find(key), force=request.flag("force"))
    return Reply(204)


async def _wait(engine: Engine, request: Request, key: str) -> Answer:
    condition = request.query.get("condition") or "not-running"
    if condition not in ("not-running", "next-exit", "removed"):
        raise ApiError(400, f"invalid condition: {condition!r}")
    return Stream(_waiting(engine.find(key), condition), "application/json")


async def _waiting(container: Container, condition: str) -> AsyncIterator[bytes]:
    yield b""
    if condition == "removed":
        await container.removed.wait()
    elif condition == "next-exit":
        await container.next_exit.wait()
    elif container.status == "running":
        await container.ended.wait()
    yield json.dumps({"Error": None, "StatusCode": container.exit_code}, separators=(",", ":")).encode() + b"\n"


async def _logs(engine: Engine, request: Request, key: str) -> Answer:
    container = engine.find(key)
    streams = frozenset(number for name, number in (("stdout", STDOUT), ("stderr", STDERR)) if request.flag(name))
    if not streams:
        raise ApiError(400, "Bad parameters: you must choose at least one stream")
    tail = request.query.get("tail", "all")
    chunks = container.log.read(
        streams=streams,
        follow=request.flag("follow"),
        timestamps=request.flag("timestamps"),
        since=_since(request, "since"),
        until=_since(request, "until"),
        tail=int(tail) if tail.isdigit() else None,
    )
    return Stream(chunks)


async def _attach(engine: Engine, request: Request, key: str) -> Answer:
    container = engine.find(key)
    streams = {number for name, number in (("stdout", STDOUT), ("stderr", STDERR)) if request.flag(name)}
    stdin = request.flag("stdin") and bool(container.body.get("OpenStdin"))
    live = request.flag("stream")
    past = container.log.past() if request.flag("logs") else b""
    engine.events.emit("container", "attach", container.id, {**container.labels, "name": container.name})

    async def talk(reader: Reader, writer: Writer, early: bytes) -> None:
        queue = container.log.attach()
        if container.status == "exited":
            queue.put_nowait(None)
        feed = asyncio.create_task(_feed_stdin(container, reader, early, stdin))
        try:
            writer.write(past)
            if live and stdin and not streams:
                # nothing is asked for: the engine is done when it has handed over what came
                await feed
                return
            while live and (entry := await queue.get()) is not None:
                if entry.stream in streams:
                    writer.write(frame(entry.stream, entry.data))
                    await writer.drain()
            if stdin and not live:
                await feed
        finally:
            container.log.detach(queue)
            feed.cancel()
            with contextlib.suppress(asyncio.CancelledError, OSError):
                await feed

    return Hijack(talk)


async def _feed_stdin(container: Container, reader: Reader, early: bytes, stdin: bool) -> None:
    data = early
    while True:
        if data and stdin:
            container.stdin.put_nowait(data)
        data = await reader.read(65536)
        if not data:
            break
    if stdin and container.body.get("StdinOnce"):
        container.stdin.put_nowait(b"")


async def _archive(engine: Engine, request: Request, key: str) -> Answer:
    container = engine.find(key)
    path = request.query.get("path", "")
    if request.method == "PUT":
        try:
            container.files.unpack(path, request.body)
        except tarfile.TarError as error:
            raise ApiError(400, f"archive: {error}") from error
        except OSError as error:
            raise ApiError(403, "container rootfs is marked read-only") from error
        return Reply()
    found = container.files.archive(path)
    if found is None:
        raise ApiError(404, f"Could not find the file {path} in container {key}")
    headers = [("Content-Type", "application/x-tar"), ("X-Docker-Container-Path-Stat", found[1])]
    return Reply(body=found[0] if request.method == "GET" else b"", headers=headers)


_ROUTES: tuple[tuple[tuple[str, ...], re.Pattern[str], Call], ...] = tuple(
    (tuple(methods.split()), re.compile(pattern), call)
    for methods, pattern, call in (
        ("GET HEAD", r"/_ping", _ping),
        ("GET", r"/version", _version),
        ("GET", r"/info", _info),
        ("GET", r"/events", _events),
        ("GET", r"/images/json", _images),
        ("POST", r"/images/create", _image_create),
        ("POST", r"/images/load", _image_load),
        ("GET", r"/images/(.+)/json", _image),
        ("DELETE", r"/images/(.+)", _image_remove),
        ("GET", r"/containers/json", _containers),
        ("POST", r"/containers/create", _create),
        ("GET", r"/containers/([^/]+)/json", _inspect),
        ("POST", r"/containers/([^/]+)/start", _start),
        ("POST", r"/containers/([^/]+)/stop", _stop),
        ("POST", r"/containers/([^/]+)/kill", _kill),
        ("POST", r"/containers/([^/]+)/wait", _wait),
        ("POST", r"/containers/([^/]+)/attach", _attach),
        ("GET", r"/containers/([^/]+)/logs", _logs),
        ("GET HEAD PUT", r"/containers/([^/]+)/archive", _archive),
        ("DELETE", r"/containers/([^/]+)", _remove),
    )
)
