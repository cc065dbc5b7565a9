"""Reads the landed records of a source."""

from collections.abc import Sequence
from datetime import date

from pyspark.sql import DataFrame, SparkSession

from pipeline_tasks.config.settings import Settings
from pipeline_tasks.config.source_toml import Source
from pipeline_tasks.run_key import RunKey
from pipeline_tasks.sources.landing import Kind, Landing
from spark_jobs.common.stage_table import spark_schema
from spark_jobs.landing.read_parquet import group_by_schema, join_groups


class LandingReader:
    """Reader of the landed records of all kinds. With `normalize`, irregular ids are looked for and made regular."""

    def __init__(self, spark: SparkSession, source: Source, settings: Settings, normalize: bool = False) -> None:
        self.spark = spark
        self.source = source
        self.normalize = normalize
        self.landings = {kind: Landing(settings, source.name, kind) for kind in _KINDS}
        self.ledgers = {kind: landing.ledger() for kind, landing in self.landings.items()}

    def require_events(self, run: RunKey) -> None:
        """Check that events of the day of the run were landed.

        Raises:
            ValueError: there are none.
        """
        if self.ledgers["events"].rows(run.ds) == 0:
            before = [day for day in self.ledgers["events"].days() if day < run.ds]
            latest = f"the last day that has some is {before[-1]} (--date {before[-1]}); else " if before else ""
            raise ValueError(
                f"No events for {run.ds} in {self.landings['events'].folder}: {latest}land that day first "
                f"(nightshelf run --source {run.source} --date {run.ds}), or check that the shop's files hold it"
            )

    def days(self, kind: Kind, days: Sequence[date]) -> DataFrame | None:
        """Return the landed rows of the days with `ds` and `arrived`, None when there are none.

        A column that changed its type between deliveries gets one type that holds all of its values.
        """
        files = self.landings[kind].files(list(days), self.ledgers[kind])
        if not files:
            return None
        reader = self.spark.read.option("basePath", str(self.landings[kind].folder))
        if not self.ledgers[kind].differing_columns(list(days)):
            # The schema is read from one footer. Spark would start a job for it, which takes a second.
            return reader.schema(spark_schema(files[0])).parquet(*files)
        groups = group_by_schema(files)
        return join_groups(groups, [reader.schema(spark_schema(one.files[0])).parquet(*one.files) for one in groups])


_KINDS: tuple[Kind, ...] = ("events", "items", "users")
