"""Selection expressions: what they choose, and where they are wrong."""

import operator
from collections.abc import Callable, Sequence

import pytest
from hypothesis import given
from hypothesis import strategies as st

from console.catalog.columns import cell_value
from console.catalog.errors import EmptySelection, SelectionError
from console.catalog.expression import parse
from console.catalog.selection import select
from console.catalog.shelf import Catalog, load
from console.model.cell import AnyCell

CELLS: Sequence[AnyCell] = tuple(cell for matrix in load().matrices.values() for cell in matrix.cells)


@pytest.mark.parametrize(
    ("expression", "count"),
    [
        ("model~70B and output_len==2048", 2),
        ("model~70b AND output_len == 2048", 2),
        ("model~405B", 4),
        ("model=='amd/Llama-3.1-70B-Instruct-FP8-KV'", 4),
        ('title=="llama 3.1 70b"', 4),
        ("id==llama-3.1-70b-in128-out2048-n3200", 1),
        ("id~*-n1500", 4),
        ("id~in128-out????-n3200", 0),
        ("id~*in128-out????-n3200", 1),
        ("input_len<=500", 6),
        ("input_len>500 or num_prompts>=3000", 3),
        ("input_len in (128, 500) and not output_len in (4096)", 4),
        ("input_len not in (128, 500)", 2),
        ("not (model~70B or input_len==2048)", 3),
        ("num_prompts==1.5e3", 4),
        ("num_prompts!=1500", 4),
        ("gpu_memory_utilization==0.9", 8),
        ("precision==fp8 and gpus==8 and nodes<2", 8),
        ("quantization==none", 0),
        ("dtype==none", 8),
        ("dtype~none", 0),
        ("enforce_eager", 0),
        ("trust_remote_code and not enforce_eager", 8),
        ("trust_remote_code==on", 8),
        ("model~70B or model~405B and input_len==128", 6),
        ("(model~70B or model~405B) and input_len==128", 4),
        ("", 8),
    ],
)
def test_an_expression_chooses_its_cells(shipped: Catalog, expression: str, count: int) -> None:
    cells = shipped.matrix("vllm-0.8.5-throughput").cells
    if count == 0:
        with pytest.raises(EmptySelection):
            select(cells, expression)
    else:
        chosen = select(cells, expression)
        assert len(chosen) == count
        assert list(chosen) == [cell for cell in cells if cell in chosen]


def test_no_expression_chooses_everything(shipped: Catalog) -> None:
    cells = shipped.matrix("vllm-0.8.5-latency").cells
    assert select(cells, None) == cells


def test_a_cell_without_the_parameter_does_not_match(shipped: Catalog) -> None:
    cells = shipped.matrix("pytorch-25.5-mi300x").cells
    assert len(select(cells, "sequence_length==8192")) == 5
    assert len(select(cells, "sequence_length!=8192")) == 2
    assert len(select(cells, "not sequence_length==8192")) == 3
    assert [cell.id for cell in select(cells, "not sequence_length>0")] == ["flux-bf16-b10"]


@pytest.mark.parametrize(
    ("expression", "column", "message"),
    [
        ("modle~70B", 1, "no cell has a value called 'modle'; did you mean model?"),
        ("model~70B and ouput_len==1", 15, "no cell has a value called 'ouput_len'; did you mean output_len?"),
        ("model=70B", 6, "one `=` compares nothing; write `==`"),
        ("model==", 8, "expected a number, a word or text in quotes, found the end"),
        ("model~70B and", 14, "expected the name of a value, like `model` or `output_len`, found the end"),
        ("model~70B nodes==1", 11, "expected `and`, `or` or the end, found `nodes`"),
        ("(model~70B", 11, "expected `)`, found the end"),
        ("model~70B)", 10, "expected `and`, `or` or the end, found `)`"),
        ("nodes in 1, 2", 10, "expected `(`, found `1`"),
        ("nodes in (1, 2", 15, "expected `)`, found the end"),
        ("nodes not 1", 11, "expected `in` after `not`, found `1`"),
        ("title=='Llama", 8, "this text has no closing quote"),
        ("model & nodes", 7, "'&' has no meaning here"),
        ("nodes==many", 8, "nodes is a number, 'many' is none"),
        ("nodes==1 or nodes==many", 20, "nodes is a number, 'many' is none"),
        ("model<5", 1, "model is no number; use ==, != or ~"),
        ("enforce_eager==maybe", 16, "enforce_eager is true or false, not 'maybe'"),
        ("nodes", 1, "nodes is 1 and not simply true or false; compare it"),
        ("128==input_len", 1, "expected the name of a value, like `model` or `output_len`, found `128`"),
        ("not " * 200 + "enforce_eager", 401, "too many levels of `not` and parentheses, found `not`"),
    ],
)
def test_a_mistake_points_at_its_column(shipped: Catalog, expression: str, column: int, message: str) -> None:
    with pytest.raises(SelectionError) as caught:
        select(shipped.matrix("vllm-0.8.5-throughput").cells, expression)
    assert caught.value.column == column
    assert str(caught.value) == f"column {column}: {message}\n  {expression}\n  {' ' * (column - 1)}^"


def test_an_empty_selection_says_what_there_is(shipped: Catalog) -> None:
    with pytest.raises(EmptySelection, match="selects none of the 8 cells; input_len is 128, 500, 2048"):
        select(shipped.matrix("vllm-0.8.5-throughput").cells, "input_len==77")


ORDERS: dict[str, Callable[[int, int], bool]] = {
    "==": operator.eq,
    "!=": operator.ne,
    "<": operator.lt,
    "<=": operator.le,
    ">": operator.gt,
    ">=": operator.ge,
}
NUMBERS = ("nodes", "gpus", "gpus_per_node")


@st.composite
def comparisons(draw: st.DrawFn) -> tuple[str, Callable[[AnyCell], bool]]:
    """An expression with what it means, put together independently of the parser."""
    name, order, number = draw(st.sampled_from(NUMBERS)), draw(st.sampled_from(list(ORDERS))), draw(st.integers(0, 70))
    blanks = draw(st.sampled_from(["", " ", "  "]))
    return f"{name}{blanks}{order}{blanks}{number}", lambda cell: ORDERS[order](cell_value(cell, name), number)


def combined(
    parts: st.SearchStrategy[tuple[str, Callable[[AnyCell], bool]]],
) -> st.SearchStrategy[tuple[str, Callable[[AnyCell], bool]]]:
    both = st.tuples(parts, parts)
    return st.one_of(
        both.map(lambda two: (f"({two[0][0]}) and ({two[1][0]})", lambda c: two[0][1](c) and two[1][1](c))),
        both.map(lambda two: (f"({two[0][0]} or {two[1][0]})", lambda c: two[0][1](c) or two[1][1](c))),
        parts.map(lambda one: (f"not ({one[0]})", lambda c: not one[1](c))),
    )


@given(st.recursive(comparisons(), combined, max_leaves=8))
def test_an_expression_means_what_its_parts_mean(made: tuple[str, Callable[[AnyCell], bool]]) -> None:
    expression, meaning = made
    expected = tuple(cell for cell in CELLS if meaning(cell))
    try:
        assert select(CELLS, expression) == expected
    except EmptySelection:
        assert expected == ()


@given(st.text(alphabet="modelnodesin()'\"<>=!~,. 0123456789andornot_*?", max_size=40))
def test_any_text_chooses_cells_or_is_a_mistake_with_a_column(text: str) -> None:
    try:
        chosen = select(CELLS, text)
    except EmptySelection:
        return
    except SelectionError as error:
        column = error.column
    else:
        assert set(map(id, chosen)) <= set(map(id, CELLS))
        return
    assert 1 <= column <= len(text) + 1


@given(st.text(alphabet=st.characters(codec="utf-8"), max_size=30))
def test_a_quoted_value_is_kept_as_it_is(value: str) -> None:
    quoted = value.replace("\\", "\\\\").replace('"', '\\"')
    node = parse(f'model=="{quoted}"')
    assert node.values[0].text == value  # type: ignore[union-attr]  # a single comparison is a Compare
