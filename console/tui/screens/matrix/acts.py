"""What the Matrix screen does: plan, start, pause, stop, try again. Requests go to the desk; nothing waits for them."""

from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING

import msgspec

from console.desk.views import AttemptView, RunView
from console.model.units import duration
from console.tui.dialogs import Confirm
from console.tui.screens.matrix import work as matrix_work
from console.tui.screens.matrix.choice import command, request
from console.tui.screens.matrix.choosing import MatrixChoosing
from console.tui.screens.matrix.plan import sentence
from console.tui.screens.matrix.planning import Planning
from console.tui.words import size

if TYPE_CHECKING:
    from console.desk.steering import Asked
    from console.tui.link import Answer, Core

_NAMED = 6
"""Most attempts named in a question."""
_STARTS = ("plan", "start")
_STEERS = ("pause", "stop", "stop_run", "retry", "retry_run")


class MatrixActs(MatrixChoosing):
    """The acting part of the Matrix screen, on what was chosen."""

    def __init__(self) -> None:
        super().__init__()
        self.planning = Planning()
        self._starting = False

    def show_plan(self, *, on: bool = True) -> None:
        """Bring the plan into sight, or the row again."""
        raise NotImplementedError

    def run_here(self) -> RunView | None:
        """The run that pause and stop are about."""
        return matrix_work.run_of(self.world.board, self.entry.matrix.name) if self.entry is not None else None

    def work_here(self) -> Mapping[str, Sequence[AttemptView]]:
        """Attempts of the matrix by cell."""
        return matrix_work.work(self.world.board, self.entry.matrix.name) if self.entry is not None else {}

    def of_cell(self) -> Sequence[AttemptView]:
        """Attempts of the row under the cursor."""
        return self.work_here().get(self.current_cell() or "", ())

    def _again(self, cells: Sequence[str]) -> list[matrix_work.Again]:
        work, board = self.work_here(), self.world.board
        return [
            item for cell in cells for item in matrix_work.again(board, work.get(cell, ()), self.past.get(cell, ()))
        ]

    def _again_in_run(self) -> list[matrix_work.Again]:
        found = self._again([cell.id for cell in self.entry.matrix.cells] if self.entry is not None else [])
        run = self.run_here()
        newest = run.run if run is not None else found[0].run if found else ""
        return [item for item in found if item.run == newest]

    # -- what can be done now

    def check_action(self, action: str, parameters: tuple[object, ...]) -> bool | None:
        """Only what would do something; read-only starts and stops nothing."""
        if action in (*_STARTS, *_STEERS):
            return self.entry is not None and not self.world.replaying and self._possible(action)
        return super().check_action(action, parameters)

    def _possible(self, action: str) -> bool:
        changes_runs = action == "start" or action in _STEERS
        if self.world.read_only and changes_runs:
            return False
        if action in _STARTS:
            return self.world.fleet_file is not None and self.choice is not None and bool(self.choice.ticked)
        run = self.run_here()
        is_open = run is not None and run.closed_at_ns is None
        if action in ("pause", "stop_run"):
            return is_open and run is not None and not run.stop_asked
        if action == "stop":
            return bool(matrix_work.stoppable(self.of_cell()))
        if action == "retry":
            return bool(self._again([self.current_cell() or ""]))
        return bool(self._again_in_run())

    # -- plan and start

    def action_plan(self) -> None:
        """Ask the hosts what would run and what stands in the way."""
        self._plan(self.redraw)
        self.show_plan()
        self.redraw()

    def _plan(self, then: Callable[[], None]) -> None:
        entry, choice = self.entry, self.choice
        if entry is not None and choice is not None:
            self.planning.ask(self.link, choice, request(choice, entry), self.world.clock, then)

    def action_start(self) -> None:
        """Start what is ticked, after a plan of just that and a question."""
        choice = self.choice
        if choice is None or self._starting:
            return
        if self.planning.about(choice):
            self._ask_to_start()
            return

        def planned() -> None:
            self.redraw()
            if self.planning.about(choice) and self.choice is not None and self.choice.plans_alike(choice):
                self._ask_to_start()

        self._plan(planned)
        self.show_plan()
        self.redraw()

    def _ask_to_start(self) -> None:
        planned, plan, choice = self.planning.planned, self.planning.digest, self.choice
        if planned is None or plan is None or choice is None or self.app.console_screen() is not self:
            return
        found = plan.totals
        what = sentence(found, planned.speed)
        lines = []
        if planned.speed != 1.0:
            lines.append(
                f"Simulated hosts, {planned.speed:g} times as fast; on real ones about {duration(found.wall_s)}."
            )
        if found.fetch_bytes:
            lines.append(f"{size(found.fetch_bytes)} are fetched first.")
        if found.blocked or found.spoiled:
            lines.append(f"{found.blocked + found.spoiled} cannot start as things are; they become rows `not run`.")
        if found.held:
            then = (
                "they wait for their turn"
                if choice.if_busy != "skip"
                else "who still holds it then leaves them `not run`"
            )
            lines.append(f"For {found.held} somebody holds the host now; {then}.")
        lines.append("It goes on without the console.")

        def answered(yes: bool | None) -> None:
            if yes:
                self._start()

        title = "Start" if found.ready else "Nothing can start as things are. Start all the same"
        self.app.push_screen(Confirm(f"{title}? {what}", "\n".join(lines), yes="start"), answered)

    def _start(self) -> None:
        planned, choice = self.planning.planned, self.choice
        if planned is None or choice is None:
            return
        named = msgspec.structs.replace(planned.plan.request, label=choice.label)
        labelled = msgspec.structs.replace(planned, plan=msgspec.structs.replace(planned.plan, request=named))
        self._starting = True

        async def launch(core: "Core") -> str:
            from console.desk import steering

            return await steering.launch(core.settings, labelled)

        def started(answer: "Answer") -> None:
            self._starting = False
            if answer.error is not None:
                self.app.say(answer.error, error=True)
                return
            self.app.say(f"{answer.value} is started; it goes on without the console")
            self.planning.drop()
            self.show_plan(on=False)
            if self.app.console_screen() is self:
                self.app.chosen_run, self.app.chosen_attempt = answer.value, None
                self.app.action_go("live")

        self.link.ask(launch, started)
        self.app.say("starting …")

    def action_copy_run(self) -> None:
        """The command that does the same from a shell."""
        entry, choice = self.entry, self.choice
        if entry is not None and choice is not None:
            self.app.copy(command(request(choice, entry), self.link.settings) + "\n", "the command of this run")

    # -- steer

    def action_pause(self) -> None:
        """Start nothing new of the run, or go on with it."""
        run = self.run_here()
        if run is None:
            return
        name, paused = run.run, run.paused

        async def pause(core: "Core") -> "Asked":
            from console.desk import steering

            return await (steering.unpause if paused else steering.pause)(core.settings, name)

        word = "goes on" if paused else "is paused: nothing new starts, what has begun goes on"
        self.link.ask(pause, lambda answer: self._told(answer, f"{name} {word}"))

    def action_stop(self) -> None:
        """Stop the attempts of the row under the cursor, after a question."""
        views = matrix_work.stoppable(self.of_cell())
        if not views:
            return
        named = [f"{view.cell_id} on {', '.join(view.hosts)}" for view in views[:_NAMED]]
        named += [f"and {len(views) - _NAMED} more"] if len(views) > _NAMED else []
        text = "\n".join([*named, "", "What runs is ended and collected; other rows go on."])

        async def stop_attempts(core: "Core") -> "Asked":
            from console.desk import steering

            return [await steering.stop_attempt(core.settings, view.run, view.attempt) for view in views][-1]

        def answered(yes: bool | None) -> None:
            if yes:
                self.link.ask(stop_attempts, lambda answer: self._told(answer, f"{_many(views)} asked to stop"))

        self.app.push_screen(Confirm(f"Stop {_many(views)}?", text, yes="stop"), answered)

    def action_stop_run(self) -> None:
        """Stop the whole run, after a question."""
        run = self.run_here()
        if run is None:
            return
        counts, name = run.counts, run.run
        text = f"{counts.active} running are ended and collected, {counts.waiting} waiting are not started any more."

        async def stop(core: "Core") -> "Asked":
            from console.desk import steering

            return await steering.stop(core.settings, name)

        def answered(yes: bool | None) -> None:
            if yes:
                self.link.ask(stop, lambda answer: self._told(answer, f"{name} is asked to stop"))

        self.app.push_screen(Confirm(f"Stop run {name}?", text, yes="stop the run"), answered)

    def action_retry(self) -> None:
        """Try the row under the cursor again."""
        self._ask_to_retry(self._again([self.current_cell() or ""]))

    def action_retry_run(self) -> None:
        """Try everything of the run again that came to no figure that counts."""
        self._ask_to_retry(self._again_in_run())

    def _ask_to_retry(self, items: Sequence[matrix_work.Again]) -> None:
        if not items:
            return
        named = [f"{item.cell} on {item.where}: {item.ended}" for item in items[:_NAMED]]
        named += [f"and {len(items) - _NAMED} more"] if len(items) > _NAMED else []
        by_run = matrix_work.by_run(items)

        async def retry(core: "Core") -> int:
            from console.desk import steering

            return sum([len(await steering.retry(core.settings, run, names)) for run, names in by_run.items()])

        def answered(yes: bool | None) -> None:
            if yes:
                word = "attempt" if len(items) == 1 else "attempts"
                self.link.ask(retry, lambda answer: self._told(answer, f"{len(items)} {word} will be tried again"))

        question = f"Try {len(items)} attempt{'s' if len(items) > 1 else ''} again, in {', '.join(by_run)}?"
        self.app.push_screen(Confirm(question, "\n".join(named), yes="try again"), answered)

    def _told(self, answer: "Answer", text: str) -> None:
        if answer.error is not None:
            self.app.say(answer.error, error=True)
            return
        asked = answer.value
        if not getattr(asked, "done", True):
            text = "too late: it has ended already"
        elif not getattr(asked, "conducted", True):
            text += "; nobody conducts the run: resume it and it is acted on"
        self.app.say(text)


def _many(views: Sequence[AttemptView]) -> str:
    return "1 attempt" if len(views) == 1 else f"{len(views)} attempts"
