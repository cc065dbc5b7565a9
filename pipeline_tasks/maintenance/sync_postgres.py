"""Lets an application's Postgres follow the lake where nights went back, and lets it forget a user."""

from collections.abc import Collection, Iterator
from contextlib import contextmanager
from datetime import date
from typing import TYPE_CHECKING, Final

from pipeline_tasks.config.settings import Settings
from pipeline_tasks.lake.lake import Lake
from pipeline_tasks.lake.postgres_sink import SUNK, SinkError, sink_night
from pipeline_tasks.run_key import RunKey
from pipeline_tasks.sources.erased import ErasedUsers
from pipeline_tasks.tables.contracts import TABLES

if TYPE_CHECKING:
    from psycopg import Connection

_LOCK_WAIT: Final = "10s"
"""For readers of a partition to let go of it."""


def sync_days(settings: Settings, source: str, days: Collection[date]) -> dict[str, str]:
    """Put the lake's rows of the days in place of Postgres's; a day that the lake has lost goes there too.

    Return what was done by day; nothing where no DSN is set.

    Raises:
        SinkError: the server cannot be reached, or refused; what was done before stays, and it can be done again.
    """
    if settings.postgres_sink is None or not days:
        return {}
    lake = Lake.open(settings, source)
    kept = {day for name in SUNK for day in lake.days(name)}
    done = {}
    for day in sorted(days):
        if day in kept:
            sink_night(settings, RunKey(source, day))
        else:
            with _connected(settings, f"drop {source} {day}") as connection:
                for name in SUNK:
                    connection.execute(f'DROP TABLE IF EXISTS "{source}".{name}_{day:%Y%m%d}')
        done[day.isoformat()] = "as in the lake" if day in kept else "dropped"
    return done


def erase_in_postgres(settings: Settings, source: str, forgotten: ErasedUsers) -> int:
    """Delete the users' rows of every night; return how many, 0 where no DSN is set or nothing was sunk yet.

    Raises:
        SinkError: the server cannot be reached, or refused; it can be done again.
    """
    if settings.postgres_sink is None:
        return 0
    deleted = 0
    for name in (name for name in SUNK if "user_key" in TABLES[name].column_names):
        own = f'"{source}".{name}'
        with _connected(settings, f"forget users of {source}") as connection:
            found = connection.execute("SELECT to_regclass(%s)", (own,)).fetchone()
            if found is None or found[0] is None:
                continue
            keys = [
                key for (key,) in connection.execute(f"SELECT DISTINCT user_key FROM {own}") if forgotten.knows(key)
            ]
            deleted += connection.execute(f"DELETE FROM {own} WHERE user_key = ANY(%s)", (keys,)).rowcount
        # What is deleted lies in the server's files until they are vacuumed; not within a transaction.
        with _connected(settings, f"vacuum {own}", autocommit=True) as connection:
            connection.execute(f"VACUUM {own}")
    return deleted


@contextmanager
def _connected(settings: Settings, what: str, *, autocommit: bool = False) -> Iterator["Connection"]:
    # Imported here: most installations have no Postgres.
    import psycopg

    assert settings.postgres_sink is not None
    dsn = settings.postgres_sink.get_secret_value()
    try:
        with psycopg.connect(dsn, connect_timeout=10, autocommit=autocommit) as connection:
            connection.execute(f"SET lock_timeout = '{_LOCK_WAIT}'")
            yield connection
    except psycopg.Error as error:
        said = " ".join(str(error).split())
        # The DSN holds a password: the message names the setting instead.
        raise SinkError(
            f"Postgres did not {what} ({said}): the lake has done so. Start the server or correct "
            "NIGHTSHELF_POSTGRES_SINK, then run the task again"
        ) from error
