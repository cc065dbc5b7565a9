"""What an item without an id is given in its place: the ids of the known items whose content is nearest."""

from typing import Final

import torch
from torch import Tensor
from torch.nn.functional import normalize

NEIGHBORS: Final = 20
TEMPERATURE: Final = 0.1
"""Of the neighbors' cosines."""
_CELLS: Final = 50_000_000
"""Cosines held at a time: 200 MB."""


@torch.inference_mode()
def borrow_ids(content: Tensor, ids: Tensor, rows: Tensor) -> Tensor:
    """Return (n, d): for items without an id the mean of their neighbors' ids by softmax of cosine, 0 for the others.

    Args:
        content: (n, d) of `TwoTower.content_vectors`. ids: (known, d). rows: (n,) of ids, -1 for an item without one.
    """
    borrowed = torch.zeros_like(content)
    new, known = torch.nonzero(rows < 0).flatten(), torch.nonzero(rows >= 0).flatten()
    # Of an item without content nobody is a neighbor.
    new = new[content[new].abs().amax(dim=1) > 0] if len(new) else new
    if not len(new) or not len(known):
        return borrowed
    unit = normalize(content, dim=1)
    for part in new.split(max(1, _CELLS // len(known))):
        near = (unit[part] @ unit[known].T).topk(min(NEIGHBORS, len(known)), dim=1)
        weights = (near.values / TEMPERATURE).softmax(dim=1).unsqueeze(2)
        borrowed[part] = (weights * ids[rows[known[near.indices]]]).sum(dim=1)
    return borrowed
