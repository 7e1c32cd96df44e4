"""What else the server's profile says, and what an operating system cannot see."""

from collections.abc import Iterable

import msgspec

from console.health.rules.base import Say, compared, rule
from console.health.rules.settings import COVERED
from console.model.facts import Unknown
from console.model.finding import Finding, State

NOT_CHECKABLE = "not checkable from the operating system"

_BIOS = {
    "determinism": ("Determinism Manual, slider Power", ""),
    "power_limit": ("cTDP and package power limit 400 W", "sudo amd-smi metric --cpu-power-metrics"),
    "df_cstates": ("DF C-states Auto", "sudo amd-smi metric --cpu-dfcstate-ctrl"),
    "apbdis": ("APBDIS 1, fixed SOC P-state P0", ""),
    "xgmi_width": ("xGMI link width forced to x16, highest speed", ""),
    "ten_bit_tag": ("PCIe ten-bit tag Auto", "sudo lspci -vvv | grep 10BitTagReq"),
    "tsme": ("TSME disabled", "sudo dmesg | grep -i 'memory encryption'"),
    "dimms": ("DIMM speed and population", "sudo dmidecode -t 17"),
}


@rule(
    "profile",
    "profile",
    "what else the server's profile says of the host",
    detail="Each fact a profile names and no other check holds. Required facts fail, advised ones warn, published ones "
    "are shown for information only; a host's own expectations in the fleet file replace those of its profile.",
    source="the server's profile",
)
def against_profile(say: Say) -> Iterable[Finding]:
    """One finding for each expectation."""
    server = say.case.profile
    if server is None:
        why = Unknown("no server profile", "", ("instinct", "profiles", "list"))
        waived = "name one with server = in the fleet file or --server; instinct profiles learn writes one"
        yield say.unknown("what this server should be", why, waived=waived)
        return
    rest = [item for item in server.expect if item.fact not in COVERED]
    if not rest:
        yield say.passed(f"held against {server.name}")
    for item in rest:
        found = compared(say, item, remedy=f"instinct profiles show {server.name}", what=item.fact)
        yield msgspec.structs.replace(found, check=f"profile.{item.fact}")


@rule(
    "bios",
    "bios",
    "BIOS settings no operating system can read",
    detail="AMD's guide for MI300X names them; look at them in the BIOS, over Redfish, or as root where a command is "
    "given. They are listed so that nobody takes silence for a pass, and they do not count.",
    source="AMD MI300X system optimization",
    required=False,
)
def bios(say: Say) -> Iterable[Finding]:
    """One finding for each setting, none of which counts."""
    for about, (setting, command) in _BIOS.items():
        yield say.finding(
            State.UNKNOWN,
            f"{setting}: cannot be read",
            about=about,
            expected=setting,
            remedy=command or "look in the BIOS, or over Redfish",
            waived=NOT_CHECKABLE if not command else "needs root",
        )
