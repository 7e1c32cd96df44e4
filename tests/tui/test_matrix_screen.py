"""The Matrix screen by its keys: choose, plan, start, stop one, try again; what it says when something is missing."""

import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import msgspec
import pytest
from textual.pilot import Pilot
from textual.widgets import Input

from console.desk import desk, history, steering
from console.desk.launching import Planned
from console.desk.settings import Settings
from console.model.attempt import Outcome, Stage
from console.model.events import AttemptEnded, Envelope, Event, PauseAsked, StageEntered, StopAsked
from console.model.facts import HostFacts
from console.runs.conductor import open_run
from console.runs.site import SiteError
from console.store.journal import Journal
from console.store.paths import StateFolder
from console.tui.app import Console
from console.tui.dialogs import Confirm
from console.tui.screens.matrix.dialogs import ChooseHosts, ChooseHow
from console.tui.screens.matrix.screen import MatrixScreen
from console.tui.widgets.grid import Grid, text_of
from console.tui.widgets.lines import Lines
from tests.tui.conftest import AWAY, events_of, facts_in
from tests.tui.pilots import until
from tests.tui.test_app import shown

MakeScene = Callable[..., Any]
NAME = "vllm-0.8.5-throughput"
ROWS = ("llama-3.1-70b-in128-out2048-n3200", "llama-3.1-70b-in128-out4096-n1500")


class Hosts:
    """Answers a look at the recorded hosts; whoever is not recorded does not answer."""

    def __init__(self, facts: dict[str, HostFacts]) -> None:
        self.facts = facts
        self.asked: list[str] = []

    async def survey(self, host: str, models: Sequence[str]) -> HostFacts:
        self.asked.append(host)
        if host not in self.facts:
            raise SiteError(host, "nothing listens there", remedy="start it")
        return self.facts[host]


class Play:
    """The screen in a test, with the keys to get there."""

    def __init__(self, pilot: Pilot[None], made: Any) -> None:
        self.pilot = pilot
        self.app: Console = made.app
        self.link = made.link

    @property
    def screen(self) -> MatrixScreen:
        screen = self.app.console_screen()
        assert isinstance(screen, MatrixScreen)
        return screen

    async def press(self, *keys: str) -> None:
        await self.pilot.press(*keys)
        await self.turn()

    async def turn(self) -> None:
        """What arrived is drawn."""
        await self.pilot.pause()
        self.app.draw_news()
        await self.pilot.pause()

    async def until(self, holds: Callable[[], bool]) -> None:
        await until(self.pilot, holds)

    def row(self, cell: str) -> str:
        return next("  ".join(map(text_of, row.cells)) for row in self.screen.table.rows if row.key == cell)

    def pane(self, name: str) -> str:
        return self.screen.query_one(f"#{name}", Lines).text

    def can(self, action: str) -> bool:
        return self.screen.check_action(action, ()) is True


@pytest.fixture
def play(scene: MakeScene, own_settings: Settings, own_store: Path) -> Callable[..., Any]:
    """Opens the screen on the throughput table, over a store of its own and hosts that answer from the record."""

    def make(events: Sequence[Envelope] = (), *, given: Settings | None = None, **more: Any) -> Any:
        made = scene(events, start="matrix", given=given or own_settings, **more)
        made.app.chosen_matrix = NAME
        made.link.core.site = Hosts(facts_in(own_store))
        return made

    return make


async def opened(pilot: Pilot[None], made: Any) -> Play:
    playing = Play(pilot, made)
    await playing.turn()
    await playing.until(lambda: bool(playing.screen.table.rows) and bool(playing.screen.past))
    return playing


@pytest.fixture
def launched(monkeypatch: pytest.MonkeyPatch, own_settings: Settings) -> list[Planned]:
    """Plans that were started; their runs are journaled, and nobody conducts them."""
    plans: list[Planned] = []

    async def launch(settings: Settings, planned: Planned, **_: Any) -> str:
        plans.append(planned)
        with Journal(StateFolder.open(settings.store.value)) as journal:
            return await open_run(planned.plan, journal, operator="ann@desk", version="0", simulated=True, speed=60.0)

    monkeypatch.setattr(steering, "launch", launch)
    return plans


def tell(settings: Settings, run: str, *events: tuple[Event, str | None]) -> None:
    with Journal(StateFolder.open(settings.store.value)) as journal:
        journal.append_now(
            [Envelope(at_ns=time.time_ns(), run=run, event=event, attempt=name) for event, name in events]
        )


async def test_start_two_rows_on_two_hosts_stop_one_and_try_it_again(
    play: Callable[..., Any], own_settings: Settings, launched: list[Planned], monkeypatch: pytest.MonkeyPatch
) -> None:
    made = play()
    monkeypatch.setattr(history, "is_conducted", lambda *_: True)
    monkeypatch.setattr(steering, "PICKED_UP_S", 0.0)
    async with made.app.run_test(size=(140, 44)) as pilot:
        it = await opened(pilot, made)
        await it.press("space", "down", "space", "h")
        assert isinstance(it.app.screen, ChooseHosts)
        box = it.app.screen.query_one(Input)
        box.focus()
        box.value = "lab-mi300x-0[1-2]"
        await it.turn()
        await it.press("enter", "x")
        await it.until(lambda: isinstance(it.app.screen, Confirm))
        assert sorted(it.link.core.site.asked) == ["lab-mi300x-01", "lab-mi300x-02"]
        assert "4 attempts: 2 cells on 2 hosts" in shown(it.app)

        await it.press("y")
        await it.until(lambda: it.app.current_mode == "live")
        (planned,) = launched
        assert [(item.cell.id, item.hosts) for item in planned.plan.attempts] == [
            (cell, (host,)) for cell in ROWS for host in ("lab-mi300x-01", "lab-mi300x-02")
        ]
        run = it.app.chosen_run
        assert run is not None

        with desk.tail(own_settings) as tail:
            attempts = tail.attempts(run)
        first = attempts[0].attempt
        tell(own_settings, run, (StageEntered(Stage.RUNNING), first))
        it.link.feed(events_of(own_settings, run))
        await it.press("3")
        await it.press("home")
        assert "▶ running +1" in it.row(ROWS[0])
        assert "· planned x2" in it.row(ROWS[1])
        assert it.can("pause")

        await it.press("s")
        assert isinstance(it.app.screen, Confirm)
        assert "Stop 2 attempts?" in shown(it.app)
        await it.press("n", "s", "y")
        await it.until(lambda: "stop_attempts" in it.link.asked)
        await it.turn()
        with desk.tail(own_settings) as tail:
            asked = tail.unfinished(run)
        assert [asked[item.attempt] for item in attempts] == [True, True, False, False]

        for item in attempts[:2]:
            ended = AttemptEnded(outcome=Outcome.STOPPED)
            tell(own_settings, run, (ended, item.attempt), (StageEntered(Stage.DONE), item.attempt))
        it.link.feed(events_of(own_settings, run))
        await it.until(lambda: "■ stopped x2" in it.row(ROWS[0]) or "not run" in it.row(ROWS[0]))
        await it.press("r")
        assert "Try 2 attempts again" in shown(it.app)
        await it.press("y")
        await it.until(lambda: "retry" in it.link.asked)
        await it.turn()
        with desk.tail(own_settings) as tail:
            tries = [item.attempt_try for item in tail.attempts(run)]
        assert sorted(tries) == [1, 1, 1, 1, 2, 2]


async def test_a_plan_says_what_stands_in_the_way_and_when_it_is_out_of_date(play: Callable[..., Any]) -> None:
    made = play()
    async with made.app.run_test(size=(140, 44)) as pilot:
        it = await opened(pilot, made)
        assert it.screen.choice is not None
        it.screen.choose(msgspec.structs.replace(it.screen.choice, hosts=f"lab-mi300x-01,{AWAY}"))
        await it.press("space", "p")
        await it.until(lambda: it.screen.planning.state == "there")
        await it.turn()
        assert f"{AWAY}: nothing listens there; start it" in it.pane("plan")
        assert "typed     instinct run vllm-0.8.5-throughput --hosts lab-mi300x-01,lab-mi300x-05" in it.pane("plan")
        assert "✗ block" in it.row(ROWS[0])

        await it.press("down", "space")
        assert "plan out of date" in shown(it.app)
        assert "of another choice than what is ticked now" in it.pane("plan")
        assert "✗ block" not in it.row(ROWS[0])


async def test_the_row_shows_its_command_on_paper_and_copies_it(play: Callable[..., Any], own_store: Path) -> None:
    made = play()
    async with made.app.run_test(size=(140, 44)) as pilot:
        it = await opened(pilot, made)
        await it.until(lambda: "docker run --rm" in it.pane("row"))
        assert "differs   published --enable-chunked-prefill False, running" in it.pane("row")
        await it.press("y")
        await it.turn()
        assert "docker run --rm --name instinct-claim" in it.app.clipboard
        assert "--num-prompts 3200" in it.app.clipboard
        await it.press("a", "Y")
        assert it.app.clipboard.startswith("instinct run vllm-0.8.5-throughput --fleet ")


async def test_a_typo_is_said_where_it_was_typed_and_escape_shows_every_row(play: Callable[..., Any]) -> None:
    made = play()
    async with made.app.run_test(size=(120, 40)) as pilot:
        it = await opened(pilot, made)
        await it.press("slash", *"modl~70B")
        assert "no cell has a value called 'modl'; did you mean model?" in shown(it.app)
        await it.press("enter")
        assert isinstance(it.app.focused, Input)
        it.app.focused.value = "model~70B and output_len==2048"
        await it.press("enter")
        assert [row.key for row in it.screen.table.rows] == [ROWS[0], "llama-3.1-70b-in2048-out2048-n1500"]
        await it.press("a")
        assert it.screen.choice is not None
        assert len(it.screen.choice.ticked) == 2
        assert "'model~70B and output_len==2048'" in it.pane("plan")
        await it.press("escape")
        assert len(it.screen.table.rows) == 8


async def test_hosts_are_ticked_or_typed_and_each_follows_the_other(play: Callable[..., Any]) -> None:
    made = play()
    async with made.app.run_test(size=(120, 40)) as pilot:
        it = await opened(pilot, made)
        await it.press("h", "n")
        assert "tick at least one host" in shown(it.app)
        await it.press("enter")
        dialog = it.app.screen
        assert isinstance(dialog, ChooseHosts)
        await it.press("space", "down", "space")
        assert dialog.query_one(Input).value == "lab-mi300x-01,lab-mi300x-02"
        box = dialog.query_one(Input)
        box.focus()
        await it.turn()
        box.value = "@rack3"
        await it.turn()
        assert "no group 'rack3'" in shown(it.app)
        box.value = "@rack1"
        await it.turn()
        ticked = [row.key for row in dialog.query_one(Grid).rows if text_of(row.cells[0]) == "[x]"]
        assert ticked == ["lab-mi300x-01", "lab-mi300x-02", "lab-mi300x-03"]
        await it.press("enter")
        assert it.screen.choice is not None
        assert it.screen.choice.hosts == "@rack1"


async def test_options_are_changed_in_place(play: Callable[..., Any]) -> None:
    made = play()
    async with made.app.run_test(size=(120, 40)) as pilot:
        it = await opened(pilot, made)
        await it.press("o")
        assert isinstance(it.app.screen, ChooseHow)
        await it.press("enter", "down", "enter", "ctrl+u", *"0", "enter")
        assert "is not a number from 1 to 1000" in shown(it.app)
        await it.press("enter", "backspace", "3", "enter", "escape")
        assert it.screen.choice is not None
        assert (it.screen.choice.place, it.screen.choice.repeat) == ("spread", 3)


async def test_an_image_is_chosen_and_the_row_says_what_differs(play: Callable[..., Any]) -> None:
    made = play()
    async with made.app.run_test(size=(140, 44)) as pilot:
        it = await opened(pilot, made)
        await it.press("i", "down", "enter")
        assert it.screen.choice is not None
        assert it.screen.choice.image is not None
        await it.until(lambda: "because it was chosen for this run" in it.pane("row"))


async def test_a_running_run_is_paused_and_stopped_from_here(
    play: Callable[..., Any], own_settings: Settings, halfway: Sequence[Envelope], runs: dict[str, str]
) -> None:
    made = play(halfway)
    made.link.answers["pause"] = steering.Asked(done=True, conducted=True)
    made.link.answers["stop"] = steering.Asked(done=True, conducted=False)
    async with made.app.run_test(size=(140, 44)) as pilot:
        it = await opened(pilot, made)
        run = runs["now"]
        await it.press("P")
        assert "pause" in it.link.asked
        it.link.feed([Envelope(at_ns=halfway[-1].at_ns, run=run, event=PauseAsked("ann"), seq=10**9)])
        await it.turn()
        assert "‖ paused" in shown(it.app)
        await it.press("S")
        assert f"Stop run {run}?" in shown(it.app)
        await it.press("y")
        assert "stop" in it.link.asked
        assert "resume it" in [*it.app._notifications][-1].message
        it.link.feed([Envelope(at_ns=halfway[-1].at_ns, run=run, event=StopAsked("ann", "x"), seq=10**9 + 1)])
        await it.turn()
        assert not it.can("stop_run")
        assert not it.can("pause")


async def test_read_only_plans_and_starts_nothing(play: Callable[..., Any], halfway: Sequence[Envelope]) -> None:
    made = play(halfway, read_only=True)
    async with made.app.run_test(size=(120, 40)) as pilot:
        it = await opened(pilot, made)
        await it.press("space")
        assert it.can("plan")
        assert not any(it.can(action) for action in ("start", "pause", "stop", "stop_run", "retry", "retry_run"))
        await it.press("x", "S", "enter")
        assert not isinstance(it.app.screen, Confirm)


async def test_without_a_fleet_rows_stand_on_paper_and_it_is_said(
    play: Callable[..., Any], own_settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    made = play()
    made.app.world.fleet_file = None
    async with made.app.run_test(size=(120, 40)) as pilot:
        it = Play(pilot, made)
        await it.until(lambda: bool(it.screen.table.rows))
        await it.press("space")
        assert "no fleet file: on paper only" in shown(it.app)
        assert not it.can("plan")
        assert not it.can("hosts")
        await it.until(lambda: "docker run --rm" in it.pane("row"))


async def test_broken_profiles_are_told_in_place_of_the_table(play: Callable[..., Any]) -> None:
    made = play()
    made.link.answers["read_shelf"] = ValueError("mine.toml:3: unknown key `modle`")
    async with made.app.run_test(size=(120, 40)) as pilot:
        await Play(pilot, made).until(lambda: "unknown key" in shown(made.app))
        assert "unknown key `modle`" in shown(made.app)


async def test_a_failed_plan_and_a_failed_start_are_told(play: Callable[..., Any]) -> None:
    made = play()
    made.link.answers["make_plan"] = ValueError("the image is not known")
    async with made.app.run_test(size=(120, 40)) as pilot:
        it = await opened(pilot, made)
        await it.press("space", "x")
        await it.until(lambda: it.screen.planning.state == "failed")
        await it.turn()
        assert "the image is not known" in it.pane("plan")
        del it.link.answers["make_plan"]
        it.link.answers["launch"] = ValueError("the conductor ended at once")
        await it.press("x")
        await it.until(lambda: isinstance(it.app.screen, Confirm))
        await it.press("y")
        assert "the conductor ended at once" in [*it.app._notifications][-1].message
        assert it.app.current_mode == "matrix"


async def test_sent_here_with_a_host_it_is_chosen(play: Callable[..., Any]) -> None:
    made = play()
    made.app.wanted_host = "lab-mi300x-03"
    async with made.app.run_test(size=(120, 40)) as pilot:
        it = await opened(pilot, made)
        assert it.screen.choice is not None
        assert it.screen.choice.hosts == "lab-mi300x-03"
        assert it.app.wanted_host is None


@pytest.mark.parametrize("size", [(80, 24), (120, 40), (200, 60)])
async def test_list_table_and_panes_at_every_size(play: Callable[..., Any], size: tuple[int, int]) -> None:
    made = play()
    async with made.app.run_test(size=size) as pilot:
        it = await opened(pilot, made)
        assert it.screen.query_one("#list").region.width > 0 or size[0] < 100
        await it.press("m")
        assert isinstance(it.app.focused, Grid)
        assert it.app.focused.id == "list"
        assert "Megatron-LM 25.5, " in shown(it.app)
        await it.press("up", "enter")
        assert it.screen.entry is not None
        assert it.screen.entry.matrix.name == "vllm-0.8.5-latency"
        assert "Llama 3.1 70B" in shown(it.app)
        await it.press("v")
        assert "no plan yet" in shown(it.app)


def test_the_screen_brings_in_nothing_heavy() -> None:
    import subprocess
    import sys

    code = (
        "import sys, console.tui.screens.matrix.screen\n"
        "print(' '.join(sorted(set(sys.modules) & {'asyncssh', 'docker', 'polars', 'numpy'})))"
    )
    done = subprocess.run([sys.executable, "-c", code], text=True, capture_output=True, check=True, timeout=60)
    assert done.stdout.split() == []
