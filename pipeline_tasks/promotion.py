"""Whether a version becomes champion, by the rule of mlflow/registry.yaml."""

from typing import Any

import pandas as pd

from pipeline_tasks.candidate_files import Evaluation, evaluation_path
from pipeline_tasks.night import Night
from pipeline_tasks.registry import Promotion
from pipeline_tasks.settings import Settings

CHAMPION = "champion"
"""Name of the present champion in the table of results."""


def read_evaluation(settings: Settings, night: Night) -> Evaluation:
    """Read the verdict of a night's evaluation. Raises FileNotFoundError where the night was not evaluated."""
    path = evaluation_path(settings, night)
    if not path.exists():
        raise FileNotFoundError(f"{path} is missing: run pipeline_tasks.evaluate_candidates for that night first")
    return Evaluation.model_validate_json(path.read_text())


def decide(table: pd.DataFrame, ours: str, rule: Promotion, wins_required: bool = True) -> tuple[bool, list[str]]:
    """Return whether to promote, and a sentence for every comparison (and for what could not be compared).

    Args:
        table: from `evaluation_report.report_table`. wins_required: False promotes whatever the baselines do.
    """
    rows = {row["scorer"]: row for row in table[table["task"] == rule.task].to_dict("records")}
    value = float(rows[ours][rule.metric])
    promote, reasons = True, []
    for name in rule.must_beat:
        if name not in rows:
            raise ValueError(f"promotion.must_beat names {name!r}, which is no baseline: {sorted(rows)}")
        won = value > float(rows[name][rule.metric])
        promote = promote and (won or not wins_required)
        reasons.append(_sentence(rows[name], rule, value, "beats" if won else "does not beat", name))
    if CHAMPION in rows:
        row = rows[CHAMPION]
        won = value > float(row[rule.metric])
        kept = won or (rule.champion_rule == "not_significantly_worse" and float(row["ours_minus_high"]) >= 0)
        promote = promote and kept
        reasons.append(_sentence(row, rule, value, "may replace" if kept else "is worse than", CHAMPION))
    return promote, reasons


def _sentence(row: dict[Any, Any], rule: Promotion, value: float, verb: str, name: str) -> str:
    return (
        f"{rule.task} {rule.metric} {value:.4f} {verb} {name} {row[rule.metric]:.4f} "
        f"(difference {row['ours_minus']:+.4f}, 95 % {row['ours_minus_low']:+.4f} to {row['ours_minus_high']:+.4f})"
    )
