"""Metrics: of ranked lists per user, of lists beyond accuracy, and of predicted probabilities.

`hits`: (n, >= k) whether the item at each place is relevant; `relevant`: (n,) how many items are relevant, at least 1.
Formulas: Järvelin and Kekäläinen 2002 (DCG; the ideal list has min(k, relevant) hits); the others are standard.

Of lists beyond accuracy: Castells et al. 2015 (novelty, intra-list distance); Abdollahpouri et al. 2019 (popularity
lift, there ΔGAP). `lists`: (n, k) item indices.
"""

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from pipeline_tasks.data.interactions import Flags, Floats, Integers, Interactions

Reals = npt.NDArray[np.float64]
_SMALLEST = 1e-7
"""Probabilities are clipped to this, because a wrong probability of exactly 0 or 1 would have an infinite loss."""


def recall(hits: Flags, relevant: Integers, k: int) -> Reals:
    """Return the share of relevant items in the first k."""
    return np.asarray(hits[:, :k].sum(axis=1) / relevant, dtype=np.float64)


def precision(hits: Flags, k: int) -> Reals:
    """Return the share of the first k that is relevant. Places beyond the end of the catalog count as misses."""
    return np.asarray(hits[:, :k].sum(axis=1) / k, dtype=np.float64)


def f1(hits: Flags, relevant: Integers, k: int) -> Reals:
    """Return the harmonic mean of precision and recall in the first k, which is 2 hits / (k + relevant)."""
    return np.asarray(2 * hits[:, :k].sum(axis=1) / (k + relevant), dtype=np.float64)


def hit_rate(hits: Flags, k: int) -> Reals:
    """Return 1 where a relevant item is in the first k, else 0."""
    return np.asarray(hits[:, :k].any(axis=1), dtype=np.float64)


def ndcg(hits: Flags, relevant: Integers, k: int) -> Reals:
    """Return DCG@k over the DCG of an ideal list of min(k, relevant) hits."""
    places = min(k, hits.shape[1])
    discounts = 1 / np.log2(np.arange(2, k + 2))
    ideal = np.concatenate([[0.0], np.cumsum(discounts)])[np.minimum(relevant, k)]
    return np.asarray(hits[:, :places] @ discounts[:places] / ideal, dtype=np.float64)


def reciprocal_rank(ranks: Integers, relevant: Integers) -> Reals:
    """Return 1 / the rank of the first relevant item. `ranks`: of every relevant item, from 1, user by user."""
    return np.asarray(1 / np.minimum.reduceat(ranks, _starts(relevant)), dtype=np.float64)


def mean_rank(ranks: Integers, relevant: Integers) -> Reals:
    """Return the mean rank, over the whole catalog, of the relevant items. `ranks`: as for `reciprocal_rank`."""
    return np.asarray(np.add.reduceat(ranks, _starts(relevant)) / relevant, dtype=np.float64)


def _starts(relevant: Integers) -> Integers:
    return np.concatenate([[0], np.cumsum(relevant)[:-1]]).astype(np.int64)


def coverage(lists: Integers, recommendable: int) -> float:
    """Return the share of recommendable items that appear in any list."""
    return len(np.unique(lists)) / recommendable


def gini(lists: Integers, n_items: int) -> float:
    """Return the Gini index of how often each item is shown: 0 for equal counts, 1 for a single item."""
    counts = np.sort(np.bincount(lists.ravel(), minlength=n_items))
    ranks = np.arange(1, n_items + 1)
    return float((2 * ranks - n_items - 1) @ counts / (n_items * counts.sum()))


def novelty(lists: Integers, popularity: Integers, users: int) -> Reals:
    """Return per user the mean of -log2(share of users who wanted the item before), with 1 added to each count."""
    self_information = -np.log2((popularity + 1) / (users + 1))
    return np.asarray(self_information[lists].mean(axis=1), dtype=np.float64)


def intra_list_distance(lists: Integers, vectors: Floats) -> Reals:
    """Return per user the mean cosine distance between two items of the list; 0 for a list of one item.

    `vectors`: (items, d). An all-zero vector has distance 1 from every other vector.
    """
    norms = np.linalg.norm(vectors, axis=1, keepdims=True)
    unit = np.divide(vectors, norms, out=np.zeros_like(vectors), where=norms > 0)
    places = lists.shape[1]
    if places < 2:
        return np.zeros(len(lists), dtype=np.float64)
    # The squared length of a sum of vectors contains all dot products, so no k x k table is needed per user.
    total = np.zeros((len(lists), unit.shape[1]), dtype=np.float32)
    own = np.zeros(len(lists), dtype=np.float64)
    for place in range(places):
        chosen = unit[lists[:, place]]
        total += chosen
        own += np.einsum("ij,ij->i", chosen, chosen)
    alike = (np.einsum("ij,ij->i", total, total) - own) / (places * (places - 1))
    return np.asarray(1 - alike, dtype=np.float64)


def list_popularity(lists: Integers, popularity: Integers) -> Reals:
    """Return per user the mean popularity of the list: how many users wanted an item before."""
    return np.asarray(popularity[lists].mean(axis=1), dtype=np.float64)


def history_popularity(histories: Interactions, popularity: Integers) -> Reals:
    """Return per user the mean popularity of the history's events; NaN without a history."""
    total = np.bincount(histories.rows, weights=popularity[histories.items], minlength=len(histories))
    lengths = histories.lengths
    mean: Reals = np.divide(total, lengths, out=np.full(len(histories), np.nan), where=lengths > 0)
    return mean


def popularity_lift(shown: Reals, had: Reals) -> float:
    """Return how much more popular the lists are than the same users' histories, as a share; 0 is no bias.

    `shown`, `had`: per user, from `list_popularity` and `history_popularity`. NaN where no user has a history.
    """
    known = np.isfinite(had)
    if not known.any() or had[known].sum() == 0:
        return float("nan")
    return float(shown[known].mean() / had[known].mean() - 1)


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
