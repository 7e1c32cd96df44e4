"""A plan as people read it: counted first, commands that can be pasted, findings by what they mean."""

import json
import shlex
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from tests.cli.conftest import RunCli

PAPER = ("plan", "vllm-0.8.5-throughput", "--server", "mi300x-2x9654", "--only", "output_len==4096")


def test_the_attempts_are_counted_first(cli: "RunCli") -> None:
    lines = cli(*PAPER, "--repeat", "3").out.splitlines()

    assert lines[0] == "6 attempts: 2 cells, on paper, 3 repeats each"
    assert lines[1].startswith("machine time: start-up ")


def test_repeats_of_a_cell_are_told_once(cli: "RunCli") -> None:
    heads = [line for line in cli(*PAPER, "--repeat", "3").out.splitlines() if line[:2] in ("1.", "2.", "3.")]

    assert len(heads) == 2
    assert all(head.endswith("x3") for head in heads)


def test_the_command_can_be_pasted_and_is_the_json_plans(cli: "RunCli") -> None:
    commands = [line.split(None, 1)[1] for line in cli(*PAPER).out.splitlines() if line.split(None, 1)[:1] == ["run"]]
    nodes = [item["nodes"][0] for item in json.loads(cli(*PAPER, "--json").out)]

    assert len(commands) == len(nodes) == 2
    for command, node in zip(commands, nodes, strict=True):
        words = shlex.split(command)
        assert words[:2] == ["docker", "run"]
        assert words[-len(node["argv"]) + 1 :] == node["argv"][1:]
        assert words[words.index("--entrypoint") + 1] == node["argv"][0]
        given = {words[i + 1] for i, word in enumerate(words) if word == "-e"}
        assert {f"{name}={value}" for name, value in node["env"].items()} <= given


def test_times_are_told_apart_and_disk_and_devices_named(cli: "RunCli") -> None:
    out = cli(*PAPER).out

    assert "   time     fetch none, start-up " in out
    assert ", measuring " in out
    assert "   disk     " in out
    assert "   devices  /dev/kfd /dev/dri/renderD128 " in out


def test_what_is_run_otherwise_than_published_says_why(cli: "RunCli") -> None:
    out = cli("plan", "vllm-0.8.5-latency", "--server", "mi300x-2x9654", "--only", "model~405B and batch_size==1").out

    assert "   differs  published " in out
    assert " running " in out


def test_training_rows_are_planned_rank_by_rank(cli: "RunCli") -> None:
    out = cli("plan", "megatron-25.5-llama", "--server", "mi300x-2x9654").out

    assert out.startswith("8 attempts: 8 cells, on paper")
    assert "block" not in out
    assert "rank 7 on mi300x-2x9654-7" in out
    assert "NODE_RANK=7" in out


@pytest.mark.parametrize("place", ["each", "spread"])
def test_unreachable_hosts_block_their_attempts(cli: "RunCli", fleet_file: object, place: str) -> None:
    done = cli("plan", "vllm-0.8.5-throughput", "--only", "output_len==4096", "--place", place)

    attempts = 6 if place == "each" else 2
    assert done.out.startswith(f"{attempts} attempts: 2 cells on 3 hosts; {attempts} blocked, 0 spoiled, 0 ready\n")
    assert done.code == 3
