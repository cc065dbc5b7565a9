"""The task click: whether a shown item is clicked."""

from typing import Final

import numpy as np

from pipeline_tasks.data.interactions import Floats, Interactions
from pipeline_tasks.data.task_labels import Impressions, TaskLabels
from pipeline_tasks.errors import TrainingError
from pipeline_tasks.models.task_heads.binary_task import BinaryTask
from pipeline_tasks.models.task_heads.head_networks import ItemHead
from pipeline_tasks.models.task_heads.labelled_examples import ItemLabelSampler
from pipeline_tasks.tables.contracts import CHOSEN_TYPES
from pipeline_tasks.times import SESSION_GAP


class ClickSampler(ItemLabelSampler):
    """Label: whether the user clicks or views a shown item within half an hour."""

    def __init__(self, log: Interactions, impressions: Impressions) -> None:
        shown = impressions.until(log.data_extent.last_timestamp - SESSION_GAP)
        super().__init__(log, shown, clicked(log, shown))


def clicked(log: Interactions, shown: Impressions) -> Floats:
    """Return (n,) 1 where a click or view of the shown item follows within half an hour, else 0."""
    views = np.isin(log.types, [CHOSEN_TYPES.index(name) for name in ("click", "view")])
    width = int(max(log.items.max(initial=0), shown.items.max(initial=0))) + 1
    pairs = np.concatenate([log.rows[views] * width + log.items[views], shown.rows * width + shown.items])
    times = np.concatenate([log.times[views], shown.times])
    is_example = np.arange(len(pairs)) >= views.sum()
    order = np.lexsort((~is_example, times, pairs))
    # A backward pass finds the nearest view at or after each place.
    is_view = ~is_example[order]
    place = np.where(is_view, np.arange(len(order)), len(order))
    nearest = np.minimum.accumulate(place[::-1])[::-1]
    inside = np.minimum(nearest, len(order) - 1)
    same = (nearest < len(order)) & (pairs[order][inside] == pairs[order])
    soon = same & (times[order][inside] - times[order] <= SESSION_GAP)
    labels = np.empty(len(order), np.float32)
    labels[order] = soon
    return labels[len(pairs) - len(shown.rows) :]


def _sampler(log: Interactions, labels: TaskLabels) -> ClickSampler:
    if labels.impressions is None or not len(labels.impressions.times):
        raise TrainingError(
            "training.task_weights has click, but the log has no impressions: land events of type impression, or "
            "leave click out (for a log of ratings, use rating instead)"
        )
    return ClickSampler(log, labels.impressions)


TASK: Final = BinaryTask(ItemHead, _sampler, reads=("impressions",))
