"""The script every container of ours starts with, and the marker lines by which others know where it is.

It enforces the attempt's own deadline, so that nothing outlives it unattended; takes secrets from stdin into a file on
a tmpfs, so that they are in no argument, environment, log or disk; and passes signals on to the process group of the
program. Its output is the program's, plus the markers on stderr.
"""

import re
from collections.abc import Mapping, Sequence

MARK = "@@instinct "
WAITING_FOR_SECRETS = MARK + "waiting for secrets"
SECRETS_RECEIVED = MARK + "secrets received"
STARTED = MARK + "started"
DEADLINE_REACHED = MARK + "deadline reached"

DEADLINE_EXIT = 124
"""Exit code when the deadline ended the program, as of timeout(1)."""

NO_SECRETS_EXIT = 125
"""Exit code when stdin ended before the secrets came."""

GRACE_S = 15
"""Seconds between TERM and KILL at the deadline."""

SECRETS_FOLDER = "/run/instinct"
SECRET_NAMES = ("hf_token",)

# Arguments: deadline in s (0: none), grace in s, folder for secrets, "hf_token" or "-", then the program.
# Works with dash, busybox and bash. The wait loop: a trapped signal interrupts `wait`, so it waits again; 127 from a
# later wait only means that the status was collected before. Background commands of a shell ignore INT; env undoes
# that where it can, else the program gets TERM instead. No single quotes, so that it reads well inside them.
ENTRY = r"""
deadline=$1 grace=$2 folder=$3 secrets=$4
shift 4
child= reader= timer= late= again= undo= lead= interrupt=TERM
say() { printf "$2@@instinct %s\n" "$1" >&2; }
tell() { kill "-$1" "-$child" 2>/dev/null || kill "-$1" "$child" 2>/dev/null; }
leave() {
  [ -z "$timer" ] || kill "$timer" 2>/dev/null
  [ -z "$reader" ] || kill "$reader" 2>/dev/null
  exit "$1"
}
pass() { again=1; if [ -n "$child" ]; then tell "$1"; else leave "$2"; fi; }
trap "pass TERM 143" TERM
trap "pass \$interrupt 130" INT
trap "late=1; say \"deadline reached\" \"\\n\"; pass TERM 124" USR1
trap "pass KILL 124" USR2
if [ "$deadline" -gt 0 ]; then
  (
    sleep "$deadline" & nap=$!
    trap "kill \$nap; exit 0" TERM
    wait "$nap"; kill -USR1 $$
    sleep "$grace" & nap=$!
    wait "$nap"; kill -USR2 $$
  ) </dev/null >/dev/null 2>&1 &
  timer=$!
fi
if [ "$secrets" != - ]; then
  say "waiting for secrets"
  exec 3<&0
  (
    umask 077
    token=
    while IFS= read -r line; do
      case $line in
        begin) token= ;;
        "hf_token "*) token=${line#hf_token } ;;
        end) [ -z "$token" ] || { printf %s "$token" >"$folder/hf_token"; exit $?; } ;;
      esac
    done
    exit 1
  ) <&3 &
  reader=$!
  wait "$reader" || { say "secrets did not come"; reader=; leave 125; }
  reader=
  exec 3<&- </dev/null
  HF_TOKEN_PATH=$folder/hf_token
  export HF_TOKEN_PATH
  say "secrets received"
fi
say started
if env --default-signal=INT,QUIT true 2>/dev/null; then undo="env --default-signal=INT,QUIT" interrupt=INT; fi
if command -v setsid >/dev/null; then lead=setsid; fi
$lead $undo /bin/sh -c "exec \"\$@\"" instinct "$@" </dev/null &
child=$!
again=
wait "$child"
code=$?
while [ -n "$again" ]; do
  again=
  wait "$child"
  more=$?
  [ "$more" -eq 127 ] || code=$more
done
[ -z "$late" ] || code=124
leave "$code"
""".strip()


def entry_arguments(deadline_s: int, secrets: Sequence[str], *, folder: str = SECRETS_FOLDER) -> list[str]:
    """What follows `/bin/sh -c ENTRY`, before the program. Raises ValueError for a secret it cannot take."""
    for name in secrets:
        if name not in SECRET_NAMES:
            raise ValueError(f"no way to hand over a secret named {name}; known are {', '.join(SECRET_NAMES)}")
    return ["instinct", str(deadline_s), str(GRACE_S), folder, secrets[0] if secrets else "-"]


def secrets_input(secrets: Mapping[str, str]) -> bytes:
    """What the entry reads from stdin. It begins with a newline: a delivery that was cut off before is thereby void."""
    lines = ["", "begin"]
    for name, value in secrets.items():
        if name not in SECRET_NAMES or not re.fullmatch(r"[\x21-\x7e]+", value):
            raise ValueError(f"the secret {name} is not one line of printable characters")  # never the value
        lines.append(f"{name} {value}")
    return "\n".join([*lines, "end", ""]).encode()


def is_blocked(log_tail: bytes) -> bool:
    """True when the container waits for its secrets: its last marker says so."""
    marks = re.findall(rb"(?m)^@@instinct ([a-z ]+?)\r?$", log_tail)
    return bool(marks) and marks[-1].decode() == WAITING_FOR_SECRETS.removeprefix(MARK)
