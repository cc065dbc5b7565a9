from datetime import date
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq

from pipeline_tasks.lake.parquet_footers import FileDay, file_days

MONDAY, TUESDAY = date(2026, 11, 23), date(2026, 11, 24)


def write(path: Path, days: list[date | None], group_rows: int = 1_000) -> str:
    path.parent.mkdir(parents=True, exist_ok=True)
    table = pa.table({"id": list(range(len(days))), "ds": pa.array(days, pa.date32())})
    pq.write_table(table, path, row_group_size=group_rows)
    return str(path)


def test_the_day_of_a_file_of_one_day(tmp_path: Path) -> None:
    file = write(tmp_path / "a.parquet", [MONDAY] * 5, group_rows=2)
    assert file_days([file]) == [FileDay(file, MONDAY, 5)]


def test_a_file_of_several_days_or_of_rows_without_one_has_none(tmp_path: Path) -> None:
    cases: list[list[date | None]] = [[MONDAY, TUESDAY], [MONDAY, None], [None, None]]
    files = [write(tmp_path / f"{number}.parquet", days) for number, days in enumerate(cases)]
    files.append(write(tmp_path / "groups.parquet", [MONDAY, MONDAY, TUESDAY, TUESDAY], group_rows=2))
    assert [(day.ds, day.rows) for day in file_days(files)] == [(None, 2), (None, 2), (None, 2), (None, 4)]


def test_a_file_without_the_column_has_none(tmp_path: Path) -> None:
    file = tmp_path / "bare.parquet"
    pq.write_table(pa.table({"id": [1]}), file)
    assert file_days([str(file)]) == [FileDay(str(file), None, 1)]


def test_local_uris_are_read_as_spark_and_iceberg_write_them(tmp_path: Path) -> None:
    write(tmp_path / "a folder" / "a.parquet", [MONDAY])
    spark, iceberg = (f"{scheme}{tmp_path}/a%20folder/a.parquet" for scheme in ("file:", "file://"))
    assert [day.ds for day in file_days([spark, iceberg])] == [MONDAY, MONDAY]
