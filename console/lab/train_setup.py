"""What is done inside a training image before the program starts: tokenizers, assets, and how that goes wrong.

A set-up script around the program cannot be run here, so its outcome is played: a wrapper that says why it gives up
gives up in its own words, everything else as the plain program would.
"""

from collections.abc import Iterator

from console.lab import hub
from console.lab.acts import Act, Exit, Surroundings, Wait, err, out
from console.lab.train_args import Asked

GIVES_UP = 78
"""The exit code of a set-up script that gives up."""


def prepared(around: Surroundings, asked: Asked) -> Iterator[Act]:
    """The steps before the program; ends with an Exit when one of them fails."""
    yield Wait(3.0)
    if asked.script:
        yield from _wrapped(around, asked)
    elif asked.kind == "llama3":
        yield from _llama3_tokenizer(around)
    if asked.kind == "llama2" and not asked.script:
        yield Wait(4.0)
        yield err("NousResearch/Llama-2-7b-chat-hf: tokenizer files saved to /root/.cache/data/tokenizer_llama2")


def _wrapped(around: Surroundings, asked: Asked) -> Iterator[Act]:
    folder = next((word for word in asked.words if word.startswith("/") and "tokenizer" in word), "")
    if around.fault == "poisoned-tokenizer":
        place = folder or "/root/.cache/data/tokenizer"
        yield from _gives_up(asked, f"tokenizer folder {place} is there without a usable tokenizer.json")
    for repository in asked.repositories:
        if _cached(around, repository) and around.fault != "gated":
            continue
        gated = around.fault == "gated" or (hub.GATED.search(repository) and not _token(around))
        if gated:
            code = "403" if _token(around) else "401"
            yield from _gives_up(asked, f"no token that may read {repository}/tokenizer.json ({code})")
        if around.env.get("HF_HUB_OFFLINE") == "1" or around.fault == "no-network":
            text = f"no network: {repository} is neither in the host's model cache nor to be had (ConnectionError)"
            yield from _gives_up(asked, text)
        yield Wait(8.0)
        yield err(f"{repository}: downloaded")


def _gives_up(asked: Asked, text: str) -> Iterator[Act]:
    yield err((asked.says or "set-up: ") + text)
    yield Exit(GIVES_UP)


def _llama3_tokenizer(around: Surroundings) -> Iterator[Act]:
    """train_llama3.sh's own download: it makes the folder first, and a refusal leaves it empty."""
    place = (
        around.env.get("TOKENIZER_MODEL") or (around.env.get("DATA_DIR") or "/root/.cache/data") + "/tokenizer_llama3"
    )
    found = around.files.on_host(place)
    there = found is not None and found[0].is_dir()
    if found is not None and there and (found[0] / "tokenizer.json").is_file():
        return
    if there or around.fault == "poisoned-tokenizer":
        yield out(f"Folder {place} already exists. Skipping download.")
        yield from _no_tokenizer(place)
    if not _token(around) or around.fault == "gated":
        if found is not None and not found[1]:
            found[0].mkdir(parents=True, exist_ok=True)
        for name in ("special_tokens_map.json", "tokenizer.json", "tokenizer.model", "tokenizer_config.json"):
            yield err(
                f"--2025-08-13 03:40:12--  https://huggingface.co/meta-llama/Llama-3.1-8B/resolve/main/{name}\n"
                "HTTP request sent, awaiting response... 401 Unauthorized\n\nUsername/Password Authentication Failed."
            )
        yield from _no_tokenizer(place)
    yield Wait(4.0)
    around.files.save(f"{place}/tokenizer.json", b'{"version": "1.0", "simulated": true}\n')


def _no_tokenizer(place: str) -> Iterator[Act]:
    yield Wait(15.0)
    yield err(
        f"[rank0]: OSError: Can't load tokenizer for '{place}'. If you were trying to load it from "
        "'https://huggingface.co/models', make sure you don't have a local directory with the same name. Otherwise, "
        f"make sure '{place}' is the correct path to a directory containing all relevant files for a "
        "PreTrainedTokenizerFast tokenizer."
    )
    yield err("torch.distributed.elastic.multiprocessing.errors.ChildFailedError:")
    yield Exit(1)


def _token(around: Surroundings) -> str:
    return around.token or around.env.get("HF_TOKEN", "").replace("hf_xxxx", "")


def _cached(around: Surroundings, repository: str) -> bool:
    """Whether any cache mounted into the container has the repository."""
    for mount in around.files.mounts:
        found = around.files.on_host(mount.target)
        for name in (hub.folder(repository), "datasets--" + repository.replace("/", "--")):
            if found is not None and any((found[0] / base / name / "snapshots").is_dir() for base in ("hub", ".")):
                return True
    return False
