"""Deleted files of the lake or of the landing are written again by the next run."""

import shutil
from datetime import timedelta
from pathlib import Path

import pytest

from pipeline_tasks.config.settings import settings
from pipeline_tasks.sources.landing import Landing
from tests.spark_jobs.one_shop import DAY, OneShop

pytestmark = pytest.mark.spark


def test_deleted_files_are_landed_and_cleaned_again(shop: OneShop) -> None:
    before = DAY - timedelta(1)
    shop.describe()
    shop.deliver("2026-11-19T10:00:00Z,view,P1,bob,s2,9.99,,", "2026-11-19T10:00:00Z,view,,bob,s2,9.99,,", day=before)
    shop.deliver("2026-11-20T10:00:00Z,view,P1,ann,s1,9.99,,")
    shop.night(window_days=2)
    tables = ("events", "quarantine", "reconciliation")
    rows = {name: shop.rows(name) for name in tables}
    for name in ("events", "quarantine"):
        for file in shop.lake.files(name, (before, before)):
            Path(file.removeprefix("file://")).unlink()
    landing = Landing(settings(), "clicks", "events")
    shutil.rmtree(Path(landing.files([DAY])[0]).parent)
    shop.night(window_days=2)
    assert {name: shop.rows(name) for name in tables} == rows
    assert "events" not in shop.clean(window_days=2).tables, "no day is stale any more"
