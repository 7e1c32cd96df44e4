"""RDMA devices with their ports, and the interfaces that lead out of the host: cards, and what is built on them."""

import re
from collections.abc import Iterable, Iterator, Mapping

import msgspec

from console.fleet.probe.reading import Files, Table, lines, unread
from console.fleet.script import Area, Section
from console.model.facts import Gid, Known, Nic, ProviderLibrary, RdmaDevice, RdmaPort, Unknown
from console.model.text import clean_line

RDMA = "/sys/class/infiniband"
NET = "/sys/class/net"
COUNTERS = (
    "counters/symbol_error",
    "counters/link_error_recovery",
    "counters/link_downed",
    "counters/port_rcv_errors",
    "counters/port_xmit_discards",
    "counters/local_link_integrity_errors",
    "counters/excessive_buffer_overrun_errors",
    "hw_counters/out_of_sequence",
    "hw_counters/packet_seq_err",
    "hw_counters/local_ack_timeout_err",
    "hw_counters/rnr_nak_retry_err",
    "hw_counters/rx_icrc_encapsulated",
)
"""Counters of trouble that InfiniBand and the larger RoCE drivers have."""

PROVIDER_FOLDERS = (
    "/usr/local/lib",
    "/usr/local/lib64",
    "/usr/local/lib/x86_64-linux-gnu",
    "/usr/lib/x86_64-linux-gnu/libibverbs",
    "/usr/lib64/libibverbs",
    "/usr/lib/libibverbs",
)
"""Where providers of libibverbs are: what vendors install by hand comes before what the distribution has."""

PLUMBING = ("lo", "docker*", "veth*", "br-*", "virbr*", "vnet*", "cni*", "flannel*", "cali*", "tun*", "tap*")
"""Names of interfaces that lead to containers and machines on the host itself; shell patterns."""

GIDS = 8
"""Entries of a GID table that are read: each address takes two, one for each version of RoCE."""

_GIDS = [name for index in range(GIDS) for name in (f"gids/{index}", f"gid_attrs/types/{index}")]
_PORT = ("state", "phys_state", "rate", "link_layer", *_GIDS, *COUNTERS)

SCRIPT = f"""
begin net.rdma {RDMA}
if cd "$ROOT{RDMA}" 2>/dev/null; then
  set --
  for each in *; do
    if [ ! -e "$each" ]; then continue; fi
    printf 'device:%s\\n' "$each"
    for name in "$each"/device/net/*; do if [ -e "$name" ]; then printf 'netdev:%s\\n' "$name"; fi; done
    for name in fw_ver board_id hca_type node_guid device/numa_node; do set -- "$@" "$each/$name"; done
    for port in "$each"/ports/[0-9]*; do
      for name in {" ".join(_PORT)}; do if [ -e "$port/$name" ]; then set -- "$@" "$port/$name"; fi; done
    done
  done
  if [ $# -gt 0 ]; then sweep "$@"; status=$?; else printf '\\n@errors\\n'; status=0; fi
  cd /; end net.rdma "$status"
elif [ -d "$ROOT/sys/class" ]; then end net.rdma absent
else end net.rdma unseen; fi
begin net.nic {NET}
built() {{ {{ read -r lower <"$1/iflink" && read -r own <"$1/ifindex" && [ "$lower" != "$own" ]; }} 2>/dev/null; }}
if cd "$ROOT{NET}" 2>/dev/null; then
  set --
  for each in *; do
    if [ -e "$each/device" ]; then printf 'device:%s\\n' "$each"
    else
      case $each in {"|".join(PLUMBING)}) continue ;; esac
      if [ ! -d "$each/bonding" ] && [ ! -d "$each/bridge" ] && ! built "$each"; then continue; fi
    fi
    for name in operstate speed mtu address device/numa_node device/uevent; do set -- "$@" "$each/$name"; done
  done
  if [ $# -gt 0 ]; then sweep "$@"; status=$?; else printf '\\n@errors\\n'; status=0; fi
  cd /; end net.nic "$status"
else end net.nic absent; fi
output net.addresses ip -o addr show up scope global
begin net.providers /etc/libibverbs.d
for folder in {" ".join(PROVIDER_FOLDERS)}; do names "$ROOT$folder"/lib*-rdmav*.so; done
names "$ROOT"/etc/libibverbs.d/*.driver
end net.providers 0
begin net.listening /proc/net/tcp
if [ -r "$ROOT/proc/net/tcp" ]; then
  $LIMIT grep -hE '^ *[0-9]+: .* 0A ' "$ROOT/proc/net/tcp" "$ROOT/proc/net/tcp6" 2>/dev/null
  end net.listening 0
else end net.listening absent; fi
"""


class Network(msgspec.Struct, frozen=True):
    """What this area fills of the facts of a host; `infiniband` are the names alone."""

    infiniband: Known[tuple[str, ...]] | Unknown
    rdma: Known[tuple[RdmaDevice, ...]] | Unknown
    nics: Known[tuple[Nic, ...]] | Unknown
    providers: Known[tuple[ProviderLibrary, ...]] | Unknown
    listening: Known[tuple[int, ...]] | Unknown


def parse(found: Mapping[str, Section]) -> Network:
    """What the sections say of the network."""
    rdma = _rdma(found.get("net.rdma"))
    names: Known[tuple[str, ...]] | Unknown = (
        rdma if isinstance(rdma, Unknown) else Known(tuple(device.name for device in rdma.value), RDMA)
    )
    providers, listening = _providers(found.get("net.providers")), _listening(found.get("net.listening"))
    return Network(names, rdma, _nics(found), providers, listening)


def _listed(files: Files, kind: str) -> list[str]:
    return [clean_line(name) for name in files.rows.get(kind, ())]


def _rdma(section: Section | None) -> Known[tuple[RdmaDevice, ...]] | Unknown:
    if section is not None and section.why == "absent":
        return Known((), f"no {RDMA}")
    if section is None or not section.ok:
        return unread(section, ("ls", RDMA))
    files = Files(section)
    if files.cut:
        return Unknown("the answer was cut off", RDMA, ("ls", RDMA))
    ports = _ports(files)
    return Known(tuple(_device(files, name, ports.get(name, ())) for name in _listed(files, "device")), RDMA)


def _ports(files: Files) -> dict[str, set[int]]:
    """Numbers of the ports of every device that has files of them."""
    found: dict[str, set[int]] = {}
    for path in files.rows:
        name, _, rest = path.partition("/ports/")
        number, slash, _ = rest.partition("/")
        if slash and number.isascii() and number.isdecimal() and len(number) <= 3:
            found.setdefault(name, set()).add(int(number))
    return found


def _device(files: Files, name: str, ports: Iterable[int]) -> RdmaDevice:
    netdevs = [path.rsplit("/", 1)[-1] for path in _listed(files, "netdev") if path.startswith(f"{name}/")]
    numa = files.number(f"{name}/device/numa_node")
    return RdmaDevice(
        name=name,
        ports=tuple(_port(files, f"{name}/ports/{number}", number) for number in sorted(ports)),
        firmware=files.raw(f"{name}/fw_ver") or "",
        board_id=files.raw(f"{name}/board_id") or "",
        kind=files.raw(f"{name}/hca_type") or "",
        node_guid=files.raw(f"{name}/node_guid") or "",
        numa_node=numa if numa is not None and numa >= 0 else None,
        netdevs=tuple(netdevs),
    )


def _port(files: Files, base: str, number: int) -> RdmaPort:
    rate = files.raw(f"{base}/rate") or ""
    match = re.match(r"(\d{1,4}(?:\.\d)?) Gb/sec", rate, re.ASCII)
    counters = []
    for name in COUNTERS:
        path = f"{base}/{name}"
        if path in files.rows or path in files.errors:
            counters.append((name.rsplit("/", 1)[-1], files.number(path)))
    return RdmaPort(
        number=number,
        state=_word(files.raw(f"{base}/state")),
        phys_state=_word(files.raw(f"{base}/phys_state")),
        rate_gbps=float(match.group(1)) if match else None,
        rate=rate,
        link_layer=files.raw(f"{base}/link_layer") or "",
        gid3=files.raw(f"{base}/gids/3") or "",
        gids=tuple(_gids(files, base)),
        counters=tuple(counters),
    )


def _gids(files: Files, base: str) -> Iterator[Gid]:
    """Entries in use: the kernel has zeroes in the others, and refuses to tell their kind."""
    for index in range(GIDS):
        gid = files.raw(f"{base}/gids/{index}") or ""
        if gid.strip("0:"):
            yield Gid(index, gid, files.raw(f"{base}/gid_attrs/types/{index}") or "")


def _word(text: str | None) -> str:
    """`ACTIVE` of `4: ACTIVE`."""
    return (text or "").partition(": ")[2] or (text or "")


def _nics(found: Mapping[str, Section]) -> Known[tuple[Nic, ...]] | Unknown:
    section = found.get("net.nic")
    if section is None or not section.ok:
        return unread(section, ("ip", "-br", "link"))
    files = Files(section)
    if files.cut:
        return Unknown("the answer was cut off", NET, ("ip", "-br", "link"))
    addresses: dict[str, list[str]] = {}
    for line in lines(found, "net.addresses"):
        match = re.match(r"\d{1,6}: ([^\s:@]+)(?:@\S+)? +inet6? ([0-9a-fA-F.:]{2,45}/\d{1,3}) ", line, re.ASCII)
        if match:
            addresses.setdefault(match.group(1), []).append(match.group(2))
    physical = set(_listed(files, "device"))
    names = {name.rpartition("/")[0] for name in files.rows if name.endswith("/operstate")} | physical
    return Known(tuple(_nic(files, name, name in physical, addresses) for name in sorted(names)), NET)


def _nic(files: Files, name: str, physical: bool, addresses: Mapping[str, list[str]]) -> Nic:
    speed = files.number(f"{name}/speed")
    numa = files.number(f"{name}/device/numa_node")
    uevent = files.lines(f"{name}/device/uevent") or ()
    return Nic(
        name=clean_line(name),
        operstate=files.raw(f"{name}/operstate") or "",
        speed_mbps=speed if speed is not None and speed > 0 else None,
        mtu=files.number(f"{name}/mtu"),
        driver=next((line.removeprefix("DRIVER=") for line in uevent if line.startswith("DRIVER=")), ""),
        mac=files.raw(f"{name}/address") or "",
        physical=physical,
        numa_node=numa if numa is not None and numa >= 0 else None,
        addresses=tuple(addresses.get(name, ())),
    )


def _providers(section: Section | None) -> Known[tuple[ProviderLibrary, ...]] | Unknown:
    """Every provider that is there, in the order of the folders; one of a name may be there twice."""
    if section is None or not section.ok:
        return unread(section, ("ls", *PROVIDER_FOLDERS))
    seen = [clean_line(path) for path in Table(section).names]
    configs = {path.rpartition("/")[2].removesuffix(".driver"): path for path in seen if path.endswith(".driver")}
    found = []
    for path in seen:
        match = re.fullmatch(r"/[^\s:]+/lib([\w.+]+)-rdmav\d{1,4}\.so", path, re.ASCII)
        if match:
            found.append(ProviderLibrary(name=match[1], path=path, config=configs.get(match[1], "")))
    return Known(tuple(found), "libibverbs")


def _listening(section: Section | None) -> Known[tuple[int, ...]] | Unknown:
    """Ports of the kernel's table (proc_net_tcp(5)): the local address is hexadecimal, state 0A is LISTEN."""
    if section is None or not section.ok:
        return unread(section, ("ss", "-ltn"))
    rows = re.findall(rb"(?m)^ *\d+: [0-9A-F]{8,32}:([0-9A-F]{4}) [0-9A-F]{8,32}:[0-9A-F]{4} 0A ", section.data)
    return Known(tuple(sorted({int(port, 16) for port in rows})), section.source)


AREA = Area("net", SCRIPT, parse)
