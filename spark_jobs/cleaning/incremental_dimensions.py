"""Builds `items` and `users` incrementally: an earlier run's tables stand for the days that they already cover.

Every run stores with its tables `items` and `users` a digest of the landed days of its window and of the rules. While
that digest is still valid, a later run resumes from those tables and reads only the events of the days after them. A
late event changes the digest of its day; the search then goes back to a run before that day.
"""

import hashlib
from collections.abc import Iterator, Sequence
from datetime import date, timedelta
from typing import Final

from pyspark.sql import DataFrame
from pyspark.sql import functions as F

from pipeline_tasks.config.settings import CleaningSettings
from pipeline_tasks.lake.lake import Lake
from pipeline_tasks.run_key import RunKey, parse_day
from pipeline_tasks.tables.contracts import TABLES
from spark_jobs.cleaning.changed_days import cleaning_method, day_fingerprint
from spark_jobs.cleaning.map_catalog import FIELDS
from spark_jobs.common.stage_table import read_table
from spark_jobs.landing.landing_reader import LandingReader

_WINDOW_COLUMNS: Final = {"items": ("last_seen", "last_price"), "users": ("last_seen", "attributes")}
"""Columns that summarize the window of a run, beside the key and first_seen."""
_LATEST_COLUMNS: Final = {"items": ("listed", *FIELDS, "attributes"), "users": ()}
"""Columns that are read from the latest earlier run alone, whichever run is resumed from."""
EARLIER: Final = "earlier_"
"""Prefix of the columns of an earlier run."""


class IncrementalDimensions:
    """The tables `items` and `users` of earlier runs, and the days of this run's window that they do not cover."""

    def __init__(self, landed: LandingReader, lake: Lake, run: RunKey, window: Sequence[date]) -> None:
        self._landed, self._lake, self._run, self._window = landed, lake, run, window
        self.resumed_from: date | None = None
        """Day of the run that is resumed from, None where all days are read."""

    @property
    def days(self) -> list[date]:
        """Days of the window from which events must be read."""
        return [day for day in self._window if self.resumed_from is None or day > self.resumed_from]

    def resume(self, active_rules: Sequence[str], limits: CleaningSettings) -> "IncrementalDimensions":
        """Choose the latest run within the window that can be resumed from; return self."""
        shared = set.intersection(*(set(self._candidates(name)) for name in _WINDOW_COLUMNS))
        for ds, days, digest in sorted(shared, reverse=True):
            if digest == input_digest(self._landed, RunKey(self._run.source, ds).window(days), active_rules, limits):
                self.resumed_from = ds
                break
        return self

    def rows(self, name: str) -> DataFrame:
        """Return the earlier rows of `items` or `users`: the key, earlier_first_seen and the other earlier_… columns.

        first_seen and the catalog's columns come from the latest run before this one, even where another is resumed
        from.
        """
        key, columns = TABLES[name].key[-1], (*_WINDOW_COLUMNS[name], *_LATEST_COLUMNS[name])
        last = max((day for day in self._lake.days(name) if day < self._run.ds), default=self._window[0] - timedelta(1))
        rows = self._read(name, last, () if last == self.resumed_from else _WINDOW_COLUMNS[name])
        if self.resumed_from is not None and self.resumed_from != last:
            both = self._read(name, self.resumed_from, _LATEST_COLUMNS[name]).unionByName(rows)
            merged = [F.max(column).alias(column) for column in columns]
            rows = both.groupBy(key).agg(F.min("first_seen").alias("first_seen"), *merged)
        return rows.select(key, *(F.col(column).alias(EARLIER + column) for column in ("first_seen", *columns)))

    def _read(self, name: str, ds: date, null_columns: Sequence[str]) -> DataFrame:
        """Return the rows of the run of `ds`, with NULL in `null_columns`."""
        table = read_table(self._landed.spark, self._lake, name, (ds, ds))
        rows = table.select(TABLES[name].key[-1], "first_seen", *_WINDOW_COLUMNS[name], *_LATEST_COLUMNS[name])
        return rows.withColumns({column: F.lit(None) for column in null_columns}) if null_columns else rows

    def _candidates(self, name: str) -> Iterator[tuple[date, int, str]]:
        """Yield (day, window days, digest) of the earlier runs that cover all days of the window up to their own."""
        seen = set()
        for facts in self._lake.history(name):
            if "made_from" not in facts or facts["night"] in seen:
                continue
            # Only the newest commit of a run is read; the older ones were replaced.
            seen.add(facts["night"])
            ds, days = parse_day(facts["night"]), int(facts["window_days"])
            if self._window[0] <= ds < self._run.ds and ds - timedelta(days=days - 1) <= self._window[0]:
                yield ds, days, facts["made_from"]


def input_digest(
    landed: LandingReader, window: Sequence[date], active_rules: Sequence[str], limits: CleaningSettings
) -> str:
    """Return a digest of everything that determines `items` and `users` of a window."""
    method, source = cleaning_method(landed.source, active_rules, limits), landed.source
    forms = [form.model_dump_json() for form in (source.items, source.users) if form is not None]
    fingerprints = [f"{day} {day_fingerprint(landed, day, method)}" for day in window]
    return hashlib.sha256("\n".join([*forms, *fingerprints]).encode()).hexdigest()[:16]
