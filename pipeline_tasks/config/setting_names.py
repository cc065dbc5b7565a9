"""Checks the names of environment variables. A misspelt setting is refused, because it would silently do nothing."""

import re
from collections.abc import Iterator, Mapping
from difflib import get_close_matches
from typing import Final, get_origin

from pydantic import BaseModel, ConfigDict, ValidationError

PREFIX: Final = "NIGHTSHELF_"
DELIMITER: Final = "__"
_OURS: Final = r"BENCH_\w+|VERSION"
"""Variables of the benchmarks (tests/benchmarks), and the image's tag (docker/compose.yaml)."""
# Kubernetes sets variables for each service. For a service called nightshelf they are NIGHTSHELF_SERVICE_HOST,
# NIGHTSHELF_PORT_80_TCP_ADDR and NIGHTSHELF_PORT=tcp://….
_SERVICES: Final = r"(\w+_)?(SERVICE_(HOST|PORT)(_\w+)?|PORT_\d+_(TCP|UDP)\w*)"
_OF_OTHERS: Final = re.compile(f"{PREFIX}({_OURS}|{_SERVICES})")
_OF_A_SERVICE: Final = re.compile(r"(tcp|udp)://")
_SECRET: Final = re.compile(r"[@{]")
"""Characters of a DSN and of JSON. Both may contain a password."""
_NEAR: Final = 0.75
"""Cutoff of `get_close_matches`: NIGHTSHELF_TOP_K (.76) finds NIGHTSHELF_SCORING__TOP_K; NIGHTSHELF_QXZJ finds none."""


class SettingError(ValueError):
    """The environment has an unknown setting or an invalid value."""


class SettingsGroup(BaseModel):
    """Settings of one group; an unknown name is refused."""

    model_config = ConfigDict(extra="forbid")


def reject_unknown_variables(environment: Mapping[str, str], form: type[BaseModel]) -> None:
    """Raise SettingError for all variables with our prefix that are no field of `form`, with the nearest field."""
    known = dict(_names(form, PREFIX))
    unknown = [
        _refusal(name, value, known)
        for name, value in sorted(environment.items())
        if name.upper().startswith(PREFIX) and not _is_known(name.upper(), known) and not _is_of_others(name, value)
    ]
    if unknown:
        raise SettingError("; ".join(unknown))


def validation_errors(error: ValidationError) -> SettingError:
    """Return an error that names the invalid values by their environment variables."""
    return SettingError(
        "; ".join(_invalid_value(detail["loc"], detail["input"], detail["msg"]) for detail in error.errors())
    )


def _names(form: type[BaseModel], prefix: str) -> Iterator[tuple[str, bool]]:
    """Yield the variable name of every field, and whether a dictionary key may follow it."""
    for field, about in form.model_fields.items():
        name, kind = f"{prefix}{field.upper()}", about.annotation
        yield name, get_origin(kind) is dict
        if isinstance(kind, type) and issubclass(kind, BaseModel):
            yield from _names(kind, f"{name}{DELIMITER}")


def _is_known(name: str, known: Mapping[str, bool]) -> bool:
    is_key = any(is_dict and name.startswith(f"{one}{DELIMITER}") for one, is_dict in known.items())
    return name in known or is_key


def _is_of_others(name: str, value: str) -> bool:
    return bool(_OF_OTHERS.fullmatch(name) or _OF_A_SERVICE.match(value))


def _refusal(name: str, value: str, known: Mapping[str, bool]) -> str:
    nearest = get_close_matches(name.upper(), known, n=1, cutoff=_NEAR)
    remedy = f"write {nearest[0]}" if nearest else "remove it; pipeline_tasks/config/settings.py lists what there is"
    return f"{name}={_shown(value)} is not a setting and would have no effect: {remedy}"


def _invalid_value(place: tuple[int | str, ...], value: object, message: str) -> str:
    name = PREFIX + DELIMITER.join(str(part).upper() for part in place)
    return f"{name}={_shown(str(value))}: {message}"


def _shown(value: str) -> str:
    return "…" if _SECRET.search(value) else value
