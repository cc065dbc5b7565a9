"""The item-to-item part for seasonal demand: EASE with decaying weights, and a regression on upcoming items.

EASE on a whole year would recommend in November what went together in May, so an event's weight is halved for every
eighth of the log's span. A second part is a ridge regression from users' items at an earlier cut-off to the new items
of the weeks after it; it models which items gain demand, and for which users. Online Retail, discovery, NDCG@10 of the
next part of the log after its first 35, 45 and 60 %: EASE of the whole log .130 .138 .106, with its best trend .133
.142 .110; with decay .150 .154 .113; both parts .184 .160 .136.
"""

from dataclasses import dataclass
from typing import Final

import numpy as np
import torch
from scipy.sparse import csr_matrix

from pipeline_tasks.data.interactions import Integers, Interactions
from pipeline_tasks.evaluation.ranking_task import interaction_matrix
from pipeline_tasks.models.ease import frequent_items, solve_ease

RECENT_SHARE: Final = 1 / 8
"""Half-life of an event's weight when fitting, as a share of the log's span."""
HISTORY_SHARE: Final = 1 / 3
"""Half-life of an event in a user's history when scoring, as a share of the log's span."""
NEXT_SHARE: Final = 1 / 30
"""Time after a cut-off from which its targets are taken, as a share of the log's span: ten days of ten months."""
CUTOFFS: Final = 4
"""Number of cut-offs, half of that time apart; each has .7 of the weight of the one after it."""
RECENT_PENALTY: Final = 10.0
NEXT_PENALTY: Final = 100.0
"""Ridge penalties, in units of the mean of the Gram matrix's diagonal."""
_SAMPLE: Final = 2_000


@dataclass(frozen=True)
class SeasonWeights:
    """Weights from an item of a history to the scored item, over the most frequent items."""

    chosen: Integers
    """(c,) the modelled items."""
    recent: torch.Tensor
    """(c, c) EASE of events with decaying weights."""
    upcoming: torch.Tensor
    """(c, c) regression on upcoming items; both parts are scaled to a spread of 1 of the scores within a user."""

    def joined(self, share: float) -> torch.Tensor:
        """Return (c, c): `recent` plus `share` times `upcoming`."""
        return self.recent + share * self.upcoming


def season_weights(log: Interactions, n_items: int) -> SeasonWeights:
    """Fit both parts on a log with real times (see popularity_features.choose_horizons)."""
    chosen, end = frequent_items(log, n_items), int(log.times.max())
    histories = recent_history(log, n_items, end, history_half_life(log))[:, chosen]
    some = np.flatnonzero(histories.getnnz(axis=1))
    some = np.random.default_rng(0).choice(some, min(_SAMPLE, len(some)), replace=False)
    sample = torch.from_numpy(histories[some].toarray())
    parts = (_recent_ease(log, n_items, chosen, end), _upcoming_regression(log, n_items, chosen, end))
    recent, upcoming = (part / (sample @ part).std(dim=1).mean().clamp(min=1e-9) for part in parts)
    return SeasonWeights(chosen, recent, upcoming)


def history_half_life(log: Interactions) -> int:
    """Return the half-life of an event in a history, in microseconds."""
    return max(1, int(_span(log) * HISTORY_SHARE))


def recent_history(log: Interactions, n_items: int, moment: int, half_life: float) -> csr_matrix:
    """Return (sequences, items): .5^(age / half-life), where age is that of the pair's last event before `moment`."""
    past = log.until(moment)
    weights = (0.5 ** ((moment - past.times) / half_life)).astype(np.float32)
    pair = past.rows * n_items + past.items
    order = np.lexsort((weights, pair))
    last = np.append(np.diff(pair[order]) != 0, True)[: len(order)]
    kept = order[last]
    return csr_matrix((weights[kept], (past.rows[kept], past.items[kept])), shape=(len(log), n_items))


def _recent_ease(log: Interactions, n_items: int, chosen: Integers, end: int) -> torch.Tensor:
    """Return EASE (Steck 2019, eq. 8) of histories weighted by recency."""
    matrix = recent_history(log, n_items, end, _span(log) * RECENT_SHARE)[:, chosen]
    gram = torch.from_numpy((matrix.T @ matrix).toarray())
    return solve_ease(gram, max(RECENT_PENALTY * float(gram.diagonal().mean()), 1e-6))


def _upcoming_regression(log: Interactions, n_items: int, chosen: Integers, end: int) -> torch.Tensor:
    """Return the ridge regression from histories at earlier cut-offs to the new items in the time after each."""
    stretch = _span(log) * NEXT_SHARE
    gram = torch.zeros(len(chosen), len(chosen))
    targets = torch.zeros(len(chosen), len(chosen))
    for number in range(CUTOFFS):
        moment, weight = int(end - stretch * (1 + number / 2)), 0.5 ** (number / 2)
        past = recent_history(log, n_items, moment, history_half_life(log))
        after = interaction_matrix(log.only((log.times > moment) & (log.times <= moment + stretch)), n_items)
        new = (after - after.multiply(past > 0)).tocsr()
        new.eliminate_zeros()
        active = np.flatnonzero(new.getnnz(axis=1))
        had, wanted = past[active][:, chosen], new[active][:, chosen]
        gram += weight * torch.from_numpy((had.T @ had).toarray())
        targets += weight * torch.from_numpy((had.T @ wanted).toarray())
    gram.diagonal().add_(max(NEXT_PENALTY * float(gram.diagonal().mean()), 1e-6))
    return torch.cholesky_solve(targets, torch.linalg.cholesky(gram))


def _span(log: Interactions) -> float:
    return float(log.times.max() - log.times.min())
