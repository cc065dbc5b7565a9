from pathlib import Path

import pyarrow as pa
import pytest

from pipeline_tasks.candidates.skip_redundant_candidates import worth_training
from pipeline_tasks.config.settings import Settings
from pipeline_tasks.lake.lake import Lake
from pipeline_tasks.tables.contracts import TABLES
from pipeline_tasks.tables.schemas import arrow_schema
from tests.pipeline_tasks.tiny_shop import RUN_KEY


def lake_of(home: Path, *items: dict[str, object]) -> Lake:
    rows = [
        {"item_id": f"i{number}", "first_seen": RUN_KEY.ds, "ds": RUN_KEY.ds} | item
        for number, item in enumerate(items)
    ]
    lake = Lake.open(Settings(home=home), RUN_KEY.source)
    lake.commit(
        "items", [RUN_KEY.ds], lake.write_arrow("items", pa.Table.from_pylist(rows, arrow_schema(TABLES["items"])))
    )
    return lake


@pytest.mark.parametrize(
    "texts", [{"title": "a rose"}, {"category": "garden"}, {"attributes": '{"made of": "red clay"}'}]
)
def test_one_item_with_words_is_enough_to_tune_an_encoder(texts: dict[str, object], tmp_path: Path) -> None:
    assert worth_training(lake_of(tmp_path, {}, texts), RUN_KEY, ["frozen", "lora"]) == ["frozen", "lora"]


def test_items_without_words_are_trained_on_once(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    lake = lake_of(tmp_path, {}, {"attributes": '{"code": "317"}'}, {"price": 3.0})
    assert worth_training(lake, RUN_KEY, ["lora", "frozen", "full"]) == ["frozen"]
    assert "lora, full would train the same model as frozen, so their training is skipped" in capsys.readouterr().out
    assert worth_training(lake, RUN_KEY, ["lora", "full"]) == ["lora"]
    assert worth_training(lake, RUN_KEY, ["lora"]) == ["lora"]
