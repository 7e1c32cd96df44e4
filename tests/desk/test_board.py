"""A board is a fold: the events alone decide what screens show."""

import itertools
from collections.abc import Iterator

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from console.desk.board import AttemptView, Board
from console.desk.views import Counts
from console.model import events as ev
from console.model.attempt import (
    Failure,
    FailureClass,
    MetricValue,
    Outcome,
    Phase,
    PhaseSeen,
    Reason,
    Result,
    Sample,
    Stage,
    Symptom,
    Validity,
)
from console.model.launch import Placement, Seat

SECOND = 1_000_000_000
NOW = 1_750_000_000 * SECOND
CELL = {
    "title": "Llama 3.1 70B, 2048/2048",
    "model": "amd/Llama-3.1-70B",
    "metric": "output_tokens_per_s",
    "nodes": 1,
    "references": [
        {"value": 4000.0, "metric": "output_tokens_per_s", "set": "published", "printed": "4000"},
        {"value": 100.0, "metric": "output_tokens_per_s", "set": "lab", "printed": "100"},
    ],
}


class Story:
    """A board and a clock in seconds from NOW; every event is told with its place."""

    def __init__(self, simulated: bool = False) -> None:
        self.board = Board()
        self._seq: Iterator[int] = iter(range(1, 10**9))
        opened = ev.RunOpened(
            label="nightly",
            matrices=("m",),
            hosts=("n1", "n2"),
            operator="me",
            version="0",
            attempts=2,
            simulated=simulated,
        )
        self.tell(0, opened, attempt=None)

    def tell(self, at_s: float, event: ev.Event, attempt: str | None = "a1", run: str = "r1") -> frozenset[str]:
        at_ns = NOW + int(at_s * SECOND)
        return self.board.apply([ev.Envelope(seq=next(self._seq), at_ns=at_ns, run=run, attempt=attempt, event=event)])

    def plan(
        self,
        attempt: str = "a1",
        *,
        wish: tuple[str, ...] = ("n1",),
        attempt_try: int = 1,
        position: int = 0,
        expected_s: float | None = 600.0,
        cell: object = CELL,
        cell_id: str = "c1",
    ) -> None:
        event = ev.AttemptPlanned(
            matrix="m",
            cell_id=cell_id,
            workload="vllm-throughput",
            cell=msgspec.Raw(msgspec.json.encode(cell)),
            wish=wish,
            repeat=1,
            attempt_try=attempt_try,
            expected_s=expected_s,
            startup_s=120.0,
            position=position,
        )
        self.tell(0, event, attempt)

    def stage(self, at_s: float, stage: Stage, attempt: str = "a1", detail: str = "") -> None:
        self.tell(at_s, ev.StageEntered(stage, detail), attempt)

    def phase(self, at_s: float, phase: Phase) -> None:
        self.tell(at_s, PhaseSeen(NOW + int(at_s * SECOND), phase))

    def sample(self, at_s: float, rate: float | None = None, done: float | None = None) -> None:
        at_ns = NOW + int(at_s * SECOND)
        self.tell(
            at_s,
            Sample(
                at_ns=at_ns,
                source="stat line",
                metric="output_tokens_per_s",
                rate=rate,
                done=done,
                total=None if done is None else 1500,
                counts="prompts",
            ),
        )

    def end(self, at_s: float, value: float, attempt: str = "a1") -> None:
        values = (MetricValue(metric="output_tokens_per_s", value=value),)
        result = Result(headline="output_tokens_per_s", values=values)
        self.tell(at_s, ev.AttemptEnded(outcome=Outcome.OK, result=result), attempt)

    def view(self, attempt: str = "a1") -> AttemptView:
        view = self.board.attempt(attempt)
        assert view is not None
        return view


@pytest.fixture
def story() -> Story:
    told = Story()
    told.plan()
    return told


def now(at_s: float) -> int:
    return NOW + int(at_s * SECOND)


def test_a_planned_attempt_shows_what_its_cell_says(story: Story) -> None:
    view = story.view()
    assert (view.title, view.model, view.metric) == (CELL["title"], CELL["model"], CELL["metric"])
    assert (view.hosts, view.placed, view.state, view.rate, view.phase) == (("n1",), False, "planned", None, None)
    assert (view.reference, view.value, view.ratio) == (4000.0, None, None)


def test_a_cell_that_cannot_be_read_is_shown_by_its_id() -> None:
    story = Story()
    story.plan(cell=["not a cell"])
    assert (story.view().title, story.view().reference) == ("c1", None)


def test_a_simulated_run_is_held_against_the_labs_reference_only() -> None:
    story = Story(simulated=True)
    story.plan()
    story.end(9, 150.0)
    assert (story.view().simulated, story.view().reference, story.view().ratio) == (True, 100.0, 1.5)


def test_a_real_run_is_never_held_against_the_labs_reference() -> None:
    story = Story()
    story.plan(cell=CELL | {"references": [{"value": 1.0, "metric": "output_tokens_per_s", "set": "lab"}]})
    assert story.view().reference is None


def test_stages_and_phases_carry_since_when(story: Story) -> None:
    story.stage(10, Stage.STARTING)
    story.stage(12, Stage.RUNNING, detail="two \x1b[31mparts")
    story.phase(15, Phase.LOADING)
    story.phase(20, Phase.LOADING)
    view = story.view()
    assert (view.stage, view.stage_since_ns, view.detail) == (Stage.RUNNING, now(12), "two parts")
    assert (view.phase, view.phase_since_ns, view.started_at_ns) == (Phase.LOADING, now(15), now(10))
    assert view.elapsed_s(now(30)) == 20.0


def test_what_is_read_late_keeps_the_time_it_happened(story: Story) -> None:
    story.stage(10, Stage.STARTING)
    story.tell(900, PhaseSeen(now(100), Phase.MEASURING))
    assert story.view().phase_since_ns == now(100)


def test_a_host_clock_outside_the_attempt_is_not_believed(story: Story) -> None:
    story.stage(10, Stage.STARTING)
    for wrong_s in (-3600, 3600):
        story.tell(20, PhaseSeen(now(wrong_s), Phase.LOADING if wrong_s < 0 else Phase.COMPILING))
        assert story.view().phase_since_ns == now(20)


def test_the_live_rate_has_an_age_and_the_mean_covers_measuring_alone(story: Story) -> None:
    story.stage(0, Stage.STARTING)
    story.phase(1, Phase.WARMING_UP)
    story.sample(2, rate=10.0)
    rate = story.view().rate
    assert rate is not None
    assert (rate.value, rate.mean) == (10.0, None)
    story.phase(3, Phase.MEASURING)
    story.sample(4, rate=100.0)
    story.sample(5, rate=200.0)
    rate = story.view().rate
    assert rate is not None
    assert (rate.value, rate.mean, rate.unit, rate.age_s(now(8))) == (200.0, 150.0, "tok/s", 3.0)
    assert [point.value for point in story.board.points("a1")] == [10.0, 100.0, 200.0]


def test_progress_belongs_to_its_phase(story: Story) -> None:
    story.phase(1, Phase.LOADING)
    story.sample(2, done=750)
    progress = story.view().progress
    assert progress is not None
    assert (progress.fraction, progress.counts) == (0.5, "prompts")
    story.phase(3, Phase.MEASURING)
    assert story.view().progress is None


def test_the_estimate_uses_start_up_then_expectation_then_progress(story: Story) -> None:
    assert story.view().eta_s(now(0)) == 720.0
    story.stage(10, Stage.STARTING)
    assert story.view().eta_s(now(50)) == 80.0 + 600.0
    assert story.view().eta_s(now(500)) == 600.0
    story.phase(500, Phase.MEASURING)
    assert story.view().eta_s(now(600)) == 500.0
    story.sample(600, done=15)  # one in a hundred: too few to tell
    assert story.view().eta_s(now(600)) == 500.0
    story.sample(700, done=375)  # a quarter after 200 s
    assert story.view().eta_s(now(700)) == 600.0
    assert story.view().eta_s(now(750)) == 550.0
    story.phase(1300, Phase.FINISHED)
    assert story.view().eta_s(now(1300)) == 0.0
    story.end(1310, 4000.0)
    assert story.view().eta_s(now(9999)) == 0.0


def test_without_expectation_there_is_no_estimate_before_progress() -> None:
    story = Story()
    story.plan(expected_s=None)
    story.phase(0, Phase.MEASURING)
    assert story.view().eta_s(now(5)) is None
    assert story.board.eta_s("r1", now(5)) is None
    story.sample(10, done=750)
    assert story.view().eta_s(now(10)) == 10.0


def test_a_run_takes_as_long_as_its_busiest_host() -> None:
    story = Story()
    story.plan("a1", wish=("n1",), cell_id="c1")
    story.plan("a2", wish=("n1",), cell_id="c2")
    story.plan("a3", wish=("n2",), cell_id="c3")
    assert story.board.eta_s("r1", now(0)) == 1440.0
    story.plan("a4", wish=("n1", "n2"), cell_id="c4")  # one node on either host
    assert story.board.eta_s("r1", now(0)) == 1440.0 + 360.0
    story.tell(0, ev.Claimed(Placement((Seat(rank=0, host="n2"),))), "a4")
    assert story.board.eta_s("r1", now(0)) == 1440.0


def test_an_ended_attempt_has_figure_ratio_and_reasons(story: Story) -> None:
    result = Result(headline="output_tokens_per_s", values=(MetricValue(metric="output_tokens_per_s", value=5000.0),))
    reasons = (Reason(Validity.NUMA_BALANCING_ON),)
    story.tell(9, ev.AttemptEnded(outcome=Outcome.OK, result=result, reasons=reasons))
    view = story.view()
    assert (view.state, view.value, view.ratio, view.spoiled, view.ended_at_ns) == ("ok", 5000.0, 1.25, True, now(9))


def test_a_failed_attempt_has_class_and_line_and_no_figure(story: Story) -> None:
    failure = Failure(failure=FailureClass.OUT_OF_MEMORY_GPU, line="HIP out of \x1b]0;title\x07memory")
    values = (MetricValue(metric="output_tokens_per_s", value=5.0),)
    result = Result(headline="output_tokens_per_s", values=values, failure=failure)
    story.tell(9, ev.AttemptEnded(outcome=Outcome.FAILED, result=result))
    view = story.view()
    assert (view.state, view.failure, view.failure_line) == (
        "failed",
        FailureClass.OUT_OF_MEMORY_GPU,
        "HIP out of memory",
    )
    assert (view.value, view.ratio) == (None, None)


def test_an_echo_does_not_hide_the_root_cause(story: Story) -> None:
    def symptom(line: str, *, secondary: bool) -> Symptom:
        return Symptom(
            at_ns=1, signature="s", failure=FailureClass.ENGINE_DIED, line=line, secondary=secondary, warning=False
        )

    story.tell(1, symptom("HIP out of memory", secondary=False))
    story.tell(2, symptom("Engine core died", secondary=True))
    notice = story.view().notice
    assert notice is not None
    assert (notice.text, notice.level) == ("HIP out of memory", "error")
    story.tell(3, ev.Noticed("reconnected", "info"))
    notice = story.view().notice
    assert notice is not None
    assert notice.text == "reconnected"


def test_fetching_is_shown_while_it_lasts(story: Story) -> None:
    story.stage(1, Stage.FETCHING)
    for done in (1, 5):
        story.tell(2, ev.FetchProgress(host="n1", what="image", name="vllm", done_bytes=done, total_bytes=10))
    story.tell(3, ev.FetchProgress(host="n2", what="image", name="vllm", done_bytes=2, total_bytes=None))
    assert [(item.host, item.done_bytes, item.total_bytes) for item in story.view().fetching] == [
        ("n1", 5, 10),
        ("n2", 2, None),
    ]
    story.stage(4, Stage.CLAIMING)
    assert story.view().fetching == ()


def test_a_held_host_is_named_until_the_claim_succeeds(story: Story) -> None:
    story.stage(1, Stage.CLAIMING)
    story.tell(2, ev.ClaimRefused("n1", "someone", "2025-05-29T12:00:00Z"))
    refused = story.view().refused
    assert refused is not None
    assert (refused.host, refused.holder) == ("n1", "someone")
    story.stage(3, Stage.STARTING)
    assert story.view().refused is None


def test_a_lost_host_shows_on_its_attempts_and_ends_none(story: Story) -> None:
    story.plan("a2", wish=("n2",), cell_id="c2")
    assert story.tell(5, ev.LinkChanged("n1", "lost", "no answer"), attempt=None) == {"a1"}
    assert story.tell(6, ev.LinkChanged("n1", "lost", "still"), attempt="a1") == {"a1"}
    view = story.view()
    assert (view.links_lost, view.links[0].since_ns, view.outcome) == (("n1",), now(5), None)
    assert story.view("a2").links == ()
    story.tell(7, ev.LinkChanged("n1", "up"), attempt=None)
    assert story.view().links_lost == ()


def test_a_run_counts_its_attempts_by_how_they_stand() -> None:
    story = Story()
    for number in range(6):
        story.plan(f"a{number}", cell_id=f"c{number}")
    story.stage(1, Stage.STARTING, "a1")
    story.end(2, 1.0, "a2")
    for attempt, outcome in (("a3", Outcome.FAILED), ("a4", Outcome.STOPPED), ("a5", Outcome.NOT_RUN)):
        story.tell(2, ev.AttemptEnded(outcome=outcome), attempt)
    run = story.board.run("r1")
    assert run is not None
    assert run.counts == Counts(waiting=1, active=1, ok=1, failed=1, stopped=1, not_run=1)
    assert (run.counts.total, run.counts.ended, run.label, run.closed_at_ns) == (6, 4, "nightly", None)


def test_a_later_try_supersedes_the_earlier_one_on_the_same_hosts_only(story: Story) -> None:
    story.tell(1, ev.AttemptEnded(outcome=Outcome.FAILED))
    story.plan("a2", wish=("n2",))
    story.plan("a3", wish=("n1",), attempt_try=2)
    assert [(view.attempt, view.superseded) for view in story.board.attempts("r1")] == [
        ("a1", True),
        ("a2", False),
        ("a3", False),
    ]
    run = story.board.run("r1")
    assert run is not None
    assert run.counts == Counts(waiting=2)


def test_a_stop_is_shown_on_the_run_and_its_attempts_until_it_is_resumed(story: Story) -> None:
    assert not story.view().stop_asked
    story.tell(1, ev.StopAsked("me", "enough"), attempt=None)
    story.tell(2, ev.RunClosed("stopped"), attempt=None)
    run = story.board.run("r1")
    assert run is not None
    assert (story.view().stop_asked, run.stop_asked, run.closed_at_ns, run.why) == (True, True, now(2), "stopped")
    story.tell(3, ev.ConductorStarted(7, "lap"), attempt=None)
    run = story.board.run("r1")
    assert run is not None
    assert (story.view().stop_asked, run.stop_asked, run.closed_at_ns, run.conductor_pid) == (False, False, None, 7)


def test_attempts_come_by_position_and_views_are_not_drawn_twice(story: Story) -> None:
    story.plan("a0", position=-1, cell_id="c0")
    views = story.board.attempts("r1")
    assert [view.attempt for view in views] == ["a0", "a1"]
    story.stage(1, Stage.STARTING, "a0")
    again = story.board.attempts("r1")
    assert again[1] is views[1]
    assert again[0] is not views[0]


def test_events_heard_twice_or_of_unknown_attempts_change_nothing(story: Story) -> None:
    planned = story.view()
    again = ev.Envelope(seq=2, at_ns=NOW, run="r1", attempt="a1", event=ev.StageEntered(Stage.DONE))
    stranger = ev.Envelope(seq=99, at_ns=NOW, run="r1", attempt="a9", event=ev.StageEntered(Stage.DONE))
    nowhere = ev.Envelope(seq=100, at_ns=NOW, event=ev.Noticed("hello"))
    assert story.board.apply([again, stranger, nowhere]) == frozenset()
    assert story.view() is planned
    assert story.board.attempt("a9") is None
    assert story.board.run("r9") is None


@given(cuts=st.lists(st.integers(0, 60), max_size=10))
def test_any_split_of_the_same_events_gives_the_same_board(cuts: list[int]) -> None:
    events: list[ev.Event] = [ev.StageEntered(Stage.STARTING), PhaseSeen(now(1), Phase.MEASURING)]
    for number in range(50):
        events.append(
            Sample(at_ns=now(number), source="stat line", metric="output_tokens_per_s", rate=float(number), done=number)
        )
    events.append(ev.AttemptEnded(outcome=Outcome.OK))
    whole, split = Story(), Story()
    whole.plan()
    split.plan()
    envelopes = [
        ev.Envelope(seq=10 + place, at_ns=now(place), run="r1", attempt="a1", event=event)
        for place, event in enumerate(events)
    ]
    whole.board.apply(envelopes)
    edges = [0, *sorted(cuts), len(envelopes)]
    for start, end in itertools.pairwise(edges):
        split.board.apply(envelopes[start:end])
        split.view()
    assert split.view() == whole.view()
    assert split.board.points("a1") == whole.board.points("a1")
    assert split.board.runs() == whole.board.runs()
