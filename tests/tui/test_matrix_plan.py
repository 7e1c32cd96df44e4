"""A plan in figures and in words: how much, how long, what stands in the way, what to type."""

from collections.abc import Sequence
from pathlib import Path

import msgspec
import pytest

from console.desk import desk
from console.desk.launching import Planned
from console.desk.settings import Settings
from console.desk.surveying import Surveyed
from console.health.check_ids import CheckId
from console.model.finding import Effect, Finding, State
from console.runs import plan as planning
from console.runs.by_hand import by_hand
from console.runs.request import Request
from console.tui.screens.matrix import lines as matrix_lines
from console.tui.screens.matrix import plan as matrix_plan
from console.tui.screens.matrix.choice import Choice
from console.tui.screens.matrix.planning import Planning
from console.tui.widgets.lines import Para
from tests.tui.conftest import facts_in

NAME = "vllm-0.8.5-throughput"
TWO = "model~70B and output_len==2048"


def text(paras: Sequence[Para]) -> str:
    return "\n".join("".join(text for text, _ in para.spans).rstrip() for para in paras)


def make(settings: Settings, recorded: Path, **asked: object) -> Planned:
    """A plan on two recorded hosts, with nothing in the way."""
    fleet = desk.fleet(settings)
    request = msgspec.structs.replace(Request(matrices=(NAME,), only=TWO, hosts="lab-mi300x-0[1-2]"), **asked)
    hosts = desk.hosts(fleet, request.hosts)
    plan = planning.make(request, desk.catalog(settings, fleet), hosts, facts_in(recorded))
    return with_findings(Planned(plan=plan, surveyed=Surveyed({}, {}), simulated=True, speed=60.0))


@pytest.fixture
def planned(settings: Settings, recorded: Path) -> Planned:
    return make(settings, recorded)


def with_findings(planned: Planned, *found: Finding, fetch_bytes: int = 0) -> Planned:
    """The same plan with findings on the host they name, and so much to fetch for each row."""
    attempts = tuple(
        msgspec.structs.replace(
            item, findings=tuple(each for each in found if each.host in item.hosts), fetch_bytes=fetch_bytes
        )
        for item in planned.plan.attempts
    )
    return msgspec.structs.replace(planned, plan=msgspec.structs.replace(planned.plan, attempts=attempts))


def finding(host: str, effect: Effect, check: str = "x", seen: str = "bad") -> Finding:
    return Finding(
        check=check, host=host, state=State.FAIL, seen=seen, expected="good", remedy="mend it", effect=effect
    )


def test_attempts_are_counted_first_with_the_time_of_the_busiest_host(planned: Planned) -> None:
    found = matrix_plan.totals(planned)
    per_host = found.startup_s / 2 + found.measure_s / 2
    assert (found.attempts, found.cells, found.hosts, found.ready, found.blocked) == (4, 2, 2, 4, 0)
    assert found.wall_s == pytest.approx(per_host)
    assert matrix_plan.sentence(found).startswith("4 attempts: 2 cells on 2 hosts; about ")
    first = text(matrix_plan.digest(planned).paras).splitlines()[0]
    assert first == matrix_plan.sentence(found, 60.0)


def test_a_spread_plan_takes_the_share_of_each_host(settings: Settings, recorded: Path) -> None:
    each = matrix_plan.totals(make(settings, recorded))
    spread = matrix_plan.totals(make(settings, recorded, place="spread"))
    assert spread.attempts == 2
    assert spread.wall_s == pytest.approx(each.wall_s / 2)


def test_what_cannot_start_costs_no_time_and_is_counted(planned: Planned) -> None:
    whole = matrix_plan.totals(planned)
    blocked = with_findings(planned, finding("lab-mi300x-01", Effect.BLOCK))
    found = matrix_plan.totals(blocked)
    assert (found.blocked, found.ready) == (2, 2)
    assert found.measure_s == pytest.approx(whole.measure_s / 2)
    assert {span for span, _ in matrix_plan.marks_of(blocked).values()} == {"✗ block 1/2"}
    spoiled = with_findings(planned, finding("lab-mi300x-01", Effect.SPOIL), finding("lab-mi300x-02", Effect.SPOIL))
    assert {span for span, _ in matrix_plan.marks_of(spoiled).values()} == {"▲ spoiled"}
    assert matrix_plan.totals(spoiled).spoiled == 4


def test_what_two_rows_need_is_fetched_once_to_each_host(planned: Planned) -> None:
    found = matrix_plan.totals(with_findings(planned, fetch_bytes=125_000_000))
    models = len({item.model.id for item in planned.plan.attempts})
    assert found.fetch_bytes == 2 * models * 125_000_000
    assert found.fetch_s == pytest.approx(models)
    assert found.wall_s == pytest.approx(matrix_plan.totals(planned).wall_s + models)


def test_an_accepted_check_lets_the_row_run_and_says_what_that_means(settings: Settings, recorded: Path) -> None:
    planned = make(settings, recorded, accept=(str(CheckId.GPU_FREE),))
    spoiled = with_findings(planned, finding("lab-mi300x-01", Effect.SPOIL, str(CheckId.GPU_FREE)))
    assert matrix_plan.totals(spoiled).spoiled == 0
    assert "its figure stays spoiled" in text(matrix_plan.digest(spoiled).paras)


def test_a_host_that_is_held_now_is_not_blocked_but_told(planned: Planned) -> None:
    held = with_findings(planned, finding("lab-mi300x-01", Effect.NOTE, CheckId.GPU_CONTAINERS, "held by run r1"))
    assert (matrix_plan.totals(held).held, matrix_plan.totals(held).ready) == (2, 4)
    assert any("2 held now" in part for part, _ in matrix_plan.standing(matrix_plan.totals(held)))


def test_findings_are_told_once_the_gravest_first_with_their_hosts_and_remedy(planned: Planned) -> None:
    found = with_findings(
        planned,
        finding("lab-mi300x-01", Effect.NOTE, "n", "odd"),
        finding("lab-mi300x-01", Effect.BLOCK, "b", "full"),
        finding("lab-mi300x-02", Effect.BLOCK, "b", "full"),
        finding("lab-mi300x-02", Effect.NOTE, "n", "odd too"),
    )
    lines = text([para for group in matrix_plan.findings(found) for para in group]).splitlines()
    assert [" ".join(line.split()) for line in lines] == [
        "✗ block lab-mi300x-01, lab-mi300x-02: full b",
        "should good",
        "do mend it",
        "· note lab-mi300x-01: odd n",
        "lab-mi300x-02: odd too",
        "should good",
        "do mend it",
    ]
    assert "preflight found nothing in the way" in text(matrix_plan.digest(planned).paras)


def test_a_cell_shows_each_place_and_every_command_once(planned: Planned) -> None:
    cell = planned.plan.attempts[0].cell.id
    groups = matrix_plan.attempts_of(planned, cell)
    assert [group[0].hosts for group in groups] == [("lab-mi300x-01",), ("lab-mi300x-02",)]
    told = text(matrix_plan.cell_paras(groups, lambda item: by_hand(item.launch) if item.launch else ()))
    assert "lab-mi300x-01" in told
    assert "lab-mi300x-02" in told
    assert told.count("docker run --rm") == len({by_hand(g[0].launch)[0].start for g in groups if g[0].launch})
    hands = [hand for group in groups if group[0].launch for hand in by_hand(group[0].launch)]
    pasted = matrix_plan.command_text(hands)
    assert pasted.startswith("# on lab-mi300x-01\ndocker run --rm --name instinct-claim")
    assert pasted.count("docker run") == 2


def test_the_pane_says_why_there_is_no_plan_or_that_it_is_of_something_else(planned: Planned) -> None:
    choice, state = Choice(matrix=NAME, ticked=frozenset(["a"])), Planning()

    def pane(chosen: Choice) -> str:
        return text(matrix_lines.plan_pane(chosen, state, "instinct run X", 5_000_000_000))

    assert "no plan yet: p plans what is ticked" in pane(choice)
    assert "tick rows (space)" in pane(msgspec.structs.replace(choice, ticked=frozenset()))
    state.state, state.choice = "asking", choice
    assert "asking the hosts" in pane(choice)
    state.state, state.problem = "failed", "no such image\nlook again"
    assert pane(choice).splitlines()[:2] == ["no such image", "look again"]
    state.take(planned)
    assert "of another choice" not in pane(choice)
    assert "typed     instinct run X" in pane(choice)
    other = msgspec.structs.replace(choice, hosts="lab-mi300x-02")
    assert "of another choice than what is ticked now" in pane(other)
    assert "no plan yet" in pane(msgspec.structs.replace(choice, matrix="another"))
