from pathlib import Path

import pytest
from huggingface_hub.errors import StrictDataclassFieldValidationError

from pipeline_tasks.models.two_tower.two_tower_config import TwoTowerConfig


def test_what_was_saved_is_read(tmp_path: Path) -> None:
    shape = TwoTowerConfig(known_items=7, horizons=[10, 20], linear_kind="sequence", tasks=["click"], dropout=0.1)
    shape.save_pretrained(tmp_path)
    read = TwoTowerConfig.from_pretrained(tmp_path)
    assert read.to_dict() == shape.to_dict()
    assert (read.horizons, read.has_lead) == ([10, 20], False)


def test_a_value_of_another_type_is_refused_by_its_name() -> None:
    with pytest.raises(StrictDataclassFieldValidationError, match="dimension"):
        TwoTowerConfig(dimension="wide")  # type: ignore[arg-type]
    with pytest.raises(StrictDataclassFieldValidationError, match="linear_kind"):
        TwoTowerConfig(linear_kind="bag")  # type: ignore[arg-type]
