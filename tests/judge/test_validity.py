"""What spoils a figure and what only stands beside it."""

from typing import Any

import pytest

from console.health.preflight import CheckId
from console.judge.validity import FROM_CHECK, Collection, reasons
from console.model.attempt import Reason, Result, Validity
from console.model.cell import AnyCell, Cell
from console.model.finding import Effect, Finding, State

CLEAN = Collection(simulated=False, image_pinned=True)


def cell(**fields: Any) -> AnyCell:
    given: dict[str, Any] = {
        "matrix": "m",
        "id": "c",
        "workload": "vllm-throughput",
        "model": "x/y",
        "title": "Y",
        "precision": "FP8",
        "image": "i",
        "nodes": 1,
        "gpus_per_node": 8,
        "metric": "output_tokens_per_s",
        "params": {},
        "recipe": "exact",
    }
    return Cell(**{**given, **fields})


def finding(check: str, effect: Effect, state: State = State.FAIL) -> Finding:
    return Finding(check=check, host="node01", state=state, seen="seen", effect=effect)


def test_nothing_to_say_is_no_reason() -> None:
    assert reasons([], Result(headline="output_tokens_per_s"), CLEAN, cell()) == ()


@pytest.mark.parametrize(
    ("check", "reason"),
    [
        (CheckId.NUMA_BALANCING, Validity.NUMA_BALANCING_ON),
        (CheckId.COMPUTE_PARTITION, Validity.WRONG_PARTITION),
        (CheckId.MEMORY_PARTITION, Validity.WRONG_PARTITION),
        ("gpu.something_else", Validity.ACCEPTED_FINDING),
    ],
)
def test_an_accepted_finding_that_spoils_keeps_spoiling(check: str, reason: Validity) -> None:
    (found,) = reasons([finding(check, Effect.SPOIL)], None, CLEAN, cell())
    assert found.reason is reason
    assert found.spoils
    assert "node01: seen" in found.detail


@pytest.mark.parametrize(
    ("check", "expected"),
    [
        (CheckId.POWER_CAP, [Validity.POWER_CAP]),
        (CheckId.PERFORMANCE_LEVEL, [Validity.PERF_DETERMINISM]),
        (CheckId.GPU_CONTAINERS, []),
        ("profile.system.bios_version", []),
    ],
)
def test_a_note_never_spoils(check: str, expected: list[Validity]) -> None:
    found = reasons([finding(check, Effect.NOTE, State.WARN)], None, CLEAN, cell())
    assert [item.reason for item in found] == expected
    assert not any(item.spoils for item in found)


def test_what_could_not_be_read_is_no_reason() -> None:
    assert reasons([finding(CheckId.NUMA_BALANCING, Effect.NOTE, State.UNKNOWN)], None, CLEAN, cell()) == ()


def test_what_was_seen_at_collection_becomes_reasons_spoiling_ones_first() -> None:
    seen = Collection(
        simulated=True,
        image_pinned=False,
        log_complete=False,
        hardware=(
            Reason(Validity.UNWATCHED, "node01: kernel log"),
            Reason(Validity.REBOOTED, "node01 booted again"),
            Reason(Validity.THROTTLED, "node01 0000:05:00.0 power"),
            Reason(Validity.FABRIC_ERRORS, "node01 mlx5_0:1 symbol_error +1"),
            Reason(Validity.KERNEL_FAULT, "node01 gpu-reset"),
            Reason(Validity.RAS_ERROR, "node01 umc ue 1"),
            Reason(Validity.RAS_CORRECTED, "node01 umc ce 1"),
        ),
    )
    found = reasons([], None, seen, cell(recipe="reconstructed", deviations=("published X, running Y, because Z",)))
    assert [item.reason for item in found] == [
        Validity.THROTTLED,
        Validity.RAS_ERROR,
        Validity.KERNEL_FAULT,
        Validity.FABRIC_ERRORS,
        Validity.REBOOTED,
        Validity.IMAGE_UNPINNED,
        Validity.LOG_GAP,
        Validity.RAS_CORRECTED,
        Validity.UNWATCHED,
        Validity.RECIPE_RECONSTRUCTED,
        Validity.RECIPE_CHANGED,
        Validity.SIMULATED,
    ]
    assert [item.spoils for item in found] == [True] * 5 + [False] * 7


def test_a_reason_is_given_once_with_all_its_details() -> None:
    result = Result(headline="latency_s", reasons=(Reason(Validity.WRONG_PARTITION, "log says CPX"),))
    both = [finding(CheckId.COMPUTE_PARTITION, Effect.SPOIL), finding(CheckId.MEMORY_PARTITION, Effect.SPOIL)]
    (found,) = reasons(both, result, CLEAN, cell())
    assert found == Reason(Validity.WRONG_PARTITION, "node01: seen; log says CPX")


def test_every_mapped_check_exists() -> None:
    assert set(FROM_CHECK) <= set(CheckId)
