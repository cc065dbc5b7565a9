import pytest
import torch

from pipeline_tasks.models.two_tower import catalog_loss as module
from pipeline_tasks.models.two_tower.catalog_loss import PopularityLevels, catalog_loss


def example(seed: int = 0, width: int = 8) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor, torch.Tensor]:
    generator = torch.Generator().manual_seed(seed)
    users = torch.randn(37, width, generator=generator, requires_grad=True)
    items = torch.randn(11, 8, generator=generator, requires_grad=True)
    # The same target twice in a row must count twice.
    targets = torch.randint(0, 11, (37, 3), generator=generator)
    weights = torch.rand(37, 3, generator=generator)
    weights[5] = 0
    return users, items, targets, weights


def agree(loss: torch.Tensor, plain: torch.Tensor, users: torch.Tensor, items: torch.Tensor) -> None:
    gradients, expected = (torch.autograd.grad(value, (users, items)) for value in (loss, plain))
    torch.testing.assert_close(loss, plain)
    for ours, theirs in zip(gradients, expected, strict=True):
        torch.testing.assert_close(ours, theirs)


@pytest.mark.parametrize(("rows", "block"), [(1, 1), (4, 10), (64, 512)])
def test_equals_cross_entropy_of_torch(rows: int, block: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "_CACHED_ROWS", rows)
    monkeypatch.setattr(module, "_BLOCK_ROWS", block)
    users, items, targets, weights = example()
    plain = -((users @ items.T).log_softmax(dim=1).gather(1, targets) * weights).sum() * 2
    agree(catalog_loss(users, items, targets, weights) * 2, plain, users, items)


@pytest.mark.parametrize(("rows", "block"), [(4, 10), (64, 512)])
def test_popularity_is_added_by_time_unit(rows: int, block: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "_CACHED_ROWS", rows)
    monkeypatch.setattr(module, "_BLOCK_ROWS", block)
    users, items, targets, weights = example(width=10)
    levels = torch.randn(11, 4, 2, generator=torch.Generator().manual_seed(1))
    moments = torch.tensor([0] * 5 + [1] * 9 + [3] * 23)
    logits = users[:, :8] @ items.T + torch.einsum("nh,cnh->nc", users[:, 8:], levels[:, moments])
    plain = -(logits.log_softmax(dim=1).gather(1, targets) * weights).sum()
    agree(catalog_loss(users, items, targets, weights, PopularityLevels(levels, moments)), plain, users, items)


def test_bfloat16_is_near() -> None:
    users, items, targets, weights = example()
    exact = catalog_loss(users, items, targets, weights)
    half = catalog_loss(users.bfloat16(), items.bfloat16(), targets, weights)
    torch.testing.assert_close(half, exact, rtol=0.02, atol=0.0)
