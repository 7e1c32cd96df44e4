"""Which file system a folder lies on, from the kernel's table of mounts."""

import re
from pathlib import Path

MOUNTINFO = Path("/proc/self/mountinfo")

UNSAFE = frozenset(
    {
        "9p", "acfs", "afs", "beegfs", "ceph", "cifs", "coda", "fhgfs", "gfs2", "gpfs", "lustre", "ncpfs",
        "nfs", "nfs4", "ocfs2", "orangefs", "panfs", "pvfs2", "smb3", "smbfs", "wekafs",
        "fuse.ceph", "fuse.ceph-fuse", "fuse.davfs", "fuse.gcsfuse", "fuse.glusterfs", "fuse.goofys",
        "fuse.juicefs", "fuse.mfs", "fuse.moosefs", "fuse.rclone", "fuse.s3fs", "fuse.sshfs",
    }
)  # fmt: skip
"""Shared file systems: SQLite's write-ahead log needs memory shared by all who open it, so by one machine only."""


def file_system(path: Path, mountinfo: str) -> str | None:
    """Type of the file system that holds `path` (absolute, resolved), from the text of /proc/self/mountinfo.

    The deepest mount point above the path wins, and of mounts on one point the last. None when none is known.
    """
    best: tuple[int, str] | None = None
    for line in mountinfo.splitlines():
        fields = line.split(" ")
        if "-" not in fields or len(fields) < 8:
            continue
        point = Path(_unescape(fields[4]))
        if path.is_relative_to(point) and (best is None or len(point.parts) >= best[0]):
            best = (len(point.parts), fields[fields.index("-", 6) + 1])
    return best[1] if best else None


def _unescape(text: str) -> str:
    return re.sub(r"\\([0-7]{3})", lambda match: chr(int(match[1], 8)), text)
