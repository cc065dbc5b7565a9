"""How good the shipped defaults are on a real shop's log, beside every baseline in the same protocol.

pytest -s tests/benchmarks/bench_quality.py
NIGHTSHELF_TRAINING__CANDIDATES='["frozen"]' NIGHTSHELF_TRAINING__EPOCHS=3 pytest -s tests/benchmarks/bench_quality.py
"""

import json
import os
import subprocess
import time
from pathlib import Path
from typing import Any, cast

import pytest

from pipeline_tasks.candidate_training import METRIC, CandidateName, refit, train
from pipeline_tasks.compare_scorers import OURS
from pipeline_tasks.evaluate_candidates import judge
from pipeline_tasks.settings import settings
from tests.benchmarks.online_retail import read_online_retail

RESULTS = Path(__file__).parent / "results" / "quality.json"
REPOSITORY = Path(__file__).resolve().parents[2]


@pytest.mark.real_data
def test_online_retail(shared_data: Path, tmp_path: Path) -> None:
    """Train both candidates on train, choose on validation, look at test once."""
    data = read_online_retail(shared_data)
    training = settings().training
    started = time.monotonic()
    trained = [
        train(data, cast(CandidateName, name), training, tmp_path / name, lambda metrics, step: None)
        for name in training.candidates
    ]
    best = max(trained, key=lambda candidate: candidate.validation.overall[METRIC])
    saved = refit(data, best.saved, training)
    minutes = (time.monotonic() - started) / 60
    table, _ = judge(data, saved, None)
    rows = [_row(task, table, peer) for task in table["task"].unique() for peer in table["scorer"] if peer != OURS]
    rows = list({(row["set"], row["peer"]): row for row in rows}.values())
    facts = {
        "candidate": best.saved.facts["candidate"],
        "epochs": best.best_epoch,
        "dimension": training.dimension,
        "minutes": round(minutes, 1),
        "seeds": [training.seed],
    }
    commit = subprocess.check_output(["git", "rev-parse", "--short", "HEAD"], cwd=REPOSITORY, text=True).strip()
    RESULTS.write_text(
        json.dumps([row | facts | {"cores": os.cpu_count(), "commit": commit} for row in rows], indent=1)
    )
    print("\n" + table[["task", "scorer", METRIC, "low", "high", "ours_minus"]].to_string(index=False))
    beaten = {row["peer"]: row["ratio"] for row in rows if row["set"].endswith("discovery_test")}
    assert min(beaten[name] for name in ("popularity", "recent_popularity", "item_knn")) > 1


def _row(task: str, table: Any, peer: str) -> dict[str, Any]:  # noqa: ANN401
    rows = table[table["task"] == task].set_index("scorer")
    ours, theirs = float(rows.loc[OURS, METRIC]), float(rows.loc[peer, METRIC])
    return {
        "name": "two_tower",
        "set": f"online_retail, temporal 6:2:2, {task}",
        "ours": round(ours, 4),
        "interval": [round(float(rows.loc[OURS, side]), 4) for side in ("low", "high")],
        "peer": peer,
        "peer_figure": round(theirs, 4),
        "ratio": round(ours / theirs, 3),
        "unit": METRIC,
    }
