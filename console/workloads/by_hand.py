"""What a person would type for a training part, inside a container of the image: the published commands, without ours.

Our set-up scripts do the same and say more when something is missing; they are long to read. Pure.
"""

import shlex
from collections.abc import Callable, Mapping, Sequence

from console.workloads import setup_scripts

_FIRST = 4
"""Where the arguments of a set-up script begin: after `bash -c SCRIPT instinct`."""


def typed(argv: Sequence[str], env: Mapping[str, str], workdir: str | None) -> str | None:
    """Lines to paste into a shell of the container; None for a program that needs no set-up: argv is what one types.

    Values are quoted. A token is never part of it: where one is needed, a comment says so.
    """
    if len(argv) <= _FIRST or tuple(argv[:2]) != ("bash", "-c") or argv[2] not in _FORMS:
        return None
    return "\n".join(_FORMS[argv[2]](argv[_FIRST:], env, workdir or "."))


Form = Callable[[Sequence[str], Mapping[str, str], str], list[str]]


def _assigned(env: Mapping[str, str]) -> str:
    return " ".join(f"{name}={shlex.quote(value)}" for name, value in sorted(env.items()))


def _megatron(words: Sequence[str], env: Mapping[str, str], folder: str) -> list[str]:
    script, repository = words[0], words[1]
    note = f"# the script downloads the tokenizer of {repository}"
    if repository.startswith("meta-llama/"):
        note += ": export HF_TOKEN before"
    return [f"cd {shlex.quote(folder)}", note, f"{_assigned(env)} bash {shlex.quote(script)}"]


def _train_fsdp(words: Sequence[str], env: Mapping[str, str], folder: str) -> list[str]:
    checkout, source, commit, *program = words
    clone = f"git clone {source} {checkout} && git -C {checkout} checkout {commit}"
    return [
        f"[ -e {checkout}/train_fsdp.py ] || {{ {clone}; }}",
        f"cd {shlex.quote(checkout)}",
        f"{_assigned(env)} {shlex.join(program)}",
    ]


def _torchtitan(words: Sequence[str], env: Mapping[str, str], folder: str) -> list[str]:
    repository, revision, tokenizer, file, *settings = words
    load = (
        f'from huggingface_hub import *; snapshot_download("{repository}", revision="{revision}", '
        f'allow_patterns="{file}", local_dir="/tmp/tokenizer")'
    )
    edits = []
    for setting in settings:
        key, _, value = setting.partition("=")
        edits.append("-e " + shlex.quote(f"s|^{key} *=.*|{key} = {value}|"))
    return [
        f"cd {shlex.quote(folder)}",
        "pip install -r requirements.txt",
        # not on the command line: `huggingface-cli` became `hf` in the middle of 2025
        f"python3 -c {shlex.quote(load)}  # export HF_TOKEN before",
        f"mkdir -p {tokenizer} && cp /tmp/tokenizer/{file} {tokenizer}/",
        "# later checkouts of torchtitan have the file in torchtitan/models/llama/train_configs",
        f"sed {' '.join(edits)} train_configs/llama3_70b.toml > {shlex.quote(env['CONFIG_FILE'])}",
        f"{_assigned(env)} bash run_llama_train.sh",
    ]


def _flux(words: Sequence[str], env: Mapping[str, str], folder: str) -> list[str]:
    return [
        f"cd {shlex.quote(folder)}",
        "pip3 install -r requirements.txt",
        f"export {_assigned(env)}",
        "make download_assets  # export HF_TOKEN before",
        shlex.join(words[2:]),
    ]


_FORMS: Mapping[str, Form] = {
    setup_scripts.MEGATRON_LLAMA: _megatron,
    setup_scripts.MEGATRON_DEEPSEEK: _megatron,
    setup_scripts.TRAIN_FSDP: _train_fsdp,
    setup_scripts.TORCHTITAN: _torchtitan,
    setup_scripts.FLUX: _flux,
}
