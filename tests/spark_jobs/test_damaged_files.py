"""Damaged or deleted Parquet files of the landing and of the lake: they are named with a remedy, which works."""

import os
import shutil
from datetime import timedelta
from pathlib import Path

import pytest
from pyspark.sql import functions as F

from pipeline_tasks.config.settings import settings
from pipeline_tasks.errors import DamagedFileError, job_errors
from pipeline_tasks.sources.landing import Landing
from spark_jobs.common.stage_table import read_table
from tests.spark_jobs.one_shop import DAY, ShopFixture

pytestmark = pytest.mark.spark

BEFORE = DAY - timedelta(days=1)


@pytest.fixture
def cleaned(shop: ShopFixture) -> ShopFixture:
    for day in (BEFORE, DAY):
        shop.deliver(*(f"{day} 09:00:0{n},view,P{n},ann,s1,,," for n in range(5)), day=day)
        shop.run(day, window_days=2)
    return shop


def cut_off(path: Path) -> None:
    path.write_bytes(path.read_bytes()[:200])


def published(shop: ShopFixture) -> Path:
    [file] = shop.lake.files("events", (BEFORE, BEFORE))
    return Path(file)


def test_a_damaged_landed_file_is_named_and_landed_again(cleaned: ShopFixture) -> None:
    before = cleaned.rows("events")
    [file] = map(Path, Landing(settings(), "clicks", "events").files([DAY]))
    cut_off(file)
    with pytest.raises(DamagedFileError) as told:
        cleaned.clean(rules="bots")
    assert str(told.value).startswith(f"{file} cannot be read (Parquet magic bytes not found in footer")
    assert str(told.value).endswith(f"nightshelf run --source clicks --date {DAY}")
    assert cleaned.rows("events") == before, "nothing was overwritten"
    os.utime(cleaned.files / f"events-{DAY}.csv")
    cleaned.run(window_days=2)
    assert len(cleaned.rows("events")) == len(before)


@pytest.mark.parametrize("gone", [False, True])
def test_a_damaged_day_of_events_is_cleaned_again(
    cleaned: ShopFixture, gone: bool, capsys: pytest.CaptureFixture[str]
) -> None:
    before, file = cleaned.rows("events"), published(cleaned)
    file.unlink() if gone else cut_off(file)
    manifest = cleaned.run(window_days=2)
    assert manifest.tables["events"].days == [BEFORE]
    assert f"{file} cannot be read" in capsys.readouterr().out
    assert cleaned.rows("events") == before


def test_a_file_with_damaged_values_ends_in_one_line_with_the_remedy(
    cleaned: ShopFixture, capsys: pytest.CaptureFixture[str]
) -> None:
    file = published(cleaned)
    whole = file.read_bytes()
    file.write_bytes(whole[:4] + b"\xff" * 400 + whole[404:])
    with pytest.raises(SystemExit) as ended, job_errors():
        read_table(cleaned.spark, cleaned.lake, "events").select("item_id", "ts", "user_key").collect()
    assert isinstance(ended.value.code, str)
    assert "\n" not in ended.value.code
    assert f": {file} cannot be read (" in ended.value.code
    assert ended.value.code.endswith(
        f"Move it away, then nightshelf run --source clicks --date {BEFORE}: that day is cleaned again from what was "
        "landed"
    )


def test_any_failure_of_spark_ends_in_one_line(cleaned: ShopFixture, capsys: pytest.CaptureFixture[str]) -> None:
    failing = F.udf(lambda value: 1 // value, "int")
    with pytest.raises(SystemExit) as ended, job_errors():
        cleaned.spark.range(1).select(failing("id")).collect()
    assert isinstance(ended.value.code, str)
    assert "ZeroDivisionError" in ended.value.code
    assert "\n" not in ended.value.code
    assert "Traceback" in capsys.readouterr().err
    with pytest.raises(SystemExit) as ended, job_errors():
        cleaned.spark.sparkContext._jvm.java.io.FileReader("/nowhere/at/all")  # type: ignore[union-attr]
    assert ended.value.code == (
        "Py4JJavaError: FileNotFoundException: /nowhere/at/all (No such file or directory) (the trace above says where)"
    )


def test_deleted_files_are_landed_and_cleaned_again(shop: ShopFixture) -> None:
    shop.describe()
    shop.deliver("2026-11-19T10:00:00Z,view,P1,bob,s2,9.99,,", "2026-11-19T10:00:00Z,view,,bob,s2,9.99,,", day=BEFORE)
    shop.deliver("2026-11-20T10:00:00Z,view,P1,ann,s1,9.99,,")
    shop.run(window_days=2)
    tables = ("events", "quarantine", "reconciliation")
    rows = {name: shop.rows(name) for name in tables}
    for name in ("events", "quarantine"):
        for file in shop.lake.files(name, (BEFORE, BEFORE)):
            Path(file.removeprefix("file://")).unlink()
    landing = Landing(settings(), "clicks", "events")
    shutil.rmtree(Path(landing.files([DAY])[0]).parent)
    shop.run(window_days=2)
    assert {name: shop.rows(name) for name in tables} == rows
    assert "events" not in shop.clean(window_days=2).tables, "no day is changed any more"
