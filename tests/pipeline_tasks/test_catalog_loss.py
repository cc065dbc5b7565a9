import pytest
import torch

from pipeline_tasks import catalog_loss as module
from pipeline_tasks.catalog_loss import catalog_loss


def example(seed: int = 0) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor, torch.Tensor]:
    generator = torch.Generator().manual_seed(seed)
    users = torch.randn(37, 8, generator=generator, requires_grad=True)
    items = torch.randn(11, 8, generator=generator, requires_grad=True)
    # The same target twice in a row must count twice.
    targets = torch.randint(0, 11, (37, 3), generator=generator)
    weights = torch.rand(37, 3, generator=generator)
    weights[5] = 0
    return users, items, targets, weights


@pytest.mark.parametrize("cells", [11, 50, 10_000])
def test_equals_cross_entropy_of_torch(cells: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "_CHUNK_CELLS", cells)
    users, items, targets, weights = example()
    loss = catalog_loss(users, items, targets, weights) * 2
    gradients = torch.autograd.grad(loss, (users, items))
    plain = -((users @ items.T).log_softmax(dim=1).gather(1, targets) * weights).sum() * 2
    expected = torch.autograd.grad(plain, (users, items))
    torch.testing.assert_close(loss, plain)
    for ours, theirs in zip(gradients, expected, strict=True):
        torch.testing.assert_close(ours, theirs)


def test_bfloat16_is_near() -> None:
    users, items, targets, weights = example()
    exact = catalog_loss(users, items, targets, weights)
    half = catalog_loss(users.bfloat16(), items.bfloat16(), targets, weights)
    torch.testing.assert_close(half, exact, rtol=0.02, atol=0.0)
