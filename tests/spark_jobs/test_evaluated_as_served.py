"""The metrics of an evaluation are those of the table that users are served."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import mlflow
import pandas as pd
import pytest
from pyspark.sql import SparkSession

from pipeline_tasks.candidates.evaluate_candidates import evaluate_candidates
from pipeline_tasks.candidates.served_task import replenishable_items, served_task
from pipeline_tasks.candidates.train_candidate import train_candidate
from pipeline_tasks.config.settings import settings
from pipeline_tasks.data.run_data import read_run_data
from pipeline_tasks.evaluation.full_ranking import evaluate
from pipeline_tasks.evaluation.ranking_task import build_tasks
from pipeline_tasks.lake.lake import Lake
from pipeline_tasks.lake.staging import Manifest, write_manifest
from pipeline_tasks.models.two_tower.saved_recommender import load_recommender
from pipeline_tasks.quality.gate_report import GateReport
from pipeline_tasks.registry.candidate_files import Candidate, Evaluation
from pipeline_tasks.registry.embed_items import embed_catalog
from pipeline_tasks.registry.promotion import promote_champion
from pipeline_tasks.registry.registry import client
from pipeline_tasks.registry.served_policy import REPEAT_POLICY
from pipeline_tasks.registry.tracking import start_parent_run
from pipeline_tasks.times import DAY
from spark_jobs.recommend_items import describe, limits
from spark_jobs.recommending.run_inputs import RunInputs, read_run_inputs
from spark_jobs.recommending.run_tables import stage_recommendations
from spark_jobs.validate_tables import validate_step
from tests.spark_jobs.evaluated_shops import ITEMS, EvaluatedShop, grocery, ratings, reviews
from tests.spark_jobs.small_run import rows_of

pytestmark = pytest.mark.spark

RULES = """
[replenishable]
min_buyers = 10
[shelf]
mmr_lambda = 1
exploration_share = 0
"""
OURS = "served_test.two_tower.ndcg@10"
RECENT_DAYS = 7
TASKS = ("served_test", "discovery_test", "repeats_test")


@dataclass
class Evaluated:
    """A shop whose model was trained, evaluated and promoted."""

    spark: SparkSession
    shop: EvaluatedShop
    run_id: str
    candidate: Candidate
    evaluation: Evaluation
    message: str

    @property
    def figure(self) -> float:
        return self.evaluation.metrics[OURS]

    def inputs(self) -> RunInputs:
        """Embed the earlier run, and read the inputs of its tables."""
        embed_catalog(settings(), self.shop.served)
        return read_run_inputs(self.spark, self.shop.served, settings().scoring)

    def serve(self, inputs: RunInputs) -> Manifest:
        staged = stage_recommendations(inputs)
        facts = describe(inputs) | staged.facts
        run_key = self.shop.served
        manifest = Manifest(source=run_key.source, ds=run_key.ds, step="recommend", tables=staged.tables, facts=facts)
        write_manifest(settings(), manifest)
        return manifest

    def gate(self) -> GateReport:
        return validate_step(self.spark, settings(), self.shop.served, "recommend")


@pytest.fixture
def judge(spark: SparkSession, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[[EvaluatedShop], Evaluated]:
    (tmp_path / "rules.toml").write_text(RULES)
    given = {
        "HOME": str(tmp_path),
        "MLFLOW_TRACKING_URI": f"sqlite:///{tmp_path}/mlflow.db",
        "SCORING__SHELF_RULES": str(tmp_path / "rules.toml"),
        "SCORING__EXCLUDE_PURCHASED_DAYS": str(RECENT_DAYS),
        "SCORING__TOP_K": "10",
        "TRAINING__DIMENSION": "16",
        "TRAINING__EPOCHS": "2",
        "TRAINING__MEMBERS": "1",
        "TRAINING__REQUIRE_WIN": "false",
    }
    for name, value in given.items():
        monkeypatch.setenv(f"NIGHTSHELF_{name}", value)
    settings.cache_clear()

    def evaluated(shop: EvaluatedShop) -> Evaluated:
        shop.write(Lake.open(settings(), shop.name))
        client(settings()).create_experiment(f"nightshelf/{shop.name}", artifact_location=f"file://{tmp_path}/runs")
        parent = start_parent_run(settings(), shop.run_key)
        candidate = train_candidate(settings(), shop.run_key, "frozen", parent)
        evaluation = evaluate_candidates(settings(), shop.run_key, parent)
        return Evaluated(spark, shop, parent, candidate, evaluation, promote_champion(settings(), shop.run_key))

    return evaluated


@pytest.fixture(autouse=True)
def _settings_of_others() -> Iterator[None]:
    yield
    settings.cache_clear()


@pytest.mark.parametrize("shop", [reviews(), ratings()], ids=lambda shop: shop.name)
def test_items_that_are_never_rated_twice_are_neither_evaluated_nor_served_again(
    judge: Callable[[EvaluatedShop], Evaluated], shop: EvaluatedShop
) -> None:
    evaluated = judge(shop)
    own = {user: {event.item for event in events} for user, events in shop.known.items()}
    inputs = evaluated.inputs()
    rows = rows_of(evaluated.serve(inputs), "recommendations")
    assert not [row for row in rows if row["item_id"] in own[row["user_key"]]]
    assert not [row for row in rows if "it before" in row["reason"]]
    assert shop.ndcg(rows, own) == pytest.approx(evaluated.figure, abs=1e-6)
    assert evaluated.evaluation.metrics["discovery_test.two_tower.ndcg@10"] == evaluated.figure
    assert evaluated.gate().passed
    policy = "an item that the user has a purchase or rating of is excluded, unless it is replenishable"
    run = client(settings()).get_run(evaluated.run_id)
    assert run.data.tags["headline_task"] == "served_test"
    assert run.data.metrics["repeat_share/rating"] == 0
    assert run.data.tags["served"].startswith(policy)
    assert f"served_test evaluates the lists as served: {policy} (repeat share 0.0%); blocked" in evaluated.message
    assert any(policy in line for line in limits(inputs))
    asked = [[event.item for event in shop.known[user]] for user in ("u00", "u01")]
    histories: dict[str, list[Any]] = {"item_ids": asked, "event_types": [["rating"] * len(own) for own in asked]}
    histories |= {"timestamps": [list(range(len(own))) for own in asked]}
    model = mlflow.pyfunc.load_model(f"models:/nightshelf-{shop.name}@champion")
    answer = model.predict(pd.DataFrame(histories), params={"top_k": ITEMS})["item_ids"]
    assert not [item for row, own in zip(answer, asked, strict=True) for item in row if item in own]
    assert [len(row) for row in answer] == [ITEMS - len(set(own)) for own in asked]
    table = mlflow.artifacts.load_dict(f"runs:/{evaluated.run_id}/evaluation/evaluation.json")
    assert "served_test" in {row[table["columns"].index("task")] for row in table["data"]}

    # Served as it was until now, the list is a worse one, and the gate is closed.
    facts = inputs.policy.as_facts() | {"excluded_types": []}
    before = replace(inputs, meta=inputs.meta | {REPEAT_POLICY: facts})
    manifest = evaluated.serve(before)
    assert shop.ndcg(rows_of(manifest, "recommendations"), own) < evaluated.figure - 0.05
    write_manifest(settings(), manifest.model_copy(update={"facts": manifest.facts | describe(inputs)}))
    assert ("item_id", "critical") in {(finding.column, finding.severity) for finding in evaluated.gate().findings}


def test_items_that_are_bought_repeatedly_are_evaluated_and_served_again(
    judge: Callable[[EvaluatedShop], Evaluated],
) -> None:
    shop = grocery()
    evaluated = judge(shop)
    inputs = evaluated.inputs()
    assert inputs.policy.excluded_types == ()
    assert 0 < len(inputs.offered.replenishable) < len(inputs.offered.item_ids)
    again = {inputs.offered.item_ids[index].as_py() for index in inputs.offered.replenishable}
    data = read_run_data(inputs.lake, shop.served)
    flags = replenishable_items(inputs.rules.replenishable, data.catalog, data.log)
    assert {item for item, flag in zip(data.catalog.item_ids, flags, strict=True) if flag} == again
    since = (shop.cuts[1] // DAY + 1 - RECENT_DAYS) * DAY
    recent = {
        user: {event.item for event in events if event.moment >= since} - again for user, events in shop.known.items()
    }
    rows = rows_of(evaluated.serve(inputs), "recommendations")
    assert [row for row in rows if row["reason"] == "because you bought it before"]
    assert not [row for row in rows if row["item_id"] in recent[row["user_key"]]]
    assert any(recent.values())
    assert shop.ndcg(rows, recent) == pytest.approx(evaluated.figure, abs=1e-6)
    assert len({evaluated.evaluation.metrics[f"{task}.two_tower.ndcg@10"] for task in TASKS}) == 3
    whole = read_run_data(inputs.lake, shop.run_key)
    taken = served_task(whole, settings().scoring, "validation").taken
    (validation,) = build_tasks(whole.parts, "validation", ("served",), ITEMS, taken=taken)
    competed = evaluate(load_recommender(evaluated.candidate.folder).recommender, validation)
    assert evaluated.candidate.validation["ndcg@10"] == pytest.approx(competed.overall["ndcg@10"], abs=1e-6)
    assert evaluated.gate().passed
