"""Metrics of predicted probabilities for binary labels, such as purchase intent, conversion and click."""

from dataclasses import dataclass

import numpy as np

from pipeline_tasks.data.interactions import Flags
from pipeline_tasks.evaluation.ranking_metrics import Reals

_SMALLEST = 1e-7
"""Probabilities are clipped to this, because a wrong probability of exactly 0 or 1 would have an infinite loss."""


@dataclass(frozen=True)
class BinaryResult:
    """Metrics of predicted probabilities."""

    losses: Reals
    """(n,) log-loss of each example in nats, for intervals and paired tests."""
    overall: dict[str, float]
    """auc, log_loss, base_log_loss (of always predicting the base rate), brier, calibration_error, share_of_yes."""


def measure_probabilities(truth: Flags, probability: Reals, base: float | None = None) -> BinaryResult:
    """Return the metrics of `probability` (n,) for the labels `truth` (n,).

    `base` is the share of positive labels that was known beforehand; None takes the share in `truth`.

    Raises:
        ValueError: a probability is outside 0..1 or not a number, or all labels are equal, so that no AUC exists.
    """
    from sklearn.metrics import roc_auc_score

    if not ((probability >= 0) & (probability <= 1)).all():
        raise ValueError("probabilities must lie within 0..1: apply the sigmoid before judging them")
    share = float(truth.mean()) if len(truth) else 0.0
    if share in (0.0, 1.0):
        raise ValueError(f"all {len(truth)} labels are equal: neither an AUC nor a base rate exists")
    clipped = np.clip(probability, _SMALLEST, 1 - _SMALLEST)
    always = float(np.clip(share if base is None else base, _SMALLEST, 1 - _SMALLEST))
    losses = -np.where(truth, np.log(clipped), np.log1p(-clipped))
    overall = {
        "auc": float(roc_auc_score(truth, probability)),
        "log_loss": float(losses.mean()),
        "base_log_loss": float(-share * np.log(always) - (1 - share) * np.log1p(-always)),
        "brier": float(((probability - truth) ** 2).mean()),
        "calibration_error": calibration_error(truth, probability),
        "share_of_yes": share,
    }
    return BinaryResult(losses, overall)


def calibration_error(truth: Flags, probability: Reals, bins: int = 10) -> float:
    """Return the mean gap between predicted and realized share over bins of equal width (Naeini et al. 2015)."""
    bin_of = np.minimum((probability * bins).astype(np.int64), bins - 1)
    gaps = np.bincount(bin_of, weights=probability - truth, minlength=bins)
    return float(np.abs(gaps).sum() / len(truth))
