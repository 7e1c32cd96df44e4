"""A played server and its client, in two containers of one host, with /metrics through the SSH connection."""

import asyncio
import json
import re
import tarfile
from collections.abc import AsyncIterator
from io import BytesIO
from pathlib import Path
from typing import TYPE_CHECKING, Any

import asyncssh
import pytest

from console.lab.up import Lab

if TYPE_CHECKING:
    from tests.lab.conftest import Client, Kit

MODEL = "amd/Llama-3.1-70B-Instruct-FP8-KV"
CACHE: dict[str, Any] = {
    "Env": ["HF_HUB_OFFLINE=1", "HF_HUB_CACHE=/c/hub"],
    "HostConfig": {"Privileged": True, "Binds": ["/data/huggingface:/c:ro"], "NetworkMode": "host"},
}
SERVER = (
    f"vllm serve {MODEL} --host 127.0.0.1 --port 8000 --tensor-parallel-size 8 --max-model-len 8192 --enforce-eager"
)
LOAD = (
    f"--model {MODEL} --port 8000 --dataset-name random --random-input-len 1024 --random-output-len 1024 --ignore-eos "
    "--request-rate inf --num-prompts 2000 --max-concurrency 256 --percentile-metrics ttft,tpot,itl,e2el "
    "--save-result --result-dir /tmp --result-filename r.json"
)


@pytest.fixture
async def lab(folder: Path) -> AsyncIterator[Lab]:
    async with Lab(folder / "lab", hosts=1, speed=1000.0) as running:
        yield running


async def metrics(client: "Client") -> dict[str, float]:
    reader, writer = await client.ssh.open_connection("127.0.0.1", 8000, encoding=None)
    writer.write(b"GET /metrics HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n")
    text = (await reader.read()).decode()
    return {name: float(value) for name, value in re.findall(r"^(vllm:\w+)\{.*\} (\S+)$", text, re.M)}


async def serving(client: "Client", kit: "Kit") -> None:
    async def up() -> bool:
        return "Application startup complete." in await client.text("server")

    await kit.eventually(up)


async def test_a_client_loads_a_server_and_both_tell_the_same(client: "Client", kit: "Kit") -> None:
    await client.create("server", SERVER.split(), **CACHE)
    await client.start("server")
    await serving(client, kit)
    idle = await metrics(client)
    assert idle["vllm:generation_tokens_total"] == 0
    await client.create("bench", ["vllm", "bench", "serve", *LOAD.split()], **CACHE)
    await client.start("bench")

    async def loaded() -> bool:
        return (await metrics(client))["vllm:num_requests_running"] > 0

    await kit.eventually(loaded)
    first = await metrics(client)
    assert first["vllm:num_requests_running"] <= 256
    assert (await client.call("POST", "/containers/bench/wait")).json["StatusCode"] == 0
    assert (await metrics(client))["vllm:generation_tokens_total"] > 0
    archive = (await client.call("GET", "/containers/bench/archive?path=/tmp/r.json")).body
    with tarfile.open(fileobj=BytesIO(archive)) as tar:
        member = tar.extractfile("r.json")
        assert member is not None
        result = json.load(member)
    text = await client.text("bench")
    shown = dict(re.findall(r"^(\S.*?):\s+([\d.]+)\s*$", text, re.M))
    assert float(shown["Output token throughput (tok/s)"]) == pytest.approx(result["output_throughput"], abs=0.01)
    assert result["output_throughput"] == pytest.approx(result["total_output_tokens"] / result["duration"])
    assert (result["completed"], result["total_output_tokens"]) == (2000, 2000 * 1024)
    assert result["request_rate"] == "inf"
    assert "request_goodput:" in result
    assert "Avg generation throughput" in await client.text("server")


async def test_a_client_without_a_server_fails_as_the_real_one(client: "Client") -> None:
    code = await client.run("bench", ["vllm", "bench", "serve", *LOAD.split()], **CACHE)
    assert code == 1
    assert "Initial test run failed" in await client.text("bench")


async def test_a_taken_port_is_refused(client: "Client", kit: "Kit") -> None:
    await client.create("server", SERVER.split(), **CACHE)
    await client.start("server")
    await serving(client, kit)
    assert await client.run("second", SERVER.split(), **CACHE) == 1
    assert "address already in use" in await client.text("second")
    await client.call("POST", "/containers/server/stop")
    await asyncio.sleep(0)
    with pytest.raises(asyncssh.ChannelOpenError, match="refused"):
        await metrics(client)
