"""What gets an audience: items, and categories as the set of their items that may be shown."""

from dataclasses import dataclass

import numpy as np

from pipeline_tasks.recommend.offered_items import OfferedItems
from pipeline_tasks.recommend.repeat_scores import RepeatScores
from pipeline_tasks.topk.arrays import Exclusions, Indices, Vectors


@dataclass(frozen=True)
class Targets:
    """Items first, then categories: each one or more items that may be shown."""

    kinds: list[str]
    names: list[str]
    vectors: Vectors
    """(targets, d + 1)."""
    sizes: Indices
    """(targets,) items that each stands for."""
    places: Indices
    """(2, items of the shelf): place of the item and of its category among the targets, -1 where it is none."""

    def concerned(self, items: Indices) -> tuple[Indices, Indices]:
        """Return the targets that some `items` belong to, and which of the items it is."""
        places = self.places[:, items].ravel()
        found = np.flatnonzero(places >= 0)
        return places[found], found % max(len(items), 1)


def find_targets(shelf: OfferedItems, items: tuple[int, ...]) -> Targets:
    """Return `items` (indices on the shelf) and all categories with an item that may be shown."""
    chosen = np.array(items, np.int64)
    names = sorted({category for category in shelf.categories[: shelf.allowed] if category is not None})
    codes = {name: number for number, name in enumerate(names)}
    member = np.array([codes.get(name or "", -1) for name in shelf.categories[: shelf.allowed]], np.int64)
    sizes = np.bincount(member[member >= 0], minlength=len(names))
    means = np.zeros((len(names), shelf.vectors.shape[1]))
    np.add.at(means, member[member >= 0], shelf.vectors[: shelf.allowed][member >= 0])
    means /= sizes[:, None]
    vectors = np.concatenate([shelf.vectors[chosen], means.astype(np.float32)])
    places = np.full((2, len(shelf.vectors)), -1, np.int64)
    places[0, chosen] = np.arange(len(chosen))
    places[1, : shelf.allowed] = np.where(member >= 0, member + len(chosen), -1)
    return Targets(
        ["item"] * len(chosen) + ["category"] * len(names),
        [*shelf.item_ids.take(chosen).to_pylist(), *names],
        np.concatenate([vectors, np.ones((len(vectors), 1), np.float32)], axis=1),
        np.concatenate([np.ones(len(chosen), np.int64), sizes]),
        places,
    )


def banned_by_target(banned: Exclusions, targets: Targets) -> Exclusions:
    """Return target -> users who must not get it: those who must get none of its items."""
    users, items = len(banned.starts) - 1, targets.places.shape[1]
    owners = np.repeat(np.arange(users), np.diff(banned.starts))
    # Once each: an item may be bought twice, or bought and opted out of.
    owners, banned_items = np.divmod(np.unique(owners * items + banned.items), items)
    places, pairs = targets.concerned(banned_items)
    found, counts = np.unique(places * users + owners[pairs], return_counts=True)
    places, owners = np.divmod(found, users)
    whole = counts == targets.sizes[places]
    starts = np.searchsorted(places[whole], np.arange(len(targets.names) + 1)).astype(np.int64)
    return Exclusions(starts, owners[whole])


def own_by_target(own: RepeatScores, targets: Targets) -> RepeatScores:
    """Return target -> users who have some of its items, and what the mean of its scores gains for each by that."""
    users = len(own.starts) - 1
    places, pairs = targets.concerned(own.items)
    found, where = np.unique(places * users + own.rows[pairs], return_inverse=True)
    places, owners = np.divmod(found, max(users, 1))
    additions = np.bincount(where, own.additions[pairs], minlength=len(found)) / targets.sizes[places]
    starts = np.searchsorted(places, np.arange(len(targets.names) + 1)).astype(np.int64)
    return RepeatScores(starts, owners, additions)
