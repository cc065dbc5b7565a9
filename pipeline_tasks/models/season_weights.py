"""The collaborative part where demand moves with the season: EASE of recent evidence, and what came next lately.

EASE knows taste; counted on a year it recommends in November what went with something in May. Evidence of an event is
halved every eighth of the log's span here. Beside it stands a ridge regression from what users had at an earlier
moment to what new items they took in the weeks after it: it knows what is on its way up, and for whom. Online Retail,
discovery, NDCG@10 of the next part of the log after its first 35, 45 and 60 %: EASE of the whole log .130 .138 .106,
with its best trend .133 .142 .110; recent evidence .150 .154 .113; both .184 .160 .136.
"""

from dataclasses import dataclass
from typing import Final

import numpy as np
import torch
from scipy.sparse import csr_matrix

from pipeline_tasks.data.interactions import Integers, Interactions
from pipeline_tasks.evaluation.ease import solve_ease
from pipeline_tasks.evaluation.ranking_task import matrix_of
from pipeline_tasks.models.item_to_item_factors import frequent_items

EVIDENCE_SHARE: Final = 1 / 8
"""Half-life of an event's evidence, of the span of the log."""
HISTORY_SHARE: Final = 1 / 3
"""Half-life of an event in a user's history when it is scored, of the span of the log."""
NEXT_SHARE: Final = 1 / 30
"""Weeks after an earlier moment, of the span of the log: ten days of ten months. Half as good with an eighth."""
MOMENTS: Final = 4
"""Earlier moments, half such a stretch apart, each counting .7 of the one after it."""
TASTE_PENALTY: Final = 10.0
NEXT_PENALTY: Final = 100.0
"""Both of the mean of the Gram matrix' diagonal."""
_SAMPLE: Final = 2_000


@dataclass(frozen=True)
class SeasonWeights:
    """Weights from an item of a history to the item that is scored, over the items most wanted."""

    chosen: Integers
    """(c,) the items that take part."""
    taste: torch.Tensor
    """(c, c) EASE of recent evidence."""
    coming: torch.Tensor
    """(c, c) what came next; both scaled to scores that spread by 1 within a user."""

    def joined(self, share: float) -> torch.Tensor:
        """Return (c, c): taste, and `share` of what came next."""
        return self.taste + share * self.coming


def season_weights(log: Interactions, n_items: int) -> SeasonWeights:
    """Fit both parts on `log`, whose times must mean something (see popularity_trends.choose_horizons)."""
    chosen, end = frequent_items(log, n_items), int(log.times.max())
    histories = recent_history(log, n_items, end, history_half_life(log))[:, chosen]
    some = np.flatnonzero(histories.getnnz(axis=1))
    some = np.random.default_rng(0).choice(some, min(_SAMPLE, len(some)), replace=False)
    sample = torch.from_numpy(histories[some].toarray())
    parts = (_taste(log, n_items, chosen, end), _coming(log, n_items, chosen, end))
    taste, coming = (part / (sample @ part).std(dim=1).mean().clamp(min=1e-9) for part in parts)
    return SeasonWeights(chosen, taste, coming)


def history_half_life(log: Interactions) -> int:
    """Return the microseconds in which an event of a history loses half of its weight."""
    return max(1, int(_span(log) * HISTORY_SHARE))


def recent_history(log: Interactions, n_items: int, moment: int, half_life: float) -> csr_matrix:
    """Return (sequences, items): .5^(age / half-life) , the age of the last event before `moment`."""
    past = log.until(moment)
    weights = (0.5 ** ((moment - past.times) / half_life)).astype(np.float32)
    pair = past.rows * n_items + past.items
    order = np.lexsort((weights, pair))
    last = np.append(np.diff(pair[order]) != 0, True)[: len(order)]
    kept = order[last]
    return csr_matrix((weights[kept], (past.rows[kept], past.items[kept])), shape=(len(log), n_items))


def _taste(log: Interactions, n_items: int, chosen: Integers, end: int) -> torch.Tensor:
    """EASE (Steck 2019, eq. 8) of histories weighed by recency."""
    matrix = recent_history(log, n_items, end, _span(log) * EVIDENCE_SHARE)[:, chosen]
    gram = torch.from_numpy((matrix.T @ matrix).toarray())
    return solve_ease(gram, max(TASTE_PENALTY * float(gram.diagonal().mean()), 1e-6))


def _coming(log: Interactions, n_items: int, chosen: Integers, end: int) -> torch.Tensor:
    """Ridge regression from histories at earlier moments to the new items of the time after each."""
    stretch = _span(log) * NEXT_SHARE
    gram = torch.zeros(len(chosen), len(chosen))
    answers = torch.zeros(len(chosen), len(chosen))
    for number in range(MOMENTS):
        moment, weight = int(end - stretch * (1 + number / 2)), 0.5 ** (number / 2)
        past = recent_history(log, n_items, moment, history_half_life(log))
        after = matrix_of(log.only((log.times > moment) & (log.times <= moment + stretch)), n_items)
        new = (after - after.multiply(past > 0)).tocsr()
        new.eliminate_zeros()
        active = np.flatnonzero(new.getnnz(axis=1))
        had, wanted = past[active][:, chosen], new[active][:, chosen]
        gram += weight * torch.from_numpy((had.T @ had).toarray())
        answers += weight * torch.from_numpy((had.T @ wanted).toarray())
    gram.diagonal().add_(max(NEXT_PENALTY * float(gram.diagonal().mean()), 1e-6))
    return torch.cholesky_solve(answers, torch.linalg.cholesky(gram))


def _span(log: Interactions) -> float:
    return float(log.times.max() - log.times.min())
