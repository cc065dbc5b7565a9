"""The ensemble: each member has its own loss, and the mean of the members' scores is one dot product."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.torch import load_file, save_file
from torch import Tensor

from pipeline_tasks.data.split_parts import split_parts
from pipeline_tasks.evaluation.full_ranking import evaluate
from pipeline_tasks.evaluation.ranking_task import build_task
from pipeline_tasks.models.two_tower.saved_recommender import ModelFilesError, load_model
from pipeline_tasks.models.two_tower.two_tower import TwoTower
from pipeline_tasks.models.two_tower.two_tower_config import TwoTowerConfig
from pipeline_tasks.models.two_tower.two_tower_recommender import TwoTowerRecommender
from pipeline_tasks.training import training_optimizer
from pipeline_tasks.training.fit_options import FitOptions
from pipeline_tasks.training.fit_two_tower import TwoTowerTrainer
from tests.pipeline_tasks.logs import log_of
from tests.pipeline_tasks.training.test_fit_two_tower import LOG, OPTIONS, TEXTS

pytestmark = pytest.mark.training

WIDTH = 16
TWO = replace(OPTIONS, dimension=2 * WIDTH, members=2)
BY_ROW = ("text_projection.weight",)
BY_COLUMN = ("item_ids.weight", "item_values.weight", "positions.weight", "event_types.weight", "gaps.weight")


def member_of(model: TwoTower, number: int) -> TwoTower:
    """Return one member of `model` as a model of its own."""
    shape = model.config.to_diff_dict() | {"dimension": WIDTH, "members": 1}
    alone = TwoTower(TwoTowerConfig(**{name: value for name, value in shape.items() if name != "architectures"}))
    weights, part = model.state_dict(), slice(number * WIDTH, (number + 1) * WIDTH)
    kept: dict[str, Tensor] = {}
    for name in alone.state_dict():
        own = weights[name.replace("members.0.", f"members.{number}.")]
        kept[name] = own[part] if name in BY_ROW else own[:, part] if name in BY_COLUMN else own
    alone.load_state_dict(kept)
    alone.train(False)
    return alone


@pytest.fixture(scope="module")
def two() -> TwoTowerRecommender:
    return TwoTowerTrainer(LOG, TEXTS, TWO).fit()


def test_a_score_is_the_mean_of_the_ensemble(two: TwoTowerRecommender) -> None:
    two = two.with_weights(item_to_item=0.5)
    each = [replace(two, model=member_of(two.model, number)) for number in range(2)]
    histories = LOG.select(np.arange(20))
    apart = [member.scores(histories) for member in each]
    assert np.abs(apart[0] - apart[1]).max() > 0.1, "they differ, or there is nothing to average"
    np.testing.assert_allclose(two.scores(histories), np.mean(apart, axis=0), rtol=1e-4, atol=1e-4)


def test_a_new_user_gets_the_ensembles_mean_of_popularity_scores(
    two: TwoTowerRecommender,
) -> None:
    new_user = log_of({"new": []})
    apart = [replace(two, model=member_of(two.model, number)).scores(new_user) for number in range(2)]
    np.testing.assert_allclose(two.scores(new_user), np.mean(apart, axis=0), rtol=1e-4, atol=1e-4)


def first_member(*, second_changed: bool) -> dict[str, Tensor]:
    """Return the weights of the first of two members after their training."""
    trainer = TwoTowerTrainer(LOG, TEXTS, replace(TWO, dropout=0.0, epochs=2, half=False))
    if second_changed:
        with torch.no_grad():
            trainer.model.text_projection.weight[WIDTH:] += 0.1
            trainer.model.towers[1].trend_weights.weight.mul_(3)
    return member_of(trainer.fit().model, 0).state_dict()


def test_a_member_learns_as_if_there_were_no_other(monkeypatch: pytest.MonkeyPatch) -> None:
    # A gradient too long is shortened as a whole, which is all that they share.
    monkeypatch.setattr(training_optimizer, "MAX_NORM", 1e9)
    beside, other = first_member(second_changed=False), first_member(second_changed=True)
    for name, weights in beside.items():
        torch.testing.assert_close(other[name], weights, rtol=1e-5, atol=1e-6, msg=name)


def test_an_ensemble_of_two_is_better_than_their_mean() -> None:
    parts = split_parts(LOG, {"strategy": "per_user"})
    task = build_task(parts, "test", "discovery", len(TEXTS))
    two = TwoTowerTrainer(task.known, TEXTS, TWO).fit()
    apart = [evaluate(replace(two, model=member_of(two.model, number)), task).overall["ndcg@10"] for number in range(2)]
    assert evaluate(two, task).overall["ndcg@10"] > np.mean(apart)


@pytest.mark.parametrize("options", [TWO, replace(TWO, negatives=10), replace(TWO, averaged=True)])
def test_an_interrupted_training_of_two_processes_resumes(options: FitOptions) -> None:
    trainers = [TwoTowerTrainer(LOG, TEXTS, options) for _ in range(3)]
    whole = trainers[0].fit().model.state_dict()
    trainers[1].fit(lambda epoch, loss: epoch < 2)
    trainers[2].restore(*trainers[1].state())
    again = trainers[2].fit().model.state_dict()
    assert all(torch.equal(again[name], whole[name]) for name in whole)


def test_weights_written_when_there_was_one_member_are_read(tmp_path: Path) -> None:
    model = TwoTower(TwoTowerConfig(dimension=WIDTH, known_items=5, horizons=[3, 4]))
    model.save_pretrained(tmp_path)
    rename(tmp_path, "members.0.", "")
    again = load_model(tmp_path).state_dict()
    assert all(torch.equal(again[name], weights) for name, weights in model.state_dict().items())


def test_weights_that_are_not_those_of_the_model_are_refused(tmp_path: Path) -> None:
    TwoTower(TwoTowerConfig(dimension=WIDTH, known_items=5)).save_pretrained(tmp_path)
    rename(tmp_path, "feed.0", "fed")
    with pytest.raises(ModelFilesError, match=r"blocks\.0\.fed\.bias.* train again"):
        load_model(tmp_path)


def rename(folder: Path, part: str, instead: str) -> None:
    """Give weights in the folder other names."""
    file = folder / "model.safetensors"
    renamed = {name.replace(part, instead): weights for name, weights in load_file(file).items()}
    save_file(renamed, file, metadata={"format": "pt"})
