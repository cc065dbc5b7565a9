"""Candidates compete on validation by the served lists, which hold previously purchased items if the policy allows."""

from pathlib import Path

import numpy as np
import pytest

from pipeline_tasks.candidates.candidate_training import TrainedCandidate, train
from pipeline_tasks.config.recommendation_settings import ScoringSettings
from pipeline_tasks.config.training_settings import TrainingSettings
from pipeline_tasks.data.interactions import Interactions
from pipeline_tasks.errors import TrainingError
from pipeline_tasks.evaluation.full_ranking import evaluate
from pipeline_tasks.evaluation.ranking_task import Goal, build_task
from pipeline_tasks.tables.contracts import CHOSEN_TYPES
from pipeline_tasks.times import DAY
from tests.pipeline_tasks.logs import log_of
from tests.pipeline_tasks.run_fixtures import leave_last_out_run

pytestmark = pytest.mark.training

TITLES = [f"tea {n}" for n in range(24)]
TRAINING = TrainingSettings(epochs=1, dimension=16, max_length=20, threads=1)
ALLOWED = ScoringSettings(exclude_purchased_days=0)
EXCLUDED = ScoringSettings(repeat_policy={"purchase": "excluded"})


def purchases(own_items: int) -> Interactions:
    """Return a log of users who buy ten times, each from their own set of items."""
    rng = np.random.default_rng(4)
    histories = {}
    for user in range(60):
        own = rng.choice(len(TITLES), own_items, replace=False)
        chosen = rng.permutation(own) if own_items == 10 else rng.choice(own, 10)
        histories[f"u{user:02d}"] = [(int(item), 6 * place) for place, item in enumerate(chosen)]
    return log_of(histories)


def trained(log: Interactions, scoring: ScoringSettings, folder: Path) -> TrainedCandidate:
    return train(
        leave_last_out_run(TITLES, log), "frozen", TRAINING, folder, lambda metrics, step: None, scoring=scoring
    )


@pytest.mark.parametrize(
    ("own_items", "scoring", "goal"),
    [(5, ALLOWED, "repeats"), (5, EXCLUDED, "discovery"), (10, ALLOWED, "discovery")],
    ids=["bought again", "bought again but excluded", "never bought again"],
)
def test_candidates_compete_by_the_lists_that_are_served(
    own_items: int, scoring: ScoringSettings, goal: Goal, tmp_path: Path
) -> None:
    log = purchases(own_items)
    done = trained(log, scoring, tmp_path)
    assert done.validation.task == "served_validation"
    assert (done.saved.recommender.repeat_model is not None) is (own_items == 5)
    task = build_task(leave_last_out_run(TITLES, log).parts, "validation", goal, len(TITLES))
    by_goal = evaluate(done.saved.recommender, task)
    np.testing.assert_array_equal(done.validation.per_user["ndcg@10"], by_goal.per_user["ndcg@10"])


def test_own_items_count_as_far_as_the_lists_that_are_served_gain(tmp_path: Path) -> None:
    weights = []
    for number, scoring in enumerate((ALLOWED, EXCLUDED)):
        own = trained(purchases(5), scoring, tmp_path / str(number)).saved.recommender.repeat_model
        assert own is not None
        weights.append((own.scale, own.offset))
    assert weights[0] > (0, 0)
    assert weights[1] == (0, 0), "nothing is gained by lifting what is never shown"


def test_a_policy_that_leaves_nothing_to_evaluate_is_refused(tmp_path: Path) -> None:
    # What is asked for in validation is bought after a view of it in train.
    log = log_of({f"u{n:02d}": [(n % 24, 1), ((n + 1) % 24, 2), (n % 24, 3), (0, 4)] for n in range(60)})
    log.types[log.times < 3 * DAY] = CHOSEN_TYPES.index("view")
    scoring = ScoringSettings(repeat_policy={"view": "excluded"})
    with pytest.raises(
        TrainingError, match=r"the repeat policy excludes every wanted item .*NIGHTSHELF_SCORING__REPEAT_POLICY"
    ):
        trained(log, scoring, tmp_path)
