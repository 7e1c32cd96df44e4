"""The engine stand-in answers as a Docker Engine of API 1.41 does. Messages are those of a real 20.10."""

import io
import json
import tarfile
from typing import TYPE_CHECKING
from urllib.parse import quote

import pytest

from console.lab.up import Lab

if TYPE_CHECKING:
    from tests.lab.conftest import Channel, Client, Kit


async def test_version_and_info_say_that_they_are_simulated(client: "Client") -> None:
    version = (await client.call("GET", "/v1.41/version")).json
    info = (await client.call("GET", "/info")).json
    assert version["Components"][0]["Name"] == "instinct-lab (simulated)"
    assert (version["Version"], version["ApiVersion"]) == ("0.0-lab", "1.41")
    assert (info["ServerVersion"], info["Labels"]) == ("0.0-lab", ["simulated=true"])


async def test_one_channel_serves_many_requests(client: "Client") -> None:
    channel = await client.channel()
    answers = [await channel.request("GET", "/_ping") for _ in range(5)]
    assert [(answer.status, answer.body) for answer in answers] == [(200, b"OK")] * 5
    assert answers[0].headers["api-version"] == "1.41"


@pytest.mark.parametrize(
    ("method", "path", "status", "message"),
    [
        ("GET", "/containers/nope/json", 404, "No such container: nope"),
        ("GET", "/nothing", 404, "page not found"),
        ("GET", "/v1.99/info", 400, "client version 1.99 is too new. Maximum supported API version is 1.41"),
        ("GET", "/images/zzz/json", 404, "no such image: zzz: No such image: zzz:latest"),
        ("POST", "/containers/nope/start", 404, "No such container: nope"),
    ],
)
async def test_what_is_not_there_is_refused_in_the_engines_words(
    client: "Client", method: str, path: str, status: int, message: str
) -> None:
    answer = await client.call(method, path)
    assert (answer.status, answer.message) == (status, message)


async def test_a_container_of_an_unknown_image_is_refused(client: "Client") -> None:
    answer = await client.call("POST", "/containers/create", {"Image": "nope:1", "Cmd": ["true"]})
    assert (answer.status, answer.message) == (404, "No such image: nope:1")


async def test_a_name_is_taken_once(client: "Client", kit: "Kit") -> None:
    holder = await client.create("claim", ["sleep", "infinity"])
    body = {"Image": kit.image, "Cmd": ["true"]}
    answer = await client.call("POST", "/containers/create?name=claim", body)
    assert answer.status == 409
    assert answer.message == (
        f'Conflict. The container name "/claim" is already in use by container "{holder}". You have to remove '
        "(or rename) that container to be able to reuse that name."
    )


async def test_life_of_a_container_in_inspect(client: "Client") -> None:
    await client.create("job", ["lab-count", "3"], Labels={"a": "b"}, Env=["X=1"])
    created = await client.state("job")
    assert (created["Status"], created["StartedAt"]) == ("created", "0001-01-01T00:00:00Z")
    await client.start("job")
    assert (await client.call("POST", "/containers/job/wait")).json == {"Error": None, "StatusCode": 0}
    seen = (await client.call("GET", "/containers/job/json")).json
    assert (seen["State"]["Status"], seen["State"]["ExitCode"], seen["State"]["Running"]) == ("exited", 0, False)
    assert seen["State"]["StartedAt"] < seen["State"]["FinishedAt"]
    assert seen["Config"]["Labels"] == {"a": "b"}
    assert "X=1" in seen["Config"]["Env"]
    assert seen["Name"] == "/job"


async def test_everything_given_at_creation_is_seen_in_inspect(client: "Client") -> None:
    given = {
        "Init": True,
        "Binds": ["/data/huggingface:/models-cache:ro"],
        "GroupAdd": ["109"],
        "LogConfig": {"Type": "json-file", "Config": {"max-size": "200m"}},
        "Devices": [{"PathOnHost": "/dev/kfd", "PathInContainer": "/dev/kfd", "CgroupPermissions": "rwm"}],
        "Ulimits": [{"Name": "memlock", "Soft": -1, "Hard": -1}],
        "NetworkMode": "host",
    }
    await client.create("job", ["true"], HostConfig=given, WorkingDir="/w", StopSignal="SIGTERM")
    seen = (await client.call("GET", "/containers/job/json")).json
    assert {key: seen["HostConfig"][key] for key in given} == given
    assert (seen["Config"]["WorkingDir"], seen["Config"]["StopSignal"]) == ("/w", "SIGTERM")
    assert seen["Mounts"][0]["Source"] == "/data/huggingface"
    assert seen["Mounts"][0]["RW"] is False


async def test_a_bind_takes_a_file_as_well_as_a_folder_and_makes_a_folder_of_what_is_not_there(
    client: "Client", lab: "Lab"
) -> None:
    library = "/usr/local/lib/libbnxt_re-rdmav34.so"
    await client.create("job", ["true"], HostConfig={"Binds": [f"{library}:/lib/x.so:ro", "/new/place:/w"]})
    seen = (await client.call("GET", "/containers/job/json")).json
    assert [mount["Source"] for mount in seen["Mounts"]] == [library, "/new/place"]
    root = next(iter(lab.machines.values())).root
    assert (root / library.lstrip("/")).is_file()
    assert (root / "new/place").is_dir()


async def test_a_missing_device_is_refused_at_start_and_leaves_the_container_created(client: "Client") -> None:
    device = {"PathOnHost": "/dev/nokfd", "PathInContainer": "/dev/nokfd", "CgroupPermissions": "rwm"}
    await client.create("job", ["true"], HostConfig={"Devices": [device]})
    answer = await client.call("POST", "/containers/job/start")
    text = 'error gathering device information while adding custom device "/dev/nokfd": no such file or directory'
    assert (answer.status, answer.message) == (500, text)
    state = await client.state("job")
    assert (state["Status"], state["ExitCode"], state["Error"]) == ("created", 128, text)


async def test_a_group_by_name_is_refused_when_the_image_has_none(client: "Client") -> None:
    await client.create("job", ["true"], HostConfig={"GroupAdd": ["render"]})
    answer = await client.call("POST", "/containers/job/start")
    assert (answer.status, answer.message) == (500, "Unable to find group render: no matching entries in group file")


async def test_a_bind_mount_of_the_mounts_form_needs_its_source(client: "Client", kit: "Kit") -> None:
    mount = {"Type": "bind", "Source": "/nosuch", "Target": "/x"}
    body = {"Image": kit.image, "Cmd": ["true"], "HostConfig": {"Mounts": [mount]}}
    answer = await client.call("POST", "/containers/create?name=job", body)
    assert answer.status == 400
    assert answer.message == 'invalid mount config for type "bind": bind source path does not exist: /nosuch'


async def test_a_missing_program_is_refused_at_start(client: "Client") -> None:
    await client.create("job", ["nosuchprog"])
    answer = await client.call("POST", "/containers/job/start")
    assert answer.status == 400
    assert 'exec: "nosuchprog": executable file not found in $PATH' in answer.message
    assert (await client.state("job"))["ExitCode"] == 127


async def test_stop_kill_and_remove(client: "Client") -> None:
    identity = await client.create("job", ["sleep", "infinity"])
    await client.start("job")
    assert (await client.call("POST", "/containers/job/start")).status == 304
    refused = await client.call("DELETE", "/containers/job")
    assert refused.status == 409
    assert refused.message.startswith(f"You cannot remove a running container {identity}.")
    assert (await client.call("POST", "/containers/job/stop?t=1")).status == 204
    assert (await client.state("job"))["ExitCode"] == 143
    assert (await client.call("POST", "/containers/job/stop")).status == 304
    late = await client.call("POST", "/containers/job/kill")
    assert late.message == f"Cannot kill container: job: Container {identity} is not running"
    await client.start("job")
    assert (await client.call("POST", "/containers/job/kill?signal=SIGKILL")).status == 204
    assert (await client.state("job"))["ExitCode"] == 137
    assert (await client.call("DELETE", "/containers/job")).status == 204
    assert (await client.call("GET", "/containers/job/json")).status == 404


async def test_force_removes_a_running_container_and_wait_for_removal_ends(client: "Client") -> None:
    await client.create("job", ["sleep", "infinity"])
    await client.start("job")
    waiting = await client.channel()
    waiting.send("POST", "/containers/job/wait?condition=removed")
    assert (await waiting.head())[0] == 200
    assert (await client.call("DELETE", "/containers/job?force=1")).status == 204
    assert json.loads(b"".join([chunk async for chunk in waiting.chunks()]))["StatusCode"] == 137


async def test_listing_filters_by_label_name_and_status(client: "Client") -> None:
    await client.create("one", ["true"], Labels={"instinct": "1", "kind": "a"})
    await client.create("two", ["sleep", "infinity"], Labels={"instinct": "1"})
    await client.start("two")

    async def names(query: str, **filters: list[str]) -> list[str]:
        answer = await client.call("GET", f"/containers/json?{query}&filters={quote(json.dumps(filters))}")
        return [item["Names"][0] for item in answer.json]

    assert await names("all=0") == ["/two"]
    assert await names("all=1") == ["/two", "/one"]
    assert await names("all=1", label=["kind=a"]) == ["/one"]
    assert await names("all=1", label=["instinct", "kind"]) == ["/one"]
    assert await names("all=1", name=["^/tw"]) == ["/two"]
    assert await names("all=0", status=["created"]) == ["/one"]


async def test_logs_are_exact_and_keep_the_streams_apart(client: "Client") -> None:
    await client.run("job", ["lab-count", "25"])
    both = await client.logs("job")
    assert [data for _, data in both] == [b"line %d\n" % number for number in range(25)]
    assert [data for stream, data in both if stream == 2] == [b"line 9\n", b"line 19\n"]
    assert await client.logs("job", "stderr=1") == [(2, b"line 9\n"), (2, b"line 19\n")]
    assert [data for _, data in await client.logs("job", "stdout=1&stderr=1&tail=2")] == [b"line 23\n", b"line 24\n"]
    none = await client.call("GET", "/containers/job/logs")
    assert (none.status, none.message) == (400, "Bad parameters: you must choose at least one stream")


async def test_since_takes_up_exactly_at_a_stamp(client: "Client") -> None:
    await client.run("job", ["lab-count", "40"])
    stamped = await client.logs("job", "stdout=1&stderr=1&timestamps=1")
    stamp = stamped[17][1].split(b" ")[0].decode()
    whole = (await client.call("GET", "/containers/job/json")).json["State"]["StartedAt"]
    assert stamp > whole
    seconds = await _epoch(stamp)
    again = await client.logs("job", f"stdout=1&stderr=1&timestamps=1&since={seconds}")
    assert again == stamped[17:]


async def _epoch(stamp: str) -> str:
    from datetime import datetime

    whole, fraction = stamp.rstrip("Z").split(".")
    return f"{int(datetime.fromisoformat(whole + '+00:00').timestamp())}.{fraction}"


async def test_following_ends_when_the_container_ends(client: "Client", kit: "Kit") -> None:
    await client.create("job", ["lab-count", "300", "2"])
    created = await client.call("GET", "/containers/job/logs?stdout=1&follow=1")
    assert (created.status, created.body) == (200, b"")
    await client.start("job")
    followed = await client.call("GET", "/containers/job/logs?stdout=1&stderr=1&follow=1")
    assert len(kit.frames(followed.body)) == 300
    assert (await client.state("job"))["Status"] == "exited"


async def test_attach_delivers_what_is_printed_from_now_on(client: "Client", kit: "Kit") -> None:
    await client.create("job", ["lab-count", "20"])
    channel = await client.channel()
    channel.send("POST", "/containers/job/attach?stream=1&stdout=1&stderr=1")
    assert await _hijacked(channel) == b""
    await client.start("job")
    data = await channel.reader.read()
    assert b"".join(part for _, part in kit.frames(data)).count(b"\n") == 20


async def _hijacked(channel: "Channel") -> bytes:
    """Past the head of an attach answer: what came after it."""
    head = await channel.reader.readuntil(b"\r\n\r\n")
    assert head.startswith(b"HTTP/1.1 200 OK\r\nContent-Type: application/vnd.docker.raw-stream")
    return head.partition(b"\r\n\r\n")[2]


async def test_secrets_over_stdin_and_the_markers_of_the_entry(client: "Client", kit: "Kit") -> None:
    await client.create("job", ["true"], **kit.wrapped(secrets="hf_token"))
    await client.start("job")

    async def blocked() -> bool:
        return (await client.text("job")).endswith("@@instinct waiting for secrets\n")

    await kit.eventually(blocked)
    cut_off = await client.channel()
    cut_off.send("POST", "/containers/job/attach?stream=1&stdin=1")
    await _hijacked(cut_off)
    cut_off.writer.write(b"\nbegin\nhf_token hf_abc")
    cut_off.writer.close()
    await cut_off.writer.wait_closed()
    assert (await client.state("job"))["Running"]
    again = await client.channel()
    again.send("POST", "/containers/job/attach?stream=1&stdin=1", headers={"Connection": "Upgrade", "Upgrade": "tcp"})
    head = await again.reader.readuntil(b"\r\n\r\n")
    assert head.startswith(b"HTTP/1.1 101 UPGRADED")
    again.writer.write(b"\nbegin\nhf_token hf_abcdefgh\nend\n")
    again.writer.write_eof()
    assert (await client.call("POST", "/containers/job/wait")).json["StatusCode"] == 0
    text = await client.text("job")
    marks = ["waiting for secrets", "secrets received", "started"]
    assert text.splitlines() == [f"@@instinct {mark}" for mark in marks]
    assert "hf_abcdefgh" not in (await client.call("GET", "/containers/job/json")).body.decode()


async def test_a_delivery_is_over_when_its_input_is_whatever_the_program_does(client: "Client", kit: "Kit") -> None:
    await client.create("job", ["sleep", "infinity"], **kit.wrapped(secrets="hf_token"))
    await client.start("job")
    channel = await client.channel()
    channel.send("POST", "/containers/job/attach?stream=1&stdin=1")
    await _hijacked(channel)
    channel.writer.write(b"begin\nhf_token hf_abcdefgh\nend\n")
    channel.writer.write_eof()
    assert await channel.reader.read() == b""
    assert (await client.state("job"))["Running"]


async def test_the_deadline_ends_a_program_without_anyone(client: "Client", kit: "Kit") -> None:
    code = await client.run("job", ["sleep", "infinity"], **kit.wrapped(deadline_s=30))
    assert code == 124
    assert (await client.text("job")).endswith("\n@@instinct deadline reached\n")


async def test_a_program_that_is_not_there_ends_a_wrapped_container_with_127(client: "Client", kit: "Kit") -> None:
    assert await client.run("job", ["nosuchprog"], **kit.wrapped()) == 127


async def test_events_are_replayed_and_live(client: "Client") -> None:
    await client.run("early", ["true"], Labels={"instinct": "1"})
    listening = await client.channel()
    filters = quote(json.dumps({"label": ["instinct"], "event": ["die", "create"]}))
    listening.send("GET", f"/events?since=0.1&filters={filters}")
    assert (await listening.head())[0] == 200
    await client.run("other", ["true"])
    await client.run("late", ["false"], Labels={"instinct": "1"})
    seen: list[tuple[str, str, str | None]] = []
    async for chunk in listening.chunks():
        for line in chunk.splitlines():
            event = json.loads(line)
            attributes = event["Actor"]["Attributes"]
            seen.append((event["Action"], attributes["name"], attributes.get("exitCode")))
        if len(seen) == 4:
            break
    assert seen == [
        ("create", "early", None),
        ("die", "early", "0"),
        ("create", "late", None),
        ("die", "late", "1"),
    ]


async def test_archive_gives_a_tar_and_hides_tmpfs(client: "Client", lab: Lab) -> None:
    await client.create("job", ["true"], HostConfig={"Tmpfs": {"/run/instinct": "mode=1777"}, "Binds": ["/w:/w:rw"]})
    tar = io.BytesIO()
    with tarfile.open(fileobj=tar, mode="w") as out:
        info = tarfile.TarInfo("result.json")
        info.size = 7
        out.addfile(info, io.BytesIO(b'{"a":1}'))
    for folder in ("/tmp", "/w", "/run/instinct"):
        assert (await client.call("PUT", f"/containers/job/archive?path={folder}", tar.getvalue())).status == 200
    for path in ("/tmp/result.json", "/w/result.json"):
        answer = await client.call("GET", f"/containers/job/archive?path={path}")
        assert "x-docker-container-path-stat" in answer.headers
        with tarfile.open(fileobj=io.BytesIO(answer.body)) as read:
            member = read.extractfile("result.json")
            assert member is not None
            assert member.read() == b'{"a":1}'
    assert (lab.machines["lab-mi300x-01"].root / "w/result.json").read_bytes() == b'{"a":1}'
    for path in ("/tmp/other", "/run/instinct/result.json"):
        absent = await client.call("GET", f"/containers/job/archive?path={path}")
        assert absent.message == f"Could not find the file {path} in container job"


async def test_pull_shows_progress_by_layer_and_pins_a_digest(client: "Client") -> None:
    tag = "rocm6.4.1_vllm_0.9.1_20250715"
    answer = await client.call("POST", f"/images/create?fromImage=rocm/vllm&tag={tag}")
    lines = [json.loads(line) for line in answer.body.splitlines()]
    assert lines[0] == {"status": "Pulling from rocm/vllm", "progressDetail": {}, "id": tag}
    moving = [line for line in lines if line["status"] == "Downloading"]
    assert all(0 < line["progressDetail"]["current"] <= line["progressDetail"]["total"] for line in moving)
    assert {line["id"] for line in lines if line["status"] == "Pull complete"} == {line["id"] for line in moving}
    assert lines[-1]["status"] == f"Status: Downloaded newer image for rocm/vllm:{tag}"
    seen = (await client.call("GET", f"/images/rocm/vllm:{tag}/json")).json
    pinned = seen["RepoDigests"][0]
    assert pinned.startswith("rocm/vllm@sha256:4a429705fa95")
    assert (await client.call("GET", f"/images/{pinned}/json")).json["Id"] == seen["Id"]
    assert seen["Config"]["Labels"] == {"simulated": "true"}
    again = await client.call("POST", f"/images/create?fromImage={quote(pinned)}")
    assert b"Image is up to date" in again.body


@pytest.mark.parametrize(
    ("image", "tag", "message"),
    [
        ("rocm/vllm", "nosuch", "manifest for rocm/vllm:nosuch not found: manifest unknown: manifest unknown"),
        (
            "nobody/nothing",
            "1",
            "pull access denied for nobody/nothing, repository does not exist or may require 'docker login': "
            "denied: requested access to the resource is denied",
        ),
    ],
)
async def test_pulls_are_refused_in_the_registrys_words(client: "Client", image: str, tag: str, message: str) -> None:
    answer = await client.call("POST", f"/images/create?fromImage={image}&tag={tag}")
    assert (answer.status, answer.message) == (404, message)


async def test_an_imported_image_can_be_run(client: "Client") -> None:
    tar = io.BytesIO()
    with tarfile.open(fileobj=tar, mode="w"):
        pass
    answer = await client.call("POST", "/images/create?fromSrc=-&repo=local/thing&tag=1", tar.getvalue())
    assert answer.status == 200
    assert (await client.call("GET", "/images/local/thing:1/json")).json["RepoDigests"] == []
    made = await client.call("POST", "/containers/create?name=own", {"Image": "local/thing:1", "Cmd": ["echo", "hi"]})
    assert made.status == 201
    await client.start("own")
    await client.call("POST", "/containers/own/wait")
    assert await client.text("own") == "hi\n"


async def test_sixteen_racing_creates_make_one_container(client: "Client", kit: "Kit") -> None:
    import asyncio

    body = {"Image": kit.image, "Cmd": ["true"]}
    calls = [client.call("POST", "/containers/create?name=claim", body) for _ in range(16)]
    statuses = sorted(answer.status for answer in await asyncio.gather(*calls))
    assert statuses == [201] + [409] * 15
