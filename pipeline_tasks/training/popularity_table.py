"""Popularity trends of all items at the moments of a training, in the precision and the order that its steps read."""

import numpy as np
import torch
from torch import Tensor

from pipeline_tasks.data.interactions import Integers, Interactions
from pipeline_tasks.data.popularity_features import PopularityFeatures, bucket_moments
from pipeline_tasks.models.two_tower.catalog_loss import PopularityLevels


class PopularityTable:
    """Takes items x buckets x horizons numbers: 48 x 4 in bfloat16 are 384 bytes an item."""

    def __init__(
        self,
        log: Interactions,
        n_items: int,
        horizons: list[int],
        buckets: int,
        device: torch.device,
        kind: torch.dtype,
    ) -> None:
        moments = bucket_moments(log, buckets)
        self.buckets: Integers = np.searchsorted(moments, log.times, side="right") - 1
        """(events,) the moment that each event of the log belongs to."""
        trends = PopularityFeatures(log, n_items, horizons)
        # By item: a step that reads some of the items reads whole rows.
        self.levels = torch.empty((n_items, len(moments), len(horizons)), dtype=kind, device=device)
        for place, moment in enumerate(moments.tolist()):
            self.levels[:, place] = torch.from_numpy(trends.at(moment)).to(device, kind)
        self._whole = self.levels.transpose(0, 1)

    def levels_of(self, items: Tensor | None) -> Tensor | None:
        """Return (moments, items, horizons) of the items named, None for all; None where there are no trends."""
        if not self.levels.shape[2]:
            return None
        if items is not None:
            return self.levels.index_select(0, items).transpose(0, 1).contiguous()
        if not self._whole.is_contiguous():
            # Once: from here on, the other order is not needed.
            self._whole = self._whole.contiguous()
            self.levels = self._whole.transpose(0, 1)
        return self._whole

    def at(self, levels: Tensor | None, events: Integers) -> PopularityLevels | None:
        """Return what `crowd` gave with the moments of events of the log (ascending)."""
        return None if levels is None else PopularityLevels(levels, torch.from_numpy(self.buckets[events]))
