"""Pages that Great Expectations renders from results with hostile values run no script and load nothing."""

import re
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from great_expectations.core import ExpectationSuiteValidationResult, ExpectationValidationResult
from great_expectations.core.run_identifier import RunIdentifier
from great_expectations.data_context.types.resource_identifiers import (
    ExpectationSuiteIdentifier,
    ValidationResultIdentifier,
)
from great_expectations.expectations.expectation_configuration import ExpectationConfiguration

from pipeline_tasks.config.settings import Settings
from pipeline_tasks.quality.gate_pages import POLICY, close_page, escaped, write_index
from pipeline_tasks.quality.gate_runner import open_context

HOSTILE = "<script>alert(1)</script>"
HOSTILE_VALUES = (HOSTILE, "<img src=x onerror=alert(2)>", "</td></table><iframe src='https://example.org'>", "a\"'b")
COUNTED = {"element_count": 9, "unexpected_count": 1, "unexpected_percent": 11.1, "missing_count": 0}


def outcome(kind: str, kwargs: dict[str, Any], result: dict[str, Any], error: str = "") -> ExpectationValidationResult:
    raised = {"raised_exception": bool(error), "exception_message": error, "exception_traceback": error}
    config = ExpectationConfiguration(type=kind, kwargs=kwargs, meta={})
    return ExpectationValidationResult(
        success=False, expectation_config=config, result=escaped(result), exception_info=raised
    )


@pytest.fixture(scope="module")
def page(tmp_path_factory: pytest.TempPathFactory) -> str:
    """The page of one table: samples of a column rule, samples of a table rule, and the text of an error."""
    folder = tmp_path_factory.mktemp("docs")
    samples = COUNTED | {"partial_unexpected_list": [f"event_type={value}" for value in HOSTILE_VALUES]}
    results = [
        outcome("expect_column_values_to_be_in_set", {"column": "event_type", "value_set": ["view"]}, samples),
        outcome("unexpected_rows_expectation", {"unexpected_rows_query": "{batch}"}, {"observed_value": HOSTILE}),
        outcome("expect_column_values_to_not_be_null", {"column": "price"}, {}, f"cannot cast {HOSTILE}"),
    ]
    context, run = open_context(folder), RunIdentifier(run_name="shop 2026-11-20", run_time=datetime.now(UTC))
    counts = {"evaluated_expectations": 3, "successful_expectations": 0, "unsuccessful_expectations": 3}
    key = ValidationResultIdentifier(ExpectationSuiteIdentifier("events"), run, "events")
    whole = ExpectationSuiteValidationResult(
        success=False, results=results, suite_name="events", statistics=counts | {"success_percent": 0.0}, meta={}
    )
    whole.meta |= {"run_id": run, "validation_time": run.run_time}
    context.validation_results_store.set(key, whole)
    context.build_data_docs(resource_identifiers=[key], build_index=False)
    [file] = folder.rglob("*.html")
    close_page(file)
    return file.read_text()


def test_samples_are_shown_as_text(page: str) -> None:
    for value in HOSTILE_VALUES:
        assert escaped(value) in page
        assert f"event_type={value}" not in page
    assert HOSTILE not in page


def test_a_page_loads_nothing_from_other_hosts_and_runs_no_script(page: str) -> None:
    shown = re.sub("&lt;.*?&gt;", "", page)
    assert re.findall(r"<(?:script|link|img|iframe|object|embed)\b", shown) == []
    assert re.findall(r"\son\w+\s*=", shown) == []
    assert re.findall(r"(?:src|href|action)\s*=\s*[\"']?\s*(?:https?:)?//\S*", shown) == []
    assert page.index(POLICY) < page.index("<style>")
    assert 'href="../../../../index.html"' in page


def test_the_front_page_runs_no_script(tmp_path: Path) -> None:
    assert POLICY in write_index(Settings(home=tmp_path)).read_text()
