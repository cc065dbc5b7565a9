"""A shop without user ids: the baskets of its till and a source file, through the whole chain."""

import json
import shlex
from pathlib import Path

import numpy as np
import pytest

from tests.chain.installation import Installation

pytestmark = pytest.mark.chain

DAY = "2026-11-20"
GROUPS, SIZE = 12, 6
METRIC = "discovery_test/ndcg_at_10"
SOURCE = """
name = "anonymous_till"

[events]
path = "till.jsonl"
format = "json"

[events.columns]
ts = "at"
event_type = "'purchase'"
item_id = "article"
session_id = "receipt"

[items.columns]
item_id = "article"
title = "name"
"""


@pytest.fixture(scope="module")
def run(installation: Installation, tmp_path_factory: pytest.TempPathFactory) -> str:
    """Output of ``nightshelf run`` for 600 receipts of ten days, each with five of a group's six articles."""
    folder, rng = tmp_path_factory.mktemp("till"), np.random.default_rng(1)
    lines = [
        {
            "at": f"2026-11-{11 + receipt % 10} 12:{receipt // 10 % 60:02d}:00",
            "receipt": receipt,
            "article": f"a{group * SIZE + place:02d}",
            "name": "mug",
        }
        for receipt, group in enumerate(rng.integers(GROUPS, size=600).tolist())
        for place in rng.permutation(SIZE)[:5].tolist()
    ]
    (folder / "till.jsonl").write_text("".join(json.dumps(line) + "\n" for line in lines))
    Path(folder / "till.toml").write_text(SOURCE)
    return installation.succeed("run", "--date", DAY, "--source", str(folder / "till.toml"))


def test_the_end_of_the_run_shows_what_there_is(installation: Installation, run: str) -> None:
    assert "recommendations for everyone" in run
    assert f"no user has recommendations of their own for {DAY}; to see the next items of each item:" in run
    [shown] = [line for line in run.splitlines() if line.startswith("  nightshelf sql ")]
    assert "mug" in installation.succeed(*shlex.split(shown)[1:])


def test_a_small_shop_skips_the_tuned_encoder_and_says_so(installation: Installation, run: str) -> None:
    assert "train_candidate [frozen]" in run
    assert "train_candidate [lora]" not in run
    logs = (installation.home / "airflow" / "logs").glob("**/task_id=start_night_run/*.log")
    assert any("lora in so small a shop, so their training is skipped" in log.read_text() for log in logs)


def test_fallback_recommendations_are_full(installation: Installation, run: str) -> None:
    rows = installation.rows(
        "SELECT segment, count(*) AS items FROM anonymous_till.fallback_recommendations GROUP BY segment"
    )
    assert {"segment": "everyone", "items": 50} in rows
    assert {row["items"] for row in rows} == {50}, "scoring.fallback_k"


def test_no_table_has_rows_of_users(installation: Installation, run: str) -> None:
    for table in ("recommendations", "user_profiles", "purchase_intent"):
        assert installation.rows(f"SELECT count(*) AS n FROM anonymous_till.{table}") == [{"n": 0}]


def test_basket_completion_is_learned(installation: Installation, run: str) -> None:
    client = installation.registry()
    experiment = client.get_experiment_by_name("nightshelf/anonymous_till")
    assert experiment is not None
    found = [run.data.metrics for run in client.search_runs([experiment.experiment_id])]
    [ndcg] = [metrics[METRIC] for metrics in found if METRIC in metrics]
    # Four of a group's six articles are shown, so the fifth is one of two: .815 for a coin, .06 for 72 articles.
    assert ndcg > 0.7


def test_a_table_completes_a_basket(installation: Installation, run: str) -> None:
    rows = installation.rows(f"SELECT item_id, next_item_id, score FROM anonymous_till.next_items WHERE ds = '{DAY}'")
    score = {(row["item_id"], row["next_item_id"]): row["score"] for row in rows}
    for group in range(GROUPS):
        articles = [f"a{group * SIZE + place:02d}" for place in range(SIZE)]
        basket = articles[:4]
        others = {item for _, item in score} - set(basket)
        sums = {item: sum(score.get((held, item), 0.0) for held in basket) for item in others}
        assert set(sorted(sums, key=lambda item: -sums[item])[:2]) == set(articles[4:])


def test_items_bought_together_are_similar(installation: Installation, run: str) -> None:
    rows = installation.rows(
        f"SELECT item_id, similar_item_id FROM anonymous_till.similar_items WHERE ds = '{DAY}' AND rank = 1"
    )
    together = [int(row["item_id"][1:]) // SIZE == int(row["similar_item_id"][1:]) // SIZE for row in rows]
    assert len(rows) == GROUPS * SIZE
    assert sum(together) > 0.8 * len(rows)
