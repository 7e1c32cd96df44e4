"""What the hosts of an attempt said of the bytes between them, as findings and in words. Pure."""

from collections import Counter
from collections.abc import Mapping, Sequence

import msgspec

from console.model.fabric import FabricProof, Rail, Wire, WireProof
from console.model.finding import Effect, Finding, State
from console.model.launch import Seat
from console.model.text import clean_line
from console.model.units import binary_size
from console.runs.fabric_orders import PAYLOAD_BYTES, Errand
from console.runs.fabric_program import MARK

RAILS = "fabric.rails"
VERBS = "fabric.verbs"
RDMA_PATH = "fabric.rdma"
FOLDER = "fabric.folder"
CHECKS = (RAILS, VERBS, RDMA_PATH, FOLDER)


_BETWEEN = ("timed out", "Connection refused", "No route to host", "Network is unreachable", "nobody answered")
"""What either end, or anything between them, may be the reason of."""


class Said(msgspec.Struct, frozen=True, kw_only=True):
    """One line of the program; what a line is about decides which fields it has."""

    wire: int | None = None
    side: str = ""
    there: int = 0
    back: int = 0
    seconds: float | None = None
    connected: bool = False
    error: str = ""
    rdma_gbps: float | None = None
    rdma_error: str = ""
    verbs: tuple[str, ...] | None = None
    shared: str | None = None
    missing: tuple[int, ...] = ()
    tool: bool | None = None
    done: bool = False


def read(output: bytes) -> tuple[Said, ...]:
    """The program's lines in what a container printed; anything else is left out."""
    found = []
    for line in output.decode("utf-8", "replace").splitlines():
        if line.startswith(MARK):
            try:
                found.append(msgspec.json.decode(line.removeprefix(MARK), type=Said))
            except msgspec.MsgspecError:
                continue
    return tuple(found)


def proof(errand: Errand, outputs: Mapping[str, bytes]) -> FabricProof:
    """What the check of an errand came to; `outputs` is what each host's container printed."""
    said = {host: read(output) for host, output in outputs.items()}
    mute = [seat.host for seat in errand.seats if not any(line.tool is not None for line in said.get(seat.host, ()))]
    found = tuple(_wire(wire, said) for wire in errand.wires if wire.first not in mute and wire.second not in mute)
    opened = {host: line.verbs for host, lines in said.items() for line in lines if line.verbs is not None}
    findings = (
        *(_silent(host, outputs.get(host, b"")) for host in mute),
        *_dead(found),
        *_closed(errand, said),
        *_slipped(errand, said),
        *_apart(errand, said),
    )
    text = _text(errand, found, said, findings)
    return FabricProof(key=errand.key, wires=found, opened=opened, findings=findings, text=text)


def _wire(wire: Wire, said: Mapping[str, Sequence[Said]]) -> WireProof:
    call = next((line for line in said[wire.first] if line.wire == wire.number and line.side == "connect"), Said())
    door = next((line for line in said[wire.second] if line.wire == wire.number and line.side == "listen"), Said())
    whole = call.there == call.back == PAYLOAD_BYTES
    why = "" if whole else _why(wire, call, door)
    return WireProof(
        wire=wire,
        there_bytes=call.there,
        back_bytes=call.back,
        seconds=call.seconds,
        error=why,
        rdma_gbps=call.rdma_gbps,
    )


def _why(wire: Wire, call: Said, door: Said) -> str:
    """The end that could not even begin is the cause; the other one only heard nothing of it."""
    if door.error and door.error != "timed out":
        return f"{wire.second}: {clean_line(door.error, 200)}"
    if call.connected:
        came = f"{binary_size(call.there)} of {binary_size(PAYLOAD_BYTES)} came there, {binary_size(call.back)} back"
        return f"connected, but {came}"
    why = clean_line(call.error, 200) or "nothing was said of it"
    return f"{wire.first}: {why}" if why not in _BETWEEN else why


def _dead(found: Sequence[WireProof]) -> list[Finding]:
    """Wires without bytes. Of the two ends the one that fails towards others too is named first."""
    failed = [item for item in found if item.error]
    ends = Counter((host, rail.address) for item in failed for host, rail in _ends(item.wire))
    findings = []
    for item in failed:
        (host, near), (other, far) = sorted(
            _ends(item.wire), key=lambda end: (not item.error.startswith(f"{end[0]}: "), -ends[end[0], end[1].address])
        )
        findings.append(
            Finding(
                check=RAILS,
                host=host,
                state=State.FAIL,
                seen=f"no bytes between {near.interface} {near.address} and {far.interface} {far.address} of {other}: "
                f"{item.error.removeprefix(f'{host}: ')}",
                expected=f"{binary_size(PAYLOAD_BYTES)} each way",
                source="every rank talks to the others over these",
                remedy=_remedy(near, far, item.error),
                effect=Effect.BLOCK,
            )
        )
    return sorted(findings, key=lambda finding: -max(ends[end] for end in ends if end[0] == finding.host))


def _ends(wire: Wire) -> tuple[tuple[str, Rail], tuple[str, Rail]]:
    return (wire.first, wire.from_rail), (wire.second, wire.to_rail)


def _remedy(near: Rail, far: Rail, error: str) -> str:
    if error.startswith("connected"):
        ping = f"ping -M do -s 8972 -I {near.interface} {far.address}"
        return f"large frames are lost: compare the MTUs of hosts and switch; {ping}"
    if "o such device" in error or "ssign requested address" in error:
        return "the container does not see that interface or address: look at `ip addr` of that host"
    leave = f"; or leave the rail out with --set hcas=^{near.device.partition(':')[0]}" if near.device else ""
    return (
        f"look at cable, VLAN, routes and firewall: ip route get {far.address} from {near.address}; "
        f"ping -I {near.interface} {far.address}{leave}"
    )


def _silent(host: str, output: bytes) -> Finding:
    """The check itself did not come about; that is nobody's fault on the wire."""
    last = clean_line(output.strip().rsplit(b"\n", 1)[-1], 200)
    return Finding(
        check=RAILS,
        host=host,
        state=State.UNKNOWN,
        seen="bytes between the hosts were not tried: " + (last or "the check said nothing"),
        source="the check runs with the image's own python3",
        effect=Effect.NOTE,
    )


def _closed(errand: Errand, said: Mapping[str, Sequence[Said]]) -> list[Finding]:
    """RDMA devices that the ranks should use and libibverbs of the image cannot open."""
    found = []
    for seat in errand.seats:
        line = next((line for line in said.get(seat.host, ()) if line.verbs is not None), None)
        shut = [name for name in errand.devices[seat.host] if line is not None and name not in (line.verbs or ())]
        if line is None or not shut:
            continue
        why = f" ({clean_line(line.error, 200)})" if line.error else ""
        found.append(
            Finding(
                check=VERBS,
                host=seat.host,
                state=State.FAIL,
                seen=f"libibverbs of the image cannot open {', '.join(shut)}{why}",
                expected="every RDMA device of the row opens inside the container",
                source="RCCL goes over sockets where it finds no device",
                remedy=_provider_remedy(seat),
                effect=Effect.SPOIL,
            )
        )
    return found


def _provider_remedy(seat: Seat) -> str:
    if not seat.infiniband:
        return "load the RDMA drivers: there is no /dev/infiniband on the host"
    if seat.provider_mounts:
        return "the mounted library does not fit the image: try --set providers=none, or an image with the vendor's own"
    return "mount the NIC vendor's library from the host: --set providers=NAME (bnxt_re, ionic, mlx5)"


def _slipped(errand: Errand, said: Mapping[str, Sequence[Said]]) -> list[Finding]:
    """Wires whose RDMA devices moved nothing although perftest was there to try."""
    found = []
    for wire in errand.wires:
        for line in said.get(wire.first, ()):
            if line.wire == wire.number and line.rdma_error:
                found.append(
                    Finding(
                        check=RDMA_PATH,
                        host=wire.first,
                        state=State.FAIL,
                        seen=f"ib_write_bw from {wire.from_rail.device} to {wire.to_rail.device} of {wire.second}: "
                        f"{clean_line(line.rdma_error, 200)}",
                        expected="RDMA between the hosts",
                        source="bytes over sockets pass on this rail",
                        remedy="look at the GID index (--set gid_index=N), PFC and the switch's RoCE settings",
                        effect=Effect.SPOIL,
                    )
                )
    return found


def _apart(errand: Errand, said: Mapping[str, Sequence[Said]]) -> list[Finding]:
    """Hosts that did not see what the others wrote into the folder that all should share."""
    names = {seat.rank: seat.host for seat in errand.seats}
    found = []
    for seat in errand.seats:
        line = next((line for line in said.get(seat.host, ()) if line.shared is not None), None)
        if line is None or not (line.missing or line.error):
            continue
        others = ", ".join(names.get(rank, str(rank)) for rank in line.missing)
        seen = clean_line(line.error, 200) if line.error else f"files that {others} wrote are not there"
        found.append(
            Finding(
                check=FOLDER,
                host=seat.host,
                state=State.FAIL if errand.needs_folder else State.WARN,
                seen=f"{seat.shared}: {seen}",
                expected="a folder that every host of the row writes and reads",
                source="DATA_CACHE_PATH must be shared between nodes",
                remedy=f"mount the same file system at {seat.shared} on every host, writable for the containers",
                effect=Effect.BLOCK if errand.needs_folder else Effect.NOTE,
            )
        )
    return found


def _text(
    errand: Errand, found: Sequence[WireProof], said: Mapping[str, Sequence[Said]], findings: Sequence[Finding]
) -> str:
    """What was proven and, as honestly, what was not."""
    good = [item for item in found if not item.error]
    parts = [
        f"fabric of {len(errand.seats)} hosts: {binary_size(PAYLOAD_BYTES)} each way over {len(good)} of "
        f"{len(errand.wires)} wires (TCP on each rail's interface)"
    ]
    bare = [name for seat in errand.seats for name in _unaddressed(errand, seat)]
    if bare:
        parts.append(f"not tried, no address: {', '.join(bare[:8])}")
    if any(errand.devices.values()):
        counts = {len(line.verbs) for lines in said.values() for line in lines if line.verbs is not None}
        parts.append(f"RDMA devices that open in the image: {' or '.join(map(str, sorted(counts))) or 'not tried'}")
        speeds = [item.rdma_gbps for item in good if item.rdma_gbps is not None]
        if speeds:
            parts.append(f"RDMA writes at {min(speeds):.0f} to {max(speeds):.0f} Gb/s")
        elif any(item.check == RDMA_PATH for item in findings):
            parts.append("RDMA writes failed")
        else:
            parts.append("RDMA data path not exercised: no ib_write_bw in the image")
    if any(seat.shared for seat in errand.seats):
        parts.append(
            "shared folder " + ("not seen by all" if any(f.check == FOLDER for f in findings) else "seen by all")
        )
    return "; ".join(parts)


def _unaddressed(errand: Errand, seat: Seat) -> list[str]:
    named = {rail.device.partition(":")[0] for rail in seat.rails}
    return [f"{name} of {seat.host}" for name in errand.devices[seat.host] if name not in named]
