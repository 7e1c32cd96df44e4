"""Fault classes of the kernel log as data: what a line means, how grave it is, and what to do about it.

The first matching entry counts; what `kernel_noise` names is looked at before.
"""

import re
from typing import Literal

import msgspec

from console.model.finding import State

Category = Literal["ras", "gpu", "link", "pcie", "platform", "os", "storage", "network"]


class KernelRule(msgspec.Struct, frozen=True, kw_only=True):
    """One fault class. `remedy` is the step for a person; the tool itself never takes it."""

    id: str
    category: Category
    state: State
    pattern: re.Pattern[str]
    means: str
    remedy: str


_REBOOT = "sudo reboot   # after saving the log: sudo dmesg > dmesg.txt"
_VENDOR = "instinct capture HOST -o bundle.tar.gz   # and hand it to the vendor; take the GPU out of service"
_LSPCI = "sudo lspci -vvv -s BDF   # link state and AER registers; reseat or replace what is named"
_JOURNAL = "journalctl -k -b   # what led to it"


def _rule(identity: str, category: Category, state: State, pattern: str, means: str, remedy: str) -> KernelRule:
    return KernelRule(
        id=identity,
        category=category,
        state=state,
        pattern=re.compile(pattern, re.IGNORECASE),
        means=means,
        remedy=remedy,
    )


RULES: tuple[KernelRule, ...] = (
    _rule(
        "ras-athub",
        "ras",
        State.FAIL,
        r"ERREVENT_ATHUB_INTERRUPT",
        "the GPU's data fabric reported an uncorrectable error; work on it is lost",
        _VENDOR,
    ),
    _rule(
        "ras-bad-pages",
        "ras",
        State.FAIL,
        r"saved bad pages\s*\(?\d+\)? reaches threshold|RAS records:\s*\d+ exceed threshold",
        "as many memory pages are retired as the GPU may have; the driver may refuse it at the next boot",
        _VENDOR,
    ),
    _rule(
        "ras-poison",
        "ras",
        State.FAIL,
        r"poison is (?:consumed|created)|poison consumption|poison was consumed",
        "damaged data was read or written; the process that used it is ended or the GPU reset",
        _VENDOR,
    ),
    _rule(
        "ras-uncorrectable",
        "ras",
        State.FAIL,
        r"\buncorrectable hardware errors?\b.*(?:detected|in \w+ block)",
        "the GPU counted an error that its ECC could not repair",
        _VENDOR,
    ),
    _rule(
        "ras-deferred",
        "ras",
        State.WARN,
        r"\bdeferred hardware errors? detected",
        "an error was found that is dealt with when the data is used",
        "sudo amd-smi metric --ecc-blocks   # does the count grow?",
    ),
    _rule(
        "ras-correctable",
        "ras",
        State.WARN,
        r"(?<!un)correctable hardware errors? detected",
        "errors that ECC repaired; many of them announce worse ones",
        "sudo amd-smi metric --ecc-blocks   # does the count grow?",
    ),
    _rule(
        "ras-aca",
        "ras",
        State.FAIL,
        r"Accelerator Check Architecture events? logged",
        "the GPU's own machine check logged an event; the lines after it carry its registers",
        "sudo amd-smi ras --cper --severity=all --folder /tmp/cper   # decodes it on ROCm 6.4 and newer",
    ),
    _rule(
        "gpu-reset-failed",
        "gpu",
        State.FAIL,
        r"GPU reset(?:\s*\(\d+\))? failed|Mode[ -]?[12] reset failed|BACO reset failed"
        r"|ring \S+ reset failed|GPU recovery failed",
        "the driver could not bring the GPU back",
        _REBOOT,
    ),
    _rule(
        "gpu-reset",
        "gpu",
        State.FAIL,
        r"GPU reset begin|GPU reset for \S+ RAS",
        "the driver reset the GPU; everything on it was lost",
        _JOURNAL,
    ),
    _rule(
        "gpu-lost",
        "gpu",
        State.FAIL,
        r"device lost from bus|GPU (?:has )?fallen off the bus"
        r"|amdgpu.*(?:PCI error: detected|state\(pci_channel_io_perm)|amdgpu.*response:0xFFFFFFFF",
        "the GPU does not answer on the PCI bus any more",
        _REBOOT,
    ),
    _rule(
        "gpu-discovery",
        "gpu",
        State.FAIL,
        r"invalid ip discovery binary|amdgpu_discovery_init failed|failed to (?:get|read) ip discovery",
        "the driver could not read what the GPU consists of",
        "power-cycle the host (a warm reboot may not do)",
    ),
    _rule(
        "gpu-init",
        "gpu",
        State.FAIL,
        r"Fatal error during GPU init|amdgpu.*: probe (?:of \S+ )?failed with error -\d+"
        r"|(?:early|late|sw|hw)_init of IP block <\w+> failed|(?:suspend|resume) of IP block <\w+> failed"
        r"|amdgpu_device_ip_init failed|Failed to terminate tmr|failed to load ucode|PSP firmware loading failed",
        "the driver gave up starting the GPU",
        "instinct health --explain kernel.log   # -22: firmware or discovery; -12: BARs and BIOS; -110: no answer",
    ),
    _rule(
        "gpu-overheat",
        "gpu",
        State.FAIL,
        r"over temperature range|\(aka CTF\)|Critical Temperature Fault|shutdown due to GPU \S+ CTF",
        "a GPU reached the temperature at which it shuts itself off",
        "check fans, inlet temperature and heat sinks before anything else",
    ),
    _rule(
        "gpu-hang",
        "gpu",
        State.FAIL,
        r"qcm fence wait loop timeout|ring \S+ timeout|Fence fallback timer expired"
        r"|Failed to (?:evict|suspend|remove|unmap)\b.*(?:process|queue)"
        r"|K[CGI]Q disable failed|\b(?:ring|IB) .*test failed"
        r"|Queue preemption (?:failed|time ?out)|cp might be in an unrecoverable state|HIQ MQD.*preemption"
        r"|MES (?:might be in unrecoverable|failed to respond)"
        r"|Failed to disallow cf state|sq_intr: error",
        "work on the GPU did not end in time",
        _JOURNAL,
    ),
    _rule(
        "gpu-page-fault",
        "gpu",
        State.FAIL,
        r"amdgpu.*\[\w+\] (?:no-retry |retry )?page fault|no-retry page fault",
        "a program on the GPU touched memory it does not have; usually the program's fault, not the GPU's",
        "look at the program of the process named in the line",
    ),
    _rule(
        "gpu-firmware",
        "gpu",
        State.FAIL,
        r"SMU: I'm not done with your previous command|SMU: response:0x(?!00000001)|failed to send message:? 0x"
        r"|psp (?:reg wait )?timed? ?out|PSP (?:load|create) \w+ failed"
        r"|failed to (?:enable|export) (?:requested dpm|SMU)",
        "the GPU's management firmware does not answer",
        _REBOOT,
    ),
    _rule(
        "gpu-throttled",
        "gpu",
        State.WARN,
        r"GPU is throttled|GPU thermal throttling",
        "the GPU lowered its clock, for the reason at the end of the line",
        "instinct status HOST --gpus   # power, cap, temperatures, clocks",
    ),
    _rule(
        "gpu-queues",
        "gpu",
        State.WARN,
        r"Runlist is getting oversubscribed|No more SDMA queue",
        "more work queues than the GPU has; it is slower than it could be",
        "fewer processes on each GPU",
    ),
    _rule(
        "xgmi",
        "link",
        State.FAIL,
        r"XGMI: (?:Failed|Set topology failure|Get topology failure)|xgmi.*(?:link (?:is )?down|training failed)"
        r"|(?:wafl|xgmi)\w* .*(?:uncorrectable|fatal)",
        "the link between the GPUs could not be set up",
        _REBOOT,
    ),
    _rule(
        "pcie-link-down",
        "pcie",
        State.FAIL,
        r"Slot\([\w-]+\): (?:Link Down|Card not present)",
        "a PCIe device left its slot or its link went down",
        _LSPCI,
    ),
    _rule(
        "pcie-fatal",
        "pcie",
        State.FAIL,
        r"\bDPC: (?:containment event|ERR_|unmasked)|DPC containment event|EDR: EDR event received|aer_uncor_status"
        r"|PCIe Bus Error: severity=(?:Uncorrected|Fatal)|AER: (?:Multiple )?Uncorrected|frozen state error detected",
        "a PCIe error that could not be corrected",
        _LSPCI,
    ),
    _rule(
        "pcie-corrected",
        "pcie",
        State.WARN,
        r"aer_cor_status|aer_status: |PCIe Bus Error: severity=Corrected|AER: (?:Multiple )?Correct(?:ed|able) error"
        r"|current common clock configuration is inconsistent",
        "a PCIe error that the link corrected; many of them announce a bad link",
        _LSPCI,
    ),
    _rule(
        "machine-check-corrected",
        "platform",
        State.WARN,
        r"MC\d+_STATUS\[[^]]*\|CE\||EDAC \w+: \d+ CE |Machine check events logged",
        "the processor or its memory corrected an error",
        "sudo ras-mc-ctl --summary   # which DIMM; does it grow?",
    ),
    _rule(
        "machine-check",
        "platform",
        State.FAIL,
        r"MC\d+_STATUS\[|Machine Check(?: Exception|: )|EDAC \w+: \d+ UE |Uncorrected hardware memory error"
        r"|Memory failure: 0x",
        "the processor or its memory reported an error it could not correct",
        "sudo ras-mc-ctl --errors   # which DIMM or core; then replace it",
    ),
    _rule(
        "platform-error",
        "platform",
        State.FAIL,
        r"Hardware error from APEI",
        "the firmware reported a hardware error; the lines after it say of which device",
        "sudo ipmitool sel elist   # the board's own log of it",
    ),
    _rule(
        "iommu-fault",
        "platform",
        State.FAIL,
        r"IO_PAGE_FAULT|AMD-Vi: Completion-Wait loop timed out|DMAR: .*fault|IOTLB_INV_TIMEOUT",
        "a device used memory the IOMMU does not let it have",
        "cat /proc/cmdline   # is iommu=pt there?",
    ),
    _rule(
        "kernel-crash",
        "os",
        State.FAIL,
        r"kernel panic|Oops: |\bBUG: |general protection fault"
        r"|unable to handle (?:kernel )?(?:NULL|paging|page fault)|soft lockup|hard LOCKUP"
        r"|detected stalls on CPUs|self-detected stall",
        "the kernel itself stumbled",
        _REBOOT,
    ),
    _rule(
        "kernel-warning",
        "os",
        State.WARN,
        r"WARNING: CPU: \d+ PID: \d+ at|UBSAN: |blocked for more than \d+ seconds",
        "the kernel found itself in a state it does not expect",
        _JOURNAL,
    ),
    _rule(
        "rt-throttling",
        "os",
        State.WARN,
        r"RT throttling activated",
        "a real-time task took all of a processor",
        "chrt -m; ps -eo pid,cls,rtprio,comm | grep -E 'FF|RR'",
    ),
    _rule(
        "out-of-memory",
        "os",
        State.WARN,
        r"Out of memory: |oom[-_]kill(?:_process|er)?\b|Memory cgroup out of memory",
        "the host ran out of memory and ended a process",
        "free -g; docker stats --no-stream",
    ),
    _rule(
        "acpi",
        "platform",
        State.WARN,
        r"ACPI (?:BIOS )?Error",
        "the BIOS's tables have a mistake; usually harmless for the GPUs",
        "look for a newer BIOS, or acknowledge it: instinct health ack HOST kernel.log:acpi",
    ),
    _rule(
        "file-system",
        "storage",
        State.FAIL,
        r"EXT4-fs error \(device|EXT4-fs warning \(device.*(?:I/O error|error recorded)|BTRFS (?:error|critical)"
        r"|XFS \([^)]*\): (?:Corruption|Metadata|metadata I/O error|.*shut(?:ting)? ?down)"
        r"|Remounting filesystem read-only",
        "a file system is damaged or went read-only",
        "sudo dmesg | grep -iE 'ext4|xfs|btrfs'   # which one; then check it unmounted",
    ),
    _rule(
        "file-system-warning",
        "storage",
        State.WARN,
        r"EXT4-fs warning \(device",
        "a file system met something it does not like, and went on",
        "sudo dmesg | grep -i ext4   # which one, and what; check it unmounted when it returns",
    ),
    _rule(
        "disk-error",
        "storage",
        State.FAIL,
        r"Buffer I/O error on dev|blk_update_request: .*error|I/O error, dev \w+|critical medium error"
        r"|nvme\d*: (?:controller is down|I/O \d+.*timeout|.*Device not ready|.*reset controller)"
        r"|nvme nvme\d+: .*timeout",
        "a disk did not do what it was asked",
        "sudo nvme smart-log /dev/nvme0   # or smartctl -a; replace the disk that is named",
    ),
    _rule(
        "network-file-system",
        "storage",
        State.WARN,
        r"nfs: server \S+ not responding|LNetError|LustreError|ceph: .*(?:hung|lost)|CIFS.* has not responded",
        "a network file system did not answer",
        "mount | grep -E 'nfs|lustre|ceph|cifs'; then look at its server",
    ),
    _rule(
        "nic-error",
        "network",
        State.FAIL,
        r"\b(?:mlx5_core|mlx4_core|bnxt_en|bnxt_re|ionic|ice|i40e|irdma|cxi_\w+)\b.*"
        r"(?:health compromised|device's health|fatal|firmware (?:error|crash)|tx timeout|transmit queue \d+ timed out"
        r"|module (?:removed|error)|module event\[error\]|internal error|syndrome|High Temperature)|NETDEV WATCHDOG",
        "a network adapter reported a fault",
        "rdma link; sudo ethtool -m IFACE   # cable, module, firmware",
    ),
)
"""Every class, in the order in which they are tried."""

UNCLASSIFIED = _rule(
    "unclassified",
    "os",
    State.WARN,
    r"(?!)",
    "the kernel called it an error and no rule knows it",
    "read the line; acknowledge it when it is harmless: instinct health ack HOST kernel.log:unclassified",
)
"""What is left: grave by its own level, or an error of the GPU driver, and matched by nothing."""

BY_ID: dict[str, KernelRule] = {rule.id: rule for rule in (*RULES, UNCLASSIFIED)}
