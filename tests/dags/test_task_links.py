"""Links of task instances: which task has which, and where they lead before, during and after the task."""

from datetime import date
from pathlib import Path
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any

import pytest

from pipeline_tasks.config.settings import settings
from pipeline_tasks.quality.gate_pages import write_index
from pipeline_tasks.quality.gate_report import Finding, GateReport, TableReport, write_report
from pipeline_tasks.registry.candidate_files import Candidate, candidate_path
from pipeline_tasks.run_key import RunKey

if TYPE_CHECKING:
    from collections.abc import Iterator

    from airflow.dag_processing.dagbag import DagBag

KEY = RunKey("corner_shop", date(2026, 11, 20))
RUNS = "http://127.0.0.1:5000/#/experiments/7/runs"
RUN_ARGUMENTS = ("--source=corner_shop", "--date=2026-11-20")


class Instance:
    """Stands for Airflow's task instance: what is pushed, and the XCom of `start_night_run`."""

    def __init__(self, pulled: str | None = None) -> None:
        self.pushed: dict[str, str] = {}
        self.pulled = pulled

    def xcom_push(self, key: str, value: str) -> None:
        self.pushed[key] = value

    def xcom_pull(self, task_ids: str, key: str) -> str | None:
        assert (task_ids, key) == ("start_night_run", "mlflow_runs")
        return self.pulled


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> "Iterator[Path]":
    monkeypatch.setenv("NIGHTSHELF_HOME", str(tmp_path))
    settings.cache_clear()
    yield tmp_path
    settings.cache_clear()


def test_the_serialized_dags_name_the_links(dag_bag: "DagBag") -> None:
    """What the UI reads: without a plugin, Airflow knows links by name and XCom key alone."""
    from airflow.serialization.serialized_objects import DagSerialization

    found = {}
    for dag in dag_bag.dags.values():
        read = DagSerialization.from_dict(DagSerialization.to_dict(dag))
        found.update({task.task_id: sorted(task.extra_links) for task in read.task_dict.values() if task.extra_links})
    gates = {f"validate_{step}": ["Data Docs", "Spark UI"] for step in ("clean", "split", "recommend")}
    spark = ("land_behavior", "clean_behavior", "split_behavior", "recommend_items", "forget_landed")
    trainings = {"train_candidate": ["MLflow run"], "evaluate_candidates": ["MLflow run"]}
    report = {"report_night": ["Nightly report"]}
    assert found == gates | trainings | report | {name: ["Spark UI"] for name in spark}


def test_a_training_leads_to_the_nightly_run_and_then_to_its_own(home: Path) -> None:
    from job_operators import TrainingProcess

    task: Any = TrainingProcess(task_id="train_candidate", module="m")
    task.options = [*RUN_ARGUMENTS, "--candidate=lora", "--parent-run-id=NIGHT", "--epochs="]
    instance = Instance(RUNS)
    trained = Candidate(
        name="lora",
        run_id="OWN",
        folder=home,
        split_id="s",
        parent_run_id="EARLIER",
        best_epoch=1,
        validation={},
        seconds=1,
    )
    path = candidate_path(settings(), KEY, "lora")
    path.parent.mkdir(parents=True)
    # An earlier run of the same day left its file.
    path.write_text(trained.model_dump_json())
    task.pre_execute({"ti": instance})
    assert instance.pushed == {"_link_MlflowRunLink": f"{RUNS}/NIGHT"}
    path.write_text(trained.model_copy(update={"parent_run_id": "NIGHT"}).model_dump_json())
    assert _links(task) == {"MLflow run": f"{RUNS}/OWN"}
    task.options = [*RUN_ARGUMENTS, "--parent-run-id=NIGHT"]
    assert _links(task) == {"MLflow run": f"{RUNS}/NIGHT"}


def test_a_training_that_did_not_start_has_no_link(home: Path) -> None:
    from job_operators import TrainingProcess

    task = TrainingProcess(task_id="train_candidate", module="m", options=["--parent-run-id={{ task.mapped.parent }}"])
    assert _links(task) == {"MLflow run": ""}
    task.runs_page = RUNS
    assert _links(task) == {"MLflow run": ""}


def test_a_gate_leads_to_its_place_on_the_front_page_or_to_the_table_that_closed_it(home: Path) -> None:
    from job_operators import gate

    task: Any = gate("clean")
    assert _links(task)["Data Docs"] == "", "the templates are not rendered yet"
    task.application_args = [*RUN_ARGUMENTS, "--step=clean"]
    place = "http://127.0.0.1:8090/#corner_shop-2026-11-20-clean"
    assert _links(task)["Data Docs"] == place
    tables = {name: _table(f"{home}/data_docs/{name} page.html") for name in ("events", "items")}
    report = GateReport(
        source=KEY.source,
        ds=KEY.ds,
        step="clean",
        seconds=1,
        passed=True,
        tables=tables,
        findings=[_finding("warning")],
    )
    write_report(settings(), report)
    assert _links(task)["Data Docs"] == place
    assert write_index(settings()).read_text().count(f'<tr id="{place.partition("#")[2]}">') == 1
    write_report(settings(), report.model_copy(update={"findings": [_finding("warning"), _finding("critical")]}))
    assert _links(task)["Data Docs"] == "http://127.0.0.1:8090/items%20page.html"


@pytest.mark.parametrize(
    ("variables", "address"),
    [
        ({}, "http://127.0.0.1:8091"),
        # So Airflow's tasks see the Spark of `nightshelf up`.
        ({"SPARK_REMOTE": "sc://localhost:15002/;token=t"}, "http://127.0.0.1:8091"),
        ({"SPARK_REMOTE": "sc://cluster:15002/"}, ""),
        ({"SPARK_MASTER": "yarn"}, ""),
        ({"SERVER__SPARK_UI_PORT": "0"}, ""),
        ({"SPARK_MASTER": "yarn", "PAGES__SPARK": "https://spark.shop"}, "https://spark.shop"),
    ],
)
def test_a_spark_job_leads_to_the_spark_of_this_machine(
    variables: dict[str, str], address: str, home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from job_operators import SparkJob

    monkeypatch.delenv("NIGHTSHELF_SPARK_REMOTE", raising=False)
    for name, value in variables.items():
        monkeypatch.setenv(f"NIGHTSHELF_{name}", value)
    settings.cache_clear()
    task: Any = SparkJob(task_id="clean", job="clean_behavior.py", run_arguments=RUN_ARGUMENTS)
    instance = Instance()
    task.pre_execute({"ti": instance})
    assert instance.pushed == {"_link_SparkLink": address}


def test_links_lead_to_the_addresses_that_a_browser_reaches(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """In containers, jobs reach MLflow by a name that only containers know."""
    from job_operators import gate

    from pipeline_tasks.registry.tracking import runs_address

    store = f"sqlite:///{home}/mlflow.db"
    for name, value in {
        "MLFLOW_TRACKING_URI": store,
        "PAGES__MLFLOW": "https://mlflow.shop/",
        "PAGES__DATA_DOCS": "https://shop/docs",
    }.items():
        monkeypatch.setenv(f"NIGHTSHELF_{name}", value)
    settings.cache_clear()
    task: Any = gate("clean")
    task.application_args = [*RUN_ARGUMENTS, "--step=clean"]
    assert _links(task)["Data Docs"] == "https://shop/docs/#corner_shop-2026-11-20-clean"
    assert runs_address(settings(), KEY).startswith("https://mlflow.shop/#/experiments/")


def _links(task: Any) -> dict[str, str]:  # noqa: ANN401
    return {link.name: link.get_link(task, ti_key=SimpleNamespace()) for link in task.operator_extra_links}


def _table(page: str) -> TableReport:
    return TableReport(rows=1, expectations=1, failed=0, warnings=0, docs=f"file://{page}")


def _finding(severity: str) -> Finding:
    fields = dict.fromkeys(Finding.model_fields, "") | {"table": "items", "severity": severity}
    return Finding.model_validate(fields)
