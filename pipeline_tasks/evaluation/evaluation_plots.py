"""Plots of an evaluation. They need no display."""

from pathlib import Path
from typing import Any, Final

import pandas as pd

_OURS: Final = "#cc6644"
_OTHERS: Final = "#4477aa"
_COLORS: Final = ("#4477aa", "#228833", "#aa3377", "#66ccee", "#ccbb44", "#777777")
_PANELS_IN_A_ROW: Final = 3
_TICKS: Final = 5
_LEAST_USERS: Final = 20
"""Segments of fewer users are not drawn, because their bars would be noise."""


def plot_scorers(table: pd.DataFrame, ours: str, metric: str, path: Path) -> None:
    """Draw the metric of every scorer with its interval, one panel for each task. `table` is from `report_table`."""
    tasks = list(dict.fromkeys(table["task"]))
    figure, panels = _panels(len(tasks), 4.6, 3.4)
    for panel, task in zip(panels, tasks, strict=True):
        rows = table[table["task"] == task].sort_values(metric)
        margins = [(rows[metric] - rows["low"]).to_numpy(), (rows["high"] - rows[metric]).to_numpy()]
        colors = [_OURS if name == ours else _OTHERS for name in rows["scorer"]]
        panel.barh(rows["scorer"], rows[metric], xerr=margins, color=colors, error_kw={"linewidth": 1})
        panel.set_title(f"{task} ({rows['users'].iloc[0]} users)", fontsize=10)
        panel.set_xlabel(f"{metric}, 95 % interval")
    figure.savefig(path, dpi=100)


def plot_segments(segments: pd.DataFrame, ours: str, metric: str, path: Path) -> None:
    """Draw our scorer and the best rival for each segment, one panel for each kind. `segments` is of one task."""
    shown = segments[segments["users"] >= _LEAST_USERS]
    kinds = list(dict.fromkeys(shown["kind"]))
    figure, panels = _panels(max(1, len(kinds)), 4.6, 4.2)
    for panel, kind in zip(panels, kinds, strict=False):
        rows = shown[shown["kind"] == kind]
        own = rows[rows["scorer"] == ours].set_index("segment")
        rivals = rows[rows["scorer"] != ours].sort_values(metric, ascending=False, kind="stable")
        best = rivals.groupby("segment").first().reindex(own.index)
        _bars(panel, [place - 0.2 for place in range(len(own))], own, metric, _OURS)
        _bars(panel, [place + 0.2 for place in range(len(own))], best, metric, _OTHERS)
        names = zip(own.index, own["users"], best["scorer"], strict=True)
        panel.set_yticks(range(len(own)), [f"{name} ({count})\nvs {rival}" for name, count, rival in names])
        panel.invert_yaxis()
        panel.set_title(f"{kind}\n{ours} above, the best rival below", fontsize=10)
        panel.set_xlabel(f"{metric}, 95 % interval")
    figure.savefig(path, dpi=100)


def plot_trade_off(table: pd.DataFrame, ours: str, metric: str, diversity: str, path: Path) -> None:
    """Draw accuracy against diversity: one point per scorer, one panel per task. `table` is from `report_table`."""
    tasks = list(dict.fromkeys(table["task"]))
    figure, panels = _panels(len(tasks), 4.6, 3.4)
    for panel, task in zip(panels, tasks, strict=True):
        rows = table[table["task"] == task]
        for number, (name, x, y) in enumerate(zip(rows["scorer"], rows[diversity], rows[metric], strict=True)):
            # Ours is a star, drawn above other points.
            own = name == ours
            look = {"marker": "*", "s": 150, "zorder": 3} if own else {"marker": "osD^vPX<>p"[number % 10], "s": 35}
            panel.scatter(x, y, color=_OURS if own else _COLORS[number % len(_COLORS)], label=name, **look)
        panel.legend(fontsize=7)
        panel.set_title(task, fontsize=10)
        panel.set_xlabel(diversity)
        panel.set_ylabel(metric)
    figure.savefig(path, dpi=100)


def _panels(count: int, width: float, height: float) -> tuple[Any, Any]:
    # Not pyplot, which looks for a display and takes half a second more to import.
    from matplotlib.figure import Figure
    from matplotlib.ticker import MaxNLocator

    columns = min(count, _PANELS_IN_A_ROW)
    rows = -(-count // columns)
    figure = Figure(figsize=(width * columns, height * rows), layout="tight")
    panels = figure.subplots(rows, columns, squeeze=False).ravel()
    for panel in panels[:count]:
        # More tick labels would overlap: ticks .0025 apart are written with four decimals.
        panel.xaxis.set_major_locator(MaxNLocator(_TICKS))
    for unused in panels[count:]:
        unused.set_axis_off()
    return figure, panels[:count]


def _bars(panel: Any, places: list[float], rows: pd.DataFrame, metric: str, color: str) -> None:  # noqa: ANN401
    margins = [(rows[metric] - rows["low"]).to_numpy(), (rows["high"] - rows[metric]).to_numpy()]
    panel.barh(places, rows[metric].to_numpy(), height=0.38, xerr=margins, color=color, error_kw={"linewidth": 1})
