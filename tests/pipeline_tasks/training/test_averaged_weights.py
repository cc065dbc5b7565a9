import pytest
import torch
from torch import nn

from pipeline_tasks.training.best_epoch import AveragedWeights


def test_the_average_weighs_late_steps_by_its_power() -> None:
    model = nn.Linear(1, 1, bias=False)
    average = AveragedWeights(model, power=1)
    for value in (1.0, 2.0, 3.0):
        with torch.no_grad():
            model.weight.fill_(value)
        average.add()
    with average.applied():
        # 1, 2 and 3 with the weights 1, 2 and 3.
        assert model.weight.item() == pytest.approx(14 / 6)
    assert model.weight.item() == 3.0


def test_the_model_keeps_its_weights_when_the_evaluation_fails() -> None:
    model = nn.Linear(2, 2)
    average, before = AveragedWeights(model), model.weight.detach().clone()
    average.add()
    with torch.no_grad():
        model.weight.add_(1)
    with pytest.raises(RuntimeError), average.applied():
        raise RuntimeError
    torch.testing.assert_close(model.weight.detach(), before + 1)
