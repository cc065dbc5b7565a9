"""A head beside the next item is one module and its name: no other module lists the heads."""

import sys
from types import ModuleType

import numpy as np
import pytest

from pipeline_tasks.config import training_settings
from pipeline_tasks.config.training_settings import BINARY_TASKS, TrainingSettings
from pipeline_tasks.data.interactions import Integers, Interactions
from pipeline_tasks.models.task_heads import binary_task as interface
from pipeline_tasks.models.task_heads.binary_task import BinaryTask, binary_task, build_heads
from pipeline_tasks.models.task_heads.head_networks import TaskHead
from pipeline_tasks.models.task_heads.labelled_examples import LabelledExamples, LabelSampler
from pipeline_tasks.training.fit_two_tower import TwoTowerTrainer
from pipeline_tasks.training.task_predictions import evaluate_heads, predict
from tests.pipeline_tasks.logs import random_log
from tests.pipeline_tasks.models.task_heads.small_heads import ITEMS, TEXTS, options_for


@pytest.mark.parametrize("name", BINARY_TASKS)
def test_every_task_of_the_settings_has_a_module(name: str) -> None:
    assert isinstance(binary_task(name), BinaryTask)
    assert isinstance(build_heads([name], 8, 0.0)[name], TaskHead)


class EvenDays(LabelSampler):
    """Label: whether the event is on an even day."""

    def sample(self, events: Integers, rng: np.random.Generator) -> LabelledExamples:
        times = self.log.times[events]
        labels = (times // 86_400_000_000 % 2 == 0).astype(np.float32)
        return LabelledExamples(events, times, np.full(len(events), -1), labels, np.ones(len(events), np.float32))


@pytest.fixture
def even_day(monkeypatch: pytest.MonkeyPatch) -> str:
    """Register the task `even_day`: a module, and its name in the settings."""
    module = ModuleType("pipeline_tasks.models.task_heads.even_day")
    vars(module)["TASK"] = BinaryTask(TaskHead, lambda log, labels: EvenDays(log))
    monkeypatch.setitem(sys.modules, module.__name__, module)
    monkeypatch.setattr(interface, "BINARY_TASKS", (*BINARY_TASKS, "even_day"))
    monkeypatch.setattr(training_settings, "TASKS", (*training_settings.TASKS, "even_day"))
    return "even_day"


def test_a_new_task_is_trained_evaluated_and_predicted(even_day: str) -> None:
    weights = TrainingSettings(task_weights={even_day: 0.5}).task_weights
    log: Interactions = random_log(60, ITEMS, seed=1)
    cut = int(np.quantile(log.times, 0.8))
    recommender = TwoTowerTrainer(log.until(cut), TEXTS, options_for(weights)).fit()
    assert set(recommender.model.heads) == {even_day}
    assert 0 <= evaluate_heads(recommender, log, cut)["even_day_auc"] <= 1
    probabilities = predict(recommender, even_day, log.until(cut))
    assert ((probabilities > 0) & (probabilities < 1)).all()
