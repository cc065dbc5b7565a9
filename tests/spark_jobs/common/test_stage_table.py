from datetime import date
from pathlib import Path

import pyarrow as pa
from pyspark.sql import SparkSession

from pipeline_tasks.config.settings import Settings
from pipeline_tasks.lake.lake import Lake
from pipeline_tasks.lake.staging import StagedTable
from pipeline_tasks.tables.contracts import TABLES
from pipeline_tasks.tables.schemas import arrow_schema
from spark_jobs.common.stage_table import read_table

DAYS = [date(2026, 11, day) for day in (18, 19, 20)]


def users(key: str, *days: date) -> pa.Table:
    rows = [{"user_key": key, "first_seen": day, "last_seen": day, "ds": day} for day in days]
    return pa.Table.from_pylist(rows, schema=arrow_schema(TABLES["users"]))


def test_staged_days_replace_the_published_ones_of_a_snapshot(spark: SparkSession, tmp_path: Path) -> None:
    lake = Lake.open(Settings(home=tmp_path), "shop")
    earlier = lake.commit("users", DAYS, lake.write_arrow("users", users("earlier", *DAYS)))
    lake.commit("users", DAYS, lake.write_arrow("users", users("now", *DAYS)))
    files = lake.write_arrow("users", users("staged", DAYS[2]))
    staged = StagedTable(days=DAYS[1:], files=files, rows=1)

    def found(**of: object) -> list[tuple[date, str]]:
        return sorted((row.ds, row.user_key) for row in read_table(spark, lake, "users", **of).collect())  # type: ignore[arg-type]

    assert found() == [(day, "now") for day in DAYS]
    assert found(snapshot_id=earlier, days=(DAYS[0], DAYS[1])) == [(day, "earlier") for day in DAYS[:2]]
    assert found(staged=staged) == [(DAYS[0], "now"), (DAYS[2], "staged")]
    assert found(staged=staged, snapshot_id=earlier) == [(DAYS[0], "earlier"), (DAYS[2], "staged")]
