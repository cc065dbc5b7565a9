from itertools import pairwise

import pytest

from pipeline_tasks.evaluation.evaluation_plots import _panels


@pytest.mark.parametrize("largest", [0.0156, 0.105, 0.4, 1.0, 3_000])
def test_tick_labels_do_not_overlap(largest: float) -> None:
    figure, panels = _panels(3, 4.6, 3.4)
    panels[0].barh(["recent_popularity"], [largest])
    figure.canvas.draw()
    shown = [label for label in panels[0].get_xticklabels() if 0 <= label.get_position()[0] <= largest]
    assert len(shown) >= 3
    for left, right in pairwise(label.get_window_extent() for label in shown):
        assert left.x1 < right.x0
