import re
from datetime import date, timedelta
from pathlib import Path

import pytest

from pipeline_tasks.sources.source_files import day_pattern, find_days, find_files, fingerprint, full_pattern

DAY = date(2026, 11, 20)


def test_files_of_a_day(tmp_path: Path) -> None:
    for name in ("ds=2026-11-20/a.json", "ds=2026-11-20/deep/b.json", "ds=2026-11-19/c.json"):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text("{}")
    found = [Path(file.path).name for file in find_files(f"{tmp_path}/ds={{ds}}/*.json", DAY)]
    assert found == ["a.json", "b.json"]
    assert find_files(f"{tmp_path}/ds={{ds}}/*.csv", DAY) == []
    assert find_files(f"{tmp_path}/nothing-{{ds}}.csv", DAY) == []


@pytest.mark.parametrize(
    "pattern", ["log-{ds}.csv", "log-{ds}*.csv", "ds={ds}/*", "ds={ds}/a-{ds}.csv", "*-{ds}*", "log*.csv", "none-{ds}*"]
)
@pytest.mark.parametrize("scheme", ["", "file://"])
def test_a_window_finds_what_each_of_its_days_finds(pattern: str, scheme: str, tmp_path: Path) -> None:
    days = [DAY - timedelta(days) for days in (2, 1, 0)]
    for day in [*days, DAY + timedelta(1)]:
        for name in (f"log-{day}.csv", f"log-{day}-2.csv", f"ds={day}/a-{day}.csv", f"ds={day}/of-2026-11-19/b"):
            (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
            (tmp_path / name).write_text(name)
    wanted = f"{scheme}{tmp_path}/{pattern}"
    found = find_days(wanted, days)
    assert found == {day: find_files(wanted, day) for day in days}
    assert list(found) == days
    assert all(file.path.startswith(f"{scheme}{tmp_path}/") for files in found.values() for file in files)
    assert any(found.values()) == (pattern != "none-{ds}*")


def test_the_day_of_delivery_is_read_from_the_path() -> None:
    for pattern, path in (
        ("events/ds={ds}/*", "file:///data/events/ds=2026-11-20/part-0.txt"),
        ("log-{ds}.csv.gz", "s3a://bucket/log-2026-11-20.csv.gz"),
    ):
        found = re.search(day_pattern(pattern), path)
        assert found
        assert found.group(1) == "2026-11-20"


def test_the_source_may_be_the_very_file(tmp_path: Path) -> None:
    (tmp_path / "orders.parquet").write_text("")
    assert full_pattern(str(tmp_path / "orders.parquet"), "log.parquet") == str(tmp_path / "orders.parquet")
    assert full_pattern(str(tmp_path), "log.parquet") == str(tmp_path / "log.parquet")


def test_a_changed_file_changes_the_fingerprint(tmp_path: Path) -> None:
    file = tmp_path / "a.csv"
    file.write_text("1")
    before = fingerprint(find_files(str(file)))
    assert fingerprint(find_files(str(file))) == before
    assert fingerprint(find_files(str(file)), "read otherwise") != before
    file.write_text("12")
    assert fingerprint(find_files(str(file))) != before
