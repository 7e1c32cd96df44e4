"""Host names as ranges, and back."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from console.fleet.ranges import expand, fold


@pytest.mark.parametrize(
    ("names", "patterns"),
    [
        (["node01", "node02", "node03"], ("node[01-03]",)),
        (["node08", "node09", "node10", "node12"], ("node[08-10,12]",)),
        (["node8", "node9", "node10"], ("node[8-10]",)),
        (["node8", "node08", "node10"], ("node8", "node[08,10]")),
        (["login", "gpu-r1-n3.lab", "gpu-r1-n4.lab", "gpu-r2-n3.lab"], ("login", "gpu-r1-n[3-4].lab", "gpu-r2-n3.lab")),
        (["b2", "a1", "b1"], ("b[1-2]", "a1")),
        (["node01"], ("node01",)),
        ([], ()),
    ],
)
def test_names_are_folded_as_people_number_hosts(names: list[str], patterns: tuple[str, ...]) -> None:
    assert fold(names) == patterns


@given(st.lists(st.from_regex(r"\A[ab]-?[0-9]{0,3}(?:x[0-9]{1,2})?\.?[c]?\Z"), max_size=30))
def test_what_is_folded_stands_for_the_same_hosts(names: list[str]) -> None:
    assert sorted(name for pattern in fold(names) for name in expand(pattern)) == sorted(set(names))
