"""The plan of the Matrix screen: asked for, there, out of date, or why there is none."""

from collections.abc import Callable
from typing import TYPE_CHECKING, Literal

from console.tui.screens.matrix.choice import Choice
from console.tui.screens.matrix.plan import Digest, digest

if TYPE_CHECKING:
    from console.desk.launching import Planned
    from console.runs.request import Request
    from console.tui.link import Answer, Core, Link

State = Literal["none", "asking", "there", "failed"]


class Planning:
    """One plan at a time; a newer question drops the older one."""

    def __init__(self) -> None:
        self.state: State = "none"
        self.planned: Planned | None = None
        self.digest: Digest | None = None
        self.choice: Choice | None = None
        self.problem = ""
        self.at_ns = 0
        self._drop: Callable[[], None] = lambda: None

    def about(self, choice: Choice) -> bool:
        """True when there is a plan of this very choice."""
        return self.state == "there" and self.choice is not None and self.choice.plans_alike(choice)

    def stale(self, choice: Choice) -> bool:
        """True when there is a plan of the matrix, but something else was chosen since."""
        return self.of(choice.matrix) is not None and not self.about(choice)

    def of(self, matrix: str) -> "Planned | None":
        """The plan of a matrix, old or new."""
        return self.planned if self.choice is not None and self.choice.matrix == matrix else None

    def ask(
        self, link: "Link", choice: Choice, asked: "Request", clock: Callable[[], int], then: Callable[[], None]
    ) -> None:
        """Ask the hosts; `then` when there is an answer. Nothing waits."""
        self._drop()
        self.state, self.choice, self.planned, self.problem = "asking", choice, None, ""

        async def make_plan(core: "Core") -> "Planned":
            from console.desk import launching

            return await launching.make_plan(core.settings, asked, site=core.site)

        def answered(answer: "Answer") -> None:
            self.at_ns = clock()
            if answer.error is not None:
                self.state, self.problem = "failed", answer.error
            else:
                self.take(answer.value)
            then()

        self._drop = link.ask(make_plan, answered)

    def take(self, planned: "Planned") -> None:
        """Here it is."""
        self.state, self.planned, self.digest = "there", planned, digest(planned)

    def drop(self) -> None:
        """Forget it."""
        self._drop()
        self.state, self.choice, self.planned, self.problem = "none", None, None, ""
