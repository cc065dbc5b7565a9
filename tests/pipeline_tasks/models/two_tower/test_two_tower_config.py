from dataclasses import fields, replace
from pathlib import Path

import pytest
from huggingface_hub.errors import StrictDataclassFieldValidationError

from pipeline_tasks.models.two_tower.two_tower_config import ModelShape, TwoTowerConfig
from pipeline_tasks.models.two_tower.user_inputs import NOTHING
from pipeline_tasks.training.build_two_tower import model_config
from pipeline_tasks.training.fit_options import FitOptions
from tests.pipeline_tasks.logs import random_log


def test_a_saved_config_is_read_back(tmp_path: Path) -> None:
    shape = TwoTowerConfig(known_items=7, horizons=[10, 20], linear_kind="sequence", tasks=["click"], dropout=0.1)
    shape.save_pretrained(tmp_path)
    read = TwoTowerConfig.from_pretrained(tmp_path)
    assert read.to_dict() == shape.to_dict()
    assert (read.horizons, read.has_lead) == ([10, 20], False)


def test_options_that_shape_the_model_arrive_in_its_config() -> None:
    log = random_log(20, 8, seed=1)
    options = FitOptions(dimension=24, members=2, layers=3, dropout=0.4, max_length=7, item_values=5, seed=3)
    options = replace(options, linear_kind="sequence", matching="weighted_dot", linear_rank=99)
    config = model_config(log, options, NOTHING, (6, 12))
    for option in fields(ModelShape):
        assert getattr(config, option.name) == getattr(options, option.name), option.name
        assert getattr(TwoTowerConfig(), option.name) == getattr(FitOptions(), option.name), option.name
    assert (config.known_items, config.linear_rank, config.text_dimension, config.raw_text_dimension) == (8, 8, 6, 12)
    assert not hasattr(config, "seed"), "an option of the training alone"


def test_a_value_of_another_type_is_refused_by_its_name() -> None:
    with pytest.raises(StrictDataclassFieldValidationError, match="dimension"):
        TwoTowerConfig(dimension="wide")  # type: ignore[arg-type]
    with pytest.raises(StrictDataclassFieldValidationError, match="linear_kind"):
        TwoTowerConfig(linear_kind="bag")  # type: ignore[arg-type]
