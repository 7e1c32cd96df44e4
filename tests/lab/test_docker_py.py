"""docker-py works against the stand-in, through a forwarded socket of a real SSH connection."""

import asyncio
import io
import shutil
import tarfile
import tempfile
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import docker
import docker.errors
import pytest

if TYPE_CHECKING:
    from tests.lab.conftest import Client, Kit

Ask = Callable[..., Any]


@pytest.fixture
async def api(client: "Client") -> AsyncIterator[Any]:
    # socket paths are limited to about 100 bytes, which pytest's own folders exceed
    folder = Path(tempfile.mkdtemp(prefix="lab"))
    await client.ssh.forward_local_path(str(folder / "d"), "/var/run/docker.sock")
    made = await asyncio.to_thread(docker.APIClient, base_url=f"unix://{folder / 'd'}", version="auto", timeout=30)
    yield made
    await asyncio.to_thread(made.close)
    shutil.rmtree(folder)


async def test_a_whole_life(api: Any, kit: "Kit") -> None:
    def life() -> None:
        assert api.api_version == "1.41"
        assert api.ping() is True
        assert api.inspect_image(kit.image)["RepoTags"] == [kit.image]
        assert [image["RepoTags"] for image in api.images("rocm/vllm")] == [[kit.image]]
        config = api.create_host_config(binds=["/data/huggingface:/m:ro"], devices=["/dev/kfd:/dev/kfd:rwm"])
        made = api.create_container(
            kit.image, ["lab-count", "12"], name="job", labels={"instinct": "1"}, host_config=config
        )
        with pytest.raises(docker.errors.APIError) as taken:
            api.create_container(kit.image, ["true"], name="job")
        assert taken.value.status_code == 409
        api.start(made["Id"])
        assert api.wait(made["Id"]) == {"Error": None, "StatusCode": 0}
        assert api.logs(made["Id"], stdout=True, stderr=False).count(b"\n") == 11
        stream = api.logs(made["Id"], stream=True, follow=True, timestamps=True)
        assert sum(1 for _ in stream) == 12
        assert api.inspect_container("job")["State"]["ExitCode"] == 0
        assert [one["Id"] for one in api.containers(all=True, filters={"label": "instinct"})] == [made["Id"]]
        api.remove_container("job")
        with pytest.raises(docker.errors.NotFound):
            api.inspect_container("job")

    await asyncio.to_thread(life)


async def test_stop_kill_events_and_attach(api: Any, kit: "Kit") -> None:
    def life() -> None:
        api.create_container(kit.image, ["sleep", "infinity"], name="job")
        api.start("job")
        api.stop("job", timeout=1)
        assert api.inspect_container("job")["State"]["ExitCode"] == 143
        seen = api.events(since=1, until=4_000_000_000, filters={"container": "job"}, decode=True)
        actions = [next(seen)["Action"] for _ in range(5)]
        assert actions == ["create", "start", "kill", "die", "stop"]
        api.create_container(kit.image, ["lab-count", "200", "5"], name="live")
        api.start("live")
        # docker-py drops what arrives in one piece with the answer's head, so only the end is certain
        pieces = b"".join(api.attach("live", stream=True, logs=True)).decode().splitlines()
        assert pieces[-20:] == [f"line {number}" for number in range(180, 200)]

    await asyncio.to_thread(life)


async def test_pull_and_archive(api: Any, kit: "Kit") -> None:
    def life() -> None:
        lines = list(api.pull("rocm/vllm", tag="rocm6.4.1_vllm_0.10.0_20250812", stream=True, decode=True))
        assert lines[-1]["status"].startswith("Status: Downloaded newer image")
        with pytest.raises(docker.errors.NotFound, match="manifest unknown"):
            api.pull("rocm/vllm", tag="nosuch")
        api.create_container(kit.image, ["true"], name="job")
        tar = io.BytesIO()
        with tarfile.open(fileobj=tar, mode="w") as out:
            info = tarfile.TarInfo("a.txt")
            info.size = 2
            out.addfile(info, io.BytesIO(b"hi"))
        assert api.put_archive("job", "/tmp", tar.getvalue())
        chunks, stat = api.get_archive("job", "/tmp/a.txt")
        assert (stat["name"], stat["size"]) == ("a.txt", 2)
        with tarfile.open(fileobj=io.BytesIO(b"".join(chunks))) as read:
            assert read.getnames() == ["a.txt"]
        with pytest.raises(docker.errors.NotFound):
            api.get_archive("job", "/tmp/b.txt")

    await asyncio.to_thread(life)
