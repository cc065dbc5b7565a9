import math
from dataclasses import replace

import numpy as np
import pytest

from pipeline_tasks.config.training_settings import EVENT_WEIGHTS, TrainingSettings, complete_weights
from pipeline_tasks.errors import TrainingError
from pipeline_tasks.tables.contracts import CHOSEN_TYPES
from pipeline_tasks.training.fit_options import FitOptions
from pipeline_tasks.training.fit_two_tower import TwoTowerTrainer
from pipeline_tasks.training.training_choices import choose_options
from tests.pipeline_tasks.logs import random_log

LOG = random_log(30, 10, seed=2)
TEXTS = np.random.default_rng(1).standard_normal((10, 6)).astype(np.float32)
OPTIONS = FitOptions(epochs=1, dimension=8, text_dimension=4, max_length=10, linear_rank=4)


def test_every_modelled_type_has_a_weight_and_purchases_the_highest() -> None:
    assert set(EVENT_WEIGHTS) == set(CHOSEN_TYPES)
    assert EVENT_WEIGHTS["purchase"] > EVENT_WEIGHTS["cart"] > EVENT_WEIGHTS["click"] > EVENT_WEIGHTS["view"] > 0


def test_a_type_without_a_weight_keeps_its_default() -> None:
    set_weights = TrainingSettings.model_validate({"event_weights": {"purchase": 7}}).event_weights
    assert set_weights == EVENT_WEIGHTS | {"purchase": 7.0}
    training = TrainingSettings(event_weights={"view": 0.0})
    assert choose_options(LOG, "temporal", training, 20).event_weights == EVENT_WEIGHTS | {"view": 0.0}


@pytest.mark.parametrize(
    ("weights", "said"),
    [
        ({"impression": 1.0}, "event_weights has impression: weights exist for view, click"),
        ({"view": -1.0}, "'view': -1.0"),
        ({"view": math.nan}, "'view': nan"),
        (dict.fromkeys(EVENT_WEIGHTS, 0.0), "all 0"),
    ],
)
def test_invalid_weights_are_refused(weights: dict[str, float], said: str) -> None:
    with pytest.raises(ValueError, match=said):
        complete_weights(weights)
    with pytest.raises(ValueError, match=said):
        TrainingSettings(event_weights=weights)


def test_a_target_has_the_weight_of_its_type() -> None:
    trainer = TwoTowerTrainer(LOG, TEXTS, replace(OPTIONS, event_weights=EVENT_WEIGHTS | {"purchase": 3.0}))
    assert set(np.unique(trainer.targets.weights)) == {0.0, 3.0}


def test_a_log_of_events_of_weight_zero_is_refused() -> None:
    with pytest.raises(TrainingError, match="all events of the log are of types whose weight is 0"):
        TwoTowerTrainer(LOG, TEXTS, replace(OPTIONS, event_weights=EVENT_WEIGHTS | {"purchase": 0.0}))
