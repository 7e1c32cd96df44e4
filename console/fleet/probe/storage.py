"""Places on a host: free space and kind of file system, and the models of a Hugging Face cache.

Each place is looked at in a child of its own under `timeout`: a network file system that hangs costs one answer.
"""

import re
from collections.abc import Mapping, Sequence
from typing import Any

import msgspec

from console.fleet.probe.reading import Table, lines, unread
from console.fleet.script import Area, Section
from console.model.facts import CachedModel, Known, Storage, Unknown
from console.model.text import clean_line

WEIGHTS = (".safetensors", ".bin", ".pt", ".pth", ".gguf")

_MODEL_ID = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,95}/[A-Za-z0-9][A-Za-z0-9._-]{0,95}")

SCRIPT = r"""
PLACE='
root=$1 path=$2 name=$3
if [ -e "$root$path" ]; then echo "+exists"; fi
near=$path
while [ -n "$near" ] && [ ! -e "$root$near" ]; do near=${near%/*}; done
near=${near:-/}
if [ -w "$root$near" ]; then echo "+writable"; fi
if [ -n "$root" ]; then
  printf "=near %s\n" "$path"
  for file in "$root/@commands/df.$name" "$root/@commands/df"; do
    if [ -r "$file" ]; then cat "$file"; exit 0; fi
  done
else
  near=$(cd "$near" 2>/dev/null && pwd -P || printf %s "$near")
  printf "=near %s\n" "$near"
  df -Pk "$near"
fi
'
MODEL='
folder=$1/hub/$2
if [ ! -d "$folder" ]; then folder=$1/$2; fi
if [ ! -d "$folder" ]; then echo "!folder absent"; exit 0; fi
if [ ! -r "$folder" ] || [ ! -x "$folder" ]; then echo "!folder denied"; exit 0; fi
count=0
for file in "$folder"/blobs/*.incomplete; do if [ -e "$file" ]; then count=$((count + 1)); fi; done
echo "=incomplete $count"
revision=
{ IFS= read -r revision < "$folder/refs/main"; } 2>/dev/null
case $revision in ""|.*|*[!A-Za-z0-9._-]*) echo "!revision absent"; exit 0 ;; esac
echo "=revision $revision"
cd "$folder/snapshots/$revision" 2>/dev/null || { echo "!snapshot absent"; exit 0; }
echo "+snapshot"
find -L . -type f -exec stat -L -c "*%s %n" {} + 2>/dev/null
for index in model.safetensors.index.json pytorch_model.bin.index.json; do
  if [ -r "$index" ]; then printf "@index %s\n" "$index"; cat "$index"; exit 0; fi
done
'
place() {
  begin "storage.$1" "$2"
  $LIMIT sh -c "$PLACE" sh "$ROOT" "$2" "$1" 2>/dev/null
  end "storage.$1" $?
}
whole mounts /proc/mounts
docker_root=$(sed -n 's/.*"data-root"[^"]*"\(\/[^"]*\)".*/\1/p' "$ROOT/etc/docker/daemon.json" 2>/dev/null)
place docker_root "${docker_root:-/var/lib/docker}"
place scratch "$SCRATCH"
place shared_memory /dev/shm
if [ -n "$MODEL_CACHE" ]; then
  place model_cache "$MODEL_CACHE"
  for model in $MODELS; do
    begin "model.$model" "$MODEL_CACHE"
    $LIMIT sh -c "$MODEL" sh "$ROOT$MODEL_CACHE" "$model" 2>/dev/null
    end "model.$model" $?
  done
fi
"""


class Places(msgspec.Struct, frozen=True):
    """What this area fills of the facts of a host."""

    docker_storage: Known[Storage] | Unknown
    scratch: Known[Storage] | Unknown
    model_cache: Known[Storage] | Unknown
    shared_memory: Known[Storage] | Unknown


def parse(found: Mapping[str, Section]) -> Places:
    """What the sections say of the places; the models are read by `cached_models`, which knows who was asked for."""
    mounts = _mounts(found)
    return Places(
        docker_storage=_storage(found.get("storage.docker_root"), mounts),
        scratch=_storage(found.get("storage.scratch"), mounts),
        model_cache=_storage(found.get("storage.model_cache"), mounts),
        shared_memory=_storage(found.get("storage.shared_memory"), mounts),
    )


def folder_of(model: str) -> str | None:
    """Name of a model's folder in the cache; None for what is no repository id (a path inside an image)."""
    return f"models--{model.replace('/', '--')}" if _MODEL_ID.fullmatch(model) else None


def cached_models(found: Mapping[str, Section], models: Sequence[str]) -> Known[tuple[CachedModel, ...]] | Unknown:
    """Each model's state in the cache; unknown when the cache itself could not be read."""
    seen: list[CachedModel] = []
    for model in models:
        folder = folder_of(model)
        if folder is None:
            seen.append(_absent(model, "not a Hugging Face repository id"))
            continue
        section = found.get(f"model.{folder}")
        if section is None or not section.ok:
            return unread(section, ("ls", f"{section.source if section else ''}/hub"))
        if Table(section).missing.get("folder") == "denied":
            path = f"{section.source}/hub/{folder}"
            return Unknown("permission denied", path, ("ls", "-ld", path))
        seen.append(_model(model, section.data))
    return Known(tuple(seen), "refs, snapshots and blobs of the cache")


def _absent(model: str, *why: str) -> CachedModel:
    return CachedModel(model=model, revision=None, present_bytes=0, missing=why, incomplete=0)


def _model(model: str, data: bytes) -> CachedModel:
    listing, mark, rest = data.partition(b"\n@index ")
    table = Table(Section("", "", 0, listing))
    incomplete = int(table.raw("incomplete") or 0) if (table.raw("incomplete") or "0").isdigit() else 0
    if "folder" in table.missing:
        return _absent(model, "the whole model")
    revision = table.raw("revision")
    if revision is None or "snapshot" not in table.names:
        gone = "refs/main" if revision is None else f"snapshots/{revision}"
        return CachedModel(model=model, revision=revision, present_bytes=0, missing=(gone,), incomplete=incomplete)
    files: dict[str, int] = {}
    for line in listing.split(b"\n"):
        match = re.fullmatch(rb"\*(\d{1,18}) \./([^\n]+)", line)
        if match:
            files[clean_line(match.group(2))] = int(match.group(1))
    missing = [] if files.get("config.json") else ["config.json"]
    if mark:
        name, _, text = rest.partition(b"\n")
        wanted = shards(text)
        if wanted is None:
            missing.append(f"{clean_line(name)} (not readable as a weight index)")
        else:
            missing += [shard for shard in wanted if not files.get(shard)]
    elif not any(name.endswith(WEIGHTS) and size for name, size in files.items()):
        missing.append("weights")
    return CachedModel(
        model=model,
        revision=revision,
        present_bytes=sum(files.values()),
        missing=tuple(missing),
        incomplete=incomplete,
    )


def shards(index: bytes) -> list[str] | None:
    """The files a weight index names, in order; None when it is not one (cut off, or not JSON)."""
    try:
        tree: Any = msgspec.json.decode(index.strip())
    except (msgspec.DecodeError, RecursionError):
        return None
    weights = tree.get("weight_map") if isinstance(tree, dict) else None
    if not isinstance(weights, dict) or not weights or not all(isinstance(name, str) for name in weights.values()):
        return None
    return sorted({clean_line(name) for name in weights.values()})


def _storage(section: Section | None, mounts: Sequence[tuple[str, str, str]]) -> Known[Storage] | Unknown:
    if section is None or not section.ok:
        if section is not None and section.exit in (124, 137):
            why = "did not answer in time: the file system hangs"
            return Unknown(why, section.source, ("df", "-P", section.source))
        return unread(section, ("df", "-P", section.source if section else "/"))
    table = Table(section)
    near = table.raw("near") or section.source
    row = _space(lines({"x": section}, "x"), near)
    mount = next((item for item in reversed(mounts) if row is not None and item[0] == row[2]), None)
    mount = mount or max(
        (item for item in mounts if _below(near, item[0])), key=lambda item: len(item[0]), default=None
    )
    return Known(
        Storage(
            path=section.source,
            exists="exists" in table.names,
            writable="writable" in table.names,
            free_bytes=row[1] if row is not None else None,
            total_bytes=row[0] if row is not None else None,
            fs_type=mount[1] if mount is not None else "",
            fs_source=mount[2] if mount is not None else "",
        ),
        f"df -Pk {near}",
    )


def _space(found: Sequence[str], near: str) -> tuple[int, int, str] | None:
    """Total and free bytes and the mount point, of the `df -Pk` line whose mount point is nearest above a path."""
    best: tuple[int, int, str] | None = None
    for line in found:
        match = re.fullmatch(r".*\s(\d{1,18})\s+\d+\s+(-?\d{1,18})\s+\d+%\s+(/.*)", line)
        if match and _below(near, match.group(3)) and (best is None or len(match.group(3)) >= len(best[2])):
            best = (int(match.group(1)) * 1024, max(0, int(match.group(2))) * 1024, match.group(3))
    return best


def _below(path: str, mount: str) -> bool:
    return path == mount or path.startswith(mount.rstrip("/") + "/")


def _mounts(found: Mapping[str, Section]) -> list[tuple[str, str, str]]:
    """Mount point, type and source of each mount, in the kernel's order."""
    mounts = []
    for line in lines(found, "mounts"):
        words = line.split(" ")
        if len(words) >= 4:
            source, point = (re.sub(r"\\([0-7]{3})", lambda m: chr(int(m.group(1), 8)), word) for word in words[:2])
            mounts.append((point, words[2], source))
    return mounts


AREA = Area("storage", SCRIPT, parse)
