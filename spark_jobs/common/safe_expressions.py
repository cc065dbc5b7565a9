"""Checks an expression of a source's TOML before Spark runs it, and makes it safe for any value.

An expression runs with the rights of the job, and must give the same result in every run. Therefore names must be
columns of the file, functions must be on an allow-list, and nothing may read another table, a setting or the clock.
The checks work on tokens, without Spark, so they are the same with a Spark Connect server.
"""

from collections.abc import Collection, Sequence
from typing import Final

from pipeline_tasks.sources.sources import SourceError
from spark_jobs.common.expression_functions import CONDITION_WORDS, LITERAL_FUNCTIONS, TOLERANT, refusal_reason
from spark_jobs.common.expression_tokens import Token, arguments, closing, joined, operand_start, tokens_of

HIDDEN: Final = frozenset({"ds", "arrived", "_row", "_record_id", "_corrupt", "_metadata", "_ts", "_kept"})
"""Columns that landing or Spark's scans add to those of the file."""

_SIGNS: Final = frozenset("()[],.:+-*/%&|^~<>=!") | {"::", "->", "=>"}
_TIME_OF_TEXT: Final = {
    "timestamp": 0,
    "to_timestamp": 0,
    "to_timestamp_ltz": 0,
    "try_to_timestamp": 0,
    "to_utc_timestamp": 0,
    "from_utc_timestamp": 0,
    "date_trunc": 1,
    "timestampadd": 2,
    "dateadd": 2,
    "date_add": 2,
}
"""Function -> index of the argument that is cast to a timestamp where it is text."""
_ONE_ARGUMENT: Final = ("to_timestamp", "to_timestamp_ltz", "try_to_timestamp")
"""Functions that do not cast when a second argument gives the format."""
_TIMES: Final = ("timestamp", "timestamp_ltz")
_INTERVALS: Final = ("interval", "make_interval", "make_dt_interval", "make_ym_interval")
_RELATIVE: Final = ("now", "today", "yesterday", "tomorrow")
FIRST_SECOND: Final = -62_135_596_800
LAST_SECOND: Final = 253_402_300_799
"""Epochs of the first second of year 1 and the last of year 9999, the range of times that every other tool supports."""
_EPOCH: Final = {"timestamp_seconds": 1, "timestamp_millis": 1_000, "timestamp_micros": 1_000_000}


def safe_expression(expression: str, columns: Collection[str], where: str) -> str:
    """Return the expression in a form that fails the job at no value of the file; `columns` are those of the file.

    As times, an epoch outside of the years 1 to 9999 and a text without a whole date become NULL.

    Raises:
        SourceError: a name is no column of the file but has a meaning to Spark, or a part is not allowed.
    """
    tokens = tokens_of(expression)
    named = f"{where} = {expression!r}"
    _check_signs(tokens, named)
    known = {name.lower() for name in columns}
    aliases = _alias_places(tokens)
    for place in range(len(tokens)):
        _check_word(tokens, place, named)
        if place not in aliases:
            _check_name(tokens, place, known, columns, named, where)
    return _tolerant(tokens)


def has_date(text: str) -> str:
    """Return the SQL condition that the SQL expression `text`, a string, begins with a whole date.

    Spark would cast a time alone to that time of today, and a year alone to its first day. A time alone begins with two
    digits, and Spark reads no time after an incomplete date. So a text that begins with 200 to 209 and has a colon is
    no such text; the regular expression runs only for others.
    """
    usual = f"{text} >= '200' AND {text} < '20:' AND contains({text}, ':')"
    return f"(({usual}) OR {text} RLIKE '^[ \\t\\r\\n]*[0-9]{{4}}-[0-9]{{1,2}}-[0-9]')"


def unmapped(named: str, reason: str, columns: Collection[str], where: str) -> SourceError:
    """Return the error for a mapping that does not fit the files."""
    names = [name for name in columns if not name.startswith("_")]
    return SourceError(
        f"{named} does not fit the files: {reason} The files have the columns {', '.join(names)}: "
        f"correct {where} in the source's TOML"
    )


def _check_signs(tokens: Sequence[Token], named: str) -> None:
    for token in tokens:
        if token.kind == "sign" and token.raw not in _SIGNS:
            fault = {"'": "a quote is never closed", '"': "a quote is never closed", "`": "a quote is never closed"}
            fault |= dict.fromkeys(("--", "/*"), "it holds a comment: comments of the TOML begin with #")
            reason = fault.get(token.raw, f"{token.raw!r} has no place in an expression")
            raise SourceError(f"{named} cannot be used: {reason}")


def _check_word(tokens: Sequence[Token], place: int, named: str) -> None:
    """Reject subqueries, scripts and constants that depend on the day of the run."""
    token, before, after = tokens[place], _raw(tokens, place - 1), _raw(tokens, place + 1)
    if token.kind == "name" and before != ".":
        query = token.name in ("select", "using") or (token.name == "from" and before == "(")
        query |= token.name == "table" and place + 1 < len(tokens) and tokens[place + 1].kind != "sign"
        if query:
            raise SourceError(
                f"{named} cannot be used: {token.raw} begins a query, and an expression reads one record of the file; "
                f"if a column is called so, write `{token.raw}` with backticks"
            )
    if token.kind != "text":
        return
    literal_words = token.raw.strip("rR").strip("'\"").lower().split()
    is_typed_literal = before.lower() in ("date", *_TIMES, "timestamp_ntz")
    is_converted = before == "(" and _raw(tokens, place - 2).lower() in (
        "date",
        "to_date",
        "cast",
        "try_cast",
        *_TIME_OF_TEXT,
    )
    is_relative = bool(literal_words) and literal_words[0] in _RELATIVE
    if (is_relative and (is_typed_literal or is_converted or after == "::")) or (
        is_typed_literal and not (literal_words and literal_words[0][:4].isdigit())
    ):
        raise SourceError(
            f"{named} cannot be used: {token.raw} is another time on another day; write a date, like DATE '2026-11-20'"
        )


def _check_name(
    tokens: Sequence[Token], place: int, known: Collection[str], columns: Collection[str], named: str, where: str
) -> None:
    token, before, after = tokens[place], _raw(tokens, place - 1), _raw(tokens, place + 1)
    if not token.name:
        return
    if after == "(":
        if token.kind == "name" and token.name in CONDITION_WORDS:
            return
        reason = "functions are called by their bare names" if before == "." else refusal_reason(token.name)
        if reason is None and token.name in ("unix_timestamp", "to_unix_timestamp") and _raw(tokens, place + 2) == ")":
            reason = "without an argument it returns the time of the run"
        if reason:
            raise SourceError(f"{named} calls {token.raw}, which a mapping may not: {reason}")
    elif before != "." and token.name not in known:
        if token.name in LITERAL_FUNCTIONS:
            raise unmapped(
                named,
                f"they have no column `{token.name}`, and Spark would take the name for a function. For JSON, name "
                "the column in fields if the first lines do not show it.",
                columns,
                where,
            )
        if token.name in HIDDEN:
            raise unmapped(named, f"they have no column `{token.name}`.", columns, where)


def _alias_places(tokens: Sequence[Token]) -> set[int]:
    """Return the indices of the aliases in an expression: after AS, alone or in brackets."""
    places: set[int] = set()
    for place, token in enumerate(tokens):
        if token.kind == "name" and token.name == "as":
            end = closing(tokens, place + 1) if _raw(tokens, place + 1) == "(" else place + 1
            if _raw(tokens, end + 1) != "(":
                places.update(range(place + 1, end + 1))
    return places


def _tolerant(tokens: Sequence[Token]) -> str:
    """Return the tokens as an expression, with safe forms of calls that could fail the job or read the clock."""
    done: list[Token] = []
    place = 0
    while place < len(tokens):
        token = tokens[place]
        if token.name and _raw(tokens, place + 1) == "(" and token.name not in CONDITION_WORDS:
            end = closing(tokens, place + 1)
            done.append(Token("sign", _call(token, tokens[place + 2 : end]), token.lead))
            # The call becomes one token, because it is one operand.
            place = end + 1
            continue
        is_cast = token.raw == "::" and _raw(tokens, place + 1).lower() in _TIMES
        is_sum = token.raw in ("+", "-") and _is_interval(tokens[place + 1 : place + 3])
        if done and (is_cast or is_sum):
            _guard_last(done)
        done.append(token)
        place += 1
    return joined(done)


def _is_interval(tokens: Sequence[Token]) -> bool:
    if len(tokens) < 2 or tokens[0].name not in _INTERVALS:
        return False
    return tokens[1].kind in ("text", "number") or tokens[1].raw == "("


def _guard_last(done: list[Token]) -> None:
    """Wrap the last operand of `done` in `_dated`, unless it is a constant or a CASE."""
    start = operand_start(done)
    constant = start > 0 and done[start - 1].name in ("date", *_TIMES, "timestamp_ntz", "interval")
    known_time = done[start].raw.startswith(
        ("CASE WHEN", "cast(", "try_cast(", *(f"{name}(" for name in _TIME_OF_TEXT))
    )
    if constant or known_time or done[start].name == "end":
        return
    done[start:] = [Token("sign", _dated(joined(done[start:])))]


def _call(token: Token, inside: Sequence[Token]) -> str:
    name = token.name
    if name in ("cast", "try_cast"):
        return f"{name}({_cast(inside)})"
    values = [_tolerant(part) for part in arguments(inside)]
    if name in _EPOCH and len(values) == 1:
        low, high = FIRST_SECOND * _EPOCH[name], (LAST_SECOND + 1) * _EPOCH[name] - 1
        return f"CASE WHEN ({values[0]}) BETWEEN {low}L AND {high}L THEN {name}({values[0]}) END"
    place = _TIME_OF_TEXT.get(name)
    casts = place is not None and place < len(values) and (len(values) == 1 or name not in _ONE_ARGUMENT)
    if place is not None and casts:
        values[place] = _dated(values[place])
    return f"{TOLERANT.get(name, token.raw)}({', '.join(values)})"


def _cast(inside: Sequence[Token]) -> str:
    depth = 0
    for place, token in enumerate(inside):
        depth += (token.raw in ("(", "[")) - (token.raw in (")", "]"))
        if depth == 0 and token.name == "as" and token.kind == "name":
            value, kind = _tolerant(inside[:place]), joined(inside[place + 1 :])
            return f"{_dated(value) if kind.lower() in _TIMES else value} AS {kind}"
    return _tolerant(inside)


def _dated(value: str) -> str:
    """Return SQL for `value` that is NULL for a text without a whole date. Spark folds typeof to a constant."""
    return f"CASE WHEN typeof({value}) <> 'string' OR {has_date(f'string({value})')} THEN {value} END"


def _raw(tokens: Sequence[Token], place: int) -> str:
    return tokens[place].raw if 0 <= place < len(tokens) else ""
