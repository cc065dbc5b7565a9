from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from pipeline_tasks.evaluation_report import plot_table, report_table
from pipeline_tasks.full_ranking import RankingResult
from pipeline_tasks.intervals import mean_interval, paired_difference
from pipeline_tasks.night import Night
from pipeline_tasks.promotion import CHAMPION, decide
from pipeline_tasks.registry import Promotion, registry

RULE = Promotion(
    task="discovery_test", metric="ndcg@10", must_beat=["popularity"], champion_rule="not_significantly_worse"
)
NOISE = np.random.default_rng(1).normal(0, 0.05, 400)
NOISE -= NOISE.mean()


def table_of(**figures: float) -> pd.DataFrame:
    results = [
        RankingResult(
            name, "discovery_test", {"ndcg@10": value + (NOISE if name == "two_tower" else -NOISE)}, {"ndcg@10": value}
        )
        for name, value in figures.items()
    ]
    return report_table(results, "two_tower", "ndcg@10")


def test_interval_covers_the_mean_at_its_level() -> None:
    rng = np.random.default_rng(0)
    covered = 0
    for seed in range(60):
        low, high = mean_interval(rng.exponential(1.0, 80), seed=seed)
        covered += low <= 1.0 <= high
    assert 50 <= covered <= 60
    values = rng.random(50)
    low, high = mean_interval(values, level=0.95)
    # Student's interval of the same mean, within a tenth of its width.
    half = 2.01 * values.std(ddof=1) / np.sqrt(50)
    assert (low, high) == pytest.approx((values.mean() - half, values.mean() + half), abs=0.2 * half)


def test_pairs_cancel_what_shoppers_share() -> None:
    shared = np.random.default_rng(0).normal(0, 10, 200)
    mean, low, high = paired_difference(shared + 0.5, shared)
    assert mean == low == high == pytest.approx(0.5)


def test_a_winner_is_promoted_and_a_loser_is_not() -> None:
    promote, reasons = decide(table_of(two_tower=0.2, popularity=0.1), "two_tower", RULE)
    assert promote
    assert reasons[0].startswith("discovery_test ndcg@10 0.2000 beats popularity 0.1000 (difference +0.1000")
    promote, reasons = decide(table_of(two_tower=0.1, popularity=0.1), "two_tower", RULE)
    assert not promote
    assert "does not beat popularity" in reasons[0]
    assert decide(table_of(two_tower=0.1, popularity=0.1), "two_tower", RULE, wins_required=False)[0]


@pytest.mark.parametrize(("champion", "promoted"), [(0.15, True), (0.202, True), (0.3, False)])
def test_the_champion_yields_unless_it_is_better_beyond_chance(champion: float, promoted: bool) -> None:
    table = table_of(two_tower=0.2, popularity=0.1, **{CHAMPION: champion})
    assert decide(table, "two_tower", RULE)[0] is promoted
    strict = RULE.model_copy(update={"champion_rule": "better"})
    assert decide(table, "two_tower", strict)[0] is (champion < 0.2)


def test_a_rule_that_names_no_baseline_is_refused() -> None:
    with pytest.raises(ValueError, match="must_beat names 'magic'"):
        decide(table_of(two_tower=0.2), "two_tower", RULE.model_copy(update={"must_beat": ["magic"]}))


def test_the_table_is_drawn(tmp_path: Path) -> None:
    plot_table(table_of(two_tower=0.2, popularity=0.1), "ndcg@10", tmp_path / "plot.png")
    assert (tmp_path / "plot.png").read_bytes().startswith(b"\x89PNG")


def test_the_shipped_rule_names_baselines_that_exist() -> None:
    from pipeline_tasks.baselines import BASELINES

    assert set(registry().promotion.must_beat) <= set(BASELINES)
    night = Night("tiny_shop", pd.Timestamp("2026-11-20").date())
    assert registry().model_name(night) == "nightshelf-tiny_shop"
    assert registry().experiment_name(night) == "nightshelf/tiny_shop"
