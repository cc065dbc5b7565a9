"""Popularity trends of all items for each time bucket of a log, in the precision and layout that a step reads."""

import numpy as np
import torch
from torch import Tensor

from pipeline_tasks.data.interactions import Integers, Interactions
from pipeline_tasks.data.popularity_features import PopularityFeatures, bucket_starts
from pipeline_tasks.models.two_tower.catalog_loss import PopularityLevels


class PopularityTable:
    """Holds (items, buckets, horizons) levels: 48 x 4 in bfloat16 take 384 bytes an item."""

    def __init__(
        self,
        log: Interactions,
        n_items: int,
        horizons: list[int],
        buckets: int,
        device: torch.device,
        kind: torch.dtype,
    ) -> None:
        moments = bucket_starts(log, buckets)
        self.buckets: Integers = np.searchsorted(moments, log.times, side="right") - 1
        """(events,) the time bucket of each event of the log."""
        trends = PopularityFeatures(log, n_items, horizons)
        # Items come first, so that a step with sampled items reads whole rows.
        self.levels = torch.empty((n_items, len(moments), len(horizons)), dtype=kind, device=device)
        for place, moment in enumerate(moments.tolist()):
            self.levels[:, place] = torch.from_numpy(trends.at(moment)).to(device, kind)
        self._whole = self.levels.transpose(0, 1)

    def levels_of(self, items: Tensor | None) -> Tensor | None:
        """Return (buckets, items, horizons) of `items`, None for all items; None if there are no horizons."""
        if not self.levels.shape[2]:
            return None
        if items is not None:
            return self.levels.index_select(0, items).transpose(0, 1).contiguous()
        if not self._whole.is_contiguous():
            # Done once; the layout by item is not needed any more.
            self._whole = self._whole.contiguous()
            self.levels = self._whole.transpose(0, 1)
        return self._whole

    def at(self, levels: Tensor | None, events: Integers) -> PopularityLevels | None:
        """Return the result of `levels_of` with the buckets of `events` (ascending)."""
        return None if levels is None else PopularityLevels(levels, torch.from_numpy(self.buckets[events]))
