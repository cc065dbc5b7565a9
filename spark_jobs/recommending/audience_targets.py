"""Targets of audiences: single items, and categories as the set of their items that may be shown."""

from dataclasses import dataclass

import numpy as np

from pipeline_tasks.recommend.offered_items import OfferedItems
from pipeline_tasks.recommend.repeat_scores import RepeatScores
from pipeline_tasks.topk.arrays import Exclusions, Indices, Vectors


@dataclass(frozen=True)
class Targets:
    """Targets, items first and then categories. Each stands for one or more items that may be shown."""

    kinds: list[str]
    names: list[str]
    vectors: Vectors
    """(targets, d + 1)."""
    sizes: Indices
    """(targets,) number of items that each stands for."""
    target_places: Indices
    """(2, offered items): target of the item and of its category, -1 for none."""

    def targets_of(self, items: Indices) -> tuple[Indices, Indices]:
        """Return the targets that hold one of `items`, and for each the position of that item in `items`."""
        target_places = self.target_places[:, items].ravel()
        found = np.flatnonzero(target_places >= 0)
        return target_places[found], found % max(len(items), 1)


def find_targets(offered: OfferedItems, items: tuple[int, ...]) -> Targets:
    """Return the targets: `items` (indices of offered items) and all categories with an item that may be shown."""
    chosen = np.array(items, np.int64)
    names = sorted({category for category in offered.categories[: offered.allowed] if category is not None})
    codes = {name: number for number, name in enumerate(names)}
    category_places = np.array([codes.get(name or "", -1) for name in offered.categories[: offered.allowed]], np.int64)
    sizes = np.bincount(category_places[category_places >= 0], minlength=len(names))
    means = np.zeros((len(names), offered.vectors.shape[1]))
    np.add.at(means, category_places[category_places >= 0], offered.vectors[: offered.allowed][category_places >= 0])
    means /= sizes[:, None]
    vectors = np.concatenate([offered.vectors[chosen], means.astype(np.float32)])
    target_places = np.full((2, len(offered.vectors)), -1, np.int64)
    target_places[0, chosen] = np.arange(len(chosen))
    target_places[1, : offered.allowed] = np.where(category_places >= 0, category_places + len(chosen), -1)
    return Targets(
        ["item"] * len(chosen) + ["category"] * len(names),
        [*offered.item_ids.take(chosen).to_pylist(), *names],
        np.concatenate([vectors, np.ones((len(vectors), 1), np.float32)], axis=1),
        np.concatenate([np.ones(len(chosen), np.int64), sizes]),
        target_places,
    )


def exclusions_by_target(exclusions: Exclusions, targets: Targets) -> Exclusions:
    """Return target -> users who must not get it, because every item of the target is excluded for them."""
    users, items = len(exclusions.starts) - 1, targets.target_places.shape[1]
    owners = np.repeat(np.arange(users), np.diff(exclusions.starts))
    # Each pair once: a user may have bought an item twice, or bought it and opted out of it.
    owners, excluded_items = np.divmod(np.unique(owners * items + exclusions.items), items)
    target_places, pairs = targets.targets_of(excluded_items)
    found, counts = np.unique(target_places * users + owners[pairs], return_counts=True)
    target_places, owners = np.divmod(found, users)
    whole = counts == targets.sizes[target_places]
    starts = np.searchsorted(target_places[whole], np.arange(len(targets.names) + 1)).astype(np.int64)
    return Exclusions(starts, owners[whole])


def repeat_scores_by_target(repeat_scores: RepeatScores, targets: Targets) -> RepeatScores:
    """Return target -> users with a repeat score for one of its items, and the mean of these scores over its items."""
    users = len(repeat_scores.starts) - 1
    target_places, pairs = targets.targets_of(repeat_scores.items)
    found, where = np.unique(target_places * users + repeat_scores.rows[pairs], return_inverse=True)
    target_places, owners = np.divmod(found, max(users, 1))
    additions = np.bincount(where, repeat_scores.additions[pairs], minlength=len(found)) / targets.sizes[target_places]
    starts = np.searchsorted(target_places, np.arange(len(targets.names) + 1)).astype(np.int64)
    return RepeatScores(starts, owners, additions)
