"""Commands that ask Airflow."""

import json
import re

import pytest
from typer.testing import CliRunner

from pipeline_tasks import cli
from pipeline_tasks.local_runtime.airflow_client import AirflowClient
from tests.pipeline_tasks.local_runtime.airflow_double import AirflowDouble, dag_run, task

DAG = "prepare_behavior"


@pytest.fixture
def airflow(monkeypatch: pytest.MonkeyPatch) -> AirflowDouble:
    double = AirflowDouble(usual={"land": 30.0, "clean": 100.0, "validate": 5.0, "publish": 2.0})
    monkeypatch.setattr(AirflowClient, "embedded", lambda _: double.client())
    return double


def lines(text: str) -> list[str]:
    """Return the lines with one space for many."""
    return [" ".join(line.split()) for line in text.splitlines()]


def test_status_shows_what_runs_and_what_holds_it_up(airflow: AirflowDouble) -> None:
    airflow.runs = [
        dag_run(DAG, "success", 140.0, dag_run_id="earlier"),
        dag_run(DAG, "running", 600.0),
        dag_run("nightly_recommendations", "queued", 5.0),
    ]
    airflow.tasks[DAG] = [
        task("publish", None),
        task("validate", "queued"),
        task("clean", "running", 560.0),
        task("land", "success", 31.0),
    ]
    done = CliRunner().invoke(cli.app, ["status"])
    assert done.exit_code == 0, done.output
    found = lines(done.stdout)
    # The runs began some seconds before they are shown.
    assert re.fullmatch(r"prepare_behavior 2026-11-20 running \S+ \S+ UTC 10:0\d 2:20", found[1]), found
    assert re.fullmatch(r"clean running: slower than usual 9:2\d 1:40", found[2]), found
    assert found[3:5] == [
        "validate waits for a free slot of the pool spark 5 s",
        "publish waits for validate 2 s",
    ]
    assert found[5].startswith("nightly_recommendations 2026-11-20 queued an earlier run must end first")


def test_status_as_json(airflow: AirflowDouble) -> None:
    airflow.runs = [dag_run(DAG, "running", 50.0, start_date="2026-11-20T02:00:00Z", duration=50.0)]
    airflow.tasks[DAG] = [task("clean", "awaiting_input", 12.0)]
    done = CliRunner().invoke(cli.app, ["status", "--json"])
    waits = {"task": "clean", "state": "waits for a person: see Required Actions", "seconds": 12.0}
    assert json.loads(done.stdout) == {
        "runs": [
            {
                **{"dag_id": DAG, "run_id": f"{DAG}__1", "run_key": "2026-11-20", "state": "running"},
                **{"started": "2026-11-20T02:00:00+00:00", "seconds": 50.0, "usual_seconds": None},
                "tasks": [waits | {"usual_seconds": 100.0, "is_slow": False}],
            }
        ],
        "unhealthy": [],
    }


def test_status_after_a_failed_run_exits_with_1(airflow: AirflowDouble) -> None:
    airflow.runs = [dag_run(DAG, "failed", 40.0)]
    airflow.tasks[DAG] = [task("land", "success", 31.0), task("clean", "failed", 9.0), task("validate", None)]
    done = CliRunner().invoke(cli.app, ["status"])
    assert done.exit_code == 1
    assert "clean failed 9 s 1:40" in lines(done.stdout)
    airflow.runs.insert(0, dag_run(DAG, "success", 140.0))
    assert CliRunner().invoke(cli.app, ["status"]).exit_code == 0, "the latest run succeeded"


def test_status_names_a_part_of_airflow_that_does_not_respond(airflow: AirflowDouble) -> None:
    airflow.scheduler = "unhealthy"
    done = CliRunner().invoke(cli.app, ["status"])
    assert done.exit_code == 1
    assert "no DAG has run yet" in done.stdout
    assert "Airflow's scheduler does not respond" in done.stderr


def test_status_of_an_airflow_that_has_not_read_its_dags(airflow: AirflowDouble) -> None:
    airflow.read_dags = ()
    done = CliRunner().invoke(cli.app, ["status"])
    assert (done.exit_code, done.stdout.strip()) == (0, "no DAG has run yet: start one with `nightshelf run`")


def test_status_without_airflow_says_how_to_start_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("httpx.post", _refuse)
    done = CliRunner().invoke(cli.app, ["status"])
    assert done.exit_code == 1
    assert "start it with `nightshelf up`" in done.stderr


def test_logs_are_those_of_the_task_that_failed_or_of_the_one_that_is_named(airflow: AirflowDouble) -> None:
    airflow.runs = [dag_run(DAG, "failed", 40.0), dag_run("fine_tune_recommender", "success", 4_000.0)]
    airflow.tasks = {
        DAG: [task("land", "success", 31.0), task("clean", "failed", 9.0), task("validate", None, try_number=0)],
        "fine_tune_recommender": [task("train", "success", 90.0, map_index=1, rendered_map_index="lora")],
    }
    noise = "26/11/22 03:18:46 WARN SparkContext: stopping"
    airflow.logs = {
        "land": ["landed 7 files"],
        "clean": [noise, "ValueError: \x1b[2Jno column x"],
        "train": ["epoch 1"],
    }
    for named, expected in (
        ([], "ValueError: \\x1b[2Jno column x\n"),
        (["land"], "landed 7 files\n"),
        (["train [lora]"], "epoch 1\n"),
    ):
        done = CliRunner().invoke(cli.app, ["logs", *named])
        assert (done.exit_code, done.stdout) == (0, expected), done.output
    assert "fine_tune_recommender.train [lora] of 2026-11-20: success" in done.stderr


@pytest.mark.parametrize(
    ("named", "message"),
    [([], "no task runs, and none of the latest runs failed"), (["validate"], "no task 'validate' has started")],
)
def test_logs_of_nothing_exits_with_3(airflow: AirflowDouble, named: list[str], message: str) -> None:
    airflow.runs = [dag_run(DAG, "success", 40.0)]
    airflow.tasks = {DAG: [task("land", "success", 31.0), task("validate", None, try_number=0)]}
    done = CliRunner().invoke(cli.app, ["logs", *named])
    assert (done.exit_code, done.stdout) == (3, "")
    assert message in done.stderr


def _refuse(*_: object, **__: object) -> None:
    import httpx

    raise httpx.ConnectError("refused")
