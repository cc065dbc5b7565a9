"""Makes the pages of Great Expectations safe to look at: nothing from elsewhere, and no script of anybody's.

Its templates print sample values as they are, and load scripts, styles and pictures from six other hosts.
"""

import re
from html import escape
from pathlib import Path
from typing import Any, Final

POLICY: Final = (
    '<meta http-equiv="Content-Security-Policy" '
    "content=\"default-src 'none'; style-src 'unsafe-inline'; form-action 'none'; base-uri 'none'\">"
)
"""A browser that obeys it runs no script and asks no host for anything."""
_SCRIPTS: Final = re.compile(r"<script\b.*?</script\s*>", re.DOTALL | re.IGNORECASE)
_LINKED: Final = re.compile(r"<(?:link|img|iframe|object|embed)\b[^>]*>", re.DOTALL | re.IGNORECASE)
_HANDLERS: Final = re.compile(r"\son\w+\s*=\s*(?:\"[^\"]*\"|'[^']*')", re.IGNORECASE)
_FOOTER: Final = re.compile(r"<footer>.*?</footer>", re.DOTALL)
"""Great Expectations' newsletter."""
_ELSEWHERE: Final = re.compile(r"<a\b[^>]*\bhref=[\"']https?://[^>]*>(.*?)</a>", re.DOTALL | re.IGNORECASE)


def escaped(value: Any) -> Any:  # noqa: ANN401
    """Return the value with every text in it escaped for HTML."""
    if isinstance(value, str):
        return escape(value)
    if isinstance(value, dict):
        return {name: escaped(part) for name, part in value.items()}
    if isinstance(value, list):
        return [escaped(part) for part in value]
    return value


def close_page(page: Path) -> None:
    """Take scripts, and all that is loaded from elsewhere, out of a page that Great Expectations has written."""
    html = page.read_text(encoding="utf-8")
    for what, kept in ((_SCRIPTS, ""), (_FOOTER, ""), (_LINKED, ""), (_HANDLERS, ""), (_ELSEWHERE, r"\1")):
        html = what.sub(kept, html)
    page.write_text(html.replace("<head>", f"<head>\n    {POLICY}", 1), encoding="utf-8")
