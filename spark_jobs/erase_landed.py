"""Rewrites landed files without the records of the users whose data was erased.

    python spark_jobs/erase_landed.py --source simulated_shop

Reads every landed file once and rewrites only the parts that hold such a record. The next run cleans their days again.
The shop's own files are not touched.
"""

import argparse
from datetime import date

from pyspark.sql import DataFrame, SparkSession

from pipeline_tasks.config.settings import settings
from pipeline_tasks.config.source_toml import Source
from pipeline_tasks.errors import job_errors
from pipeline_tasks.lake.source_lock import maintenance_lock
from pipeline_tasks.sources.erased import ErasedUsers, read_erased_users
from pipeline_tasks.sources.landing import Kind
from pipeline_tasks.sources.sources import load_source
from spark_jobs.cleaning.erased_users import is_erased
from spark_jobs.cleaning.map_catalog import map_users
from spark_jobs.cleaning.map_events import ROW, map_events
from spark_jobs.common.connect_frames import persisted
from spark_jobs.common.spark_session import open_session
from spark_jobs.landing.land_records import write_landing
from spark_jobs.landing.landing_reader import LandingReader

WITH_USERS: tuple[Kind, ...] = ("events", "users")


def arg_parser() -> argparse.ArgumentParser:
    """Return the parser of the command line."""
    parser = argparse.ArgumentParser(description="Rewrite landed files without the erased users")
    parser.add_argument("--source", required=True, help="preset, registered name, or path of a TOML file")
    return parser


def erase_landed(spark: SparkSession, source: Source, erased: ErasedUsers) -> dict[str, int]:
    """Rewrite the parts and return the number of removed records by kind."""
    if not erased:
        return dict.fromkeys(WITH_USERS, 0)
    landed = LandingReader(spark, source, settings(), normalize=True)
    return {kind: _erase_kind(landed, kind, erased) for kind in WITH_USERS}


def _erase_kind(landed: LandingReader, kind: Kind, erased: ErasedUsers) -> int:
    # An earlier attempt may have ended before it removed the parts that it replaced.
    landed.landings[kind].remove_leftovers()
    raw = landed.days(kind, landed.ledgers[kind].days())
    mapped = _mapped(landed, kind, raw) if raw is not None else None
    if raw is None or mapped is None:
        return 0
    erased_rows = persisted(mapped.where(is_erased(erased)).select(ROW, "ds", "arrived"))
    counts = {
        (row["ds"], row["arrived"]): row["count"] for row in erased_rows.groupBy("ds", "arrived").count().collect()
    }
    if not counts:
        return 0
    landing = landed.landings[kind]
    write_landing(_parts(landed, kind, set(counts)).join(erased_rows.select(ROW), ROW, "left_anti"), landing.incoming())
    landing.replace_parts(landing.folder / "incoming", counts)
    erased_rows.unpersist()
    return sum(counts.values())


def _mapped(landed: LandingReader, kind: Kind, raw: DataFrame) -> DataFrame | None:
    """Return user_key and the columns LANDED of every record, None for a kind without a file of its own."""
    source = landed.source
    if kind == "events":
        return map_events(raw, source, compose=landed.normalize)
    if source.users is None or source.users.path is None:
        return None
    return map_users(raw, source, landed.normalize)


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
            erased = read_erased_users(settings(), source.name)
            removed = erase_landed(open_session(f"erase {source.name}"), source, erased)
            summary = ", ".join(f"{kind} {count}" for kind, count in removed.items())
            known = len(erased.hashes)
            print(f"erase_landed {source.name}: {known} erased users; removed landed records: {summary}")


if __name__ == "__main__":
    main()
