"""The item side of a fitted model over one catalog, which is the same for all users."""

from functools import cached_property

import numpy as np
import torch

from pipeline_tasks.data.interactions import Floats
from pipeline_tasks.models.two_tower.cold_start_embeddings import fill_cold_start_embeddings
from pipeline_tasks.models.two_tower.two_tower import TwoTower


class ItemSide:
    """Item vectors and factors; each is computed once at first use, so the model must not change meanwhile.

    Args:
        texts: (n, text) whitened.
        rows: (n,) id row of each item, -1 where it has none.
        values: (n, most) numbers of each item's structured values, 0 for none.
        trends: (n, trends) at the moment of scoring.
    """

    def __init__(
        self, model: TwoTower, texts: torch.Tensor, rows: torch.Tensor, values: torch.Tensor, trends: Floats
    ) -> None:
        self._model, self._trends = model, trends
        self._texts, self._rows, self._values = texts, rows, values

    @cached_property
    def table(self) -> torch.Tensor:
        """(n, d), on the model's device: the output of the item tower."""
        texts, values, rows = (part.to(self._model.device) for part in (self._texts, self._values, self._rows))
        vectors = self._model.item_vectors(texts, values, rows)
        if self._model.config.borrowed_ids and bool((rows < 0).any()):
            content = self._model.content_vectors(texts, values)
            vectors = vectors + fill_cold_start_embeddings(content, self._model.item_ids.weight, rows)
        return vectors

    @cached_property
    def matrix(self) -> Floats:
        """(n, width + trends + 1 + rank): the item vectors."""
        device = self._model.device
        trends = torch.from_numpy(self._trends).to(device)
        full = self._model.full_item_vectors(self.table, self._rows.to(device), trends)
        return full.float().cpu().numpy()

    @cached_property
    def user_factors(self) -> Floats:
        """(n, rank) user-side factors of the item-to-item part; zeros for items without an id."""
        return self._by_id(self._model.linear_in)

    @cached_property
    def item_factors(self) -> Floats:
        """(n, rank) item-side factors of the item-to-item part; zeros for items without an id."""
        return self._by_id(self._model.linear_out)

    def _by_id(self, factors: torch.Tensor) -> Floats:
        rows = self._rows.cpu().numpy()
        return np.asarray(factors.float().cpu().numpy()[np.maximum(rows, 0)] * (rows >= 0)[:, None], dtype=np.float32)
