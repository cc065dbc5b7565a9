"""A candidate trained on a log with queries and attributes, then used with the catalog of another day."""

from collections.abc import Sequence
from dataclasses import replace
from datetime import UTC, date, datetime
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pandas as pd
import pytest

from pipeline_tasks.candidates.candidate_training import TrainedCandidate, refit, train
from pipeline_tasks.config.training_settings import CandidateName, TrainingSettings
from pipeline_tasks.data.interactions import TypedQueries
from pipeline_tasks.data.item_catalog import make_catalog
from pipeline_tasks.data.run_data import RunData
from pipeline_tasks.evaluation.full_ranking import evaluate
from pipeline_tasks.evaluation.ranking_task import build_task
from pipeline_tasks.models.two_tower.saved_recommender import load_recommender
from pipeline_tasks.registry.pyfunc_recommender import PyfuncRecommender
from pipeline_tasks.registry.registry import ARTIFACT
from pipeline_tasks.run_key import RunKey
from pipeline_tasks.times import DAY
from pipeline_tasks.training.training_checkpoint import log_digest
from tests.pipeline_tasks.informative_logs import ITEMS, KINDS, profile_log

pytestmark = pytest.mark.training

NOUNS = ("lamp", "kettle", "bicycle", "sofa", "candle", "notebook", "carpet", "guitar")
TRAINING = TrainingSettings(read_queries=True, epochs=15, dimension=16, max_length=20, encoder_steps=2, threads=1)
USERS = 600


def make_run_data() -> RunData:
    """Return a shop of 100 days. Every third user has only events of the last 18 days."""
    log, rng = profile_log(USERS, seed=1), np.random.default_rng(5)
    first = np.where(np.arange(USERS) % 3 == 0, 82 * DAY, 0)[:, None]
    times = np.sort(rng.integers(first, 100 * DAY, (USERS, 6)), axis=1).ravel()
    led = np.where(np.arange(len(log.items)) % 3 == 0, log.items % KINDS + 1, 0)
    queries = TypedQueries(["", *NOUNS], led, np.zeros(USERS, np.int64))
    titles = [
        f"{('red', 'blue', 'green', 'plain', 'striped')[item // KINDS]} {NOUNS[item % KINDS]}" for item in range(ITEMS)
    ]
    catalog = make_catalog([{"item_id": f"i{item:02d}", "title": title} for item, title in enumerate(titles)], [])
    ends = [datetime.fromtimestamp(days * DAY / 1e6, UTC) for days in (60, 80)]
    split = {"split_id": "s", "strategy": "temporal", "train_end": ends[0], "validation_end": ends[1]}
    return RunData(RunKey("shop", date(2026, 11, 20)), catalog, replace(log, times=times, queries=queries), {}, split)


def trained(
    data: RunData, folder: Path, name: CandidateName = "frozen", training: TrainingSettings = TRAINING
) -> TrainedCandidate:
    return train(data, name, training, folder, lambda metrics, step: None)


def newcomers_ndcg(data: RunData, candidate: TrainedCandidate) -> float:
    task = build_task(data.parts, "test", "newcomers", ITEMS)
    assert len(task) > 100
    return evaluate(refit(data, candidate.saved, TRAINING).recommender, task).overall["ndcg@10"]


@pytest.fixture(scope="module")
def data() -> RunData:
    return make_run_data()


def test_attributes_help_new_users_unless_they_are_not_allowed(data: RunData, tmp_path: Path) -> None:
    reads = trained(data, tmp_path / "reads")
    private = trained(data, tmp_path / "private", training=TRAINING.model_copy(update={"profile_attributes": []}))
    assert reads.saved.recommender.users.profile.pairs
    assert not private.saved.recommender.users.profile.pairs
    # .59 and .17 on 2026-11-23.
    assert newcomers_ndcg(data, reads) > 1.5 * newcomers_ndcg(data, private)


def test_stage_one_uses_queries_and_its_vectors_are_reused(
    data: RunData, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    brief = TRAINING.model_copy(update={"epochs": 1})
    first = trained(data, tmp_path, "lora", brief)
    scores = first.saved.recommender.scores(data.log)
    (tmp_path / "training.safetensors").rename(tmp_path / "kept")
    again = trained(data, tmp_path, "lora", brief)
    assert "reusing the text vectors of an earlier attempt" in capsys.readouterr().out
    np.testing.assert_array_equal(again.saved.recommender.scores(data.log), scores)
    untyped = replace(data, log=replace(data.log, queries=None))
    assert not np.array_equal(
        trained(untyped, tmp_path / "untyped", "lora", brief).saved.raw_texts, first.saved.raw_texts
    )


def test_another_day_is_scored_with_its_own_queries(data: RunData, tmp_path: Path) -> None:
    candidate = trained(data, tmp_path / "work")
    candidate.saved.save(tmp_path / "saved")
    saved = load_recommender(tmp_path / "saved")
    np.testing.assert_array_equal(saved.recommender.scores(data.log), candidate.saved.recommender.scores(data.log))
    assert data.log.queries is not None
    texts = [*data.log.queries.texts, "a guitar, please"]
    last = np.full(USERS, len(texts) - 1)
    day = replace(data.log, queries=replace(data.log.queries, texts=texts, last=last))
    found = saved.for_catalog(data.catalog, day).scores(day)
    before = saved.for_catalog(data.catalog, data.log).scores(data.log)
    guitars = np.arange(ITEMS) % KINDS == NOUNS.index("guitar")
    gained = (found - before)[:, guitars].mean() - (found - before)[:, ~guitars].mean()
    assert gained > 0


def test_mlflow_model_uses_query_and_attributes_of_new_users(data: RunData, tmp_path: Path) -> None:
    trained(data, tmp_path / "work").saved.save(tmp_path / "saved")
    model = PyfuncRecommender()
    model.load_context(SimpleNamespace(artifacts={ARTIFACT: str(tmp_path / "saved")}))
    new: dict[str, list[object]] = {"item_ids": [[]], "event_types": [[]], "timestamps": [[]]}

    def of_their_kind(column: str, values: Sequence[str]) -> int:
        """Return how many of the 5 best items are of the kind that a value stands for, over all values."""
        asked = [pd.DataFrame(new | {column: [value]}) for value in values]
        found = [model.predict(None, user, {"top_k": 5})["item_ids"][0] for user in asked]
        return sum(int(item_id[1:]) % KINDS == kind for kind, items in enumerate(found) for item_id in items)

    # 5 by chance, 40 at best; 12 and 27 on 2026-11-23.
    assert of_their_kind("query", NOUNS) > 8
    assert of_their_kind("attributes", [f'{{"club": "c{kind}"}}' for kind in range(KINDS)]) > 20
    with pytest.raises(ValueError, match="Attributes of history 0 are no JSON object: 'club 7'"):
        of_their_kind("attributes", ["club 7"])


def test_queries_and_attributes_change_the_digest_of_a_log(data: RunData) -> None:
    assert data.log.queries is not None
    assert data.log.attributes is not None
    logs = [
        data.log,
        replace(data.log, queries=None),
        replace(data.log, queries=replace(data.log.queries, led=data.log.queries.led[::-1])),
        replace(data.log, attributes=data.log.attributes[::-1]),
    ]
    assert len({log_digest(log) for log in logs}) == len(logs)
