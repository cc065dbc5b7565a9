"""The comparison as artifacts of the active MLflow run: tables as CSV and JSON, pictures as PNG."""

import tempfile
from pathlib import Path
from typing import Final

import mlflow

from pipeline_tasks.candidates.compare_scorers import OURS, Comparison
from pipeline_tasks.config.promotion_rules import Promotion
from pipeline_tasks.evaluation.evaluation_plots import plot_scorers, plot_segments, plot_trade_off

_TABLE: Final = "evaluation/evaluation.json"


def log_comparison(done: Comparison, rule: Promotion) -> None:
    """Log the folder `evaluation`; the picture of segments is of the task and metric that promotion goes by."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        done.table.to_csv(folder / "evaluation.csv", index=False)
        done.segments.to_csv(folder / "segments.csv", index=False)
        segments = done.segments[done.segments["task"] == rule.task]
        plot_scorers(done.table, OURS, rule.metric, folder / "evaluation.png")
        plot_segments(segments, OURS, rule.metric, folder / "segments.png")
        plot_trade_off(done.table, OURS, rule.metric, "intra_list_distance@10", folder / "diversity.png")
        mlflow.log_artifacts(name, "evaluation")
    # MLflow shows a table's first columns, and offers the others.
    first = ["task", "scorer", rule.metric, "ours_minus", "ours_minus_p", "low", "high"]
    mlflow.log_table(done.table[[*first, *done.table.columns.difference(first, sort=False)]], _TABLE)
