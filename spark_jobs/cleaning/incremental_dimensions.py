"""What earlier nights' catalogs and users tell tonight's, so that both cost the day and not the history.

Every night keeps with its tables `items` and `users` what they were made from: a digest of its window's landed days and
of the rules. Where those days would still be cleaned to the same events, the tables say of them all that is needed, and
tonight goes on from there. A late event changes its day, so the search goes on to the night before that day.
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
from spark_jobs.cleaning.changed_days import cleaning_method, day_mark
from spark_jobs.cleaning.map_catalog import FIELDS
from spark_jobs.common.stage_table import read_table
from spark_jobs.landing.landing_reader import LandingReader

_TOLD: Final = {"items": ("last_seen", "last_price"), "users": ("last_seen", "attributes")}
"""What a table says of its window beside the key and first_seen."""
_LAST: Final = {"items": ("listed", *FIELDS, "attributes"), "users": ()}
"""What is asked of the last night alone, whichever is gone on from."""
EARLIER: Final = "earlier_"
"""Begins the name of an earlier night's column."""


class IncrementalDimensions:
    """The tables `items` and `users` of earlier nights, and the days of tonight's window that they do not tell of."""

    def __init__(self, landed: LandingReader, lake: Lake, night: RunKey, window: Sequence[date]) -> None:
        self._landed, self._lake, self._night, self._window = landed, lake, night, window
        self.continued: date | None = None
        """The night that is gone on from."""

    @property
    def days(self) -> list[date]:
        """The days whose events must be looked at."""
        return [day for day in self._window if self.continued is None or day > self.continued]

    def resume(self, on: Sequence[str], limits: CleaningSettings) -> "IncrementalDimensions":
        """Choose the latest night of the window that can be gone on from."""
        shared = set.intersection(*(set(self._nights(name)) for name in _TOLD))
        for ds, days, digest in sorted(shared, reverse=True):
            if digest == input_digest(self._landed, RunKey(self._night.source, ds).window(days), on, limits):
                self.continued = ds
                break
        return self

    def rows(self, name: str) -> DataFrame:
        """Return the earlier rows of `items` or `users`: the key, earlier_first_seen, and earlier_… of what is told.

        Of the last night before this one, even where it is not gone on from: when something was first seen, and what
        the catalog said of it.
        """
        key, said = TABLES[name].key[-1], (*_TOLD[name], *_LAST[name])
        last = max(
            (day for day in self._lake.days(name) if day < self._night.ds), default=self._window[0] - timedelta(1)
        )
        rows = self._read(name, last, () if last == self.continued else _TOLD[name])
        if self.continued is not None and self.continued != last:
            both = self._read(name, self.continued, _LAST[name]).unionByName(rows)
            told = [F.max(column).alias(column) for column in said]
            rows = both.groupBy(key).agg(F.min("first_seen").alias("first_seen"), *told)
        return rows.select(key, *(F.col(column).alias(EARLIER + column) for column in ("first_seen", *said)))

    def _read(self, name: str, ds: date, unsaid: Sequence[str]) -> DataFrame:
        """Return the night's rows, NULL in place of `unsaid`."""
        rows = read_table(self._landed.spark, self._lake, name, (ds, ds))
        told = rows.select(TABLES[name].key[-1], "first_seen", *_TOLD[name], *_LAST[name])
        return told.withColumns({column: F.lit(None) for column in unsaid})

    def _nights(self, name: str) -> Iterator[tuple[date, int, str]]:
        """Yield night, days of its window and digest of the nights that tell of all tonight's days up to their own."""
        seen = set()
        for facts in self._lake.history(name):
            if "made_from" not in facts or facts["night"] in seen:
                continue
            # The newest commit of a night is the one that is read; what it replaced says nothing.
            seen.add(facts["night"])
            ds, days = parse_day(facts["night"]), int(facts["window_days"])
            if self._window[0] <= ds < self._night.ds and ds - timedelta(days=days - 1) <= self._window[0]:
                yield ds, days, facts["made_from"]


def input_digest(landed: LandingReader, window: Sequence[date], on: Sequence[str], limits: CleaningSettings) -> str:
    """Return a digest of all that decides the catalog and the users of a window."""
    method, source = cleaning_method(landed.source, on, limits), landed.source
    forms = [form.model_dump_json() for form in (source.items, source.users) if form is not None]
    marks = [f"{day} {day_mark(landed, day, method)}" for day in window]
    return hashlib.sha256("\n".join([*forms, *marks]).encode()).hexdigest()[:16]
