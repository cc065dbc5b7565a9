"""Two models of the library `implicit`: ALS (conjugate gradient) and Bayesian personalized ranking."""

from dataclasses import dataclass
from typing import Any

import numpy as np
from implicit.cpu.als import AlternatingLeastSquares
from implicit.cpu.bpr import BayesianPersonalizedRanking
from threadpoolctl import threadpool_limits

from pipeline_tasks.data.interactions import DataExtent, Floats, Interactions
from pipeline_tasks.evaluation.ranking_task import interaction_matrix


@dataclass(frozen=True)
class ImplicitAlsScorer:
    """Item factors of ALS; a user's factors are solved from the history."""

    name: str
    data_extent: DataExtent
    model: Any
    n_items: int

    def scores(self, histories: Interactions) -> Floats:
        """Return user factors x item factors."""
        with threadpool_limits(1, "blas"):
            users = self.model.recalculate_user(np.arange(len(histories)), interaction_matrix(histories, self.n_items))
        return np.asarray(users @ self.model.item_factors.T, dtype=np.float32)


@dataclass(frozen=True)
class ImplicitBprScorer:
    """User and item factors of BPR, which cannot score a history; unknown users get the mean user's scores.

    Users are looked up by key, so it would not pass `leak_probes.refuse_lookup`. Its factors were fitted on events
    before the cut-off only.
    """

    name: str
    data_extent: DataExtent
    rows: dict[str, int]
    users: Floats
    items: Floats

    def scores(self, histories: Interactions) -> Floats:
        """Return user factors (and item bias) x item factors."""
        mean = self.users.mean(axis=0)
        users = [self.users[self.rows[key]] if key in self.rows else mean for key in histories.keys]
        return np.asarray(np.stack(users) @ self.items.T, dtype=np.float32)


def fit_implicit_als(
    log: Interactions,
    n_items: int,
    factors: int = 64,
    regularization: float = 10.0,
    alpha: float = 3.0,
    iterations: int = 15,
    seed: int = 1,
) -> ImplicitAlsScorer:
    """Fit on the distinct items of each sequence; an item of a history has `alpha` times the weight of any other.

    The defaults were chosen on Online Retail's validation part: discovery NDCG@10 .0985; alpha 10 gave .0870.
    """
    # The library is slow, and warns, if BLAS starts threads of its own.
    with threadpool_limits(1, "blas"):
        model = AlternatingLeastSquares(
            factors=factors,
            regularization=regularization,
            alpha=alpha,
            iterations=iterations,
            random_state=seed,
        )
        model.fit(interaction_matrix(log, n_items), show_progress=False)
    return ImplicitAlsScorer("implicit_als", log.data_extent, model, n_items)


def fit_implicit_bpr(
    log: Interactions,
    n_items: int,
    factors: int = 64,
    learning_rate: float = 0.02,
    regularization: float = 0.01,
    iterations: int = 100,
    seed: int = 1,
) -> ImplicitBprScorer:
    """Fit by stochastic gradient descent on pairs, in one thread, because several threads race and differ by run.

    The rate was chosen on Online Retail's validation part: discovery NDCG@10 .0615; .05 gave .0570.
    """
    model = BayesianPersonalizedRanking(
        factors=factors,
        learning_rate=learning_rate,
        regularization=regularization,
        iterations=iterations,
        num_threads=1,
        random_state=seed,
    )
    model.fit(interaction_matrix(log, n_items), show_progress=False)
    rows = {key: row for row, key in enumerate(log.keys)}
    return ImplicitBprScorer("implicit_bpr", log.data_extent, rows, model.user_factors, model.item_factors)
