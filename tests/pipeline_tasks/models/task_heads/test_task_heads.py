from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from pipeline_tasks.config.training_settings import TrainingSettings
from pipeline_tasks.data.interactions import Interactions
from pipeline_tasks.data.task_labels import Impressions, TaskLabels
from pipeline_tasks.errors import TrainingError
from pipeline_tasks.models.task_heads.binary_task import build_heads
from pipeline_tasks.models.two_tower.training_windows import last_windows
from pipeline_tasks.models.two_tower.two_tower import TwoTower
from pipeline_tasks.models.two_tower.two_tower_recommender import TwoTowerRecommender
from pipeline_tasks.tables.contracts import CHOSEN_TYPES
from pipeline_tasks.times import DAY, MINUTE
from pipeline_tasks.training.fit_two_tower import TwoTowerTrainer
from pipeline_tasks.training.task_predictions import evaluate_heads, predict
from pipeline_tasks.training.training_choices import choose_options
from tests.pipeline_tasks.logs import log_of, random_log
from tests.pipeline_tasks.models.task_heads.small_heads import CUT, DAYS, ITEMS, TEXTS, options_for

pytestmark = pytest.mark.training

WEIGHTS = {"next_item": 1.0, "purchase_intent": 0.5, "session_converts": 0.5, "click": 0.5}
OPTIONS = options_for(WEIGHTS)


def shop(users: int = 120, seed: int = 1) -> tuple[Interactions, Impressions]:
    """Return visits of two looks and what was shown between them. Who looks at items below 10 buys, the others hardly
    ever; who is shown an item of that half clicks on it, mostly.
    """
    rng = np.random.default_rng(seed)
    events, shown = [], []
    for user in range(users):
        half = user % 2
        for day in np.flatnonzero(rng.random(DAYS) < 0.3):
            start = int(day) * DAY + int(rng.integers(DAY // 2))
            first, second, offered = rng.integers(10, size=2) + 10 * half, rng.integers(ITEMS), rng.random(2)
            events.append((user, start, int(first[0]), "view"))
            shown.append((user, int(second), start + MINUTE))
            if offered[0] < (0.8 if second // 10 == half else 0.1):
                events.append((user, start + 2 * MINUTE, int(second), "click"))
            if offered[1] < (0.05 if half else 0.6):
                events.append((user, start + 9 * MINUTE, int(first[1]), "purchase"))
    rows, times, items, kinds = (np.array(column) for column in zip(*sorted(events), strict=True))
    log = Interactions(
        [f"u{number:03d}" for number in range(users)],
        np.ones(users, bool),
        np.searchsorted(rows, np.arange(users + 1)).astype(np.int64),
        items,
        np.array([CHOSEN_TYPES.index(kind) for kind in kinds]),
        times,
    )
    return log, Impressions(*(np.array(column, np.int64) for column in zip(*shown, strict=True)))


LOG, SHOWN = shop()


@pytest.fixture(scope="module")
def recommender() -> TwoTowerRecommender:
    return TwoTowerTrainer(LOG.until(CUT), TEXTS, OPTIONS, task_labels=TaskLabels(SHOWN)).fit()


@pytest.mark.parametrize(("task", "auc"), [("purchase_intent", 0.75), ("session_converts", 0.7), ("click", 0.7)])
def test_each_head_predicts_held_out_labels(recommender: TwoTowerRecommender, task: str, auc: float) -> None:
    figures = evaluate_heads(recommender, LOG, CUT, TaskLabels(SHOWN))
    assert figures[f"{task}_auc"] > auc
    assert figures[f"{task}_log_loss"] < figures[f"{task}_base_log_loss"] - 0.02


def test_the_next_item_is_learned_beside_them(recommender: TwoTowerRecommender) -> None:
    scores = recommender.scores(LOG.until(CUT))
    own = scores[0::2, :10].mean() - scores[0::2, 10:].mean(), scores[1::2, 10:].mean() - scores[1::2, :10].mean()
    assert min(own) > 0.5


def test_heads_are_saved_with_the_towers(recommender: TwoTowerRecommender, tmp_path: Path) -> None:
    recommender.model.save_pretrained(tmp_path)
    again = replace(recommender, model=TwoTower.from_pretrained(tmp_path))
    known = LOG.until(CUT)
    moments, items = np.full(len(known), CUT + DAY), np.arange(len(known)) % ITEMS
    for task in ("purchase_intent", "session_converts", "click"):
        ours, theirs = (predict(one, task, known, moments, items) for one in (recommender, again))
        assert ((ours > 0) & (ours < 1)).all()
        np.testing.assert_array_equal(ours, theirs)


def test_the_prediction_time_changes_the_probability(recommender: TwoTowerRecommender) -> None:
    known = LOG.until(CUT)
    now, later = (predict(recommender, "purchase_intent", known, np.full(len(known), CUT + n * DAY)) for n in (1, 30))
    assert (now != later).all()
    assert len(predict(recommender, "session_converts", known)) == len(known)


def test_impossible_predictions_are_nan_or_an_error(recommender: TwoTowerRecommender) -> None:
    known = LOG.until(CUT)
    assert np.isnan(predict(recommender, "purchase_intent", log_of({"new_user": []}))).all()
    with pytest.raises(ValueError, match="the task click is about items"):
        predict(recommender, "click", known)
    with pytest.raises(ValueError, match="a prediction time is before the end of its history"):
        predict(recommender, "purchase_intent", known, np.zeros(len(known), np.int64))
    with pytest.raises(ValueError, match=r"not trained for 'churn': add it to training.task_weights"):
        predict(recommender, "churn", known)
    with pytest.raises(ValueError, match="no head called churn"):
        build_heads(["churn"], 8, 0.0)


def test_without_heads_nothing_is_added() -> None:
    trainer = TwoTowerTrainer(random_log(20, 8, seed=1), TEXTS[:8], replace(OPTIONS, task_weights={"next_item": 1.0}))
    assert not list(trainer.model.heads.parameters())
    assert trainer.tasks.sample(np.zeros((1, 1), np.int64)) == ()


def test_parts_of_a_batch_sample_the_same_labels_as_the_whole() -> None:
    trainer = TwoTowerTrainer(LOG, TEXTS, replace(OPTIONS, task_weights={"next_item": 1.0, "purchase_intent": 0.5}))
    windows = last_windows(LOG, 8)
    (whole,) = trainer.tasks.sample(windows)
    cut = windows.shape[1] * (len(windows) // 2)
    parts = [whole.part(0, cut), whole.part(cut, windows.size)]
    assert sum(len(part.place) for part in parts) == len(whole.place) > 0
    assert sum(part.weights.sum() for part in parts) == pytest.approx(0.5)
    assert set(parts[0].place) | set(parts[1].place + cut) == set(whole.place)


@pytest.mark.parametrize(
    ("weights", "message"),
    [
        ({"churn": 1.0}, "task_weights has unknown churn: there are next_item, purchase_intent"),
        ({"click": -1.0}, "'click': -1.0"),
        ({"next_item": 0.0, "click": 1.0}, "next_item to 0, with click"),
    ],
)
def test_weights_that_contradict_are_refused(weights: dict[str, float], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        TrainingSettings(task_weights=weights)


def test_tasks_are_settings_and_fit_the_split() -> None:
    training = TrainingSettings(task_weights={"purchase_intent": 0.3, "click": 0.0})
    assert choose_options(LOG, "temporal", training, 20).task_weights == {"next_item": 1.0, "purchase_intent": 0.3}
    with pytest.raises(ValueError, match=r"task_weights has purchase_intent, but split.strategy is leave_one_out"):
        choose_options(LOG, "leave_one_out", training, 20)


def test_a_log_without_labels_of_a_task_is_refused() -> None:
    with pytest.raises(TrainingError, match=r"task_weights has click, but the log has no impressions"):
        TwoTowerTrainer(LOG, TEXTS, OPTIONS)
    views = replace(LOG, types=np.zeros_like(LOG.types))
    with pytest.raises(
        TrainingError, match=r"task purchase_intent: the log has \d+ labelled examples, 0 of them positive"
    ):
        TwoTowerTrainer(views, TEXTS, replace(OPTIONS, task_weights={"next_item": 1.0, "purchase_intent": 1.0}))
