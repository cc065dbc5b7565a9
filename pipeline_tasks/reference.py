"""Renders the pages below docs/reference/ from the code: `python -m pipeline_tasks.reference` writes them."""

import ast
import inspect
import json
from collections.abc import Callable, Iterator
from itertools import pairwise
from pathlib import Path
from types import NoneType
from typing import Any, Final, Literal, get_args, get_origin

import typer
from pydantic import AliasChoices, BaseModel
from pydantic.fields import FieldInfo
from typer.cli import get_docs_for_click

from pipeline_tasks.cli import app
from pipeline_tasks.config.setting_names import DELIMITER, PREFIX
from pipeline_tasks.config.settings import REPOSITORY, Settings
from pipeline_tasks.tables.contracts import TABLES, Table

_SETTINGS_PAGE: Final = """# Settings

Every setting is an environment variable. A mapping is JSON, or is set entry by entry:
`NIGHTSHELF_TRAINING__EVENT_WEIGHTS__VIEW=0.2`. A name that is not a setting is refused with the nearest one.

The servers read the environment of `nightshelf up`: after a change run `make down`, then `make up`. In containers,
settings go into `docker/nightshelf.env` ([operations](../guides/operations.md#settings-of-the-containers)).

`python -m pipeline_tasks.reference` renders this page from `pipeline_tasks/config/settings.py` and the modules that it
imports.
"""
_BOUNDS: Final = {"ge": "≥", "gt": ">", "le": "≤", "lt": "<"}
_TABLES_PAGE: Final = """# Tables

Every source (one shop's log) is a schema of its own. Without a schema name, `nightshelf sql` reads the nightly
source's. Every table is an Iceberg table of plain Parquet, partitioned by the day `ds`. The day is that of the source's
time zone, UTC where it names none. Times are UTC in all tables. A run replaces whole days of a table, and all tables of
a step change at once: a reader sees the earlier run or the new one
([serving](../guides/serving.md#read-all-tables-of-one-run) names the catalogs that cannot do this). Join tables by
`ds`. DuckDB, Spark, Trino, Snowflake, Athena and any other engine that reads Iceberg can read them.

`python -m pipeline_tasks.reference` renders this page from `silver_tables.py` and `gold_tables.py` of
`pipeline_tasks/tables/`.
"""
_COMMANDS_PAGE: Final = """# Commands

`nightshelf` lies in `.venv/bin`. Every command exits with 1 when it fails, and prints one message with the remedy.
It exits with 2 where it is called wrongly, and with 3 where it ran but what was asked for does not exist.
`nightshelf --install-completion` makes the shell complete commands.
`make help` lists the targets of the Makefile. The maintenance DAGs are started in Airflow's UI
([operations](../guides/operations.md#maintenance-dags)).

`python -m pipeline_tasks.reference` renders this page from the modules of `pipeline_tasks/cli/`.
"""


def render_settings() -> str:
    """Return the page: one table for each group of settings."""
    return "\n".join([_SETTINGS_PAGE, *_sections(Settings, "General", PREFIX)])


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


def _render_table(table: Table) -> str:
    """Return the section of one table as Markdown."""
    rows = [f"| `{c.name}` | {c.dtype} | {'yes' if c.nullable else 'no'} | {c.doc} |" for c in table.columns]
    key = ", ".join(f"`{name}`" for name in table.key) or "none"
    return "\n".join(
        [
            f"## {table.name} ({table.layer})",
            f"{table.doc[0].upper()}{table.doc[1:]}. Key: {key}.",
            "",
            "| column | type | may be NULL | meaning |",
            "|---|---|---|---|",
            *rows,
            "",
            "```sh",
            f'nightshelf sql "{table.example}"',
            "```",
            "",
        ]
    )


def render_tables() -> str:
    """Return the page of all tables."""
    return "\n".join([_TABLES_PAGE, *(_render_table(table) for table in TABLES.values())])


def render_commands() -> str:
    """Return the page of all commands, arguments and options."""
    command = typer.main.get_command(app)
    context = typer.Context(command)
    with context:
        rendered = get_docs_for_click(obj=command, ctx=context, indent=1, name="nightshelf")
    return f"{_COMMANDS_PAGE}\n{rendered.strip()}\n"


RENDERED: Final[dict[str, Callable[[], str]]] = {
    "commands.md": render_commands,
    "settings.md": render_settings,
    "tables.md": render_tables,
}
"""File name -> function that returns the page; `python -m pipeline_tasks.reference` writes them all."""


for name, render in RENDERED.items():
    (REPOSITORY / "docs" / "reference" / name).write_text(render())
