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
    folder, lines = _FORMS[argv[2]](argv[_FIRST:], _assignments(env))
    return "\n".join([f"cd {shlex.quote(folder or workdir or '.')}", *lines])


Form = Callable[[Sequence[str], str], tuple[str | None, list[str]]]


def _assignments(env: Mapping[str, str]) -> str:
    return " ".join(f"{name}={shlex.quote(value)}" for name, value in sorted(env.items()))


def _megatron(words: Sequence[str], env: str) -> tuple[str | None, list[str]]:
    script, repository = words[0], words[1]
    note = f"# the script downloads the tokenizer of {repository}"
    if repository.startswith("meta-llama/"):
        note += ": export HF_TOKEN before"
    return None, [note, f"{env} bash {shlex.quote(script)}"]


def _train_fsdp(words: Sequence[str], env: str) -> tuple[str | None, list[str]]:
    checkout, source, commit, *program = words
    note = f"# where it is missing: git clone {source} {checkout} && git -C {checkout} checkout {commit}"
    return checkout, [note, f"{env} {shlex.join(program)}"]


def _torchtitan(words: Sequence[str], env: str) -> tuple[str | None, list[str]]:
    repository, _, folder, file, *settings = words
    return None, [
        "pip install -r requirements.txt",
        f"hf download {repository} {file} --local-dir /tmp/tokenizer  # export HF_TOKEN before",
        f"mkdir -p {folder} && cp /tmp/tokenizer/{file} {folder}/",
        f"# in a copy of train_configs/llama3_70b.toml, named by CONFIG_FILE: {', '.join(settings)}",
        f"{env} bash run_llama_train.sh",
    ]


def _flux(words: Sequence[str], env: str) -> tuple[str | None, list[str]]:
    return None, [
        "pip3 install -r requirements.txt",
        f"export {env}",
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
