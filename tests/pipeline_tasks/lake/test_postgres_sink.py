import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import date
from functools import partial
from pathlib import Path
from threading import Barrier
from typing import Any

import psycopg
import pyarrow as pa
import pytest

from pipeline_tasks.config.settings import Settings
from pipeline_tasks.lake import postgres_sink
from pipeline_tasks.lake.lake import Lake
from pipeline_tasks.lake.postgres_sink import SinkError, copy_recommendations
from pipeline_tasks.lake.staging import Manifest, StagedTable, publish
from pipeline_tasks.run_key import RunKey
from pipeline_tasks.tables.contracts import TABLES
from pipeline_tasks.tables.schemas import arrow_schema
from tests.pipeline_tasks.lake.postgres_server import PostgresServer, programs

if programs() is None:
    pytest.skip("PostgreSQL is not installed: apt-get install postgresql", allow_module_level=True)

FIRST, SECOND = date(2026, 11, 20), date(2026, 11, 21)


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[PostgresServer]:
    started = PostgresServer(tmp_path_factory.mktemp("postgres"))
    yield started
    started.kill()


@pytest.fixture
def settings(server: PostgresServer, tmp_path: Path) -> Iterator[Settings]:
    yield Settings(home=tmp_path, postgres_sink=server.dsn)
    with psycopg.connect(server.dsn) as connection:
        connection.execute("DROP SCHEMA IF EXISTS shop CASCADE")


def staged(settings: Settings, ds: date, model: str, reason: str = "popular", users: int = 2) -> Manifest:
    """Stage two items for each of the users, and one for everyone."""
    common = {"reason": reason, "model_version": model, "ds": ds}
    rows_by_user = [
        {"user_key": f"u{user}", "rank": rank, "item_id": f"i{rank}", "score": 1 / rank, "arm": "control"} | common
        for user in range(users)
        for rank in (1, 2)
    ]
    everyone = [{"segment": "everyone", "rank": 1, "item_id": "i1", "score": 0.5} | common]
    lake, tables = Lake.open(settings, "shop"), {}
    for name, rows in (("recommendations", rows_by_user), ("fallback_recommendations", everyone)):
        files = lake.write_arrow(name, pa.Table.from_pylist(rows, schema=arrow_schema(TABLES[name])))
        tables[name] = StagedTable(days=[ds], files=files, rows=len(rows))
    return Manifest(source="shop", ds=ds, step="recommend", tables=tables)


def published(settings: Settings, ds: date, model: str, reason: str = "popular") -> RunKey:
    """Publish the run in the lake."""
    publish(Lake.open(settings, "shop"), staged(settings, ds, model, reason))
    return RunKey("shop", ds)


def select(server: PostgresServer, query: str) -> list[tuple[Any, ...]]:
    with psycopg.connect(server.dsn) as connection:
        return connection.execute(query).fetchall()


def published_days(server: PostgresServer) -> list[tuple[Any, ...]]:
    return select(server, "SELECT ds, model_version, count(*) FROM shop.recommendations GROUP BY 1, 2 ORDER BY 1")


def test_rows_arrive_as_they_are(server: PostgresServer, settings: Settings) -> None:
    tricky = 'because you bought "Tea, green"\nand a cup'
    assert copy_recommendations(settings, published(settings, FIRST, "m/1", tricky)) == {
        "recommendations": 4,
        "fallback_recommendations": 1,
    }
    rows = select(server, "SELECT * FROM shop.recommendations WHERE user_key = 'u0' ORDER BY rank")
    assert rows[0] == ("u0", 1, "i1", 1.0, tricky, "control", "m/1", FIRST)
    assert select(server, "SELECT segment, reason FROM shop.fallback_recommendations") == [("everyone", tricky)]


def test_a_run_replaces_only_its_own_partition(server: PostgresServer, settings: Settings) -> None:
    for ds, model in ((FIRST, "m/1"), (SECOND, "m/1"), (SECOND, "m/2")):
        copy_recommendations(settings, published(settings, ds, model))
    assert published_days(server) == [(FIRST, "m/1", 4), (SECOND, "m/2", 4)]
    partitions = select(
        server,
        "SELECT c.relname FROM pg_inherits JOIN pg_class c ON c.oid = inhrelid "
        "WHERE inhparent = 'shop.recommendations'::regclass ORDER BY 1",
    )
    assert partitions == [("recommendations_20261120",), ("recommendations_20261121",)]
    left = select(server, "SELECT count(*) FROM pg_tables WHERE schemaname = 'shop' AND tablename LIKE '%recommend%'")
    assert left == [(6,)], "two parents with two partitions each, and nothing half made"


def test_a_repeated_copy_gives_the_same_rows(server: PostgresServer, settings: Settings) -> None:
    run_key = published(settings, FIRST, "m/1")
    assert copy_recommendations(settings, run_key) == copy_recommendations(settings, run_key)
    assert published_days(server) == [(FIRST, "m/1", 4)]


def test_staged_but_unpublished_rows_never_reach_postgres(server: PostgresServer, settings: Settings) -> None:
    """A commit that fails leaves both on the old run, and so does a sink that runs all the same."""
    run_key = published(settings, FIRST, "m/1")
    copy_recommendations(settings, run_key)
    staged(settings, FIRST, "m/2")
    copy_recommendations(settings, run_key)
    assert published_days(server) == [(FIRST, "m/1", 4)]


def test_a_run_that_the_lake_lacks_is_refused(settings: Settings) -> None:
    staged(settings, SECOND, "m/1")
    with pytest.raises(SinkError, match="shop 2026-11-21 has no published recommendations and fallback_recommend"):
        copy_recommendations(settings, RunKey("shop", SECOND))


def test_a_run_of_anonymous_sessions_alone_has_no_recommendations(server: PostgresServer, settings: Settings) -> None:
    copy_recommendations(settings, published(settings, FIRST, "m/1"))
    manifest = staged(settings, FIRST, "m/2")
    manifest.tables["recommendations"] = StagedTable(days=[FIRST], files=[], rows=0)
    lake = Lake.open(settings, "shop")
    publish(lake, manifest)
    sunk = copy_recommendations(settings, RunKey("shop", FIRST))
    assert sunk == {"recommendations": 0, "fallback_recommendations": 1}
    assert published_days(server) == []
    # With profiles there are users, so the run was published only in part.
    profiles = pa.Table.from_pylist([{"user_key": "u0", "ds": FIRST}], schema=arrow_schema(TABLES["user_profiles"]))
    lake.commit("user_profiles", [FIRST], lake.write_arrow("user_profiles", profiles))
    with pytest.raises(SinkError, match="has no published recommendations: publish"):
        copy_recommendations(settings, RunKey("shop", FIRST))


def test_a_server_that_dies_during_the_copy_keeps_the_old_rows_and_the_next_copy_succeeds(
    server: PostgresServer, settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    copy_recommendations(settings, published(settings, FIRST, "m/1"))
    run_key = published(settings, FIRST, "m/2")
    whole = postgres_sink._as_csv

    def interrupted(files: list[str], columns: list[str]) -> Iterator[bytes]:
        yield from whole(files, columns)
        server.kill()
        # More than any buffer on the way holds, so that the loss is noticed within the copy.
        yield from (b"u,9,i,0.1,r,control,m,2026-11-20\n" * 100_000 for _ in range(20))

    monkeypatch.setattr(postgres_sink, "_as_csv", interrupted)
    with pytest.raises(SinkError, match=r"shop 2026-11-20 could not be copied into Postgres .* Postgres is unchanged"):
        copy_recommendations(settings, run_key)
    monkeypatch.undo()
    server.start()
    assert published_days(server) == [(FIRST, "m/1", 4)]
    assert Lake.open(settings, "shop").read("recommendations")["model_version"].unique().to_pylist() == ["m/2"]
    copy_recommendations(settings, run_key)
    assert published_days(server) == [(FIRST, "m/2", 4)]


def test_a_reader_that_stays_holds_up_the_swap_and_no_other_reader(server: PostgresServer, settings: Settings) -> None:
    copy_recommendations(settings, published(settings, FIRST, "m/1"))
    run_key, waits = published(settings, FIRST, "m/2"), [0.0]
    with psycopg.connect(server.dsn) as idle, ThreadPoolExecutor(1) as background:
        idle.execute("SELECT count(*) FROM shop.recommendations")
        swap, until = background.submit(copy_recommendations, settings, run_key), time.monotonic() + 20
        # Until the reads have waited for two attempts of the swap.
        while sum(wait > 0.2 for wait in waits) < 2 and time.monotonic() < until:
            started = time.monotonic()
            assert published_days(server) == [(FIRST, "m/1", 4)]
            waits.append(time.monotonic() - started)
        idle.commit()
        swap.result()
    assert 0.2 < max(waits) < 2
    assert published_days(server) == [(FIRST, "m/2", 4)]


def test_a_reader_that_keeps_its_transaction_open_keeps_the_old_rows(
    server: PostgresServer, settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    copy_recommendations(settings, published(settings, FIRST, "m/1"))
    monkeypatch.setattr(postgres_sink, "_PATIENCE", 1.0)
    with psycopg.connect(server.dsn) as idle:
        idle.execute("SELECT count(*) FROM shop.fallback_recommendations")
        with pytest.raises(SinkError, match=r"held the partition for 1 s.* then run sink_shelves again"):
            copy_recommendations(settings, published(settings, FIRST, "m/2"))
    assert published_days(server) == [(FIRST, "m/1", 4)]


def test_two_runs_that_are_swapped_at_once_do_not_deadlock(
    server: PostgresServer, settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    both = [published(settings, ds, "m/1") for ds in (FIRST, SECOND)]
    for run_key in both:
        copy_recommendations(settings, run_key)
    loaded, swap = Barrier(2), postgres_sink._replace_partitions

    def at_once(connection: psycopg.Connection, run_key: RunKey, fresh: dict[str, str]) -> None:
        loaded.wait(30)
        swap(connection, run_key, fresh)

    monkeypatch.setattr(postgres_sink, "_replace_partitions", at_once)
    with ThreadPoolExecutor(2) as threads:
        sunk = list(threads.map(partial(copy_recommendations, settings), both))
    assert sunk == [{"recommendations": 4, "fallback_recommendations": 1}] * 2


def test_duplicate_or_lost_rows_keep_the_old_rows(
    server: PostgresServer, settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    copy_recommendations(settings, published(settings, FIRST, "m/1"))
    run_key, whole = published(settings, FIRST, "m/2"), postgres_sink._as_csv
    monkeypatch.setattr(postgres_sink, "_rows", lambda _: 8)
    monkeypatch.setattr(postgres_sink, "_as_csv", lambda files, columns: whole(files * 2, columns))
    with pytest.raises(SinkError, match="could not create unique index"):
        copy_recommendations(settings, run_key)
    monkeypatch.setattr(postgres_sink, "_rows", lambda _: 9)
    with pytest.raises(SinkError, match="8 of 9 rows of recommendations arrived"):
        copy_recommendations(settings, run_key)
    assert published_days(server) == [(FIRST, "m/1", 4)]


def test_no_server_is_a_clear_error_without_the_password(settings: Settings) -> None:
    nobody = Settings(home=settings.home, postgres_sink="postgresql://shop:hush@127.0.0.1:1/shop")
    with pytest.raises(SinkError, match="correct NIGHTSHELF_POSTGRES_SINK, then run sink_shelves again") as raised:
        copy_recommendations(nobody, published(nobody, FIRST, "m/1"))
    assert "hush" not in str(raised.value)


def test_nothing_happens_without_a_dsn(tmp_path: Path) -> None:
    alone = Settings(home=tmp_path)
    assert copy_recommendations(alone, published(alone, FIRST, "m/1")) == {}
