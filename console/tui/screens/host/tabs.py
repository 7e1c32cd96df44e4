"""Keys and views of the Host screen, and the line that shows them. Pure."""

from collections.abc import Callable

from console.model.finding import State
from console.tui import marks
from console.tui.keys import Key
from console.tui.marks import Span
from console.tui.screens.host.subject import Subject
from console.tui.widgets.tabs import Tab

KEYS = (
    Key("host.findings", "f", "tab('findings')", "Findings: what is wrong, why, and what to do"),
    Key("host.facts", "a", "tab('facts')", "Facts by area, each beside what it should be"),
    Key("host.gpus", "d", "tab('gpus')", "GPUs: live figures and a picture of the server"),
    Key("host.telemetry", "t", "tab('telemetry')", "Telemetry: the last minutes of every GPU"),
    Key("host.kernel", "e", "tab('kernel')", "Kernel log: faults and their lines"),
    Key("host.work", "w", "tab('work')", "What runs here, and what ran"),
    Key("host.next_view", "right", "turn(1)", "Next view"),
    Key("host.previous_view", "left", "turn(-1)", "View before"),
    Key("host.copy", "y", "copy", "Copy what is under the cursor: the remedy, the command, the address", "copy"),
    Key("host.copy_all", "Y", "copy_all", "Copy all that the view shows, as Markdown"),
    Key("host.metric", "v", "metric(1)", "Plot another figure", "figure"),
    Key("host.metric_back", "V", "metric(-1)", "Plot the figure before"),
    Key("host.alone", "space", "alone", "Plot the GPU under the cursor alone, or all", "alone"),
    Key("host.acknowledge", "x", "acknowledge", "Let a kernel-log fault rest, or take that back", "let rest"),
    Key("host.only_bad", "o", "only_bad", "Only what is not as it should be, or everything", "only bad"),
    Key("host.filter", "slash", "filter", "Filter as you type", "filter"),
    Key("host.leave_filter", "escape", "leave_filter", "Leave the filter: everything again"),
    Key("host.again", "r", "again", "Look at the host again now", "look again"),
    Key("host.next", "n", "step(1)", "Next host", "next host"),
    Key("host.previous", "p", "step(-1)", "Host before"),
    Key("host.next_bad", "N", "step_bad", "Next host with something wrong"),
    Key("host.choose", "h", "choose_host", "Choose a host by name"),
    Key("host.live", "l", "live", "What runs on this host, live"),
    Key("host.run", "m", "run_here", "Choose a matrix to run"),
)
TABS = ("findings", "facts", "gpus", "telemetry", "kernel", "work")
_NAMES = {"gpus": "GPUs", "kernel": "kernel log"}


def tabs(subject: Subject, key_of: Callable[[str], str]) -> list[Tab]:
    """Each view with its key and what there is to see in it: the gravest findings, faults that do not rest, work."""
    badges = {"findings": _findings(subject), "kernel": _faults(subject), "work": _work(subject)}
    return [Tab(tab, key_of(f"host.{tab}"), _NAMES.get(tab, tab), badges.get(tab, ("", ""))) for tab in TABS]


def _findings(subject: Subject) -> Span:
    counts = subject.view.counts
    for state, number in ((State.FAIL, counts.failed), (State.UNKNOWN, counts.unknown), (State.WARN, counts.warned)):
        if number:
            return f"{marks.HEALTH[state].glyph}{number}", marks.HEALTH[state].role
    return "", ""


def _faults(subject: Subject) -> Span:
    findings = subject.health.findings if subject.health is not None else ()
    found = [
        item
        for item in findings
        if item.check.startswith("kernel.log.") and item.state is not State.PASS and not item.waived
    ]
    if not found:
        return "", ""
    mark = marks.HEALTH[State.FAIL if any(item.state is State.FAIL for item in found) else State.WARN]
    return f"{mark.glyph}{len(found)}", mark.role


def _work(subject: Subject) -> Span:
    number = len(subject.active) or int(subject.view.row is not None and bool(subject.view.row.running))
    return (f"{marks.ACTIVE.glyph}{number}", "busy") if number else ("", "")
