"""Clocks of several hosts: which is how far ahead of which, and what is not known is said."""

from console.fleet.vitals import Vitals
from console.model.attempt import Reason, Validity
from console.model.facts import Clock
from console.runs.clocks import ahead_of_ours, beside, told, unknown

S = 1_000_000_000


def look(offset_s: float | None, uncertainty_s: float = 0.01) -> Vitals:
    clock = None if offset_s is None else Clock(int(offset_s * S), int(uncertainty_s * S))
    return Vitals(host="n", read_at_ns=1, clock=clock)


def test_of_two_looks_the_one_counts_that_knows_better() -> None:
    assert ahead_of_ours([("n1", look(90.3, 0.3), look(90.0)), ("n2", look(-1.0), look(-1.2, 0.2))]) == {
        "n1": 90 * S,
        "n2": -1 * S,
    }


def test_a_clock_that_was_set_meanwhile_or_was_never_seen_is_not_known() -> None:
    looks = [("set", look(0.0), look(3.0)), ("mute", look(None), None), ("once", None, look(2.0))]
    assert ahead_of_ours(looks) == {"once": 2 * S}


def test_clocks_are_told_against_that_of_the_host_that_measured() -> None:
    ours = {"n1": 90 * S, "n2": -1 * S}
    assert beside(ours, "n1") == {"n1": 0, "n2": -91 * S}
    assert beside(ours, "n3") == {}


def test_only_clocks_that_are_clearly_apart_are_worth_a_word() -> None:
    assert told({"n1": 0, "n2": S // 2}, "n1") == ""
    assert told({"n1": 0, "n2": -91 * S}, "n1") == (
        "clocks are apart from that of n1: n2 by -91.0 s; readings are moved by that"
    )


def test_a_host_whose_clock_is_not_known_is_noted_and_one_alone_is_not() -> None:
    assert unknown(["n1"], {}, "n1") == ()
    assert unknown(["n1", "n2"], {"n1": 0}, "n1") == (
        Reason(Validity.UNWATCHED, "n2: how far its clock is from that of n1; readings are taken as they are"),
    )
