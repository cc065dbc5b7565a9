"""How many of the wanted new items are found, and what that costs: Amazon Beauty with 5 % of the items withheld.

pytest -s tests/benchmarks/bench_new_items.py                  # three draws of withheld items, one training each
pytest -s tests/benchmarks/bench_new_items.py -k "new_items[2]"

No event of a withheld item is in train or validation, or in any history; all are answers of the test part still.
The cost is of overall NDCG@10, beside the same model with the withheld items banned from every list.
"""

import json
from pathlib import Path
from statistics import mean

import pytest

from pipeline_tasks.candidates.candidate_training import train
from pipeline_tasks.config.settings import settings
from pipeline_tasks.evaluation.full_ranking import evaluate
from pipeline_tasks.evaluation.ranking_task import build_task
from pipeline_tasks.training.best_epoch import METRIC
from tests.benchmarks.quality_report import NEW_ITEMS, write_report
from tests.benchmarks.sequence_sets import read_amazon_beauty
from tests.benchmarks.side_by_side import present_commit
from tests.benchmarks.withheld_items import withhold_items

SEEDS = (1, 2, 3)
COLD = "cold_recall@10"
BANNED = -1e3
"""A level below every score."""


@pytest.mark.real_data
@pytest.mark.parametrize("seed", SEEDS)
def test_new_items(seed: int, shared_data: Path, tmp_path: Path) -> None:
    """Train without them, choose on validation without them, look at test once, and once more with them banned."""
    data, withheld = withhold_items(read_amazon_beauty(shared_data), seed)
    training = settings().training.model_copy(update={"seed": seed})
    trained = train(data, "frozen", training, tmp_path, lambda metrics, step: None)
    task = build_task(data.parts, "test", "discovery", len(data.catalog))
    recommender = trained.saved.recommender.at(data.parts.known_before("test"))
    found = evaluate(recommender, task).overall
    without = evaluate(recommender.with_weights(cold_start_boost=BANNED), task).overall
    _keep(
        {
            "seed": seed,
            "withheld": len(withheld),
            "level": round(recommender.tuned.cold_start_boost, 3),
            COLD: round(found[COLD], 4),
            METRIC: round(found[METRIC], 5),
            "banned": round(without[METRIC], 5),
            "cost": round(1 - found[METRIC] / without[METRIC], 4),
            "commit": present_commit(),
        }
    )
    print(write_report())


def _keep(row: dict[str, float | str]) -> None:
    """Put the row into the file in place of one of the same seed."""
    kept = json.loads(NEW_ITEMS.read_text()) if NEW_ITEMS.exists() else []
    rows = sorted([one for one in kept if one["seed"] != row["seed"]] + [row], key=lambda one: one["seed"])
    NEW_ITEMS.write_text(json.dumps(rows, indent=1) + "\n")
    print(f"{COLD} {mean(one[COLD] for one in rows):.4f} at a cost of {mean(one['cost'] for one in rows):.1%}")
