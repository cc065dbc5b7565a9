"""Makes the pages of Great Expectations safe to open: they load nothing from other hosts and run no script.

Its templates do not escape sample values, and load scripts, styles and images from six hosts.
"""

import re
from html import escape
from pathlib import Path
from typing import Any, Final

POLICY: Final = (
    '<meta http-equiv="Content-Security-Policy" '
    "content=\"default-src 'none'; style-src 'unsafe-inline'; form-action 'none'; base-uri 'none'\">"
)
"""With it a browser runs no script and sends no request to any host."""
_SCRIPTS: Final = re.compile(r"<script\b.*?</script\s*>", re.DOTALL | re.IGNORECASE)
_LINKED: Final = re.compile(r"<(?:link|img|iframe|object|embed)\b[^>]*>", re.DOTALL | re.IGNORECASE)
_HANDLERS: Final = re.compile(r"\son\w+\s*=\s*(?:\"[^\"]*\"|'[^']*')", re.IGNORECASE)
_FOOTER: Final = re.compile(r"<footer>.*?</footer>", re.DOTALL)
"""The footer advertises the newsletter of Great Expectations."""
_EXTERNAL_LINK: Final = re.compile(r"<a\b[^>]*\bhref=[\"']https?://[^>]*>(.*?)</a>", re.DOTALL | re.IGNORECASE)


def escaped(value: Any) -> Any:  # noqa: ANN401
    """Return a copy of the JSON value with every string escaped for HTML."""
    if isinstance(value, str):
        return escape(value)
    if isinstance(value, dict):
        return {name: escaped(part) for name, part in value.items()}
    if isinstance(value, list):
        return [escaped(part) for part in value]
    return value


def close_page(page: Path) -> None:
    """Remove scripts and everything that is loaded from other hosts from a page of Great Expectations."""
    html = page.read_text(encoding="utf-8")
    for pattern, kept in ((_SCRIPTS, ""), (_FOOTER, ""), (_LINKED, ""), (_HANDLERS, ""), (_EXTERNAL_LINK, r"\1")):
        html = pattern.sub(kept, html)
    page.write_text(html.replace("<head>", f"<head>\n    {POLICY}", 1), encoding="utf-8")
