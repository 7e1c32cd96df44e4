"""Claims, refusals, secrets, deadlines and files on a real Docker Engine."""

import asyncio
import os
import shlex
import subprocess
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

import msgspec
import pytest

from console.fleet.engine.body import create_body, secrets_input, shell_line
from console.fleet.engine.client import Engine
from console.fleet.engine.entry import DEADLINE_EXIT, DEADLINE_REACHED, STARTED, WAITING_FOR_SECRETS, is_blocked
from console.fleet.engine.errors import ContainerAbsent, EngineError, FileAbsent, FileTooLarge, NameTaken
from console.fleet.engine.follow import logs, write_stdin
from console.model.attempt import FailureClass
from console.model.facts import DockerAccess
from console.model.launch import LABEL, LABEL_OWNER, LABEL_RUN, Mount, Part
from console.model.profile import ContainerOptions

pytestmark = pytest.mark.real

MakePart = Callable[..., Part]
Make = Callable[[Part], Awaitable[str]]
Ended = Callable[[str], Awaitable[Any]]
Printed = Callable[[str, str], Awaitable[str]]
Sh = Callable[..., subprocess.CompletedProcess[str]]
Device = Callable[[int], str]


async def output(engine: Engine, container: str) -> str:
    return b"".join([f.data async for batch in logs(engine, container, follow=False) for f in batch]).decode()


async def test_of_sixteen_racers_for_a_name_one_wins_and_the_others_learn_who(engine: Engine, a_part: MakePart) -> None:
    part = a_part("true")
    tries = await asyncio.gather(
        *(engine.create(part.container, create_body(part)) for _ in range(16)), return_exceptions=True
    )
    (winner,) = [item for item in tries if isinstance(item, str)]
    losers = [item for item in tries if isinstance(item, NameTaken)]
    assert len(losers) == 15
    assert {loser.holder.id for loser in losers if loser.holder} == {winner}
    assert losers[0].failure is FailureClass.HOST_BUSY


async def test_a_start_that_fails_leaves_nothing_when_told_so(engine: Engine, a_part: MakePart, create: Make) -> None:
    part = a_part("true", devices=("/dev/not-there:/dev/kfd",))
    made = await create(part)
    with pytest.raises(EngineError, match="gathering device information"):
        await engine.start(made)
    assert (await engine.inspect(made)).state == "created"
    with pytest.raises(EngineError, match="gathering device information"):
        await engine.start(made, discard_if_failed=True)
    assert await engine.find(part.container) is None


async def test_a_host_without_kfd_is_told_as_such(engine: Engine, a_part: MakePart, create: Make) -> None:
    made = await create(a_part("true", devices=("/dev/kfd-of-no-driver:/dev/kfd",)))
    with pytest.raises(EngineError) as refused:
        await engine.start(made)
    assert refused.value.failure is FailureClass.NO_KFD


async def test_a_group_by_name_is_refused_and_one_by_number_gets_in(
    engine: Engine, a_part: MakePart, launch: Make, ended: Ended, device: Device
) -> None:
    part = a_part("true")
    body = create_body(part)
    body["HostConfig"]["GroupAdd"] = ["render"]
    made = await engine.create(part.container, body)
    with pytest.raises(EngineError, match="Unable to find group render") as refused:
        await engine.start(made, discard_if_failed=True)
    assert refused.value.failure is FailureClass.GROUP_MISSING

    script = 'id -G; ls -ln /dev/kfd; [ -c /dev/kfd ] && [ "$(stat -c %g /dev/kfd)" = 4711 ] && echo passed'
    made = await launch(a_part(script, devices=(f"{device(4711)}:/dev/kfd",), groups=(4711,)))
    assert (await ended(made)).exit_code == 0
    said = await output(engine, made)
    assert "4711" in said.split("\n")[1]
    assert "passed" in said


async def test_a_token_is_in_the_container_and_nowhere_else(
    engine: Engine, a_part: MakePart, launch: Make, ended: Ended, printed: Printed, sh: Sh
) -> None:
    token = "hf_" + os.urandom(20).hex()
    script = 'wc -c <"$HF_TOKEN_PATH"; echo reading; while [ ! -e /tmp/go ]; do sleep 0.1; done'
    made = await launch(a_part(script, secrets=("hf_token",)))
    await printed(made, WAITING_FOR_SECRETS)
    await write_stdin(engine, made, secrets_input({"hf_token": token}))
    log = await printed(made, "reading")
    assert f"{len(token)}\n" in log
    assert token not in sh("docker", "inspect", made).stdout
    assert token not in sh("ps", "axewwww").stdout
    layer = sh("docker", "inspect", "-f", "{{.GraphDriver.Data.UpperDir}}", made).stdout.strip()
    record = f"/var/lib/docker/containers/{made}"
    assert token in sh("docker", "exec", made, "cat", "/run/instinct/hf_token").stdout
    assert sh("grep", "-r", "-c", "reading", record).stdout  # the search does find what is there
    assert sh("grep", "-r", "-l", token, layer, record).stdout == ""
    sh("docker", "exec", made, "touch", "/tmp/go")
    seen = await ended(made)
    assert seen.exit_code == 0
    assert sh("grep", "-r", "-l", token, layer, record).stdout == ""
    assert token.encode() not in seen.raw


async def test_a_secret_may_be_given_before_the_start(
    engine: Engine, a_part: MakePart, create: Make, ended: Ended
) -> None:
    made = await create(a_part('cat "$HF_TOKEN_PATH" | wc -c', secrets=("hf_token",)))
    giving = asyncio.create_task(write_stdin(engine, made, secrets_input({"hf_token": "hf_early"})))
    await asyncio.sleep(0.2)
    await engine.start(made)
    await giving
    assert (await ended(made)).exit_code == 0
    assert "8\n" in await output(engine, made)


async def test_a_delivery_cut_off_halfway_can_be_made_again(
    engine: Engine, a_part: MakePart, launch: Make, ended: Ended, printed: Printed
) -> None:
    made = await launch(a_part('wc -c <"$HF_TOKEN_PATH"', secrets=("hf_token",)))
    await printed(made, WAITING_FOR_SECRETS)
    whole = secrets_input({"hf_token": "hf_twelve_123"})
    await write_stdin(engine, made, whole[:20])
    assert is_blocked((await output(engine, made)).encode())
    await write_stdin(engine, made, whole)
    assert (await ended(made)).exit_code == 0
    assert "13\n" in await output(engine, made)


async def test_input_for_a_container_that_ended_is_refused(
    engine: Engine, a_part: MakePart, launch: Make, ended: Ended
) -> None:
    made = await launch(a_part("true", secrets=("hf_token",), deadline_s=1))
    await ended(made)
    with pytest.raises(EngineError, match="ended with exit code 124"):
        await write_stdin(engine, made, b"x")


async def test_the_deadline_ends_a_container_that_nobody_watches(
    engine: Engine, a_part: MakePart, launch: Make, sh: Sh
) -> None:
    made = await launch(a_part("setsid sleep 9753 & sleep 9754", deadline_s=2))
    await engine.close()  # from here on only the container itself can end it
    assert sh("docker", "wait", made).stdout == f"{DEADLINE_EXIT}\n"
    log = sh("docker", "logs", made).stderr.split("\n")
    assert log[0] == STARTED
    assert DEADLINE_REACHED in log
    assert "sleep 9753" not in sh("ps", "ax").stdout


async def test_a_stop_lets_the_program_end_in_its_grace(
    engine: Engine, a_part: MakePart, launch: Make, printed: Printed
) -> None:
    made = await launch(a_part("trap 'echo tidied up; exit 5' TERM; echo up; while :; do sleep 0.1; done"))
    await printed(made, "up\n")
    await engine.stop(made, 30)
    seen = await engine.inspect(made)
    assert (seen.state, seen.exit_code, seen.ended) == ("exited", 5, True)
    assert "tidied up" in await printed(made, "up\n")
    await engine.stop(made, 30)  # again is no error
    assert await engine.kill(made) is False


async def test_a_stop_kills_what_does_not_listen(
    engine: Engine, a_part: MakePart, launch: Make, printed: Printed
) -> None:
    made = await launch(a_part("trap '' TERM; echo up; while :; do sleep 0.1; done"))
    await printed(made, "up\n")
    await engine.stop(made, 1)
    assert (await engine.inspect(made)).exit_code == 137


async def test_a_file_is_read_from_a_container_that_ended(
    engine: Engine, a_part: MakePart, launch: Make, ended: Ended
) -> None:
    script = (
        """cd /tmp; printf '{"a": 1}' >r.json; ln -s r.json link; head -c 100000 /dev/zero >big; mkdir d; : >empty"""
    )
    made = await launch(a_part(script))
    assert (await ended(made)).exit_code == 0
    assert await engine.get_file(made, "/tmp/r.json", 1000) == b'{"a": 1}'
    assert await engine.get_file(made, "/tmp/empty", 1000) == b""
    assert len(await engine.get_file(made, "/tmp/big", 100_000)) == 100_000
    with pytest.raises(FileTooLarge, match="100000 bytes"):
        await engine.get_file(made, "/tmp/big", 99_999)
    for path in ("/tmp/none.json", "/none/at/all", "/tmp/d", "/tmp/link"):
        with pytest.raises(FileAbsent):
            await engine.get_file(made, path, 1 << 20)
    with pytest.raises(ContainerAbsent):
        await engine.get_file("no-such-container", "/tmp/r.json", 1000)
    assert (await engine.inspect(made)).state == "exited"  # the connection is as good as before


async def test_removing_twice_is_no_error(engine: Engine, a_part: MakePart, create: Make) -> None:
    made = await create(a_part("true"))
    assert await engine.remove(made) is True
    assert await engine.remove(made) is False
    with pytest.raises(ContainerAbsent):
        await engine.inspect(made)


async def test_an_image_that_is_not_there_is_refused_and_never_pulled(engine: Engine, a_part: MakePart) -> None:
    part = a_part("true", image="local/none-such:1")
    with pytest.raises(EngineError) as refused:
        await engine.create(part.container, create_body(part))
    assert refused.value.failure is FailureClass.IMAGE_MISSING
    assert await engine.image("local/none-such:1") is None


async def test_facts_name_ours_and_foreign_containers_with_gpus(
    engine: Engine, a_part: MakePart, launch: Make, mark: str, image: str, sh: Sh
) -> None:
    key, _, value = mark.partition("=")
    labels = {key: value, LABEL: "0", LABEL_OWNER: "ada", LABEL_RUN: "r01"}
    mine = await launch(a_part("sleep 60", container=f"it-{value}-mine", labels=labels))
    foreign = {}
    for name, words in {"gpus": ["--device", "/dev/null:/dev/kfd"], "all": ["--privileged"], "none": []}.items():
        started = sh("docker", "run", "-d", "--label", mark, *words, image, "sleep", "60")
        foreign[name] = started.stdout.strip()
    facts = await engine.engine_facts()
    seen = {item.id: item for item in facts.gpu_containers}
    assert (seen[mine].ours, seen[mine].owner, seen[mine].run, seen[mine].access) == (True, "ada", "r01", "")
    assert (seen[foreign["gpus"]].ours, seen[foreign["gpus"]].access) == (False, "devices")
    assert seen[foreign["all"]].access == "privileged"
    assert foreign["none"] not in seen
    assert image in facts.images
    assert (facts.storage_driver, facts.root_dir) == ("overlay2", "/var/lib/docker")
    assert facts.api
    listed = await engine.containers(label=mark)
    assert {item.id for item in listed} == {mine, *foreign.values()}


async def test_the_line_for_a_shell_starts_the_same_container(
    engine: Engine, a_part: MakePart, create: Make, device: Device, sh: Sh, tmp_path: Path
) -> None:
    script = 'cat "$HF_TOKEN_PATH"; echo " $A; $(id -G); $(pwd)"; exit 3'
    part = a_part(
        script,
        env={"A": "two words 'quoted' $HOME"},
        devices=(f"{device(4711)}:/dev/kfd",),
        groups=(4711,),
        mounts=(Mount(str(tmp_path), "/data", read_only=True),),
        options=ContainerOptions(
            ipc_host=True, network_host=True, shm_bytes=1 << 26, cap_add=("SYS_PTRACE",),
            security_opt=("seccomp=unconfined",), memlock_unlimited=False,
        ),
        secrets=("hf_token",),
        workdir="/tmp",
    )  # fmt: skip
    by_request = await engine.inspect(await create(part))
    by_hand = msgspec.structs.replace(part, container=part.container + "-hand")
    ran = sh("bash", "-c", shell_line(by_hand), HF_TOKEN="hf_mine")
    assert ran.stdout.startswith("hf_mine two words 'quoted' $HOME;")
    assert "4711" in ran.stdout
    assert ran.stdout.endswith("; /tmp\n")
    assert ran.returncode == 3
    one, other = (msgspec.json.decode(item.raw) for item in (by_request, await engine.inspect(by_hand.container)))
    one["HostConfig"]["CapAdd"] = [f"CAP_{name}" for name in one["HostConfig"]["CapAdd"]]  # the command adds the prefix
    assert other["HostConfig"] == {**one["HostConfig"], **_client_defaults(one, other)}
    for key in ("Env", "Labels", "Image", "WorkingDir", "Tty", "OpenStdin", "StopSignal"):
        assert other["Config"].get(key) == one["Config"].get(key), key
    assert _program(one) == _program(other)
    assert "hf_mine" not in shlex.join(_program(other))


def _client_defaults(one: dict[str, Any], other: dict[str, Any]) -> dict[str, Any]:
    """What the docker command fills in with values that mean the same: null or an empty list, -1 or null, …"""
    a, b = one["HostConfig"], other["HostConfig"]
    unset: tuple[Any, ...] = (None, [], {}, "", 0, -1, False, [0, 0])
    return {key: b[key] for key in b if a.get(key) != b[key] and a.get(key) in unset and b[key] in unset}


def _program(inspected: dict[str, Any]) -> list[str]:
    return [*inspected["Config"]["Entrypoint"], *(inspected["Config"]["Cmd"] or [])]


async def test_the_engine_is_reached_through_a_bridge_command_too(
    engine: Engine, engine_at: Callable[[DockerAccess], Engine], a_part: MakePart, launch: Make, printed: Printed
) -> None:
    made = await launch(a_part('wc -c <"$HF_TOKEN_PATH"; echo one; echo two', secrets=("hf_token",)))
    bridge = engine_at(DockerAccess(flavour="docker", socket="", argv=("docker", "system", "dial-stdio")))
    await printed(made, WAITING_FOR_SECRETS)
    await write_stdin(bridge, made, secrets_input({"hf_token": "hf_x"}))
    followed = b"".join([f.data async for batch in logs(bridge, made) for f in batch]).decode()
    assert "4\none\ntwo\n" in followed
    assert (await bridge.inspect(made)).exit_code == 0
    assert await bridge.get_file(made, "/bin/busybox", 10 << 20)
