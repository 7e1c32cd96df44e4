"""Live readings of a host: one long-lived shell loop per host that prints, once a second, what has changed.

The loop reads small files of sysfs and procfs with the shell's own `read`; a `sleep` is its only process per turn, and
three more every fifth turn look at throttling. A turn is a line for each GPU whose figures differ from the turn before,
and one with time, load and memory, which ends it. GPUs that sleep are left asleep. Partitions of a GPU are not told
apart: sensors belong to the device.

The loop ends with its channel: a waiting child sees the end of its input, and printing to nobody ends it too.
"""

import asyncio
import contextlib
import re
import time
from collections.abc import AsyncGenerator, Awaitable, Callable, Sequence

from console.fleet.host import Host
from console.fleet.link import ChannelRefused, CommandFailed, Link, LinkError, LinkLost
from console.fleet.script import assignments
from console.model.attempt import Beat, Gap, HostReading, Reading

__all__ = ["Beat", "Decoder", "Gap", "follow", "script", "stream"]

LINE_LIMIT = 4096
SILENCE_S = 20.0
"""After so long without a word (and several periods) the loop counts as lost, as a half-open link would be."""
THROTTLE_TURNS = 5
"""Throttle counters are looked at every so many turns."""
CLOSE_S = 2.0
"""How long a closed loop is waited for."""
RETRY_S = (1.0, 2.0, 5.0, 10.0, 30.0)

_MAIN = f"""
LC_ALL=C; export LC_ALL
PATH="$PATH:/usr/local/bin:/usr/bin:/bin"; export PATH
main() {{
exec 3<&0
{{ IFS= read -r line <&3; kill $$; }} >/dev/null 2>&1 &
gpus=0
for path in "$ROOT"/sys/bus/pci/devices/*; do
  vendor=
  {{ IFS= read -r vendor < "$path/vendor"; }} 2>/dev/null
  if [ "$vendor" != 0x1002 ] || [ ! -e "$path/mem_info_vram_used" ]; then continue; fi
  sensors=
  for each in "$path"/hwmon/hwmon*; do
    if [ -e "$each/temp2_input" ] || [ -e "$each/power1_cap" ]; then sensors=$each; fi
  done
  power=$sensors/power1_input
  if [ ! -e "$power" ]; then power=$sensors/power1_average; fi
  eval "path_$gpus=\\$path power_$gpus=\\$power sensors_$gpus=\\$sensors last_$gpus= counted_$gpus="
  printf 'g %s %s\\n' "$gpus" "${{path##*/}}"
  gpus=$((gpus + 1))
done
up=0
{{ IFS=' ' read -r up rest < /proc/uptime; }} 2>/dev/null
printf 'b %s %s\\n' "$(date +%s%N)" "$up"
turn=0
while :; do
  each=0
  metrics=
  while [ "$each" -lt "$gpus" ]; do
    look
    each=$((each + 1))
  done
  if [ $((turn % {THROTTLE_TURNS})) -eq 0 ] && [ -n "$metrics" ]; then throttled $metrics; fi
  up=- load=- free=-
  {{ IFS=' ' read -r up rest < /proc/uptime; }} 2>/dev/null
  {{ IFS=' ' read -r load rest < "$ROOT/proc/loadavg"; }} 2>/dev/null
  {{
    while IFS=' ' read -r key size rest; do
      case $key in MemAvailable:) free=$((size / 1024)); break ;; esac
    done < "$ROOT/proc/meminfo"
  }} 2>/dev/null
  printf 't %s %s %s\\n' "$up" "$load" "$free" || exit 0
  turn=$((turn + 1))
  sleep "$PERIOD" </dev/null >/dev/null 2>&1 || exit 0
done
}}
# look: print the figures of GPU $each when they differ from before
look() {{
  eval "path=\\$path_$each power=\\$power_$each sensors=\\$sensors_$each last=\\$last_$each"
  state=
  {{ IFS= read -r state < "$path/power/runtime_status"; }} 2>/dev/null
  case $state in
    suspend*) now=asleep ;;
    *)
      scaled "$path/gpu_busy_percent" 0; now=$word
      scaled "$path/mem_info_vram_used" 6; now="$now $word"
      scaled "$power" 6; now="$now $word"
      scaled "$sensors/temp2_input" 3; now="$now $word"
      scaled "$sensors/temp3_input" 3; now="$now $word"
      scaled "$sensors/freq1_input" 6; now="$now $word"
      scaled "$sensors/freq2_input" 6; now="$now $word"
      if [ -r "$path/gpu_metrics" ]; then metrics="$metrics $each"; fi
      ;;
  esac
  if [ "$now" != "$last" ]; then
    printf '%s %s\\n' "$each" "$now" || exit 0
    eval "last_$each=\\$now"
  fi
}}
# scaled FILE DIGITS: a decimal number without its last digits, in `word`; `-` without one
scaled() {{
  word=
  {{ IFS= read -r word < "$1"; }} 2>/dev/null
  case $word in ''|*[!0-9]*) word=-; return ;; esac
  if [ "$2" -eq 0 ]; then return; fi
  if [ "${{#word}}" -le "$2" ]; then word=0; return; fi
  case $2 in 3) word=${{word%???}} ;; 6) word=${{word%??????}} ;; esac
}}
# throttled GPU...: cycles and throttle residencies (gpu_metrics 1.6 to 1.8) that differ from before, then `y`
throttled() {{
  list=$*
  set --
  for each in $list; do eval "set -- \\"\\$@\\" \\"\\$path_$each/gpu_metrics\\""; done
  count=$#
  said=$(head -q -c 64 "$@" 2>/dev/null </dev/null | od -An -v -tu4 2>/dev/null)
  set -- $said
  if [ $# -ne $((count * 16)) ]; then return; fi
  for each in $list; do
    counts=
    case $(($1 >> 16)) in
      1537) counts="$9 ${{10}} ${{11}} ${{12}} ${{13}} ${{14}}" ;;
      1793|2049) counts="${{11}} ${{12}} ${{13}} ${{14}} ${{15}} ${{16}}" ;;
    esac
    eval "last=\\$counted_$each"
    if [ "$counts" != "$last" ]; then
      printf 'x %s %s\\n' "$each" "$counts" || exit 0
      eval "counted_$each=\\$counts"
    fi
    shift 16
  done
  printf 'y\\n' || exit 0
}}
main
"""

REASONS = ("prochot", "ppt", "socket_thermal", "vr_thermal", "hbm_thermal")
"""Throttle residencies in the order of gpu_metrics."""

_BDF = re.compile(r"[0-9a-f]{4,8}:[0-9a-f]{2}:[0-9a-f]{2}\.[0-7]")
_GPU_LINE = re.compile(r"(\d{1,3}) (asleep|(?:(?:\d{1,12}|-) ){6}(?:\d{1,12}|-))", re.ASCII)
_TIME_LINE = re.compile(r"t (\d{1,12}\.\d\d|-) (\d{1,7}\.\d\d|-) (\d{1,12}|-)", re.ASCII)
_COUNT_LINE = re.compile(r"x (\d{1,3}) (\d{1,10}(?: \d{1,10}){5})", re.ASCII)


class Decoder:
    """Lines of the loop to beats. Pure; a line that is none of the loop's says nothing."""

    def __init__(self) -> None:
        self._bdfs: dict[int, str] = {}
        self._figures: dict[int, tuple[int | None, ...]] = {}
        self._counts: dict[int, tuple[int, ...]] = {}
        self._risen: dict[int, dict[str, float]] = {}
        self._throttle: dict[int, dict[str, float]] = {}
        self._looked = False
        self._boot_ns: int | None = None

    def feed(self, line: bytes) -> Beat | None:
        """The beat that a line completes, if it does."""
        text = line.decode("ascii", "replace").strip("\r\n")
        kind = text[:2]
        if kind == "t ":
            return self._beat(text)
        if kind == "g ":
            words = text.split(" ")
            if len(words) == 3 and re.fullmatch(r"\d{1,3}", words[1], re.ASCII) and _BDF.fullmatch(words[2]):
                self._bdfs[int(words[1])] = words[2]
        elif kind == "b ":
            match = re.fullmatch(r"b (\d{19}) (\d{1,12}\.\d\d)", text, re.ASCII)
            if match:
                self._boot_ns = int(match.group(1)) - _ns(match.group(2))
        elif kind == "x ":
            self._count(text)
        elif text == "y":
            self._throttle = {gpu: self._risen.get(gpu, {}) for gpu in self._counts}
            self._risen, self._looked = {}, True
        elif match := _GPU_LINE.fullmatch(text):
            words = match.group(2).split(" ")
            asleep = words == ["asleep"]
            self._figures[int(match.group(1))] = () if asleep else tuple(None if w == "-" else int(w) for w in words)
        return None

    def _count(self, text: str) -> None:
        match = _COUNT_LINE.fullmatch(text)
        if match is None:
            return
        gpu = int(match.group(1))
        counts = tuple(int(word) for word in match.group(2).split(" "))
        before = self._counts.get(gpu, counts)
        self._counts[gpu] = counts
        self._risen[gpu] = throttled(before, counts)

    def _beat(self, text: str) -> Beat | None:
        match = _TIME_LINE.fullmatch(text)
        if match is None:
            return None
        up, load, free = match.groups()
        at_ns = self._boot_ns + _ns(up) if self._boot_ns is not None and up != "-" else time.time_ns()
        host = HostReading(
            at_ns=at_ns,
            load_1m=None if load == "-" else float(load),
            memory_available_bytes=None if free == "-" else int(free) << 20,
        )
        looked, self._looked = self._looked, False
        return Beat(host, tuple(self._reading(gpu, at_ns) for gpu in sorted(self._bdfs)), looked)

    def _reading(self, gpu: int, at_ns: int) -> Reading:
        figures = self._figures.get(gpu) or (None,) * 7
        busy, memory, watts, hot, warm, core, hbm = figures
        throttle = self._throttle.get(gpu)
        return Reading(
            at_ns=at_ns,
            bdf=self._bdfs[gpu],
            power_w=_float(watts),
            hotspot_c=_float(hot),
            memory_c=_float(warm),
            vram_used_bytes=memory * 1_000_000 if memory is not None else None,
            busy_percent=_float(busy),
            sclk_mhz=_float(core),
            mclk_mhz=_float(hbm),
            throttle=None if throttle is None else tuple(throttle),
            throttle_shares=() if throttle is None else tuple(throttle.values()),
        )


def throttled(before: Sequence[int], now: Sequence[int]) -> dict[str, float]:
    """Reasons whose residency has risen, each with its share of the time between, as amd-smi reckons violations.

    Both are the counter of cycles and the residencies in the order of REASONS. Without cycles between them what has
    risen counts as all of the time.
    """
    cycles = now[0] - before[0]
    risen = zip(REASONS, before[1:], now[1:], strict=True)
    return {name: min(1.0, (new - old) / cycles) if cycles > 0 else 1.0 for name, old, new in risen if new > old}


def _float(value: int | None) -> float | None:
    return None if value is None else float(value)


def _ns(seconds: str) -> int:
    whole, _, hundredths = seconds.partition(".")
    return int(whole) * 1_000_000_000 + int(hundredths) * 10_000_000


def script(of: Host, period_s: float = 1.0) -> bytes:
    """The loop for a host."""
    given = assignments({"ROOT": (of.root or "").rstrip("/"), "PERIOD": f"{period_s:g}"})
    return "\n".join((*given, _MAIN.strip("\n"), "")).encode()


async def stream(link: Link, of: Host, *, period_s: float = 1.0) -> AsyncGenerator[Beat, None]:
    """Beats of one channel until it ends: LinkLost when the loop stops or says nothing for long. Close it to end it."""
    reader, writer = await link.open_command(("/bin/sh", "-s"))
    decoder, rest = Decoder(), b""
    try:
        writer.write(script(of, period_s))
        await writer.drain()
        while True:
            try:
                async with asyncio.timeout(max(SILENCE_S, 5 * period_s)):
                    data = await reader.read(1 << 16)
            except TimeoutError:
                raise LinkLost(of.name, "no readings for a while", "is the host overloaded or gone?") from None
            if not data:
                raise LinkLost(of.name, "the loop that reads it has ended")
            *lines, rest = (rest + data).split(b"\n")
            rest = rest[-LINE_LIMIT:]
            for line in lines:
                beat = decoder.feed(line)
                if beat is not None:
                    yield beat
    finally:
        writer.close()
        with contextlib.suppress(LinkError, TimeoutError):  # to its end, so that nothing of it stays behind
            async with asyncio.timeout(CLOSE_S):
                while await reader.read(1 << 16):
                    pass


async def follow(
    connect: Callable[[], Awaitable[Link]],
    of: Host,
    *,
    period_s: float = 1.0,
    pause: Callable[[float], Awaitable[None]] = asyncio.sleep,
) -> AsyncGenerator[Beat | Gap, None]:
    """Beats for as long as it is iterated; a broken stream is a Gap, and is taken up again after a pause.

    `connect` gives a live link (`Links.get`). Errors that a new try cannot mend (a host key, a refused sign-in) raise.
    """
    last: int | None = None
    tries = 0
    while True:
        try:
            link = await connect()
            async with contextlib.aclosing(stream(link, of, period_s=period_s)) as beats:
                async for beat in beats:
                    last, tries = beat.host.at_ns, 0
                    yield beat
            why = "the stream ended"
        except LinkError as error:
            if not error.transport and not isinstance(error, CommandFailed | ChannelRefused):
                raise
            why = error.message
        wait = RETRY_S[min(tries, len(RETRY_S) - 1)]
        tries += 1
        yield Gap(last, why, wait)
        await pause(wait)
