"""Make the light archive: the commands that need no SSH, Docker or tables, for hosts with Python 3.10 and no network.

    python tools/light_archive.py [-o dist/instinct-light.tar.gz]

It holds this package and the few libraries those commands import, msgspec for each Python from 3.10 on. Making it needs
a package index; using it needs nothing: unpack it anywhere and run `instinct-light/instinct health --local`.
"""

import argparse
import shutil
import subprocess
import sys
import tarfile
import tempfile
from collections.abc import Sequence
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
NAME = "instinct-light"
PYTHONS = ("3.10", "3.11", "3.12", "3.13")
PURE = ("click>=8.2", "platformdirs>=4.3", "typing_extensions", "tomli>=2")
COMPILED = ("msgspec>=0.20",)
PLATFORMS = ("manylinux2014_x86_64", "manylinux_2_17_x86_64", "manylinux_2_28_x86_64")

LAUNCHER = """#!/bin/sh
# instinct health --local, --bundle, status --bundle, profiles: no SSH, no Docker, no tables, no network.
here=$(CDPATH= cd -- "$(dirname -- "$0")" && pwd) || exit 3
python=${INSTINCT_PYTHON:-python3}
tag=$("$python" -c 'import sys; print("cp%d%d" % sys.version_info[:2])') || {
  echo "instinct: no $python here; set INSTINCT_PYTHON to a Python of 3.10 or newer" >&2; exit 3; }
if [ ! -d "$here/lib/$tag" ]; then
  echo "instinct: this archive has no libraries for $tag; it has $(ls "$here/lib" | tr '\\n' ' ')" >&2; exit 3
fi
PYTHONPATH="$here/app:$here/lib/any:$here/lib/$tag" PYTHONNOUSERSITE=1 PYTHONDONTWRITEBYTECODE=1
export PYTHONPATH PYTHONNOUSERSITE PYTHONDONTWRITEBYTECODE
exec "$python" "$here/app/light.py" "$@"
"""


def build(folder: Path, *, pythons: Sequence[str] = PYTHONS) -> Path:
    """Lay the archive out below a folder; returns its top. Raises CalledProcessError when an index does not answer."""
    top = folder / NAME
    ignore = shutil.ignore_patterns("__pycache__", "lab")
    shutil.copytree(ROOT / "console", top / "app" / "console", ignore=ignore)
    shutil.copytree(ROOT / "profiles", top / "app" / "console" / "_profiles")
    shutil.copy(ROOT / "tools" / "light.py", top / "app")
    _install(PURE, top / "lib" / "any", pythons[0], ("any",))
    for version in pythons:
        _install(COMPILED, top / "lib" / f"cp{version.replace('.', '')}", version, PLATFORMS)
    launcher = top / "instinct"
    launcher.write_text(LAUNCHER, encoding="utf-8")
    launcher.chmod(0o755)
    shutil.copy(ROOT / "LICENSE", top)
    return top


def pack(top: Path, path: Path) -> None:
    """The folder as a gzipped tar, owned by nobody in particular."""

    def plain(info: tarfile.TarInfo) -> tarfile.TarInfo:
        info.uid = info.gid = 0
        info.uname = info.gname = ""
        return info

    path.parent.mkdir(parents=True, exist_ok=True)
    with tarfile.open(path, "w:gz") as tar:
        tar.add(top, NAME, filter=plain)


def _install(names: Sequence[str], target: Path, python: str, platforms: Sequence[str]) -> None:
    command = [sys.executable, "-m", "pip", "install", "--quiet", "--disable-pip-version-check", "--no-deps"]
    command += ["--no-compile", "--only-binary=:all:", "--target", str(target), "--python-version", python]
    for platform in platforms:
        command += ["--platform", platform]
    subprocess.run([*command, *names], check=True)


def main() -> None:
    """Build and pack."""
    parser = argparse.ArgumentParser(description="Make the light archive.")
    parser.add_argument("-o", "--output", type=Path, default=ROOT / "dist" / f"{NAME}.tar.gz")
    output: Path = parser.parse_args().output
    with tempfile.TemporaryDirectory() as folder:
        pack(build(Path(folder)), output)
    print(f"{output}: {output.stat().st_size / 1e6:.1f} MB")


if __name__ == "__main__":
    main()
