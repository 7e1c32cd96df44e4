"""The stand-in and a real Docker Engine answer the same requests with the same status and the same words."""

import asyncio
import io
import re
import tarfile
from collections.abc import AsyncIterator, Awaitable, Callable
from typing import TYPE_CHECKING, Any

import pytest

if TYPE_CHECKING:
    from tests.lab.conftest import Answer, Client, Kit

SOCKET = "/var/run/docker.sock"
IMAGE = "instinct-lab-test/empty:1"
NAME = "instinct-lab-test"
Call = Callable[..., Awaitable["Answer"]]

pytestmark = pytest.mark.real


def empty_archive() -> bytes:
    """A root file system with a group file and nothing to run."""
    tar = io.BytesIO()
    with tarfile.open(fileobj=tar, mode="w") as out:
        info = tarfile.TarInfo("etc/group")
        info.size = 8
        out.addfile(info, io.BytesIO(b"root:x:0"))
    return tar.getvalue()


@pytest.fixture
async def real(kit: "Kit", require_real: Callable[[bool, str], None]) -> AsyncIterator[Call]:
    async def call(method: str, path: str, body: Any = None) -> "Answer":
        try:
            reader, writer = await asyncio.open_unix_connection(SOCKET)
        except OSError as error:
            require_real(False, f"a Docker Engine on {SOCKET} ({error})")
            raise
        try:
            return await kit.channel(reader, writer).request(method, path, body)
        finally:
            writer.close()

    version = (await call("GET", "/version")).json["Version"]
    require_real(version.startswith("20.10."), f"Docker Engine 20.10 (here {version}, whose words may differ)")
    yield call
    await call("DELETE", f"/containers/{NAME}?force=1")
    await call("DELETE", f"/images/{IMAGE}?force=1")


async def conversation(call: Call) -> list[tuple[str, int, str]]:
    """The same requests to any engine; ids are taken out of the words."""
    seen: list[tuple[str, int, str]] = []

    async def ask(method: str, path: str, body: Any = None) -> None:
        answer = await call(method, path, body)
        said = answer.json.get("message", "") if answer.status >= 400 and answer.body else ""
        seen.append((f"{method} {path}", answer.status, re.sub(r"[0-9a-f]{64}", "ID", said)))

    def asked(argv: list[str], **host_config: Any) -> dict[str, Any]:
        return {"Image": IMAGE, "Cmd": argv, "HostConfig": host_config}

    device = {"PathOnHost": "/dev/nosuch", "PathInContainer": "/dev/nosuch", "CgroupPermissions": "rwm"}
    repository, _, tag = IMAGE.partition(":")
    await ask("GET", "/_ping")
    await ask("POST", f"/images/create?fromSrc=-&repo={repository}&tag={tag}", empty_archive())
    await ask("GET", "/nothing-here")
    await ask("GET", "/v1.99/info")
    await ask("GET", f"/images/{NAME}/json")
    await ask("GET", f"/containers/{NAME}/json")
    await ask("POST", f"/containers/create?name={NAME}", {"Image": f"{NAME}:none", "Cmd": ["x"]})
    await ask("POST", f"/containers/create?name={NAME}", {"Image": IMAGE})
    await ask("POST", "/containers/create?name=x", asked(["x"]))
    mount = {"Type": "bind", "Source": "/nosuchdir", "Target": "/x"}
    await ask("POST", f"/containers/create?name={NAME}", asked(["x"], Mounts=[mount]))
    for body in (asked(["x"], GroupAdd=["render"]), asked(["x"], Devices=[device]), asked(["nosuchprog"])):
        await ask("POST", f"/v1.41/containers/create?name={NAME}", body)
        await ask("POST", f"/containers/create?name={NAME}", body)
        await ask("POST", f"/containers/{NAME}/start")
        state = (await call("GET", f"/containers/{NAME}/json")).json["State"]
        seen.append((f"{state['Status']} {state['StartedAt']}", state["ExitCode"], state["Error"]))
        await ask("POST", f"/containers/{NAME}/stop")
        await ask("POST", f"/containers/{NAME}/kill")
        await ask("GET", f"/containers/{NAME}/logs")
        await ask("GET", f"/containers/{NAME}/logs?stdout=1&follow=1")
        await ask("GET", f"/containers/{NAME}/archive?path=/nosuch")
        await ask("GET", f"/containers/{NAME}/archive?path=/etc/nosuch/deeper")
        await ask("DELETE", f"/containers/{NAME}")
    await ask("DELETE", f"/containers/{NAME}")
    await ask("POST", f"/containers/{NAME}/wait")
    return seen


async def test_the_same_conversation_goes_the_same_way(real: Call, client: "Client") -> None:
    assert await conversation(client.call) == await conversation(real)


async def test_inspect_has_the_same_keys_where_it_has_any(real: Call, client: "Client") -> None:
    records = []
    for call in (client.call, real):
        repository, _, tag = IMAGE.partition(":")
        await call("POST", f"/images/create?fromSrc=-&repo={repository}&tag={tag}", empty_archive())
        body = {"Image": IMAGE, "Cmd": ["x"], "Labels": {"a": "b"}, "HostConfig": {"Binds": ["/tmp:/t:ro"]}}
        await call("POST", f"/containers/create?name={NAME}", body)
        records.append((await call("GET", f"/containers/{NAME}/json")).json)
    ours, theirs = records
    assert set(ours) <= set(theirs)
    for part in ("State", "Config", "HostConfig"):
        assert set(ours[part]) <= set(theirs[part])
    assert set(ours["State"]) == set(theirs["State"])
    assert ours["Mounts"] == theirs["Mounts"]
    for key in ("Path", "Args", "Name", "Driver"):
        assert ours[key] == theirs[key]
    for key in ("Cmd", "Entrypoint", "Labels", "OpenStdin", "Tty", "Image"):
        assert ours["Config"][key] == theirs["Config"][key]
