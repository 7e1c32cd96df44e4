"""The host itself: all processors and memory there, nodes as the sockets have them, its clock beside ours."""

from collections.abc import Iterable

from console.health.rules.base import Say, rule
from console.model.facts import Known, Unknown
from console.model.finding import Finding
from console.model.units import binary_size

_MEMORY_SHARE = 0.93
_MOST_NODES_PER_SOCKET = 4
_WARN_OFFSET_S, _FAIL_OFFSET_S = 1.0, 60.0


@rule(
    "host.processors",
    "host",
    "every processor is online",
    detail="With the IOMMU off Linux stops at 255 processors; some kernels are built for fewer than the host has.",
    source="AMD MI300X system optimization",
    required=False,
)
def processors(say: Say) -> Iterable[Finding]:
    """Online beside present; SMT siblings that were switched off do not count as missing."""
    online, present = say.facts.system.cpus_online, say.facts.system.cpus_present
    if isinstance(online, Unknown):
        return [say.unknown("how many processors are online", online)]
    if isinstance(present, Unknown):
        return [say.unknown("how many processors there are", present)]
    smt = say.facts.system.smt_active
    siblings_off = isinstance(smt, Known) and not smt.value and online.value * 2 == present.value
    if online.value < present.value and not siblings_off:
        return [
            say.warned(
                f"{online.value} of {present.value} processors are online",
                expected="all of them",
                evidence=online.source,
                remedy="cat /sys/devices/system/cpu/offline; sudo dmesg | grep -iE 'x2apic|nr_cpus'",
            )
        ]
    return [say.passed(f"{online.value} processors online", evidence=online.source)]


@rule(
    "host.numa",
    "host",
    "NUMA nodes follow the sockets",
    detail="More than four nodes a socket come from the BIOS option 'L3 cache as NUMA domain', which the GPUs' "
    "nearness does not follow. Any of 1, 2 and 4 is fine here; which one is for the profile to say.",
    source="EPYC 9004 BIOS options: NPS 1, 2 or 4",
    required=False,
)
def numa(say: Say) -> Iterable[Finding]:
    """Nodes with processors by socket."""
    nodes, sockets = say.facts.system.numa_nodes, say.facts.system.sockets
    if isinstance(nodes, Unknown):
        return [say.unknown("the number of NUMA nodes", nodes)]
    if isinstance(sockets, Unknown):
        return [say.unknown("the number of sockets", sockets)]
    each = nodes.value / max(sockets.value, 1)
    remedy = "BIOS: ACPI SRAT L3 cache as NUMA domain: Disabled"
    if each > _MOST_NODES_PER_SOCKET:
        seen = f"{nodes.value} NUMA nodes on {sockets.value} sockets"
        return [say.warned(seen, expected="1, 2 or 4 a socket", evidence=nodes.source, remedy=remedy)]
    return [say.passed(f"{nodes.value} NUMA nodes on {sockets.value} sockets", evidence=nodes.source)]


@rule(
    "host.memory",
    "host",
    "the host has the memory its profile names",
    detail="A DIMM that failed to train is missing after the next boot. 7 % below the nominal size are allowed.",
    source="the server's profile; Azure health check: 7 % allowed",
)
def memory(say: Say) -> Iterable[Finding]:
    """Total memory beside the profile's."""
    total = say.facts.system.memory_bytes
    wanted = say.case.profile.memory_bytes if say.case.profile else None
    if isinstance(total, Unknown):
        return [say.unknown("the host's memory", total)]
    if wanted is None:
        return [say.passed(f"{binary_size(total.value)}; the profile names no size", evidence=total.source)]
    if total.value < wanted * _MEMORY_SHARE:
        return [
            say.warned(
                binary_size(total.value),
                expected=f"{binary_size(wanted)}, 7 % allowed",
                evidence=total.source,
                remedy="sudo dmidecode -t 17 | grep -E 'Locator|Size'; sudo ipmitool sel elist | grep -i dimm",
            )
        ]
    return [say.passed(binary_size(total.value), evidence=total.source)]


@rule(
    "host.clock",
    "time",
    "the host's clock agrees with ours",
    detail="Compared while the probe ran; half of the way there and back is uncertainty. Logs of several hosts can "
    "only be put beside each other when their clocks agree. 1 s is a warning, 60 s a failure.",
    source="own rule",
    required=False,
)
def clock(say: Say) -> Iterable[Finding]:
    """Offset beyond its uncertainty."""
    fact = say.facts.clock
    if isinstance(fact, Unknown):
        return [say.unknown("the host's clock", fact)]
    certain = max(0.0, abs(fact.value.offset_ns) - fact.value.uncertainty_ns) / 1e9
    text = (
        f"clock {'ahead of' if fact.value.offset_ns > 0 else 'behind'} ours by {abs(fact.value.offset_ns) / 1e9:.1f} s"
    )
    remedy = "timedatectl; chronyc tracking   # is its time server reachable?"
    if certain >= _FAIL_OFFSET_S:
        return [say.failed(text, expected=f"below {_FAIL_OFFSET_S:g} s", evidence=fact.source, remedy=remedy)]
    if certain >= _WARN_OFFSET_S:
        return [say.warned(text, expected=f"below {_WARN_OFFSET_S:g} s", evidence=fact.source, remedy=remedy)]
    return [say.passed("clock agrees with ours", evidence=fact.source)]


@rule(
    "driver.state",
    "driver",
    "the driver is installed whole for the kernel that runs",
    detail="After a kernel update the packaged driver has to be built for it; what is only 'added' or 'built' will not "
    "be loaded at the next boot.",
    source="amdgpu-docs, post-installation",
    required=False,
)
def driver_state(say: Say) -> Iterable[Finding]:
    """initstate of the module; DKMS state of the packaged one."""
    driver = say.facts.driver
    if isinstance(driver.amdgpu_initstate, Known) and driver.amdgpu_initstate.value != "live":
        state = driver.amdgpu_initstate
        seen = f"amdgpu is {state.value}"
        return [say.failed(seen, expected="live", evidence=state.source, remedy="sudo dmesg | grep -i amdgpu")]
    if isinstance(driver.amdgpu_flavour, Unknown):
        return [say.unknown("which amdgpu is loaded", driver.amdgpu_flavour)]
    if driver.amdgpu_flavour.value != "package":
        return [say.passed("the kernel's own amdgpu", evidence=driver.amdgpu_flavour.source)]
    dkms = driver.dkms_state
    if isinstance(dkms, Unknown):
        return [say.unknown("the state of the packaged driver", dkms)]
    if dkms.value != "installed":
        return [
            say.warned(
                f"the packaged driver is {dkms.value} for this kernel",
                expected="installed",
                evidence=dkms.source,
                remedy="sudo dkms autoinstall && sudo update-initramfs -u",
            )
        ]
    return [say.passed("the packaged driver is installed", evidence=dkms.source)]
