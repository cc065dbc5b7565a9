"""Rewrites landed files without the records of the users whom a source has forgotten.

    python spark_jobs/erase_landed.py --source simulated_shop

Reads everything that was landed once; only the parts that hold such a record are written again. The days that they are
of are cleaned again by the next night. The shop's own files are not touched.
"""

import argparse
from datetime import date

from pyspark.sql import DataFrame, SparkSession

from pipeline_tasks.config.settings import settings
from pipeline_tasks.config.source_toml import Source
from pipeline_tasks.job_errors import job_errors
from pipeline_tasks.lake.source_lock import maintenance_lock
from pipeline_tasks.sources.erased import ErasedUsers, read_erased_users
from pipeline_tasks.sources.landing import Kind
from pipeline_tasks.sources.sources import load_source
from spark_jobs.cleaning.erased_users import is_of
from spark_jobs.cleaning.map_catalog import map_users
from spark_jobs.cleaning.map_events import ROW, map_events
from spark_jobs.common.spark_session import open_session
from spark_jobs.landing.land_records import write_landing
from spark_jobs.landing.landing_reader import LandingReader

WITH_USERS: tuple[Kind, ...] = ("events", "users")


def arg_parser() -> argparse.ArgumentParser:
    """Return the parser of the command line."""
    parser = argparse.ArgumentParser(description="Rewrite landed files without the users that were forgotten")
    parser.add_argument("--source", required=True, help="preset, registered name, or path of a TOML file")
    return parser


def erase_landed(spark: SparkSession, source: Source, forgotten: ErasedUsers) -> dict[str, int]:
    """Rewrite the parts and return how many records went, by kind."""
    if not forgotten:
        return dict.fromkeys(WITH_USERS, 0)
    landed = LandingReader(spark, source, settings(), compose=True)
    return {kind: _forget_kind(landed, kind, forgotten) for kind in WITH_USERS}


def _forget_kind(landed: LandingReader, kind: Kind, forgotten: ErasedUsers) -> int:
    # What an attempt before this one has replaced may still lie there: it ended before it removed it.
    landed.landings[kind].remove_leftovers()
    raw = landed.days(kind, landed.ledgers[kind].days())
    mapped = _mapped(landed, kind, raw) if raw is not None else None
    if raw is None or mapped is None:
        return 0
    hers = mapped.where(is_of(forgotten)).select(ROW, "ds", "arrived").persist()
    counts = {(row["ds"], row["arrived"]): row["count"] for row in hers.groupBy("ds", "arrived").count().collect()}
    if not counts:
        return 0
    landing = landed.landings[kind]
    write_landing(_parts(landed, kind, set(counts)).join(hers.select(ROW), ROW, "left_anti"), landing.incoming())
    landing.replace_parts(landing.folder / "incoming", counts)
    hers.unpersist()
    return sum(counts.values())


def _mapped(landed: LandingReader, kind: Kind, raw: DataFrame) -> DataFrame | None:
    """Return user_key and what LANDED names of every record."""
    source = landed.source
    if kind == "events":
        return map_events(raw, source, compose=landed.compose)
    if source.users is None or source.users.path is None:
        return None
    return map_users(raw, source, landed.compose)


def _parts(landed: LandingReader, kind: Kind, parts: set[tuple[date, date]]) -> DataFrame:
    whole = landed.days(kind, sorted({ds for ds, _ in parts}))
    assert whole is not None
    chosen = landed.spark.createDataFrame(sorted(parts), "ds date, arrived date")
    return whole.join(chosen, ["ds", "arrived"], "left_semi")


def main() -> None:
    """Run the job."""
    arguments = arg_parser().parse_args()
    with job_errors():
        source = load_source(arguments.source)
        with maintenance_lock(settings(), source.name, "erase_landed"):
            forgotten = read_erased_users(settings(), source.name)
            gone = erase_landed(open_session(f"forget {source.name}"), source, forgotten)
            told = ", ".join(f"{kind} {count}" for kind, count in gone.items())
            known = len(forgotten.hashes)
            print(f"erase_landed {source.name}: {known} users are forgotten; landed records gone: {told}")


if __name__ == "__main__":
    main()
