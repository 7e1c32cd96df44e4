"""Counters of what went wrong on one GPU: RAS by block, pages taken out of use, PCIe."""

import re

from console.fleet.probe.reading import Files
from console.model.facts import BadPages, Known, RasBlock, Unknown
from console.model.text import clean_line

_SHOW = ("amd-smi", "metric", "-k")
_NO_QUERY = ("Invalid argument", "Operation not supported")
"""What the driver answers for a block that has a file and no counters."""
_NEEDED = ("umc", "gfx")
"""Blocks that every Instinct counts for; without them the rest would look better than it is."""


def ras(files: Files) -> Known[tuple[RasBlock, ...]] | Unknown:
    """Counters of every block that has them. Where one that has cannot be read, what it would say is not known."""
    if files.asleep or files.cut or files.late:
        return files.missing("ras/*_err_count")
    names = sorted(clean_line(line) for line in files.rows.get("ras", ()))
    blocks = []
    for name in names:
        match = re.fullmatch(r"ras/(\w{1,30})_err_count", name, re.ASCII)
        if match and match.group(1) not in _NEEDED and files.errors.get(name) in _NO_QUERY:
            continue
        block = _block(files, name, match.group(1)) if match else files.missing(name)
        if isinstance(block, Unknown):
            return block
        blocks.append(block)
    if not blocks:
        return Unknown("the driver shows no error counters", files.path("ras"), _SHOW)
    return Known(tuple(blocks), files.path("ras/*_err_count"))


def _block(files: Files, name: str, block: str) -> RasBlock | Unknown:
    lines = files.lines(name)
    if not lines:
        return files.missing(name)
    if lines[0] == "Query currently inaccessible":
        return Unknown("the driver is resetting the GPU and does not count now", files.path(name), _SHOW)
    parts = (re.fullmatch(r"(ue|ce|de): ?(\d{1,18})", line, re.ASCII) for line in lines)
    counts = {part.group(1): int(part.group(2)) for part in parts if part}
    if "ue" not in counts or "ce" not in counts:
        return Unknown("not of the form expected", files.path(name), _SHOW)
    return RasBlock(block=block, uncorrectable=counts["ue"], correctable=counts["ce"], deferred=counts.get("de"))


def bad_pages(files: Files) -> Known[BadPages] | Unknown:
    """`address : size : R|P|F` lines: retired, pending until a reset, not reservable."""
    name = "ras/gpu_vram_bad_pages"
    found = files.lines(name)
    if found is None:
        return files.missing(name)
    states = [re.fullmatch(r"0x[0-9a-fA-F]+ *: *0x[0-9a-fA-F]+ *: *([RPF])", line) for line in found if line]
    if not all(states):
        return Unknown("not of the form expected", files.path(name), ("amd-smi", "bad-pages"))
    letters = [state.group(1) for state in states if state]
    return Known(
        BadPages(retired=letters.count("R"), pending=letters.count("P"), unreservable=letters.count("F")),
        files.path(name),
    )


def aer_total(files: Files, name: str) -> Known[int] | Unknown:
    """The total that the last line of an AER file gives."""
    for line in reversed(files.lines(name) or ()):
        match = re.fullmatch(r"TOTAL_ERR_\w+ (\d{1,18})", line, re.ASCII)
        if match:
            return Known(int(match.group(1)), files.path(name))
    missing = files.missing(name)
    if name in files.rows:
        return Unknown("not of the form expected", files.path(name), ("cat", files.path(name)))
    return missing
