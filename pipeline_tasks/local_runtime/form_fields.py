"""Holds what ``--set`` gives against the forms of the chain's DAGs, before anything runs.

The chain's first DAG is given the choices of all three, and hands on those of the others unseen: a misspelt name would
be of no effect, and a wrong value would fail, or be taken for another, half an hour later.
"""

import json
from collections.abc import Mapping, Sequence
from difflib import get_close_matches
from typing import Any, Final

from jsonschema import Draft7Validator, FormatChecker, ValidationError  # type: ignore[import-untyped]

OPTIONS_OF_THEIR_OWN: Final = {"target_date": "--date", "source": "--source", "source_path": "--source-path"}
"""Fields that decide which night is followed, or a path that a server would look for elsewhere."""


def read_choices(given: Sequence[str], fields: Mapping[str, Mapping[str, Any]]) -> dict[str, Any]:
    """Return the choices that texts ``NAME=VALUE`` make, each as its field takes it. `fields`: JSON schema by name.

    Raises ValueError naming the text, what is wrong with it, and what fits.
    """
    return dict(_read_choice(text, fields) for text in given)


def _read_choice(text: str, fields: Mapping[str, Mapping[str, Any]]) -> tuple[str, Any]:
    name, equals, value = text.partition("=")
    if not equals:
        raise ValueError(f"--set {text!r} is not NAME=VALUE, for example --set epochs=2")
    if name in OPTIONS_OF_THEIR_OWN:
        raise ValueError(f"--set {text!r}: {name} has an option of its own, {OPTIONS_OF_THEIR_OWN[name]}")
    if name not in fields:
        settable = sorted(set(fields) - set(OPTIONS_OF_THEIR_OWN))
        meant = "".join(f"; is it {close}?" for close in get_close_matches(name, settable, n=1))
        raise ValueError(f"--set {text!r}: no form has a field {name!r}{meant or '.'} There are {', '.join(settable)}")
    return name, _fitting(text, value, fields[name])


def _fitting(text: str, value: str, schema: Mapping[str, Any]) -> Any:  # noqa: ANN401
    """Return the first reading of `value` that the field takes: as JSON, as text, as a list parted by commas."""
    check = Draft7Validator(schema, format_checker=FormatChecker())
    readings = [*_as_json(value), value, value.split(",")]
    for reading in readings:
        if check.is_valid(reading):
            return reading
    problem = _nearest_problem(check, readings)
    raise ValueError(f"--set {text!r} does not fit the field {schema.get('title', '')}: {problem}")


def _nearest_problem(check: Draft7Validator, readings: Sequence[Any]) -> str:
    """Return what is wrong with the first reading of a fitting type, else with the first of all."""
    problems: list[ValidationError] = [next(check.iter_errors(reading)) for reading in readings]
    said: str = next((problem for problem in problems if problem.validator != "type"), problems[0]).message
    return said


def _as_json(value: str) -> list[Any]:
    try:
        return [json.loads(value)]
    except json.JSONDecodeError:
        return []
