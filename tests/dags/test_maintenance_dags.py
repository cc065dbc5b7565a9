"""The maintenance DAGs, run by Airflow in this process against a real lake and MLflow store."""

import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from pipeline_tasks.config.settings import REPOSITORY, Settings, settings
from pipeline_tasks.lake.lake import Lake
from pipeline_tasks.registry.registry import champion_version, client
from pipeline_tasks.run_key import RunKey
from pipeline_tasks.sources.erased import read_erased_users
from pipeline_tasks.sources.sources import register_source
from tests.pipeline_tasks.maintenance.arms_trial import HORIZON, log_trial
from tests.pipeline_tasks.maintenance.published_shop import FIRST, SECOND, SOURCE, THIRD, publish_day, published_items
from tests.spark_jobs.one_shop import CLICKS

pytestmark = pytest.mark.slow

if TYPE_CHECKING:
    from airflow.dag_processing.dagbag import DagBag

MODEL = f"nightshelf-{SOURCE}"


def airflow(*command: str) -> None:
    program = Path(sys.executable).with_name("airflow")
    done = subprocess.run([program, *command], env=dict(os.environ), capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr


@pytest.fixture(scope="module", autouse=True)
def airflow_tables() -> Iterator[None]:
    """Create Airflow's tables with the DAGs in the home of these tests."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("AIRFLOW__CORE__DAGS_FOLDER", str(REPOSITORY / "dags"))
        airflow("db", "migrate")
        airflow("dags", "reserialize")
        yield


@pytest.fixture(scope="module")
def shop(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Settings]:
    """Two days of a shop, each with recommendations of a champion of its own."""
    home = tmp_path_factory.mktemp("upkeep")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("NIGHTSHELF_HOME", str(home))
        patch.setenv("NIGHTSHELF_MLFLOW_TRACKING_URI", f"sqlite:///{home}/mlflow.db")
        # spark-submit is called by its name.
        patch.setenv("PATH", f"{Path(sys.executable).parent}:{os.environ['PATH']}")
        settings.cache_clear()
        (home / "shop.toml").write_text(CLICKS.replace('name = "clicks"', f'name = "{SOURCE}"'))
        register_source(home / "shop.toml")
        api = client(settings())
        api.create_registered_model(MODEL)
        for number, ds in enumerate((FIRST, SECOND), start=1):
            api.create_model_version(MODEL, source=f"file://{home}/{number}")
            api.set_registered_model_alias(MODEL, "champion", str(number))
            publish_day(settings(), ds, str(number))
        yield settings()
    settings.cache_clear()


def run(bag: "DagBag", dag_id: str, **form: Any) -> str:  # noqa: ANN401
    """Run the DAG with the form filled in, and return how it ended."""
    return str(bag.dags[dag_id].test(run_conf={"source": SOURCE, **form}).state)


def test_rollback_retention_and_erasure_succeed(dag_bag: "DagBag", shop: Settings) -> None:
    assert run(dag_bag, "roll_back_night", what="both") == "success"
    present = champion_version(shop, RunKey(SOURCE, SECOND))
    assert present is not None
    assert str(present.version) == "1"
    assert set(published_items(shop)) == {FIRST}
    assert run(dag_bag, "apply_retention", retention_days=2) == "success"
    assert run(dag_bag, "erase_users", user_keys=["ann"]) == "success"
    recommendations = Lake.open(shop, SOURCE).read("recommendations").to_pylist()
    assert [(row["ds"], row["user_key"]) for row in recommendations] == [(FIRST, "bob")]


def test_an_impossible_request_fails_and_changes_nothing(dag_bag: "DagBag", shop: Settings) -> None:
    before = published_items(shop)
    assert run(dag_bag, "roll_back_night", to_night="2026-01-01") == "failed"
    assert run(dag_bag, "report_arms", target_date="2026-11-20") == "failed", "no impressions, so no report"
    assert published_items(shop) == before


def test_arms_are_reported(dag_bag: "DagBag", shop: Settings) -> None:
    log_trial(shop)
    client(shop).create_experiment(f"nightshelf/{SOURCE}", artifact_location=f"file://{shop.home}/artifacts")
    assert run(dag_bag, "report_arms", target_date=f"{THIRD}", horizon_days=HORIZON) == "success"
    experiment = client(shop).get_experiment_by_name(f"nightshelf/{SOURCE}")
    assert experiment is not None
    [kept] = client(shop).search_runs([experiment.experiment_id])
    assert kept.data.metrics["explorer.click_rate"] > kept.data.metrics["control.click_rate"]


def test_nothing_is_deleted_while_a_nightly_run_is_under_way(dag_bag: "DagBag", shop: Settings) -> None:
    # The run stays queued, because no scheduler runs here.
    airflow("dags", "trigger", "prepare_behavior")
    assert run(dag_bag, "apply_retention", retention_days=2, delete=True) == "failed"
    assert run(dag_bag, "erase_users", user_keys=["bob"]) == "failed"
    assert {row["user_key"] for row in Lake.open(shop, SOURCE).read("recommendations").to_pylist()} >= {"bob"}
    assert not read_erased_users(shop, SOURCE).is_erased("bob")
