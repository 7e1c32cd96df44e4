"""Which attempt gets which hosts."""

from console.runs.schedule import Turn, Waiting, turns


def test_a_row_that_may_go_elsewhere_is_kept_off_a_host_that_refused_the_last_one() -> None:
    waiting = [Waiting("a1", 1, ("bad", "good")), Waiting("a2", 1, ("bad", "good"))]

    assert turns(waiting, {"bad", "good"}, {"bad"}) == (Turn("a1", ("good",)),)
    assert turns(waiting, {"bad"}, {"bad"}) == ()


def test_a_row_that_may_go_nowhere_else_is_given_the_host_all_the_same() -> None:
    assert turns([Waiting("a1", 1, ("bad",))], {"bad", "good"}, {"bad"}) == (Turn("a1", ("bad",)),)
    assert turns([Waiting("a1", 2, ("bad", "good"))], {"bad", "good"}, {"bad"}) == (Turn("a1", ("bad", "good")),)


def test_a_row_of_several_hosts_holds_back_the_hosts_it_waits_for() -> None:
    waiting = [Waiting("wide", 2, ("a", "b")), Waiting("narrow", 1, ("a", "b")), Waiting("other", 1, ("c",))]

    assert turns(waiting, {"a", "c"}) == (Turn("other", ("c",)),)
    assert turns(waiting, {"a", "b", "c"}) == (Turn("wide", ("a", "b")), Turn("other", ("c",)))
