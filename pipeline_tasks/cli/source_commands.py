"""Commands that register sources."""

from pathlib import Path
from typing import Annotated

import typer

from pipeline_tasks.cli.terminal import JsonOption, app, console, short_errors

sources = typer.Typer(no_args_is_help=True, help="The sources that the forms offer.")
app.add_typer(sources, name="source")


@sources.command("add")
def add_source(
    file: Annotated[Path, typer.Argument(help="The source's TOML file.")],
    replace: Annotated[bool, typer.Option("--replace", help="Take over a name that another file has.")] = False,
) -> None:
    """Register a source, so that forms and commands accept its name.

    Example: nightshelf source add corner_shop.toml
    """
    from pipeline_tasks.sources.sources import register_source

    with short_errors():
        source = register_source(file, replace=replace)
        console.print(f"registered: {source.name}, files in {source.path}", soft_wrap=True, markup=False)


@sources.command("list")
def list_sources(as_json: JsonOption = False) -> None:
    """Show the registered sources and the presets.

    Example: nightshelf source list
    """
    from pipeline_tasks.lake.lake_sql import write_rows
    from pipeline_tasks.sources.sources import load_source, preset_names, registered_names

    with short_errors():
        found = [(name, "registered") for name in registered_names()] + [(name, "preset") for name in preset_names()]
        rows = [(name, kind, load_source(name).path) for name, kind in found]
        write_rows(["source", "kind", "files"], rows, "json" if as_json else "table")


@sources.command("remove")
def remove_source(name: Annotated[str, typer.Argument(help="A registered source.")]) -> None:
    """Remove a registered source; its tables and landed files stay.

    Example: nightshelf source remove corner_shop
    """
    from pipeline_tasks.sources import sources as source_registry

    with short_errors():
        source_registry.remove_source(name)
        console.print(f"removed: {name}; its tables and landed files stay")
