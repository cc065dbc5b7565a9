"""Checks the values of ``--set`` against the forms of the chain's DAGs, before anything runs.

The chain's first DAG gets the choices of all DAGs and passes on those of the others unchecked. A misspelt name would
have no effect, and a wrong value would fail half an hour later or be misread.
"""

import json
from collections.abc import Mapping, Sequence
from difflib import get_close_matches
from typing import Any, Final

from jsonschema import Draft7Validator, FormatChecker, ValidationError  # type: ignore[import-untyped]

_SEPARATE_OPTIONS: Final = {"target_date": "--date", "source": "--source", "source_path": "--source-path"}
"""Fields of the run key, and the path, which is resolved on this machine."""


def read_choices(given: Sequence[str], fields: Mapping[str, Mapping[str, Any]]) -> dict[str, Any]:
    """Return the choices of the texts ``NAME=VALUE``, with the types of their fields. `fields`: JSON schema by name.

    Raises:
        ValueError: a text does not fit; the message names it, the cause and the remedy.
    """
    return dict(_read_choice(text, fields) for text in given)


def _read_choice(text: str, fields: Mapping[str, Mapping[str, Any]]) -> tuple[str, Any]:
    name, equals, value = text.partition("=")
    if not equals:
        raise ValueError(f"--set {text!r} is not NAME=VALUE, for example --set epochs=2")
    if name in _SEPARATE_OPTIONS:
        raise ValueError(f"--set {text!r}: {name} has an option of its own, {_SEPARATE_OPTIONS[name]}")
    if name not in fields:
        settable = sorted(set(fields) - set(_SEPARATE_OPTIONS))
        meant = "".join(f"; is it {close}?" for close in get_close_matches(name, settable, n=1))
        raise ValueError(f"--set {text!r}: no form has a field {name!r}{meant or '.'} There are {', '.join(settable)}")
    return name, _valid_reading(text, value, fields[name])


def _valid_reading(text: str, value: str, schema: Mapping[str, Any]) -> Any:  # noqa: ANN401
    """Return the first valid reading of `value` for the field: as JSON, as text, or as a comma-separated list."""
    check = Draft7Validator(schema, format_checker=FormatChecker())
    readings = [*_as_json(value), value, value.split(",")]
    for reading in readings:
        if check.is_valid(reading):
            return reading
    problem = _nearest_problem(check, readings)
    raise ValueError(f"--set {text!r} does not fit the field {schema.get('title', '')}: {problem}")


def _nearest_problem(check: Draft7Validator, readings: Sequence[Any]) -> str:
    """Return the problem of the first reading of the right type, else that of the first reading."""
    problems: list[ValidationError] = [next(check.iter_errors(reading)) for reading in readings]
    message: str = next((problem for problem in problems if problem.validator != "type"), problems[0]).message
    return message


def _as_json(value: str) -> list[Any]:
    try:
        return [json.loads(value)]
    except json.JSONDecodeError:
        return []
