"""Places and cached models: complete, half downloaded, truncated, unreadable."""

from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from console.fleet.host import Host
from console.fleet.local import LocalLink
from console.fleet.probe.storage import shards
from console.fleet.probe.survey import survey
from console.model.facts import CachedModel, Known, Storage, Unknown

if TYPE_CHECKING:
    from tests.fleet.probe.conftest import Machine

MODEL = "amd/Llama-3.1-70B-Instruct-FP8-KV"
SHARDS = [("model-00001-of-00002.safetensors", 10), ("model-00002-of-00002.safetensors", 20)]


async def cached(machine: "Machine", model: str = MODEL) -> CachedModel:
    facts = await machine.facts(models=[model], model_cache="/data/huggingface")
    assert isinstance(facts.models, Known), facts.models
    return facts.models.value[0]


async def test_a_complete_model_is_complete(machine: "Machine") -> None:
    machine.model("/data/huggingface", MODEL, SHARDS)
    model = await cached(machine)
    assert model.complete
    assert model.revision == "0123456789abcdef0123456789abcdef01234567"
    assert model.present_bytes >= 30


async def test_a_shard_that_is_absent_or_empty_is_missing_by_name(machine: "Machine") -> None:
    folder = machine.model("/data/huggingface", MODEL, [*SHARDS, ("model-00003-of-00003.safetensors", 0)])
    (folder / "blobs" / "blob0").unlink()  # the snapshot's link dangles
    model = await cached(machine)
    assert model.missing == ("model-00001-of-00002.safetensors", "model-00003-of-00003.safetensors")
    assert not model.complete


async def test_a_download_under_way_is_counted(machine: "Machine") -> None:
    folder = machine.model("/data/huggingface", MODEL, SHARDS)
    for number in range(3):
        (folder / "blobs" / f"feed{number}.incomplete").write_bytes(b"x")
    model = await cached(machine)
    assert model.incomplete == 3
    assert not model.complete


@pytest.mark.parametrize("index", [b'{"weight_map": {"a": "model-0', b"[]", b'{"weight_map": {}}', b"\xff\x00", b""])
async def test_a_weight_index_that_cannot_be_read_makes_the_model_incomplete(machine: "Machine", index: bytes) -> None:
    machine.model("/data/huggingface", MODEL, SHARDS, index=index)
    model = await cached(machine)
    assert not model.complete
    assert model.missing == ("model.safetensors.index.json (not readable as a weight index)",)


async def test_a_single_weight_file_needs_no_index(machine: "Machine") -> None:
    folder = machine.model("/data/huggingface", MODEL, [("model.safetensors", 7)])
    next(folder.glob("snapshots/*/model.safetensors.index.json")).unlink()
    assert (await cached(machine)).complete
    next(folder.glob("snapshots/*/model.safetensors")).unlink()
    assert (await cached(machine)).missing == ("weights",)


async def test_a_model_that_was_never_downloaded_and_one_without_its_snapshot(machine: "Machine") -> None:
    assert (await cached(machine)).missing == ("the whole model",)
    folder = machine.model("/data/huggingface", MODEL, SHARDS)
    (folder / "refs" / "main").write_text("../../../etc\n", encoding="ascii")
    assert (await cached(machine)).missing == ("refs/main",)
    (folder / "refs" / "main").write_text("feedbeef\n", encoding="ascii")
    assert (await cached(machine)).missing == ("snapshots/feedbeef",)


async def test_what_is_no_repository_id_never_reaches_the_host(machine: "Machine") -> None:
    model = await cached(machine, "x/$(touch /tmp/owned)")
    assert model.missing == ("not a Hugging Face repository id",)


async def test_without_a_model_cache_in_the_fleet_file_models_are_unknown(machine: "Machine") -> None:
    facts = await machine.facts(models=[MODEL])
    assert isinstance(facts.models, Unknown)
    assert isinstance(facts.model_cache, Unknown)
    assert "model_cache" in facts.models.why


async def test_places_tell_free_space_and_the_file_system_that_is_shared(machine: "Machine") -> None:
    machine.write("/data/huggingface/.keep", "")
    facts = await machine.facts(model_cache="/data/huggingface")
    assert isinstance(facts.model_cache, Known)
    assert facts.model_cache.value == Storage(
        path="/data/huggingface",
        exists=True,
        writable=True,
        free_bytes=8_000_000 * 1024,
        total_bytes=9_000_000 * 1024,
        fs_type="nfs4",
        fs_source="store:/hf",
    )
    assert facts.model_cache.value.shared_id == "nfs4:store:/hf"
    assert isinstance(facts.scratch, Known)
    assert not facts.scratch.value.exists
    assert facts.scratch.value.shared_id is None


async def test_the_engines_folder_follows_its_configuration(machine: "Machine") -> None:
    machine.write("/etc/docker/daemon.json", '{\n  "data-root": "/data/docker",\n  "live-restore": true\n}\n')
    facts = await machine.facts()
    assert isinstance(facts.docker_storage, Known)
    assert (facts.docker_storage.value.path, facts.docker_storage.value.fs_type) == ("/data/docker", "nfs4")


async def test_this_machine_is_read_live(tmp_path: Path) -> None:
    host = Host(name="here", address="local", scratch=str(tmp_path), model_cache=str(tmp_path / "none" / "yet"))
    facts = await survey(LocalLink(host), host)
    assert isinstance(facts.scratch, Known)
    assert facts.scratch.value.free_bytes
    assert facts.scratch.value.fs_type
    assert isinstance(facts.model_cache, Known)
    assert (facts.model_cache.value.exists, facts.model_cache.value.writable) == (False, True)
    assert isinstance(facts.clock, Known)
    assert abs(facts.clock.value.offset_ns) <= facts.clock.value.uncertainty_ns + 1_000_000_000


def test_a_weight_index_lists_each_shard_once() -> None:
    assert shards(b'{"weight_map": {"a": "2", "b": "1", "c": "2"}}') == ["1", "2"]
    assert shards(b"[" * 100_000) is None
