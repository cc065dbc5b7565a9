"""Predictions of the task heads of a fitted model, and their evaluation."""

import numpy as np
import torch

from pipeline_tasks.data.interactions import Floats, Integers, Interactions
from pipeline_tasks.data.ratings import BinaryLabels, leanings
from pipeline_tasks.data.task_labels import NO_TASK_LABELS, TaskLabels
from pipeline_tasks.evaluation.metrics import measure_probabilities
from pipeline_tasks.models.two_tower.task_heads import ABOUT_ITEMS
from pipeline_tasks.models.two_tower.two_tower_recommender import TwoTowerRecommender
from pipeline_tasks.training.labelled_examples import INTENT_SPAN, LabelledExamples, PurchaseIntentSampler
from pipeline_tasks.training.task_losses import build_label_sampler

MAX_EXAMPLES = 5_000
"""Maximum number of examples that a head is evaluated on; the standard error of an AUC is then about .01."""


def predict(
    recommender: TwoTowerRecommender,
    task: str,
    histories: Interactions,
    moments: Integers | None = None,
    items: Integers | None = None,
    opinions: BinaryLabels | None = None,
) -> Floats:
    """Return (n,) the probability of a positive label for `task`; NaN for a user without a history.

    Args:
        histories: of n users.
        moments: (n,) prediction times in epoch microseconds; None for right after each last event.
        items: (n,) index of the item of each prediction, for tasks about items.
        opinions: earlier ratings with rows of `histories`, for the task `rating`; None if there are none.

    Raises:
        ValueError: the model has no such head, a prediction time is before the end of its history, or items are
            missing.
    """
    if task not in recommender.model.heads:
        raise ValueError(f"the model was not trained for {task!r}: add it to training.task_weights and train again")
    if task in ABOUT_ITEMS and items is None:
        raise ValueError(f"the task {task} is about items: pass one item for each history")
    some = np.flatnonzero(histories.lengths > 0)
    last = histories.times[histories.offsets[1:][some] - 1]
    times = last if moments is None else moments[some]
    if (times < last).any():
        raise ValueError("a prediction time is before the end of its history: cut the history at that time")
    about = np.full(len(some), -1) if items is None else items[some]
    bias = None if opinions is None or items is None else leanings(opinions, some, about, times)
    examples = LabelledExamples(some, times, about, np.zeros(0, np.float32), np.zeros(0, np.float32), bias)
    probabilities = np.full(len(histories), np.nan, np.float32)
    probabilities[some] = _probabilities(recommender, task, histories.select(some), examples)
    return probabilities


@torch.inference_mode()
def _probabilities(
    recommender: TwoTowerRecommender, task: str, histories: Interactions, examples: LabelledExamples
) -> Floats:
    """Return (k,) the probability of a positive label for examples of k histories, none of them empty."""
    model, table = recommender.model, recommender.item_table()
    states = torch.from_numpy(recommender.states(histories)).to(model.device)
    lags = (examples.prediction_times - histories.times[histories.offsets[1:] - 1]).astype(np.float32)
    bias = examples.leanings
    odds = model.heads[task](
        states[:, : model.config.dimension],
        torch.from_numpy(lags).to(model.device),
        table[torch.from_numpy(np.maximum(examples.items, 0)).to(model.device)],
        None if bias is None else torch.from_numpy(bias).to(model.device),
    )
    probabilities: Floats = torch.sigmoid(odds).float().cpu().numpy()
    return probabilities


def evaluate_heads(
    recommender: TwoTowerRecommender, log: Interactions, cutoff: int, task_labels: TaskLabels = NO_TASK_LABELS
) -> dict[str, float]:
    """Return `<task>_<metric>` of every head over the examples of `log` after `cutoff`.

    Metrics: see `measure_probabilities`. The base rate is the share of positive labels up to the cut-off. A head whose
    labels are all equal is left out.

    Args:
        log: up to the end of the evaluated part; events after `cutoff` were not trained on.
        cutoff: the last time (epoch microseconds) that the model may have seen.
        task_labels: impressions and ratings, before and after the cut-off.
    """
    figures: dict[str, float] = {}
    for task in recommender.model.heads:
        examples, base, exponent = _unseen(task, log, cutoff, task_labels)
        if not 0 < examples.labels.sum() < len(examples.labels):
            continue
        rows = log.rows[examples.events]
        histories = log.select(rows).before(examples.events - log.offsets[rows] + 1)
        probabilities = _probabilities(recommender, task, histories, examples)
        over_span = 1 - (1 - probabilities.astype(np.float64)) ** exponent
        overall = measure_probabilities(examples.labels > 0, over_span, base).overall
        figures |= {f"{task}_{name}": value for name, value in overall.items()}
    return figures


def _unseen(
    task: str, log: Interactions, cutoff: int, task_labels: TaskLabels
) -> tuple[LabelledExamples, float, float]:
    """Return the examples after `cutoff`, the base rate before it, and the evaluated share of the task's time span.

    If less than 7 days are left, intent is evaluated over the days that are left. At an even rate of purchases, the
    probability of no purchase in a share x of the time is the probability of none to the power of x.
    """
    rng = np.random.default_rng(0)
    sampler = build_label_sampler(task, log, task_labels)
    everything = np.arange(len(log.items))
    if isinstance(sampler, PurchaseIntentSampler):
        span = min(INTENT_SPAN, log.evidence.last_timestamp - cutoff - 1)
        before = sampler.sample_at(cutoff + 1 - span, span)
        return sampler.sample_at(cutoff + 1, span), _share(before), span / INTENT_SPAN
    examples = sampler.sample(everything, rng)
    new = np.flatnonzero(examples.prediction_times > cutoff)
    chosen = new if len(new) <= MAX_EXAMPLES else np.sort(rng.choice(new, MAX_EXAMPLES, replace=False))
    return examples.only(chosen), _share(examples.only(examples.prediction_times <= cutoff)), 1.0


def _share(examples: LabelledExamples) -> float:
    return float(examples.labels.mean()) if len(examples.labels) else 0.5
