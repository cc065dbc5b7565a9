"""The Data Docs: Great Expectations' pages made safe to open, and a front page of all gates.

Its templates do not escape sample values, and load scripts, styles and images from six hosts.

Great Expectations' own index needs scripts from the internet. This one is plain HTML.
"""

import re
from html import escape
from pathlib import Path
from typing import Any, Final
from urllib.parse import quote

from pipeline_tasks.config.settings import Settings
from pipeline_tasks.quality.gate_report import GateReport, TableReport, gate_anchor

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
_HEAD: Final = f"""<!doctype html><html lang="en"><head>{POLICY}"""
_TITLE: Final = """<meta charset="utf-8"><title>Nightshelf: Data Docs</title>
<meta name="viewport" content="width=device-width, initial-scale=1"><style>
body{font:15px/1.5 system-ui,sans-serif;margin:2rem auto;max-width:70rem;padding:0 1rem;color:#222}
table{border-collapse:collapse;width:100%}th,td{padding:.3rem .6rem;border-bottom:1px solid #ddd;text-align:left}
tr:target{background:#fff3c4}td:first-child{white-space:nowrap}.n{text-align:right}small{display:block;color:#666}.passed{color:#11713a}.closed{color:#b3261e;font-weight:600}.warned{color:#8a5a00}
@media (prefers-color-scheme:dark){body{background:#16181b;color:#e6e6e6}a{color:#8ab4f8}th,td{border-color:#3a3d42}
tr:target{background:#333a45}small{color:#aaa}.passed{color:#6fcf97}.closed{color:#ff8a80}.warned{color:#e8b04a}}</style></head><body>
<h1>Gates</h1><p>Each table of a step is checked against its expectations before it is published. A failed critical
expectation closes the gate: nothing of the step is published. Warnings are only reported.</p>
<table><tr><th>Day</th><th>Source</th><th>Step</th><th>Table</th><th class="n">Rows</th>
<th class="n">Expectations</th><th>Outcome</th></tr>"""


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


def write_index(settings: Settings) -> Path:
    """Write ``index.html`` over all reports in staging and return its path."""
    paths = settings.staging.glob("*/*/gate_*.json")
    reports = [GateReport.model_validate_json(path.read_text()) for path in paths]
    reports.sort(key=lambda report: (report.ds, report.source, report.step), reverse=True)
    rows = [
        _row(settings, report, name, number == 0) for report in reports for number, name in enumerate(report.tables)
    ]
    settings.data_docs.mkdir(parents=True, exist_ok=True)
    path = settings.data_docs / "index.html"
    path.write_text(_HEAD + _TITLE + "\n".join(rows) + "</table></body></html>\n")
    return path


def _row(settings: Settings, report: GateReport, name: str, first: bool) -> str:
    table = report.tables[name]
    link = quote(table.page(settings.data_docs))
    cells = [report.ds.isoformat(), escape(report.source), report.step, f'<a href="{link}">{name}</a>']
    numbers = "".join(f'<td class="n">{number:,}</td>' for number in (table.rows, table.expectations))
    anchor = f' id="{escape(gate_anchor(report.source, report.ds, report.step))}"' if first else ""
    shown = "".join(f"<td>{cell}</td>" for cell in cells)
    return f"<tr{anchor}>{shown}{numbers}{_outcome(table, _findings(report, name))}</tr>"


def _outcome(table: TableReport, findings: str) -> str:
    if table.failed:
        return f'<td class="closed">✘ {table.failed} critical, {_warnings(table)}{findings}</td>'
    if table.warnings:
        return f'<td class="warned">! {_warnings(table)}{findings}</td>'
    return '<td class="passed">✔ passed</td>'


def _findings(report: GateReport, name: str) -> str:
    """Return the table's findings with their severity, because its own page marks warnings as failed too."""
    return "".join(
        f"<small>{escape(found.severity)}, {escape(found.column)}: {escape(found.description)}</small>"
        for found in report.findings
        if found.table == name
    )


def _warnings(table: TableReport) -> str:
    return f"{table.warnings} warning{'s' if table.warnings != 1 else ''}"
