"""The model hub as played: is a model in the cache the container sees, and the program that downloads it."""

import hashlib
import json
import posixpath
import re
from collections.abc import Iterator, Mapping
from pathlib import Path

from console.lab import bars, rates
from console.lab.acts import Act, Exit, Surroundings, Wait, err, out, raw_err

DOWNLOAD_BYTES_PER_S = 900e6
MARKER = "@@instinct fetch"
"""The console's own download program says how far it is on lines that start so, and ends with `…fetched`."""
GATED = re.compile(r"^(meta-llama/|black-forest-labs/FLUX\.1-dev)")
UNKNOWN_OWNER = re.compile(r"(^|/)(no-such|nope|missing)[-\w]*", re.IGNORECASE)


def revision_of(model: str) -> str:
    """The commit the lab's hub gives a model: made from its name."""
    return hashlib.sha1(f"lab hub {model}".encode()).hexdigest()  # noqa: S324 - a name, not a secret


def folder(model: str) -> str:
    """The cache folder of a model below `hub`."""
    return "models--" + model.replace("/", "--")


def cache_of(env: Mapping[str, str]) -> str:
    """The hub cache path inside a container, as huggingface_hub finds it."""
    direct = env.get("HF_HUB_CACHE") or env.get("HUGGINGFACE_HUB_CACHE")
    home = env.get("HF_HOME") or "/root/.cache/huggingface"
    return direct or posixpath.join(home, "hub")


def small_files(model: str) -> dict[str, bytes]:
    """Configuration, tokenizer and weight index of a model, by file name."""
    size = rates.model_of(model)
    names = shard_names(model)
    weights = {f"model.layers.{n}.weight": name for n, name in enumerate(names)}
    index = {"metadata": {"total_size": size.weights_bytes}, "weight_map": weights}
    config = {
        "architectures": ["LlamaForCausalLM"],
        "model_type": "llama",
        "max_position_embeddings": 131072,
        "quantization_config": {"quant_method": "fp8"} if size.fp8 else None,
        "simulated": True,
    }
    files = {
        "config.json": json.dumps(config, indent=2).encode(),
        "generation_config.json": b'{"temperature": 0.6, "top_p": 0.9}\n',
        "tokenizer.json": b'{"version": "1.0", "simulated": true}\n',
        "tokenizer_config.json": b'{"model_max_length": 131072}\n',
    }
    if len(names) > 1:
        files["model.safetensors.index.json"] = json.dumps(index, indent=2).encode()
    return files


def shard_names(model: str) -> tuple[str, ...]:
    """Names of the weight files."""
    count = rates.model_of(model).shards
    if count == 1:
        return ("model.safetensors",)
    return tuple(f"model-{n:05d}-of-{count:05d}.safetensors" for n in range(1, count + 1))


def shard_bytes(model: str) -> int:
    """Apparent size of each weight file."""
    size = rates.model_of(model)
    return size.weights_bytes // size.shards


def cached(place: Path, model: str) -> bool:
    """Whether a hub folder of the host holds the whole model."""
    base = place / folder(model)
    try:
        revision = (base / "refs/main").read_text().strip()
    except OSError:
        return False
    snapshot = base / "snapshots" / revision
    return all((snapshot / name).exists() for name in (*small_files(model), *shard_names(model)))


def write(place: Path, model: str) -> None:
    """Put a model into a hub folder: small files in full, weights as sparse files of their apparent size."""
    base = place / folder(model)
    revision = revision_of(model)
    snapshot = base / "snapshots" / revision
    for part in (base / "refs", base / "blobs", snapshot):
        part.mkdir(parents=True, exist_ok=True)
    for name, data in small_files(model).items():
        blob = hashlib.sha1(data).hexdigest()  # noqa: S324 - a name, not a secret
        (base / "blobs" / blob).write_bytes(data)
        _link(snapshot / name, f"../../blobs/{blob}")
    for name in shard_names(model):
        blob = hashlib.sha256(f"{model} {name}".encode()).hexdigest()
        with (base / "blobs" / blob).open("wb") as sparse:
            sparse.truncate(shard_bytes(model))
        _link(snapshot / name, f"../../blobs/{blob}")
    # last, so that a download that stops half-way leaves no reference
    (base / "refs/main").write_text(revision)


def _link(at: Path, to: str) -> None:
    at.unlink(missing_ok=True)
    at.symlink_to(to)


def present(around: Surroundings, model: str) -> Iterator[Act]:
    """What vLLM does about its model: nothing when cached or inside the image, else a download or the right error."""
    if model.startswith("/"):
        inside = around.files.on_host(model)
        if inside is not None and inside[0].exists():
            return
        yield err(
            "huggingface_hub.errors.HFValidationError: Repo id must be in the form 'repo_name' or "
            f"'namespace/repo_name': '{model}'. Use `repo_type` argument if needed."
        )
        yield Exit(1)
    cache = cache_of(around.env)
    found = around.files.on_host(cache)
    if found is not None and cached(found[0], model):
        return
    if around.env.get("HF_HUB_OFFLINE") in ("1", "ON", "YES", "TRUE", "true"):
        yield err(
            "OSError: We couldn't connect to 'https://huggingface.co' to load the files, and couldn't find them in the "
            f"cached files.\nCheck your internet connection or see how to run the library in offline mode. ({model})"
        )
        yield Exit(1)
    yield from download(around, model)


def download(around: Surroundings, model: str) -> Iterator[Act]:
    """Fetch a model into the cache with huggingface_hub's bars, or fail as it fails."""
    if around.fault == "gated" or (GATED.search(model) and not around.token and not around.env.get("HF_TOKEN")):
        reason = (
            f"403 Client Error.\nCannot access gated repo for url https://huggingface.co/{model}/resolve/main/config.json."
            f"\nAccess to model {model} is restricted and you are not in the authorized list."
            if around.token
            else f"401 Client Error.\nCannot access gated repo for url https://huggingface.co/{model}/resolve/main/"
            f"config.json.\nAccess to model {model} is restricted. You must have access to it and be authenticated."
        )
        yield err(f"huggingface_hub.errors.GatedRepoError: {reason}")
        yield Exit(1)
    if UNKNOWN_OWNER.search(model):
        yield err(
            "huggingface_hub.errors.RepositoryNotFoundError: 404 Client Error.\n"
            f"Repository Not Found for url: https://huggingface.co/api/models/{model}/revision/main."
        )
        yield Exit(1)
    found = around.files.on_host(cache_of(around.env))
    if found is not None and found[1]:
        yield err(f"OSError: [Errno 30] Read-only file system: '{cache_of(around.env)}/{folder(model)}'")
        yield Exit(1)
    names = (*small_files(model), *shard_names(model))
    each, took = shard_bytes(model) / DOWNLOAD_BYTES_PER_S, 0.0
    total = sum(len(data) for data in small_files(model).values()) + shard_bytes(model) * len(shard_names(model))
    bars_off = around.env.get("HF_HUB_DISABLE_PROGRESS_BARS") == "1"
    marked = MARKER in " ".join(around.argv)
    if not bars_off:
        yield raw_err(bars.bar(f"Fetching {len(names)} files", 0, len(names), 0.0))
    shown = max(1, len(names) // 20)
    for done, name in enumerate(names, 1):
        pause = each if name.endswith(".safetensors") else 0.1
        yield Wait(pause)
        took += pause
        if around.fault == "no-disk" and done * 2 > len(names):
            yield raw_err("\n")
            yield err("OSError: [Errno 28] No space left on device")
            yield Exit(1)
        if done % shown == 0 or done == len(names):
            if marked:
                yield out(f"{MARKER} " + json.dumps({"done": int(total * done / len(names)), "total": total}))
            if not bars_off:
                yield raw_err(bars.bar(f"Fetching {len(names)} files", done, len(names), took))
    if not bars_off:
        yield raw_err("\n")
    if found is not None:
        write(found[0], model)


def download_program(around: Surroundings) -> Iterator[Act] | None:
    """`hf download`, `huggingface-cli download` or a Python line that calls snapshot_download; None otherwise."""
    argv = around.argv
    text = " ".join(argv)
    model = ""
    is_client = len(argv) > 2 and argv[0].rpartition("/")[2] in ("hf", "huggingface-cli") and argv[1] == "download"
    if not is_client and "snapshot_download" not in text:
        return None
    if is_client:
        model = next((one for one in argv[2:] if not one.startswith("-")), "")
    elif len(argv) > 3:
        model = argv[3]
    elif named := re.search(r"""["']([\w.-]+/[\w.-]+)["']""", text):
        model = named[1]
    return _downloading(around, model)


def _downloading(around: Surroundings, model: str) -> Iterator[Act]:
    yield Wait(2.0)
    found = around.files.on_host(cache_of(around.env))
    if found is None or not cached(found[0], model):
        yield from download(around, model)
    names = (*small_files(model), *shard_names(model))
    if MARKER in " ".join(around.argv):
        total = sum(len(data) for data in small_files(model).values()) + shard_bytes(model) * len(shard_names(model))
        done = {"revision": revision_of(model), "files": len(names), "bytes": total}
        yield out(f"{MARKER}ed {json.dumps(done)}")
    else:
        yield out(f"{cache_of(around.env)}/{folder(model)}/snapshots/{revision_of(model)}")
