"""Inputs of all tables of a run: its published tables, its vectors, and the shop's business rules."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date
from functools import cached_property
from pathlib import Path
from typing import Any, Final

import pyarrow as pa
from pyspark import StorageLevel
from pyspark.sql import DataFrame, SparkSession
from pyspark.sql import functions as F

from pipeline_tasks.config.business_rules import BusinessRules, load_business_rules
from pipeline_tasks.config.recommendation_settings import ScoringSettings
from pipeline_tasks.config.settings import settings
from pipeline_tasks.evaluation.repeat_policy import RepeatPolicy
from pipeline_tasks.lake.lake import Days, Lake
from pipeline_tasks.lake.staging import staging_folder
from pipeline_tasks.recommend.excluded_items import Excluded, find_excluded
from pipeline_tasks.recommend.offered_items import OfferedItems, open_offered_items
from pipeline_tasks.recommend.prepare_offered_items import prepare_offered_items, read_meta
from pipeline_tasks.registry.served_policy import REPEAT_POLICY
from pipeline_tasks.run_key import RunKey
from spark_jobs.common.connect_frames import persisted
from spark_jobs.common.stage_table import read_table
from spark_jobs.recommending.fallback_recommendations import days_before_end
from spark_jobs.recommending.find_replenishable import find_replenishable
from spark_jobs.recommending.user_batch import COLUMNS, USERS_PER_PART, VECTORS, count_parts

_READ: Final = ("splits", "sequences", "items", "events")


@dataclass
class RunInputs:
    """Inputs of one run, read once."""

    spark: SparkSession
    run: RunKey
    scoring: ScoringSettings
    lake: Lake
    snapshots: Mapping[str, int | None]
    """Snapshot of each table that is read, all taken at once: another run may publish meanwhile."""
    vectors: Path
    """Folder that `pipeline_tasks.registry.embed_items` wrote."""
    meta: dict[str, Any]
    rules: BusinessRules
    excluded: Excluded
    catalog: pa.Table
    """Rows of `items`."""
    folder: str
    """Folder of the offered items."""
    lost: int
    """Number of embedded items that are no longer in the catalog."""
    sequences: DataFrame
    window: tuple[date, date]
    """First and last day of the events behind the split."""
    zone: str | None = None
    """Time zone of the shop's days, None for UTC."""

    @property
    def ds(self) -> date:
        """Day of the run."""
        return self.run.ds

    @property
    def version(self) -> str:
        """Registered model and version that made the vectors."""
        return str(self.meta["model_version"])

    @property
    def policy(self) -> RepeatPolicy:
        """Events of a user that exclude an item, as in the evaluation of the model."""
        facts = self.meta.get(REPEAT_POLICY)
        return RepeatPolicy.from_facts(facts) if facts else RepeatPolicy((), self.scoring.exclude_purchased_days)

    @property
    def offered(self) -> OfferedItems:
        """The offered items."""
        return open_offered_items(self.folder)

    @property
    def end(self) -> int:
        """End of the day of the run in epoch microseconds."""
        return days_before_end(self.ds, 0, self.zone)

    @property
    def window_days(self) -> int:
        """Days of the window, the day of the run included."""
        return (self.ds - self.window[0]).days + 1

    @property
    def purchase_days(self) -> int:
        """Days of purchases that exclude an item: those of the settings, at most those of the window."""
        return min(self.scoring.exclude_purchased_days, self.window_days)

    @property
    def bought_since(self) -> int:
        """Start of the days of purchases that exclude an item, in epoch microseconds."""
        return days_before_end(self.ds, self.scoring.exclude_purchased_days, self.zone)

    @property
    def files(self) -> int:
        """Number of files of a table with a few rows per user, each written by one task."""
        return max(1, int(self.meta["users"]) // USERS_PER_PART)

    @cached_property
    def items(self) -> DataFrame:
        """The catalog of the run."""
        return self._read("items", (self.ds, self.ds))

    @cached_property
    def events(self) -> DataFrame:
        """The events of the window."""
        return self._read("events", self.window)

    @cached_property
    def user_vectors(self) -> DataFrame:
        """(user_key, vector, own_items, own_scores) of all users with a vector."""
        return self.spark.read.schema(VECTORS).parquet(str(self.vectors / "users"))

    @cached_property
    def users(self) -> DataFrame:
        """The columns `user_batch.COLUMNS` of every known user with history, sorted by user_key per partition."""
        history = self.sequences.where(F.col("user_key").isNotNull())
        joined = (
            history.select("user_key", *COLUMNS[4:])
            .join(self.user_vectors, "user_key", how="inner")
            .repartition(count_parts(self.spark, self.meta["users"]), "user_key")
            .sortWithinPartitions("user_key")
        )
        # Three tables are made from it. It goes to disk where memory is short.
        return persisted(joined, StorageLevel.MEMORY_AND_DISK)

    def _read(self, name: str, days: Days) -> DataFrame:
        return read_table(self.spark, self.lake, name, days, snapshot_id=self.snapshots[name])


def read_run_inputs(spark: SparkSession, run: RunKey, scoring: ScoringSettings) -> RunInputs:
    """Read the inputs of the run and prepare its offered items.

    Raises:
        FileNotFoundError: the run has no vectors.
        ValueError: the vectors are not finite, differ in width, or match no item of the catalog; the business rules
            cannot be read or exclude every item; or the run was never split.
    """
    lake, day = Lake.open(settings(), run.source), (run.ds, run.ds)
    vectors = staging_folder(settings(), run) / "vectors"
    meta = read_meta(vectors)
    rules = load_business_rules(scoring.shelf_rules)
    state = lake.consistent_view()
    snapshots = {name: state.snapshot_id(name) for name in _READ}
    catalog = lake.read("items", day, snapshot_id=snapshots["items"])
    zone = lake.facts("splits").get("timezone") or None
    excluded = find_excluded(rules.exclude, catalog)
    sequences = read_table(spark, lake, "sequences", day, snapshot_id=snapshots["sequences"])
    replenishable_items = find_replenishable(rules.replenishable, catalog, sequences, zone)
    folder, lost = prepare_offered_items(vectors, catalog, excluded, replenishable_items)
    # Spark passes users to Python in batches of the size that is scored at a time.
    spark.conf.set("spark.sql.execution.arrow.maxRecordsPerBatch", str(scoring.block_users))
    # Rows that are sorted by user are aggregated as they stream by, in a third of the time of a hash aggregate.
    spark.conf.set("spark.sql.execution.replaceHashWithSortAgg", "true")
    window = (_window_start(lake, run, snapshots["splits"]), run.ds)
    prepared = (vectors, meta, rules, excluded, catalog, folder, lost)
    return RunInputs(spark, run, scoring, lake, snapshots, *prepared, sequences, window, zone)


def _window_start(lake: Lake, run: RunKey, snapshot_id: int | None) -> date:
    read = lake.read("splits", (run.ds, run.ds), ("window_start",), snapshot_id)
    starts = read["window_start"].to_pylist()
    if not starts:
        raise ValueError(f"{run.source} {run.ds} was never split: run split_behavior for it first")
    first: date = min(starts)
    return first
