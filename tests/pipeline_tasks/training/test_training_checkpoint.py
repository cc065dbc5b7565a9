import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest
import torch

from pipeline_tasks.candidates.resumable_fit import resumable_fit
from pipeline_tasks.config.settings import REPOSITORY
from pipeline_tasks.errors import TrainingError
from pipeline_tasks.training.best_epoch import BestEpoch
from pipeline_tasks.training.fit_two_tower import TwoTowerTrainer
from pipeline_tasks.training.training_checkpoint import TrainingCheckpoint
from tests.pipeline_tasks.training.interrupted_training import OPTIONS, TASK, TEXTS, train_with_checkpoints

pytestmark = pytest.mark.training

Trained = tuple[TwoTowerTrainer, BestEpoch]


@pytest.fixture(scope="module")
def unbroken(tmp_path_factory: pytest.TempPathFactory) -> Trained:
    return train_with_checkpoints(tmp_path_factory.mktemp("unbroken"))


def assert_same(one: Trained, other: Trained) -> None:
    for kept, expected in zip(
        (one[0].model, one[1].recommender().model), (other[0].model, other[1].recommender().model), strict=True
    ):
        for name, weights in kept.state_dict().items():
            assert torch.equal(weights, expected.state_dict()[name]), name
        assert kept.config.to_diff_dict() == expected.config.to_diff_dict()
    assert one[1].recommender().tuned == other[1].recommender().tuned
    assert (one[1].epoch, one[1].ndcg, one[1].history) == (other[1].epoch, other[1].ndcg, other[1].history)


def test_a_killed_training_resumes_and_ends_with_an_identical_model(
    tmp_path: Path, unbroken: Trained, capsys: pytest.CaptureFixture[str]
) -> None:
    command = [sys.executable, "-u", "-m", "tests.pipeline_tasks.training.interrupted_training"]
    child = subprocess.Popen(
        [*command, str(tmp_path), str(torch.get_num_threads())], cwd=REPOSITORY, stdout=subprocess.PIPE, text=True
    )
    assert child.stdout is not None
    for line in child.stdout:
        # The line of epoch 4 is printed before its checkpoint is written, so the child is killed after epoch 3.
        if line.startswith("epoch 4:"):
            child.kill()
            break
    assert child.wait() == -9
    heard: list[tuple[int, float]] = []
    resumed = train_with_checkpoints(tmp_path, heard=heard)
    assert "resuming after epoch" in capsys.readouterr().out
    assert_same(resumed, unbroken)
    # The run of the second attempt in MLflow shows the first one's epochs, too.
    assert [epoch for epoch, _ in heard] == list(range(1, OPTIONS.epochs + 1))


def test_a_finished_training_is_not_repeated(tmp_path: Path, unbroken: Trained) -> None:
    train_with_checkpoints(tmp_path)
    before = (tmp_path / "training.safetensors").stat().st_mtime_ns
    assert_same(train_with_checkpoints(tmp_path), unbroken)
    assert (tmp_path / "training.safetensors").stat().st_mtime_ns == before


def test_a_checkpoint_of_other_options_or_a_damaged_one_is_reported_and_not_used(
    tmp_path: Path, unbroken: Trained, capsys: pytest.CaptureFixture[str]
) -> None:
    train_with_checkpoints(tmp_path, replace(OPTIONS, epochs=1, dropout=0.3))
    assert_same(train_with_checkpoints(tmp_path), unbroken)
    assert "is not used, because it differs in options: training from the start" in capsys.readouterr().out
    whole = (tmp_path / "training.safetensors").read_bytes()
    (tmp_path / "training.safetensors").write_bytes(whole[: len(whole) // 2])
    assert_same(train_with_checkpoints(tmp_path), unbroken)
    assert "cannot be read" in capsys.readouterr().out


def test_a_loss_that_is_no_number_ends_at_the_best_epoch_so_far(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    # Without an average: what `after` is shown is then what is learned on, and can be poisoned.
    trainer = TwoTowerTrainer(TASK.known, TEXTS, replace(OPTIONS, averaged=False))
    best = BestEpoch(TASK, lambda figures, epoch: None)
    checkpoint = TrainingCheckpoint(tmp_path / "training.safetensors", {})
    fit = best.after

    def poisoned(loss: float, *given: object, **figures: float) -> bool:
        should_continue = fit(loss, trainer.recommender, **figures)
        if trainer.epoch == 2:
            trainer.model.positions.weight.data[0] = float("inf")
        return should_continue

    best.after = poisoned  # type: ignore[method-assign, assignment]
    stopped = resumable_fit(trainer, best, checkpoint)
    assert stopped is not None
    assert "loss is nan" in stopped
    assert "in epoch 3, batch 0 of" in stopped
    assert best.epoch in (1, 2)
    assert torch.isfinite(torch.from_numpy(best.recommender().item_matrix())).all()
    assert "the candidate keeps its best epoch so far, epoch" in capsys.readouterr().out


def test_a_loss_that_is_no_number_in_the_first_epoch_is_an_error(tmp_path: Path) -> None:
    trainer = TwoTowerTrainer(TASK.known, TEXTS, OPTIONS)
    trainer.model.positions.weight.data[0] = float("nan")
    checkpoint = TrainingCheckpoint(tmp_path / "training.safetensors", {})
    with pytest.raises(TrainingError, match=r"loss is nan, .* in epoch 1, batch 0 of .*: lower the learning rate"):
        resumable_fit(trainer, BestEpoch(TASK, lambda figures, epoch: None), checkpoint)
    assert not list(tmp_path.iterdir())
