"""Id embeddings for items without events: a mean of the embeddings of the known items with the nearest content."""

from typing import Final

import numpy as np
import torch
from torch import Tensor
from torch.nn.functional import normalize

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
