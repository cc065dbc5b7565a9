import pytest
import torch

from pipeline_tasks.models.two_tower import catalog_loss as module
from pipeline_tasks.models.two_tower.catalog_loss import PopularityLevels, additive_loss


@pytest.mark.parametrize("sampled", [False, True])
@pytest.mark.parametrize("cells", [1, 200, 4_000_000])
def test_chunks_change_neither_loss_nor_gradient(cells: int, sampled: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "_CELLS", cells)
    generator = torch.Generator().manual_seed(0)
    users, items, output_weights = (
        torch.randn(*shape, generator=generator, requires_grad=True) for shape in ((17, 6), (11, 4), (4,))
    )
    targets, weights = torch.randint(0, 11, (17, 3), generator=generator), torch.rand(17, 3, generator=generator)
    levels, moments = torch.randn(11, 3, 2, generator=generator), torch.tensor([0] * 5 + [1] * 4 + [2] * 8)
    logits = torch.tanh(users[:, None, :4] + items) @ output_weights + torch.einsum(
        "nh,cnh->nc", users[:, 4:], levels[:, moments]
    )
    offsets = torch.randn(11, generator=generator) if sampled else None
    logits = logits if offsets is None else logits + offsets
    plain = -(logits.log_softmax(dim=1).gather(1, targets) * weights).sum()
    loss = additive_loss(users, items, output_weights, targets, weights, PopularityLevels(levels, moments), offsets)
    torch.testing.assert_close(loss, plain)
    given = (users, items, output_weights)
    for ours, theirs in zip(torch.autograd.grad(loss, given), torch.autograd.grad(plain, given), strict=True):
        torch.testing.assert_close(ours, theirs)
