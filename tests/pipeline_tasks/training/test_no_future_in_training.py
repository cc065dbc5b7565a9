"""A candidate's training gets the whole log, including the test part, and must not use the test part."""

from dataclasses import replace
from datetime import date
from pathlib import Path

import pytest

from pipeline_tasks.candidates.candidate_training import refit, train
from pipeline_tasks.config.training_settings import TrainingSettings
from pipeline_tasks.data.item_catalog import make_catalog
from pipeline_tasks.data.run_data import RunData
from pipeline_tasks.data.split_parts import FutureLeakError, Parts
from pipeline_tasks.evaluation.leak_probes import refuse_leaky_fit
from pipeline_tasks.evaluation.ranking_task import Scorer
from pipeline_tasks.run_key import RunKey
from tests.pipeline_tasks.logs import random_log

pytestmark = pytest.mark.training

ITEMS = 40
TRAINING = TrainingSettings(epochs=1, dimension=16, max_length=20, encoder_steps=2, threads=1)


def read_run() -> RunData:
    described = [{"item_id": f"i{number:02d}", "title": f"mug number {number}"} for number in range(ITEMS)]
    split = {"split_id": "s", "strategy": "per_user"}
    log = random_log(80, ITEMS, seed=6)
    return RunData(RunKey("shop", date(2026, 11, 20)), make_catalog(described, []), log, {}, split)


def fitted(data: RunData, work: Path, again: bool) -> Scorer:
    saved = train(data, "lora", TRAINING, work, lambda metrics, step: None).saved
    return refit(data, saved, TRAINING).recommender if again else saved.recommender


@pytest.mark.parametrize("again", [False, True], ids=["train", "refit"])
def test_training_uses_no_test(again: bool, tmp_path_factory: pytest.TempPathFactory) -> None:
    data = read_run()

    def fit(parts: Parts) -> Scorer:
        return fitted(replace(data, log=parts.log), tmp_path_factory.mktemp("work"), again)

    refuse_leaky_fit(fit, data.parts, "test", ITEMS)


def test_a_training_that_is_given_test_as_train_is_caught(tmp_path_factory: pytest.TempPathFactory) -> None:
    data = read_run()

    def fit(parts: Parts) -> Scorer:
        everything = replace(data, log=parts.log, split={"split_id": "s", "strategy": "leave_one_out"})
        return fitted(everything, tmp_path_factory.mktemp("work"), again=False)

    with pytest.raises(FutureLeakError, match="its fit uses what was to be predicted"):
        refuse_leaky_fit(fit, data.parts, "test", ITEMS)
