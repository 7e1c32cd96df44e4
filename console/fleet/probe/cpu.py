"""Processors, NUMA nodes and what the kernel does with them: SMT, clocks, idle states."""

import re
from collections.abc import Mapping

import msgspec

from console.fleet.probe.reading import Files, Table, decimal, lines, unread
from console.fleet.script import Section
from console.model.facts import CState, Known, NumaNode, System, Unknown, value_or

CPU = "/sys/devices/system/cpu"
NODE = "/sys/devices/system/node"

SCRIPT = f"""
begin host.cpuinfo /proc/cpuinfo
if [ -r "$ROOT/proc/cpuinfo" ]; then
  sed -n -e '/^model name/p' -e '/^physical id/p' -e '/^cpu family/p' -e '/^cpu cores/p' "$ROOT/proc/cpuinfo" | sort -u
  end host.cpuinfo $?
else end host.cpuinfo absent; fi
begin host.numa {NODE}
if cd "$ROOT{NODE}" 2>/dev/null; then
  $LIMIT grep -aHm 1 '' node[0-9]*/cpulist node[0-9]*/distance node[0-9]*/meminfo 2>/dev/null </dev/null
  printf '\\n@errors\\n'
  cd /; end host.numa 0
else end host.numa absent; fi
begin host.governors '{CPU}/cpu*/cpufreq/scaling_governor'
tally "$ROOT{CPU}"/cpu[0-9]*/cpufreq/scaling_governor
end host.governors 0
begin host.idle '{CPU}/cpu*/cpuidle/state*/disable'
for state in "$ROOT{CPU}"/cpu0/cpuidle/state[0-9]*; do
  if [ -d "$state" ]; then
    value "${{state#"$ROOT"}}/name"; value "${{state#"$ROOT"}}/latency"
    printf '@%s\\n' "${{state##*/}}"
    tally "$ROOT{CPU}"/cpu[0-9]*/cpuidle/"${{state##*/}}"/disable
  fi
done
end host.idle 0
"""
"""Part of the host area. /proc/cpuinfo is hundreds of equal stanzas, so only its different lines are sent."""


def parse(found: Mapping[str, Section], table: Table) -> System:
    """A System of which only what concerns processors is filled; `table` holds the values of the host section."""
    system = _cpuinfo(found.get("host.cpuinfo"))
    numa = _numa(found.get("host.numa"))
    with_cpus = _with_cpus(numa)
    idle = _idle(found.get("host.idle"))
    return msgspec.structs.replace(
        system,
        cpus_online=table.read(f"{CPU}/online", count_list),
        cpus_present=table.read(f"{CPU}/present", count_list),
        smt_active=table.read(f"{CPU}/smt/active", flag),
        smt_control=table.text(f"{CPU}/smt/control"),
        numa=numa,
        numa_nodes=with_cpus,
        nodes_per_socket=_per_socket(with_cpus, system.sockets),
        governor=_governor(found.get("host.governors")),
        cpufreq_driver=table.text(f"{CPU}/cpu0/cpufreq/scaling_driver"),
        boost=table.read(f"{CPU}/cpufreq/boost", flag),
        c_states=idle,
        c2_disabled=_c2(idle),
    )


def count_list(text: str) -> int:
    """Members of a kernel list such as `0-95,192-287`."""
    total = 0
    for piece in text.split(","):
        first, _, last = piece.partition("-")
        total += decimal(last or first) - decimal(first) + 1
    return total


def flag(text: str) -> bool:
    """0 or 1."""
    if text not in ("0", "1"):
        raise ValueError(text)
    return text == "1"


def _cpuinfo(section: Section | None) -> System:
    if section is None or not section.ok:
        missing = unread(section, ("cat", "/proc/cpuinfo"))
        return System(cpu=missing, sockets=missing, cpu_family=missing, cores=missing, cores_per_socket=missing)
    seen: dict[str, list[str]] = {}
    for line in lines({"x": section}, "x"):
        key, colon, text = line.partition(":")
        if colon:
            seen.setdefault(key.strip(), []).append(text.strip())

    def gap(what: str) -> Unknown:
        return Unknown(f"no {what} in it", section.source, ("lscpu",))

    def number(key: str) -> Known[int] | Unknown:
        values = {int(text) for text in seen.get(key, ()) if re.fullmatch(r"\d{1,6}", text, re.ASCII)}
        return Known(values.pop(), section.source) if len(values) == 1 else gap(f"single {key}")

    models = list(dict.fromkeys(seen.get("model name", ())))
    packages = len(set(seen.get("physical id", ())))
    sockets: Known[int] | Unknown = Known(packages, section.source) if packages else gap("physical ids")
    per_socket = number("cpu cores")
    cores: Known[int] | Unknown = per_socket
    if isinstance(per_socket, Known):
        cores = Known(per_socket.value * packages, section.source) if packages else sockets
    return System(
        sockets=sockets,
        cpu=Known(" + ".join(models), section.source) if models else gap("model name"),
        cpu_family=number("cpu family"),
        cores=cores,
        cores_per_socket=per_socket,
    )


def _numa(section: Section | None) -> Known[tuple[NumaNode, ...]] | Unknown:
    if section is None or not section.ok:
        return unread(section, ("lscpu",))
    files = Files(section)
    numbers = sorted(
        int(match.group(1)) for name in files.rows if (match := re.fullmatch(r"node(\d{1,5})/cpulist", name, re.ASCII))
    )
    return Known(tuple(_node(files, number) for number in numbers), f"{NODE}/node*")


def _node(files: Files, number: int) -> NumaNode:
    text = files.raw(f"node{number}/cpulist") or ""
    distances = files.raw(f"node{number}/distance") or ""
    memory = re.fullmatch(r"Node \d+ MemTotal: *(\d{1,15}) kB", files.raw(f"node{number}/meminfo") or "", re.ASCII)
    try:
        cpus = count_list(text) if text else 0
    except ValueError:
        cpus = 0
    return NumaNode(
        number=number,
        cpus=cpus,
        cpu_list=text,
        memory_bytes=int(memory.group(1)) * 1024 if memory else None,
        distances=tuple(int(word) for word in distances.split() if re.fullmatch(r"\d{1,5}", word, re.ASCII)),
    )


def _with_cpus(numa: Known[tuple[NumaNode, ...]] | Unknown) -> Known[int] | Unknown:
    """NUMA nodes that have processors; memory-only ones (HBM, CXL) do not count."""
    if isinstance(numa, Unknown):
        return numa
    count = sum(node.cpus > 0 for node in numa.value)
    if not count:
        return Unknown("no NUMA nodes with processors", NODE, ("lscpu",))
    return Known(count, f"{NODE}/node*/cpulist")


def _per_socket(nodes: Known[int] | Unknown, sockets: Known[int] | Unknown) -> Known[int] | Unknown:
    """NPS. Twelve nodes a socket mean that every L3 is its own node (a BIOS option), so the number is kept as it is."""
    if isinstance(nodes, Unknown):
        return nodes
    if isinstance(sockets, Unknown):
        return sockets
    if nodes.value % sockets.value:
        why = f"{nodes.value} nodes on {sockets.value} sockets do not divide"
        return Unknown(why, nodes.source, ("lscpu",))
    return Known(nodes.value // sockets.value, f"{nodes.source} / {sockets.source}")


def _tallied(text: bytes) -> dict[str, int]:
    counts: dict[str, int] = {}
    for match in re.finditer(rb"^ *(\d{1,6}) ([ -~]{1,60})$", text, re.MULTILINE):
        word = match.group(2).decode("ascii").strip()
        counts[word] = counts.get(word, 0) + int(match.group(1))
    return counts


def _governor(section: Section | None) -> Known[str] | Unknown:
    show = ("cat", f"{CPU}/cpu0/cpufreq/scaling_governor")
    if section is None or not section.ok:
        return unread(section, show)
    counts = _tallied(section.data)
    if not counts:
        return Unknown("no clock governor; the kernel or the hypervisor keeps it", section.source, show)
    if len(counts) == 1:
        return Known(next(iter(counts)), section.source)
    return Known(", ".join(f"{name} {count}" for name, count in sorted(counts.items())), section.source)


def _idle(section: Section | None) -> Known[tuple[CState, ...]] | Unknown:
    show = ("ls", f"{CPU}/cpu0/cpuidle")
    if section is None or not section.ok:
        return unread(section, show)
    table = Table(section)
    found = []
    for match in re.finditer(rb"^@state(\d{1,2})\n((?: *\d+ [^\n]*\n?)*)", section.data, re.MULTILINE):
        base = f"{CPU}/cpu0/cpuidle/state{match.group(1).decode('ascii')}"
        counts = _tallied(match.group(2))
        latency = table.integer(f"{base}/latency")
        found.append(
            CState(
                name=table.raw(f"{base}/name") or "",
                latency_us=value_or(latency, None),
                cpus=sum(counts.values()),
                disabled=sum(count for word, count in counts.items() if word != "0"),
            )
        )
    if not found:
        return Unknown("the kernel shows no idle states", f"{CPU}/cpu0/cpuidle", show)
    return Known(tuple(found), f"{CPU}/cpu*/cpuidle")


def _c2(states: Known[tuple[CState, ...]] | Unknown) -> Known[bool] | Unknown:
    if isinstance(states, Unknown):
        return states
    state = next((state for state in states.value if state.name == "C2" and state.cpus), None)
    if state is None:
        return Unknown("no idle state of the name C2", states.source, ("cpupower", "idle-info"))
    return Known(state.disabled == state.cpus, states.source)
