"""Splits a Spark SQL expression into tokens, like Spark's lexer for the syntax that a mapping may use."""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final, Literal

Kind = Literal["text", "quoted", "number", "name", "sign"]

_TOKEN: Final = re.compile(
    r"""(?P<lead>\s*)(?:(?P<text>[rR]'[^']*'|[rR]"[^"]*"|'(?:[^'\\]|\\.|'')*'|"(?:[^"\\]|\\.|"")*")
    |(?P<quoted>`(?:[^`]|``)*`)
    |(?P<number>(?:\d+(?:\.\d*)?|\.\d+)(?:[eE][+-]?\d+)?(?:[lLsSyYdDfF]|[bB][dD])?(?!\w))
    |(?P<name>\w+)
    |(?P<sign>::|->|=>|\|>|--|/\*|\S))""",
    re.VERBOSE | re.DOTALL,
)


@dataclass(frozen=True)
class Token:
    """A piece of an expression; all pieces joined are the expression."""

    kind: Kind
    raw: str
    lead: str = " "
    """The white space before it."""

    @property
    def name(self) -> str:
        """The identifier in lower case, without backticks; empty for other tokens."""
        if self.kind == "quoted":
            return self.raw[1:-1].replace("``", "`").lower()
        return self.raw.lower() if self.kind == "name" else ""


def quoted(name: str) -> str:
    """Return the column name in backticks, with those within the name doubled: Spark SQL then reads any name."""
    return f"`{name.replace('`', '``')}`"


def tokens_of(expression: str) -> list[Token]:
    """Return the expression's tokens."""
    found = []
    for match in _TOKEN.finditer(expression):
        kind: Kind = match.lastgroup  # type: ignore[assignment]  # the pattern's other groups are the kinds
        found.append(Token(kind, match[kind], match["lead"]))
    return found


def closing(tokens: Sequence[Token], start: int) -> int:
    """Return the index of the bracket that closes the one at `start`, or the last index where none does."""
    depth = 0
    for place in range(start, len(tokens)):
        if tokens[place].raw in ("(", "["):
            depth += 1
        elif tokens[place].raw in (")", "]"):
            depth -= 1
            if depth == 0:
                return place
    return len(tokens) - 1


def arguments(tokens: Sequence[Token]) -> list[list[Token]]:
    """Return the tokens between top-level commas."""
    parts: list[list[Token]] = [[]]
    depth = 0
    for token in tokens:
        depth += (token.raw in ("(", "[")) - (token.raw in (")", "]"))
        if token.raw == "," and depth == 0:
            parts.append([])
        else:
            parts[-1].append(token)
    return parts


def joined(tokens: Sequence[Token]) -> str:
    """Return the tokens as an expression."""
    return "".join(token.lead + token.raw for token in tokens).strip()


def operand_start(tokens: Sequence[Token]) -> int:
    """Return the index at which the last operand begins: a literal, a column, a call or a bracket."""
    place = len(tokens) - 1
    while place > 0:
        if tokens[place].raw in (")", "]"):
            depth = 0
            while place >= 0:
                depth += (tokens[place].raw in (")", "]")) - (tokens[place].raw in ("(", "["))
                if depth == 0:
                    break
                place -= 1
            if place > 0 and (tokens[place - 1].kind in ("name", "quoted") or tokens[place - 1].raw in (")", "]")):
                place -= 1
                continue
            return max(place, 0)
        if tokens[place - 1].raw == ".":
            place -= 2
            continue
        break
    return max(place, 0)
