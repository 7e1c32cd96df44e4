"""The grammar of selections: text to a tree, with the column of every part for errors.

    either     = all ("or" all)*
    all        = one ("and" one)*
    one        = "not" one | "(" either ")" | NAME [compare]
    compare    = ("==" | "!=" | "<" | "<=" | ">" | ">=" | "~") VALUE | ["not"] "in" "(" VALUE ("," VALUE)* ")"

A value is a number, text in quotes, or a word of letters, digits and . _ - + / : * ?.
"""

import re
from typing import Literal

import msgspec

from console.catalog.errors import SelectionError

Operator = Literal["==", "!=", "<", "<=", ">", ">=", "~", "in"]

_TOKEN = re.compile(
    r"""\s*(?:
      (?P<text>"(?:\\.|[^"\\])*"|'(?:\\.|[^'\\])*')
    | (?P<operator>==|!=|<=|>=|<|>|~|=)
    | (?P<mark>[(),])
    | (?P<word>[A-Za-z0-9_.+/:*?-]+)
    | (?P<other>\S)
    )""",
    re.VERBOSE | re.DOTALL,
)
_KEYWORDS = ("and", "or", "not", "in")
_NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")
_NUMBER = re.compile(r"[+-]?(\d+\.?\d*|\.\d+)([eE][+-]?\d+)?")
_DEPTH = 100


class Value(msgspec.Struct, frozen=True):
    """A value as written; `number` is set when it reads as one and was not quoted."""

    text: str
    number: float | None
    column: int


class Compare(msgspec.Struct, frozen=True):
    """A name held against values (several only with `in`)."""

    name: str
    operator: Operator
    values: tuple[Value, ...]
    column: int


class Flag(msgspec.Struct, frozen=True):
    """A name alone: true where the value is."""

    name: str
    column: int


class Not(msgspec.Struct, frozen=True):
    """The opposite of a part."""

    part: "Node"


class Both(msgspec.Struct, frozen=True):
    """All parts hold."""

    parts: tuple["Node", ...]


class Either(msgspec.Struct, frozen=True):
    """At least one part holds."""

    parts: tuple["Node", ...]


Node = Compare | Flag | Not | Both | Either


class _Token(msgspec.Struct, frozen=True):
    kind: Literal["text", "operator", "mark", "word", "keyword", "end"]
    text: str
    column: int


def parse(expression: str) -> Node:
    """The tree of an expression. Raises SelectionError with the column where it cannot be read."""
    parser = _Parser(expression)
    node = parser.either()
    parser.end()
    return node


def _tokens(expression: str) -> list[_Token]:
    tokens, position = [], 0
    while position < len(expression):
        match = _TOKEN.match(expression, position)
        if match is None:
            break
        kind = str(match.lastgroup)
        text, column = match[kind], match.start(kind) + 1
        position = match.end()
        if kind == "other":
            message = "this text has no closing quote" if text in "\"'" else f"{text!r} has no meaning here"
            raise SelectionError(expression, column, message)
        if kind == "operator" and text == "=":
            raise SelectionError(expression, column, "one `=` compares nothing; write `==`")
        if kind == "text":
            tokens.append(_Token("text", re.sub(r"\\(.)", r"\1", text[1:-1], flags=re.DOTALL), column))
        elif kind == "word" and text.lower() in _KEYWORDS:
            tokens.append(_Token("keyword", text.lower(), column))
        elif kind in ("operator", "mark", "word"):
            tokens.append(msgspec.convert({"kind": kind, "text": text, "column": column}, _Token))
    tokens.append(_Token("end", "", len(expression.rstrip()) + 1))
    return tokens


class _Parser:
    def __init__(self, expression: str) -> None:
        self.expression = expression
        self.tokens = _tokens(expression)
        self.at = 0
        self.depth = 0

    def end(self) -> None:
        if self.next.kind != "end":
            raise self.wrong("expected `and`, `or` or the end")

    def either(self) -> Node:
        parts = [self.all()]
        while self.took("keyword", "or"):
            parts.append(self.all())
        return parts[0] if len(parts) == 1 else Either(tuple(parts))

    def all(self) -> Node:
        parts = [self.one()]
        while self.took("keyword", "and"):
            parts.append(self.one())
        return parts[0] if len(parts) == 1 else Both(tuple(parts))

    def one(self) -> Node:
        self.depth += 1
        if self.depth > _DEPTH:
            raise self.wrong("too many levels of `not` and parentheses")
        if self.took("keyword", "not"):
            node: Node = Not(self.one())
        elif self.took("mark", "("):
            node = self.either()
            self.expect(")")
        else:
            node = self.comparison()
        self.depth -= 1
        return node

    def comparison(self) -> Node:
        name = self.next
        if name.kind != "word" or not _NAME.fullmatch(name.text):
            raise self.wrong("expected the name of a value, like `model` or `output_len`")
        self.at += 1
        operator = self.next
        if operator.kind == "operator":
            self.at += 1
            compare: Operator = operator.text  # type: ignore[assignment]  # the token pattern admits only these
            return Compare(name.text, compare, (self.value(),), name.column)
        negated = self.took("keyword", "not")
        if not negated and operator.text != "in":
            return Flag(name.text, name.column)
        if not self.took("keyword", "in"):
            raise self.wrong("expected `in` after `not`")
        self.expect("(")
        values = [self.value()]
        while self.took("mark", ","):
            values.append(self.value())
        self.expect(")")
        inside = Compare(name.text, "in", tuple(values), name.column)
        return Not(inside) if negated else inside

    def value(self) -> Value:
        token = self.next
        if token.kind not in ("word", "text"):
            raise self.wrong("expected a number, a word or text in quotes")
        self.at += 1
        number = float(token.text) if token.kind == "word" and _NUMBER.fullmatch(token.text) else None
        return Value(token.text, number, token.column)

    @property
    def next(self) -> _Token:
        return self.tokens[self.at]

    def took(self, kind: str, text: str) -> bool:
        if self.next.kind == kind and self.next.text == text:
            self.at += 1
            return True
        return False

    def expect(self, mark: str) -> None:
        if not self.took("mark", mark):
            raise self.wrong(f"expected `{mark}`")

    def wrong(self, message: str) -> SelectionError:
        found = "the end" if self.next.kind == "end" else f"`{self.next.text}`"
        return SelectionError(self.expression, self.next.column, f"{message}, found {found}")
