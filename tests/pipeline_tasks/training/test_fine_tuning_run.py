"""One run of fine-tuning as the DAG runs it, with a real MLflow store; only the size is reduced."""

import json
import re
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from typing import get_args

import mlflow
import numpy as np
import pandas as pd
import pyarrow.parquet as pq
import pytest

from pipeline_tasks.candidates.evaluate_candidates import evaluate_candidates
from pipeline_tasks.candidates.train_candidate import train_candidate
from pipeline_tasks.config.settings import Settings
from pipeline_tasks.config.training_settings import CandidateName, TrainingSettings
from pipeline_tasks.data.interactions import Interactions
from pipeline_tasks.data.item_catalog import ItemCatalog
from pipeline_tasks.data.run_data import read_run_data
from pipeline_tasks.lake.lake import Lake
from pipeline_tasks.lake.staging import staging_folder
from pipeline_tasks.registry.candidate_files import Candidate, Evaluation, candidate_path, read_candidates
from pipeline_tasks.registry.descriptions import NOTE
from pipeline_tasks.registry.embed_items import embed_catalog
from pipeline_tasks.registry.model_cache import cached_version
from pipeline_tasks.registry.promotion import promote_champion, read_evaluation
from pipeline_tasks.registry.pyfunc_recommender import NEEDED
from pipeline_tasks.registry.registry import champion_version, client, load_version
from pipeline_tasks.registry.retraining import retrain_reason
from pipeline_tasks.registry.tracking import git_commit, start_parent_run
from pipeline_tasks.run_key import RunKey
from tests.pipeline_tasks.tiny_shop import RUN_KEY, WINDOW, write_tiny_shop
from tests.pipeline_tasks.training.served_alone import ASKED, distributions_of, served_alone

pytestmark = pytest.mark.training

TRAINING = TrainingSettings(dimension=16, epochs=2, encoder_steps=2, require_win=False, max_length=20)


@dataclass(frozen=True)
class FineTuned:
    settings: Settings
    parent_run_id: str
    reason_before: str | None
    candidates: list[Candidate]
    evaluation: Evaluation


@pytest.fixture(scope="module")
def fine_tuned(tmp_path_factory: pytest.TempPathFactory) -> FineTuned:
    home = tmp_path_factory.mktemp("home")
    settings = Settings(home=home, mlflow_tracking_uri=f"sqlite:///{home}/mlflow.db", training=TRAINING)
    write_tiny_shop(Lake.open(settings, RUN_KEY.source))
    api = client(settings)
    api.create_experiment(f"nightshelf/{RUN_KEY.source}", artifact_location=f"file://{home}/artifacts")
    with pytest.raises(ValueError, match="tiny_shop has no champion in the registry"):
        embed_catalog(settings, RUN_KEY)
    reason = retrain_reason(settings, RUN_KEY)
    parent = start_parent_run(settings, RUN_KEY)
    with pytest.raises(FileNotFoundError, match=r"run pipeline_tasks\.candidates\.train_candidate first"):
        evaluate_candidates(settings, RUN_KEY, parent)
    candidates = [train_candidate(settings, RUN_KEY, name, parent) for name in get_args(CandidateName)]
    evaluation = evaluate_candidates(settings, RUN_KEY, parent)
    promote_champion(settings, RUN_KEY)
    return FineTuned(settings, parent, reason, candidates, evaluation)


def test_every_candidate_is_a_child_run_with_what_it_was_made_from(fine_tuned: FineTuned) -> None:
    api, lake = client(fine_tuned.settings), Lake.open(fine_tuned.settings, RUN_KEY.source)
    for candidate in fine_tuned.candidates:
        run = api.get_run(candidate.run_id)
        assert run.data.tags["mlflow.parentRunId"] == fine_tuned.parent_run_id
        assert run.info.status == "FINISHED"
        assert run.data.tags["validation_task"] == "served_validation"
        assert run.data.params["split_id"] == "split-5"
        assert run.data.tags["snapshot.sequences"] == str(lake.snapshot_id("sequences"))
        assert run.inputs is not None
        assert {(entry.dataset.name, entry.dataset.digest) for entry in run.inputs.dataset_inputs} == {
            (f"tiny_shop.{name}", str(lake.snapshot_id(name))) for name in ("splits", "sequences", "items")
        }
        assert len(api.get_metric_history(candidate.run_id, "train_loss")) == 2
        history = [point.value for point in api.get_metric_history(candidate.run_id, "validation_ndcg_at_10")]
        # What comes after the last epoch gains, but for what new items may cost; choices are made in half precision.
        assert (1 - TRAINING.new_item_cost) * max(history) <= candidate.validation["ndcg@10"] + 0.005
        assert not (candidate.folder.parent / "unfinished").exists()
    lora = fine_tuned.candidates[1]
    assert len(api.get_metric_history(lora.run_id, "encoder_loss")) == TRAINING.encoder_steps
    assert (lora.folder / "adapter" / "adapter_model.safetensors").exists()


def test_only_candidates_of_the_run_that_is_evaluated_compete(fine_tuned: FineTuned) -> None:
    """Files of an earlier run of the same day remain, such as a candidate that this run does not train."""
    earlier = candidate_path(fine_tuned.settings, RUN_KEY, "earlier")
    left = fine_tuned.candidates[0].model_copy(update={"name": "earlier", "parent_run_id": "another"})
    try:
        earlier.write_text(left.model_dump_json())
        found = read_candidates(fine_tuned.settings, RUN_KEY, "split-5", fine_tuned.parent_run_id)
    finally:
        earlier.unlink()
    assert found == sorted(fine_tuned.candidates, key=lambda candidate: candidate.name)
    with pytest.raises(FileNotFoundError, match="No candidate of tiny_shop 2026-11-20 was trained in run another on"):
        read_candidates(fine_tuned.settings, RUN_KEY, "split-5", "another")
    with pytest.raises(FileNotFoundError, match="on split other"):
        read_candidates(fine_tuned.settings, RUN_KEY, "other", fine_tuned.parent_run_id)


def test_the_best_on_validation_is_compared_and_becomes_champion(fine_tuned: FineTuned) -> None:
    reached = {candidate.name: candidate.validation["ndcg@10"] for candidate in fine_tuned.candidates}
    # Two steps of stage 1 may leave two candidates level.
    assert reached[fine_tuned.evaluation.candidate] == max(reached.values())
    assert fine_tuned.evaluation == read_evaluation(fine_tuned.settings, RUN_KEY)
    assert "discovery_test.ease.ndcg@10" in fine_tuned.evaluation.metrics
    assert len(fine_tuned.evaluation.reasons) == 5
    champion = champion_version(fine_tuned.settings, RUN_KEY)
    assert champion is not None
    assert str(champion.version) == fine_tuned.evaluation.version
    assert champion.tags["split_id"] == "split-5"
    table = mlflow.artifacts.load_dict(f"runs:/{fine_tuned.parent_run_id}/evaluation/evaluation.json")
    assert {row[table["columns"].index("scorer")] for row in table["data"]} >= {"two_tower", "popularity", "item_knn"}
    logged = client(fine_tuned.settings).list_artifacts(fine_tuned.parent_run_id, "evaluation")
    assert {Path(entry.path).name for entry in logged} == {
        *("evaluation.csv", "evaluation.json", "segments.csv"),
        *("evaluation.png", "segments.png", "diversity.png"),
    }


def test_mlflow_describes_what_was_decided_and_groups_metrics(fine_tuned: FineTuned) -> None:
    api, done = client(fine_tuned.settings), fine_tuned.evaluation
    night, model = api.get_run(fine_tuned.parent_run_id), api.get_registered_model(done.model_name)
    version = api.get_model_version(done.model_name, done.version)
    assert version.description is not None
    assert version.source is not None
    assert f"**Verdict: promote.** The challenger, [version {done.version}](#/models/" in night.data.tags[NOTE]
    for reason in done.reasons:
        assert f"- {reason}" in night.data.tags[NOTE]
        assert f"- {reason}" in version.description
    for candidate in fine_tuned.candidates:
        assert f"/runs/{candidate.run_id})" in night.data.tags[NOTE]
        tags = api.get_run(candidate.run_id).data.tags
        assert f"/runs/{fine_tuned.parent_run_id})" in tags[NOTE]
    assert version.description.rpartition("\n\n")[2].startswith("Promoted on ")
    assert f'"models:/{done.model_name}@champion"' in model.description
    figures = night.data.metrics
    assert figures["served_test/ndcg_at_10"] == done.metrics["served_test.two_tower.ndcg@10"]
    assert figures["rivals/ease.ours_minus"] == done.metrics["served_test.ease.ours_minus"]
    assert len(figures) <= 35
    assert {name.partition("/")[0] for name in figures} >= {"served_test", "rivals", "repeat_share"}
    logged = api.get_logged_model(version.source.rpartition("/")[2])
    assert {metric.key for metric in logged.metrics or []} >= {"served_test/ndcg_at_10", "rivals/ease.ndcg_at_10"}
    assert not [name for name in version.tags if "ndcg" in name]
    commit = {"git_commit"} if git_commit() else set()
    assert set(version.tags) - commit == {
        *("ds", "verdict", "split_id", "strategy", "window_days", "repeat_settings"),
        *("snapshot.items", "snapshot.sequences", "snapshot.splits"),
    }
    assert version.tags.get("git_commit") == git_commit()


def test_the_registered_model_recommends_through_mlflow(fine_tuned: FineTuned) -> None:
    model = mlflow.pyfunc.load_model(f"models:/nightshelf-{RUN_KEY.source}@champion")
    histories = pd.DataFrame(
        {
            "item_ids": [["i000", "no such item"], ["i001"]],
            "event_types": [["view", "view"], ["purchase"]],
            "timestamps": [[1, 2], [3]],
        }
    )
    answer = model.predict(histories, params={"top_k": 4})
    assert [len(row) for row in answer["item_ids"]] == [4, 4]
    assert all(list(row) == sorted(row, reverse=True) for row in answer["scores"])
    # The example that MLflow shows beside the version is a request that works.
    version = champion_version(fine_tuned.settings, RUN_KEY)
    assert version is not None
    example = model.metadata.load_input_example(version.source)
    assert len(model.predict(example)["item_ids"][0]) == 10
    assert model.metadata.signature.inputs.required_input_names() == ["item_ids", "event_types", "timestamps"]
    # What was clicked since the training is not too new to count.
    today = model.predict(
        histories.assign(timestamps=pd.Series([[2_000_000_000_000_000] * 2, [2_000_000_000_000_001]]))
    )
    assert np.isfinite(np.array(today["scores"].tolist())).all()
    assert today["item_ids"].tolist() != model.predict(histories)["item_ids"].tolist()
    with pytest.raises(ValueError, match=r"History 1 has arrays of different lengths, {'item_ids': 1, "):
        model.predict(histories.assign(event_types=pd.Series([["view", "view"], ["view", "view"]])))


def test_only_the_winner_is_logged_as_a_model(fine_tuned: FineTuned) -> None:
    api = client(fine_tuned.settings)
    experiment = api.get_run(fine_tuned.parent_run_id).info.experiment_id
    assert [model.source_run_id for model in api.search_logged_models([experiment])] == [fine_tuned.parent_run_id]


def test_the_logged_model_is_served_where_nightshelf_is_not_installed(fine_tuned: FineTuned, tmp_path: Path) -> None:
    version = champion_version(fine_tuned.settings, RUN_KEY)
    assert version is not None
    model = cached_version(fine_tuned.settings, version)
    answer, ours = served_alone(model, tmp_path)
    here = mlflow.pyfunc.load_model(str(model)).predict(pd.DataFrame(ASKED), params={"top_k": 3})
    assert answer == list(here["item_ids"][0])
    assert ours
    assert [file for file in ours.values() if not file.startswith(str(model))] == []
    # Its requirements are what its modules import, and not the whole lock.
    lines = (model / "requirements.txt").read_text().splitlines()
    assert {re.split("[=; ]", line)[0] for line in lines} == set(NEEDED)
    assert distributions_of(ours) <= set(NEEDED)


def test_vectors_of_every_user_and_item_have_the_models_dot_products(fine_tuned: FineTuned) -> None:
    meta = embed_catalog(fine_tuned.settings, RUN_KEY)
    folder = staging_folder(fine_tuned.settings, RUN_KEY) / "vectors"
    assert meta == json.loads((folder / "meta.json").read_text())
    items, ids = np.load(folder / "items.npy"), pq.read_table(folder / "item_ids.parquet")["item_id"].to_pylist()
    users = pq.read_table(folder / "users")
    assert (len(items), len(ids), users.num_rows) == (61, 61, 120)
    assert "session:s1" not in users["user_key"].to_pylist()
    assert np.isfinite(items).all()
    visitors = np.load(folder / "visitors.npy")
    assert visitors.shape == items.shape
    assert np.isfinite(visitors).all()
    assert items[ids.index("i060")].any(), "an item without events is described by its text"
    first = (folder / "users" / "part-00000.parquet").read_bytes(), items.tobytes()
    embed_catalog(fine_tuned.settings, RUN_KEY)
    again = (folder / "users" / "part-00000.parquet").read_bytes(), np.load(folder / "items.npy").tobytes()
    assert first == again


def test_a_model_read_back_scores_as_before(fine_tuned: FineTuned) -> None:
    champion = champion_version(fine_tuned.settings, RUN_KEY)
    assert champion is not None
    saved = load_version(fine_tuned.settings, RUN_KEY.source, champion)
    moved = saved.for_catalog(saved.catalog, _log(fine_tuned))
    np.testing.assert_allclose(moved.texts, saved.recommender.texts, atol=1e-5)
    # A new title beside known ones is encoded as the known ones were: by the same, possibly tuned, encoder.
    known, content = saved.catalog, saved.recommender.model.config.dimension
    new = ["zz0", "zz1", "zz2"]
    more = ItemCatalog(
        [*known.item_ids, *new],
        [*known.texts, "a brand new watering can", "a brand new watering can", ""],
        [*known.values, ("category=garden", "never=seen"), ("category=office",), ()],
        [*known.images, None, None, None],
    )
    vectors = saved.for_catalog(more, _log(fine_tuned)).item_matrix()[len(known) :, :content]
    assert np.isfinite(vectors).all()
    assert not np.allclose(vectors[0], vectors[1]), "items of one title differ by their structured values"
    assert np.abs(vectors[2]).max() < np.abs(vectors[0]).max(), "of an item without content nothing is claimed"


def test_when_a_retrain_is_due(fine_tuned: FineTuned) -> None:
    assert fine_tuned.reason_before == "tiny_shop has no champion yet"
    assert retrain_reason(fine_tuned.settings, RUN_KEY) is None
    tomorrow = RunKey(RUN_KEY.source, RUN_KEY.ds + timedelta(days=1))
    lake = Lake.open(fine_tuned.settings, RUN_KEY.source)
    write_tiny_shop(lake, tomorrow)
    assert "is 1 days old" in (retrain_reason(fine_tuned.settings, tomorrow) or "")
    weekly = fine_tuned.settings.model_copy(update={"training": TRAINING.model_copy(update={"retrain_every_days": 7})})
    assert retrain_reason(weekly, tomorrow) is None
    write_tiny_shop(lake, RUN_KEY, seed=6)
    assert "was made from another split" in (retrain_reason(fine_tuned.settings, RUN_KEY) or "")
    assert WINDOW == 30


def test_a_day_that_was_not_split_is_an_error(fine_tuned: FineTuned) -> None:
    empty = RunKey(RUN_KEY.source, RUN_KEY.ds + timedelta(days=9))
    with pytest.raises(ValueError, match="No sequences for tiny_shop 2026-11-29"):
        train_candidate(fine_tuned.settings, empty, "frozen", fine_tuned.parent_run_id)
    assert not list(Path(staging_folder(fine_tuned.settings, empty)).rglob("*.json"))


def _log(fine_tuned: FineTuned) -> Interactions:
    return read_run_data(Lake.open(fine_tuned.settings, RUN_KEY.source), RUN_KEY).log
