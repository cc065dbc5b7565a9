"""Fits the purchase intent model of a run on the run's own past, and evaluates it on the last week."""

from dataclasses import dataclass

import numpy as np

from pipeline_tasks.data.interactions import Flags
from pipeline_tasks.evaluation.metrics import measure_probabilities
from pipeline_tasks.models.intent_model import (
    MEASURED_DAYS,
    MINIMUM_DAYS,
    Histories,
    IntentModel,
    Logistic,
    cutoffs,
    examples,
)
from pipeline_tasks.times import DAY
from pipeline_tasks.topk.arrays import Scores


@dataclass(frozen=True)
class FittedIntent:
    """The fitted model with its metrics."""

    model: IntentModel | None
    """None if nothing can be learned; `facts["intent"]` then holds the reason."""
    facts: dict[str, str]
    """Metrics as text, and the reason for anything missing."""
    growth: float | None
    """Expected buyers of the coming 7 days, relative to those that the model expects for the past 7 days."""


def fit_intent(histories: Histories, end: int) -> FittedIntent:
    """Fit on both label windows before `end` (epoch microseconds); evaluate a fit on the earlier window on the later.

    With less than 21 days of history, only the later window is used and nothing is evaluated. With less than 9 days, or
    without both kinds of labels, there is no model. `facts` holds the reason.
    """
    days = (end - int(histories.times.min(initial=end))) / DAY
    earlier, later = (examples(histories, cutoff) for cutoff in cutoffs(end))
    if days < MINIMUM_DAYS or not _has_both_labels(later[0]):
        reason = f"{days:.0f} days of history, {MINIMUM_DAYS} with purchases are needed: purchase_intent stays empty"
        return FittedIntent(None, {"intent": reason}, None)
    long = days >= MEASURED_DAYS
    overall, facts = _fit("intent", earlier[0], later[0], long)
    category = None
    if _has_both_labels(later[1]):
        category, more = _fit("category_intent", earlier[1], later[1], long)
        facts |= more
    if not facts:
        facts["intent"] = f"{days:.0f} days of history, {MEASURED_DAYS} with purchases are needed to measure it"
    model = IntentModel(overall, category)
    past = model.any.probability(later[0][0]).sum()
    coming = model.predict(histories, end)[0].sum()
    return FittedIntent(model, facts, float(coming / past))


def _fit(
    name: str, earlier: tuple[Scores, Flags], later: tuple[Scores, Flags], long: bool
) -> tuple[Logistic, dict[str, str]]:
    """Return the fit on both windows with its metrics, or the fit on the later window without metrics."""
    if not (long and _has_both_labels(earlier)):
        return fit_logistic(*later), {}
    facts = {f"{name}_{what}": f"{value:.4f}" for what, value in measure(earlier, later).items()}
    features, labels = (np.concatenate(parts) for parts in zip(earlier, later, strict=True))
    return fit_logistic(features, labels), facts


def _has_both_labels(window: tuple[Scores, Flags]) -> bool:
    """Return whether the (features, labels) hold positive and negative labels."""
    return bool(0 < window[1].sum() < len(window[1]))


def fit_logistic(features: Scores, labels: Flags) -> Logistic:
    """Return the logistic regression of (n,) labels on (n, f) features."""
    from sklearn.linear_model import LogisticRegression

    center, scale = features.mean(axis=0), features.std(axis=0)
    scale = np.where(scale > 0, scale, 1.0)
    # The weak penalty keeps the weights finite if the labels are separable; the mean stays calibrated.
    fitted = LogisticRegression(C=10.0, max_iter=500).fit((features - center) / scale, labels)
    return Logistic(center, scale, fitted.coef_[0].astype(np.float64), float(fitted.intercept_[0]))


def measure(earlier: tuple[Scores, Flags], later: tuple[Scores, Flags]) -> dict[str, float]:
    """Return the metrics of `measure_probabilities` on the later window, for a fit on the earlier one."""
    predicted = fit_logistic(*earlier).probability(later[0])
    overall = measure_probabilities(later[1], predicted, base=float(earlier[1].mean())).overall
    return {**overall, "mean_predicted": float(predicted.mean())}
