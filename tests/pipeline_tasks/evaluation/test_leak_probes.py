"""The probes detect scorers that use the future in different ways and declare otherwise."""

from collections.abc import Callable
from dataclasses import dataclass, replace

import numpy as np
import pytest

from pipeline_tasks.data.interactions import DataExtent, Floats, Interactions
from pipeline_tasks.data.split_parts import FutureLeakError, Part, Parts, split_parts
from pipeline_tasks.evaluation.baselines import item_knn, own_repeats, popularity, recent_popularity
from pipeline_tasks.evaluation.full_ranking import evaluate
from pipeline_tasks.evaluation.leak_probes import refuse_leaky_fit, refuse_lookup, scramble_future
from pipeline_tasks.evaluation.ranking_task import Scorer, build_task, interaction_matrix
from pipeline_tasks.models.ease import ease
from pipeline_tasks.training.fit_options import FitOptions
from pipeline_tasks.training.fit_two_tower import TwoTowerTrainer
from tests.pipeline_tasks.logs import random_log

ITEMS = 40
PARTS = split_parts(random_log(150, ITEMS, seed=6), {"strategy": "per_user"})
KNOWN = PARTS.known_before("test")
TASK = build_task(PARTS, "test", "discovery", ITEMS)


@dataclass(frozen=True)
class LookupByKey:
    """A scorer that stores every user's whole log under the user's key."""

    name: str
    data_extent: DataExtent
    whole: Interactions

    def scores(self, histories: Interactions) -> Floats:
        place = {key: row for row, key in enumerate(self.whole.keys)}
        answers = interaction_matrix(self.whole, ITEMS).toarray()
        empty = np.zeros(ITEMS)
        rows = [answers[place[key]] if key in place else empty for key in histories.keys]
        return np.stack(rows).astype(np.float32)


def test_a_lookup_by_key_is_detected_despite_an_honest_declaration() -> None:
    leaky = LookupByKey("leaky", KNOWN.data_extent, PARTS.log)
    assert evaluate(leaky, TASK).overall["recall@10"] > 0.9
    with pytest.raises(FutureLeakError, match="leaky scores 64 of 64 histories otherwise under other keys"):
        refuse_lookup(leaky, TASK)
    refuse_lookup(ease(KNOWN, ITEMS), TASK)


def leaky_ease(parts: Parts) -> Scorer:
    return replace(ease(parts.log, ITEMS), data_extent=parts.known_before("test").data_extent)


def leaky_popularity(parts: Parts) -> Scorer:
    return replace(popularity(parts.log, ITEMS), data_extent=parts.known_before("test").data_extent)


@pytest.mark.parametrize("fit", [leaky_ease, leaky_popularity])
def test_weights_fitted_on_the_future_are_detected(fit: Callable[[Parts], Scorer]) -> None:
    leaky = fit(PARTS)
    refuse_lookup(leaky, TASK)
    evaluate(leaky, TASK)
    with pytest.raises(FutureLeakError, match="otherwise after test was replaced by random events"):
        refuse_leaky_fit(fit, PARTS, "test", ITEMS)


def two_tower(log: Interactions, n_items: int) -> Scorer:
    texts = np.random.default_rng(9).standard_normal((n_items, 12)).astype(np.float32)
    options = FitOptions(epochs=1, dimension=16, text_dimension=8, max_length=20, linear_rank=8)
    return TwoTowerTrainer(log, texts, options).fit()


@pytest.mark.parametrize("part", ["validation", "test"])
@pytest.mark.parametrize("fit", [popularity, recent_popularity, own_repeats, item_knn, ease, two_tower])
def test_our_scorers_use_no_future(fit: Callable[[Interactions, int], Scorer], part: Part) -> None:
    refuse_leaky_fit(lambda parts: fit(parts.known_before(part), ITEMS), PARTS, part, ITEMS)


def test_scrambling_changes_only_the_future() -> None:
    other = scramble_future(PARTS, "test", ITEMS)
    assert np.array_equal(other.known_before("test").items, KNOWN.items)
    assert not np.array_equal(other.future("test").items, PARTS.future("test").items)
    assert other.future("test").times.min() > KNOWN.times.min()
    assert np.array_equal(other.future("test").lengths, PARTS.future("test").lengths)
