"""Chooses on validation how the collaborative part reads a history: before the towers are trained, as it is quick."""

from collections.abc import Iterator
from dataclasses import replace
from typing import Final

import numpy as np

from pipeline_tasks.behavior.interactions import Floats, Integers
from pipeline_tasks.behavior.popularity_trends import choose_horizons
from pipeline_tasks.collaborative.linear_factors import PENALTY, most_wanted
from pipeline_tasks.collaborative.linear_part import LinearKind
from pipeline_tasks.collaborative.season_weights import history_half_life, recent_history, season_weights
from pipeline_tasks.evaluation.ease import ease_weights
from pipeline_tasks.evaluation.quick_ndcg import quick_ndcg
from pipeline_tasks.evaluation.ranking_task import RankingTask, matrix_of
from pipeline_tasks.training.fit_options import FitOptions

COMING_SHARES: Final = (0.0, 0.3, 0.6, 1.0)


def choose_linear(task: RankingTask, options: FitOptions) -> FitOptions:
    """Return the options with the kind of linear part, and the share of what came next, that rank `task` best.

    Whole matrices are compared, before they are cut to the rank. Sequences, and logs without times, keep their kind.
    """
    if options.linear_kind == "sequence" or not options.linear_rank or not choose_horizons(task.known):
        return options
    best, kind, coming = max(_measured(task), key=lambda found: found[0])
    print(f"collaborative part: {kind}, {coming} of what came next: validation ndcg@10 {best:.4f}", flush=True)
    return replace(options, linear_kind=kind, linear_coming=coming)


def _measured(task: RankingTask) -> Iterator[tuple[float, LinearKind, float]]:
    n_items = task.relevant.shape[1]
    chosen = most_wanted(task.known, n_items)
    whole = matrix_of(task.histories, n_items)[:, chosen] @ ease_weights(task.known, n_items, chosen, PENALTY).numpy()
    yield quick_ndcg(_placed(whole, chosen, n_items), task), "set", 0.0
    weights, moment = season_weights(task.known, n_items), task.known.evidence.last_timestamp + 1
    recent = recent_history(task.histories, n_items, moment, history_half_life(task.known))[:, weights.chosen]
    taste, coming = (recent @ part.numpy() for part in (weights.taste, weights.coming))
    for share in COMING_SHARES:
        yield quick_ndcg(_placed(taste + np.float32(share) * coming, weights.chosen, n_items), task), "season", share


def _placed(scores: Floats, chosen: Integers, n_items: int) -> Floats:
    full = np.zeros((len(scores), n_items), dtype=np.float32)
    full[:, chosen] = scores
    return full
