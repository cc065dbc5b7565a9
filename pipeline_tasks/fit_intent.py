"""Fits the purchase intent of a night on its own past, and measures it on the last week before it is used."""

from dataclasses import dataclass

import numpy as np

from pipeline_tasks.intent_model import Histories, IntentModel, Logistic, cutoffs, examples
from pipeline_tasks.interactions import Flags
from pipeline_tasks.top_k import Scores


@dataclass(frozen=True)
class FittedIntent:
    """The model and what is known of it."""

    model: IntentModel | None
    """None where nothing can be learned; `facts["intent"]` says why."""
    facts: dict[str, str]
    growth: float | None
    """Buyers expected in the coming 7 days over buyers expected, by the same model, in the past 7."""


def fit_intent(histories: Histories, end: int) -> FittedIntent:
    """Fit on both label windows before `end` (epoch microseconds); measured where fitted on the earlier one alone."""
    earlier, later = (examples(histories, moment) for moment in cutoffs(end))
    if not all(0 < labels.sum() < len(labels) for _, labels in (earlier[0], later[0])):
        reason = "no purchases (or nothing else) in one of the two label windows: purchase_intent stays empty"
        return FittedIntent(None, {"intent": reason}, None)
    facts = {f"intent_{name}": f"{value:.4f}" for name, value in measure(earlier[0], later[0]).items()}
    both = [tuple(np.concatenate(parts) for parts in zip(earlier[i], later[i], strict=True)) for i in (0, 1)]
    category = None
    if all(0 < labels.sum() < len(labels) for _, labels in (earlier[1], later[1])):
        facts |= {f"category_intent_{n}": f"{v:.4f}" for n, v in measure(earlier[1], later[1]).items()}
        category = fit_logistic(both[1][0], both[1][1])
    model = IntentModel(fit_logistic(both[0][0], both[0][1]), category)
    past = model.any.probability(later[0][0]).sum()
    coming = model.predict(histories, end)[0].sum()
    return FittedIntent(model, facts, float(coming / past))


def fit_logistic(features: Scores, labels: Flags) -> Logistic:
    """Return the regression of (n,) labels on (n, f) features."""
    from sklearn.linear_model import LogisticRegression

    center, scale = features.mean(axis=0), features.std(axis=0)
    scale = np.where(scale > 0, scale, 1.0)
    # So weak a penalty only keeps the weights finite where the labels are separable; the mean stays calibrated.
    fitted = LogisticRegression(C=10.0, max_iter=500).fit((features - center) / scale, labels)
    return Logistic(center, scale, fitted.coef_[0].astype(np.float64), float(fitted.intercept_[0]))


def measure(earlier: tuple[Scores, Flags], later: tuple[Scores, Flags]) -> dict[str, float]:
    """Return AUC, log-loss and the base rate's log-loss on the later window of a fit on the earlier one."""
    from sklearn.metrics import log_loss, roc_auc_score

    predicted = fit_logistic(*earlier).probability(later[0])
    base = np.full(len(predicted), earlier[1].mean())
    return {
        "auc": float(roc_auc_score(later[1], predicted)),
        "log_loss": float(log_loss(later[1], predicted)),
        "base_log_loss": float(log_loss(later[1], base, labels=[False, True])),
        "mean_predicted": float(predicted.mean()),
        "mean_observed": float(later[1].mean()),
    }
