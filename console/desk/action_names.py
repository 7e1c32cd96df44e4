"""The names by which `[keys]` of the configuration gives the console's actions other keys.

They stand here so that the headless front can check them too; the screens say what each of them does.
"""

import difflib
from collections.abc import Mapping

_NAMES: Mapping[str, str] = {
    "screen": "fleet host matrix live results runs",
    "app": "help palette theme back picture reopen quit",
    "fleet": "open filter leave_filter sort sort_back bad_first group again all_again run live copy",
    "host": (
        "findings facts gpus telemetry kernel work next_view previous_view copy copy_all metric metric_back "
        "alone acknowledge only_bad filter leave_filter again next previous next_bad choose live run"
    ),
    "matrix": (
        "tick plan start hosts image how pause stop stop_run retry retry_run view list filter leave all none "
        "live copy copy_run"
    ),
    "live": (
        "tick zoom search next previous follow wrap stamps part metric time view stop stop_run pause retry "
        "slower faster back forth to_end all results host leave copy"
    ),
    "results": (
        "open filter next previous runs compare swap copy export log files worst unasked live copy_csv leave again"
    ),
    "grid": "up down page_up page_down first last open",
    "log": "up down page_up page_down first last left right",
    "runs": "open watch resume stop clean export filter details leave replay copy",
}
ACTIONS = frozenset(f"{screen}.{name}" for screen, names in _NAMES.items() for name in names.split())
"""Every action that may be given another key, such as `fleet.sort` and `app.quit`."""


def problems(keys: Mapping[str, str], where: str) -> tuple[str, ...]:
    """What is wrong with a table of keys, one line each: names that mean no action, with the nearest that does."""
    return tuple(
        f"{where}: keys: no action is called {name!r}{_nearest(name)}" for name in keys if name not in ACTIONS
    ) + tuple(f"{where}: keys: {name!r} is given no key" for name, key in keys.items() if not key.strip(", "))


def _nearest(name: str) -> str:
    near = difflib.get_close_matches(name, sorted(ACTIONS), n=1)
    return f"; did you mean {near[0]!r}?" if near else "; the help of each screen (?) shows their names"
