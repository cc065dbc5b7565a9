"""What the heads of a fitted model say of histories, and how good that is."""

import numpy as np
import torch

from pipeline_tasks.data.interactions import Floats, Integers, Interactions
from pipeline_tasks.data.rating_bias import leanings
from pipeline_tasks.data.ratings import BinaryLabels
from pipeline_tasks.data.task_labels import NO_TASK_LABELS, TaskLabels
from pipeline_tasks.evaluation.binary_metrics import judge_probabilities
from pipeline_tasks.models.two_tower.task_heads import ABOUT_ITEMS
from pipeline_tasks.models.two_tower.two_tower_recommender import TwoTowerRecommender
from pipeline_tasks.training.label_sampler import INTENT_SPAN, LabelledExamples, PurchaseIntentSampler
from pipeline_tasks.training.task_losses import build_label_sampler

MAX_EXAMPLES = 5_000
"""Questions by which a head is judged: an AUC is then known to about .01."""


def predict(
    recommender: TwoTowerRecommender,
    task: str,
    histories: Interactions,
    moments: Integers | None = None,
    items: Integers | None = None,
    opinions: BinaryLabels | None = None,
) -> Floats:
    """Return (n,) the probability of yes to a task's question; nan for a user without a history.

    Args:
        histories: of n users.
        moments: (n,) epoch microseconds at which it is asked, None right after each last event.
        items: (n,) index of the item that is asked about; of tasks about an item.
        opinions: what was said before, of rows of `histories`, as rating reads it; None where nothing is known.

    Raises:
        ValueError: the model has no such head, a moment is before the end of its history, or items are missing.
    """
    if task not in recommender.model.heads:
        raise ValueError(f"the model was not trained for {task!r}: add it to training.task_weights and train again")
    if task in ABOUT_ITEMS and items is None:
        raise ValueError(f"{task} is a question about an item: give one to each history")
    some = np.flatnonzero(histories.lengths > 0)
    last = histories.times[histories.offsets[1:][some] - 1]
    asked = last if moments is None else moments[some]
    if (asked < last).any():
        raise ValueError("a moment lies before the end of its history: cut the history there")
    about = np.full(len(some), -1) if items is None else items[some]
    told = None if opinions is None or items is None else leanings(opinions, some, about, asked)
    questions = LabelledExamples(some, asked, about, np.zeros(0, np.float32), np.zeros(0, np.float32), told)
    probabilities = np.full(len(histories), np.nan, np.float32)
    probabilities[some] = _answer(recommender, task, histories.select(some), questions)
    return probabilities


@torch.inference_mode()
def _answer(
    recommender: TwoTowerRecommender, task: str, histories: Interactions, questions: LabelledExamples
) -> Floats:
    """Return (k,) the probability of yes to questions of k histories, none of them empty."""
    model, table = recommender.model, recommender.item_table()
    states = torch.from_numpy(recommender.states(histories)).to(model.device)
    lags = (questions.prediction_times - histories.times[histories.offsets[1:] - 1]).astype(np.float32)
    told = questions.leanings
    odds = model.heads[task](
        states[:, : model.config.dimension],
        torch.from_numpy(lags).to(model.device),
        table[torch.from_numpy(np.maximum(questions.items, 0)).to(model.device)],
        None if told is None else torch.from_numpy(told).to(model.device),
    )
    said: Floats = torch.sigmoid(odds).float().cpu().numpy()
    return said


def evaluate_heads(
    recommender: TwoTowerRecommender, log: Interactions, cutoff: int, task_labels: TaskLabels = NO_TASK_LABELS
) -> dict[str, float]:
    """Return `<task>_<metric>` of every head over the questions that `log` answers after `cutoff`.

    Metrics: see `judge_probabilities`; the base rate to beat is the share of yes up to the cut-off. Empty for a head
    whose answers are all alike.

    Args:
        log: up to the end of the part that is judged on; events after `cutoff` were not trained on.
        cutoff: the last moment (epoch microseconds) that the model may have seen.
        evidence: what the heads ask about, of before and after.
    """
    figures: dict[str, float] = {}
    for task in recommender.model.heads:
        questions, base, exponent = _unseen(task, log, cutoff, task_labels)
        if not 0 < questions.labels.sum() < len(questions.labels):
            continue
        rows = log.rows[questions.events]
        histories = log.select(rows).before(questions.events - log.offsets[rows] + 1)
        said = _answer(recommender, task, histories, questions)
        over_span = 1 - (1 - said.astype(np.float64)) ** exponent
        overall = judge_probabilities(questions.labels > 0, over_span, base).overall
        figures |= {f"{task}_{name}": value for name, value in overall.items()}
    return figures


def _unseen(
    task: str, log: Interactions, cutoff: int, task_labels: TaskLabels
) -> tuple[LabelledExamples, float, float]:
    """Return the questions after `cutoff`, the share of yes before it, and the share of the task's span that is judged.

    Where less than 7 days are left, intent is judged over as many as there are: at an even rate of purchases, the
    probability of none in a share x of the time is the probability of none, to the power of x.
    """
    rng = np.random.default_rng(0)
    sampler = build_label_sampler(task, log, task_labels)
    everything = np.arange(len(log.items))
    if isinstance(sampler, PurchaseIntentSampler):
        span = min(INTENT_SPAN, log.evidence.last_timestamp - cutoff - 1)
        before = sampler.sample_at(cutoff + 1 - span, span)
        return sampler.sample_at(cutoff + 1, span), _share(before), span / INTENT_SPAN
    asked = sampler.sample(everything, rng)
    new = np.flatnonzero(asked.prediction_times > cutoff)
    chosen = new if len(new) <= MAX_EXAMPLES else np.sort(rng.choice(new, MAX_EXAMPLES, replace=False))
    return asked.only(chosen), _share(asked.only(asked.prediction_times <= cutoff)), 1.0


def _share(questions: LabelledExamples) -> float:
    return float(questions.labels.mean()) if len(questions.labels) else 0.5
