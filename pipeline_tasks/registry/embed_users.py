"""Vectors of visitors of whom nothing is known but one item: what the table `next_items` is made from."""

from pathlib import Path
from typing import Final

import numpy as np

from pipeline_tasks.data.interactions import Integers, Interactions
from pipeline_tasks.models.two_tower.two_tower_recommender import TwoTowerRecommender
from pipeline_tasks.tables.contracts import CHOSEN_TYPES

_AT_ONCE: Final = 50_000


def write_visitors(path: Path, recommender: TwoTowerRecommender, event_type: int) -> None:
    """Write (items, d) float32: row i is the user vector of a visitor who turned to item i, just now and alone.

    Args:
        recommender: `prepared`, as it is asked part by part.
        event_type: how they turned to it, an index into CHOSEN_TYPES.
    """
    count, width = recommender.item_matrix().shape
    # Part by part: beside a million items of 1,000 numbers, a second such matrix has no place in memory.
    # Not a mapped file either: on a full disk, writing to one ends the process without a word.
    kind = {"descr": np.lib.format.dtype_to_descr(np.dtype(np.float32)), "fortran_order": False}
    with path.open("wb") as file:
        np.lib.format.write_array_header_1_0(file, kind | {"shape": (count, width)})
        for start in range(0, count, _AT_ONCE):
            items = np.arange(start, min(start + _AT_ONCE, count), dtype=np.int64)
            vectors = recommender.user_matrix(_visits(items, event_type, recommender.moment - 1))
            file.write(np.ascontiguousarray(vectors, np.float32).data)


def usual_type(log: Interactions) -> int:
    """Return the commonest event type of a log: how a visitor most likely turns to an item."""
    return int(np.bincount(log.types, minlength=len(CHOSEN_TYPES)).argmax())


def _visits(items: Integers, event_type: int, moment: int) -> Interactions:
    """Return one history of one event for each item."""
    count = len(items)
    return Interactions(
        [f"item:{item}" for item in items],
        np.zeros(count, np.bool_),
        np.arange(count + 1, dtype=np.int64),
        items,
        np.full(count, event_type, np.int64),
        np.full(count, moment, np.int64),
    )
