from pathlib import Path

import pyarrow as pa
import pytest

from pipeline_tasks.candidates import skip_redundant_candidates
from pipeline_tasks.candidates.skip_redundant_candidates import MIN_EVENTS, MIN_TEXTS, worth_training
from pipeline_tasks.config.settings import Settings
from pipeline_tasks.lake.lake import Lake
from pipeline_tasks.tables.contracts import TABLES
from pipeline_tasks.tables.schemas import arrow_schema
from tests.pipeline_tasks.tiny_shop import RUN_KEY


def lake_of(home: Path, *items: dict[str, object], train_events: int = MIN_EVENTS) -> Lake:
    rows = [
        {"item_id": f"i{number}", "first_seen": RUN_KEY.ds, "ds": RUN_KEY.ds} | item
        for number, item in enumerate(items)
    ]
    lake = Lake.open(Settings(home=home), RUN_KEY.source)
    lake.commit(
        "items", [RUN_KEY.ds], lake.write_arrow("items", pa.Table.from_pylist(rows, arrow_schema(TABLES["items"])))
    )
    empty = dict.fromkeys(TABLES["splits"].column_names)
    split = pa.Table.from_pylist(
        [empty | {"ds": RUN_KEY.ds, "train_events": train_events}], arrow_schema(TABLES["splits"])
    )
    lake.commit("splits", [RUN_KEY.ds], lake.write_arrow("splits", split))
    return lake


@pytest.mark.parametrize(
    "texts", [{"title": "a rose"}, {"category": "garden"}, {"attributes": '{"made of": "red clay"}'}]
)
def test_items_with_words_are_what_an_encoder_is_tuned_on(
    texts: dict[str, object], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(skip_redundant_candidates, "MIN_TEXTS", 1)
    assert worth_training(lake_of(tmp_path, {}, texts), RUN_KEY, ["frozen", "lora"]) == ["frozen", "lora"]


def test_items_without_words_are_trained_on_once(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    lake = lake_of(tmp_path, {}, {"attributes": '{"code": "317"}'}, {"price": 3.0})
    assert worth_training(lake, RUN_KEY, ["lora", "frozen", "full"]) == ["frozen"]
    assert "lora, full would train the same model as frozen, so their training is skipped" in capsys.readouterr().out
    assert worth_training(lake, RUN_KEY, ["lora", "full"]) == ["lora"]
    assert worth_training(lake, RUN_KEY, ["lora"]) == ["lora"]


def titles(count: int) -> list[dict[str, object]]:
    return [{"title": f"rose {number}"} for number in range(count)]


def test_an_encoder_is_tuned_from_enough_events_and_texts_on(tmp_path: Path) -> None:
    lake = lake_of(tmp_path, *titles(MIN_TEXTS))
    assert worth_training(lake, RUN_KEY, ["frozen", "lora"]) == ["frozen", "lora"]


def test_a_small_log_trains_the_frozen_encoder_alone_and_says_so(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    lake = lake_of(tmp_path, *titles(MIN_TEXTS), train_events=MIN_EVENTS - 1)
    assert worth_training(lake, RUN_KEY, ["lora", "frozen"]) == ["frozen"]
    printed = capsys.readouterr().out
    assert "The train part of tiny_shop 2026-11-20 has 99,999 events, fewer than 100,000" in printed
    assert "lora in so small a shop, so their training is skipped" in printed
    assert "candidates=lora" in printed


def test_few_texts_train_the_frozen_encoder_alone(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    lake = lake_of(tmp_path, *titles(MIN_TEXTS - 1), *titles(50))
    assert worth_training(lake, RUN_KEY, ["frozen", "lora", "full"]) == ["frozen"]
    assert "Items of tiny_shop 2026-11-20 have 999 texts, fewer than 1,000" in capsys.readouterr().out


def test_tuned_encoders_that_are_chosen_alone_are_trained(tmp_path: Path) -> None:
    lake = lake_of(tmp_path, *titles(2), train_events=10)
    assert worth_training(lake, RUN_KEY, ["lora", "full"]) == ["lora", "full"]
    assert worth_training(lake, RUN_KEY, ["lora"]) == ["lora"]
