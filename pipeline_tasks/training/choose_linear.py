"""Chooses on validation how the collaborative part reads a history: before the towers are trained, as it is quick."""

from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import Final

import numpy as np

from pipeline_tasks.behavior.interactions import Floats, Integers
from pipeline_tasks.behavior.popularity_trends import choose_horizons
from pipeline_tasks.collaborative.basket_weights import basket_weights
from pipeline_tasks.collaborative.item_to_item import sequence_item_to_item
from pipeline_tasks.collaborative.linear_factors import PENALTY, most_wanted
from pipeline_tasks.collaborative.linear_part import LinearKind
from pipeline_tasks.collaborative.season_weights import history_half_life, recent_history, season_weights
from pipeline_tasks.collaborative.sequence_factors import POWER
from pipeline_tasks.evaluation.ease import ease_weights
from pipeline_tasks.evaluation.quick_ndcg import quick_ndcg
from pipeline_tasks.evaluation.ranking_task import RankingTask, matrix_of
from pipeline_tasks.training.fit_options import FitOptions

COMING_SHARES: Final = (0.0, 0.3, 0.6, 1.0)
PENALTIES: Final = (0.1, 0.3, 1.0)
"""Of what is bought in one basket. Online Retail's invoices, whose last line is asked for: .2033, .2027, .1972."""


@dataclass(frozen=True)
class _Choice:
    kind: LinearKind
    coming: float = 0.0
    penalty: float = PENALTIES[1]


def choose_linear(task: RankingTask, options: FitOptions) -> FitOptions:
    """Return the options with the kind of linear part, and the share of what came next, that rank `task` best.

    Whole matrices are compared, before they are cut to the rank. Where the last of a basket is asked for, the basket is
    compared with the sequence. Other sequences, and logs without times, keep their kind.
    """
    if not options.linear_rank:
        return options
    if options.in_order:
        measured = _of_baskets(task)
    elif options.linear_kind != "sequence" and choose_horizons(task.known):
        measured = _of_shoppers(task)
    else:
        return options
    best, choice = max(measured, key=lambda found: found[0])
    print(f"collaborative part: {choice}: validation ndcg@10 {best:.4f}", flush=True)
    return replace(options, linear_kind=choice.kind, linear_coming=choice.coming, linear_penalty=choice.penalty)


def _of_baskets(task: RankingTask) -> Iterator[tuple[float, _Choice]]:
    n_items = task.relevant.shape[1]
    histories = matrix_of(task.histories, n_items)
    for penalty in PENALTIES:
        chosen, weights = basket_weights(task.known, n_items, penalty)
        scores = _placed(histories[:, chosen] @ weights.numpy(), chosen, n_items)
        yield quick_ndcg(scores, task), _Choice("basket", penalty=penalty)
    followed = sequence_item_to_item(task.known.in_order(), n_items, POWER)
    yield quick_ndcg(followed.scores(task.histories), task), _Choice("sequence")


def _of_shoppers(task: RankingTask) -> Iterator[tuple[float, _Choice]]:
    n_items = task.relevant.shape[1]
    yield set_ndcg(task, PENALTY), _Choice("set")
    weights, moment = season_weights(task.known, n_items), task.known.evidence.last_timestamp + 1
    recent = recent_history(task.histories, n_items, moment, history_half_life(task.known))[:, weights.chosen]
    taste, coming = (recent @ part.numpy() for part in (weights.taste, weights.coming))
    for share in COMING_SHARES:
        yield (
            quick_ndcg(_placed(taste + np.float32(share) * coming, weights.chosen, n_items), task),
            _Choice("season", share),
        )


def set_ndcg(task: RankingTask, penalty: float) -> float:
    """Return NDCG@10 on the task of EASE of all that may be known, over the items most wanted."""
    n_items = task.relevant.shape[1]
    chosen = most_wanted(task.known, n_items)
    whole = matrix_of(task.histories, n_items)[:, chosen] @ ease_weights(task.known, n_items, chosen, penalty).numpy()
    return quick_ndcg(_placed(whole, chosen, n_items), task)


def _placed(scores: Floats, chosen: Integers, n_items: int) -> Floats:
    full = np.zeros((len(scores), n_items), dtype=np.float32)
    full[:, chosen] = scores
    return full
