"""A part becomes a create request, whole, and a line for a person's shell that says the same."""

import shlex
from pathlib import Path
from typing import Any

import msgspec
import pytest

from console.fleet.engine.body import ENTRY, create_body, shell_line
from console.model.launch import Mount, Part
from console.model.profile import ContainerOptions

GOLDEN = Path(__file__).with_name("golden")

VLLM = Part(
    name="main",
    rank=0,
    host="node01",
    container="instinct-claim",
    lead=True,
    image="rocm/vllm@sha256:" + "ab" * 32,
    argv=("python3", "/app/vllm/benchmarks/benchmark_throughput.py", "--model", "amd/Llama-3.1-70B-Instruct-FP8-KV"),
    env={"PYTHONUNBUFFERED": "1", "HF_HUB_CACHE": "/models/hub", "HF_HUB_OFFLINE": "1"},
    labels={"instinct.run": "r01", "instinct": "0.1.0", "instinct.owner": "ada@desk"},
    devices=("/dev/kfd", "/dev/dri/renderD128", "/dev/dri/renderD136"),
    groups=(109, 44),
    mounts=(
        Mount("/data/hugging face", "/models", read_only=True),
        Mount("/var/tmp/instinct", "/out", read_only=False),
    ),
    options=ContainerOptions(
        ipc_host=True, network_host=True, cap_add=("SYS_PTRACE",), security_opt=("seccomp=unconfined",)
    ),
    deadline_s=5400,
    after=None,
    decides=True,
    files=("/tmp/result.json",),
    secrets=("hf_token",),
)

TRAINING = Part(
    name="rank0",
    rank=0,
    host="node02",
    container="instinct-claim",
    lead=True,
    image="rocm/megatron-lm:v25.5_py310",
    argv=("bash", "-c", "cd /workspace/Megatron-LM && TEE_OUTPUT=1 bash examples/llama/train_llama3.sh"),
    env={"MASTER_ADDR": "10.1.0.42"},
    labels={"instinct": "0.1.0"},
    devices=("/dev/kfd", "/dev/dri", "/dev/infiniband"),
    groups=(44,),
    mounts=(),
    options=ContainerOptions(
        ipc_host=True,
        network_host=True,
        shm_bytes=128 << 30,
        privileged=True,
        cap_add=("SYS_PTRACE",),
        security_opt=("seccomp=unconfined",),
        infiniband=True,
    ),
    deadline_s=7200,
    after=None,
    decides=True,
    files=(),
    workdir="/workspace/Megatron-LM",
)


@pytest.mark.parametrize(("name", "part"), [("vllm", VLLM), ("training", TRAINING)])
def test_the_whole_request_is_as_recorded(name: str, part: Part) -> None:
    body = create_body(part)
    assert body["Entrypoint"][2] == ENTRY
    body["Entrypoint"][2] = "(the entry script)"
    text = msgspec.json.format(msgspec.json.encode(body, order="sorted")).decode() + "\n"
    assert text == (GOLDEN / f"{name}.json").read_text()


def test_stdin_and_tmpfs_are_there_only_for_secrets() -> None:
    plain = create_body(msgspec.structs.replace(VLLM, secrets=()))
    assert (plain["OpenStdin"], "Tmpfs" in plain["HostConfig"]) == (False, False)
    assert plain["Entrypoint"][-1] == "-"


@pytest.mark.parametrize("part", [VLLM, TRAINING])
def test_nothing_is_removed_restarted_or_given_a_terminal(part: Part) -> None:
    body = create_body(part)
    host = body["HostConfig"]
    assert (body["Tty"], host["AutoRemove"], host["RestartPolicy"]) == (False, False, {"Name": "no"})
    assert host["LogConfig"] == {"Type": "json-file", "Config": {"max-size": "200m", "max-file": "5"}}


def test_the_request_does_not_depend_on_the_order_of_mappings() -> None:
    env = dict(sorted(VLLM.env.items(), reverse=True))
    turned = msgspec.structs.replace(VLLM, env=env, labels=dict(sorted(VLLM.labels.items(), reverse=True)))
    assert msgspec.json.encode(create_body(turned)) == msgspec.json.encode(create_body(VLLM))


@pytest.mark.parametrize("name", ["HF_TOKEN", "HUGGING_FACE_HUB_TOKEN"])
def test_a_token_in_the_environment_is_refused_without_being_shown(name: str) -> None:
    with pytest.raises(ValueError, match=name) as refused:
        create_body(msgspec.structs.replace(VLLM, env={name: "hf_secretsecret"}))
    assert "hf_secret" not in str(refused.value)


@pytest.mark.parametrize("path", ["relative/path", "/with:colon", ""])
def test_a_path_the_engine_would_read_otherwise_is_refused(path: str) -> None:
    with pytest.raises(ValueError, match="cannot be mounted"):
        create_body(msgspec.structs.replace(VLLM, mounts=(Mount(path, "/models", read_only=True),)))


def test_a_device_may_have_another_path_on_the_host() -> None:
    body = create_body(msgspec.structs.replace(VLLM, devices=("/tmp/stand-in:/dev/kfd",)))
    assert body["HostConfig"]["Devices"] == [
        {"PathOnHost": "/tmp/stand-in", "PathInContainer": "/dev/kfd", "CgroupPermissions": "rwm"}
    ]


def options_of(words: list[str]) -> tuple[dict[str, list[str]], list[str]]:
    """`docker run` words to its options and the rest, the image first."""
    flags = {"--init", "--privileged", "-i"}
    found: dict[str, list[str]] = {}
    at = 0
    while words[at].startswith("-"):
        value = "" if words[at] in flags else words[at + 1]
        found.setdefault(words[at], []).append(value)
        at += 1 if words[at] in flags else 2
    return found, words[at:]


@pytest.mark.parametrize("part", [VLLM, TRAINING])
def test_the_line_for_a_shell_says_what_the_request_says(part: Part) -> None:
    line = shell_line(part)
    words = shlex.split(line.rpartition(" | ")[2])
    assert words[:2] == ["docker", "run"]
    options, (image, *arguments) = options_of(words[2:])
    body: dict[str, Any] = create_body(part)
    host = body["HostConfig"]
    assert image == body["Image"]
    assert [*options["--entrypoint"], *arguments] == [*body["Entrypoint"], *body["Cmd"]]
    assert options["-e"] == body["Env"]
    assert dict(item.split("=", 1) for item in options["--label"]) == body["Labels"]
    assert options.get("-v", []) == host["Binds"]
    assert options["--device"] == [device["PathOnHost"] for device in host["Devices"]]
    assert options["--group-add"] == host["GroupAdd"]
    assert options.get("--cap-add", []) == host["CapAdd"]
    assert options["--security-opt"] == host["SecurityOpt"]
    assert ("--privileged" in options) == host["Privileged"]
    assert options["--network"] == [host["NetworkMode"]]
    assert options["--ipc"] == [host["IpcMode"]]
    assert options.get("--shm-size", []) == ([f"{host['ShmSize']}b"] if "ShmSize" in host else [])
    assert options["--ulimit"] == ["memlock=-1:-1"]
    assert options.get("-w", []) == ([body["WorkingDir"]] if "WorkingDir" in body else [])
    assert ("-i" in options) == body["OpenStdin"]
    assert "-t" not in options
    assert "--rm" not in options


def test_the_line_takes_the_token_from_the_persons_own_environment() -> None:
    assert shell_line(VLLM).startswith("printf '\\nbegin\\nhf_token %s\\nend\\n' \"$HF_TOKEN\" | docker run -i ")
    assert " | " not in shell_line(TRAINING).partition("docker run")[0]


def test_the_short_line_is_the_program_alone() -> None:
    line = shell_line(TRAINING, entry=False)
    words = shlex.split(line)
    assert words[words.index(TRAINING.image) :] == [TRAINING.image, *TRAINING.argv[1:]]
    assert "\n" not in line
    assert "-e HF_TOKEN --entrypoint python3 " in shell_line(VLLM, entry=False)
