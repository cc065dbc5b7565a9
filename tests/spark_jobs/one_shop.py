"""A shop with files that a test writes, and the steps of its run as the jobs execute them."""

from dataclasses import dataclass
from datetime import date
from pathlib import Path
from typing import Any

import pyarrow as pa
from pyspark.sql import SparkSession

from pipeline_tasks.config.settings import SplitStrategy, settings
from pipeline_tasks.config.source_toml import Source
from pipeline_tasks.lake.lake import Lake
from pipeline_tasks.lake.staging import Manifest, publish
from pipeline_tasks.run_key import RunKey
from pipeline_tasks.sources.sources import load_source, register_source
from spark_jobs.clean_behavior import clean
from spark_jobs.cleaning.changed_days import active_rule_names
from spark_jobs.land_behavior import land
from spark_jobs.split_behavior import split

DAY = date(2026, 11, 20)

CLICKS = """
name = "clicks"
get = "ask the web team"

[events]
path = "events-{ds}.csv"
format = "csv"

[events.columns]
ts = "time"
event_type = "kind"
item_id = "item"
user_key = "who"
session_id = "visit"
price = "price"
quantity = "units"
query = "words"
"""
CATALOG = """
[items]
path = "items.csv"
format = "csv"
[items.columns]
item_id = "sku"
title = "name"
price = "price"
[items.attributes]
size = "size"
color = "split(color, '/')"
"""
USERS = """
[users]
path = "users.csv"
format = "csv"
[users.columns]
user_key = "who"
[users.attributes]
club = "club"
"""
HEADER = "time,kind,item,who,visit,price,units,words"


@dataclass
class ShopFixture:
    """Runs the steps in this process, on the Spark session of the test."""

    spark: SparkSession
    files: Path
    source: Source | None = None

    def describe(self, toml: str = CLICKS) -> "ShopFixture":
        """Use this TOML, which lies among the shop's files."""
        path = self.files / "shop.toml"
        path.write_text(toml)
        self.source = register_source(path)
        return self

    def preset(self, name: str, folder: Path) -> "ShopFixture":
        """Use a preset on the files in `folder`."""
        self.source = load_source(name, str(folder))
        return self

    def deliver(self, *lines: str, day: date = DAY, header: str = HEADER) -> Path:
        """Write the CSV that the shop delivers for a day."""
        path = self.files / f"events-{day}.csv"
        path.write_text("\n".join((header, *lines)) + "\n")
        return path

    @property
    def lake(self) -> Lake:
        return Lake.open(settings(), self._source.name)

    @property
    def _source(self) -> Source:
        return self.source or self.describe()._source

    def land(self, ds: date = DAY, window_days: int = 1) -> None:
        land(self.spark, self._source, ds, window_days)

    def clean(self, ds: date = DAY, window_days: int = 1, rules: str | None = None) -> Manifest:
        """Clean and publish."""
        on = active_rule_names(self._source, rules)
        manifest = clean(self.spark, self._source, RunKey(self._source.name, ds), window_days, on)
        publish(self.lake, manifest)
        return manifest

    def split(self, ds: date = DAY, window_days: int = 1, strategy: SplitStrategy | None = "temporal") -> Manifest:
        """Split and publish."""
        manifest = split(self.spark, RunKey(self._source.name, ds), window_days, strategy, self._source.timezone)
        publish(self.lake, manifest)
        return manifest

    def run(self, ds: date = DAY, window_days: int = 1, rules: str | None = None) -> Manifest:
        """Land and clean."""
        self.land(ds, window_days)
        return self.clean(ds, window_days, rules)

    def rows(self, table: str, *columns: str) -> list[dict[str, Any]]:
        """Return all published rows of a table, in the order of their text."""
        read: pa.Table = self.lake.read(table, columns=columns or ("*",))
        rows: list[dict[str, Any]] = read.to_pylist()
        return sorted(rows, key=str)

    def outcomes(self, ds: date | None = None) -> dict[str, int]:
        """Return the events of the reconciliation by rule, 'rows_in' and 'event' by outcome."""
        counts: dict[str, int] = {}
        for row in self.rows("reconciliation"):
            if ds in (None, row["ds"]) and not row["outcome"].startswith(("items_", "users_")):
                name = row["rule"] if row["outcome"] in ("quarantine", "duplicate") else row["outcome"]
                counts[name] = counts.get(name, 0) + row["rows"]
        return counts

    def catalog_outcomes(self) -> dict[str, int]:
        """Return the records of catalogs and lists of users by outcome."""
        counts: dict[str, int] = {}
        for row in self.rows("reconciliation"):
            if row["outcome"].startswith(("items_", "users_")):
                counts[row["outcome"]] = counts.get(row["outcome"], 0) + row["rows"]
        return counts
