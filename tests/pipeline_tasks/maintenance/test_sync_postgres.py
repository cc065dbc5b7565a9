"""The rows in a real Postgres after a rollback and after an erasure."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import psycopg
import pytest

from pipeline_tasks.config.settings import Settings
from pipeline_tasks.lake.postgres_sink import SinkError, copy_recommendations
from pipeline_tasks.maintenance.erase_users import erase_users
from pipeline_tasks.maintenance.roll_back_night import choose_rollback_target, return_tables
from pipeline_tasks.maintenance.sync_postgres import sync_days
from pipeline_tasks.run_key import RunKey
from pipeline_tasks.sources.erased import record_erased_users
from tests.pipeline_tasks.lake.postgres_server import PostgresServer, programs
from tests.pipeline_tasks.maintenance.published_shop import FIRST, SECOND, SOURCE, THIRD, publish_day
from tests.pipeline_tasks.maintenance.search_files import files_with

if programs() is None:
    pytest.skip("PostgreSQL is not installed: apt-get install postgresql", allow_module_level=True)


@pytest.fixture
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[PostgresServer]:
    started = PostgresServer(tmp_path_factory.mktemp("postgres"))
    yield started
    started.kill()


@pytest.fixture
def sunk(server: PostgresServer, tmp_path: Path) -> Settings:
    """Three days in the lake and in Postgres, the second published twice."""
    settings = Settings(home=tmp_path, postgres_sink=server.dsn)
    for ds, version in ((FIRST, "1"), (SECOND, "1"), (SECOND, "2"), (THIRD, "3")):
        publish_day(settings, ds, version, ("ann-7731", "bob"))
        copy_recommendations(settings, RunKey(SOURCE, ds))
    return settings


def rows(server: PostgresServer, columns: str = "ds, item_id") -> set[tuple[Any, ...]]:
    with psycopg.connect(server.dsn) as connection:
        return set(connection.execute(f"SELECT DISTINCT {columns} FROM {SOURCE}.recommendations").fetchall())


def test_removed_days_are_dropped_and_changed_ones_replaced(server: PostgresServer, sunk: Settings) -> None:
    target = choose_rollback_target(sunk, SOURCE, "tables", FIRST)
    days = {day for one in return_tables(sunk, target) for day in one.days}
    assert days == {day for one in return_tables(sunk, target) for day in one.days}, (
        "a second attempt returns the same days"
    )
    assert sync_days(sunk, SOURCE, days) == {"2026-11-20": "dropped", "2026-11-21": "dropped"}
    assert rows(server) == {(FIRST, "i1")}
    again = choose_rollback_target(sunk, SOURCE, "tables", THIRD)
    days = {day for one in return_tables(sunk, again) for day in one.days}
    assert sync_days(sunk, SOURCE, days) == {"2026-11-20": "as in the lake", "2026-11-21": "as in the lake"}
    assert rows(server) == {(FIRST, "i1"), (SECOND, "i2"), (THIRD, "i3")}


def test_an_erased_user_is_in_no_day(server: PostgresServer, sunk: Settings) -> None:
    record_erased_users(sunk, SOURCE, ["ann-7731"])
    assert erase_users(with_store(sunk), SOURCE).postgres_rows == 3
    assert rows(server, "ds, user_key") == {(FIRST, "bob"), (SECOND, "bob"), (THIRD, "bob")}
    assert erase_users(with_store(sunk), SOURCE).postgres_rows == 0


def with_store(settings: Settings) -> Settings:
    return settings.model_copy(update={"mlflow_tracking_uri": f"sqlite:///{settings.home}/mlflow.db"})


def test_an_unreachable_server_is_reported_and_the_lake_is_changed(server: PostgresServer, sunk: Settings) -> None:
    record_erased_users(sunk, SOURCE, ["ann-7731"])
    server.kill()
    with pytest.raises(SinkError, match=r"did not erase users of shop .*NIGHTSHELF_POSTGRES_SINK, then run the"):
        erase_users(with_store(sunk), SOURCE)
    assert files_with(sunk.home / "lake", "ann-7731") == []
    server.start()
    assert erase_users(with_store(sunk), SOURCE).postgres_rows == 3
