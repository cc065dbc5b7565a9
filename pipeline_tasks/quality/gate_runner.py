"""Runs the suites of a step over Spark DataFrames and stores the results as Data Docs."""

import os
import re
from collections.abc import Callable
from datetime import UTC, datetime
from inspect import signature
from pathlib import Path
from typing import Any, Final
from urllib.parse import unquote, urlsplit

import great_expectations
from great_expectations import ExpectationSuite
from great_expectations.core import ExpectationSuiteValidationResult, ExpectationValidationResult
from great_expectations.core.run_identifier import RunIdentifier
from great_expectations.data_context import EphemeralDataContext
from great_expectations.data_context.types.base import (
    DataContextConfig,
    FilesystemStoreBackendDefaults,
    ProgressBarsConfig,
)
from great_expectations.data_context.types.resource_identifiers import (
    ExpectationSuiteIdentifier,
    ValidationResultIdentifier,
)
from great_expectations.datasource.fluent.interfaces import Batch
from great_expectations.expectations.expectation import Expectation
from great_expectations.expectations.expectation_configuration import ExpectationConfiguration
from pyspark.sql import DataFrame

from pipeline_tasks.quality import gold_suites, outlook_suites, silver_suites, split_suites
from pipeline_tasks.quality.gate_pages import close_page, escaped
from pipeline_tasks.quality.gate_report import Finding, TableReport
from pipeline_tasks.quality.rejected_shares import summarize_rejections
from pipeline_tasks.quality.spark_metrics import over_batch

SUITES: Final[dict[str, Callable[..., list[Expectation]]]] = {
    name.removesuffix("_suite"): suite
    for module in (silver_suites, split_suites, gold_suites, outlook_suites)
    for name, suite in vars(module).items()
    if name.endswith("_suite")
}
"""Suite of a table by the table's name: the function TABLE_suite. It has a parameter `zone` where it compares times
with days, for the time zone of the shop's days."""
# By default the pages load their styles and icons from the internet, which gate_pages removes. These styles replace
# them and hide the buttons that need a script.
_STYLES: Final = """
body{font-family:system-ui,sans-serif;margin:1rem}
table{border-collapse:collapse;margin-bottom:1rem}
th,td{padding:.25rem .6rem;border-bottom:1px solid #ddd;text-align:left;vertical-align:top}
.card:has(.btn-group-toggle),[data-toggle=collapse]{display:none}
.fa-check-circle::before{content:"\\2714";color:#11713a;font-style:normal}
.fa-times::before{content:"\\2718";color:#b3261e;font-style:normal}
.fa-exclamation-triangle::before{content:"!";color:#8a5a00;font-style:normal}
"""
_SAMPLE: Final = 3
"""Offending rows or values in a message and in Data Docs."""
_CAUSES: Final = ("expect_table_columns_to_match_ordered_list", "expect_column_values_to_be_of_type")


def suite_for(table: str, zone: str | None = None) -> ExpectationSuite:
    """Return the suite of `table`, named like the table; `zone` is the time zone of the shop's days."""
    suite = SUITES[table]
    expectations = suite(zone=zone) if "zone" in signature(suite).parameters else suite()
    return ExpectationSuite(name=table, expectations=expectations)


def open_context(docs_folder: Path) -> EphemeralDataContext:
    """Return a context that stores suites and results in `docs_folder`/store and builds its site in `docs_folder`."""
    # The context reads this when it starts. It is set here so that no setting can switch usage reports on.
    os.environ["GX_ANALYTICS_ENABLED"] = "False"
    store = docs_folder.resolve() / "store"
    store.mkdir(parents=True, exist_ok=True)
    styles = store / "plugins" / "custom_data_docs" / "styles"
    styles.mkdir(parents=True, exist_ok=True)
    (styles / "data_docs_custom_styles.css").write_text(_STYLES)
    defaults = FilesystemStoreBackendDefaults(root_directory=store)
    defaults.data_docs_sites = {"nightshelf": _site(docs_folder.resolve())}
    config = DataContextConfig(
        store_backend_defaults=defaults,
        plugins_directory=str(store / "plugins"),
        analytics_enabled=False,
        progress_bars=ProgressBarsConfig(globally=False, metric_calculations=False),
    )
    return great_expectations.get_context(mode="ephemeral", project_config=config)


def _site(folder: Path) -> dict[str, Any]:
    return {
        "class_name": "SiteBuilder",
        "show_how_to_buttons": False,
        "store_backend": {"class_name": "TupleFilesystemStoreBackend", "base_directory": str(folder)},
        "site_index_builder": {"class_name": "DefaultSiteIndexBuilder"},
    }


class GateRun:
    """One step's gate: validates tables one by one, then builds the Data Docs of all of them."""

    def __init__(self, docs_folder: Path, run_name: str) -> None:
        self.docs_folder = docs_folder
        self.context = open_context(docs_folder)
        self.run_id = RunIdentifier(run_name=run_name, run_time=datetime.now(UTC))
        self.pages: list[ValidationResultIdentifier] = []

    def validate(self, table: str, rows: DataFrame, zone: str | None = None) -> tuple[TableReport, list[Finding]]:
        """Return the report and the findings of the suite of `table` over `rows`.

        The views that its queries use must exist in the session. `zone` is the time zone of the shop's days.
        """
        suite = self.context.suites.add_or_update(suite_for(table, zone))
        # Not cached: a query reads only its own columns of the staged files, but a cache would copy all columns first.
        result = self._batch(table, rows).validate(
            suite, result_format={"result_format": "SUMMARY", "exclude_unexpected_values": True}
        )
        for outcome in result.results:
            if not outcome.success:
                _add_samples(outcome, rows)
        failed = [outcome for outcome in result.results if not outcome.success]
        findings = [_finding(table, outcome) for outcome in sorted(failed, key=_cause_first)]
        # Only after the findings, which are no HTML.
        for outcome in result.results:
            outcome.result = escaped(outcome.result)
        key = self._store(table, result)
        warnings = sum(finding.severity != "critical" for finding in findings)
        report = TableReport(
            rows=_row_count(result),
            expectations=len(result.results),
            failed=len(findings) - warnings,
            warnings=warnings,
            docs=self._page(key),
        )
        return report, findings

    def build_docs(self) -> None:
        """Render the Data Docs pages of this run."""
        # `gate_index` writes the index, because Great Expectations' own is empty without the internet.
        self.context.build_data_docs(resource_identifiers=self.pages, build_index=False)
        for key in self.pages:
            close_page(Path(unquote(urlsplit(self._page(key)).path)))

    def _page(self, key: ValidationResultIdentifier) -> str:
        sites = self.context.get_docs_sites_urls(resource_identifier=key, only_if_exists=False)
        return str(sites[0]["site_url"])

    def _batch(self, table: str, rows: DataFrame) -> Batch:
        # With persist, Great Expectations would cache the rows until the session ends.
        source = self.context.data_sources.add_or_update_spark(table, persist=False)
        definition = source.add_dataframe_asset(table).add_batch_definition_whole_dataframe(table)
        return definition.get_batch(batch_parameters={"dataframe": rows})

    def _store(self, table: str, result: ExpectationSuiteValidationResult) -> ValidationResultIdentifier:
        result.meta |= {"run_id": self.run_id, "validation_time": self.run_id.run_time}
        key = ValidationResultIdentifier(ExpectationSuiteIdentifier(table), self.run_id, table)
        self.context.validation_results_store.set(key, result)
        self.pages.append(key)
        return key


def _cause_first(outcome: ExpectationValidationResult) -> tuple[bool, bool]:
    """Sort key: wrong columns and types come first, because they make other rules fail or raise."""
    return bool(_error(outcome)), outcome.expectation_config.type not in _CAUSES


def _error(outcome: ExpectationValidationResult) -> str:
    """Return why the rule could not be computed (a missing column or another type, for example), or an empty text."""
    info = outcome.exception_info or {}
    parts = [info] if "raised_exception" in info else [part for part in info.values() if isinstance(part, dict)]
    messages = [str(part["exception_message"]) for part in parts if part.get("raised_exception")]
    return messages[0].strip().splitlines()[0] if messages else ""


def _add_samples(outcome: ExpectationValidationResult, rows: DataFrame) -> None:
    found = [] if _error(outcome) else _samples(outcome, rows)
    if not found:
        return
    samples = [_as_text(row) for row in found]
    if "unexpected_count" in outcome.result:
        outcome.result["partial_unexpected_list"] = samples
    else:
        # Data Docs show a list of samples for column rules only.
        outcome.result["observed_value"] = f"{outcome.result['observed_value']} rows, e.g. {'; '.join(samples)}"
    if rejected := outcome.expectation_config.meta.get("refusals"):
        summary = summarize_rejections(rows, rejected, found[0].get("ds"))
        outcome.result["observed_value"] += f"; {summary.observed}"
        outcome.result["remedy"] = summary.remedy


def _samples(outcome: ExpectationValidationResult, rows: DataFrame) -> list[dict[str, Any]]:
    config = outcome.expectation_config
    if "unexpected_rows_query" in config.kwargs:
        found = rows.sparkSession.sql(over_batch(rows, config.kwargs["unexpected_rows_query"]))
    elif "breaks" in config.meta:
        # Quoted values are removed first: the event type 'rating' is not the column of that name.
        named = set(re.findall(r"\w+", re.sub("'[^']*'", "", config.meta["breaks"])))
        columns = [name for name in rows.columns if name in named]
        found = rows.filter(config.meta["breaks"]).select(*columns)
    else:
        return []
    return [row.asDict() for row in found.limit(_SAMPLE).collect()]


def _as_text(row: dict[str, Any]) -> str:
    text = ", ".join(f"{name}={value}" for name, value in row.items())
    return text if len(text) <= 200 else text[:199] + "…"


def _finding(table: str, outcome: ExpectationValidationResult) -> Finding:
    config = outcome.expectation_config
    meta = config.meta or {}
    return Finding(
        table=table,
        severity=str(getattr(config.severity, "value", config.severity)),
        expectation=config.type,
        column=meta.get("column", config.kwargs.get("column", "*")),
        description=meta.get("description") or _description(config),
        observed=_observed(outcome),
        remedy=outcome.result.get("remedy") or meta.get("remedy", "Correct the data, then run the step again."),
    )


def _description(config: ExpectationConfiguration) -> str:
    wanted = {k: v for k, v in config.kwargs.items() if k not in ("batch_id", "column") and v not in (None, False)}
    return f"{config.type.removeprefix('expect_').replace('_', ' ')} {wanted or ''}".strip()


def _observed(outcome: ExpectationValidationResult) -> str:
    if error := _error(outcome):
        return f"nothing: the rule could not be computed, {error}"
    result = outcome.result
    if "unexpected_count" not in result:
        return str(result.get("observed_value"))
    samples = result.get("partial_unexpected_list") or []
    examples = f", e.g. {'; '.join(map(str, samples))}" if samples else ""
    return f"{result['unexpected_count']} of {result['element_count']} rows{examples}"


def _row_count(result: ExpectationSuiteValidationResult) -> int:
    counts = [outcome.result["element_count"] for outcome in result.results if "element_count" in outcome.result]
    return int(counts[0]) if counts else 0
