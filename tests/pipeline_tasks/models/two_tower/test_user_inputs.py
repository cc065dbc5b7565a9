"""Profiles and queries change a user's vector where they are informative, and change nothing where there are none."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from scipy.sparse import csr_matrix

from pipeline_tasks.data.interactions import Floats, Integers, Interactions
from pipeline_tasks.evaluation.full_ranking import evaluate
from pipeline_tasks.evaluation.ranking_task import RankingTask, interaction_matrix
from pipeline_tasks.models.two_tower.saved_recommender import load_users, save_users
from pipeline_tasks.models.two_tower.two_tower import TwoTower
from pipeline_tasks.models.two_tower.two_tower_recommender import TwoTowerRecommender
from pipeline_tasks.models.two_tower.user_inputs import NO_QUERIES, NOTHING, UserContent, fit_user_content
from pipeline_tasks.training.fit_options import FitOptions
from pipeline_tasks.training.fit_two_tower import TwoTowerTrainer
from tests.pipeline_tasks.informative_logs import ITEMS, KINDS, item_texts, profile_log, query_log, query_vectors
from tests.pipeline_tasks.logs import log_of

pytestmark = pytest.mark.training

TEXTS = item_texts()
OPTIONS = FitOptions(epochs=6, dimension=16, text_dimension=8, max_length=10, linear_rank=4, learning_rate=1e-2)
CLUBS, QUERIES_LOG = profile_log(400, seed=1), query_log(300, seed=1)


def content_of(log: Interactions) -> UserContent:
    return fit_user_content(log, query_vectors() if log.queries is not None else NO_QUERIES.raw, None)


def fitted(log: Interactions, content: UserContent, options: FitOptions = OPTIONS) -> TwoTowerRecommender:
    return TwoTowerTrainer(log, TEXTS, options, users=content).fit()


def ndcg(scorer: TwoTowerRecommender, train: Interactions, users: Interactions, seen: int) -> float:
    """Return NDCG@10 of the event after the first `seen` of `users`."""
    stops = np.full(len(users), seen)
    future = interaction_matrix(users.between(stops, users.lengths), ITEMS)
    nothing = csr_matrix(future.shape, dtype=np.float32)
    task = RankingTask("held_out", train, users.before(stops), future, nothing, np.ones(ITEMS, np.int64))
    return evaluate(scorer, task).overall["ndcg@10"]


def typing(histories: Interactions, last: Integers) -> Interactions:
    """Return histories whose users typed the queries `last` after the last event."""
    assert histories.queries is not None
    return replace(histories, queries=replace(histories.queries, last=last))


def first_kind(scores: Floats) -> Integers:
    """Return the kind of each row's best item."""
    return np.asarray(np.argmax(scores, axis=1) % KINDS, dtype=np.int64)


@pytest.fixture(scope="module")
def of_clubs() -> TwoTowerRecommender:
    return fitted(CLUBS, content_of(CLUBS))


@pytest.fixture(scope="module")
def of_queries() -> TwoTowerRecommender:
    return fitted(QUERIES_LOG, content_of(QUERIES_LOG))


def test_user_attributes_improve_the_ranking(of_clubs: TwoTowerRecommender) -> None:
    """Of others than those of train: .66 and .20 for newcomers, .49 and .44 after two events (seed 1)."""
    others, without_attributes = profile_log(200, seed=2), fitted(CLUBS, NOTHING)
    assert ndcg(of_clubs, CLUBS, others, 0) > 2 * ndcg(without_attributes, CLUBS, others, 0)
    assert ndcg(of_clubs, CLUBS, others, 2) > ndcg(without_attributes, CLUBS, others, 2) + 0.02


def test_queries_improve_the_ranking(of_queries: TwoTowerRecommender) -> None:
    """The fourth event of others than those of train: .47 and .13 (seed 1)."""
    others = query_log(200, seed=2).before(np.full(200, 4))
    assert ndcg(of_queries, QUERIES_LOG, others, 3) > 2 * ndcg(fitted(QUERIES_LOG, NOTHING), QUERIES_LOG, others, 3)


@pytest.mark.parametrize("seen", [0, 4])
def test_the_last_query_changes_the_recommendations(of_queries: TwoTowerRecommender, seen: int) -> None:
    histories = query_log(200, seed=2).before(np.full(200, seen))
    wanted = np.arange(200) % KINDS
    assert np.mean(first_kind(of_queries.scores(typing(histories, wanted + 1))) == wanted) > 0.9
    assert np.mean(first_kind(of_queries.scores(histories)) == wanted) < 0.3


def test_the_query_that_led_to_an_event_is_not_seen_before_it(of_queries: TwoTowerRecommender) -> None:
    """In histories cut before it, and in the states that training learns from."""
    assert QUERIES_LOG.queries is not None
    led = QUERIES_LOG.queries.led.reshape(len(QUERIES_LOG), -1).copy()
    led[:, 4:] = (led[:, 4:] + 2) % KINDS + 1
    other = replace(QUERIES_LOG, queries=replace(QUERIES_LOG.queries, led=led.ravel()))
    stops = np.full(len(QUERIES_LOG), 4)
    before = of_queries.user_matrix(QUERIES_LOG.before(stops))
    np.testing.assert_array_equal(of_queries.user_matrix(other.before(stops)), before)
    assert (
        np.abs(
            of_queries.user_matrix(other.before(stops + 1)) - of_queries.user_matrix(QUERIES_LOG.before(stops + 1))
        ).max()
        > 0.1
    )
    states = [_trained_states(log, of_queries.users) for log in (QUERIES_LOG, other)]
    torch.testing.assert_close(states[0][:, :5], states[1][:, :5])
    assert not torch.allclose(states[0][:, 5:], states[1][:, 5:])


def _trained_states(log: Interactions, content: UserContent) -> torch.Tensor:
    trainer = TwoTowerTrainer(log, TEXTS, replace(OPTIONS, dropout=0.0), users=content)
    windows = np.arange(len(log.items)).reshape(len(log), -1)
    table = trainer.recommender.item_table().detach()
    return trainer.inputs.states(windows, np.arange(len(log)), table[torch.from_numpy(log.items[windows])]).detach()


def test_a_truncated_history_loses_the_queries_after_it() -> None:
    log = typing(query_log(3, seed=1), np.array([1, 2, 3]))
    kept = [log.before(np.array([8, 7, 8])), log.until(10**18), log.select(np.array([2, 0]))]
    assert [part.queries.last.tolist() for part in kept if part.queries] == [[1, 0, 3], [0, 0, 0], [3, 1]]


def test_a_user_vector_is_zero_without_history_and_attributes(
    of_clubs: TwoTowerRecommender, of_queries: TwoTowerRecommender
) -> None:
    new_user = log_of({"a": [], "b": []})
    described_users = new_user.described({"b": '{"club": "c1"}', "a": '{"club": "of one"}'})
    vectors = of_clubs.user_matrix(described_users)[:, :16]
    assert vectors.any(axis=1).tolist() == [False, True]
    assert not of_clubs.user_matrix(new_user)[:, :16].any()
    assert not of_queries.user_matrix(new_user)[:, :16].any()


def test_a_log_without_attributes_adds_no_weights() -> None:
    silent = profile_log(100, seed=1)
    silent, plain = replace(silent, attributes=[None] * 100), replace(silent, attributes=None)
    models = [fitted(log, content_of(log)).model.state_dict() for log in (silent, plain)]
    assert all(torch.equal(models[0][name], models[1][name]) for name in models[1])
    assert {name.split(".")[0] for name in models[1]} == {
        *("text_projection", "item_ids", "item_values", "positions", "event_types", "gaps", "members"),
        *("linear_in", "linear_out", "whitening_center", "whitening_map"),
    }


@pytest.mark.parametrize("log", [CLUBS, QUERIES_LOG], ids=["attributes", "queries"])
def test_an_interrupted_training_resumes(log: Interactions) -> None:
    trainers = [TwoTowerTrainer(log, TEXTS, OPTIONS, users=content_of(log)) for _ in range(3)]
    whole = trainers[0].fit().model.state_dict()
    trainers[1].fit(lambda epoch, loss: epoch < 2)
    trainers[2].restore(*trainers[1].state())
    again = trainers[2].fit().model.state_dict()
    assert all(torch.equal(again[name], whole[name]) for name in whole)


@pytest.mark.parametrize("log", [CLUBS, QUERIES_LOG], ids=["attributes", "queries"])
def test_parts_of_a_batch_have_the_gradient_of_the_whole(log: Interactions) -> None:
    options = replace(OPTIONS, dropout=0.0, half=False, epochs=1)
    models = [fitted(log, content_of(log), replace(options, micro_batch=size)).model for size in (0, 160)]
    for (name, whole), parts in zip(models[0].named_parameters(), models[1].parameters(), strict=True):
        torch.testing.assert_close(parts, whole, rtol=1e-3, atol=1e-4, msg=name)


def test_attributes_that_may_not_be_read_are_not() -> None:
    assert not len(fit_user_content(CLUBS, NO_QUERIES.raw, []).profile)
    assert not len(fit_user_content(CLUBS, NO_QUERIES.raw, ["age"]).profile)
    assert len(fit_user_content(CLUBS, NO_QUERIES.raw, ["club"]).profile) == KINDS


def test_a_loaded_model_scores_the_same_and_holds_no_rare_query(
    of_clubs: TwoTowerRecommender, of_queries: TwoTowerRecommender, tmp_path: Path
) -> None:
    for number, model in enumerate((of_clubs, of_queries)):
        folder = tmp_path / str(number)
        model.model.save_pretrained(folder)
        save_users(model.users, folder / "users")
        again = replace(model, model=TwoTower.from_pretrained(folder), users=load_users(folder / "users"))
        log = (CLUBS, QUERIES_LOG)[number].select(np.arange(20))
        np.testing.assert_array_equal(again.scores(log), model.scores(log))
    rare = replace(of_queries.users, queries=replace(of_queries.users.queries, shared=np.arange(KINDS) > 2))
    save_users(rare, tmp_path / "rare")
    assert load_users(tmp_path / "rare").queries.texts == [f"kind {kind}" for kind in range(3, KINDS)]


def test_queries_of_another_day_are_encoded_once(of_queries: TwoTowerRecommender) -> None:
    encoded: list[str] = []

    def encode(new: list[str]) -> Floats:
        encoded.extend(new)
        return query_vectors()[:1]

    day = query_log(5, seed=3)
    assert day.queries is not None
    texts = [*day.queries.texts, "never heard"]
    day = typing(replace(day, queries=replace(day.queries, texts=texts)), np.full(5, len(texts) - 1))
    unread = of_queries.scores(day)
    reads = of_queries.with_queries_of(day, encode)
    assert reads.with_queries_of(day, encode).users is reads.users
    assert encoded == ["never heard"]
    assert (first_kind(reads.scores(day)) == 0).all()
    np.testing.assert_array_equal(unread, of_queries.scores(typing(day, np.zeros(5, np.int64))))
