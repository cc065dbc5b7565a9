"""Runs with invalid vectors, catalogs or settings: one clear error, or facts that name what is missing."""

from datetime import date
from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest
from pyspark.sql import SparkSession

from pipeline_tasks.config.settings import Settings
from pipeline_tasks.lake.lake import Lake
from pipeline_tasks.lake.staging import publish, staging_folder
from pipeline_tasks.run_key import RunKey
from pipeline_tasks.topk.arrays import Vectors
from spark_jobs.recommend_items import build
from tests.spark_jobs.recommendation_rows import recommendations_of, stage_only_recommendations
from tests.spark_jobs.small_run import (
    ITEMS,
    RUN_KEY,
    SCORING,
    item,
    item_vectors,
    rows_of,
    user_vectors,
    write,
    write_vectors,
)


@pytest.fixture(scope="module")
def published(spark: SparkSession, home: Settings) -> pa.Table:
    """The recommendations that are published before the invalid run."""
    publish(Lake.open(home, RUN_KEY.source), stage_only_recommendations(spark))
    return recommendations_in(home)


def recommendations_in(home: Settings) -> pa.Table:
    return (
        Lake.open(home, RUN_KEY.source)
        .read("recommendations")
        .sort_by([("user_key", "ascending"), ("rank", "ascending")])
    )


def test_items_that_left_the_catalog_are_not_recommended(spark: SparkSession, home: Settings) -> None:
    lake = Lake.open(home, RUN_KEY.source)
    write(lake, "items", [item(name, number) for number, name in enumerate(ITEMS) if name != "i05"])
    try:
        smaller = build(spark, RUN_KEY, SCORING)
    finally:
        write(lake, "items", [item(name, number) for number, name in enumerate(ITEMS)])
    assert (smaller.facts["scored_items"], smaller.facts["lost_items"]) == ("11", "1")
    for table in smaller.tables:
        assert "i05" not in {
            value for row in rows_of(smaller, table) for value in row.values() if isinstance(value, str)
        }


@pytest.mark.parametrize(
    ("users", "items", "message"),
    [
        ({"ann": np.full(5, np.nan, np.float32)}, item_vectors(), "1 of 1 user vectors hold NaN"),
        (
            user_vectors(),
            np.where(np.eye(12, 5) > 0, np.float32(np.nan), item_vectors()),
            "5 of 12 item vectors hold NaN",
        ),
        ({"ann": np.ones(3, np.float32)}, item_vectors(), r"user vectors in .* are \[3\] wide, items 5"),
        ({"ann": np.ones(5, np.float32)}, item_vectors()[:, :4], "items.npy .* is .12, 4., .* width 5"),
    ],
)
def test_bad_vectors_end_in_one_clear_error(
    spark: SparkSession, home: Settings, published: pa.Table, users: dict[str, Vectors], items: Vectors, message: str
) -> None:
    folder = staging_folder(home, RUN_KEY) / "vectors"
    write_vectors(folder, users, items)
    try:
        with pytest.raises(ValueError, match=message):
            build(spark, RUN_KEY, SCORING)
    finally:
        write_vectors(folder, user_vectors(), item_vectors())
    assert recommendations_in(home) == published


@pytest.mark.parametrize(
    ("rules", "message"),
    [
        ("[shelf]\nmmr_lambda = 1.2", r"mmr_lambda is 1.2: Input should be less than or equal to 1"),
        ("[[arms]]\nname = 'a'\nshare = 1\nmmr_lambda = -0.1", r"mmr_lambda is -0.1: Input should be greater than"),
        ("[exclude]\nblocked_items_file = 'gone.csv'", r"gone.csv"),
        (f"[exclude]\nblocked_items = {ITEMS}", "The business rules exclude all 12 items of the catalog"),
    ],
)
def test_invalid_rules_end_in_one_clear_error(
    spark: SparkSession, home: Settings, published: pa.Table, tmp_path: Path, rules: str, message: str
) -> None:
    (tmp_path / "rules.toml").write_text(rules)
    with pytest.raises(ValueError, match=message):
        build(spark, RUN_KEY, SCORING.model_copy(update={"shelf_rules": tmp_path / "rules.toml"}))
    assert recommendations_in(home) == published


def test_unknown_ids_in_rules_are_counted_and_ignored(
    spark: SparkSession, home: Settings, published: pa.Table, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "blocked.csv").write_text("item_id\nno-such-item\nnor-this\n")
    (tmp_path / "rules.toml").write_text("[exclude]\nblocked_items_file = 'blocked.csv'\n[shelf]\nmmr_lambda = 1\n")
    staged = build(spark, RUN_KEY, SCORING.model_copy(update={"shelf_rules": tmp_path / "rules.toml"}))
    assert staged.facts["unknown_in_blocked_items"] == "2"
    assert "2 of blocked_items are not in the catalog and ignored, first 'no-such-item'" in capsys.readouterr().out
    assert len(rows_of(staged, "recommendations")) == len(rows_of(stage_only_recommendations(spark), "recommendations"))


def test_a_user_without_any_allowed_item_has_no_row_and_is_counted(spark: SparkSession, tmp_path: Path) -> None:
    (tmp_path / "opt_outs.csv").write_text("user_key,item_id\n" + "".join(f"eve,{name}\n" for name in ITEMS))
    (tmp_path / "rules.toml").write_text("[exclude]\nopt_outs_file = 'opt_outs.csv'\n")
    staged = stage_only_recommendations(spark, shelf_rules=tmp_path / "rules.toml")
    assert recommendations_of(staged, "eve") == []
    assert len(recommendations_of(staged, "ann")) == SCORING.top_k
    # cleo bought everything.
    assert staged.facts["shoppers_without_a_shelf"] == "2"


def test_missing_vectors_name_the_remedy(spark: SparkSession, home: Settings, published: pa.Table) -> None:
    with pytest.raises(FileNotFoundError, match="run the task embed_shelf"):
        build(spark, RunKey("shop", date(2026, 11, 19)), SCORING)
    assert recommendations_in(home) == published


def test_more_slots_than_items_give_every_item_once(spark: SparkSession, home: Settings) -> None:
    staged = stage_only_recommendations(spark, top_k=50)
    assert len(recommendations_of(staged, "eve")) == len(ITEMS)
    # cleo bought everything: no list is 50 long, and that of cleo is empty.
    assert staged.facts.pop("first_pass").startswith("float32: 30 pairs ")
    assert staged.facts == {"shoppers_without_a_shelf": "1", "shoppers_with_a_shorter_shelf": "4"}
