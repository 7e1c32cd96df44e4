"""What the Live screen does to runs and attempts, and to a replay: every wish is asked about first, then journaled."""

from typing import Any

from textual.widgets import Input

from console.desk.board import AttemptView
from console.tui.dialogs import Choose, Confirm
from console.tui.link import Answer, Core
from console.tui.marks import Span
from console.tui.screens.base import ConsoleScreen
from console.tui.screens.live import rows as live_rows
from console.tui.screens.live.pane import LivePane
from console.tui.words import size

_STEERING = ("stop", "stop_run", "retry")
_REPLAYING = ("speed", "seek")
_OF_LOG = ("search", "next", "follow", "wrap", "stamps", "copy", "part")


class LiveActs(ConsoleScreen):
    """Actions of the Live screen. The screen itself says which pane and which attempt they are meant for."""

    def pane(self) -> LivePane:
        """The pane that keys are meant for."""
        raise NotImplementedError

    @property
    def panes(self) -> list[LivePane]:
        """All of them, shown or not."""
        raise NotImplementedError

    def target(self) -> AttemptView | None:
        """The attempt that keys are meant for."""
        raise NotImplementedError

    @property
    def replay(self) -> Any:
        """The controls of the replay, or None."""
        return getattr(self.link, "replay", None)

    def replay_note(self) -> Span:
        """Nothing, unless a replay stands still."""
        if self.replay is not None and self.replay.paused:
            return "the replay is paused", "warn"
        return "", ""

    def check_action(self, action: str, parameters: tuple[object, ...]) -> bool | None:
        """Only what can be done with the attempt and the log that keys are meant for."""
        if action in _REPLAYING:
            return self.replay is not None
        if action == "pause" and self.replay is not None:
            return True
        if action in (*_STEERING, "pause"):
            return not self.world.read_only and self._can_steer(action)
        if not self.is_mounted:
            return super().check_action(action, parameters)
        if action in _OF_LOG:
            pane = self.pane()
            return pane.display and pane.attempt is not None and (action != "part" or len(pane.parts) > 1)
        if action in ("tick", "results", "host", "zoom"):
            return self.target() is not None
        if action in ("metric", "lately", "shows"):
            return self.pane().display
        return super().check_action(action, parameters)

    def _can_steer(self, action: str) -> bool:
        view = self.target() if self.is_mounted else None
        if view is None:
            return False
        run = self.world.board.run(view.run)
        going = run is not None and run.closed_at_ns is None
        if action == "stop":
            return view.outcome is None and not view.stop_asked
        if action == "retry":
            return view.outcome is not None and not view.superseded
        return going and run is not None and not run.stop_asked

    # -- the log

    def action_search(self) -> None:
        """Type what to look for."""
        pane = self.pane()
        box = pane.query_one(Input)
        box.display = True
        box.value = pane.logs.reading.pattern.pattern if pane.logs.reading.pattern is not None else ""
        self.set_focus(box)  # at once: the next key may be here already

    def on_input_submitted(self, event: Input.Submitted) -> None:
        """Look for it; a wrong expression stays to be put right."""
        pane = event.input.query_ancestor(LivePane)
        problem = pane.logs.reading.search(event.value)
        if problem is not None:
            self.app.say(problem, error=True)
            return
        event.input.display = False
        pane.logs.repaint()
        self.set_focus(pane.logs)

    def action_next(self, by: int) -> None:
        """Down to the next match, or up."""
        self.pane().logs.reading.search_next(backwards=by < 0)

    def action_follow(self) -> None:
        """The end as it grows, or here."""
        self.pane().logs.toggle_follow()

    def action_wrap(self) -> None:
        """In every pane."""
        wrapped = not self.pane().logs.wrapped
        for pane in self.panes:
            pane.logs.set_wrap(wrapped)

    def action_stamps(self) -> None:
        """In every pane."""
        stamps = not self.pane().logs.stamps
        for pane in self.panes:
            pane.logs.set_stamps(stamps)

    def action_copy(self) -> None:
        """The selection, else what is seen."""
        selected = self.get_selected_text()
        text = selected or self.pane().logs.visible_text
        mark = "simulated\n" if self.world.simulated and not selected else ""
        self.app.copy(mark + text + "\n", "the selection" if selected else "the lines on the screen")

    # -- runs and attempts

    def action_stop(self) -> None:
        """End the attempt; its figures so far are not kept as a result."""
        view = self.target()
        if view is None:
            return
        run, attempt, name = view.run, view.attempt, view.name

        async def stop_attempt(core: Core) -> Any:
            from console.desk import steering

            return await steering.stop_attempt(core.settings, run, attempt)

        def told(answer: Answer) -> None:
            if answer.error is not None:
                self.app.say(answer.error, error=True)
            elif not answer.value.done:
                self.app.say(f"{name} had ended already")
            elif not answer.value.conducted:
                self.app.say(f"{name} is to stop, but nobody conducts its run: 6, then resume it")
            else:
                self.app.say(f"{name} is being stopped: its container ends, what it said is collected")

        def answered(yes: bool | None) -> None:
            if yes:
                self.link.ask(stop_attempt, told)

        where = live_rows.hosts_of(view)
        detail = f"It runs on {where}. Its containers end, its logs are kept; the other attempts of the run go on."
        self.app.push_screen(Confirm(f"Stop {name}?", detail, yes="stop it"), answered)

    def action_stop_run(self) -> None:
        """End everything of the run."""
        view = self.target()
        run = self.world.board.run(view.run) if view else None
        if run is None:
            return
        name = run.run

        async def stop_run(core: Core) -> Any:
            from console.desk import steering

            return await steering.stop(core.settings, name)

        def answered(yes: bool | None) -> None:
            if yes:
                self.link.ask(stop_run, lambda answer: self._said(answer, f"{name} is being stopped"))

        counts = run.counts
        detail = f"{counts.active} at work are ended and collected, {counts.waiting} planned are not run."
        self.app.push_screen(Confirm(f"Stop the whole run {name} {run.label}?", detail, yes="stop the run"), answered)

    def action_retry(self) -> None:
        """Plan the cell once more."""
        view = self.target()
        if view is None:
            return
        run, attempt, name = view.run, view.attempt, view.name

        async def retry_attempt(core: Core) -> Any:
            from console.desk import steering

            return await steering.retry(core.settings, run, [attempt])

        self.link.ask(retry_attempt, lambda answer: self._said(answer, f"{name} is tried once more"))

    def action_pause(self) -> None:
        """Of a replay: stand still, or go on. Of a run: start nothing new, or go on."""
        if self.replay is not None:
            self.replay.toggle()
            self.redraw()
            return
        view = self.target()
        run = self.world.board.run(view.run) if view else None
        if run is None:
            return
        name, paused = run.run, run.paused

        async def pause_run(core: Core) -> Any:
            from console.desk import steering

            return await (steering.unpause if paused else steering.pause)(core.settings, name)

        done = f"{name} goes on" if paused else f"{name} starts nothing new until p is pressed again"
        self.link.ask(pause_run, lambda answer: self._said(answer, done))

    def _said(self, answer: Answer, done: str) -> None:
        self.app.say(answer.error or done, error=answer.error is not None)

    # -- a replay

    def action_speed(self, by: int) -> None:
        """Twice as fast, or half."""
        if self.replay is not None:
            self.replay.faster() if by > 0 else self.replay.slower()
            self.redraw()

    def action_seek(self, by: int) -> None:
        """Back, forth, or (0) to the end."""
        if self.replay is not None:
            self.replay.step(by)
            self.redraw()

    # -- ways

    def bring(self, attempt: str) -> None:
        """Have an attempt on the board, though its run ended long ago."""
        if self.world.board.attempt(attempt) is not None:
            return
        settings = self.link.settings

        def find_run_of() -> str | None:
            from console.desk import desk

            with desk.tail(settings) as tail:
                row = tail.attempt(attempt)
            return row.run if row is not None else None

        def told(answer: Answer) -> None:
            if answer.value is None:
                self.app.say(answer.error or f"there is no attempt {attempt} in this store", error=True)
            else:
                self.link.load(answer.value)

        self.link.work(find_run_of, told)

    def action_results(self) -> None:
        """What came of its run."""
        view = self.target()
        if view is not None:
            self.app.open_run(view.run)

    def action_host(self) -> None:
        """Where it runs; which of them, when there are several."""
        view = self.target()
        if view is None or not view.hosts:
            return
        if len(view.hosts) == 1:
            self.app.open_host(view.hosts[0])
            return
        options = [(host, host) for host in view.hosts]
        self.app.push_screen(
            Choose("Which host?", options), lambda host: self.app.open_host(host) if host is not None else None
        )

    def action_part(self) -> None:
        """Another log of the attempt."""
        pane = self.pane()
        options = [(item.part, f"{item.part:<12} {size(item.size):>10}  {item.host}".rstrip()) for item in pane.parts]

        def chosen(part: str | None) -> None:
            if part is not None:
                pane.choose_part(part)

        self.app.push_screen(Choose("Which log?", options, pane.part), chosen)
