"""The state folder is private, local, and named by ids that cannot leave it."""

import re
from pathlib import Path

import pytest

from console.model.attempt import LogFrame
from console.store import artifacts
from console.store.errors import BadName, StoreError, UnsafeFileSystem
from console.store.ids import IdMaker
from console.store.journal import Journal
from console.store.logfile import PartLog
from console.store.mounts import file_system
from console.store.paths import StateFolder, new_id

MOUNTS = """\
22 1 8:1 / / rw,relatime shared:1 - ext4 /dev/sda1 rw
30 22 0:40 / /home rw,relatime shared:2 - nfs4 server:/home rw
31 30 8:2 / /home/local\\040disk rw - xfs /dev/sdb1 rw
32 22 0:41 / /scratch rw master:3 propagate_from:2 - lustre 10.0.0.1@tcp:/fs rw
33 32 0:42 / /scratch rw - tmpfs tmpfs rw
"""


@pytest.mark.parametrize(
    ("path", "kind"),
    [
        ("/var/lib/x", "ext4"),
        ("/home/me/.local/state", "nfs4"),
        ("/homeless", "ext4"),
        ("/home/local disk/x", "xfs"),
        ("/scratch/me", "tmpfs"),
    ],
)
def test_the_deepest_and_latest_mount_decides(path: str, kind: str) -> None:
    assert file_system(Path(path), MOUNTS) == kind


def test_no_mount_table_gives_no_file_system() -> None:
    assert file_system(Path("/x"), "") is None


@pytest.mark.parametrize("kind", ["nfs", "nfs4", "cifs", "lustre", "9p", "fuse.sshfs", "beegfs", "ceph"])
def test_a_shared_file_system_is_refused_before_anything_is_made(tmp_path: Path, kind: str) -> None:
    table = tmp_path / "mountinfo"
    table.write_text(f"22 1 0:40 / / rw - {kind} server:/x rw\n")
    with pytest.raises(UnsafeFileSystem, match=rf"\({kind}\).*--store DIR"):
        StateFolder.open(tmp_path / "state", mountinfo=table)
    assert not (tmp_path / "state").exists()


def test_a_system_without_a_mount_table_is_trusted(tmp_path: Path) -> None:
    assert StateFolder.open(tmp_path / "state", mountinfo=tmp_path / "absent").root.is_dir()


def test_everything_is_private_to_its_owner(tmp_path: Path) -> None:
    folder = StateFolder.open(tmp_path / "deep" / "state")
    with Journal(folder), PartLog(folder, "a1", "server") as log:
        log.append([LogFrame(1, 1, b"x")])
        artifacts.write(folder, "a1", "server/result.json", b"{}")
        assert folder.run_lock("r1").acquire()
        found = list((tmp_path / "deep").rglob("*"))
        assert {path.name for path in found} >= {"journal.sqlite", "journal.sqlite-wal", "server.log", "result.json"}
        wrong = [path for path in found if path.stat().st_mode & 0o777 != (0o700 if path.is_dir() else 0o600)]
        assert wrong == []


def test_the_default_follows_the_users_state_home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path))
    assert StateFolder.open().root == tmp_path / "instinct"


def test_a_file_in_the_way_is_explained(tmp_path: Path) -> None:
    (tmp_path / "state").write_text("")
    with pytest.raises(StoreError, match=r"cannot be used.*--store DIR"):
        StateFolder.open(tmp_path / "state")


@pytest.mark.parametrize(
    "name", ["..", ".", "", "../x", "a/b", "/etc/passwd", "a\0b", "-rf", ".hidden", "a\n", "x" * 82]
)
def test_no_id_becomes_a_path_outside(folder: StateFolder, name: str) -> None:
    for use in (folder.attempt, folder.run_lock, lambda text: PartLog(folder, "a1", text)):
        with pytest.raises(BadName):
            use(name)


def test_ids_sort_by_time_and_fit_paths_and_container_names() -> None:
    clock = iter([1_800_000_000_000, 1_800_000_000_001, 1_900_000_000_000])
    maker = IdMaker(lambda: next(clock))
    ids = [maker.new_id("r") for _ in range(3)]
    assert ids == sorted(ids)
    assert all(re.fullmatch(r"r[0-9a-hjkmnp-tv-z]{12}", text) for text in ids)


def test_ids_of_one_instant_and_of_a_clock_set_back_still_grow() -> None:
    clock = iter([1_800_000_000_000] * 2000 + [1_700_000_000_000] * 5 + [1_800_000_000_001])
    maker = IdMaker(lambda: next(clock))
    ids = [maker.new_id("a") for _ in range(2006)]
    assert ids == sorted(set(ids))


def test_a_prefix_unfit_for_paths_is_refused() -> None:
    with pytest.raises(BadName):
        new_id("../")
