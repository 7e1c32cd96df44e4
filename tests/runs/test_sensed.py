"""Live readings of the measured time: heat spoils, the power limit is told from a GPU that is held back alone."""

from collections.abc import Iterable, Mapping

import pytest

from console.model.attempt import Beat, Gap, HostReading, Reading, Result, Validity
from console.model.launch import GpuSeat, Seat
from console.runs.sensed import Sensed, measured, sense, throttled

S = 1_000_000_000
SEAT = Seat(rank=0, host="n1")
GPUS = ("0000:05:00.0", "0000:26:00.0", "0000:46:00.0", "0000:65:00.0")
Kinds = Mapping[str, float]


def beats(
    at: Iterable[int], kinds: Mapping[str, Kinds] | None = None, *, power: float = 700.0, busy: float = 100.0
) -> list[Beat]:
    """A beat a second with a look every fifth, every GPU with the given shares."""
    return [
        Beat(
            HostReading(at_ns=second * S),
            tuple(
                Reading(
                    at_ns=second * S,
                    bdf=bdf,
                    power_w=power,
                    hotspot_c=80.0 + place,
                    vram_used_bytes=100 * place,
                    busy_percent=busy,
                    throttle=tuple((kinds or {}).get(bdf, {})),
                    throttle_shares=tuple((kinds or {}).get(bdf, {}).values()),
                )
                for place, bdf in enumerate(GPUS)
            ),
            looked=second % 5 == 0,
        )
        for second in at
    ]


def told(
    items: list[Beat | Gap] | list[Beat],
    span: tuple[int, int] | None = (10, 60),
    between: Mapping[str, Kinds] | None = None,
    seat: Seat = SEAT,
) -> Sensed:
    given = None if span is None else (span[0] * S, span[1] * S)
    return sense((seat,), {"n1": items}, given, {"n1": between or {}})


def reasons(sensed: Sensed) -> list[tuple[Validity, str]]:
    return [(reason.reason, reason.detail) for reason in sensed.reasons]


def test_cool_gpus_give_a_summary_and_no_reason() -> None:
    sensed = told(beats(range(100)))
    assert sensed.reasons == ()
    summary = sensed.hardware
    assert summary is not None
    assert (summary.from_ns, summary.to_ns, summary.gpus) == (10 * S, 60 * S, 4)
    assert (summary.power_w_mean, summary.power_w_max) == (2800.0, 2800.0)
    assert (summary.hotspot_c_max, summary.vram_used_bytes_mean, summary.throttled_share) == (83.0, 300.0, 0.0)


def test_heat_while_measuring_spoils_and_is_named_with_gpu_kind_and_share() -> None:
    sensed = told(beats(range(100), {GPUS[1]: {"hbm_thermal": 0.4}}))
    assert reasons(sensed) == [(Validity.THROTTLED, f"n1 {GPUS[1]}: hbm_thermal for 40% of the measured time")]
    assert sensed.hardware is not None
    assert sensed.hardware.throttled_share == pytest.approx(0.4)


def test_heat_before_and_after_the_measured_time_is_none_of_its() -> None:
    hot = {GPUS[1]: {"prochot": 1.0}}
    items = [*beats(range(11), hot), *beats(range(11, 61)), *beats(range(61, 90), hot)]
    assert told(items).reasons == ()


def test_each_look_counts_for_as_much_of_the_span_as_it_tells_of() -> None:
    hot = {GPUS[0]: {"prochot": 1.0}}
    items = [*beats(range(16)), *beats(range(16, 26), hot), *beats(range(26, 100))]
    found, covered = throttled(items, (10 * S, 60 * S))
    assert covered == 1.0
    assert found[GPUS[0]] == {"prochot": pytest.approx(0.2)}, "looks at 20 and 25 tell of 15 to 25"
    assert found[GPUS[1]] == {}


def test_a_trace_of_throttling_moves_no_figure() -> None:
    assert told(beats(range(100), {GPUS[1]: {"prochot": 0.005}})).reasons == ()


def test_gpus_at_their_power_limit_together_are_noted() -> None:
    sensed = told(beats(range(100), {bdf: {"ppt": 0.5 + 0.02 * place} for place, bdf in enumerate(GPUS)}))
    assert reasons(sensed) == [
        (Validity.POWER_LIMITED, "n1: 4 GPUs at the power limit for 50% to 56% of the measured time")
    ]
    assert not sensed.reasons[0].spoils


def test_one_gpu_at_its_power_limit_alone_spoils() -> None:
    sensed = told(beats(range(100), {GPUS[2]: {"ppt": 0.8}, GPUS[3]: {"ppt": 0.05}}))
    assert reasons(sensed) == [
        (Validity.THROTTLED, f"n1 {GPUS[2]}: ppt for 80% of the measured time, the others 2%"),
        (Validity.POWER_LIMITED, "n1: 1 GPU at the power limit for 5.0% of the measured time"),
    ]


def test_idle_gpus_beside_it_are_no_measure_of_a_loaded_one() -> None:
    seat = Seat(rank=0, host="n1", all_gpus=False, gpus=(GpuSeat(GPUS[2], "/dev/dri/renderD130"),))
    sensed = told(beats(range(100), {GPUS[2]: {"ppt": 0.8}}), seat=seat)
    assert reasons(sensed) == [(Validity.POWER_LIMITED, "n1: 1 GPU at the power limit for 80% of the measured time")]
    assert sensed.hardware is not None
    assert (sensed.hardware.gpus, sensed.hardware.power_w_mean) == (1, 700.0)
    unloaded = told(beats(range(100), {GPUS[2]: {"ppt": 0.8}}, busy=3.0))
    assert [kind for kind, _ in reasons(unloaded)] == [Validity.POWER_LIMITED]


def test_where_readings_are_too_few_the_looks_before_and_after_speak() -> None:
    between = {GPUS[0]: {"socket_thermal": 0.3, "ppt": 0.2}, GPUS[1]: {}}
    sensed = told(beats(range(10, 12)), (10, 12), between)
    assert reasons(sensed) == [
        (Validity.THROTTLED, f"n1 {GPUS[0]}: socket_thermal for 30% of the whole attempt"),
        (Validity.POWER_LIMITED, "n1: 1 GPU at the power limit for 20% of the whole attempt"),
    ]
    assert sensed.hardware is not None
    assert sensed.hardware.throttled_share == pytest.approx(0.3)


def test_a_break_is_a_break_and_is_noted() -> None:
    items: list[Beat | Gap] = [
        *beats(range(21)),
        Gap(20 * S, "the link broke", 2.0),
        *beats(range(41, 100), {GPUS[0]: {"ppt": 1.0}}),
    ]
    sensed = told(items)
    assert reasons(sensed)[-1] == (Validity.UNWATCHED, "n1: no readings for 21 of the 50 measured seconds")
    found, covered = throttled(items, (10 * S, 60 * S))
    assert found[GPUS[0]] == {"ppt": pytest.approx(0.6)}, "10 s without and 15 s with; nothing is known of the break"
    assert covered == pytest.approx(0.5)
    assert reasons(told(items, between={GPUS[0]: {"ppt": 0.7}}))[0] == (
        Validity.POWER_LIMITED,
        "n1: 1 GPU at the power limit for 70% of the whole attempt",
    )


def test_nobody_read_the_host() -> None:
    sensed = told([])
    assert sensed.hardware is None
    assert reasons(sensed) == [(Validity.UNWATCHED, "n1: no readings for 50 of the 50 measured seconds")]
    assert told([], (10, 12)).reasons == (), "a moment is not worth a word"


def test_a_program_that_does_not_say_when_it_measured_is_watched_as_a_whole() -> None:
    sensed = told(beats(range(50), {GPUS[0]: {"vr_thermal": 0.25}}), None)
    assert reasons(sensed) == [(Validity.THROTTLED, f"n1 {GPUS[0]}: vr_thermal for 25% of the attempt")]


def test_gpus_that_do_not_tell_what_they_are_throttled_by_are_left_out() -> None:
    items = [
        Beat(HostReading(at_ns=second * S), (Reading(at_ns=second * S, bdf="g", power_w=1.0),), looked=second % 5 == 0)
        for second in range(100)
    ]
    sensed = told(items)
    assert sensed.reasons == ()
    assert sensed.hardware is not None
    assert sensed.hardware.throttled_share is None


def test_several_hosts_are_summed() -> None:
    other = Seat(rank=1, host="n2")
    readings = {"n1": beats(range(100)), "n2": beats(range(100), power=500.0)}
    summary = sense((SEAT, other), readings, (10 * S, 60 * S), {}).hardware
    assert summary is not None
    assert (summary.gpus, summary.power_w_mean, summary.power_w_max) == (8, 4800.0, 4800.0)


def test_readings_of_a_host_are_laid_over_the_measured_time_by_how_far_its_clock_is_ahead() -> None:
    other = Seat(rank=1, host="n2")
    hot = {GPUS[0]: {"prochot": 1.0}}
    ahead = [*beats(range(85, 100), hot), *beats(range(100, 151), power=500.0), *beats(range(151, 170), hot)]
    readings = {"n1": beats(range(100)), "n2": ahead}
    as_they_are = sense((SEAT, other), readings, (10 * S, 60 * S), {})
    sensed = sense((SEAT, other), readings, (10 * S, 60 * S), {}, {"n1": 0, "n2": 90 * S})

    assert reasons(as_they_are) == [(Validity.UNWATCHED, "n2: no readings for 50 of the 50 measured seconds")]
    assert sensed.reasons == (), "it was hot before and after"
    summary = sensed.hardware
    assert summary is not None
    assert (summary.from_ns, summary.to_ns) == (10 * S, 60 * S), "on one clock"
    assert summary.power_w_mean == 4800.0
    assert summary.clocks_ahead_ns == {"n1": 0, "n2": 90 * S}


def test_the_measured_time_begins_no_earlier_than_the_container() -> None:
    result = Result(headline="x", measured_from_ns=5 * S, measured_to_ns=50 * S)
    assert measured(result, 20 * S) == (20 * S, 50 * S)
    assert measured(result, None) == (5 * S, 50 * S)
    assert measured(result, 60 * S) is None
    assert measured(Result(headline="x", measured_to_ns=50 * S), None) is None
    assert measured(None, 1) is None
