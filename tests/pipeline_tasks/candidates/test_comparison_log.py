import numpy as np
import pytest

from pipeline_tasks.candidates.comparison_log import logged_metrics
from pipeline_tasks.evaluation.evaluation_report import report_table
from pipeline_tasks.evaluation.full_ranking import RankingResult
from pipeline_tasks.registry.registry import registry

SCORERS = ("two_tower", "popularity", "recent_popularity", "own_repeats", "item_knn", "ease", "champion")
CUT = [f"{kind}@{k}" for kind in ("recall", "ndcg", "precision", "f1", "hit_rate") for k in (5, 10, 20)]
OTHERS = ["mrr", "coverage@10", "gini@10", "novelty@10", "intra_list_distance@10", "list_popularity@10", "mean_rank"]
OVERALL = dict.fromkeys([*CUT, *OTHERS], 0.5)


def test_about_thirty_metrics_are_logged_in_groups() -> None:
    """A night of the default baselines and a champion, in all four tasks."""
    results = [
        RankingResult(scorer, f"{goal}_test", {"ndcg@10": np.full(20, 0.5)}, OVERALL | {"popularity_lift@10": np.nan})
        for goal in ("served", "discovery", "repeats", "newcomers")
        for scorer in SCORERS
    ]
    rule = registry().promotion.model_copy(update={"floors": {"recall@20": 0.1}})
    found = logged_metrics(report_table(results, "two_tower", "ndcg@10"), rule)
    assert len(found) == 10 + 3 * 3 + 6 * 2 + 1
    groups = {name.partition("/")[0] for name in found}
    assert groups == {"served_test", "discovery_test", "repeats_test", "newcomers_test", "rivals"}
    assert found["rivals/champion.ours_minus"] == 0
    assert found["served_test/recall_at_20"] == 0.5, "a limit of the promotion rule is logged"
    assert {"served_test/mrr", "served_test/ndcg_at_10_low", "discovery_test/ndcg_at_10_high"} <= found.keys()
    assert "served_test/popularity_lift_at_10" not in found, "MLflow cannot compare a value that is not finite"
    assert all(value == pytest.approx(0.5) or "ours_minus" in name for name, value in found.items())
