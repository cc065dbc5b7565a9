"""What MLflow keeps of a comparison: some thirty metrics, the whole tables, plots and the descriptions."""

import tempfile
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import mlflow
import numpy as np
import pandas as pd

from pipeline_tasks.candidates.compare_scorers import OURS, Comparison
from pipeline_tasks.config.promotion_rules import Promotion
from pipeline_tasks.data.run_data import RunData
from pipeline_tasks.evaluation.evaluation_plots import plot_scorers, plot_segments, plot_trade_off
from pipeline_tasks.registry.candidate_files import Candidate
from pipeline_tasks.registry.descriptions import (
    comparison_table,
    metric_name,
    night_note,
    run_link,
    verdict_note,
    version_link,
    version_note,
)

_COMPARED: Final = (
    *("recall@10", "hit_rate@10", "mrr", "coverage@10", "gini@10"),
    *("novelty@10", "intra_list_distance@10", "popularity_lift@10"),
)
"""Our metrics in the headline task that a person compares, beside that of the promotion rule."""


def logged_metrics(table: pd.DataFrame, rule: Promotion) -> dict[str, float]:
    """Return the metrics to log; the other ones are in the artifact `evaluation`. `table` is from `report_table`.

    MLflow groups them by what is before the slash: ``<task>/<metric>`` is ours, ``rivals/<scorer>.<metric>`` that of
    the champion or a baseline in the task of the rule, ``rivals/<scorer>.ours_minus`` the paired difference.
    """
    found = dict(_named_metrics(table, rule))
    return {metric_name(name): float(value) for name, value in found.items() if np.isfinite(value)}


def _named_metrics(table: pd.DataFrame, rule: Promotion) -> Iterator[tuple[str, float]]:
    names = dict.fromkeys([rule.metric, "low", "high", *_COMPARED, *rule.floors, *rule.ceilings])
    named = {"low": f"{rule.metric}_low", "high": f"{rule.metric}_high"}
    for row in table.to_dict("records"):
        headline, task, scorer = row["task"] == rule.task, row["task"], row["scorer"]
        if scorer == OURS:
            shown = names if headline else (rule.metric, "low", "high")
            yield from ((f"{task}/{named.get(name, name)}", row[name]) for name in shown if name in row)
        elif headline:
            yield from ((f"rivals/{scorer}.{name}", row[name]) for name in (rule.metric, "ours_minus"))


def log_comparison(done: Comparison, rule: Promotion) -> None:
    """Log the comparison as the artifact folder `evaluation`: CSV and JSON tables, and plots.

    The plot of segments shows the task and the metric that promotion uses.
    """
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        done.table.to_csv(folder / "evaluation.csv", index=False)
        done.segments.to_csv(folder / "segments.csv", index=False)
        segments = done.segments[done.segments["task"] == rule.task]
        plot_scorers(done.table, OURS, rule.metric, folder / "evaluation.png")
        plot_segments(segments, OURS, rule.metric, folder / "segments.png")
        plot_trade_off(done.table, OURS, rule.metric, "intra_list_distance@10", folder / "diversity.png")
        mlflow.log_artifacts(name, "evaluation")
    # MLflow shows the first columns of a table by default.
    first_columns = ["task", "scorer", rule.metric, "ours_minus", "ours_minus_p", "low", "high"]
    mlflow.log_table(
        done.table[[*first_columns, *done.table.columns.difference(first_columns, sort=False)]],
        "evaluation/evaluation.json",
    )


@dataclass(frozen=True)
class Verdict:
    """The result of a nightly run: which version was made from which candidate, and whether it is to be promoted."""

    promote: bool
    reasons: Sequence[str]
    model: str
    version: str
    candidate: Candidate
    run: mlflow.entities.Run

    def _run_link(self, text: str, artifact: str = "") -> str:
        return run_link(self.run.info.experiment_id, self.run.info.run_id, text, artifact)

    def night_note(self, data: RunData, done: Comparison, rule: Promotion, trained: Sequence[Candidate]) -> str:
        """Return the description of the nightly run; `trained` are all its candidates."""
        links = [
            self._run_link("All metrics of all scorers", "evaluation/evaluation.json"),
            self._run_link("Plot of the comparison", "evaluation/evaluation.png")
            + ", "
            + self._run_link("by kind of user", "evaluation/segments.png"),
            f"Candidates by {rule.metric} on validation: "
            + ", ".join(
                run_link(self.run.info.experiment_id, one.run_id, f"{one.name} {one.validation[rule.metric]:.4f}")
                for one in trained
            ),
        ]
        verdict = verdict_note(self.promote, version_link(self.model, self.version, f"version {self.version}"))
        table = comparison_table(done.table, OURS, rule)
        return night_note(data.run_key, verdict, table, rule.task, self.reasons, links)

    def version_note(self, data: RunData, done: Comparison, rule: Promotion, policy: str) -> str:
        """Return the description of the registered version; `policy` is its repeat policy in words."""
        candidate = run_link(self.run.info.experiment_id, self.candidate.run_id, self.candidate.name)
        facts = [
            f"Trained for **{data.run_key.source}** on {data.split['window_start']} to {data.run_key.ds} "
            f"({len(data.log.items):,} events, {len(data.catalog):,} items); fitted on train and validation.",
            f"Candidate {candidate} of the {self._run_link('nightly run')}.",
            f"Repeats: {policy}.",
        ]
        table = comparison_table(done.table, OURS, rule)
        verdict = verdict_note(self.promote, f"version {self.version}")
        return version_note(verdict, facts, table, rule.task, self.reasons)
