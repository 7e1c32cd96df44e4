"""Lines of keys in TOML texts, also in texts made to mislead."""

import tomllib
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from console.catalog.locate import KeyPath, key_text, line_of

TEXT = """\
name = "rows = ["        # group = 1
note = 'a = 1, name = 2'
columns = [
  # { key = "not me" },
  { key = "one" },
  { key = "[two, 2]" },
]
under = { gpu = "MI300X", "odd key" = 1 }

[parameters]
tensor_parallel = 8

[[group]]
rows = [
  { a = 1, b = [1, 2] }, { a = 2 },
  { a = 3 },
]

[[group]]
model = "rows"
rows = [{ a = 4 }]
[group.extra]
a = 5
"""


@pytest.mark.parametrize(
    ("path", "line"),
    [
        (("name",), 1),
        (("note",), 2),
        (("columns",), 3),
        (("columns", 0), 5),
        (("columns", 0, "key"), 5),
        (("columns", 1, "key"), 6),
        (("under", "gpu"), 8),
        (("under", "odd key"), 8),
        (("parameters", "tensor_parallel"), 11),
        (("group", 0), 13),
        (("group", 0, "rows", 1, "a"), 15),
        (("group", 0, "rows", 2, "a"), 16),
        (("group", 0, "rows", 0, "b", 1), 15),
        (("group", 1, "model"), 20),
        (("group", 1, "rows", 0, "a"), 21),
        (("group", 1, "extra", "a"), 23),
        (("group", 1, "rows", 0, "absent"), 21),
        (("group", 7, "rows"), None),
        (("absent",), None),
        ((), None),
    ],
)
def test_the_line_of_a_value(path: KeyPath, line: int | None) -> None:
    assert line_of(TEXT, path) == line


def test_a_path_for_people_counts_from_one() -> None:
    assert key_text(("group", 0, "rows", 2, "odd key")) == 'group#1.rows#3."odd key"'


keys = st.text(alphabet="abcdef_", min_size=1, max_size=3)
values = st.one_of(st.integers(0, 9).map(str), st.sampled_from(['"x = 1"', "'# a'", "[1, 2]", '"["', "true"]))


@given(st.lists(st.tuples(keys, st.lists(st.tuples(keys, values), min_size=1, max_size=3)), min_size=1, max_size=4))
def test_every_key_of_a_row_is_found_on_its_line(tables: list[tuple[str, list[tuple[str, str]]]]) -> None:
    lines, wanted = [], {}
    for number, (comment, pairs) in enumerate(tables):
        lines += [f"# {comment} = 1", "[[row]]"]
        for key, value in dict(pairs).items():
            lines.append(f"{key} = {value} # {comment}")
            wanted["row", number, key] = len(lines)
    text = "\n".join(lines)
    data: dict[str, Any] = tomllib.loads(text)
    assert len(data["row"]) == len(tables)
    for path, line in wanted.items():
        assert line_of(text, path) == line
