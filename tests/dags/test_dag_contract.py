"""The properties that every DAG must have, and its exact tasks and edges."""

from typing import TYPE_CHECKING, Any

import pytest

from tests.dags.conftest import GOLDEN
from tests.dags.rendered_commands import GIVEN, golden_text, render_commands

pytestmark = pytest.mark.slow

if TYPE_CHECKING:
    from airflow.dag_processing.dagbag import DagBag

EDGES = {
    "prepare_behavior": {
        "land_behavior": {"clean_behavior"},
        "clean_behavior": {"validate_clean"},
        "validate_clean": {"publish_clean"},
        "publish_clean": {"split_behavior"},
        "split_behavior": {"validate_split"},
        "validate_split": {"publish_split"},
        "publish_split": {"hand_on_behavior"},
        "hand_on_behavior": set(),
    },
    "fine_tune_recommender": {
        "is_retrain_due": {"start_night_run", "hand_on_champion"},
        "start_night_run": {"train_candidate"},
        "train_candidate": {"evaluate_candidates"},
        "evaluate_candidates": {"judge_challenger"},
        "judge_challenger": {"ask_person", "promote_champion", "hand_on_champion"},
        "ask_person": {"promote_champion"},
        "promote_champion": {"hand_on_champion"},
        "hand_on_champion": set(),
    },
    "nightly_recommendations": {
        "embed_shelf": {"recommend_items"},
        "recommend_items": {"validate_recommend"},
        "validate_recommend": {"publish_recommend"},
        "publish_recommend": {"hand_on_shelves", "report_night"},
        "report_night": set(),
        "hand_on_shelves": set(),
    },
    "roll_back_night": {
        "choose_way_back": {"return_champion", "return_tables"},
        "return_champion": {"return_tables"},
        "return_tables": set(),
    },
    "erase_users": {
        "require_no_night": {"remember_shoppers"},
        "remember_shoppers": {"forget_landed"},
        "forget_landed": {"forget_rows"},
        "forget_rows": set(),
    },
    "apply_retention": {"require_no_night": {"apply_retention"}, "apply_retention": set()},
    "report_arms": {"report_arms": set()},
}
ON_GPU = {"train_candidate", "evaluate_candidates", "embed_shelf"}


def all_tasks(bag: "DagBag") -> list[Any]:
    return [task for dag in bag.dags.values() for task in dag.tasks]


def test_every_file_is_a_dag_and_none_fails_to_import(dag_bag: "DagBag") -> None:
    assert dag_bag.import_errors == {}
    assert set(EDGES) <= set(dag_bag.dags)


@pytest.mark.parametrize("dag_id", EDGES)
def test_edges(dag_bag: "DagBag", dag_id: str) -> None:
    assert {task.task_id: task.downstream_task_ids for task in dag_bag.dags[dag_id].tasks} == EDGES[dag_id]


def test_a_postgres_sink_is_written_after_the_lake_by_a_task_of_its_own(monkeypatch: pytest.MonkeyPatch) -> None:
    from airflow.dag_processing.dagbag import DagBag

    from pipeline_tasks.config.settings import REPOSITORY, settings

    monkeypatch.setenv("NIGHTSHELF_POSTGRES_SINK", "postgresql://shop@127.0.0.1/shop")
    settings.cache_clear()
    try:
        bag = DagBag(str(REPOSITORY / "dags" / "nightly_recommendations.py"))
    finally:
        settings.cache_clear()
    assert bag.import_errors == {}
    tasks = bag.dags["nightly_recommendations"].task_dict
    assert tasks["publish_recommend"].downstream_task_ids == {"sink_shelves", "report_night"}
    assert tasks["sink_shelves"].downstream_task_ids == {"hand_on_shelves"}
    assert (tasks["sink_shelves"].retries or 0) >= 1


def test_assets_connect_the_dags(dag_bag: "DagBag") -> None:
    from run_schedule import CHAMPION_RECOMMENDER, PREPARED_BEHAVIOR, after

    outlets = {outlet.name: task.dag_id for task in all_tasks(dag_bag) for outlet in task.outlets}
    assert outlets == {
        "prepared_behavior": "prepare_behavior",
        "champion_recommender": "fine_tune_recommender",
        "nightly_shelves": "nightly_recommendations",
    }
    assert dag_bag.dags["fine_tune_recommender"].timetable == after(PREPARED_BEHAVIOR)
    assert dag_bag.dags["nightly_recommendations"].timetable == after(CHAMPION_RECOMMENDER)


def test_each_publish_follows_only_its_gate(dag_bag: "DagBag") -> None:
    publishing = [task for task in all_tasks(dag_bag) if task.task_id.startswith("publish_")]
    assert len(publishing) == 3
    for task in publishing:
        assert task.upstream_task_ids == {task.task_id.replace("publish_", "validate_")}
        assert task.trigger_rule == "all_success"


def test_every_dag_has_docs_tags_one_run_at_a_time_and_a_described_form(dag_bag: "DagBag") -> None:
    for dag in dag_bag.dags.values():
        assert dag.doc_md
        assert dag.tags
        assert dag.max_active_runs == 1
        assert not dag.catchup
        for name in dag.params:
            field = dag.params.get_param(name)
            assert field.schema["title"], name
            assert field.description, name
            # Raises when the default does not fit its own schema: the form would refuse to be sent.
            field.resolve()


def test_every_task_has_retries_a_timeout_and_a_pool(dag_bag: "DagBag") -> None:
    for task in all_tasks(dag_bag):
        assert task.retries >= 1, task.task_id
        waits_for_person = task.task_type == "ApprovalOperator"
        assert (task.response_timeout if waits_for_person else task.execution_timeout) is not None, task.task_id
        expected = "gpu" if task.task_id in ON_GPU else "spark" if task.task_type == "SparkJob" else "default_pool"
        assert task.pool == expected, task.task_id
        assert task.queue == ("gpu" if task.task_id in ON_GPU else "default"), task.task_id


@pytest.mark.parametrize("name", GIVEN)
def test_rendered_commands_equal_the_golden_files(
    dag_bag: "DagBag", name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """After an intended change: python -m tests.dags.rendered_commands."""
    # The same files on a machine with several GPUs.
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "0")
    assert golden_text(render_commands(dag_bag, GIVEN[name])) == (GOLDEN / f"{name}.txt").read_text()
