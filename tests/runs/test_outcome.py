"""How parts that ended become an outcome, and which failure is shown."""

import msgspec

from console.model.attempt import Failure, FailureClass, MetricValue, Outcome, Reason, Result, Validity
from console.model.cell import Conditions
from console.model.launch import Launch, Part, Placement
from console.model.profile import ContainerOptions, Image
from console.runs.outcome import PartEnd, conditions, decide, overruled, part_failure

HEADLINE = "output_tokens_per_s"


def part(name: str, *, decides: bool = True, host: str = "n1") -> Part:
    return Part(
        name=name,
        rank=0,
        host=host,
        container=name,
        lead=False,
        image="i",
        argv=(),
        env={},
        labels={},
        devices=(),
        groups=(),
        mounts=(),
        options=ContainerOptions(),
        deadline_s=1,
        after=None,
        decides=decides,
        files=(),
    )


def launch(*parts: Part) -> Launch:
    return Launch(attempt="a", cell="c", image="i", image_digest="d", placement=Placement(()), parts=parts, hash="h")


def end(
    *,
    code: int = 0,
    value: float | None = None,
    failure: FailureClass | None = None,
    at: str = "2026-01-01T00:00:01Z",
    oom: bool = False,
    deadline: bool = False,
    **more: object,
) -> PartEnd:
    values = () if value is None else (MetricValue(metric=HEADLINE, value=value),)
    told = None if failure is None else Failure(failure=failure, line=f"line of {failure}")
    result = Result(headline=HEADLINE, values=values, failure=told, **more)  # type: ignore[arg-type]  # keyword table
    return PartEnd(
        exit_code=code, out_of_memory=oom, error="", finished_at=at, deadline_reached=deadline, result=result
    )


def test_a_figure_and_a_clean_end_are_ok() -> None:
    decision = decide(launch(part("main")), {"main": end(value=1.0)})
    assert (decision.outcome, decision.failure) == (Outcome.OK, None)


def test_a_server_that_was_told_to_end_did_not_fail() -> None:
    both = launch(part("server", decides=False), part("client"))
    decision = decide(both, {"server": end(code=143), "client": end(value=1.0)})
    assert decision.outcome is Outcome.OK


def test_what_only_the_server_could_see_is_kept_with_the_client_s_figure() -> None:
    both = launch(part("server", decides=False), part("client"))
    seen = (Reason(Validity.PREEMPTED, "12 times"),)
    decision = decide(both, {"server": end(code=143, engine="V1", reasons=seen), "client": end(value=1.0)})
    assert decision.result is not None
    assert (decision.result.engine, decision.result.reasons) == ("V1", seen)


def test_a_figure_of_a_program_that_ended_badly_is_a_failure_that_keeps_it() -> None:
    decision = decide(launch(part("main")), {"main": end(code=1, value=1.0)})
    assert decision.outcome is Outcome.FAILED
    assert decision.result is not None
    assert decision.result.value() == 1.0


def test_a_telling_failure_stands_before_a_generic_one_that_came_first() -> None:
    both = launch(part("server", decides=False), part("client"))
    ends = {
        "client": end(code=1, failure=FailureClass.ENGINE_DIED, at="2026-01-01T00:00:01Z"),
        "server": end(code=1, failure=FailureClass.OUT_OF_MEMORY_GPU, at="2026-01-01T00:00:09Z"),
    }
    decision = decide(both, ends)
    assert decision.failure is not None
    assert decision.failure.failure is FailureClass.OUT_OF_MEMORY_GPU
    assert any("engine_died" in other for other in decision.failure.others)


def test_the_earliest_of_equally_telling_failures_is_the_cause() -> None:
    both = launch(part("rank0"), part("rank1"))
    ends = {
        "rank0": end(code=1, failure=FailureClass.RCCL, at="2026-01-01T00:00:09Z"),
        "rank1": end(code=1, failure=FailureClass.GPU_FAULT, at="2026-01-01T00:00:01Z"),
    }
    decision = decide(both, ends)
    assert decision.failure is not None
    assert decision.failure.failure is FailureClass.GPU_FAULT


def test_a_killed_rank_stands_before_those_that_missed_it_even_earlier() -> None:
    both = launch(part("rank0"), part("rank1"))
    missed = Failure(failure=FailureClass.RANK_DIED, line="Connection closed by peer", at_ns=1, echo=True)
    ends = {
        "rank0": msgspec.structs.replace(end(code=1, at="2026-01-01T00:00:09Z"), result=told(missed)),
        "rank1": end(code=137, at="2026-01-01T00:00:02Z"),
    }
    decision = decide(both, ends)
    assert decision.failure is not None
    assert decision.failure.failure is FailureClass.KILLED
    assert decision.failure.others == ("rank_died: Connection closed by peer",)


def test_a_rank_that_was_ended_after_another_is_no_cause() -> None:
    both = launch(part("rank0"), part("rank1"))
    died = Failure(failure=FailureClass.RANK_DIED, line="failed (exitcode: 1) local_rank: 3", at_ns=2, echo=True)
    ends = {
        "rank0": end(code=137, at="2026-01-01T00:00:09Z"),
        "rank1": msgspec.structs.replace(end(code=1, at="2026-01-01T00:00:02Z"), result=told(died)),
    }
    decision = decide(both, ends)
    assert decision.failure is not None
    assert decision.failure.failure is FailureClass.RANK_DIED


def told(failure: Failure) -> Result:
    return Result(headline=HEADLINE, failure=failure)


def test_of_several_hosts_the_failure_says_which() -> None:
    both = launch(part("rank0"), part("rank1", host="n2"))
    ends = {
        "rank0": end(code=1, failure=FailureClass.RCCL, at="2026-01-01T00:00:09Z"),
        "rank1": end(code=1, failure=FailureClass.GPU_FAULT, at="2026-01-01T00:00:01Z"),
    }
    decision = decide(both, ends)
    assert decision.failure is not None
    assert decision.failure.line == "rank1 on n2: line of gpu_fault"
    assert decision.failure.others == ("rccl: rank0 on n1: line of rccl",)


def test_the_rank_that_prints_the_figure_speaks_for_all() -> None:
    both = launch(part("rank0"), part("rank1"))
    decision = decide(both, {"rank0": end(failure=FailureClass.NO_RESULT), "rank1": end(value=2.0)})
    assert decision.result is not None
    assert (decision.outcome, decision.result.value()) == (Outcome.OK, 2.0)


def test_behind_a_stall_stands_what_the_ranks_said_but_not_that_we_ended_them() -> None:
    both = launch(part("rank0", host="n0"), part("rank1"))
    quiet = decide(both, {"rank0": end(code=137), "rank1": end(code=143)}).failure
    stalled = overruled(FailureClass.STALLED, "no step for 2 min", quiet)
    assert (stalled.failure, stalled.line) == (FailureClass.STALLED, "no step for 2 min")
    assert "no rank said why" in stalled.remedy
    assert stalled.others == ()

    ends = {
        "rank0": end(code=137),
        "rank1": msgspec.structs.replace(
            end(code=143), result=told(Failure(failure=FailureClass.GPU_HANG, line="GPU Hang", remedy="look", at_ns=1))
        ),
    }
    stalled = overruled(FailureClass.STALLED, "no step for 2 min", decide(both, ends).failure)
    assert (stalled.line, stalled.remedy) == ("no step for 2 min", "look")
    assert stalled.others == ("gpu_hang: rank1 on n1: GPU Hang",)


def test_what_came_first_is_told_by_one_clock_where_those_of_the_hosts_are_known() -> None:
    both = launch(part("rank0"), part("rank1", host="n2"))
    ends = {
        "rank0": end(code=1, failure=FailureClass.OUT_OF_MEMORY_GPU, at="2026-01-01T00:01:30Z"),
        "rank1": end(code=1, failure=FailureClass.GPU_FAULT, at="2026-01-01T00:00:05Z"),
    }
    as_they_are, by_one = decide(both, ends), decide(both, ends, {"n1": 90_000_000_000, "n2": 0})
    assert as_they_are.failure is not None
    assert as_they_are.failure.failure is FailureClass.GPU_FAULT
    assert by_one.failure is not None
    assert by_one.failure.failure is FailureClass.OUT_OF_MEMORY_GPU


def test_a_killed_rank_on_a_fast_clock_is_still_the_cause() -> None:
    both = launch(part("rank0"), part("rank1", host="n2"))
    missed = Failure(failure=FailureClass.RANK_DIED, line="Connection closed by peer", at_ns=1, echo=True)
    ends = {
        "rank0": msgspec.structs.replace(end(code=1, at="2026-01-01T00:00:09Z"), result=told(missed)),
        "rank1": end(code=137, at="2026-01-01T00:01:32Z"),
    }
    decision = decide(both, ends, {"n1": 0, "n2": 90_000_000_000})
    assert decision.failure is not None
    assert decision.failure.failure is FailureClass.KILLED


def test_inspect_knows_better_than_the_log() -> None:
    for seen, kind in (
        (end(code=137, oom=True, failure=FailureClass.UNKNOWN), FailureClass.OUT_OF_MEMORY_HOST),
        (end(code=124, deadline=True, failure=FailureClass.NO_RESULT), FailureClass.DEADLINE),
        (end(code=137), FailureClass.KILLED),
    ):
        found = part_failure(seen)
        assert found is not None
        assert found.failure is kind


def test_conditions_that_hosts_do_not_share_are_not_known() -> None:
    hosts = {"n1": Conditions(gpu="MI300X", driver="6.8.5"), "n2": Conditions(gpu="MI300X", driver="6.10.5")}
    image = Image(name="i", ref="r:t", program="vllm", source="s", rocm="6.3.1")
    found = conditions(hosts, launch(part("main")), image, None, nodes=2, simulated=True)
    assert (found.gpu, found.driver, found.nodes, found.simulated) == ("MI300X", None, 2, True)
    assert (found.image, found.image_digest, found.rocm) == ("r:t", "d", "6.3.1")
