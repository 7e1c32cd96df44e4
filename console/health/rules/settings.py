"""Settings as data: one value of a host or of each GPU held against the profile, else against AMD's guides."""

from collections.abc import Iterable

import msgspec

from console.health.expectation import shown
from console.health.fact_paths import facts_at
from console.health.rules.base import Say, add, compared, expectation_of
from console.model.facts import Known, Unknown, first_unknown
from console.model.finding import Finding
from console.model.names import gpu_name
from console.model.profile import Expectation

_MI300X_GUIDE = "AMD MI300X system optimization"
_GIB = 1 << 30


class Setting(msgspec.Struct, frozen=True, kw_only=True):
    """One compared value. `default` holds where the profile is silent; `models`: only with these GPUs.

    Without a default and without a word in the profile nothing is held against it, and the value is only shown.
    """

    id: str
    area: str
    fact: str
    what: str
    explain: str
    remedy: str
    default: Expectation | None = None
    models: tuple[str, ...] = ()
    detail: str = ""


def _required(fact: str, *accept: str | int | bool, source: str) -> Expectation:
    return Expectation(fact=fact, accept=accept, level="required", source=source)


def _advised(fact: str, *accept: str | int | bool, source: str) -> Expectation:
    return Expectation(fact=fact, accept=accept, level="advised", source=source)


def _at_least(fact: str, low: float, source: str) -> Expectation:
    return Expectation(fact=fact, low=low, level="advised", source=source)


SETTINGS: tuple[Setting, ...] = (
    Setting(
        id="host.numa_balancing",
        area="host",
        fact="system.numa_balancing",
        what="NUMA balancing",
        explain="the kernel does not move pages about while a GPU reads them",
        detail="With balancing on, collective operations were seen to lose a third of their speed, and AMD's vLLM "
        "guide warns that the GPU may hang until balancing ends. 2 is memory tiering and disturbs as well.",
        remedy="sudo sysctl -w kernel.numa_balancing=0",
        default=_required("system.numa_balancing", 0, source="AMD vLLM guide; ROCm/rccl#1562"),
    ),
    Setting(
        id="host.iommu",
        area="host",
        fact="system.iommu",
        what="IOMMU",
        explain="the IOMMU is on and passes devices through",
        detail="RCCL warns of a missing iommu=pt because of instability and hangs; with the IOMMU off Linux stops at "
        "255 processors. What the kernel does is read, not what its command line says: some pass through by default.",
        remedy="add iommu=pt to GRUB_CMDLINE_LINUX, sudo update-grub, reboot",
        default=_advised("system.iommu", "passthrough", source=f"{_MI300X_GUIDE}; RCCL troubleshooting"),
    ),
    Setting(
        id="host.pci_realloc",
        area="host",
        fact="cmdline.pci",
        what="kernel parameter pci",
        explain="the kernel keeps the BIOS's PCI addresses",
        detail="Needed where the BIOS does not assign the addresses of virtual functions: GPUs may else be missed.",
        remedy="add pci=realloc=off to GRUB_CMDLINE_LINUX, sudo update-grub, reboot",
        default=_advised("cmdline.pci", "realloc=off", source=_MI300X_GUIDE),
        models=("MI300X", "MI325X"),
    ),
    Setting(
        id="host.smt",
        area="host",
        fact="system.smt_active",
        what="SMT",
        explain="simultaneous multithreading as the server's profile has it",
        detail="AMD's guide turns it off on MI300X servers, except for work that is bound by the processor.",
        remedy="BIOS: SMT Control; or for this boot: echo off | sudo tee /sys/devices/system/cpu/smt/control",
        default=_advised("system.smt_active", False, source=_MI300X_GUIDE),
        models=("MI300X",),
    ),
    Setting(
        id="host.nodes_per_socket",
        area="host",
        fact="system.nodes_per_socket",
        what="NUMA nodes per socket",
        explain="NUMA nodes per socket as the server's profile has them",
        detail="Judged against the profile only: AMD's guide says 1, and AMD's own training figures were taken with 2.",
        remedy="BIOS: NUMA nodes per socket (NPS)",
    ),
    Setting(
        id="host.c2",
        area="host",
        fact="system.c2_disabled",
        what="idle state C2 disabled",
        explain="processors do not sleep so deep that the network waits for them",
        detail="Waking from C2 costs hundreds of microseconds, which collectives over a network feel.",
        remedy="sudo cpupower idle-set -d 2",
        default=_advised("system.c2_disabled", True, source=_MI300X_GUIDE),
    ),
    Setting(
        id="host.acs",
        area="host",
        fact="system.acs_bridges",
        what="number of PCIe bridges with access control",
        explain="PCIe access control does not lead traffic between devices astray",
        detail="With access control on, transfers between GPUs and network adapters go through the processor. On bare "
        "metal it should be off; guests need it on. Only root can see it.",
        remedy="BIOS: ACS Control: Disabled; or at boot: setpci on the bridges that lspci -vvv shows with SrcValid+",
        default=_advised("system.acs_bridges", 0, source=f"{_MI300X_GUIDE}; CVS platform checks"),
    ),
    Setting(
        id="host.thp",
        area="host",
        fact="system.thp",
        what="transparent huge pages",
        explain="transparent huge pages as the server's profile has them",
        remedy="echo madvise | sudo tee /sys/kernel/mm/transparent_hugepage/enabled",
    ),
    Setting(
        id="host.governor",
        area="host",
        fact="system.governor",
        what="frequency governor",
        explain="the processors' frequency governor as the server's profile has it",
        remedy="sudo cpupower frequency-set -g performance",
    ),
    Setting(
        id="host.bios",
        area="host",
        fact="system.bios_version",
        what="BIOS",
        explain="the BIOS version as the server's profile has it",
        detail="AMD's own published servers differ in it, so only a profile of your own should make it required.",
        remedy="compare with the board vendor's list; instinct profiles learn writes what your fleet has",
    ),
    Setting(
        id="host.os",
        area="host",
        fact="system.os",
        what="operating system",
        explain="the operating system as the server's profile has it",
        remedy="see AMD's compatibility matrix of the driver before changing it",
    ),
    Setting(
        id="host.kernel",
        area="host",
        fact="system.kernel",
        what="kernel",
        explain="the kernel release as the server's profile has it",
        remedy="see AMD's compatibility matrix of the driver before changing it",
    ),
    Setting(
        id="host.cpu",
        area="host",
        fact="system.cpu",
        what="processor",
        explain="the processor as the server's profile has it",
        remedy="name another server profile in the fleet file",
    ),
    Setting(
        id="driver.loaded",
        area="driver",
        fact="driver.amdgpu_loaded",
        what="amdgpu loaded",
        explain="the GPU driver is loaded",
        detail="AMD's guide allows amdgpu to be blacklisted and loaded by hand after boot, so this may be intended.",
        remedy="sudo modprobe amdgpu",
        default=_required("driver.amdgpu_loaded", True, source="without it there is no GPU"),
    ),
    Setting(
        id="kfd.present",
        area="driver",
        fact="driver.kfd_present",
        what="/dev/kfd there",
        explain="the compute device of the driver is there",
        remedy="sudo dmesg | grep -i kfd   # why compute did not come up",
        default=_required("driver.kfd_present", True, source="ROCm opens /dev/kfd"),
    ),
    Setting(
        id="gpu.groups",
        area="driver",
        fact="driver.kfd_accessible",
        what="access of this account to /dev/kfd",
        explain="this account may use the GPUs",
        detail="Containers started by the engine do not need it; amd-smi and programs on the host do.",
        remedy='sudo usermod -aG render,video "$USER"   # then sign in again',
        default=_advised("driver.kfd_accessible", True, source="ROCm installation, prerequisites"),
    ),
    Setting(
        id="driver.version",
        area="driver",
        fact="driver.amdgpu_version",
        what="amdgpu",
        explain="the driver version as the server's profile has it",
        detail="Driver and ROCm are often of different releases; AMD supports ranges, not pairs.",
        remedy="see AMD's compatibility matrix; instinct profiles show NAME",
    ),
    Setting(
        id="driver.rocm",
        area="driver",
        fact="driver.rocm_version",
        what="ROCm of the host",
        explain="the host's ROCm as the server's profile has it",
        detail="A host without ROCm is normal: benchmarks bring theirs in the container.",
        remedy="see AMD's compatibility matrix; instinct profiles show NAME",
    ),
    Setting(
        id="gpu.compute_partition",
        area="partition",
        fact="gpu.compute_partition",
        what="compute partition",
        explain="every GPU is whole, unless the profile says otherwise",
        remedy="sudo amd-smi set --gpu all --compute-partition SPX   # or your profile's; GPUs must be idle",
        default=_required("gpu.compute_partition", "SPX", source="published figures are of whole GPUs"),
        models=("MI300X", "MI325X", "MI350X", "MI355X", "MI308X", "MI300A"),
    ),
    Setting(
        id="gpu.memory_partition",
        area="partition",
        fact="gpu.memory_partition",
        what="memory partition",
        explain="the memory of a GPU is one pool, unless the profile says otherwise",
        remedy="sudo amd-smi set --gpu all --memory-partition NPS1   # reloads the driver; GPUs must be idle",
        default=_required("gpu.memory_partition", "NPS1", source="published figures are of GPUs in NPS1"),
        models=("MI300X", "MI325X", "MI350X", "MI355X", "MI308X", "MI300A"),
    ),
    Setting(
        id="gpu.performance_level",
        area="power",
        fact="gpu.performance_level",
        what="performance level",
        explain="clocks are left to the GPU",
        detail="perf_determinism, or a level set by hand, caps the clocks of every later run.",
        remedy="sudo amd-smi reset --gpu all --perf-determinism; sudo amd-smi set --gpu all --perf-level AUTO",
        default=_advised("gpu.performance_level", "auto", source="a fixed level caps the clocks"),
    ),
    Setting(
        id="limits.memlock",
        area="limits",
        fact="system.memlock_bytes",
        what="locked-memory limit of a session",
        explain="programs may lock memory for RDMA",
        detail="RCCL fails to register memory without it. A container's limit is its own (--ulimit memlock=-1).",
        remedy="echo '* - memlock unlimited' | sudo tee /etc/security/limits.d/90-memlock.conf   # then sign in again",
        default=_at_least("system.memlock_bytes", 32 * _GIB, "AMD Primus node smoke test: 32 GiB"),
    ),
    Setting(
        id="limits.open_files",
        area="limits",
        fact="system.open_files",
        what="open-files limit of a session",
        explain="programs may open as many files as ranks need",
        remedy="echo '* - nofile 1048576' | sudo tee /etc/security/limits.d/90-nofile.conf   # then sign in again",
        default=_at_least("system.open_files", 1024, "a rank opens hundreds; AMD's clusters set 1048576"),
    ),
    Setting(
        id="limits.shared_memory",
        area="limits",
        fact="shared_memory.total_bytes",
        what="shared memory",
        explain="there is shared memory for the ranks of a host",
        detail="A container's is its own (--shm-size, or --ipc host).",
        remedy="sudo mount -o remount,size=64G /dev/shm",
        default=_at_least("shared_memory.total_bytes", 8 * _GIB, "AMD Primus node smoke test: 8 GiB"),
    ),
    Setting(
        id="network.rdma_active",
        area="network",
        fact="rdma.active",
        what="active RDMA ports",
        explain="as many RDMA ports are active as the server's profile has",
        remedy="rdma link; sudo ethtool IFACE   # cable, module, switch port",
    ),
)

NOTHING_EXPECTED = "nothing is expected of it here"

COVERED = frozenset(
    {*(setting.fact for setting in SETTINGS), "gpu.count", "gpu.model", "gpu.vram_total_bytes", "gpu.power_cap_w"}
)
"""Facts that some check holds; what else a profile speaks of is for `profile`."""


def _held(say: Say, setting: Setting) -> Iterable[Finding]:
    expected = expectation_of(say, setting.fact)
    if expected is None and _applies(say, setting):
        expected = setting.default
    if expected is None:
        return [_shown(say, setting)]
    return [compared(say, expected, remedy=setting.remedy, what=setting.what)]


def _shown(say: Say, setting: Setting) -> Finding:
    """Nothing is held against it; what it is is told all the same."""
    placed = facts_at(say.facts, setting.fact)
    unread = first_unknown(item.fact for item in placed)
    if unread is not None or not placed:
        return say.unknown(setting.what, unread or Unknown("there is no GPU to read it of"), waived=NOTHING_EXPECTED)
    values = dict.fromkeys(shown(setting.fact, item.fact.value) for item in placed if isinstance(item.fact, Known))
    return say.passed(f"{setting.what} is {', '.join(values)}; {NOTHING_EXPECTED}")


def _applies(say: Say, setting: Setting) -> bool:
    if not setting.models:
        return True
    names = {gpu_name(say.case.gpu.name)} if say.case.gpu else set()
    return bool(names & set(setting.models))


def _register(setting: Setting) -> None:
    default = setting.default
    add(
        setting.id,
        setting.area,
        setting.explain,
        lambda say: _held(say, setting),
        detail=setting.detail,
        source=default.source if default else "the server's profile",
        required=default is None or default.level == "required",
    )


for _each in SETTINGS:
    _register(_each)
