"""Which pages below docs/reference/ are rendered, and by what."""

from collections.abc import Callable
from typing import Final

from pipeline_tasks.reference.render_commands import render_commands
from pipeline_tasks.reference.render_settings import render_settings
from pipeline_tasks.reference.render_tables import render_tables

RENDERED: Final[dict[str, Callable[[], str]]] = {
    "commands.md": render_commands,
    "settings.md": render_settings,
    "tables.md": render_tables,
}
"""File name -> function that returns the page; `python -m pipeline_tasks.reference` writes them all."""
