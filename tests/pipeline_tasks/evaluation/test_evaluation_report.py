from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from pipeline_tasks.data.split_parts import split_parts
from pipeline_tasks.evaluation.baselines import item_knn, own_repeats, popularity
from pipeline_tasks.evaluation.evaluation_plots import plot_scorers, plot_segments, plot_trade_off
from pipeline_tasks.evaluation.evaluation_report import report_table, segment_table
from pipeline_tasks.evaluation.full_ranking import RankingResult, evaluate_tasks
from pipeline_tasks.evaluation.intervals import mean_interval
from pipeline_tasks.evaluation.ranking_task import build_tasks
from tests.pipeline_tasks.logs import random_log

ITEMS = 60


@pytest.fixture(scope="module")
def results() -> list[RankingResult]:
    parts = split_parts(random_log(300, ITEMS, seed=2), {"strategy": "per_user"})
    vectors = np.random.default_rng(0).standard_normal((ITEMS, 5)).astype(np.float32)
    tiers = {"tier": dict.fromkeys(parts.log.keys[::3], "gold")}
    tasks = build_tasks(parts, "test", ("discovery", "repeats"), ITEMS, vectors, tiers)
    scorers = [fit(tasks[0].known, ITEMS) for fit in (item_knn, popularity, own_repeats)]
    return [result for scorer in scorers for result in evaluate_tasks(scorer, tasks)]


def rows_of(table: pd.DataFrame) -> dict[tuple[str, str], dict[str, Any]]:
    return {(row["task"], row["scorer"]): {str(k): v for k, v in row.items()} for row in table.to_dict("records")}


def test_every_scorer_has_a_row_with_interval_and_paired_test(results: list[RankingResult]) -> None:
    rows = rows_of(report_table(results, "item_knn", "ndcg@10"))
    assert len(rows) == 6
    ours, theirs = results[0], results[2]
    row = rows["discovery_test", "popularity"]
    assert (row["low"], row["high"]) == pytest.approx(mean_interval(theirs.per_user["ndcg@10"]))
    difference = ours.per_user["ndcg@10"] - theirs.per_user["ndcg@10"]
    expected = (difference.mean(), *mean_interval(difference))
    assert [row[f"ours_minus{end}"] for end in ("", "_low", "_high")] == pytest.approx(expected)
    assert row["ours_minus_p"] < 0.01
    assert rows["discovery_test", "item_knn"]["ours_minus_p"] == 1
    assert all(0 < row["intra_list_distance@10"] < 2 for row in rows.values())
    assert rows["repeats_test", "popularity"]["coverage@10"] < rows["repeats_test", "item_knn"]["coverage@10"]


def test_segments_add_up_to_all_users(results: list[RankingResult]) -> None:
    everybody = rows_of(report_table(results, "item_knn", "ndcg@10"))
    segments = segment_table(results, "item_knn", "ndcg@10")
    assert set(segments["kind"]) == {"history", "activity", "tier"}
    assert set(segments[segments["kind"] == "tier"]["segment"]) == {"gold", "unknown"}
    for (task, scorer), total in everybody.items():
        for kind in ("history", "activity", "tier"):
            chosen = (segments["task"] == task) & (segments["scorer"] == scorer) & (segments["kind"] == kind)
            rows = segments[chosen]
            assert rows["users"].sum() == total["users"]
            for name in ("ndcg@10", "ours_minus", "novelty@10", "intra_list_distance@10"):
                assert np.average(rows[name], weights=rows["users"]) == pytest.approx(total[name])
    assert (segments["low"] <= segments["ndcg@10"] + 1e-9).all()
    assert (segments[segments["scorer"] == "popularity"]["popularity_lift@10"] > 0).all()


def test_ours_must_have_a_result(results: list[RankingResult]) -> None:
    with pytest.raises(ValueError, match="two_tower has no result in discovery_test"):
        report_table(results, "two_tower", "ndcg@10")


def test_the_compared_metric_must_exist_for_every_user(results: list[RankingResult]) -> None:
    for name in ("coverage@10", "magic"):
        with pytest.raises(
            ValueError, match=f"{name}' is missing for some users of discovery_test: choose one of .*mrr"
        ):
            report_table(results, "item_knn", name)
    some = replace(results[0], per_user={"mrr": np.array([1.0]), "cold_recall@10": np.array([np.nan])})
    with pytest.raises(ValueError, match=r"cold_recall@10' is missing for some users .*\['mrr'\]"):
        report_table([some], "item_knn", "cold_recall@10")


def test_the_plots_are_written(results: list[RankingResult], tmp_path: Path) -> None:
    table = report_table(results, "item_knn", "ndcg@10")
    segments = segment_table(results, "item_knn", "ndcg@10")
    plot_scorers(table, "item_knn", "ndcg@10", tmp_path / "scorers.png")
    plot_segments(segments[segments["task"] == "discovery_test"], "item_knn", "ndcg@10", tmp_path / "segments.png")
    plot_segments(segments[segments["users"] < 0], "item_knn", "ndcg@10", tmp_path / "new_user.png")
    plot_trade_off(table, "item_knn", "ndcg@10", "intra_list_distance@10", tmp_path / "trade_off.png")
    for name in ("scorers", "segments", "new_user", "trade_off"):
        assert (tmp_path / f"{name}.png").read_bytes().startswith(b"\x89PNG")
