"""The state folder: where everything durable lies, private to its owner."""

import os
from pathlib import Path

from platformdirs import user_state_dir

from console.store.errors import StoreError, UnsafeFileSystem
from console.store.ids import check_id, new_id
from console.store.locks import RunLock
from console.store.mounts import MOUNTINFO, UNSAFE, file_system

__all__ = ["StateFolder", "check_id", "make_private", "new_id", "private_file", "sync_folder"]

_FOLDERS = ("attempts", "locks", "samples", "readings")


class StateFolder:
    """`journal.sqlite`, `attempts/<id>/`, `samples/`, `readings/` and `locks/` under one root."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self.journal = root / "journal.sqlite"
        self.samples = root / "samples"
        self.readings = root / "readings"

    @classmethod
    def open(cls, root: Path | None = None, mountinfo: Path = MOUNTINFO) -> "StateFolder":
        """The folder at `root`, by default the user's state folder; made (0700) when absent.

        Raises UnsafeFileSystem on a shared file system, StoreError when it cannot be made or read.
        """
        chosen = (root or Path(user_state_dir("instinct"))).expanduser()
        try:
            chosen = chosen.resolve()
            _refuse_unsafe(chosen, mountinfo)
            make_private(chosen)
            if os.access(chosen, os.W_OK):  # a folder on read-only media can still be read
                for name in _FOLDERS:
                    make_private(chosen / name)
            os.listdir(chosen)  # noqa: PTH208 - only asks whether it may be read
        except (OSError, RuntimeError) as error:  # RuntimeError: a loop of symbolic links, or no home folder
            raise StoreError(
                f"the state folder {chosen} cannot be used: {error}", remedy="choose another with --store DIR"
            ) from error
        return cls(chosen)

    def attempt(self, attempt_id: str) -> Path:
        """Folder of an attempt; whoever writes there makes it. Raises BadName on an id unfit for a path."""
        return self.root / "attempts" / check_id(attempt_id, "attempt")

    def run_lock(self, run: str) -> RunLock:
        """The lock that its conductor holds while a run goes on."""
        return RunLock(self.root / "locks" / f"{check_id(run, 'run')}.lock")


def _refuse_unsafe(folder: Path, mountinfo: Path) -> None:
    try:
        table = mountinfo.read_text("utf-8", "surrogateescape")
    except OSError:
        return  # not Linux: there is no such table, and no other way to ask without a program
    kind = file_system(folder, table)
    if kind in UNSAFE:
        raise UnsafeFileSystem(
            f"the state folder {folder} lies on a shared file system ({kind}), where the journal could be damaged",
            remedy="choose a local disk with --store DIR",
        )


def make_private(folder: Path) -> Path:
    """Make the folder and what is missing above it, 0700; what exists is left as it is."""
    missing = []
    while not folder.is_dir():
        missing.append(folder)
        folder = folder.parent
    made = folder
    for made in reversed(missing):
        made.mkdir(mode=0o700, exist_ok=True)
        sync_folder(made.parent)
    return made


def private_file(path: Path) -> None:
    """Make an empty file, 0600, when there is none, and make its name durable."""
    try:
        os.close(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600))
    except FileExistsError:
        return
    sync_folder(path.parent)


def sync_folder(folder: Path) -> None:
    """Make names created or replaced in the folder survive a power cut."""
    try:
        fd = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    except PermissionError:
        return  # one may write into a folder that one may not list; its names cannot be synced
    try:
        os.fsync(fd)
    finally:
        os.close(fd)
