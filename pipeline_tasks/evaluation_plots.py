"""Pictures of an evaluation, drawn without a display."""

from pathlib import Path
from typing import Any, Final

import pandas as pd

_OURS: Final = "#cc6644"
_OTHERS: Final = "#4477aa"
_SMALL: Final = 20
"""Segments of fewer shoppers are not drawn: their bars would be noise."""


def plot_scorers(table: pd.DataFrame, ours: str, metric: str, path: Path) -> None:
    """Draw the metric of every scorer with its interval, one panel per task. `table`: from `report_table`."""
    tasks = list(dict.fromkeys(table["task"]))
    figure, panels = _panels(len(tasks), 4.6, 3.4)
    for panel, task in zip(panels, tasks, strict=True):
        rows = table[table["task"] == task].sort_values(metric)
        margins = [rows[metric] - rows["low"], rows["high"] - rows[metric]]
        colors = [_OURS if name == ours else _OTHERS for name in rows["scorer"]]
        panel.barh(rows["scorer"], rows[metric], xerr=margins, color=colors, error_kw={"linewidth": 1})
        panel.set_title(f"{task} ({rows['shoppers'].iloc[0]} shoppers)", fontsize=10)
        panel.set_xlabel(f"{metric}, 95 % interval")
    figure.savefig(path, dpi=100)


def plot_segments(segments: pd.DataFrame, ours: str, metric: str, path: Path) -> None:
    """Draw ours against the best rival of each segment, one panel per kind of segment. `segments`: of one task."""
    shown = segments[segments["shoppers"] >= _SMALL]
    kinds = list(dict.fromkeys(shown["kind"]))
    figure, panels = _panels(max(1, len(kinds)), 4.6, 3.4)
    for panel, kind in zip(panels, kinds, strict=False):
        rows = shown[shown["kind"] == kind]
        own = rows[rows["scorer"] == ours].set_index("segment")
        rivals = rows[rows["scorer"] != ours].sort_values(metric, ascending=False).groupby("segment").first()
        for place, segment in enumerate(own.index):
            _bar(panel, place - 0.2, own.loc[segment], metric, _OURS)
            if segment in rivals.index:
                _bar(panel, place + 0.2, rivals.loc[segment], metric, _OTHERS)
                name = str(rivals.loc[segment, "scorer"])
                panel.annotate(name, (0, place + 0.2), (3, 0), textcoords="offset points", va="center", fontsize=7)
        panel.set_yticks(range(len(own)), [f"{name} ({row['shoppers']})" for name, row in own.iterrows()])
        panel.invert_yaxis()
        panel.set_title(f"{kind}: {ours} over the segment's best rival", fontsize=9)
        panel.set_xlabel(f"{metric}, 95 % interval")
    figure.savefig(path, dpi=100)


def plot_trade_off(table: pd.DataFrame, ours: str, metric: str, diversity: str, path: Path) -> None:
    """Draw accuracy against diversity, one point per scorer, one panel per task. `table`: from `report_table`."""
    tasks = list(dict.fromkeys(table["task"]))
    figure, panels = _panels(len(tasks), 4.6, 3.4)
    for panel, task in zip(panels, tasks, strict=True):
        rows = table[table["task"] == task]
        panel.scatter(rows[diversity], rows[metric], c=[_OURS if name == ours else _OTHERS for name in rows["scorer"]])
        # Scorers at the same place share one line of names.
        for (x, y), names in rows.groupby([rows[diversity].round(2), rows[metric].round(3)])["scorer"]:
            panel.annotate(", ".join(names), (x, y), (4, 4), textcoords="offset points", fontsize=7)
        panel.margins(x=0.25, y=0.12)
        panel.set_title(task, fontsize=10)
        panel.set_xlabel(diversity)
        panel.set_ylabel(metric)
    figure.savefig(path, dpi=100)


def _panels(count: int, width: float, height: float) -> tuple[Any, Any]:
    # Not pyplot, which would look for a display and costs another half second to import.
    from matplotlib.figure import Figure

    figure = Figure(figsize=(width * count, height), layout="constrained")
    return figure, figure.subplots(1, count, squeeze=False)[0]


def _bar(panel: Any, place: float, row: Any, metric: str, color: str) -> None:  # noqa: ANN401
    margins = [[row[metric] - row["low"]], [row["high"] - row[metric]]]
    panel.barh(place, row[metric], height=0.38, xerr=margins, color=color, error_kw={"linewidth": 1})
