"""A plan as people read it: counted first, commands that can be pasted, findings by what they mean."""

import json
import re
import shlex
import shutil
import subprocess
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from console.catalog.shelf import shipped_folder

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


def test_sizes_that_no_source_states_are_not_told_as_none(cli: "RunCli") -> None:
    paper = ("plan", "megatron-25.5-llama", "--server", "mi300x-2x9654", "--only", "nodes==1 and model~8B")
    out = cli(*paper).out

    assert "   disk     an unknown size for the image, which no source states" in out
    assert json.loads(cli(*paper, "--json").out)[0]["unsized"] == ["image"]


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


TRAINING = ("megatron-25.5-llama", "megatron-25.5-deepseek", "pytorch-25.5-mi300x", "pytorch-25.5-mi325x")


def test_what_a_person_would_type_is_a_script_for_every_training_row(cli: "RunCli") -> None:
    out = cli("plan", *TRAINING, "--server", "mi300x-2x9654", "--by-hand").out

    subprocess.run(["bash", "-n"], input=out, text=True, check=True)
    lines = out.splitlines()
    assert sum(line.startswith("docker run --rm -it ") for line in lines) == 46
    assert sum(line.startswith("cd /workspace/") for line in lines) == 46
    heads = [line for line in lines if re.match(r"# \d+\. ", line)]
    assert len(heads) == 24
    assert "instinct set-up" not in out, "the wrapper that a run uses is not what one types"
    assert {word for line in lines for word in line.split() if "HF_TOKEN" in word} == {"HF_TOKEN"}
    assert len([line for line in lines if line.startswith("# recipe reconstructed: ")]) == 8
    eight = out[out.index("8n-mbs2-gbs1024") :].split("\n\n")[0]
    assert [line for line in eight.splitlines() if line.startswith("# rank")][-1] == "# rank 7, on mi300x-2x9654-7"
    assert eight.count("NODE_RANK=") == 8


def test_an_inference_row_by_hand_is_one_command(cli: "RunCli") -> None:
    lines = [line for line in cli(*PAPER, "--by-hand").out.splitlines() if line.startswith("docker run")]

    assert len(lines) == 2
    assert all("--entrypoint" in line and "-it" not in shlex.split(line) for line in lines)
    assert not any("--label" in line for line in lines)


def test_a_training_row_is_shown_by_hand_and_kept_exact_in_json(cli: "RunCli") -> None:
    words = ("plan", "megatron-25.5-llama", "--server", "mi300x-2x9654", "--only", "nodes==2 and model~Llama-3.1")
    out = cli(*words).out
    [attempt] = json.loads(cli(*words, "--json").out)
    node = attempt["nodes"][1]

    assert "   recipe   reconstructed: the guide gives the command; " in out
    assert "instinct set-up" not in out
    assert "instinct set-up" in node["argv"][2]
    assert (attempt["recipe"], attempt["recipe_source"][:9]) == ("reconstructed", "the guide")
    assert node["by_hand"]["lines"][-1].endswith("bash examples/llama/train_llama3.sh")
    assert f"            {node['by_hand']['lines'][-1]}" in out.splitlines()
    assert f"   by hand  {node['by_hand']['start']}" in out.splitlines()


@pytest.mark.parametrize("place", ["each", "spread"])
def test_unreachable_hosts_block_their_attempts(cli: "RunCli", fleet_file: object, place: str) -> None:
    done = cli("plan", "vllm-0.8.5-throughput", "--only", "output_len==4096", "--place", place)

    attempts = 6 if place == "each" else 2
    assert done.out.startswith(f"{attempts} attempts: 2 cells on 3 hosts; {attempts} blocked, 0 spoiled, 0 ready\n")
    assert done.code == 3


def test_a_row_without_gpus_gets_no_device(cli: "RunCli", tmp_path: Path) -> None:
    shutil.copytree(shipped_folder() / "examples" / "own-program", tmp_path / "own")
    file = tmp_path / "own" / "matrices" / "rccl-bandwidth.toml"
    file.write_text(file.read_text().replace("gpus_per_node = 8", "gpus_per_node = 0"))
    image = next((tmp_path / "own" / "images").glob("*.toml"))
    image.write_text(image.read_text().replace("infiniband = true", "infiniband = false"))
    words = ("plan", "rccl-bandwidth", "--profiles", str(tmp_path / "own"), "--server", "mi300x-2x9654")

    [attempt] = json.loads(cli(*words, "--json").out)
    assert (attempt["nodes"][0]["devices"], attempt["nodes"][0]["groups"]) == ([], [])
    assert not [finding for finding in attempt["findings"] if finding["effect"] == "block"]
    out = cli(*words).out
    assert "   devices  none" in out.splitlines()
    assert "--device" not in out
