import pytest
import torch

from pipeline_tasks.models.two_tower.user_tower import fast_dropout


@pytest.mark.parametrize("rate", [0.2, 0.5])
def test_a_share_is_left_out_and_the_mean_stays(rate: float) -> None:
    torch.manual_seed(1)
    values = torch.ones(301, 997, requires_grad=True)
    dropped = fast_dropout(values, rate, training=True)
    assert (dropped == 0).float().mean().item() == pytest.approx(rate, abs=0.004)
    assert dropped.mean().item() == pytest.approx(1, abs=0.01)
    dropped.sum().backward()
    assert values.grad is not None
    torch.testing.assert_close(values.grad, dropped.detach())


def test_a_seed_repeats_it_and_nothing_is_left_out_otherwise() -> None:
    values = torch.randn(7, 13)
    first, second = (fast_dropout(values, 0.5, training=bool(torch.manual_seed(3))) for _ in range(2))
    torch.testing.assert_close(first, second)
    assert fast_dropout(values, 0.5, training=False) is values
    assert fast_dropout(values, 0.0, training=True).equal(values)
