"""Brings an application's Postgres to the state of the lake after a rollback or an erasure."""

from collections.abc import Collection, Iterator
from contextlib import contextmanager
from datetime import date
from typing import TYPE_CHECKING, Final

from pipeline_tasks.config.settings import Settings
from pipeline_tasks.lake.lake import Lake
from pipeline_tasks.lake.postgres_sink import COPIED_TABLES, SinkError, copy_recommendations
from pipeline_tasks.run_key import RunKey
from pipeline_tasks.sources.erased import ErasedUsers
from pipeline_tasks.tables.contracts import TABLES

if TYPE_CHECKING:
    from psycopg import Connection

_LOCK_WAIT: Final = "10s"
"""Time to wait until readers release a partition."""


def sync_days(settings: Settings, source: str, days: Collection[date]) -> dict[str, str]:
    """Replace the rows of the days in Postgres by the lake's; days that the lake no longer has are dropped.

    Return what was done by day; an empty dict where no DSN is set.

    Raises:
        SinkError: the server cannot be reached, or refused. Finished days stay, and the call can be repeated.
    """
    if settings.postgres_sink is None or not days:
        return {}
    lake = Lake.open(settings, source)
    kept = {day for name in COPIED_TABLES for day in lake.days(name)}
    done = {}
    for day in sorted(days):
        if day in kept:
            copy_recommendations(settings, RunKey(source, day))
        else:
            with _connected(settings, f"drop {source} {day}") as connection:
                for name in COPIED_TABLES:
                    connection.execute(f'DROP TABLE IF EXISTS "{source}".{name}_{day:%Y%m%d}')
        done[day.isoformat()] = "as in the lake" if day in kept else "dropped"
    return done


def erase_in_postgres(settings: Settings, source: str, erased: ErasedUsers) -> int:
    """Delete the users' rows of all days; return how many, 0 where no DSN is set or no table was written yet.

    Raises:
        SinkError: the server cannot be reached, or refused. The call can be repeated.
    """
    if settings.postgres_sink is None:
        return 0
    deleted = 0
    for name in (name for name in COPIED_TABLES if "user_key" in TABLES[name].column_names):
        table = f'"{source}".{name}'
        with _connected(settings, f"erase users of {source}") as connection:
            found = connection.execute("SELECT to_regclass(%s)", (table,)).fetchone()
            if found is None or found[0] is None:
                continue
            found_keys = connection.execute(f"SELECT DISTINCT user_key FROM {table}")
            keys = [key for (key,) in found_keys if erased.is_erased(key)]
            deleted += connection.execute(f"DELETE FROM {table} WHERE user_key = ANY(%s)", (keys,)).rowcount
        # Deleted rows stay in the server's files until VACUUM, which cannot run within a transaction.
        with _connected(settings, f"vacuum {table}", autocommit=True) as connection:
            connection.execute(f"VACUUM {table}")
    return deleted


@contextmanager
def _connected(settings: Settings, action: str, *, autocommit: bool = False) -> Iterator["Connection"]:
    # Imported here, because most installations have no Postgres.
    import psycopg

    assert settings.postgres_sink is not None
    dsn = settings.postgres_sink.get_secret_value()
    try:
        with psycopg.connect(dsn, connect_timeout=10, autocommit=autocommit) as connection:
            connection.execute(f"SET lock_timeout = '{_LOCK_WAIT}'")
            yield connection
    except psycopg.Error as error:
        reason = " ".join(str(error).split())
        # The DSN holds a password, so the message names the setting instead.
        raise SinkError(
            f"Postgres did not {action} ({reason}); the lake is already changed. Start the server or correct "
            "NIGHTSHELF_POSTGRES_SINK, then run the task again"
        ) from error
