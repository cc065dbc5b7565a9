from pathlib import Path

import duckdb
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from pipeline_tasks.errors import DamagedFileError, damaged_file_error, day_of_file, job_errors
from pipeline_tasks.lake.parquet_footers import footer_bounds


def damaged(path: Path) -> Path:
    path.parent.mkdir(parents=True)
    pq.write_table(pa.table({"item_id": ["a"] * 100}), path)
    path.write_bytes(path.read_bytes()[:-20])
    return path


@pytest.mark.parametrize(
    ("file", "remedy"),
    [
        (
            "landing/shop/items/ds=2026-11-19/arrived=2026-11-20/part-0.parquet",
            "Land that day again: deliver the files of 2026-11-20 again (or touch them), then nightshelf run "
            "--source shop --date 2026-11-20",
        ),
        (
            "lake/shop/events/data/5f/_ds=2026-11-19/part-0.parquet",
            "Move it away, then nightshelf run --source shop --date 2026-11-19: that day is cleaned again from what "
            "was landed",
        ),
        (
            "lake/shop/recommendations/data/5f/2026-11-19.parquet",
            "Run that day again: nightshelf run --source shop --date 2026-11-19",
        ),
        ("elsewhere/part-0.parquet", "Deliver it again, or run the step that made it again"),
    ],
)
def test_the_error_of_a_damaged_file_names_the_file_and_the_remedy(tmp_path: Path, file: str, remedy: str) -> None:
    path = damaged(tmp_path / file)
    with pytest.raises(DamagedFileError) as raised:
        footer_bounds(str(path))
    assert str(raised.value).startswith(f"{path} cannot be read (Parquet magic bytes not found in footer")
    assert str(raised.value).endswith(f". {remedy}")
    with pytest.raises(SystemExit) as ended, job_errors(), duckdb.connect() as connection:
        connection.execute("SELECT * FROM read_parquet(?)", [str(path)])
    assert isinstance(ended.value.code, str)
    assert "\n" not in ended.value.code
    assert f"{path} cannot be read (" in ended.value.code
    assert ended.value.code.endswith(f". {remedy}")


def test_the_error_of_a_missing_file_names_the_file(tmp_path: Path) -> None:
    with pytest.raises(DamagedFileError, match=r"gone\.parquet cannot be read"):
        footer_bounds(str(tmp_path / "gone.parquet"))


def test_the_day_of_a_table_file_is_read_from_its_path() -> None:
    assert day_of_file("/lake/shop/events/data/5f/_ds=2026-11-19/part-0.parquet").isoformat() == "2026-11-19"
    with pytest.raises(ValueError, match="is not a file of a table"):
        day_of_file("/data/events.parquet")
    assert str(damaged_file_error("/a.parquet", "cut off.")).startswith("/a.parquet cannot be read (cut off). ")
