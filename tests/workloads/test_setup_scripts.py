"""Set-up steps inside an image, run by a real bash with stand-ins for what an image has."""

import os
import subprocess
from collections.abc import Callable, Mapping
from pathlib import Path

import pytest

from console.model.attempt import FailureClass
from console.workloads import setup_scripts
from console.workloads.failures import classify
from console.workloads.training import bash

Run = Callable[..., subprocess.CompletedProcess[str]]

HUB = """
import os, sys
from types import SimpleNamespace

class HTTPError(Exception):
    def __init__(self, status):
        super().__init__(f"{status} Client Error")
        self.response = SimpleNamespace(status_code=status)

class constants:
    HF_HUB_CACHE = os.environ.get("HF_HUB_CACHE", os.path.join(os.environ["HOME"], "hub"))

def _remote(repo):
    if os.environ.get("NETWORK") == "none":
        raise ConnectionError("no route")
    if os.environ.get("NETWORK") == "refused":
        raise HTTPError(403)
    print("downloaded", repo)

def hf_hub_download(repo, name, revision, cache_dir=None, local_files_only=False):
    if local_files_only:
        path = os.path.join(os.environ["FAKE_CACHE"], name)
        if not os.path.exists(path):
            raise FileNotFoundError(path)
        return path
    _remote(repo)
    path = os.path.join(os.environ["HOME"], "downloaded " + os.path.basename(name))
    with open(path, "w") as file:
        file.write(f"{repo} {name} {revision}")
    return path

def snapshot_download(repo, local_files_only=False, **other):
    if local_files_only:
        raise FileNotFoundError(repo)
    _remote(repo)
"""


@pytest.fixture
def run(tmp_path: Path) -> Run:
    """Run a script in an image's working folder `work`, with the given files below it."""
    tools, work = tmp_path / "bin", tmp_path / "work"
    for folder in (tools, work, tmp_path / "cache", tmp_path / "python"):
        folder.mkdir()
    (tmp_path / "python" / "huggingface_hub.py").write_text(HUB)
    for name in ("pip", "pip3"):
        (tools / name).write_text("#!/bin/sh\nexit ${PIP:-0}\n")
    (tools / "torchrun").write_text('#!/bin/sh\necho "torchrun $*"\nexit ${TORCHRUN:-0}\n')
    for tool in tools.iterdir():
        tool.chmod(0o755)

    def start(
        script: str, *arguments: str, files: Mapping[str, str] | None = None, **env: str
    ) -> subprocess.CompletedProcess[str]:
        for name, text in (files or {}).items():
            (work / name).parent.mkdir(parents=True, exist_ok=True)
            (work / name).write_text(text)
        return subprocess.run(
            bash(script, *arguments),
            cwd=work,
            env={
                "PATH": f"{tools}:{os.environ['PATH']}",
                "HOME": str(tmp_path),
                "PYTHONPATH": str(tmp_path / "python"),
                "FAKE_CACHE": str(tmp_path / "cache"),
                **env,
            },
            capture_output=True,
            text=True,
            check=False,
        )

    return start


EXAMPLE = "examples/llama/train_llama3.sh"
HIDES = 'eval "torchrun --nnodes 1 |& tee log"\necho "throughput per GPU: 500.0"\n'


def megatron(tmp_path: Path) -> tuple[str, ...]:
    return (
        EXAMPLE,
        "meta-llama/Llama-3.1-8B",
        "d04e592",
        str(tmp_path / "tokenizer"),
        "tokenizer.json",
        "original/t.m",
    )


def told(done: subprocess.CompletedProcess[str]) -> FailureClass | None:
    assert done.returncode == 78, done.stderr
    failure = classify(done.stderr)
    return failure.failure if failure else None


def test_a_crash_behind_tee_is_the_containers_exit_code(run: Run, tmp_path: Path) -> None:
    files = {EXAMPLE: HIDES}
    good = run(setup_scripts.MEGATRON_LLAMA, *megatron(tmp_path), files=files)
    assert (good.returncode, good.stdout.splitlines()[-1]) == (0, "throughput per GPU: 500.0")
    bad = run(setup_scripts.MEGATRON_LLAMA, *megatron(tmp_path), files=files, TORCHRUN="3")
    assert (bad.returncode, bad.stdout.splitlines()[-1]) == (3, "throughput per GPU: 500.0")


def test_a_tokenizer_comes_at_its_pinned_commit_into_the_folder_the_script_looks_into(run: Run, tmp_path: Path) -> None:
    done = run(setup_scripts.MEGATRON_LLAMA, *megatron(tmp_path), files={EXAMPLE: HIDES})
    assert done.returncode == 0
    folder = tmp_path / "tokenizer"
    assert sorted(path.name for path in folder.iterdir()) == ["t.m", "tokenizer.json"]
    assert (folder / "tokenizer.json").read_text() == "meta-llama/Llama-3.1-8B tokenizer.json d04e592"


def test_the_hosts_cache_is_asked_before_the_internet(run: Run, tmp_path: Path) -> None:
    (tmp_path / "cache" / "original").mkdir()
    (tmp_path / "cache" / "tokenizer.json").write_text("from the cache")
    (tmp_path / "cache" / "original" / "t.m").write_text("from the cache")
    done = run(setup_scripts.MEGATRON_LLAMA, *megatron(tmp_path), files={EXAMPLE: HIDES}, NETWORK="none")
    assert done.returncode == 0, done.stderr
    assert (tmp_path / "tokenizer" / "tokenizer.json").read_text() == "from the cache"


def test_a_refused_download_leaves_no_folder_behind_and_says_what_is_needed(run: Run, tmp_path: Path) -> None:
    files = {EXAMPLE: HIDES}
    refused = run(setup_scripts.MEGATRON_LLAMA, *megatron(tmp_path), files=files, NETWORK="refused")
    assert told(refused) is FailureClass.GATED_MODEL
    assert not (tmp_path / "tokenizer").exists()
    away = run(setup_scripts.MEGATRON_LLAMA, *megatron(tmp_path), files=files, NETWORK="none")
    assert told(away) is FailureClass.HUB_UNREACHABLE
    assert "torchrun" not in away.stdout


@pytest.mark.parametrize("content", [None, ""])
def test_a_poisoned_tokenizer_folder_is_found_before_training(content: str | None, run: Run, tmp_path: Path) -> None:
    (tmp_path / "tokenizer").mkdir()
    if content is not None:
        (tmp_path / "tokenizer" / "tokenizer.json").write_text(content)
    done = run(setup_scripts.MEGATRON_LLAMA, *megatron(tmp_path), files={EXAMPLE: HIDES})
    assert told(done) is FailureClass.TOKENIZER
    assert "torchrun" not in done.stdout


def test_an_image_without_the_script_says_so(run: Run, tmp_path: Path) -> None:
    assert told(run(setup_scripts.MEGATRON_LLAMA, *megatron(tmp_path))) is FailureClass.SETUP


def test_deepseek_is_pinned_by_what_main_means_in_its_own_cache(run: Run, tmp_path: Path) -> None:
    script = "examples/deepseek_v2/train_deepseekv2.sh"
    arguments = (script, "deepseek-ai/DeepSeek-V2-Lite", "604d566", str(tmp_path / "mine"), "*.json", "*.py")
    files = {script: 'echo "$HF_HUB_CACHE offline=$HF_HUB_OFFLINE"\ntorchrun --nnodes 1 | tee log\n'}
    done = run(setup_scripts.MEGATRON_DEEPSEEK, *arguments, files=files)
    assert done.returncode == 0, done.stderr
    assert f"{tmp_path}/mine offline=1" in done.stdout
    refs = tmp_path / "mine" / "models--deepseek-ai--DeepSeek-V2-Lite" / "refs" / "main"
    assert refs.read_text() == "604d566"
    assert run(setup_scripts.MEGATRON_DEEPSEEK, *arguments, files=files, TORCHRUN="1").returncode == 1


def test_train_fsdp_uses_the_images_checkout_and_clones_only_where_there_is_none(run: Run, tmp_path: Path) -> None:
    checkout = tmp_path / "work" / "checkout"
    there = run(
        setup_scripts.TRAIN_FSDP, str(checkout), "none", "none", "pwd", files={"checkout/train_fsdp.py": "program"}
    )
    assert (there.returncode, there.stdout.strip()) == (0, str(checkout))
    source = tmp_path / "source"
    git = ["git", "-c", "user.name=t", "-c", "user.email=t@t", "-C", str(source)]
    subprocess.run(["git", "init", "-q", str(source)], check=True)
    (source / "train_fsdp.py").write_text("as published")
    subprocess.run([*git, "add", "."], check=True)
    subprocess.run([*git, "commit", "-qm", "one"], check=True)
    commit = subprocess.run([*git, "rev-parse", "HEAD"], check=True, capture_output=True, text=True).stdout.strip()
    (source / "train_fsdp.py").write_text("later")
    subprocess.run([*git, "commit", "-qam", "two"], check=True)
    clone = tmp_path / "clone"
    cloned = run(setup_scripts.TRAIN_FSDP, str(clone), str(source), commit, "cat", "train_fsdp.py")
    assert (cloned.returncode, cloned.stdout) == (0, "as published")
    absent = run(setup_scripts.TRAIN_FSDP, str(tmp_path / "other"), str(tmp_path / "nowhere"), commit, "true")
    assert told(absent) is FailureClass.HUB_UNREACHABLE


TOML = """[model]
tokenizer_path = "./old"
[lr_scheduler]
warmup_steps = 200
[training]
batch_size = 8
steps = 1000
[activation_checkpoint]
mode = 'selective'
"""


@pytest.mark.parametrize("place", ["train_configs", "torchtitan/models/llama3/train_configs"])
def test_torchtitan_trains_on_an_edited_copy_of_the_images_file(place: str, run: Run, tmp_path: Path) -> None:
    files = {f"{place}/llama3_70b.toml": TOML, "run_train.sh": 'cat "$CONFIG_FILE"\n', "requirements.txt": ""}
    tokenizer = ("meta-llama/Llama-3.1-8B", "d04e592", str(tmp_path / "tokenizer"), "original/tokenizer.model")
    settings = ("batch_size=4", "steps=50", 'mode="full"', 'tokenizer_path="/tmp/t/tokenizer.model"')
    copy = {"CONFIG_FILE": str(tmp_path / "copy.toml")}
    done = run(setup_scripts.TORCHTITAN, *tokenizer, *settings, files=files, **copy)
    assert done.returncode == 0, done.stderr
    lines = done.stdout.splitlines()
    assert [line for line in lines if "=" in line] == [
        'tokenizer_path = "/tmp/t/tokenizer.model"',
        "warmup_steps = 200",
        "batch_size = 4",
        "steps = 50",
        'mode = "full"',
    ]
    assert (tmp_path / "work" / place / "llama3_70b.toml").read_text() == TOML
    assert (tmp_path / "tokenizer" / "tokenizer.model").exists()
    unknown = run(setup_scripts.TORCHTITAN, *tokenizer, "colour=1", files=files, **copy)
    assert told(unknown) is FailureClass.SETUP
    assert "no setting colour" in unknown.stderr
    assert told(run(setup_scripts.TORCHTITAN, *tokenizer, files=files, **copy, PIP="1")) is FailureClass.HUB_UNREACHABLE


def test_flux_shows_the_logs_of_its_runs_and_ends_with_the_launchers_code(run: Run) -> None:
    launcher = "mkdir -p outputs/runs/sweep_000; echo 'Step 1' > outputs/runs/sweep_000/0_logs_x.txt; sleep 2; exit 5"
    done = run(setup_scripts.FLUX, "a/model", "b/data", "bash", "-c", launcher)
    assert (done.returncode, "Step 1" in done.stdout) == (5, True), done.stderr
    assert "downloaded a/model" in done.stdout
    assert "downloaded b/data" in done.stdout
    assert told(run(setup_scripts.FLUX, "a/model", "b/data", "true", NETWORK="refused")) is FailureClass.GATED_MODEL
    assert told(run(setup_scripts.FLUX, "a/model", "b/data", "true", NETWORK="none")) is FailureClass.HUB_UNREACHABLE
