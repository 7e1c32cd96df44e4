"""Everything a probe reads as one file, and facts out of such a file, or of a folder laid out as a host's root.

A bundle is a gzipped tar: `manifest.json` (which product, host, when, and each section's name, source and end), and
the bytes of every section as they came. Nothing of it is ever unpacked to disk.
"""

import gzip
import io
import os
import subprocess
import tarfile
import time
from collections.abc import Sequence
from pathlib import Path

import msgspec

from console import __version__
from console.fleet.host import SCRATCH, Host
from console.fleet.link import Link
from console.fleet.probe.survey import AREAS, ask, read, script_values
from console.fleet.redaction import Redactor
from console.fleet.script import Section, by_name, compose, new_nonce, sections
from console.model.facts import HostFacts, Unknown, value_or
from console.model.text import clean_line

FORMAT = 1
LIMIT = 64 << 20
"""Bytes a bundle may hold, unpacked."""
FOLDER_TIMEOUT_S = 60.0


class CaptureError(Exception):
    """A bundle or folder that cannot be read or written: which one, why, and what to do."""


class Entry(msgspec.Struct, frozen=True, kw_only=True):
    """One section in the manifest; `file` holds its bytes."""

    name: str
    source: str
    exit: int | None
    why: str = ""
    file: str = ""


class Manifest(msgspec.Struct, frozen=True, kw_only=True):
    """What a bundle is. `taken_at_ns` is UTC on the clock of the machine that took it."""

    format: int
    product: str
    host: str
    taken_at_ns: int
    redacted: bool
    simulated: bool = False
    model_cache: str | None = None
    scratch: str = SCRATCH
    models: tuple[str, ...] = ()
    entries: tuple[Entry, ...] = ()


class Bundle(msgspec.Struct, frozen=True):
    """A capture in memory."""

    manifest: Manifest
    sections: tuple[Section, ...]


async def capture(
    link: Link, of: Host, *, models: Sequence[str] = (), redact: bool = False, simulated: bool = False
) -> Bundle:
    """Probe a host and keep the answer as it came. Raises LinkError classes.

    `redact`: serial numbers, MACs and GUIDs, addresses, host and account names and tokens are replaced.
    """
    answer = await ask(link, of, models=models)
    name, found, cache, scratch = of.name, answer.sections, of.model_cache, of.scratch
    if redact:
        facts = read(by_name(found), of, models)
        system = facts.system
        redactor = Redactor(value_or(system.hostname, ""), value_or(system.user, ""))
        name, found = "host", tuple(redactor.section(section) for section in found)
        cache, scratch = redactor.text(cache) if cache is not None else None, redactor.text(scratch)
    manifest = Manifest(
        format=FORMAT,
        product=__version__,
        host=name,
        taken_at_ns=answer.received_ns,
        redacted=redact,
        simulated=simulated,
        model_cache=cache,
        scratch=scratch,
        models=tuple(models),
    )
    return Bundle(manifest, found)


def pack(bundle: Bundle) -> bytes:
    """A bundle as a gzipped tar; the same bundle always gives the same bytes."""
    entries = tuple(
        Entry(name=item.name, source=item.source, exit=item.exit, why=item.why, file=f"sections/{number:03}")
        for number, item in enumerate(bundle.sections)
    )
    manifest = msgspec.structs.replace(bundle.manifest, entries=entries)
    packed = io.BytesIO()
    with (
        gzip.GzipFile(fileobj=packed, mode="wb", mtime=0) as zipped,
        tarfile.open(fileobj=zipped, mode="w") as tar,
    ):
        _add(tar, "manifest.json", msgspec.json.format(msgspec.json.encode(manifest), indent=1), manifest.taken_at_ns)
        for entry, item in zip(entries, bundle.sections, strict=True):
            _add(tar, entry.file, item.data, manifest.taken_at_ns)
    return packed.getvalue()


def _add(tar: tarfile.TarFile, name: str, data: bytes, at_ns: int) -> None:
    info = tarfile.TarInfo(name)
    info.size, info.mode, info.mtime = len(data), 0o600, at_ns // 1_000_000_000
    tar.addfile(info, io.BytesIO(data))


def write(bundle: Bundle, path: Path) -> None:
    """Write a bundle whole or not at all, readable by its owner alone."""
    fresh = path.with_name(f".{path.name}.{os.getpid()}.new")
    try:
        fresh.touch(mode=0o600)
        fresh.write_bytes(pack(bundle))
        fresh.replace(path)
    except OSError as error:
        fresh.unlink(missing_ok=True)
        raise CaptureError(f"{path}: cannot be written: {error.strerror or error}") from error


def load(path: Path) -> Bundle:
    """A bundle from its file. CaptureError for what is none."""
    try:
        with tarfile.open(path, "r:gz") as tar:
            files = _members(tar, path)
        manifest = msgspec.json.decode(files["manifest.json"], type=Manifest)
        found = tuple(
            Section(
                clean_line(entry.name), clean_line(entry.source), entry.exit, files[entry.file], clean_line(entry.why)
            )
            for entry in manifest.entries
        )
    except KeyError as error:
        raise CaptureError(f"{path}: {error} is not in it; was it made by `instinct capture`?") from error
    except (tarfile.TarError, gzip.BadGzipFile, EOFError, OSError, msgspec.DecodeError, ValueError) as error:
        raise CaptureError(f"{path}: not a bundle: {clean_line(str(error))}") from error
    if manifest.format > FORMAT:
        raise CaptureError(f"{path}: made by version {clean_line(manifest.product)}; a newer instinct reads it")
    return Bundle(manifest, found)


def _members(tar: tarfile.TarFile, path: Path) -> dict[str, bytes]:
    files: dict[str, bytes] = {}
    room = LIMIT
    for member in tar:
        room -= max(0, member.size)
        if room < 0:
            raise CaptureError(f"{path}: more than {LIMIT >> 20} MiB in it; not read")
        file = tar.extractfile(member) if member.isreg() else None
        if file is not None:
            files.setdefault(member.name, file.read())
    return files


def facts_from(path: Path, *, of: Host | None = None, models: Sequence[str] = ()) -> HostFacts:
    """Facts of a bundle file, or of a folder laid out as a host's root, with no host at all. CaptureError otherwise.

    Of a folder, only regular text below it is looked at; output of commands is taken from its `@commands/SECTION`.
    `of` gives name, model cache and scratch where a folder does not tell them.
    """
    if path.is_dir():
        return _of_folder(path, of, models)
    bundle = load(path)
    manifest = bundle.manifest
    host = Host(
        name=clean_line(manifest.host) or path.name,
        address="local",
        model_cache=manifest.model_cache,
        scratch=manifest.scratch,
    )
    facts = read(
        by_name(bundle.sections),
        host,
        manifest.models,
        simulated=manifest.simulated,
        read_at_ns=manifest.taken_at_ns,
    )
    why = Unknown("facts are from a bundle, which has no clock", str(path))
    return msgspec.structs.replace(facts, clock=why, origin=str(path))


def _of_folder(path: Path, of: Host | None, models: Sequence[str]) -> HostFacts:
    root = str(path.resolve())
    host = (
        msgspec.structs.replace(of, root=root) if of is not None else Host(name=path.name, address="local", root=root)
    )
    nonce = new_nonce()
    script = compose(AREAS, script_values(host, models, tools=True), nonce)
    try:
        done = subprocess.run(
            ["/bin/sh", "-s"], input=script, capture_output=True, timeout=FOLDER_TIMEOUT_S, check=False
        )
    except (OSError, subprocess.TimeoutExpired) as error:
        raise CaptureError(f"{path}: cannot be read: {error}") from error
    found = by_name(sections(done.stdout, nonce))
    if not found:
        raise CaptureError(f"{path}: the probe did not run: {clean_line(done.stderr)}")
    facts = read(found, host, models, read_at_ns=time.time_ns())
    if of is None:
        facts = msgspec.structs.replace(facts, host=value_or(facts.system.hostname, path.name))
    why = Unknown("facts are from a folder, which has no clock", str(path))
    return msgspec.structs.replace(facts, clock=why, origin=str(path))
