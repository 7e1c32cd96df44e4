"""A fold of envelopes into what screens show. No IO, no clock: the same events give the same board.

A front owns one board, applies what its feed yields, and asks for frozen views as often as it draws.
"""

from collections.abc import Iterable, Sequence

from console.desk.attempt_fold import EMPTY, AttemptFold, draw
from console.desk.rates import RatePoint
from console.desk.views import AttemptView, Counts, LinkState, Notice, RunView, count, run_eta_s
from console.model import events as ev
from console.model.text import clean_line

__all__ = ["AttemptView", "Board", "Counts", "RunView"]


class _RunFold:
    """What is known of a run; `seq` guards against hearing an event twice."""

    def __init__(self, name: str) -> None:
        self.name = name
        self.seq = 0
        self.opened: ev.RunOpened | None = None
        self.opened_at_ns = 0
        self.closed_at_ns: int | None = None
        self.why = EMPTY
        self.conductor: ev.ConductorStarted | None = None
        self.stop_asked = False
        self.paused = False
        self.notice: Notice | None = None
        self.links: dict[str, LinkState] = {}
        self.attempts: dict[str, AttemptFold] = {}
        self.latest_try: dict[tuple[str, str, int, tuple[str, ...]], AttemptFold] = {}

    def apply(self, event: ev.Event, at_ns: int) -> Iterable[str]:
        """Fold an event of the run itself in; the attempts whose view it changes."""
        match event:
            case ev.RunOpened():
                self.opened, self.opened_at_ns = event, at_ns
                return tuple(self.attempts)
            case ev.RunClosed(why):
                self.closed_at_ns, self.why = at_ns, clean_line(why)
            case ev.ConductorStarted():
                return self._conducted(event)
            case ev.StopAsked():
                self.stop_asked = True
                return tuple(self.attempts)
            case ev.PauseAsked():
                self.paused = True
            case ev.PauseLifted():
                self.paused = False
            case ev.Noticed(text, level):
                self.notice = Notice(clean_line(text), level, at_ns)
            case _:
                pass
        return ()

    def _conducted(self, event: ev.ConductorStarted) -> Iterable[str]:
        self.conductor = event
        if self.closed_at_ns is None:
            return ()
        # As in the journal's tables: a conductor on a closed run opens it again, and old wishes are settled.
        self.closed_at_ns, self.why, self.stop_asked, self.paused = None, EMPTY, False, False
        return tuple(self.attempts)

    def link(self, event: ev.LinkChanged, at_ns: int) -> Iterable[str]:
        """Fold the state of a host's connection in; the attempts it concerns."""
        before = self.links.get(event.host)
        since_ns = before.since_ns if before is not None and before.state == event.state else at_ns
        self.links[event.host] = LinkState(event.host, event.state, clean_line(event.detail), since_ns)
        return tuple(item.name for item in self.attempts.values() if event.host in item.hosts)

    def plan(self, attempt: AttemptFold) -> Iterable[str]:
        """Take up a planned attempt; it and the earlier try of the same cell that it supersedes."""
        planned = attempt.planned
        key = (planned.matrix, planned.cell_id, planned.repeat, planned.wish)
        earlier = self.latest_try.get(key)
        self.attempts[attempt.name] = self.latest_try[key] = attempt
        if earlier is None or earlier.planned.attempt_try >= planned.attempt_try:
            return (attempt.name,)
        earlier.superseded = True
        return (attempt.name, earlier.name)

    def attempt_view(self, attempt: AttemptFold) -> AttemptView:
        """The attempt's view, drawn again only after a change."""
        if attempt.view is None:
            simulated = self.opened is not None and self.opened.simulated
            attempt.view = draw(attempt, simulated=simulated, stopping=self.stop_asked, links=self.links)
        return attempt.view

    def view(self) -> RunView:
        """The run as it stands."""
        opened = self.opened
        return RunView(
            run=self.name,
            label=clean_line(opened.label) if opened else EMPTY,
            simulated=opened is not None and opened.simulated,
            matrices=opened.matrices if opened else (),
            hosts=opened.hosts if opened else (),
            operator=clean_line(opened.operator) if opened else EMPTY,
            attempts=opened.attempts if opened else len(self.attempts),
            opened_at_ns=self.opened_at_ns,
            closed_at_ns=self.closed_at_ns,
            why=self.why,
            conductor_pid=self.conductor.pid if self.conductor else None,
            conductor_machine=clean_line(self.conductor.machine) if self.conductor else EMPTY,
            stop_asked=self.stop_asked,
            paused=self.paused,
            counts=count(self.attempt_view(attempt) for attempt in self.attempts.values()),
            links=tuple(link for _, link in sorted(self.links.items())),
            notice=self.notice,
            seq=self.seq,
        )


class Board:
    """Everything a front shows of the runs it was told of. Not for use from several threads at once."""

    def __init__(self, points: int = 600) -> None:
        """`points` bounds the plotted history of each attempt."""
        self._points = points
        self._runs: dict[str, _RunFold] = {}
        self._attempts: dict[str, AttemptFold] = {}

    def apply(self, envelopes: Iterable[ev.Envelope]) -> frozenset[str]:
        """Fold the events in; returns the attempts whose view changed. Events heard before change nothing."""
        changed: set[str] = set()
        for envelope in envelopes:
            if envelope.run is None:
                continue
            run = self._runs.get(envelope.run)
            if run is None:
                run = self._runs[envelope.run] = _RunFold(envelope.run)
            if envelope.seq is not None:
                if envelope.seq <= run.seq:
                    continue
                run.seq = envelope.seq
            for name in self._one(run, envelope):
                self._attempts[name].view = None
                changed.add(name)
        return frozenset(changed)

    def forget(self, run: str) -> None:
        """Let go of a run and its attempts; events of it that come later begin it anew."""
        known = self._runs.pop(run, None)
        if known is not None:
            for attempt in known.attempts:
                del self._attempts[attempt]

    def runs(self) -> Sequence[RunView]:
        """All runs, in the order they were first heard of."""
        return [run.view() for run in self._runs.values()]

    def run(self, run: str) -> RunView | None:
        """One run."""
        known = self._runs.get(run)
        return known.view() if known else None

    def attempts(self, run: str) -> Sequence[AttemptView]:
        """Attempts of a run by position, then in the order they were planned."""
        known = self._runs.get(run)
        if known is None:
            return ()
        return [known.attempt_view(item) for item in sorted(known.attempts.values(), key=lambda i: i.planned.position)]

    def attempt(self, attempt: str) -> AttemptView | None:
        """One attempt."""
        known = self._attempts.get(attempt)
        return self._runs[known.run].attempt_view(known) if known else None

    def points(self, attempt: str) -> Sequence[RatePoint]:
        """Live figures of an attempt over its whole time, at most as many as the board was made with."""
        known = self._attempts.get(attempt)
        return known.rates.points() if known else ()

    def eta_s(self, run: str, now_ns: int) -> float | None:
        """Seconds until the run is through; None while unknown."""
        return run_eta_s(self.attempts(run), now_ns)

    def _one(self, run: _RunFold, envelope: ev.Envelope) -> Iterable[str]:
        event, name = envelope.event, envelope.attempt
        if isinstance(event, ev.LinkChanged):
            return run.link(event, envelope.at_ns)  # a host's connection concerns every attempt there
        if name is None:
            return run.apply(event, envelope.at_ns)
        if isinstance(event, ev.AttemptPlanned) and name not in self._attempts:
            self._attempts[name] = AttemptFold(run.name, name, event, envelope.at_ns, self._points)
            return run.plan(self._attempts[name])
        attempt = run.attempts.get(name)
        return (name,) if attempt is not None and attempt.apply(event, envelope.at_ns) else ()
