from pathlib import Path

import pytest
from pyarrow import fs

from pipeline_tasks.lake.files import file_location, table_location


@pytest.mark.parametrize(
    ("file", "path"),
    [
        ("/data/a b%20c.csv", "/data/a b%20c.csv"),
        ("logs/a.csv", "logs/a.csv"),
        ("file:/data/a%20b.csv", "/data/a b.csv"),
        ("file:///data/a%20b.csv", "/data/a b.csv"),
    ],
)
def test_local_files_by_path_and_as_spark_writes_them(file: str, path: str) -> None:
    system, found = file_location(file)
    assert isinstance(system, fs.LocalFileSystem)
    assert found == path


def test_another_file_system_is_named_by_its_scheme() -> None:
    system, paths = table_location(["mock://shop/users/1.parquet", "mock://shop/users/2.parquet"])
    assert (system.type_name, paths) == ("mock", ["users/1.parquet", "users/2.parquet"])


def test_files_of_a_local_table(tmp_path: Path) -> None:
    files = [str(tmp_path / name) for name in ("a b.parquet", "c.parquet")]
    system, paths = table_location(files)
    assert (system.type_name, paths) == ("local", files)
