"""Draws NDCG@10 of every scorer, one panel per set and task."""

from collections.abc import Sequence
from pathlib import Path
from typing import Final

from matplotlib.figure import Figure
from matplotlib.patches import Patch

from tests.benchmarks.measured_scorer import BLENDED, OURS, REFITTED
from tests.benchmarks.quality_row import Row

_COLUMNS: Final = 3
_COLORS: Final = {OURS: "#cc6644", BLENDED: "#e0a080", REFITTED: "#994422"}
_PEER, _PUBLISHED = "#4477aa", "#bbbbbb"
_MEANINGS: Final = {
    _COLORS[OURS]: "ours: one dot product",
    _COLORS[BLENDED]: "ours, blended with the item-to-item model",
    _COLORS[REFITTED]: "ours, refitted as the peers are",
    _PEER: "peers, run here",
    _PUBLISHED: "published (*)",
}


def plot_quality(rows: Sequence[Row], path: Path) -> None:
    """Write the picture; published figures are gray, the best on top."""
    tasks = list(dict.fromkeys((row.set, row.task) for row in rows))
    if not tasks:
        return
    height = -(-len(tasks) // _COLUMNS)
    figure = Figure(figsize=(4.6 * _COLUMNS, 3.6 * height), layout="tight")
    panels = figure.subplots(height, _COLUMNS, squeeze=False).ravel()
    for panel in panels[len(tasks) :]:
        panel.set_axis_off()
    for panel, task in zip(panels, tasks, strict=False):
        shown = [row for row in rows if (row.set, row.task) == task][::-1]
        names = [row.scorer.replace(" (published)", "*") for row in shown]
        colors = [_COLORS.get(row.scorer, _PEER if row.commit else _PUBLISHED) for row in shown]
        bars = panel.barh(names, [row.ndcg for row in shown], color=colors)
        panel.bar_label(bars, fmt="%.4f", fontsize=7, padding=2)
        panel.set_xlim(right=1.18 * max(row.ndcg for row in shown))
        panel.tick_params(labelsize=8)
        panel.set_title(f"{task[0]}, {task[1]}" + (" (* published)" if _has_published(shown) else ""), fontsize=9)
        panel.set_xlabel("NDCG@10", fontsize=8)
    patches = [Patch(color=color, label=meaning) for color, meaning in _MEANINGS.items()]
    # In an empty panel where there is one, else over the first.
    free = panels[len(tasks) :]
    (free if len(free) else panels)[0].legend(handles=patches, loc="center" if len(free) else "lower right", fontsize=8)
    figure.savefig(path, dpi=90)


def _has_published(rows: Sequence[Row]) -> bool:
    return any(not row.commit for row in rows)
