"""Renders docs/reference/settings.md from the settings and their docstrings."""

import ast
import inspect
import json
from collections.abc import Iterator
from itertools import pairwise
from pathlib import Path
from types import NoneType
from typing import Any, Final, Literal, get_args, get_origin

from pydantic import AliasChoices, BaseModel
from pydantic.fields import FieldInfo

from pipeline_tasks.config.setting_names import DELIMITER, PREFIX
from pipeline_tasks.config.settings import REPOSITORY, Settings

_INTRODUCTION: Final = """# Settings

Every setting is an environment variable. A mapping is JSON, or is set entry by entry:
`NIGHTSHELF_TRAINING__EVENT_WEIGHTS__VIEW=0.2`. A name that is not a setting is refused with the nearest one.

The servers read the environment of `nightshelf up`: after a change run `make down`, then `make up`. In containers,
settings go into `docker/nightshelf.env` ([operations](../guides/operations.md#settings-of-the-containers)).

`python -m pipeline_tasks.reference` renders this page from `pipeline_tasks/config/settings.py` and the modules that it
imports.
"""
_BOUNDS: Final = {"ge": "≥", "gt": ">", "le": "≤", "lt": "<"}


def render_settings() -> str:
    """Return the page: one table for each group of settings."""
    return "\n".join([_INTRODUCTION, *_sections(Settings, "General", PREFIX)])


def _sections(form: type[BaseModel], title: str, prefix: str) -> Iterator[str]:
    meanings = _field_docstrings(form)
    groups = {name: kind for name, field in form.model_fields.items() if (kind := _group(field))}
    rows = [
        f"| {_variables(name, field, prefix)} | {_values(field)} | {_default(field)} | {meanings.get(name, '')} |"
        for name, field in form.model_fields.items()
        if name not in groups
    ]
    head = ["| variable | values | default | meaning |", "|---|---|---|---|"]
    about = [] if form is Settings else [inspect.cleandoc(form.__doc__ or "").replace("\n", " "), ""]
    yield "\n".join([f"## {title}", *about, *head, *rows, ""])
    for name, group in groups.items():
        yield from _sections(group, name.capitalize(), f"{prefix}{name.upper()}{DELIMITER}")


def _group(field: FieldInfo) -> type[BaseModel] | None:
    kind = field.annotation
    return kind if isinstance(kind, type) and issubclass(kind, BaseModel) else None


def _field_docstrings(form: type[BaseModel]) -> dict[str, str]:
    """Return the text below each field, on one line."""
    [body] = [node.body for node in ast.parse(inspect.getsource(form)).body if isinstance(node, ast.ClassDef)]
    return {
        field.target.id: " ".join(text.value.value.split()).replace("|", "\\|")
        for field, text in pairwise(body)
        if isinstance(field, ast.AnnAssign) and isinstance(field.target, ast.Name)
        if isinstance(text, ast.Expr) and isinstance(text.value, ast.Constant) and isinstance(text.value.value, str)
    }


def _variables(name: str, field: FieldInfo, prefix: str) -> str:
    alias = field.validation_alias
    choices = alias.choices if isinstance(alias, AliasChoices) else [f"{prefix}{name}"]
    return " or ".join(f"`{str(one).upper()}`" for one in choices if one != name)


def _values(field: FieldInfo) -> str:
    """Return the setting's type or values, and its bounds."""
    kinds = [kind for kind in get_args(field.annotation) or (field.annotation,) if kind is not NoneType]
    whole = field.annotation if get_origin(field.annotation) in (dict, list, Literal) else kinds[0]
    bounds = [
        f"{sign} {getattr(rule, name):g}"
        for rule in field.metadata
        for name, sign in _BOUNDS.items()
        if hasattr(rule, name)
    ]
    return ", ".join([_kind(whole), *bounds])


def _kind(kind: Any) -> str:  # noqa: ANN401  # any annotation
    origin = get_origin(kind)
    if origin is Literal:
        return ", ".join(f"`{one}`" for one in get_args(kind))
    if origin is list:
        return f"JSON list of {_kind(get_args(kind)[0])}"
    names = {
        dict: "JSON object",
        bool: "true or false",
        int: "whole number",
        float: "number",
        Path: "path",
        str: "text",
    }
    return names.get(origin or kind, "secret text")


def _default(field: FieldInfo) -> str:
    value = field.default
    if value is None:
        return "unset"
    if isinstance(value, Path):
        return f"`{value.relative_to(REPOSITORY)}`"
    shown = json.dumps(value, ensure_ascii=False) if isinstance(value, dict | list | bool) else str(value)
    return f"`{shown}`" if shown else "empty"
