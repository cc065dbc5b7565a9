"""Reads some tables of the lake for a page: one consistent state, few days, and limits on rows, time and memory."""

import threading
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from datetime import date
from typing import Any, Final

import duckdb
from pyiceberg.catalog import Catalog

from pipeline_tasks.config.settings import Settings
from pipeline_tasks.lake.catalog import open_catalog, read_state
from pipeline_tasks.lake.lake import Days, Lake
from pipeline_tasks.lake.lake_sql import view_query

MOST_ROWS: Final = 500
"""Rows of one list on a page."""
_SECONDS: Final = 5.0
_MEMORY: Final = "512MB"
_MOST_CACHED: Final = 512
Row = dict[str, Any]
_files: dict[tuple[str, Days | None], list[str]] = {}
"""Files by metadata file and days. Listing takes 20 ms a table, and a metadata file never changes."""
_days: dict[str, list[date]] = {}
"""Published days by metadata file."""
_catalogs: dict[tuple[str, ...], Catalog] = {}


class TableReader:
    """Queries over the tables that a page has opened."""

    def __init__(self, database: duckdb.DuckDBPyConnection) -> None:
        self._database = database

    def rows(self, sql: str, parameters: Mapping[str, object] | None = None) -> list[Row]:
        """Return at most `MOST_ROWS` rows, each by column name.

        Raises:
            TimeoutError: the query took longer than five seconds.
            OSError: a file of the tables cannot be read.
        """
        timer = threading.Timer(_SECONDS, self._database.interrupt)
        timer.start()
        try:
            result = self._database.execute(sql, parameters)
            names = [column[0] for column in result.description or []]
            return [dict(zip(names, row, strict=True)) for row in result.fetchmany(MOST_ROWS)]
        except duckdb.InterruptException:
            raise TimeoutError(f"Reading the tables took longer than {_SECONDS:.0f} seconds: try again later") from None
        except duckdb.IOException as error:
            raise OSError(f"A file of the tables cannot be read: {error}") from None
        finally:
            timer.cancel()


@contextmanager
def open_tables(settings: Settings, source: str, tables: Mapping[str, Days | None]) -> Iterator[TableReader]:
    """Open the tables with rows of the days (None: all days) and nothing else; a table without files is empty."""
    catalog = kept_catalog(settings)
    lake = Lake(catalog, source, read_state(catalog, [(source, name) for name in tables]))
    with duckdb.connect(config={"memory_limit": _MEMORY, "threads": 2, "temp_directory": ""}) as database:
        database.execute("SET TimeZone = 'UTC'")
        for name, days in tables.items():
            database.execute(f"CREATE VIEW {name} AS {view_query(name, list_files(lake, name, days))}")
        yield TableReader(database)


def list_files(lake: Lake, name: str, days: Days | None) -> Sequence[str]:
    """Return the files of a table as `Lake.files` does, from memory where its metadata file was listed before."""
    table = lake.present(name)
    if table is None:
        return []
    key = (table.metadata_location, days)
    if key not in _files:
        if len(_files) >= _MOST_CACHED:
            _files.clear()
        _files[key] = lake.files(name, days)
    return _files[key]


def published_days(settings: Settings, source: str) -> list[date]:
    """Return the days with published recommendations, newest first. Every run has fallback recommendations."""
    catalog = kept_catalog(settings)
    name = "fallback_recommendations"
    lake = Lake(catalog, source, read_state(catalog, [(source, name)]))
    table = lake.present(name)
    if table is None:
        return []
    if table.metadata_location not in _days:
        if len(_days) >= _MOST_CACHED:
            _days.clear()
        _days[table.metadata_location] = lake.days(name)[::-1]
    return _days[table.metadata_location]


def kept_catalog(settings: Settings) -> Catalog:
    """Return the catalog of the settings, which is opened once: opening takes as long as reading a table's state."""
    uri = settings.lake_catalog_uri.get_secret_value() if settings.lake_catalog_uri else ""
    place = (
        str(settings.home),
        settings.lake_warehouse or "",
        uri,
        *map("=".join, settings.lake_catalog_properties.items()),
    )
    if place not in _catalogs:
        _catalogs[place] = open_catalog(settings)
    return _catalogs[place]
