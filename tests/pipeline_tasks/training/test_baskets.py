"""A shop without user ids: each visit is one basket of lines with the same time and no order."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from sklearn.linear_model import Ridge

from pipeline_tasks.candidates.candidate_training import train
from pipeline_tasks.config.training_settings import TrainingSettings
from pipeline_tasks.data.interactions import Interactions
from pipeline_tasks.data.run_data import RunData
from pipeline_tasks.evaluation.ranking_task import build_task, interaction_matrix
from pipeline_tasks.evaluation.ranks_from_scores import ndcg_from_scores
from pipeline_tasks.models.ease import DROP_RATE, basket_weights
from pipeline_tasks.models.item_to_item import ItemToItemRecipe, fit_item_to_item, history_weights
from pipeline_tasks.training import training_choices
from pipeline_tasks.training.fit_options import FitOptions
from pipeline_tasks.training.fit_two_tower import TwoTowerTrainer
from pipeline_tasks.training.training_choices import choose_options, log_statistics
from pipeline_tasks.training.tune_item_to_item_weight import PENALTIES, tune_item_to_item
from tests.pipeline_tasks.logs import log_of, random_log
from tests.pipeline_tasks.run_fixtures import leave_last_out_run

pytestmark = pytest.mark.training

GROUPS, SIZE = 12, 6
ITEMS = GROUPS * SIZE


def baskets(visits: int = 240) -> Interactions:
    """Return visits that buy five of the six items of a group, in any order, at one time."""
    rng = np.random.default_rng(1)
    lines = {
        f"session:{n:04d}": [(int(group * SIZE + item), n) for item in rng.permutation(SIZE)[:5]]
        for n, group in enumerate(rng.integers(GROUPS, size=visits))
    }
    return log_of(lines)


def run_data(log: Interactions) -> RunData:
    return leave_last_out_run(["mug"] * ITEMS, log)


def test_an_order_is_each_events_place() -> None:
    log = log_of({"a": [(1, 5), (2, 5), (3, 9)], "b": [], "c": [(4, 5)]}).in_order()
    assert log.times.tolist() == [0, 1, 2, 0]


def test_visits_are_distinguished_from_histories_by_their_times() -> None:
    facts = log_statistics(
        log_of({"a": [(0, 1), (1, 1)], "b": [(0, 1), (1, 2), (2, 2)], "c": [(0, 1), (1, 2)], "d": [(3, 1)]})
    )
    assert facts.one_basket == pytest.approx(1 / 3)
    assert facts.ends_in_basket == pytest.approx(2 / 3)


def test_basket_completion_is_learned_without_an_order() -> None:
    visits = choose_options(baskets(), "leave_one_out", TrainingSettings(), ITEMS)
    assert (visits.linear_kind, visits.in_order, visits.answers, visits.averaged) == ("basket", True, 4, False)
    in_time = choose_options(baskets(), "temporal", TrainingSettings(), ITEMS)
    assert (in_time.linear_kind, in_time.in_order) == ("set", False), "weeks to come are never in the same basket"
    one_by_one = choose_options(random_log(50, 20, seed=1).in_order(), "leave_one_out", TrainingSettings(), 50)
    assert (one_by_one.linear_kind, one_by_one.in_order) == ("sequence", False)


def test_a_high_rank_is_chosen_for_few_items_and_few_users_with_ids(monkeypatch: pytest.MonkeyPatch) -> None:
    visits = baskets(240)
    monkeypatch.setattr(training_choices, "BASKET_RANK_LIMIT", 200)
    ranks = {}
    for known, n_items in ((0, 200), (1, 200), (200, 200), (201, 200), (0, 201)):
        log = replace(visits, known=np.arange(len(visits)) < known)
        ranks[known, n_items] = choose_options(log, "leave_one_out", TrainingSettings(), n_items).linear_rank
    assert list(ranks.values()) == [2048, 2048, 2048, 512, 512], "each has vectors of that width, items sold or not"


def test_leave_one_out_keeps_the_order_of_events() -> None:
    rng = np.random.default_rng(0)
    users = {f"u{n}": [(int(item), day) for day in range(4) for item in rng.choice(20, 2)] for n in range(30)}
    options = choose_options(log_of(users), "leave_one_out", TrainingSettings(), 20)
    assert (options.linear_kind, options.in_order, options.reach) == ("sequence", True, 1)


def test_the_penalty_of_baskets_is_chosen_and_beats_what_follows_what() -> None:
    data = run_data(baskets())
    task = build_task(data.parts, "validation", "discovery", ITEMS)
    chosen = tune_item_to_item(task, FitOptions(linear_rank=ITEMS, linear_kind="sequence", in_order=True))
    assert chosen.linear_kind == "basket"
    histories = interaction_matrix(task.histories, ITEMS)
    found = {
        penalty: ndcg_from_scores(histories @ basket_weights(task.known, ITEMS, penalty)[1].numpy(), task)
        for penalty in PENALTIES
    }
    assert found[chosen.linear_penalty] == max(found.values())


def test_a_basket_is_compared_as_it_will_be_served() -> None:
    task = build_task(run_data(baskets()).parts, "validation", "discovery", ITEMS)
    options = FitOptions(linear_rank=1, linear_kind="sequence", in_order=True)
    recipes = [replace(options, linear_kind=kind).item_to_item_recipe(1) for kind in ("basket", "sequence")]
    ndcg = []
    for recipe in recipes:
        user_side, item_side = fit_item_to_item(recipe, task.known, ITEMS)
        weights = history_weights(recipe.kind, task.histories, ITEMS, 0, 0)
        ndcg.append(ndcg_from_scores(weights @ user_side @ item_side.T, task))
    assert tune_item_to_item(task, options).linear_kind == recipes[int(np.argmax(ndcg))].kind


def test_the_sequence_model_is_chosen_where_lines_have_an_order() -> None:
    task = build_task(run_data(random_log(200, ITEMS, seed=5)).parts, "validation", "discovery", ITEMS)
    chosen = tune_item_to_item(task, FitOptions(linear_rank=ITEMS, linear_kind="sequence", in_order=True))
    assert chosen.linear_kind == "sequence"


def test_lines_of_a_basket_follow_one_another_only_in_order() -> None:
    log = log_of({f"session:{n}": [(0, n), (1, n)] for n in range(5)})
    for in_order in (False, True):
        user_side, item_side = fit_item_to_item(ItemToItemRecipe("sequence", 2, in_order=in_order), log, 2)
        assert bool((user_side @ item_side.T)[0, 1] > 0) == in_order


def test_weights_are_a_ridge_regression_with_a_penalty_that_grows_with_popularity() -> None:
    log = baskets()
    chosen, weights = basket_weights(log, ITEMS, penalty=0.3)
    assert chosen.tolist() == list(range(ITEMS))
    # All baskets have five lines: their lengths weigh all of them, and the mean of the penalty, alike.
    matrix = interaction_matrix(log, ITEMS).toarray()
    often = matrix.sum(axis=0)
    for item in (0, 40):
        others = np.delete(np.arange(ITEMS), item)
        # Ridge has one penalty for all: columns are scaled so that it is each item's own.
        scale = 1 / np.sqrt(0.3 * often.mean() + DROP_RATE / (1 - DROP_RATE) * often[others])
        ridge = Ridge(alpha=1, fit_intercept=False).fit(matrix[:, others] * scale, matrix[:, item])
        np.testing.assert_allclose(weights.numpy()[others, item], ridge.coef_ * scale, atol=1e-4)
        assert weights[item, item] == 0


def test_a_pair_in_a_long_basket_weighs_less_than_in_a_short_one() -> None:
    lines = {f"session:s{n}": [(0, n), (1, n)] for n in range(20)}
    lines |= {f"session:l{n}": [(item, n) for item in (0, *range(2, 30))] for n in range(20)}
    chosen, weights = basket_weights(log_of(lines), 30, penalty=0.3)
    assert chosen.tolist() == list(range(30))
    assert weights[1, 0] > 3 * weights[2, 0]


def test_kind_and_penalty_reach_the_model() -> None:
    log, texts = baskets(), np.random.default_rng(0).normal(size=(ITEMS, 8)).astype(np.float32)
    for penalty in (0.1, 1.0):
        options = FitOptions(dimension=8, linear_kind="basket", linear_rank=ITEMS, linear_penalty=penalty)
        model = TwoTowerTrainer(log, texts, options).model
        expected = basket_weights(log, ITEMS, penalty)[1].numpy()
        found = (model.linear_in @ model.linear_out.T).numpy()
        np.testing.assert_allclose(found, expected, atol=1e-3 * np.abs(expected).max())


def test_the_rest_of_a_basket_is_a_target_where_it_is_evaluated() -> None:
    log, texts = baskets(), np.random.default_rng(0).normal(size=(ITEMS, 8)).astype(np.float32)
    options = FitOptions(dimension=8, epochs=1, linear_rank=0)
    unordered, ordered = (TwoTowerTrainer(log, texts, replace(options, in_order=each)) for each in (False, True))
    assert not unordered.targets.room.any()
    assert (ordered.targets.room > 0).mean() == pytest.approx(0.8), "all lines but the last of five have one"


def test_a_shop_of_anonymous_baskets_is_served(tmp_path: Path) -> None:
    data = run_data(baskets())
    training = TrainingSettings(epochs=2, dimension=16, threads=1)
    trained = train(data, "frozen", training, tmp_path, lambda metrics, step: None)
    # Of six items of a group, three are shown to validation: three are left, in no order (.71 by chance).
    assert trained.validation.overall["ndcg@10"] > 0.6
    assert trained.saved.facts["options"]["linear_kind"] == "basket"
