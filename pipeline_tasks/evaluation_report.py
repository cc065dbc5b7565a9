"""The table of an evaluation: every scorer on every task, with intervals and paired differences, and its plot."""

from collections.abc import Sequence
from pathlib import Path

import pandas as pd

from pipeline_tasks.full_ranking import RankingResult
from pipeline_tasks.intervals import mean_interval, paired_difference


def report_table(results: Sequence[RankingResult], ours: str, metric: str) -> pd.DataFrame:
    """Return one row per task and scorer.

    Columns: task, scorer, shoppers, every metric, `low` and `high` (95 % interval of `metric`), and `ours_minus`,
    `ours_minus_low`, `ours_minus_high` (paired difference of `metric`, ours minus this scorer).
    """
    own = {result.task: result for result in results if result.scorer == ours}
    rows = []
    for result in results:
        values = result.per_shopper[metric]
        low, high = mean_interval(values)
        difference = paired_difference(own[result.task].per_shopper[metric], values)
        names = ("ours_minus", "ours_minus_low", "ours_minus_high")
        rows.append(
            {
                "task": result.task,
                "scorer": result.scorer,
                "shoppers": len(values),
                **result.overall,
                "low": low,
                "high": high,
                **dict(zip(names, difference, strict=True)),
            }
        )
    return pd.DataFrame(rows)


def plot_table(table: pd.DataFrame, metric: str, path: Path) -> None:
    """Draw the metric of every scorer with its interval, one panel per task."""
    import matplotlib as mpl

    mpl.use("Agg")
    from matplotlib import pyplot as plt

    tasks = list(dict.fromkeys(table["task"]))
    figure, axes = plt.subplots(1, len(tasks), figsize=(5 * len(tasks), 3.5), squeeze=False)
    for panel, task in zip(axes[0], tasks, strict=True):
        rows = table[table["task"] == task].sort_values(metric)
        margins = [rows[metric] - rows["low"], rows["high"] - rows[metric]]
        panel.barh(rows["scorer"], rows[metric], xerr=margins, color="#4477aa")
        panel.set_title(f"{task}: {metric}, 95 % interval", fontsize=10)
    figure.tight_layout()
    figure.savefig(path, dpi=110)
    plt.close(figure)
