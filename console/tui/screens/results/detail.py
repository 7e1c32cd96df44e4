"""What the Results screen says of the figure under the cursor: what it rests on, what it is held against. Pure."""

from collections.abc import Iterable, Mapping, Sequence
from typing import TYPE_CHECKING

from console.desk.sheet_views import Comparison, Difference, Figure, Pair, Sheet, Tried
from console.model.attempt import Reason, Validity
from console.model.units import duration
from console.tui.marks import Role, Span
from console.tui.screens.results.pairs import both_measured, pair_band
from console.tui.screens.results.rows import COUNTING, bar, hosts, note, ratio
from console.tui.screens.results.words import MEANING, NOT_ASKED, VERDICT, band_role, reason_words
from console.tui.widgets.lines import BLANK, Para, labelled, para
from console.tui.words import utc

if TYPE_CHECKING:
    from console.desk.papers import Paper

_LABEL = 11
_WIDE = 25
SIMULATED = "simulated by the embedded lab: it says nothing about any hardware"


def detail(item: Figure, sheet: Sheet, paper: "Paper | None", why_none: str = "") -> list[Para]:
    """Everything known of a figure. `paper` is what is kept of its attempt; `why_none` while or why there is none."""
    made = [*headline(item), *outcome(item), *reference(item)]
    made += [*reasons(item.reasons), *differences(item.differences), *_recipe(item)]
    if item.attempts:
        made += [BLANK, para("attempts", "bold"), *(tried(one, alone=len(item.attempts) == 1) for one in item.attempts)]
    for group, title in (("beside", "beside it"), ("conditions", "conditions"), ("row", "the row")):
        made += _facts(item, group, title)
    made += behind(paper, why_none) if item.attempts else []
    return [*made, *about(sheet)]


def headline(item: Figure) -> list[Para]:
    """The row, where it ran, the verdict and what it means."""
    mark = VERDICT.get(item.verdict)
    if not item.was_run:
        mark = NOT_ASKED
    said: Span = mark.span if mark else ("no attempt has ended yet", "busy")
    meaning = MEANING.get(item.verdict, "")
    if item.verdict == "unconfirmed" and item.band:
        meaning = f"{item.band}, but {'one repeat only' if item.repeats == 1 else 'the recipe is not known exactly'}"
    spans: list[Span] = [(f"{item.cell}  ", "bold"), said, (f"  {meaning}" if meaning else "", "dim")]
    made = [Para(tuple(spans), 2), para(f"{item.title}{f', on {hosts(item)}' if item.hosts else ''}")]
    if item.simulated:
        made.append(para(SIMULATED, "simulated"))
    return made


_SAID_BELOW = ("invalid", "incomparable")
"""Verdicts whose note only repeats the reasons, or the conditions, that follow."""


def outcome(item: Figure) -> list[Para]:
    """What was measured over the repeats, or why there is nothing."""
    made = []
    if item.value is not None:
        figure: Span = (f"{item.text} {item.unit}", "bold")
        made.append(Para(((f"{'measured':<{_LABEL}}", "dim"), figure, (_over(item), "")), _LABEL))
    if item.ratio is not None:
        counts = item.verdict in COUNTING
        words = f"  95 % between {item.ratio_low:.3f} and {item.ratio_high:.3f}" if _interval(item) else ""
        turned = "  (lower is better; the ratio is turned so that above 1 is better)" if item.lower_is_better else ""
        spans: tuple[Span, ...] = (
            (f"{'ratio':<{_LABEL}}", "dim"),
            ratio(item.ratio, item.band, counts=counts),
            ("  ", ""),
            *bar(item.ratio, item.band, counts=counts),
            (words + turned + ("" if counts else "  (for orientation only)"), "dim"),
        )
        made.append(Para(spans, _LABEL))
    if item.failure:
        made.append(labelled("why", f"{item.failure}: {item.failure_line}", "fail", width=_LABEL))
    if item.remedy:
        made.append(labelled("do", item.remedy, "accent", width=_LABEL))
    said = "" if item.verdict in _SAID_BELOW else note(item)
    if said:
        made.append(labelled("note", said, width=_LABEL))
    return made


def _over(item: Figure) -> str:
    parts = [f"median of {item.repeats} repeats" if item.repeats > 1 else "one repeat"]
    if item.variation is not None:
        parts.append(f"they vary by {item.variation:.2%}")
    left_out = [(item.spoiled, "spoiled"), (item.failed, "failed"), (item.not_run, "not run"), (item.open, "going on")]
    parts += [f"{count} {what}" for count, what in left_out if count and count + item.repeats <= len(item.attempts)]
    return f"   {', '.join(parts)}"


def _interval(item: Figure) -> bool:
    return item.ratio_low is not None and item.ratio_high is not None


def reference(item: Figure) -> list[Para]:
    """What it is held against, from where, of when, and what is known to be wrong with that."""
    if not item.printed:
        return [labelled("reference", "none that it could be compared with", "dim", width=_LABEL)]
    where = ", ".join(text for text in (item.source, item.dated) if text)
    said = f"{item.printed} {item.reference_unit}, {item.reference_set}"
    made = [labelled("reference", said, width=_LABEL), labelled("", where, "dim", width=_LABEL)]
    return [*made, *(labelled("erratum", text, "warn", width=_LABEL) for text in item.errata)]


def reasons(given: Iterable[Reason]) -> list[Para]:
    """Each reason in words with what was seen: those that spoil the figure, then those that are noted beside it."""
    made = []
    for item in given:
        if item.reason is Validity.SIMULATED:
            continue  # said above, in full
        label, role = ("spoils", "warn") if item.spoils else ("noted", "")
        words = reason_words(item.reason) + (f": {item.detail}" if item.detail else "")
        made.append(labelled(label, words, role, width=_LABEL))
    return made


_STRENGTH: dict[str, tuple[str, Role]] = {
    "must": ("apart", "fail"),
    "should": ("differs", "warn"),
    "noted": ("also", "dim"),
}


def differences(given: Sequence[Difference]) -> list[Para]:
    """Conditions in which figure and reference differ, those that keep them apart first."""
    order = list(_STRENGTH)
    made = []
    for item in sorted(given, key=lambda one: order.index(one.strength)):
        label, role = _STRENGTH[item.strength]
        made.append(labelled(label, item.text, role, width=_LABEL))
    return made


def _recipe(item: Figure) -> list[Para]:
    """Deviations that the reasons have not said already."""
    said = " ".join(one.detail for one in item.reasons)
    return [labelled("recipe", text, width=_LABEL) for text in item.deviations if text not in said]


_STATE: Mapping[str, Role] = {"ok": "ok", "failed": "fail", "stopped": "warn", "not run": "unknown"}


def tried(item: Tried, *, alone: bool) -> Para:
    """One attempt in a line; why it failed only where it is not the only one, of which that was said above."""
    role = _STATE.get(item.state, "busy")
    name = f"  {item.repeat}" + (f", try {item.attempt_try}" if item.attempt_try > 1 else "")
    spans: list[Span] = [(f"{name:<9}  {item.attempt}  ", "dim"), (item.state, "warn" if item.spoiled else role)]
    if item.spoiled:
        spans.append((" but spoiled", "warn"))
    if item.text:
        spans.append((f"  {item.text}", "bold"))
    if item.ratio is not None:
        spans.append((f"  {item.ratio:.3f}", ""))
    if item.started_at_ns is not None:
        took = f", took {duration((item.ended_at_ns - item.started_at_ns) / 1e9)}" if item.ended_at_ns else ""
        spans.append((f"  {utc(item.started_at_ns)}{took}", "dim"))
    if item.failure_line and not alone:
        spans.append((f"  {item.failure}: {item.failure_line}", "fail"))
    return Para(tuple(spans), 11)


def _facts(item: Figure, group: str, title: str) -> list[Para]:
    found = [fact for fact in item.facts if fact.group == group]
    made = [labelled(f"  {fact.name}", f"{fact.text} {fact.unit}".rstrip(), width=_WIDE) for fact in found]
    if group == "conditions":
        image = [("image", item.image), ("image digest", item.image_digest)]
        made = [*(labelled(f"  {name}", text, width=_WIDE) for name, text in image if text), *made]
    return [BLANK, para(title, "bold"), *made] if made else []


def behind(paper: "Paper | None", why_none: str) -> list[Para]:
    """The exact commands, what preflight found, and the files that are kept."""
    if paper is None:
        return [BLANK, para(why_none, "dim")] if why_none else []
    made = [BLANK, para("command", "bold")]
    if not paper.commands:
        made.append(para("  it never got so far as to have one", "dim"))
    for command in paper.commands:
        made.append(para(f"  {command.part} on {command.host}", "dim"))
        made.append(para(f"  {command.line}", "", hang=4))
    if paper.found:
        made += [BLANK, para("what preflight found", "bold"), *(para(f"  {text}", hang=4) for text in paper.found)]
    if paper.files:
        kept = ", ".join(item.name for item in paper.files)
        made += [BLANK, para("files", "bold"), para(f"  attempts/{paper.attempt} in the store: {kept}", "dim", hang=2)]
    return made


def about(sheet: Sheet) -> list[Para]:
    """The table as a whole."""
    made = [BLANK, para(sheet.title, "bold")]
    if sheet.source:
        made.append(para(f"  {', '.join(text for text in (sheet.source, sheet.dated) if text)}", "dim", hang=2))
    return [*made, *(para(f"  {text}", hang=2) for text in sheet.sentences)]


def pair_detail(pair: Pair, comparison: Comparison) -> list[Para]:
    """Both sides of a pair."""
    band = pair_band(pair)
    made = [Para(((f"{pair.cell}  ", "bold"), (pair.matrix, "dim")), 2)]
    if pair.simulated:
        made.append(para(SIMULATED, "simulated"))
    for name, side, text, hosts_of, verdict in (
        ("A", comparison.a, pair.text_a, pair.hosts_a, pair.verdict_a),
        ("B", comparison.b, pair.text_b, pair.hosts_b, pair.verdict_b),
    ):
        figure = f"{text} {pair.unit}" if text else "no figure"
        mark = VERDICT.get(verdict)
        spans: list[Span] = [(f"{name}  {side.name}  ", "dim"), (f"{figure}  ", "bold")]
        spans.append(mark.span if mark else ("", ""))
        spans.append((f"  on {', '.join(hosts_of)}" if hosts_of else "  has no such cell", "dim"))
        made.append(Para(tuple(spans), 3))
    if pair.ratio is not None:
        turned = "  (lower is better; turned so that above 1 means B is better)" if pair.lower_is_better else ""
        label: list[Span] = [(f"{'B/A':<{_LABEL}}", "dim"), (f"{pair.ratio:.3f}  ", band_role(band))]
        made.append(Para((*label, *bar(pair.ratio, band), (turned, "dim")), _LABEL))
    elif pair.comparable is False and both_measured(pair):
        made.append(para("A condition that must agree differs: the two may not be compared.", "warn"))
    if pair.differences and both_measured(pair):
        made += [BLANK, para("in what their conditions differ", "bold")]
        made += [para(f"  {text}", hang=4) for text in pair.differences]
    return made
