from datetime import UTC, date, datetime
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from pyspark.sql import DataFrame, SparkSession

from pipeline_tasks.lake.parquet_footers import footer_bounds
from pipeline_tasks.quality.parquet_statistics import FooterStatistics, statistics_from_footers

pytestmark = pytest.mark.spark

MONDAY, TUESDAY = date(2026, 11, 23), date(2026, 11, 24)
EVENTS = "price double, position int, user_key string, session_id string, ts timestamp, arrived date, ds date"
Row = tuple[object, ...]


def event(price: float | None = 2.0, user: str | None = "u", session: str | None = "s", **days: date) -> Row:
    ds, arrived = days.get("ds", MONDAY), days.get("arrived", MONDAY)
    at = days.get("at", ds)
    return price, 1, user, session, datetime(at.year, at.month, at.day, 23, 59, 59, tzinfo=UTC), arrived, ds


def statistics_of(spark: SparkSession, folder: Path, *files: list[Row]) -> FooterStatistics:
    for number, rows in enumerate(files):
        spark.createDataFrame(rows, EVENTS).coalesce(1).write.parquet(f"{folder}/{number}")
    return statistics_from_footers(frame(spark, folder))


def frame(spark: SparkSession, folder: Path) -> DataFrame:
    return spark.read.schema(EVENTS).parquet(*[str(path) for path in folder.iterdir()])


def test_nulls_are_summed_over_files(spark: SparkSession, tmp_path: Path) -> None:
    found = statistics_of(spark, tmp_path, [event(None), event(user=None), event()], [event(None)])
    assert (found.nulls("price"), found.nulls("user_key"), found.nulls("ds")) == (2, 1, 0)
    assert found.nulls("nowhere") is None
    assert found.rows() == 4


def test_bounds_hold_for_every_file(spark: SparkSession, tmp_path: Path) -> None:
    found = statistics_of(spark, tmp_path, [event(0.0), event(None)], [event(5.0)])
    assert found.within("price", 0, 5)
    assert found.within("price", None, 5)
    assert not found.within("price", 0, 4.9)
    assert not found.within("price", 0, 5, above_low=True)
    assert not found.within("user_key", 0, 5), "the type rule refuses text"


@pytest.mark.parametrize("place", [0, 1, 2])
def test_nan_is_never_within(spark: SparkSession, tmp_path: Path, place: int) -> None:
    prices = [1.0, 2.0]
    prices.insert(place, float("nan"))
    assert not statistics_of(spark, tmp_path, [event(price) for price in prices]).within("price", 0, 5)


def test_floats_written_by_arrow_are_left_to_spark(spark: SparkSession, tmp_path: Path) -> None:
    """The footer gives the bounds 1 to 2, without the NaN."""
    pq.write_table(pa.table({"price": [1.0, float("nan"), 2.0], "position": [1, 2, 3]}), tmp_path / "0.parquet")
    assert footer_bounds(str(tmp_path / "0.parquet")).columns["price"] == (0, None, None)
    found = statistics_from_footers(frame(spark, tmp_path))
    assert not found.within("price", 0, 5)
    assert found.within("position", 1, 3)


def test_a_file_without_a_value_breaks_no_bounds(spark: SparkSession, tmp_path: Path) -> None:
    assert statistics_of(spark, tmp_path, [event(None)], [event(3.0)]).within("price", 0, 5)
    assert not statistics_of(spark, tmp_path / "more", [event(None)], [event(6.0)]).within("price", 0, 5)


def test_days_are_compared_within_a_file(spark: SparkSession, tmp_path: Path) -> None:
    found = statistics_of(spark, tmp_path, [event(arrived=TUESDAY)], [event(ds=TUESDAY, arrived=TUESDAY)])
    assert found.in_order(("ds", "arrived"))
    assert found.in_order(("ds", "ts", "ds"))
    assert not found.in_order(("arrived", "ds"))
    assert not found.in_order(("ds", "nowhere"))
    assert not found.in_order(())


def test_a_timestamp_of_another_day_is_found(spark: SparkSession, tmp_path: Path) -> None:
    assert not statistics_of(spark, tmp_path, [event(), event(at=TUESDAY)]).in_order(("ds", "ts", "ds"))


def test_one_column_given_is_enough(spark: SparkSession, tmp_path: Path) -> None:
    found = statistics_of(spark, tmp_path, [event(user=None)], [event(session=None)])
    assert found.any_given(("user_key", "session_id"))
    assert not found.any_given(("user_key",))
    assert not found.any_given(())


def test_rows_of_no_file_are_left_to_spark(spark: SparkSession) -> None:
    found = statistics_from_footers(spark.createDataFrame([event()], EVENTS))
    assert (found.nulls("price"), found.rows()) == (None, None)
    assert not found.within("price", 0, 5)
    assert not found.any_given(("user_key",))
