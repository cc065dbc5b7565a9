"""What the heads of a fitted model say of histories, and how good that is."""

import numpy as np
import torch

from pipeline_tasks.behavior.impressions import Impressions
from pipeline_tasks.behavior.interactions import Floats, Integers, Interactions
from pipeline_tasks.evaluation.binary_metrics import judge_probabilities
from pipeline_tasks.model.two_tower_recommender import TwoTowerRecommender
from pipeline_tasks.training.task_losses import build_asker
from pipeline_tasks.training.task_questions import INTENT_SPAN, PurchaseIntent, Questions

MOST_JUDGED = 5_000
"""Questions by which a head is judged: an AUC is then known to about .01."""


@torch.inference_mode()
def predict(
    recommender: TwoTowerRecommender,
    task: str,
    histories: Interactions,
    moments: Integers | None = None,
    items: Integers | None = None,
) -> Floats:
    """Return (n,) the probability of yes to a task's question; nan for a shopper without a history.

    Args:
        histories: of n shoppers.
        moments: (n,) epoch microseconds at which it is asked, None right after each last event.
        items: (n,) index of the item that is asked about; of tasks about an item.

    Raises:
        ValueError: the model has no such head, a moment is before the end of its history, or items are missing.
    """
    model = recommender.model
    if task not in model.heads:
        raise ValueError(f"the model was not trained for {task!r}: add it to training.task_weights and train again")
    if task == "click" and items is None:
        raise ValueError("click is a question about an item: give one to each history")
    some = np.flatnonzero(histories.lengths > 0)
    last = histories.times[histories.offsets[1:][some] - 1]
    asked = last if moments is None else moments[some]
    if (asked < last).any():
        raise ValueError("a moment lies before the end of its history: cut the history there")
    states = torch.from_numpy(recommender.states(histories)[some]).to(model.device)
    table = recommender.item_table()
    about = np.zeros(len(some), np.int64) if items is None else items[some]
    odds = model.heads[task](
        states[:, : model.config.dimension],
        torch.from_numpy((asked - last).astype(np.float32)).to(model.device),
        table[torch.from_numpy(about).to(model.device)],
    )
    probabilities = np.full(len(histories), np.nan, np.float32)
    probabilities[some] = torch.sigmoid(odds).float().cpu().numpy()
    return probabilities


def judge_heads(
    recommender: TwoTowerRecommender, log: Interactions, cutoff: int, impressions: Impressions | None = None
) -> dict[str, float]:
    """Return `<task>_<metric>` of every head over the questions that `log` answers after `cutoff`.

    Metrics: see `judge_probabilities`; the base rate to beat is the share of yes up to the cut-off. Empty for a head
    whose answers are all alike.

    Args:
        log: up to the end of the part that is judged on; events after `cutoff` were not trained on.
        cutoff: the last moment (epoch microseconds) that the model may have seen.
    """
    figures: dict[str, float] = {}
    for task in recommender.model.heads:
        questions, base, exponent = _unseen(task, log, cutoff, impressions)
        if not 0 < questions.answers.sum() < len(questions.answers):
            continue
        rows = log.rows[questions.events]
        histories = log.select(rows).before(questions.events - log.offsets[rows] + 1)
        said = predict(recommender, task, histories, questions.moments, questions.items)
        over_span = 1 - (1 - said.astype(np.float64)) ** exponent
        overall = judge_probabilities(questions.answers > 0, over_span, base).overall
        figures |= {f"{task}_{name}": value for name, value in overall.items()}
    return figures


def _unseen(
    task: str, log: Interactions, cutoff: int, impressions: Impressions | None
) -> tuple[Questions, float, float]:
    """Return the questions after `cutoff`, the share of yes before it, and the share of the task's span that is judged.

    Where less than 7 days are left, intent is judged over as many as there are: at an even rate of purchases, the
    probability of none in a share x of the time is the probability of none, to the power of x.
    """
    rng = np.random.default_rng(0)
    asker = build_asker(task, log, impressions)
    everything = np.arange(len(log.items))
    if isinstance(asker, PurchaseIntent):
        span = min(INTENT_SPAN, log.evidence.last_timestamp - cutoff - 1)
        before = asker.ask_at(cutoff + 1 - span, span)
        return asker.ask_at(cutoff + 1, span), _share(before), span / INTENT_SPAN
    asked = asker.ask(everything, rng)
    new = np.flatnonzero(asked.moments > cutoff)
    chosen = new if len(new) <= MOST_JUDGED else np.sort(rng.choice(new, MOST_JUDGED, replace=False))
    return asked.only(chosen), _share(asked.only(asked.moments <= cutoff)), 1.0


def _share(questions: Questions) -> float:
    return float(questions.answers.mean()) if len(questions.answers) else 0.5
