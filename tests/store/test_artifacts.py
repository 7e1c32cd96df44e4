"""Artifacts are whole, stay inside their attempt, and prove what they are."""

import hashlib
from pathlib import Path

import pytest

from console.store import artifacts
from console.store.errors import ArtifactDamaged, BadName, StoreError
from console.store.paths import StateFolder


def test_what_is_written_is_read_and_proves_itself(folder: StateFolder) -> None:
    sha256 = artifacts.write(folder, "a1", "server/result.json", b'{"elapsed": 1}')
    assert sha256 == hashlib.sha256(b'{"elapsed": 1}').hexdigest()
    assert artifacts.read(folder, "a1", "server/result.json", sha256) == b'{"elapsed": 1}'
    assert artifacts.path(folder, "a1", "server/result.json") == folder.attempt("a1") / "server" / "result.json"


def test_a_later_one_replaces_an_earlier_one_and_leaves_nothing_else(folder: StateFolder) -> None:
    artifacts.write(folder, "a1", "inspect.json", b"old")
    artifacts.write(folder, "a1", "inspect.json", b"new")
    assert artifacts.read(folder, "a1", "inspect.json") == b"new"
    assert [path.name for path in folder.attempt("a1").iterdir()] == ["inspect.json"]


def test_a_changed_or_absent_file_is_not_handed_out(folder: StateFolder) -> None:
    sha256 = artifacts.write(folder, "a1", "inspect.json", b"old")
    artifacts.path(folder, "a1", "inspect.json").write_bytes(b"forged")
    with pytest.raises(ArtifactDamaged, match="changed after it was stored"):
        artifacts.read(folder, "a1", "inspect.json", sha256)
    with pytest.raises(ArtifactDamaged, match="cannot be read"):
        artifacts.read(folder, "a1", "other.json")


@pytest.mark.parametrize(
    "name", ["../x", "a/../../x", "/etc/passwd", "a//b", "", "a/", ".", "a/.hidden", "a\\..\0", "server.log", "p.idx"]
)
def test_no_name_leaves_the_folder_or_touches_a_log(folder: StateFolder, name: str) -> None:
    with pytest.raises(BadName):
        artifacts.write(folder, "a1", name, b"x")
    assert list(folder.root.joinpath("attempts").rglob("*")) == []


def test_a_write_that_fails_is_explained_and_leaves_no_half_file(folder: StateFolder, tmp_path: Path) -> None:
    target = artifacts.path(folder, "a1", "result.json")
    target.mkdir(parents=True)
    (target / "child").write_text("so that it cannot be replaced")
    with pytest.raises(StoreError, match="could not be written"):
        artifacts.write(folder, "a1", "result.json", b"x")
    assert [path.name for path in folder.attempt("a1").iterdir()] == ["result.json"]
