"""Links that Airflow shows on the page of a task: its MLflow run, the Data Docs of its gate, Spark's UI,
the nightly report.

Airflow stores the links of a task when it ends. `push_links` stores them when it starts too, so that a running task has
them. A link without an address is not shown.
"""

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from airflow.sdk import BaseOperatorLink

from pipeline_tasks.config.settings import settings
from pipeline_tasks.local_runtime.spark_server import ui_address
from pipeline_tasks.run_key import RunKey, parse_day

if TYPE_CHECKING:
    from airflow.sdk import BaseOperator, Context
    from airflow.sdk.types import TaskInstanceKey

RUNS_PAGE = "mlflow_runs"
"""Key of the XCom in which `start_night_run` stores the address of the experiment's runs."""


class MlflowRunLink(BaseOperatorLink):
    """The run of a candidate once it is trained; until then, and for the evaluation, the nightly run."""

    name = "MLflow run"

    def get_link(self, operator: "BaseOperator", *, ti_key: "TaskInstanceKey") -> str:
        """Return the address; an empty one where the nightly run is not known."""
        page, given = getattr(operator, "runs_page", None), _arguments(getattr(operator, "options", ()))
        if not page or "--parent-run-id" not in given:
            return ""
        return f"{page}/{_candidate_run(given) or given['--parent-run-id']}"


class DataDocsLink(BaseOperatorLink):
    """The page of the first table that closed the gate; where none did, the gate's place on the front page."""

    name = "Data Docs"

    def get_link(self, operator: "BaseOperator", *, ti_key: "TaskInstanceKey") -> str:
        """Return the address; an empty one where the task did not start."""
        # Imported here, because Airflow reads this file often and needs a link seldom.
        from pipeline_tasks.quality.gate_report import gate_address

        given = _arguments(getattr(operator, "application_args", None) or ())
        if "--step" not in given or (key := _run_key(given)) is None:
            return ""
        return gate_address(settings(), key, given["--step"])


class ReportLink(BaseOperatorLink):
    """The report of the night."""

    name = "Nightly report"

    def get_link(self, operator: "BaseOperator", *, ti_key: "TaskInstanceKey") -> str:
        """Return the address that the task returned; an empty one before it ends."""
        instance: Any = ti_key
        return instance.xcom_pull(task_ids=operator.task_id) or ""


class SparkLink(BaseOperatorLink):
    """The UI of the Spark that `nightshelf up` starts."""

    name = "Spark UI"

    def get_link(self, operator: "BaseOperator", *, ti_key: "TaskInstanceKey") -> str:
        """Return the address; an empty one where jobs use another Spark."""
        return ui_address(settings()) or ""


def push_links(operator: "BaseOperator", context: "Context") -> None:
    """Store the links of a task that starts."""
    instance: Any = context["ti"]
    for link in operator.operator_extra_links:
        instance.xcom_push(key=link.xcom_key, value=link.get_link(operator, ti_key=instance))


def _arguments(options: Sequence[str]) -> dict[str, str]:
    """Return the rendered arguments that have a value."""
    pairs = [option.partition("=") for option in options]
    return {name: value for name, _, value in pairs if value and "{{" not in value}


def _run_key(given: dict[str, str]) -> RunKey | None:
    return RunKey(given["--source"], parse_day(given["--date"])) if {"--source", "--date"} <= given.keys() else None


def _candidate_run(given: dict[str, str]) -> str | None:
    """Return the MLflow run of the candidate in the arguments; None before this nightly run has trained it."""
    from pipeline_tasks.registry.candidate_files import Candidate, candidate_path

    key = _run_key(given)
    if key is None or "--candidate" not in given:
        return None
    path = candidate_path(settings(), key, given["--candidate"])
    if not path.exists():
        return None
    trained = Candidate.model_validate_json(path.read_text())
    return trained.run_id if trained.parent_run_id == given["--parent-run-id"] else None
