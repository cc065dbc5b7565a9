from dataclasses import replace
from typing import Any

import numpy as np
import pytest
import torch

from pipeline_tasks.errors import EXPECTED, TrainingError
from pipeline_tasks.models.two_tower.training_windows import cut_windows
from pipeline_tasks.training.fit_options import FitOptions
from pipeline_tasks.training.fit_two_tower import TwoTowerTrainer
from pipeline_tasks.training.training_batch import draw_batch
from tests.pipeline_tasks.training.joined_training import LOG, PLAIN, TEXTS

pytestmark = pytest.mark.training


def gradients(options: FitOptions, full_from: int | None = None) -> tuple[list[torch.Tensor], TwoTowerTrainer]:
    """Return the gradients of one batch; a simulated GPU runs out of memory from `full_from` positions on."""
    trainer = TwoTowerTrainer(LOG, TEXTS, options)
    trainer.rng = np.random.default_rng(3)
    windows = cut_windows(LOG, 20, trainer.rng)[:30]
    forward = trainer.model.forward

    def on_full_gpu(items: torch.Tensor, *more: Any) -> Any:  # noqa: ANN401
        if full_from is not None and items.shape[0] * items.shape[1] >= full_from:
            raise torch.OutOfMemoryError("pretended")
        return forward(items, *more)

    trainer.model.forward = on_full_gpu  # type: ignore[method-assign, assignment]
    batch = draw_batch(windows, trainer.trends.buckets, trainer.targets, 4, trainer.rng)
    trainer.gradient.add([batch], trainer.rng)
    return [one.grad.to_dense() for one in trainer.optimizer.parameters if one.grad is not None], trainer


@pytest.mark.parametrize("matching", ["dot", "additive"])
@pytest.mark.parametrize("negatives", [0, 16])
def test_parts_give_the_gradient_of_the_whole_batch(negatives: int, matching: str) -> None:
    whole, _ = gradients(replace(PLAIN, negatives=negatives, matching=matching))
    parts, _ = gradients(replace(PLAIN, negatives=negatives, matching=matching, micro_batch=60))
    assert len(whole) == len(parts) > 10
    for one, other in zip(whole, parts, strict=True):
        torch.testing.assert_close(one, other, rtol=1e-4, atol=1e-7)


def full(*given: object) -> torch.Tensor:
    raise torch.OutOfMemoryError("pretended")


@pytest.mark.parametrize("place", ["item vectors", "their gradient", "the step"])
@pytest.mark.parametrize(("negatives", "items"), [(0, 60), (16, 16)])
def test_a_gpu_that_is_full_of_items_is_reported(
    place: str, negatives: int, items: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    trainer = TwoTowerTrainer(LOG, TEXTS, replace(PLAIN, negatives=negatives))
    whole = trainer.model.item_vectors

    def with_full_gradient(*given: torch.Tensor) -> torch.Tensor:
        vectors = whole(*given)
        vectors.register_hook(full)
        return vectors

    if place == "the step":
        monkeypatch.setattr(trainer.optimizer, "step", full)
    else:
        monkeypatch.setattr(trainer.model, "item_vectors", full if place == "item vectors" else with_full_gradient)
    message = (
        rf"out of memory with the vectors of {items} items .* set training\.negatives to fewer items .* on the CPU"
    )
    with pytest.raises(TrainingError, match=message) as raised:
        trainer.fit()
    assert isinstance(raised.value, EXPECTED)


def test_a_full_gpu_halves_the_parts_and_reports_it(capsys: pytest.CaptureFixture[str]) -> None:
    whole, _ = gradients(PLAIN)
    halved, trainer = gradients(PLAIN, full_from=200)
    assert trainer.gradient.micro_batch == 100
    message = capsys.readouterr().out
    assert "the GPU is out of memory: 200 positions at a time from here on" in message
    assert "100 positions at a time from here on" in message
    for one, other in zip(whole, halved, strict=True):
        torch.testing.assert_close(one, other, rtol=1e-4, atol=1e-7)
    with pytest.raises(TrainingError, match=r"out of memory with .* which is one history: lower training\.max_length"):
        gradients(PLAIN, full_from=1)
