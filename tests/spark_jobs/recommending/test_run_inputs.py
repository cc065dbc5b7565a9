from collections.abc import Iterator
from pathlib import Path

import pytest
from pyspark.sql import SparkSession

from pipeline_tasks.config.settings import settings
from pipeline_tasks.lake.lake import Lake
from pipeline_tasks.run_key import RunKey
from pipeline_tasks.sources.window_choice import cleaned_window
from spark_jobs.common.stage_table import read_table
from spark_jobs.recommend_items import describe
from spark_jobs.recommending.run_inputs import read_run_inputs
from tests.spark_jobs.one_shop import DAY, ShopFixture
from tests.spark_jobs.small_run import ITEMS, RUN_KEY, SCORING, event, history, item, micros, prepare, split, write


def publish_another_run(lake: Lake) -> None:
    """Publish other rows of all inputs of the run, on days of its window."""
    write(lake, "events", [event("late", micros(day), "view", "i00") for day in (18, 19, 20)])
    write(lake, "sequences", [history("late", ("i00", "view", 20))])
    write(lake, "items", [item("late", 1)])
    write(lake, "splits", [split() | {"split_id": "late"}])


@pytest.fixture
def own_home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """A home with tables that the test may change."""
    monkeypatch.setenv("NIGHTSHELF_HOME", str(tmp_path))
    settings.cache_clear()
    prepare(settings())
    yield
    settings.cache_clear()


@pytest.mark.usefixtures("own_home")
def test_inputs_are_read_from_the_named_snapshots(spark: SparkSession) -> None:
    lake = Lake.open(settings(), RUN_KEY.source)
    before = {name: lake.snapshot_id(name) for name in ("splits", "sequences", "items", "events")}
    keys = {row.user_key for row in read_table(spark, lake, "events").collect()}
    inputs = read_run_inputs(spark, RUN_KEY, SCORING)
    publish_another_run(lake)
    assert {row.user_key for row in inputs.events.collect()} == keys
    assert {row.item_id for row in inputs.items.collect()} == set(ITEMS)
    assert {row.user_key for row in inputs.sequences.collect()} == keys
    facts = describe(inputs)
    assert {name: int(facts[f"{name}_snapshot_id"]) for name in before} == before


def test_a_split_is_made_from_the_named_snapshot(shop: ShopFixture, monkeypatch: pytest.MonkeyPatch) -> None:
    lines = [f"2026-11-20 {hour:02d}:00:00,view,P{hour},U1,S1,,," for hour in range(10)]
    shop.deliver(*lines)
    shop.run()
    named = shop.lake.snapshot_id("events")

    def published_meanwhile(lake: Lake, run_key: RunKey, asked: int) -> int:
        lake.commit("events", [DAY], [])
        return cleaned_window(lake, run_key, asked)

    monkeypatch.setattr("spark_jobs.split_behavior.cleaned_window", published_meanwhile)
    shop.split()
    [row] = shop.rows("splits")
    assert row["events_snapshot_id"] == named
    assert row["train_events"] + row["validation_events"] + row["test_events"] == len(lines)
