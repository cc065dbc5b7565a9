"""Renders the templates of the pages. All text is escaped, and texts of a shop are shortened."""

from datetime import date, datetime
from functools import lru_cache
from pathlib import Path
from typing import Any, Final

from jinja2 import Environment, FileSystemLoader, StrictUndefined

TEMPLATES: Final = Path(__file__).parent / "templates"
FILES: Final = {"pages.css": "text/css", "pages.js": "text/javascript"}
"""Files that a page loads, with their types."""
LONGEST: Final = 160
"""Characters of a shop's text that a page shows."""


def render(template: str, **values: Any) -> str:  # noqa: ANN401
    """Return the page."""
    return _environment().get_template(template).render(**values)


@lru_cache(maxsize=1)
def _environment() -> Environment:
    environment = Environment(
        loader=FileSystemLoader(TEMPLATES), autoescape=True, undefined=StrictUndefined, trim_blocks=True
    )
    filters = (figure, number, moment, share, amount, duration)
    environment.filters |= {"short": shorten} | {one.__name__: one for one in filters}
    return environment


def shorten(text: object, most: int = LONGEST) -> str:
    """Return the text, cut at `most` characters."""
    whole = "" if text is None else str(text)
    return whole if len(whole) <= most else whole[: most - 1] + "…"


def figure(value: float | None) -> str:
    """Return the value with three significant digits."""
    if value is None:
        return "-"
    return f"{value:,.0f}" if abs(value) >= 1_000 else f"{value:#.3g}".rstrip(".")


def amount(value: float | None) -> str:
    """Return units with at most one decimal."""
    return "-" if value is None else f"{round(value, 1):,g}"


def number(value: int | None) -> str:
    """Return a whole number with a comma between thousands."""
    return "-" if value is None else f"{value:,}"


def duration(seconds: float | None) -> str:
    """Return minutes and seconds."""
    return "-" if seconds is None else f"{int(seconds) // 60}:{int(seconds) % 60:02}"


def share(part: float, whole: float) -> str:
    """Return a share in percent."""
    return f"{part / whole:.1%}" if whole else "-"


def moment(value: datetime | date | None) -> str:
    """Return a time to the minute, or a day."""
    if value is None:
        return "-"
    return value.strftime("%Y-%m-%d %H:%M") if isinstance(value, datetime) else value.isoformat()
