"""What a real Postgres holds after the lake went back, and after a user was forgotten."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import psycopg
import pytest

from pipeline_tasks.config.settings import Settings
from pipeline_tasks.lake.postgres_sink import SinkError, sink_night
from pipeline_tasks.maintenance.erase_users import erase_users
from pipeline_tasks.maintenance.roll_back_night import choose_rollback_target, return_tables
from pipeline_tasks.maintenance.sync_postgres import sync_days
from pipeline_tasks.run_key import RunKey
from pipeline_tasks.sources.erased import remember
from tests.pipeline_tasks.lake.postgres_server import PostgresServer, programs
from tests.pipeline_tasks.maintenance.found_text import files_with
from tests.pipeline_tasks.maintenance.shelved_shop import FIRST, SECOND, SOURCE, THIRD, publish_shelves

if programs() is None:
    pytest.skip("PostgreSQL is not installed: apt-get install postgresql", allow_module_level=True)


@pytest.fixture
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[PostgresServer]:
    started = PostgresServer(tmp_path_factory.mktemp("postgres"))
    yield started
    started.kill()


@pytest.fixture
def sunk(server: PostgresServer, tmp_path: Path) -> Settings:
    """Three nights in the lake and in Postgres, the second made twice."""
    settings = Settings(home=tmp_path, postgres_sink=server.dsn)
    for ds, version in ((FIRST, "1"), (SECOND, "1"), (SECOND, "2"), (THIRD, "3")):
        publish_shelves(settings, ds, version, ("ann-7731", "bob"))
        sink_night(settings, RunKey(SOURCE, ds))
    return settings


def rows(server: PostgresServer, columns: str = "ds, item_id") -> set[tuple[Any, ...]]:
    with psycopg.connect(server.dsn) as connection:
        return set(connection.execute(f"SELECT DISTINCT {columns} FROM {SOURCE}.recommendations").fetchall())


def test_nights_that_went_from_the_lake_go_and_changed_ones_are_swapped(server: PostgresServer, sunk: Settings) -> None:
    way = choose_rollback_target(sunk, SOURCE, "tables", FIRST)
    days = {day for one in return_tables(sunk, way) for day in one.days}
    assert days == {day for one in return_tables(sunk, way) for day in one.days}, "a second attempt tells the same days"
    assert sync_days(sunk, SOURCE, days) == {"2026-11-20": "dropped", "2026-11-21": "dropped"}
    assert rows(server) == {(FIRST, "i1")}
    again = choose_rollback_target(sunk, SOURCE, "tables", THIRD)
    days = {day for one in return_tables(sunk, again) for day in one.days}
    assert sync_days(sunk, SOURCE, days) == {"2026-11-20": "as in the lake", "2026-11-21": "as in the lake"}
    assert rows(server) == {(FIRST, "i1"), (SECOND, "i2"), (THIRD, "i3")}


def test_a_forgotten_shopper_is_in_no_night(server: PostgresServer, sunk: Settings) -> None:
    remember(sunk, SOURCE, ["ann-7731"])
    assert erase_users(with_store(sunk), SOURCE).postgres_rows == 3
    assert rows(server, "ds, user_key") == {(FIRST, "bob"), (SECOND, "bob"), (THIRD, "bob")}
    assert erase_users(with_store(sunk), SOURCE).postgres_rows == 0


def with_store(settings: Settings) -> Settings:
    return settings.model_copy(update={"mlflow_tracking_uri": f"sqlite:///{settings.home}/mlflow.db"})


def test_a_server_that_is_away_is_named_and_the_lake_has_done_its_part(server: PostgresServer, sunk: Settings) -> None:
    remember(sunk, SOURCE, ["ann-7731"])
    server.kill()
    with pytest.raises(SinkError, match=r"did not forget users of shop .*NIGHTSHELF_POSTGRES_SINK, then run the"):
        erase_users(with_store(sunk), SOURCE)
    assert files_with(sunk.home / "lake", "ann-7731") == []
    server.start()
    assert erase_users(with_store(sunk), SOURCE).postgres_rows == 3
