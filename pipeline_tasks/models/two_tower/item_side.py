"""The item side of a fitted model over one catalog, and the embeddings of items without events."""

from functools import cached_property
from typing import Final

import numpy as np
import torch
from torch import Tensor
from torch.nn.functional import normalize

from pipeline_tasks.data.interactions import Floats
from pipeline_tasks.models.two_tower.two_tower import TwoTower
from pipeline_tasks.topk.top_k import top_k

NEIGHBORS: Final = 20
TEMPERATURE: Final = 0.1
"""Temperature of the softmax over the neighbors' cosines."""
_CELLS: Final = 50_000_000
"""Maximum size of a matrix of cosines or of neighbors' embeddings: 200 MB."""


@torch.inference_mode()
def fill_cold_start_embeddings(content: Tensor, ids: Tensor, rows: Tensor) -> Tensor:
    """Return (n, d): for items without an id, the mean of their neighbors' ids by softmax of cosine; 0 for the others.

    Args:
        content: (n, d) of `TwoTower.content_vectors`.
        ids: (known, d) id embeddings.
        rows: (n,) row of each item in `ids`, -1 for an item without one.
    """
    borrowed = torch.zeros_like(content)
    new, known = torch.nonzero(rows < 0).flatten(), torch.nonzero(rows >= 0).flatten()
    # Items without content have no neighbors.
    new = new[content[new].abs().amax(dim=1) > 0] if len(new) else new
    if not len(new) or not len(known):
        return borrowed
    unit = normalize(content.float(), dim=1).cpu().numpy()
    # A catalog with categories alone has few distinct contents: 1,200 for 123,000 new items in one shop.
    distinct, place = np.unique(unit[new.cpu().numpy()], axis=0, return_inverse=True)
    block = max(1, _CELLS // len(known))
    # Always on the CPU: 123,000 distinct contents against 112,000 known ones take 30 s of one core; torch's matmul and
    # topk take 98 s.
    near = top_k(distinct, unit[known.cpu().numpy()], min(NEIGHBORS, len(known)), block=block)
    values = torch.from_numpy(near.scores).to(content).view(len(distinct), -1)
    neighbors = rows[known[torch.from_numpy(near.items).to(rows.device)]].view(values.shape)
    weights = (values / TEMPERATURE).softmax(dim=1).unsqueeze(2)
    size = max(1, _CELLS // (NEIGHBORS * ids.shape[1]))
    parts = zip(weights.split(size), neighbors.split(size), strict=True)
    means = [(weight * ids[neighbor]).sum(dim=1) for weight, neighbor in parts]
    borrowed[new] = torch.cat(means)[torch.from_numpy(place.ravel()).to(ids.device)].to(borrowed)
    return borrowed


class ItemSide:
    """Item vectors and factors; each is computed once at first use, so the model must not change meanwhile.

    Args:
        texts: (n, text) whitened.
        rows: (n,) id row of each item, -1 where it has none.
        values: (n, most) numbers of each item's structured values, 0 for none.
        trends: (n, trends) at the moment of scoring.
        fills_cold_start: whether items without an id get embeddings from their neighbors.
    """

    def __init__(
        self,
        model: TwoTower,
        texts: torch.Tensor,
        rows: torch.Tensor,
        values: torch.Tensor,
        trends: Floats,
        *,
        fills_cold_start: bool,
    ) -> None:
        self._model, self._trends, self._fills_cold_start = model, trends, fills_cold_start
        self._texts, self._rows, self._values = texts, rows, values

    @cached_property
    def table(self) -> torch.Tensor:
        """(n, d), on the model's device: the output of the item tower."""
        texts, values, rows = (part.to(self._model.device) for part in (self._texts, self._values, self._rows))
        vectors = self._model.item_vectors(texts, values, rows)
        if self._fills_cold_start and bool((rows < 0).any()):
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
