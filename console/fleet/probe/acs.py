"""PCIe access control services: switched on, they send traffic between GPUs and NICs the long way round.

Only root sees it (lspci shows the capability to nobody else), so it is asked as root, or by sudo where the fleet file
says so.
"""

import re
from collections.abc import Mapping

from console.fleet.probe.reading import unread
from console.fleet.script import Area, Section
from console.model.facts import Known, Unknown

_EXIT = re.compile(rb"^ *\d+ @exit (\d{1,3})$", re.MULTILINE)
_SHOW = ("sudo", "lspci", "-vvv")

SCRIPT = """
if [ "$TOOLS" = yes ]; then
  begin acs 'lspci -vvv'
  sudo=
  if [ -z "$ROOT" ] && [ "$SUDO_PROBE" = yes ] && [ ! -r /proc/1/environ ]; then sudo='sudo -n'; fi
  if [ -n "$ROOT" ]; then
    if [ -r "$ROOT/@commands/acs" ]; then
      grep -o 'ACSCtl:[[:space:]]*SrcValid[+-]' "$ROOT/@commands/acs" | sort | uniq -c; end acs 0
    else end acs absent; fi
  elif ! command -v lspci >/dev/null 2>&1; then end acs absent
  elif [ -n "$sudo" ] && ! $LIMIT $sudo -l lspci >/dev/null 2>&1 </dev/null; then end acs denied
  elif [ -r /proc/1/environ ] || [ -n "$sudo" ]; then
    {
      $LIMIT $sudo lspci -vvv 2>/dev/null </dev/null
      printf '\n@exit %s\n' $?
    } | grep -oE 'ACSCtl:[[:space:]]*SrcValid[+-]|^@exit [0-9]+$' | sort | uniq -c
    end acs 0
  else end acs denied; fi
fi
"""


def parse(found: Mapping[str, Section]) -> Known[int] | Unknown:
    """How many bridges have it switched on. Where no bridge shows it at all it is hidden, and that is unknown."""
    section = found.get("acs")
    if section is None or not section.ok:
        return unread(section, _SHOW)
    ended = _EXIT.search(section.data)
    if ended is not None and ended.group(1) != b"0":  # what it had printed by then is not all there is
        late = ended.group(1) in (b"124", b"137")
        return Unknown("did not answer in time" if late else "the command failed", section.source, _SHOW)
    counts = {b"+": 0, b"-": 0}
    for match in re.finditer(rb"^ *(\d{1,6}) ACSCtl:\s*SrcValid([+-])$", section.data, re.MULTILINE):
        counts[match.group(2)] += int(match.group(1))
    if not sum(counts.values()):
        return Unknown("lspci shows no such capability", section.source, _SHOW)
    return Known(counts[b"+"], section.source)


AREA = Area("acs", SCRIPT, parse)
