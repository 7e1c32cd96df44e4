"""What counts up on a host, in one short look: taken before and after something ran, two tell what happened.

Error counters of the GPUs, what they were throttled by, the kernel log's newest lines, error counters of the RDMA ports
and interfaces that are named, the boot id and the clock. One round trip; nothing is woken or changed.
"""

import re
import time
from collections.abc import Mapping, Sequence

import msgspec

from console.fleet.host import Host
from console.fleet.link import CommandFailed, Link
from console.fleet.probe import kernel_log
from console.fleet.probe.reading import Table
from console.fleet.script import Area, Section, by_name, clock, compose, new_nonce, sections
from console.fleet.telemetry import throttled
from console.model.facts import Clock, KernelLog, Known, RasBlock, Unknown
from console.model.text import clean_line

TIMEOUT_S = 20.0
LOG_LINES = 2000
"""Lines of the kernel log that are looked at for what is new."""
MARK_LINES = 3
"""Lines of the kernel log that mark a place in it."""

_SCRIPT = r"""
begin vitals.host /proc/sys/kernel/random
value /proc/sys/kernel/random/boot_id
end vitals.host 0
begin vitals.gpu /sys/bus/pci/devices
if cd "$ROOT/sys/bus/pci/devices" 2>/dev/null; then
  set --
  for each in *; do
    vendor= state=
    { IFS= read -r vendor < "$each/vendor"; } 2>/dev/null
    if [ "$vendor" != 0x1002 ] || [ ! -e "$each/mem_info_vram_used" ]; then continue; fi
    { IFS= read -r state < "$each/power/runtime_status"; } 2>/dev/null
    case $state in suspend*) printf 'asleep %s\n' "$each"; continue ;; esac
    printf 'gpu %s\n' "$each"
    if [ -r "$each/gpu_metrics" ]; then
      printf 'metrics %s' "$each"
      $LIMIT head -c 64 "$each/gpu_metrics" 2>/dev/null </dev/null | od -An -v -tu4 2>/dev/null | tr '\n' ' '
      printf '\n'
    fi
    for name in "$each"/ras/*_err_count; do if [ -e "$name" ]; then set -- "$@" "$name"; fi; done
  done
  if [ $# -gt 0 ]; then sweep "$@"; status=$?; else status=0; fi
  cd /; end vitals.gpu "$status"
else end vitals.gpu absent; fi
begin vitals.rdma /sys/class/infiniband
nets=$NICS
if cd "$ROOT/sys/class/infiniband" 2>/dev/null; then
  set --
  for each in $HCAS; do
    name=${each%%:*}
    for file in "$name/ports/${each##*:}"/counters/* "$name/ports/${each##*:}"/hw_counters/* "$name"/hw_counters/*; do
      if [ -f "$file" ]; then set -- "$@" "$file"; fi
    done
    for file in "$name"/device/net/*; do if [ -e "$file" ]; then nets="$nets ${file##*/}"; fi; done
  done
  if [ $# -gt 0 ]; then sweep "$@"; status=$?; else status=0; fi
  cd /; end vitals.rdma "$status"
else end vitals.rdma absent; fi
begin vitals.net /sys/class/net
if [ -n "$nets" ] && cd "$ROOT/sys/class/net" 2>/dev/null; then
  set --
  for each in $nets; do
    for file in "$each"/statistics/*; do if [ -f "$file" ]; then set -- "$@" "$file"; fi; done
  done
  if [ $# -gt 0 ]; then sweep "$@"; status=$?; else status=0; fi
  cd /; end vitals.net "$status"
else end vitals.net absent; fi
"""

_HCA = re.compile(r"[A-Za-z0-9_.-]{1,40}:\d{1,3}", re.ASCII)
_NIC = re.compile(r"[A-Za-z0-9_.-]{1,40}", re.ASCII)
_BDF = r"[0-9a-f]{4,8}:[0-9a-f]{2}:[0-9a-f]{2}\.[0-7]"
_GPU = re.compile(rf"(gpu|asleep) ({_BDF})")
_RAS = re.compile(rf"({_BDF})/ras/(\w{{1,30}})_err_count:(ue|ce|de): ?(\d{{1,18}})", re.ASCII)
_METRICS = re.compile(rf"metrics ({_BDF})((?: +\d{{1,10}}){{16}}) *", re.ASCII)
_PORT = re.compile(r"([\w.-]{1,40})(?:/ports/(\d{1,3}))?/(?:hw_)?counters/(\w{1,60}):(\d{1,20})", re.ASCII)
_STATISTIC = re.compile(r"([\w.-]{1,40})/statistics/(\w{1,60}):(\d{1,20})", re.ASCII)
_COUNTS_AT = {0x0601: 8, 0x0701: 10, 0x0801: 10}
"""By version of gpu_metrics (content and format revision), the word at which the counter of cycles lies."""


class Vitals(msgspec.Struct, frozen=True, kw_only=True):
    """One look. `read_at_ns` is our clock. None and missing keys are what could not be read.

    `asleep` are GPUs that are left so. `ras`: error counters by GPU (PCI address). `throttle`: counter of cycles, then
    the residencies in the order of `telemetry.REASONS`, by GPU. `ports` and `interfaces`: every counter of the RDMA
    ports (`mlx5_0:1`) and network interfaces asked for. `kernel_log` is its end only.
    """

    host: str
    read_at_ns: int
    boot_id: str | None = None
    clock: Clock | None = None
    gpus: tuple[str, ...] = ()
    asleep: tuple[str, ...] = ()
    ras: Mapping[str, tuple[RasBlock, ...]] = {}
    throttle: Mapping[str, tuple[int, ...]] = {}
    ports: Mapping[str, Mapping[str, int]] = {}
    interfaces: Mapping[str, Mapping[str, int]] = {}
    kernel_log: Known[KernelLog] | Unknown = Unknown("not read")


async def look(
    link: Link, of: Host, hcas: Sequence[str] = (), interfaces: Sequence[str] = (), *, log_lines: int = LOG_LINES
) -> Vitals:
    """One look at a host. Raises LinkError classes. `hcas` as `mlx5_0:1`; their own interfaces are looked at too."""
    nonce = new_nonce()
    values = {
        "ROOT": (of.root or "").rstrip("/"),
        "SUDO_PROBE": "yes" if "probe" in of.sudo else "",
        "HCAS": " ".join(name for name in hcas if _HCA.fullmatch(name)),
        "NICS": " ".join(name for name in interfaces if _NIC.fullmatch(name)),
    }
    area: Area[object] = Area("vitals", _SCRIPT + kernel_log.script(log_lines), lambda found: None)
    sent = time.time_ns()
    done = await link.run(compose((area,), values, nonce), timeout_s=TIMEOUT_S)
    received = time.time_ns()
    found = by_name(sections(done.stdout, nonce))
    if not found:
        said = clean_line(done.stderr or done.stdout) or f"exit {done.exit_code}"
        raise CommandFailed(of.name, f"the look did not run: {said}", exit_code=done.exit_code)
    return msgspec.structs.replace(parse(found, of.name, received), clock=clock(found, sent, received))


def parse(found: Mapping[str, Section], host: str, read_at_ns: int) -> Vitals:
    """What the sections say. Pure; strange bytes say nothing."""
    boot_id = Table(found.get("vitals.host")).raw("/proc/sys/kernel/random/boot_id")
    lines = _lines(found.get("vitals.gpu"))
    found_gpus = [match for line in lines if (match := _GPU.fullmatch(line))]
    return Vitals(
        host=host,
        read_at_ns=read_at_ns,
        boot_id=boot_id or None,
        gpus=tuple(match.group(2) for match in found_gpus if match.group(1) == "gpu"),
        asleep=tuple(match.group(2) for match in found_gpus if match.group(1) == "asleep"),
        ras=_ras(lines),
        throttle=_throttle(lines),
        ports=_ports(_lines(found.get("vitals.rdma"))),
        interfaces=_interfaces(_lines(found.get("vitals.net"))),
        kernel_log=kernel_log.parse(found),
    )


def shares(before: Vitals, after: Vitals) -> Mapping[str, Mapping[str, float]]:
    """By GPU, what it was throttled by between two looks and for which share of the time; only GPUs that tell."""
    both = before.throttle.keys() & after.throttle.keys()
    return {bdf: throttled(before.throttle[bdf], after.throttle[bdf]) for bdf in sorted(both)}


def _lines(section: Section | None) -> list[str]:
    """Whole lines; half a one at the end of an answer that was cut off is left out."""
    if section is None:
        return []
    lines = section.data.split(b"\n")
    return [line.decode("ascii", "replace") for line in (lines[:-1] if section.exit is None else lines)]


def _ras(lines: Sequence[str]) -> Mapping[str, tuple[RasBlock, ...]]:
    counts: dict[str, dict[str, dict[str, int]]] = {}
    for line in lines:
        match = _RAS.fullmatch(line)
        if match:
            counts.setdefault(match.group(1), {}).setdefault(match.group(2), {})[match.group(3)] = int(match.group(4))
    return {
        bdf: tuple(
            RasBlock(block=block, uncorrectable=of["ue"], correctable=of["ce"], deferred=of.get("de"))
            for block, of in sorted(blocks.items())
            if "ue" in of and "ce" in of
        )
        for bdf, blocks in counts.items()
    }


def _throttle(lines: Sequence[str]) -> Mapping[str, tuple[int, ...]]:
    found = {}
    for line in lines:
        match = _METRICS.fullmatch(line)
        if match is None:
            continue
        words = [int(word) for word in match.group(2).split()]
        at = _COUNTS_AT.get(words[0] >> 16)
        if at is not None:
            found[match.group(1)] = tuple(words[at : at + 6])
    return found


def _ports(lines: Sequence[str]) -> Mapping[str, Mapping[str, int]]:
    found: dict[str, dict[str, int]] = {}
    for line in lines:
        match = _PORT.fullmatch(line)
        if match:
            port = f"{match.group(1)}:{match.group(2)}" if match.group(2) else match.group(1)
            found.setdefault(port, {})[match.group(3)] = int(match.group(4))
    return found


def _interfaces(lines: Sequence[str]) -> Mapping[str, Mapping[str, int]]:
    found: dict[str, dict[str, int]] = {}
    for line in lines:
        match = _STATISTIC.fullmatch(line)
        if match:
            found.setdefault(match.group(1), {})[match.group(2)] = int(match.group(3))
    return found
