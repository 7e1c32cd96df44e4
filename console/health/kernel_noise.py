"""Lines of the kernel log that look like faults and are none, and lines that only detail the fault before them."""

import re

BENIGN = re.compile(
    r"""
    \bamdkcl: [ ]                                                  # taints and stubs of the packaged driver
  | \bno \s (?:un)?correctable \s hardware \s errors
  | (?<![\d,]) 0 \s (?:new \s)? (?:un)?(?:correctable|deferred) \s hardware \s errors
  | \bGPU \s reset (?:\(\d+\))? \s succeeded                       # the beginning of the reset has been said
  | \bring \s reset \s succeeded | \bRing \s \S+ \s reset \s succeeded
  | \bECC \s is \s (?:active|not \s presented)
  | \bsoft \s recovered                                            # the ring went on without a reset
  | \bGHES: | \bFirmware \s First \s mode \s is \s enabled
  | \b(?:AER|DPC|pciehp|EDAC): \s+ (?:enabled|service) | Slot \#\d+ \s AttnBtn
  | \bMCE: \s In-kernel \s MCE \s decoding \s enabled | \bmce: \s (?:\[Hardware \s Error\]: \s)? CPU \s supports
  | \bnvme\d* : \s Shutdown \s timeout \s set \s to                   # said of every such disk at boot
  | \b(?:dev|device) \s (?:sr|fd)\d+ \b                              # the board's virtual drives, which hold nothing
  | \baudit: | \b(?:Command|Kernel \s command) \s line:
    """,
    re.VERBOSE,
)
"""Look like faults and are none."""

DETAIL = re.compile(
    r"""
    aca \s entry\[\d+\]\. | \bACA\[\d+/\d+\]\.                       # registers of an event already named
  | \[Hardware \s Error\]: \s (?:
        \s | event \s severity | section | Error \s \d+ | It \s has \s been \s corrected | \s*(?:IPID|Synd|MISC)
      | (?:Corrected|Uncorrected|Deferred) \s error | CPU:\d | Unified \s Memory | cache \s level
      | .*\bExtended \s Error
    )
  | \b(?:RW|MAPPING_ERROR|PERMISSION_FAULTS|WALKER_ERROR|MORE_FAULTS): \s 0x
  | VM_L2_PROTECTION_FAULT_STATUS | Faulty \s UTCL2 \s client | in \s page \s starting \s at \s address
  | \bProcess \s information: \s process | Dumping \s IP \s State | \bError \s Address\(PA\)
  | \bdevice \s \[[0-9a-f]{4}:[0-9a-f]{4}\] \s error \s status/mask | aer_layer=
  | \bfinishing \s device\. | \bGPU \s reset \s end \s with \s ret | VRAM \s is \s lost \s due \s to \s GPU \s reset
  | device \s wedged, \s but \s recovered
    """,
    re.VERBOSE | re.IGNORECASE,
)
"""Belong to the line before them, which is the fault."""
